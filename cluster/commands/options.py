"""The options of `genprm`, and nothing that acts on them. Importing this imports no library."""

from __future__ import annotations

import argparse
from typing import NoReturn

from genprm.errors import ConfigError

# what `genprm submit` takes
STAGES = ("solve", "label", "distill", "train", "score", "eval", "calibrate")
# command -> its input option, and what the option is read as
INPUTS = {
    "solve": ("--problems", "problems: files, folders, hub:NAME or task:NAME?n=1000&seed=7"),
    "label": ("--solutions", "what `genprm solve` wrote, or solutions of your own"),
    "distill": ("--labels", "what `genprm label` wrote"),
    "train": ("--data", "what `genprm distill` wrote"),
    "score": ("--input", "rows with `problem` and `steps`, or `solution` as one text"),
    "eval": ("--data", "rows with `first_error`, or with `candidates` for best-of-n"),
    "calibrate": ("--data", "rows with `first_error` that no evaluation will use"),
    "convert": ("--labels", "labelled solutions, or FORMAT:FILE in a format of others"),
    "merge": ("--labels", "labelled solutions, or FORMAT:FILE in a format of others"),
}
HELP = {
    "quickstart": "the whole path on the embedded model, in minutes",
    "solve": "sample solutions of problems with the policy",
    "label": "value and label the steps of solutions by rollouts",
    "distill": "make training rows of labelled solutions",
    "train": "fine-tune a critic",
    "score": "judge solutions with the critic",
    "eval": "judge solutions whose first error is known, and report",
    "calibrate": "learn from labelled rows what the critic's scores mean",
    "serve": "run the scoring service",
    "convert": "write labelled solutions in a format of others",
    "merge": "make one set of labels out of two for the same solutions",
    "submit": "run a stage as a job of a Ray cluster",
    "pretrain": "build the embedded base model",
}
ROW_OUTPUT = "a file name ending in .jsonl, or a folder for Parquet; resumed if unfinished"


class Parser(argparse.ArgumentParser):
    """Reports a mistake as one line, like every other."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see {self.prog} --help)")


def parser(*, dry_run: bool = False) -> Parser:
    """The parser of the whole command line; `command` is the dest of the subcommand. A dry run
    shows the config, for which nothing else is required."""
    top = Parser(
        prog="genprm",
        description="Train, serve and use generative process reward models.",
        allow_abbrev=False,
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name, text in HELP.items():
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.add_argument("--debug", action="store_true", help="tracebacks, and the logs of Ray")
        if name == "submit":
            _submit_options(sub)
            continue
        _config_options(sub)
        if name in INPUTS:
            option, text = INPUTS[name]
            sub.add_argument(
                option, dest="input", nargs="+", required=not dry_run, metavar="IN", help=text
            )
            text = ROW_OUTPUT if name in ("solve", "label", "distill", "score") else "a folder"
            text = "a new file, ending in .jsonl" if name in ("convert", "merge") else text
            sub.add_argument("--out", required=not dry_run, metavar="OUT", help=text)
        _own_options(name, sub, required=not dry_run)
    return top


def _config_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--config", metavar="FILE", help="a YAML file, or the name of a shipped one")
    sub.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a config value, such as score.votes=4; may be repeated",
    )
    sub.add_argument("--dry-run", action="store_true", help="print the whole config and stop")
    sub.add_argument("--address", metavar="ADDR", help="a running Ray cluster (runtime.address)")


def _own_options(name: str, sub: argparse.ArgumentParser, required: bool) -> None:
    """What only one command has."""
    if name == "train":
        sub.add_argument("--kind", metavar="KIND", help="what to train (train.kind): critic")
    elif name == "label":
        sub.add_argument(
            "--audit",
            type=int,
            metavar="N",
            help="set N rollouts aside for a person to read, in OUT.audit.html (label.audit)",
        )
        sub.add_argument(
            "--estimate",
            type=int,
            nargs="?",
            const=48,
            metavar="N",
            help="only label N solutions (48) drawn at random and say what all would cost",
        )
    elif name == "convert":
        sub.add_argument("--to", required=required, metavar="FORMAT", help="trl, trl_soft, ...")
    elif name == "merge":
        sub.add_argument(
            "--with",
            dest="others",
            nargs="+",
            required=required,
            metavar="IN",
            help="other labels of the same problems and steps; held in memory",
        )
        sub.add_argument(
            "--keep",
            action="store_true",
            help="write also where the first errors differ, labels up to there",
        )
    elif name == "serve":
        sub.add_argument("--host", metavar="HOST", help="address to listen on (serve.host)")
        sub.add_argument("--port", type=int, metavar="N", help="port to listen on (serve.port)")
    elif name == "quickstart":
        sub.add_argument("--out", default="out/quickstart", metavar="DIR", help="a folder")
        sub.add_argument("--full", action="store_true", help="the README's numbers of problems")
    elif name == "pretrain":
        sub.add_argument("--out", required=required, metavar="DIR", help="a folder; resumed")
        sub.add_argument("--tokens", type=int, metavar="N", help="how much text to train on")
        sub.add_argument("--init", metavar="BASE", help="a base to go on from, at a lower rate")
        sub.add_argument(
            "--comparisons-first",
            type=share,
            metavar="SHARE",
            help="the part of training that begins with comparisons and hardly anything "
            "else, 0 to 1 (0.06; with --init 0)",
        )


def share(text: str) -> float:
    """A number from 0 to 1, for argparse, which names what is no number."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _submit_options(sub: argparse.ArgumentParser) -> None:
    sub.usage = "genprm submit STAGE [stage options] --address URL [options]"
    sub.add_argument("stage", choices=STAGES, metavar="STAGE", help=", ".join(STAGES))
    sub.add_argument(
        "--address", metavar="URL", help="the cluster's dashboard, http://head:8265 ($RAY_ADDRESS)"
    )
    sub.add_argument(
        "--submission-id",
        metavar="ID",
        help="a name for the job: submitting it again follows it while it runs, else goes on",
    )
    sub.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME",
        help="pass on a variable of this environment, such as HF_TOKEN; visible in Ray's job list",
    )
    sub.add_argument("--no-wait", action="store_true", help="do not follow the job's output")
    sub.add_argument("--dry-run", action="store_true", help="print what would be submitted")
