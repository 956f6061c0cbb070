"""Tokens per second of the scoring service against raw `LLM.generate` on the same prompts.

    python benchmarks/score_throughput.py --out DIR [--n 60] [--rounds 3]

Written solutions, all steps, the config's votes, none stopped early. Raw: all prompts at once in
one engine on all cores, nothing parsed, no verdict read; and, with its cache emptied, the first few
prompts one critique at a time, as the loops of research code do. The service, one replica on all
cores, gets the same solutions by one `score_batch` through a handle. It gets them once more by 16
HTTP clients, each of which sends the next solution when it has its answer; there the problems end
otherwise, so that no step is cached. Then come 64 candidate solutions of one problem, in one call
and in 64 calls one after another. A scorer in this process, without Ray, judges the solutions too,
by probabilities as the service does and by written verdicts. Every round starts each engine anew,
and it judges one other solution before it is timed. The tokens are those of critiques, written
labels among them; the one-token requests that read verdicts are not counted. Writes DIR/result.json
after each round; started again, it continues there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster import runtime, service
from cluster.actors import connect
from critique_job import SLIP_RATE, critique_job, critique_tokens, ending, written_solutions
from genprm import tasks
from genprm.client.http import AsyncClient
from genprm.config.load import load_config
from genprm.config.root import Config
from genprm.engines import build_engine
from genprm.models.names import resolve_critic
from genprm.records import Judgement
from genprm.report.tables import TableRow
from genprm.report.terminal import print_table
from genprm.scoring.base import ScoreItem
from genprm.scoring.critic import load_critic
from genprm.tasks.arithmetic.expressions import parse
from genprm.tasks.arithmetic.solutions import write_solution
from genprm.util.stats import Estimate
from raw_vllm import generate

CLIENTS = 16
CANDIDATES = 64
SLOW_PROMPTS = 6
SIDES = (
    "raw",
    "raw, one by one",
    "score_batch, handle",
    "HTTP, 16 clients",
    "scorer without Ray",
    "scorer without Ray, written verdicts",
)


def main() -> None:
    """Alternate the sides and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n", type=int, default=60, help="solutions of each task")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--config", default="tiny")
    args = parser.parse_args()
    changes = ["serve.port=0", "serve.max_queued_requests=-1", "score.early_stopping.enabled=false"]
    config = load_config(args.config, changes).with_pack_sampling()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "result.json"
    settings = {"n": args.n, "config": args.config, "cores": os.cpu_count()}
    runs: list[dict[str, Any]] = []
    if file.exists():
        earlier = json.loads(file.read_text())
        if earlier["settings"] != settings:
            parser.error(f"{file} is of other settings: {earlier['settings']}")
        runs = earlier["runs"]
    items = written_solutions(args.n)
    model = str(resolve_critic(config.models.critic).model)
    job = critique_job(config, model, items, SLOW_PROMPTS)
    job.warm_up = critique_job(config, model, [_warm_up()]).prompts
    for number in range(len(runs), args.rounds):
        raw = generate([job], args.out)
        run = {"raw": raw.tokens / raw.seconds, "raw, one by one": raw.one_by_one}
        run |= _service(config, items, number)
        run |= asyncio.run(_in_process(config, items))
        runs.append(run)
        print(run, flush=True)
        medians = {name: statistics.median(run[name] for run in runs) for name in run}
        result = {"settings": settings, "medians": medians, "runs": runs}
        file.write_text(json.dumps(result, indent=2) + "\n")
    medians = json.loads(file.read_text())["medians"]
    rows: list[TableRow] = [
        {
            "side": name,
            "tokens/s": medians[name],
            "of raw": Estimate(medians[name] / medians["raw"]),
        }
        for name in SIDES
    ]
    print_table(rows)
    print({name: value for name, value in medians.items() if name not in SIDES})


def _warm_up() -> ScoreItem:
    """The first solution of each side, not timed because a first request starts things up."""
    problem, steps = tasks.get("arithmetic").solution(random.Random(1), SLIP_RATE)
    return ScoreItem(problem.problem, steps)


def _candidates(number: int, end: str) -> list[ScoreItem]:
    """Different solutions of one problem, as in a search."""
    problem = tasks.get("arithmetic").generate(1, seed=number)[0].problem
    rng = random.Random(number)
    return [
        ScoreItem(problem + end, write_solution(parse(problem), rng, SLIP_RATE))
        for _ in range(CANDIDATES)
    ]


def _service(config: Config, items: Sequence[ScoreItem], number: int) -> dict[str, float]:
    begun = time.monotonic()
    url = service.run(config, blocking=False, tokens=False)
    try:
        start = time.monotonic() - begun
        return {"service start, s": start} | asyncio.run(_measure_service(url, items, number))
    finally:
        service.stop()
        runtime.stop()


async def _measure_service(url: str, items: Sequence[ScoreItem], number: int) -> dict[str, float]:
    handle, first = connect(), _warm_up()
    await handle.score(first.problem, first.steps)
    begun = time.monotonic()
    judged = await handle.score_batch(items)
    figures = {"score_batch, handle": critique_tokens(judged) / (time.monotonic() - begun)}

    async with AsyncClient(url, deadline_s=600, attempt_s=600) as client:
        await client.score(first.problem, first.steps)
        waiting = iter(ending(items, "\n"))

        async def one_client() -> list[Judgement]:
            return [await client.score(item.problem, item.steps) for item in waiting]

        begun = time.monotonic()
        answers = await asyncio.gather(*(one_client() for _ in range(CLIENTS)))
        judged = [judgement for answer in answers for judgement in answer]
        figures["HTTP, 16 clients"] = critique_tokens(judged) / (time.monotonic() - begun)

        # the same solutions, of a problem that ends otherwise: the second side finds the
        # beginning of the first side's prompts in the cache and nothing of any step
        for name, end in (("one call", ""), ("64 calls", "\n")):
            candidates = _candidates(number, end)
            begun = time.monotonic()
            if name == "one call":
                judged = await handle.score_batch(candidates)
            else:
                judged = [await handle.score(item.problem, item.steps) for item in candidates]
            seconds = time.monotonic() - begun
            usage = [judgement.usage for judgement in judged]
            figures[f"64 candidates, {name}, s"] = seconds
            for kind in ("completion", "prompt", "cached"):
                figures[f"64 candidates, {name}, {kind} tokens"] = sum(
                    each[f"{kind}_tokens"] for each in usage
                )
    return figures


async def _in_process(config: Config, items: Sequence[ScoreItem]) -> dict[str, float]:
    figures, first, source = {}, _warm_up(), load_critic(config).source
    engine = await build_engine(config.engine, source.model, source.adapter_rank)
    try:
        for name, probabilities, end in ((SIDES[-2], True, ""), (SIDES[-1], False, "\n")):
            score = config.score.model_copy(update={"use_label_probs": probabilities})
            critic = load_critic(config.model_copy(update={"score": score}))
            scorer = await critic.scorer(engine)
            await scorer.score(first.problem, first.steps)
            batch = ending(items, end)
            begun = time.monotonic()
            judged = await scorer.score_batch(batch)
            figures[name] = critique_tokens(judged) / (time.monotonic() - begun)
    finally:
        await engine.close()
    return figures


if __name__ == "__main__":
    main()
