"""Tokens per second of `genprm label` against raw `LLM.generate` on the same prompts and sampling.

    python benchmarks/label_throughput.py --out DIR [--n 100] [--rounds 3]

Flat rollouts from every prefix of written solutions. The raw sides hand vLLM all prompts at once,
split nothing and verify nothing: one engine on all cores, and as many engines as the pipeline has,
each with its share of the cores and of the prompts. The sides alternate, each run in processes of
its own; a ratio is that of the medians. Seconds are those in which rows were worked on; the time
before and after is reported separately. Writes DIR/result.json after each round; started again, it
continues there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from genprm import tasks
from genprm.config.load import load_config
from genprm.config.root import Config
from genprm.data.rows import read_rows, write_jsonl
from genprm.generation import Sampling
from genprm.models.names import resolve_model
from genprm.prompts.render import solve_prompt
from genprm.records import Solution
from genprm.report.terminal import print_table
from raw_vllm import Job, Speed, generate

SETTINGS = ["label.estimator=flat_hard", "label.rollouts=8"]
PIPELINE, ONE, SEVERAL = "genprm label", "LLM.generate", "LLM.generate, several"


def main() -> None:
    """Alternate the sides and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n", type=int, default=100, help="solutions of each task")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--config", default="quickstart")
    args = parser.parse_args()
    config = load_config(args.config, SETTINGS)
    args.out.mkdir(parents=True, exist_ok=True)
    result = args.out / "result.json"
    settings = {"n": args.n, "config": args.config, "label": SETTINGS, "cores": os.cpu_count()}
    runs: dict[str, list[Speed]] = {PIPELINE: [], ONE: [], SEVERAL: []}
    if result.exists():
        earlier = json.loads(result.read_text())
        if earlier["settings"] != settings:
            parser.error(f"{result} is of other settings: {earlier['settings']}")
        runs = {name: [Speed(**run) for run in done] for name, done in earlier["runs"].items()}
    source = args.out / "solutions.jsonl"
    write_jsonl(source, _solutions(args.n))
    single = [_job(config, source, 0, 1)]
    engines = config.runtime.engine_replicas
    shares = [_job(config, source, number, engines) for number in range(engines)]
    for number in range(len(runs[SEVERAL]), args.rounds):
        runs[PIPELINE].append(_label(args.config, source, args.out / f"{number}.jsonl"))
        runs[ONE].append(generate(single, args.out))
        runs[SEVERAL].append(generate(shares, args.out))
        print({name: done[-1] for name, done in runs.items()}, flush=True)
        result.write_text(json.dumps(_build_result(settings, runs), indent=2) + "\n")
    rates = _rates(runs)
    rows = [
        {
            "side": name,
            "tokens/s": rates[name],
            "pipeline of it": rates[PIPELINE] / rates[name],
            "beside, s": statistics.median(run.start for run in runs[name]),
        }
        for name in runs
    ]
    print_table(rows)


def _rates(runs: dict[str, list[Speed]]) -> dict[str, float]:
    return {
        name: statistics.median(run.tokens / run.seconds for run in done)
        for name, done in runs.items()
    }


def _build_result(settings: dict[str, Any], runs: dict[str, list[Speed]]) -> dict[str, Any]:
    rates = _rates(runs)
    return {
        "ratio": {name: rates[PIPELINE] / rates[name] for name in (ONE, SEVERAL)},
        "tokens_per_second": rates,
        "settings": settings,
        "runs": {name: [run.model_dump() for run in done] for name, done in runs.items()},
    }


def _solutions(n: int) -> list[dict[str, Any]]:
    """Written solutions with slips, and their problems' answers."""
    rng, rows = random.Random(0), []
    for name in tasks.TASKS:
        for number in range(n):
            problem, steps = tasks.get(name).solution(rng, 0.2)
            columns = {"id": f"{name}-{number}", "steps": steps}
            rows.append(Solution.model_validate(problem.row() | columns).row())
    rng.shuffle(rows)  # shares of equal weight
    return rows


def _label(config: str, source: Path, out: Path) -> Speed:
    options = [part for setting in SETTINGS for part in ("--set", setting)]
    command = [sys.executable, "-m", "cluster.cli", "label", "--config", config, *options]
    begun = time.monotonic()
    subprocess.run([*command, "--solutions", str(source), "--out", str(out)], check=True)
    elapsed = time.monotonic() - begun
    report = json.loads(Path(f"{out}.meta.json").read_text())["report"]
    seconds = report["seconds"]
    return Speed(tokens=report["completion_tokens"], seconds=seconds, start=elapsed - seconds)


def _job(config: Config, source: Path, number: int, of: int) -> Job:
    """One share of the prefixes that flat rollouts start from; a finished solution is not one."""
    from transformers import AutoTokenizer

    model, label = resolve_model(config.models.policy), config.label
    pack, tokenizer = config.prompt_pack(), AutoTokenizer.from_pretrained(model)
    rows = list(read_rows(source))[number::of]
    return Job(
        model=str(model),
        engine=config.engine,
        sampling=Sampling(
            n=label.rollouts,
            temperature=label.temperature,
            top_p=label.top_p,
            max_tokens=label.max_tokens,
        ),
        prompts=[
            list(solve_prompt(pack, tokenizer, row["problem"], row["steps"][:prefix]).token_ids)
            for row in rows
            for prefix in range(1, len(row["steps"]))
        ],
    )


if __name__ == "__main__":
    main()
