"""`genprm convert`: labelled solutions, ours or of another project, in another project's format."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.commands.base import FILE_OUT, Command, Option
from genprm.data.bad_rows import STRICT, BadRows
from genprm.errors import ConfigError

if TYPE_CHECKING:
    from genprm.config.root import Config


def run(config: Config, args: argparse.Namespace) -> None:
    from cluster.commands.output import keep_skipped
    from genprm.data.formats.base import FORMATS

    bad = BadRows(config.on_bad_row)
    rows, unlabelled = convert(args.labels, args.to, args.out, bad)
    written = "1 row" if rows == 1 else f"{rows} rows"
    print(f"wrote {written} to {args.out}; solutions without labels for it: {unlabelled}")
    keep_skipped(bad, args.out)
    if FORMATS[args.to].caution:
        print(f"note: {FORMATS[args.to].caution}")


def convert(sources: Sequence[str], to: str, out: str, bad: BadRows = STRICT) -> tuple[int, int]:
    """Write `out` and return how many solutions were written, and how many had no labels for it;
    `bad` takes rows that are no labelled solutions.

    Raises:
        ConfigError: `to` names no format that can be written, or `out` exists.
        InputError: a row is not a labelled solution, unless they are skipped.
    """
    from genprm.data.formats.base import FORMATS
    from genprm.data.rows import FailedRow, write_jsonl
    from genprm.data.sources import labelled_solutions
    from genprm.records import LabelledSolution

    write = FORMATS[to].write if to in FORMATS else None
    if write is None:
        writable = ", ".join(name for name, entry in FORMATS.items() if entry.write)
        raise ConfigError(f"--to {to}: not a format that can be written; there are {writable}")
    if Path(out).exists():
        raise ConfigError(f"{out} exists: choose another --out")
    counts = {True: 0, False: 0}

    def rows() -> Iterator[dict[str, Any]]:
        for source in labelled_solutions(sources, rule_writer=False, bad=bad):
            failed = isinstance(source, FailedRow)  # of an earlier stage: it has no labels
            row = None if failed else write(LabelledSolution.model_validate(source))
            counts[row is not None] += 1
            if row is not None:
                yield row

    write_jsonl(out, rows())
    return counts[True], counts[False]


COMMAND = Command(
    name="convert",
    help="write labelled solutions in another project's format",
    run=run,
    inputs={"--labels": "labelled solutions, or FORMAT:FILE in another project's format"},
    out=FILE_OUT,
    options=(Option("--to", "trl, trl_soft, ...", {"required": True, "metavar": "FORMAT"}),),
)
