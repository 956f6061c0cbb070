"""One number per solution, with figures to log: what most trainers take of a judgement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from genprm.integrations.judge import connect, judge
from genprm.records import Judgement
from genprm.rewards.credit import check_reward, describe, solution_reward
from genprm.rewards.precision import check_precision, with_precision
from genprm.scoring.base import ScoreOptions, StepScorer


class RewardSettings(ScoreOptions, total=False):
    """What the shims for single numbers take, with the options of `StepScorer.score`."""

    reward: str  # see `genprm.rewards.credit.solution_reward`; default solution_score
    precision: str  # see `genprm.rewards.precision`; default rounded
    unscored: float  # the number where there is no score; default 0: nothing is gained by it
    splitter: str  # how solutions are cut into steps, as the critic's training data; default lines


class SolutionRewards:
    """The rewards of solutions by one critic.

    Args:
        scorer: who judges, or the address of a service.

    Raises:
        InputError: there is no such reward or precision.
        ConfigError: the address is not one of a service.
    """

    def __init__(self, scorer: StepScorer | str, **settings: Unpack[RewardSettings]):
        self._scorer = connect(scorer)
        self._reward = settings.pop("reward", "solution_score")
        self._precision = settings.pop("precision", "rounded")
        self.unscored = settings.pop("unscored", 0.0)
        self._splitter = settings.pop("splitter", "lines")
        self._options: ScoreOptions = settings
        check_reward(self._reward)
        check_precision(self._precision)

    async def figures(
        self, problems: Sequence[str], solutions: Sequence[str]
    ) -> list[dict[str, float]]:
        """The `reward_figures` of each solution; raises what `judge` does."""
        return self.figures_of(
            await judge(self._scorer, problems, solutions, self._splitter, self._options)
        )

    def figures_of(self, judgements: Sequence[Judgement | None]) -> list[dict[str, float]]:
        """The `reward_figures` of each judgement."""
        return [
            reward_figures(judgement, self._reward, self.unscored, self._precision)
            for judgement in judgements
        ]


def reward_figures(
    judgement: Judgement | None, reward: str, unscored: float, precision: str
) -> dict[str, float]:
    """`score`, the reward; `scored`, 0 where that is `unscored` and else 1; and the figures of
    `genprm.rewards.credit.describe`, which are of the scores as they came.

    Args:
        judgement: None where the solution could not be judged.
        reward: see `genprm.rewards.credit.solution_reward`.
        unscored: the score of a solution without one.
        precision: see `genprm.rewards.precision`.
    """
    value = solution_reward(with_precision(judgement, precision), reward)
    score = unscored if value is None else value
    return {"score": score, "scored": float(value is not None), **describe(judgement)}
