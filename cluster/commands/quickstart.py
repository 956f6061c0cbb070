"""`genprm quickstart`: see `cluster.quickstart`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cluster.commands.base import Command, Option

if TYPE_CHECKING:
    from genprm.config.root import Config


def run(config: Config, args: argparse.Namespace) -> None:
    from cluster.quickstart import path

    sizes = path.FULL if args.full else path.QUICK
    print(f"report: {path.run(config, args.out, sizes=sizes)}")


COMMAND = Command(
    name="quickstart",
    help="the whole path on the embedded model, in minutes",
    run=run,
    options=(
        Option("--out", "a folder", {"default": "out/quickstart", "metavar": "DIR"}),
        Option("--full", "the README's numbers of problems", {"action": "store_true"}),
    ),
    default_config="quickstart",
)
