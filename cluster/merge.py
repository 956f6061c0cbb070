"""`genprm merge`: one file of labels out of two for the same solutions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cluster import inputs
from cluster.outputs import FailedRow
from genprm.errors import ConfigError
from genprm.labeling.merge import merge
from genprm.records import LabelledSolution, content_id
from genprm.rows import write_jsonl

Row = dict[str, Any]


def merge_files(
    sources: Sequence[str], others: Sequence[str], out: str, *, keep: bool = False
) -> Counter[str]:
    """Write the solutions that stand in both, and count what became of them.

    Solutions are the same if their problem and steps are. One whose first errors differ, or are
    not known on both sides, is left out, or with `keep` written with the labels on which both
    agree. `others` is held in memory. Counted: agreement, disagreement, undecided (of one source
    or both), alone (in one source only).

    Raises:
        ConfigError: `out` exists.
        InputError: a row that is no labelled solution.
    """
    if Path(out).exists():
        raise ConfigError(f"{out} exists: choose another --out")
    counts: Counter[str] = Counter(agreement=0, disagreement=0, undecided=0, alone=0)
    beside = {_key(row): row for row in _labelled(others)}
    met: set[str] = set()

    def rows() -> Iterator[Row]:
        for row in _labelled(sources):
            key = _key(row)
            if key not in beside:
                counts["alone"] += 1
                continue
            met.add(key)
            one, other = (LabelledSolution.model_validate(r) for r in (row, beside[key]))
            merged = merge(one, other)
            counts[merged.verdict] += 1
            if keep or merged.verdict == "agreement":
                yield merged.solution.row()

    write_jsonl(out, rows())
    counts["alone"] += len(beside) - len(met)
    return counts


def _labelled(sources: Sequence[str]) -> Iterator[Row]:
    rows = inputs.labelled_solutions(sources, rule_writer=False)
    return (row for row in rows if not isinstance(row, FailedRow))


def _key(row: Row) -> str:
    return content_id(row["problem"], row["steps"])
