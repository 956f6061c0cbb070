"""The table of commands, and the command line that it makes.

Whatever file of this folder has a `COMMAND` is in the table.
"""

from __future__ import annotations

import argparse
import pkgutil
from importlib import import_module
from typing import NoReturn

import cluster.commands
from cluster.commands.base import Command, Option
from genprm.errors import ConfigError

# Help lists the path in its own order; other commands follow by name.
PATH = ("quickstart", "solve", "label", "distill", "train", "score", "eval", "calibrate", "serve")


def find_commands() -> dict[str, Command]:
    """The commands by name, in the order in which help lists them."""
    package = cluster.commands
    modules = (
        import_module(f"{package.__name__}.{file.name}")
        for file in pkgutil.iter_modules(package.__path__)
    )
    by_name = {
        module.COMMAND.name: module.COMMAND for module in modules if hasattr(module, "COMMAND")
    }
    first = [name for name in PATH if name in by_name]
    return {name: by_name[name] for name in (*first, *sorted(by_name.keys() - set(PATH)))}


COMMANDS = find_commands()
DEBUG = Option("--debug", "tracebacks, and the logs of Ray", {"action": "store_true"})
CONFIG = (
    Option("--config", "a YAML file, or the name of a shipped one", {"metavar": "FILE"}),
    Option(
        "--set",
        "override a config value, such as score.votes=4; may be repeated",
        {"action": "append", "default": [], "metavar": "KEY=VALUE"},
    ),
    Option("--dry-run", "print the whole config and stop", {"action": "store_true"}),
    Option(
        "--address",
        "a running Ray cluster (runtime.address)",
        {"metavar": "ADDR"},
        key="runtime.address",
    ),
)
ON_BAD_ROW = Option(
    "--on-bad-row",
    "fail: end at the first row that cannot be used (the default); skip: leave such rows out,"
    " count them, write them with reasons beside the output (on_bad_row)",
    {"choices": ("fail", "skip")},
    key="on_bad_row",
)
STAGES = tuple(name for name, command in COMMANDS.items() if command.is_stage)
STAGE = Option("stage", ", ".join(STAGES), {"choices": STAGES, "metavar": "STAGE"})


class Parser(argparse.ArgumentParser):
    """Reports a mistake as one line, like every other."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see {self.prog} --help)")


def build_parser(*, dry_run: bool = False) -> Parser:
    """The parser of the whole command line; `command` is the attribute with the command's name.

    With `dry_run` no option is required, since a config is all that is printed.
    """
    top = Parser(
        prog="genprm",
        description="Train, serve and use generative process reward models.",
        allow_abbrev=False,
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(
            name, help=command.help, description=command.help, allow_abbrev=False
        )
        if command.takes_stage:
            sub.usage = f"genprm {name} STAGE [stage options] --address URL [options]"
        for option in options_of(command):
            settings = dict(option.settings)
            if dry_run and settings.get("required"):
                settings["required"] = False
            sub.add_argument(option.flag, help=option.help, **settings)
    return top


def overrides_of(command: Command, args: argparse.Namespace) -> list[str]:
    """The `KEY=VALUE` of a parsed command line: those of `--set`, then the options with a key."""
    values = {
        option.key: getattr(args, option.attribute)
        for option in options_of(command)
        if option.key is not None
    }
    return [*args.set, *(f"{key}={value}" for key, value in values.items() if value is not None)]


def options_of(command: Command) -> tuple[Option, ...]:
    """All options of a command, in the order in which its help lists them."""
    inputs = (
        Option(flag, text, {"nargs": "+", "required": True, "metavar": "IN"})
        for flag, text in command.inputs.items()
    )
    out = Option("--out", command.out or "", {"required": True, "metavar": "OUT"})
    return (
        DEBUG,
        *((STAGE,) if command.takes_stage else CONFIG),
        *inputs,
        *((out,) if command.out else ()),
        *((ON_BAD_ROW,) if command.inputs else ()),
        *command.options,
    )
