"""`genprm label`: see `cluster.stages.label`, and `cluster.stages.estimate` for `--estimate`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cluster.commands.base import ROWS_OUT, Command, Option
from cluster.commands.output import print_report

if TYPE_CHECKING:
    from genprm.config.root import Config


def run(config: Config, args: argparse.Namespace) -> None:
    if args.estimate is None:
        from cluster.stages.label import label

        print_report(label(config, args.solutions, args.out))
        return
    from cluster.stages.estimate import price_of_labels
    from genprm.report.terminal import print_table

    price = price_of_labels(config, args.solutions, args.out, args.estimate)
    print_table(price.table())
    print(price.summary())


COMMAND = Command(
    name="label",
    help="value and label the steps of solutions by rollouts",
    run=run,
    inputs={"--solutions": "what `genprm solve` wrote, or solutions of your own"},
    out=ROWS_OUT,
    options=(
        Option(
            "--audit",
            "set N rollouts aside for a person to read, in OUT.audit.html (label.audit)",
            {"type": int, "metavar": "N"},
            key="label.audit",
        ),
        Option(
            "--estimate",
            "only label N solutions (48) drawn at random and say what all would cost",
            {"type": int, "nargs": "?", "const": 48, "metavar": "N"},
        ),
    ),
    is_stage=True,
)
