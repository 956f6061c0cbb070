"""Tokens per second of `genprm label` against raw `LLM.generate` on the same prompts and sampling.

    python benchmarks/label_throughput.py --out DIR [--n 60] [--rounds 3]

Flat rollouts from every prefix of written solutions, by one engine. The raw side hands all prompts
to vLLM at once, with vLLM's own choices for CPUs, splits nothing and verifies nothing. The sides
alternate, each run in processes of its own; the ratio is that of the medians. Seconds are those in
which rows were worked on; what passes before stands beside them. Writes DIR/result.json.
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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genprm import tasks
from genprm.config import Config, load_config, resolve_model
from genprm.evaluation.tables import format_table
from genprm.prompts import load_pack, solve_prompt
from genprm.records import Solution
from genprm.rows import read_rows, write_jsonl

SETTINGS = ["label.estimator=flat_hard", "label.rollouts=8", "runtime.engine_replicas=1"]


def main() -> None:
    """Alternate the sides and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n", type=int, default=60, help="solutions of each task")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--config", default="quickstart")
    parser.add_argument("--raw", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    config = load_config(args.config, SETTINGS)
    source = args.out / "solutions.jsonl"
    if args.raw:
        print(json.dumps(_raw(config, source)))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    write_jsonl(source, _solutions(args.n))
    runs: dict[str, list[dict[str, float]]] = {"genprm label": [], "LLM.generate": []}
    for number in range(args.rounds):
        runs["genprm label"].append(_label(args.config, source, args.out / f"{number}.jsonl"))
        runs["LLM.generate"].append(_in_a_process(args))
        print({name: done[-1] for name, done in runs.items()}, flush=True)
    rates = {
        name: statistics.median(run["tokens"] / run["seconds"] for run in done)
        for name, done in runs.items()
    }
    ours, raw = rates.values()
    result = {"ratio": ours / raw, "tokens_per_second": rates, "runs": runs}
    (args.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    rows = [
        {
            "side": name,
            "tokens/s": rates[name],
            "start, s": statistics.median(run["start"] for run in runs[name]),
        }
        for name in runs
    ]
    print(f"{format_table(rows)}\nratio: {ours / raw:.3f}")


def _solutions(n: int) -> list[dict[str, Any]]:
    """Written solutions with slips, each problem's answer beside them."""
    rng, rows = random.Random(0), []
    for name in tasks.TASKS:
        for number in range(n):
            problem, steps = tasks.get(name).solution(rng, 0.2)
            columns = {"id": f"{name}-{number}", "steps": steps}
            rows.append(Solution.model_validate(problem.row() | columns).row())
    return rows


def _label(config: str, source: Path, out: Path) -> dict[str, float]:
    chosen = [part for setting in SETTINGS for part in ("--set", setting)]
    command = [sys.executable, "-m", "cluster.cli", "label", "--config", config, *chosen]
    begun = time.monotonic()
    subprocess.run([*command, "--solutions", str(source), "--out", str(out)], check=True)
    whole = time.monotonic() - begun
    report = json.loads(Path(f"{out}.meta.json").read_text())["report"]
    seconds = report["seconds"]
    return {"tokens": report["completion_tokens"], "seconds": seconds, "start": whole - seconds}


def _in_a_process(args: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--raw", "--out", str(args.out), "--config", args.config]
    begun = time.monotonic()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {**told, "start": time.monotonic() - begun - told["seconds"]}


def _raw(config: Config, source: Path) -> dict[str, float]:
    """All rollouts in one call of vLLM's own batch engine."""
    from genprm.engines.vllm import ENVIRONMENT, cpu_computes_bf16, engine_arguments

    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from transformers import AutoTokenizer
    from vllm import LLM, SamplingParams, TokensPrompt

    model, engine = resolve_model(config.models.policy), config.engine
    if engine.dtype == "auto" and not cpu_computes_bf16():
        engine = engine.model_copy(update={"dtype": "float32"})
    tokenizer = AutoTokenizer.from_pretrained(model)
    prompts = _prompts(config, tokenizer, list(read_rows(source)))
    llm = LLM(**engine_arguments(engine, model, None, on_cpu=True))
    room = min(engine.max_model_len or 10**6, 10**6)
    sampling = [
        SamplingParams(
            n=config.label.rollouts,
            temperature=config.label.temperature,
            top_p=config.label.top_p,
            max_tokens=min(config.label.max_tokens, room - len(ids)),
        )
        for ids in prompts
    ]
    begun = time.monotonic()
    outputs = llm.generate(
        [TokensPrompt(prompt_token_ids=ids) for ids in prompts], sampling, use_tqdm=False
    )
    seconds = time.monotonic() - begun
    tokens = sum(len(one.token_ids) for output in outputs for one in output.outputs)
    return {"tokens": tokens, "seconds": seconds}


def _prompts(config: Config, tokenizer: Any, rows: Sequence[dict[str, Any]]) -> list[list[int]]:
    """Every prefix that flat rollouts start from: all but that of a finished solution."""
    pack = load_pack(config.pack)
    return [
        list(solve_prompt(pack, tokenizer, row["problem"], row["steps"][:prefix]).token_ids)
        for row in rows
        for prefix in range(1, len(row["steps"]))
    ]


if __name__ == "__main__":
    main()
