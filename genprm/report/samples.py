"""Which judged solutions a report shows, and the words and tones for what became of a step.

`templates/sample.html` draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genprm.evaluation.first_error import is_right, pair
from genprm.records import EvaluationRow, Judgement

TONES = {"correct": "good", "incorrect": "bad", "invalid": "none", None: "none"}
STATUS_TEXT = {
    "no_valid_critique": "no valid critique",
    "too_long": "too long for the context",
    "empty": "empty step",
    "deadline": "out of time",
    "not_scored": "not scored: after the first error",
    "error": "failed",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One solution as the critic judged it, with its true first error if that is known."""

    title: str
    problem: str
    steps: tuple[str, ...]
    judgement: Judgement
    first_error: int | None = None  # 0-based, -1 for none; None if it is unknown


def pick_samples(
    rows: Sequence[EvaluationRow], judgements: Sequence[Judgement], count: int = 6
) -> tuple[Sample, ...]:
    """A mixed choice, always the same: rows with and without error, judged right and wrong.

    The four kinds take turns (error found, error missed, correct passed, false alarm), each
    in the order of the rows, so that failures are shown as readily as successes.
    """
    kinds: dict[tuple[bool, bool], list[Sample]] = {
        (True, True): [], (True, False): [], (False, True): [], (False, False): []
    }  # fmt: skip
    for row, judgement in pair(rows, judgements):
        sample = Sample(
            f"{row.source} · {row.id}", row.problem, tuple(row.steps), judgement, row.first_error
        )
        kinds[row.first_error >= 0, is_right(row, judgement)].append(sample)
    longest = max(len(kind) for kind in kinds.values())
    turns = [kind[i] for i in range(longest) for kind in kinds.values() if i < len(kind)]
    return tuple(turns[:count])
