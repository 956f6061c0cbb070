"""`genprm serve`: see `cluster.service`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cluster.commands.base import Command, Option

if TYPE_CHECKING:
    from genprm.config.root import Config


def run(config: Config, args: argparse.Namespace) -> None:
    from cluster import service

    service.run(config, blocking=True)


COMMAND = Command(
    name="serve",
    help="run the scoring service",
    run=run,
    options=(
        Option(
            "--host", "address to listen on (serve.host)", {"metavar": "HOST"}, key="serve.host"
        ),
        Option(
            "--port",
            "port to listen on (serve.port)",
            {"type": int, "metavar": "N"},
            key="serve.port",
        ),
    ),
)
