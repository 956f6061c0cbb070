"""`genprm calibrate`: see `cluster.stages.calibrate`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cluster.commands.base import FOLDER_OUT, Command
from cluster.commands.output import print_report

if TYPE_CHECKING:
    from genprm.config.root import Config


def run(config: Config, args: argparse.Namespace) -> None:
    from cluster.stages.calibrate import calibrate
    from genprm.report.terminal import print_table

    result = calibrate(config, args.data, args.out)
    print_report(result.judging)
    print()
    print_table(result.table())
    print(f"wrote {result.path}")
    if result.found_by_scoring:
        print("and into the critic's directory, where scoring finds it")
    else:
        print(f"scoring takes it with --set score.calibration={result.path}")


COMMAND = Command(
    name="calibrate",
    help="learn from labelled rows what the critic's scores mean",
    run=run,
    inputs={"--data": "rows with `first_error` that no evaluation will use"},
    out=FOLDER_OUT,
    is_stage=True,
)
