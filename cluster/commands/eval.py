"""`genprm eval`: see `cluster.stages.evaluate`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cluster.commands.base import FOLDER_OUT, Command
from cluster.commands.output import print_report

if TYPE_CHECKING:
    from genprm.config.root import Config


def run(config: Config, args: argparse.Namespace) -> None:
    from cluster.stages.evaluate import evaluate
    from genprm.report.terminal import print_table

    evaluation = evaluate(config, args.data, args.out)
    print_report(evaluation.judging)
    print()
    print_table(evaluation.table)
    print(f"\nreport: {args.out}/report.html")


COMMAND = Command(
    name="eval",
    help="judge solutions whose first error is known, and report",
    run=run,
    inputs={"--data": "rows with `first_error`, or with `candidates` for best-of-n"},
    out=FOLDER_OUT,
    is_stage=True,
)
