"""`genprm submit`: see `cluster.jobs`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cluster.commands.base import Command, Option, attribute_of
from genprm.errors import ConfigError

if TYPE_CHECKING:
    from genprm.config.root import Config


def run(config: Config, args: argparse.Namespace) -> int:
    from cluster.commands.table import COMMANDS, build_parser, overrides_of
    from cluster.jobs import StageCommand, submit

    words = [args.stage, *args.rest]
    stage, unknown = build_parser().parse_known_args(words)
    if unknown:
        raise ConfigError(f"unknown argument {unknown[0]} (see genprm {args.stage} --help)")
    inputs = [getattr(stage, attribute_of(flag)) for flag in COMMANDS[args.stage].inputs]
    command = StageCommand(
        words,
        config=stage.config,
        overrides=overrides_of(COMMANDS[args.stage], stage),
        inputs=[source for sources in inputs for source in sources],
        out=getattr(stage, "out", None),
    )
    return submit(command, args)


COMMAND = Command(
    name="submit",
    help="run a stage as a job of a Ray cluster",
    run=run,
    options=(
        Option(
            "--address",
            "the cluster's dashboard, http://head:8265 ($RAY_ADDRESS)",
            {"metavar": "URL"},
        ),
        Option(
            "--submission-id",
            "a name for the job: submitting it again follows it while it runs, else goes on",
            {"metavar": "ID"},
        ),
        Option(
            "--env",
            "pass on a variable of this environment, such as HF_TOKEN; visible in Ray's job list",
            {"action": "append", "default": [], "metavar": "NAME"},
        ),
        Option("--no-wait", "do not follow the job's output", {"action": "store_true"}),
        Option("--dry-run", "print what would be submitted", {"action": "store_true"}),
    ),
    takes_stage=True,
)
