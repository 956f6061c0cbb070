"""A critic inside a larger Ray program: an actor that holds its handle and ranks solutions.

    ray start --head && genprm serve --address auto        # in one place
    python -m cluster.examples.pipeline auto               # in another

A search or an RL trainer is such an actor. Without a service, a critic in an actor of one's own has
the same methods: `ScorerActor.options(**engine_options(config, 1)).remote(config)`.
"""

from __future__ import annotations

import asyncio
import random
import sys
from typing import Any

import ray

import cluster
from genprm import tasks
from genprm.records import BestOfN
from genprm.scoring.base import StepScorer


@ray.remote(num_cpus=0)
class Ranker:
    """Writes solutions (a policy would) and keeps the best of each problem's."""

    def __init__(self, critic: Any):
        self.critic = critic  # a handle pickles: any actor of the cluster may hold it

    async def best(self, seed: int) -> BestOfN:
        """The best of some solutions to one problem, which the critic judges in one call."""
        problem, candidates = _candidates(seed)
        best: BestOfN = await self.critic.best_of_n(problem, candidates, votes=2)
        return best


async def rewards(critic: StepScorer, problem: str, steps: list[str]) -> list[float | None]:
    """What an RL trainer would take: a score per step, None where there is none."""
    judgement = await critic.score(problem, steps, stop_at_first_error=True)
    return [step.score for step in judgement.steps]


def main(address: str) -> None:
    """Rank on the cluster at `address`, which has a service."""
    ray.init(address=address, ignore_reinit_error=True)
    critic = cluster.connect("genprm")
    rankers = [Ranker.remote(critic) for _ in range(2)]  # type: ignore[attr-defined]  # Ray adds `remote`
    choices = ray.get([ranker.best.remote(seed) for seed, ranker in enumerate(rankers)])
    for choice in choices:
        scores = [judgement.solution_score for judgement in choice.judgements]
        print(f"best: candidate {choice.best} of scores {scores}")
    problem, [steps, *_] = _candidates(0)
    print("step rewards:", asyncio.run(rewards(critic, problem, steps)))


def _candidates(seed: int) -> tuple[str, list[list[str]]]:
    """A problem and solutions with more and more slips: the seed fixes the problem."""
    solutions = [
        tasks.get("arithmetic").solution(random.Random(seed), slip_rate)
        for slip_rate in (0.6, 0.3, 0.1, 0.0)
    ]
    return solutions[0][0].problem, [steps for _, steps in solutions]


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "auto")
