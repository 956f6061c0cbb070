"""`genprm merge`: one file of labels out of two for the same solutions."""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.commands.base import FILE_OUT, Command, Option
from genprm.data.bad_rows import STRICT, BadRows
from genprm.errors import ConfigError, InputError

if TYPE_CHECKING:
    from genprm.config.root import Config
    from genprm.records import Row


def run(config: Config, args: argparse.Namespace) -> None:
    from cluster.commands.output import keep_skipped

    bad = BadRows(config.on_bad_row)
    counts = merge_files(args.labels, args.others, args.out, keep=args.keep, bad=bad)
    print(", ".join(f"{name} {count}" for name, count in counts.items()))
    keep_skipped(bad, args.out)
    print(f"wrote {args.out}")


def merge_files(
    sources: Sequence[str],
    others: Sequence[str],
    out: str,
    *,
    keep: bool = False,
    bad: BadRows = STRICT,
) -> Counter[str]:
    """Write the solutions that are in both, and count what became of each.

    Two solutions are the same if their problem and steps are. A solution whose first errors
    differ, or are not known on both sides, is left out; with `keep` it is written with the labels
    on which both agree. `others` is held in memory; copies of a solution are paired one by one, in
    order.

    Counted: agreement, disagreement, undecided (by one source or both), alone (in one source
    only), failed (rows that an earlier stage could not label). `bad` takes rows that are no
    labelled solutions.

    Raises:
        ConfigError: `out` exists.
        InputError: a row is not a labelled solution, or no solution is in both.
    """
    from genprm.data.rows import FailedRow, write_jsonl
    from genprm.data.sources import labelled_solutions
    from genprm.labeling.consensus import combine
    from genprm.records import LabelledSolution, content_id

    if Path(out).exists():
        raise ConfigError(f"{out} exists: choose another --out")
    counts: Counter[str] = Counter(agreement=0, disagreement=0, undecided=0, alone=0, failed=0)

    def read(files: Sequence[str]) -> Iterator[tuple[str, Row]]:
        for row in labelled_solutions(files, rule_writer=False, bad=bad):
            if isinstance(row, FailedRow):
                counts["failed"] += 1
            else:
                yield content_id(row["problem"], row["steps"]), row

    waiting: dict[str, deque[Row]] = defaultdict(deque)
    for key, row in read(others):
        waiting[key].append(row)

    def rows() -> Iterator[Row]:
        for key, row in read(sources):
            if not waiting.get(key):
                counts["alone"] += 1
                continue
            pair = (row, waiting[key].popleft())
            merged = combine(*map(LabelledSolution.model_validate, pair))
            counts[merged.verdict] += 1
            if keep or merged.verdict == "agreement":
                yield merged.solution.row()
        if not counts["agreement"] + counts["disagreement"] + counts["undecided"]:
            raise InputError(f"{' '.join(sources)} and {' '.join(others)}: no solution in both")

    write_jsonl(out, rows())
    counts["alone"] += sum(map(len, waiting.values()))
    return counts


COMMAND = Command(
    name="merge",
    help="make one set of labels out of two for the same solutions",
    run=run,
    inputs={"--labels": "labelled solutions, or FORMAT:FILE in another project's format"},
    out=FILE_OUT,
    options=(
        Option(
            "--with",
            "other labels of the same problems and steps; held in memory",
            {"dest": "others", "nargs": "+", "required": True, "metavar": "IN"},
        ),
        Option(
            "--keep",
            "write also where the first errors differ, labels up to there",
            {"action": "store_true"},
        ),
    ),
)
