"""`genprm convert`: labelled solutions, ours or of others, in a format of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from genprm.data.formats.base import FORMATS
from genprm.data.rows import FailedRow, write_jsonl
from genprm.data.sources import labelled_solutions
from genprm.errors import ConfigError
from genprm.records import LabelledSolution


def convert(sources: Sequence[str], to: str, out: str) -> tuple[int, int]:
    """Write `out` and return how many solutions were written, and how many had no labels for it.

    Raises:
        ConfigError: no such format, or it can only be read; `out` exists.
        InputError: a row that is no labelled solution.
    """
    write = FORMATS[to].write if to in FORMATS else None
    if write is None:
        able = ", ".join(name for name, entry in FORMATS.items() if entry.write)
        raise ConfigError(f"--to {to}: no format that can be written; there are {able}")
    if Path(out).exists():
        raise ConfigError(f"{out} exists: choose another --out")
    counts = {True: 0, False: 0}

    def rows() -> Iterator[dict[str, Any]]:
        for source in labelled_solutions(sources, rule_writer=False):
            failed = isinstance(source, FailedRow)  # of an earlier stage: it has no labels
            row = None if failed else write(LabelledSolution.model_validate(source))
            counts[row is not None] += 1
            if row is not None:
                yield row

    write_jsonl(out, rows())
    return counts[True], counts[False]
