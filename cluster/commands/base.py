"""What a command is. Importing this imports no library."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genprm.config.root import Config

ROWS_OUT = "a file name ending in .jsonl, or a folder for Parquet; resumed if unfinished"
FILE_OUT = "a new file, ending in .jsonl"
FOLDER_OUT = "a folder"


@dataclass(frozen=True, slots=True)
class Option:
    """An option with the `settings` that argparse takes for it.

    The value of one with a `key` goes into the config there, as `--set KEY=VALUE` would put it.
    """

    flag: str
    help: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None

    @property
    def attribute(self) -> str:
        """Where argparse keeps the value."""
        return str(self.settings.get("dest", attribute_of(self.flag)))


@dataclass(frozen=True, slots=True)
class Command:
    """A command of `genprm`.

    Attributes:
        run: does the work, with the resolved config and the parsed options, and returns the exit
            status where that is not 0.
        inputs: options that name rows (files, folders, URIs and more), with their help. They are
            required, and `genprm submit` makes sure that a job can read them.
        out: the help of a required `--out`; None for a command without one, or with its own.
        default_config: the shipped config of a command line that names no other.
        is_stage: whether `genprm submit` runs it as a job of a Ray cluster.
        takes_stage: whether a stage and the stage's options follow, as after `genprm submit`. Such
            a command has no config of its own and finds the stage's options in `args.rest`.
    """

    name: str
    help: str
    run: Callable[[Config, argparse.Namespace], int | None]
    inputs: Mapping[str, str] = field(default_factory=dict)
    out: str | None = None
    options: tuple[Option, ...] = ()
    default_config: str | None = None
    is_stage: bool = False
    takes_stage: bool = False


def attribute_of(flag: str) -> str:
    """The name under which argparse keeps the value of `flag`."""
    return flag.lstrip("-").replace("-", "_")
