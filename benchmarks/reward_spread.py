"""How far the reward of one and the same response moves, from call to call.

    python benchmarks/reward_spread.py --out FILE [--solutions 24] [--calls 10] [--set ...]

Judges solutions of the built-in tasks, half of them wrong, several times each over one engine in
this process, without Ray: without a seed, as `/v1/score` does, and `remembered`, as `/get_reward`
and the shims do; each with the precisions of `genprm.rewards.precision`. The spread of a response
is its highest less its lowest reward. A group is four responses, all right or all wrong, in one
call. It is blown up where its standard deviation, by which trainers divide, is below 0.001 and not
0. What has no score is left out of both, and counted as unscored. The table is in percent (a spread
of 1 is 100). Writes FILE (JSON).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from cluster.serving.host import CriticHost
from genprm import tasks
from genprm.config.load import load_config
from genprm.config.root import Config
from genprm.report.terminal import print_table
from genprm.rewards.credit import solution_reward
from genprm.rewards.memory import JudgementMemory
from genprm.rewards.precision import PRECISIONS, with_precision
from genprm.scoring.base import ScoreItem
from genprm.util.stats import Estimate, mean_interval, proportion

SLIP_RATE = 0.2
GROUP = 4  # responses, all right or all wrong
SMALL = 1e-3  # a standard deviation that no vote made
Rewards = list[list[float | None]]  # of each response, in each call; None is unscored


def main() -> None:
    """Judge, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--solutions", type=int, default=24)
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--config", default="tiny")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    config = load_config(args.config, args.set)
    solutions = _solutions(args.solutions)
    rewards = asyncio.run(_judge(config, solutions, args.calls))
    wrong = [is_wrong for _, is_wrong in solutions]
    figures = {name: _figures(each, wrong) for name, each in rewards.items()}
    settings = {"config": args.config, "set": args.set, "votes": config.score.votes}
    sizes = {"solutions": len(solutions), "wrong": sum(wrong), "calls": args.calls}
    report = {
        "settings": settings,
        **sizes,
        "figures": {
            name: {key: asdict(estimate) for key, estimate in each.items()}
            for name, each in figures.items()
        },
        "rewards": rewards,
    }
    args.out.write_text(json.dumps(report) + "\n")
    print_table([{"rewards": name, **_texts(each)} for name, each in figures.items()])


def _texts(figures: dict[str, Estimate]) -> dict[str, str]:
    return {name: estimate.text() for name, estimate in figures.items()}


def _solutions(number: int) -> list[tuple[ScoreItem, bool]]:
    """As many right as wrong solutions, of the built-in tasks in turn; the flag says wrong."""
    rng, names = random.Random(16), sorted(tasks.TASKS)
    solutions: dict[bool, list[ScoreItem]] = {True: [], False: []}
    for turn in itertools.count():
        task = tasks.get(names[turn % len(names)])
        problem, steps = task.solution(rng, SLIP_RATE)
        is_wrong = task.first_error(problem.problem, steps) >= 0
        solutions[is_wrong].append(ScoreItem(problem.problem, steps))
        if min(map(len, solutions.values())) >= number // 2:
            break
    return [(item, flag) for flag in (False, True) for item in solutions[flag][: number // 2]]


async def _judge(
    config: Config, solutions: Sequence[tuple[ScoreItem, bool]], calls: int
) -> dict[str, Rewards]:
    """The rewards of each response, call by call; a call judges all of them at once."""
    items = [item for item, _ in solutions]
    host, memory = await CriticHost.start(config), JudgementMemory()
    try:
        anew = [await host.score_batch(items) for _ in range(calls)]
        remembered = [await memory.judge(host.score_batch, items) for _ in range(calls)]
    finally:
        await host.engine.close()
    return {
        f"{how}{precision}": [
            [solution_reward(with_precision(each, precision)) for each in of_one]
            for of_one in zip(*rounds, strict=True)
        ]
        for how, rounds in (("", anew), ("remembered, ", remembered))
        for precision in PRECISIONS
    }


def _figures(rewards: Rewards, wrong: Sequence[bool]) -> dict[str, Estimate]:
    """Shares of the responses, their mean spread, and the shares of the groups and of the rewards.
    A response that was scored once has no spread, and a group of one reward no deviation."""
    of_texts = [_scored(each) for each in rewards]
    spreads = [max(each) - min(each) for each in of_texts if len(each) > 1]
    groups = []
    for flag in (False, True):
        of_kind = [each for each, is_wrong in zip(rewards, wrong, strict=True) if is_wrong == flag]
        starts = range(0, len(of_kind) - GROUP + 1, GROUP)
        for call in range(len(rewards[0])):
            groups += [_scored([each[call] for each in of_kind[s : s + GROUP]]) for s in starts]
    deviations = [statistics.pstdev(group) for group in groups if len(group) > 1]
    return {
        "moved": proportion([spread > 0 for spread in spreads]),
        "moved by 0.05": proportion([spread > 0.05 for spread in spreads]),
        "spread": mean_interval(spreads),
        "blown up": proportion([0 < deviation < SMALL for deviation in deviations]),
        "unscored": proportion([reward is None for each in rewards for reward in each]),
    }


def _scored(rewards: Sequence[float | None]) -> list[float]:
    return [reward for reward in rewards if reward is not None]


if __name__ == "__main__":
    main()
