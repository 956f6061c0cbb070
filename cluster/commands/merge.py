"""`genprm merge`: one file of labels out of two for the same solutions."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from genprm.data.rows import FailedRow, write_jsonl
from genprm.data.sources import labelled_solutions
from genprm.errors import ConfigError, InputError
from genprm.labeling.consensus import combine
from genprm.records import LabelledSolution, Row, content_id


def merge_files(
    sources: Sequence[str], others: Sequence[str], out: str, *, keep: bool = False
) -> Counter[str]:
    """Write the solutions that stand in both, and count what became of them.

    Solutions are the same if their problem and steps are. One whose first errors differ, or are
    not known on both sides, is left out, or with `keep` written with the labels on which both
    agree. `others` is held in memory; copies of a solution are taken one by one, in order.
    Counted: agreement, disagreement, undecided (by one source or both), alone (in one source
    only), failed (rows that an earlier stage could not label).

    Raises:
        ConfigError: `out` exists.
        InputError: a row that is no labelled solution, or no solution stands in both.
    """
    if Path(out).exists():
        raise ConfigError(f"{out} exists: choose another --out")
    counts: Counter[str] = Counter(agreement=0, disagreement=0, undecided=0, alone=0, failed=0)
    beside: dict[str, deque[Row]] = defaultdict(deque)
    for row in _labelled(others, counts):
        beside[_key(row)].append(row)

    def rows() -> Iterator[Row]:
        for row in _labelled(sources, counts):
            same = beside.get(_key(row))
            if not same:
                counts["alone"] += 1
                continue
            one, other = (LabelledSolution.model_validate(r) for r in (row, same.popleft()))
            merged = combine(one, other)
            counts[merged.verdict] += 1
            if keep or merged.verdict == "agreement":
                yield merged.solution.row()
        if not counts["agreement"] + counts["disagreement"] + counts["undecided"]:
            raise InputError(f"{' '.join(sources)} and {' '.join(others)}: no solution in both")

    write_jsonl(out, rows())
    counts["alone"] += sum(map(len, beside.values()))
    return counts


def _labelled(sources: Sequence[str], counts: Counter[str]) -> Iterator[Row]:
    for row in labelled_solutions(sources, rule_writer=False):
        if isinstance(row, FailedRow):
            counts["failed"] += 1
        else:
            yield row


def _key(row: Row) -> str:
    return content_id(row["problem"], row["steps"])
