"""The `StepScorer` contract: solutions in, judgements out, whatever does the judging.

Search, rewards, evaluation and the service know this and nothing of how a step is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

from genprm.records import Aggregate, Judgement


@dataclass(frozen=True, slots=True)
class ScoreItem:
    """One solution to judge. None means the scorer's own setting; without `id` the content is
    hashed to one."""

    problem: str
    steps: Sequence[str]
    id: str | None = None
    votes: int | None = None
    aggregate: Aggregate | None = None
    return_critiques: bool | None = None
    stop_at_first_error: bool | None = None
    early_stop: bool | None = None
    seed: int | None = None
    deadline_s: float | None = None


class ChoiceOptions(TypedDict, total=False):
    """The options of `StepScorer.score` that many solutions may share; left out or None, the
    scorer's own settings hold."""

    votes: int | None
    aggregate: Aggregate | None
    return_critiques: bool | None
    stop_at_first_error: bool | None
    early_stop: bool | None
    seed: int | None
    deadline_s: float | None


class ScoreOptions(ChoiceOptions, total=False):
    """The options of `StepScorer.score`."""

    id: str | None


class StepScorer(Protocol):
    """What search, rewards, evaluation and the service know of any step scorer."""

    async def score(
        self,
        problem: str,
        steps: Sequence[str],
        *,
        id: str | None = None,
        votes: int | None = None,
        aggregate: Aggregate | None = None,
        return_critiques: bool | None = None,
        stop_at_first_error: bool | None = None,
        early_stop: bool | None = None,
        seed: int | None = None,
        deadline_s: float | None = None,
    ) -> Judgement:
        """Judge one solution: one result per step, in order. Steps that are not judged within
        `deadline_s` seconds have status `deadline`.

        Raises InputError for input that cannot be a solution, and EngineError if the engine is
        dead; whatever else goes wrong with a step is that step's status.
        """
        ...

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        """Judge many, in the order given; nothing is judged if one of them is no solution."""
        ...
