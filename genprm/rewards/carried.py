"""Scores carried through the steps: a step counts for no more than the worst one up to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Score = TypeVar("Score", float, float | None)


def carry_minimum(scores: Sequence[Score]) -> list[Score]:
    """Each score replaced by the minimum of all up to it; a None stays None and is passed over.

    A critic that judges each step given those before it finds the steps after an error right, so
    the last plain score says little about the solution; the last carried one is its worst step.
    """
    lowest, carried = float("inf"), list[Score]()
    for score in scores:
        if score is not None:
            score = lowest = min(lowest, score)
        carried.append(score)
    return carried
