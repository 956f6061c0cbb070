"""`genprm solve`: see `cluster.stages.solve`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cluster.commands.base import ROWS_OUT, Command
from cluster.commands.output import print_report

if TYPE_CHECKING:
    from genprm.config.root import Config


def run(config: Config, args: argparse.Namespace) -> None:
    from cluster.stages.solve import solve

    print_report(solve(config, args.problems, args.out))


COMMAND = Command(
    name="solve",
    help="sample solutions of problems with the policy",
    run=run,
    inputs={"--problems": "problems: files, folders, hub:NAME or task:NAME?n=1000&seed=7"},
    out=ROWS_OUT,
    is_stage=True,
)
