"""`genprm train`: see `cluster.training`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cluster.commands.base import FOLDER_OUT, Command, Option
from genprm.training import kind_names

if TYPE_CHECKING:
    from genprm.config.root import Config
    from genprm.report.tables import TableRow


def run(config: Config, args: argparse.Namespace) -> None:
    from cluster.commands.output import print_skipped
    from cluster.training.driver import train
    from genprm.report.terminal import print_table

    result = train(config, args.data, args.out)
    row: TableRow = {
        "stage": "train",
        "rows": result.rows,
        "dropped": result.dropped,
        "tokens": result.tokens,
        "seconds": result.seconds,
        "tokens/s": result.tokens / result.seconds if result.seconds else None,
        "loss": f"{result.metrics['loss']:.3f}" if "loss" in result.metrics else None,
    }
    print_table([row])
    print_skipped(result.skipped, result.skip_reasons, result.skipped_in)
    print(f"wrote {result.path}")


COMMAND = Command(
    name="train",
    help="fine-tune a critic",
    run=run,
    inputs={"--data": "what `genprm distill` wrote"},
    out=FOLDER_OUT,
    options=(
        Option(
            "--kind",
            f"what to train (train.kind): {kind_names()}",
            {"metavar": "KIND"},
            key="train.kind",
        ),
    ),
    is_stage=True,
)
