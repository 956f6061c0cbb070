"""`genprm pretrain`: see `genprm.pretraining`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cluster.commands.base import Command, Option

if TYPE_CHECKING:
    from genprm.config.root import Config


def run(config: Config, args: argparse.Namespace) -> None:
    from genprm.models.names import resolve_model
    from genprm.pretraining.train import PretrainConfig, pretrain

    options = {
        "seed": config.seed,
        "tokens": args.tokens,
        "comparisons_first": args.comparisons_first,
    }
    options = {name: value for name, value in options.items() if value is not None}
    init = args.init and resolve_model(args.init)
    recipe = PretrainConfig.going_on(init, **options) if init else PretrainConfig(**options)
    pretrain(args.out, recipe, config.pack)
    print(f"wrote {args.out}")


def parse_share(text: str) -> float:
    """A number from 0 to 1. argparse itself names a text that is not a number."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


COMMAND = Command(
    name="pretrain",
    help="build the embedded base model",
    run=run,
    options=(
        Option("--out", "a folder; resumed", {"required": True, "metavar": "DIR"}),
        Option("--tokens", "how much text to train on", {"type": int, "metavar": "N"}),
        Option("--init", "a base to go on from, at a lower rate", {"metavar": "BASE"}),
        Option(
            "--comparisons-first",
            "the part of training that begins with comparisons and hardly anything else, 0 to 1"
            " (0.06; with --init 0)",
            {"type": parse_share, "metavar": "SHARE"},
        ),
    ),
)
