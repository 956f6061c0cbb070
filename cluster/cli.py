"""The command line: parse, resolve the config, run one command of `cluster.commands`.

Exit status 0 done, 2 bad input or config (one line on stderr), 1 failed (one line; the traceback
with --debug or GENPRM_DEBUG=1), 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from cluster.commands.table import COMMANDS, build_parser, overrides_of
from cluster.runtime import DEBUG_ENV
from genprm.config.load import load_config
from genprm.config.root import Config
from genprm.errors import ConfigError, InputError, one_line
from genprm.training import find_kind


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: this process's) and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--debug" in arguments:
        os.environ[DEBUG_ENV] = "1"
    try:
        return run_command(arguments)
    except KeyboardInterrupt:
        print("genprm: interrupted; the same command goes on where it was", file=sys.stderr)
        return 130
    except (InputError, ConfigError) as error:
        return print_error(error, 2)
    except Exception as error:  # the last line of defence: one line instead of a traceback
        return print_error(error, 1)


def run_command(arguments: list[str]) -> int:
    """Parse and run a command line; the exit status of one that did not fail."""
    args, rest = build_parser(dry_run="--dry-run" in arguments).parse_known_args(arguments)
    if args.command is None:
        build_parser().print_help()
        return 0
    command = COMMANDS[args.command]
    if command.takes_stage:
        args.rest = rest
        return command.run(load_config(None), args) or 0
    if rest:
        raise ConfigError(f"unknown argument {rest[0]} (see genprm {args.command} --help)")
    config = resolve_config(args)
    if args.dry_run:
        from genprm.config.show import config_yaml

        print(config_yaml(config), end="")
        return 0
    return command.run(config, args) or 0


def resolve_config(args: argparse.Namespace) -> Config:
    """The config of a parsed command line: the file, then `--set`, then options with a key."""
    command = COMMANDS[args.command]
    config = load_config(args.config or command.default_config, overrides_of(command, args))
    find_kind(config.train.kind)  # configs are read below the kinds, and cannot know them
    return config


def print_error(error: Exception, status: int) -> int:
    """One line on stderr, after the traceback where it is wanted; returns the exit status."""
    if os.environ.get(DEBUG_ENV):
        import traceback

        traceback.print_exception(error)
    print(f"genprm: error: {one_line(error)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
