"""`genprm score`: see `cluster.stages.score`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cluster.commands.base import ROWS_OUT, Command
from cluster.commands.output import print_report

if TYPE_CHECKING:
    from genprm.config.root import Config


def run(config: Config, args: argparse.Namespace) -> None:
    from cluster.stages.score import score

    print_report(score(config, args.input, args.out))


COMMAND = Command(
    name="score",
    help="judge solutions with the critic",
    run=run,
    inputs={"--input": "rows with `problem` and `steps`, or `solution` as one text"},
    out=ROWS_OUT,
    is_stage=True,
)
