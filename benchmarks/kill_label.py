"""`genprm label` killed again and again: is a row lost, doubled or changed, and what is done twice?

    python benchmarks/kill_label.py --out DIR [--kills 20] [--engine scripted|vllm]

Labels solutions undisturbed, and again with `kill -9` of all processes of the job at random
moments, until all kills are spent. Then the ids must be those of the undisturbed run, each once,
and with the scripted engine the rows must be equal except for their times. Work done twice is
counted in scripted rollouts. Writes DIR/result.json; exit status 1 if a row is lost or changed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from genprm import tasks
from genprm.data.rows import read_rows, write_jsonl
from genprm.generation import Prompt, Sampling
from genprm.records import Solution
from genprm.report.terminal import print_table

SECONDS_PER_ROLLOUT = 0.05
SCRIPTED_ANSWER = 7  # to every problem
COUNT_FILE = "GENPRM_KILL_COUNT"  # environment: gets a character per scripted rollout


def rollout(prompt: Prompt, sampling: Sampling, index: int) -> str:
    """A scripted policy: right or wrong by a hash of the prompt."""
    time.sleep(SECONDS_PER_ROLLOUT)
    with open(os.environ[COUNT_FILE], "a") as file:
        file.write(".")
    seed = f"{prompt.messages[-1]['content']}|{prompt.prefill}|{sampling.seed}|{index}"
    return f"So the answer is {random.Random(seed).choice((SCRIPTED_ANSWER, 8))}"


def main() -> None:
    """Run undisturbed, run with kills, compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--n", type=int, default=200, help="solutions")
    parser.add_argument("--engine", choices=("scripted", "vllm"), default="scripted")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    source = args.out / "solutions.jsonl"
    write_jsonl(source, _solutions(args.n, args.engine))
    begun = time.monotonic()
    calm, calm_count = args.out / "calm.jsonl", args.out / "calm.count"
    _finish(_command(args.engine, source, calm), calm_count)
    longest = time.monotonic() - begun
    rng, left, finished = random.Random(args.seed), args.kills, list[Path]()
    killed_count = args.out / "killed.count"
    while left or not finished:  # one output after the other, until all kills are spent
        out = args.out / f"killed-{len(finished)}.jsonl"
        command = _command(args.engine, source, out)
        while left and _kill_after(rng.uniform(0, longest), command, killed_count):
            left -= 1
            print(f"killed, {left} to go", flush=True)
        _finish(command, killed_count)
        finished.append(out)
    result = _compare(list(read_rows(calm)), finished) | {
        "engine": args.engine,
        "kills": args.kills,
        "undisturbed seconds": longest,
    }
    if args.engine == "scripted":
        needed = calm_count.stat().st_size * len(finished)
        result["repeated work"] = killed_count.stat().st_size / needed - 1
    (args.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print_table([result])
    if result["outputs with other ids"] or (args.engine == "scripted" and result["other rows"]):
        sys.exit(1)


def _compare(expected: list[dict[str, Any]], finished: list[Path]) -> dict[str, Any]:
    other_ids = other_rows = 0
    for out in finished:
        rows = list(read_rows(out))
        other_ids += [row["id"] for row in rows] != [row["id"] for row in expected]
        pairs = zip(expected, rows, strict=False)
        other_rows += sum(_timeless(a) != _timeless(b) for a, b in pairs)
    return {
        "rows": len(expected),
        "outputs": len(finished),
        "outputs with other ids": other_ids,
        "other rows": other_rows,
    }


def _solutions(n: int, engine: str) -> list[dict[str, Any]]:
    """Written solutions with slips, without any engine."""
    rng, rows = random.Random(0), []
    task = tasks.get("arithmetic")
    for number in range(n):
        problem, steps = task.solution(rng, 0.2)
        columns: dict[str, Any] = {"id": f"s{number}", "steps": steps}
        if engine == "scripted":
            columns["answer"] = str(SCRIPTED_ANSWER)
        rows.append(Solution.model_validate(problem.row() | columns).row())
    return rows


def _command(engine: str, source: Path, out: Path) -> list[str]:
    settings = ["label.rollouts=4", "runtime.rows_per_block=4", "runtime.num_cpus=2"]
    if engine == "scripted":
        settings += ["engine.kind=scripted", "engine.extra.script=kill_label:rollout"]
        settings += ["models.policy=scripted"]
    options = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "cluster.cli", "label", *options]
    return [*command, "--solutions", str(source), "--out", str(out)]


def _start(command: list[str], count: Path) -> subprocess.Popen[bytes]:
    """Start the job in a session of its own, so that a kill ends all of its processes."""
    here = str(Path(__file__).resolve().parent)
    paths = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths, COUNT_FILE: str(count.absolute())}
    log = count.with_suffix(".log").open("ab")
    return subprocess.Popen(
        command, env=environment, stdout=log, stderr=log, start_new_session=True
    )


def _finish(command: list[str], count: Path) -> None:
    if status := _start(command, count).wait():
        sys.exit(f"exit status {status}: see {count.with_suffix('.log')}")


def _kill_after(seconds: float, command: list[str], count: Path) -> bool:
    """Kill the job with all of its processes at once; False if it had ended before."""
    job = _start(command, count)
    try:
        if status := job.wait(seconds):
            sys.exit(f"exit status {status}: see {count.with_suffix('.log')}")
        return False
    except subprocess.TimeoutExpired:
        everyone = psutil.Process(job.pid).children(recursive=True)
        job.kill()
        for each in everyone:
            if each.is_running():
                each.kill()
        job.wait()
        return True


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    """A row without its times."""
    return {**row, "cost": {k: v for k, v in row["cost"].items() if k != "seconds"}}


if __name__ == "__main__":
    main()
