"""What early stopping saves in time: the same solutions with all votes and with fewer.

    python benchmarks/early_stop_time.py --out FILE [--n 25] [--rounds 3]

Written solutions, all steps, a scorer over one engine without Ray. The settings take turns, in
another order each round, each time with another end of the problems, so that no step is cached.
Reports seconds and tokens of critiques as shares of those with all votes in the same round. Writes
FILE (JSON).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

from critique_job import ending, written_solutions
from genprm.config.load import load_config
from genprm.config.score import EarlyStoppingConfig
from genprm.engines import build_engine
from genprm.report.tables import TableRow
from genprm.report.terminal import print_table
from genprm.scoring.critic import load_critic
from genprm.util.stats import Estimate

SETTINGS = {
    "all votes": EarlyStoppingConfig(enabled=False),
    "risk 0": EarlyStoppingConfig(enabled=True, risk=0.0),
    "risk 0.08": EarlyStoppingConfig(enabled=True, risk=0.08),
}


def main() -> None:
    """Take turns and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n", type=int, default=25, help="solutions of each task")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--config", default="tiny")
    args = parser.parse_args()
    runs = asyncio.run(_measured(args.config, args.n, args.rounds))
    shares: list[dict[str, Any]] = [
        {
            "votes": name,
            "seconds of all votes'": [run[name][0] / run["all votes"][0] for run in runs],
            "tokens of all votes'": [run[name][1] / run["all votes"][1] for run in runs],
        }
        for name in SETTINGS
    ]
    settings = {"n": args.n, "config": args.config, "cores": os.cpu_count()}
    result = {"settings": settings, "seconds and tokens": runs, "shares": shares}
    args.out.write_text(json.dumps(result, indent=2) + "\n")
    rows: list[TableRow] = [
        {
            key: Estimate(statistics.median(value)) if isinstance(value, list) else value
            for key, value in share.items()
        }
        for share in shares
    ]
    print_table(rows)


async def _measured(name: str, n: int, rounds: int) -> list[dict[str, tuple[float, int]]]:
    config, items = load_config(name), written_solutions(n)
    source = load_critic(config).source
    engine = await build_engine(config.engine, source.model, source.adapter_rank)
    runs, turns = [], 0
    try:
        scorer = await load_critic(config).scorer(engine)
        await scorer.score(items[0].problem + "?", items[0].steps)  # whatever starts up with that
        for number in range(rounds):
            run = {}
            order = (
                list(SETTINGS)[number % len(SETTINGS) :] + list(SETTINGS)[: number % len(SETTINGS)]
            )
            for kind in order:
                score = config.score.model_copy(
                    update={"early_stopping": SETTINGS[kind], "return_critiques": True}
                )
                critic = load_critic(config.model_copy(update={"score": score}))
                scorer = await critic.scorer(engine)
                turns += 1
                batch = ending(items, turns * "\n")
                begun = time.monotonic()
                judged = await scorer.score_batch(batch)
                seconds = time.monotonic() - begun
                steps = [step for judgement in judged for step in judgement.steps]
                run[kind] = (seconds, sum(c.tokens for step in steps for c in step.critiques or ()))
            runs.append(run)
            print(run, flush=True)
    finally:
        await engine.close()
    return runs


if __name__ == "__main__":
    main()
