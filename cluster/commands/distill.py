"""`genprm distill`: see `cluster.stages.distill`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cluster.commands.base import ROWS_OUT, Command
from cluster.commands.output import print_report

if TYPE_CHECKING:
    from genprm.config.root import Config


def run(config: Config, args: argparse.Namespace) -> None:
    from cluster.stages.distill import distill

    print_report(distill(config, args.labels, args.out))


COMMAND = Command(
    name="distill",
    help="make training rows of labelled solutions",
    run=run,
    inputs={"--labels": "what `genprm label` wrote"},
    out=ROWS_OUT,
    is_stage=True,
)
