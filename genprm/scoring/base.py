"""The `StepScorer` contract: solutions in, judgements out, whatever does the judging.

Search, rewards, evaluation and the service know this and nothing of how a step is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict, Unpack

from genprm.records import Aggregate, Judgement


class ScoreOptions(TypedDict, total=False):
    """What a request may set; an option that is left out or None takes the scorer's own setting.

    A new option goes here, into the HTTP request (`cluster.serving.schema`), into the config
    (`genprm.config.score`) and into the `Task` of `genprm.scoring.judging`; whatever passes
    requests on takes its list of options from here.
    """

    votes: int | None
    aggregate: Aggregate | None
    return_critiques: bool | None
    stop_at_first_error: bool | None
    early_stop: bool | None
    seed: int | None
    deadline_s: float | None


OPTIONS = tuple(ScoreOptions.__annotations__)
# Options that a config sets, too (`ScoreConfig` has an attribute of that name).
SETTINGS = tuple(name for name in OPTIONS if name != "seed")


@dataclass(frozen=True, slots=True, init=False)
class ScoreItem:
    """One solution to judge, with the options of its request.

    `ScoreItem(problem, steps, id="a", votes=4)`: options are keyword arguments. Without `id` the
    id is a hash of the content.
    """

    problem: str
    steps: Sequence[str]
    id: str | None
    options: ScoreOptions

    def __init__(
        self,
        problem: str,
        steps: Sequence[str],
        id: str | None = None,
        **options: Unpack[ScoreOptions],
    ):
        if unknown := options.keys() - set(OPTIONS):
            raise TypeError(f"no such option of a request: {', '.join(sorted(unknown))}")
        for name, value in zip(self.__slots__, (problem, steps, id, options), strict=True):
            object.__setattr__(self, name, value)  # as a frozen dataclass does it


class StepScorer(Protocol):
    """What search, rewards, evaluation and the service know of any step scorer."""

    async def score(
        self,
        problem: str,
        steps: Sequence[str],
        *,
        id: str | None = None,
        **options: Unpack[ScoreOptions],
    ) -> Judgement:
        """Judge one solution: one result per step, in order. Steps that are not judged within
        `deadline_s` seconds have status `deadline`.

        Raises InputError for input that cannot be a solution, and EngineError if the engine is
        dead; whatever else goes wrong with a step is that step's status.
        """
        ...

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        """Judge many, in the order of `items`; if one of them is not a solution, none is judged."""
        ...
