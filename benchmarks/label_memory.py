"""Peak memory of `genprm label` against the number of rows: it should not grow with them.

    python benchmarks/label_memory.py --out DIR [--rows 1000 10000]

The engine is scripted, so that the memory is the pipeline's. Peak is the largest sum of the
proportional set sizes (shared pages counted once) of the job and of all processes that it started,
object store included, sampled twice a second. Writes DIR/result.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from genprm.data.rows import write_jsonl
from genprm.generation import Prompt, Sampling
from genprm.report.terminal import print_table

MIB = 2**20


def rollout(prompt: Prompt, sampling: Sampling, index: int) -> str:
    """A scripted policy whose texts are as long as real ones."""
    return "I think about it.\n" * 10 + f"So the answer is {7 + index % 2}"


def main() -> None:
    """Label few rows, then many, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs=2, default=[1_000, 10_000])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    peaks, seconds = {}, {}
    for n in args.rows:
        begun = time.monotonic()
        peaks[n] = _peak_of(_command(args.out, n)) / MIB
        seconds[n] = time.monotonic() - begun
    few, many = args.rows
    result = {
        "peak MiB": peaks,
        "growth": peaks[many] / peaks[few] - 1,
        "seconds": seconds,
    }
    (args.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    rows = [{"rows": n, "peak MiB": peaks[n], "seconds": seconds[n]} for n in args.rows]
    print_table(rows)
    print(f"growth: {100 * result['growth']:.1f} %")


def _command(folder: Path, n: int) -> list[str]:
    source, out = folder / f"{n}.jsonl", folder / f"{n}.labels.jsonl"
    steps = [f"Step {number} takes some words to say." for number in range(1, 6)]
    columns = {"problem": "Count to seven", "answer": "7", "steps": [*steps, "So the answer is 8"]}
    write_jsonl(source, ({"id": f"s{i}", **columns} for i in range(n)))
    settings = ["engine.kind=scripted", "engine.extra.script=label_memory:rollout"]
    settings += ["models.policy=scripted", "label.rollouts=4"]
    options = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "cluster.cli", "label", *options]
    return [*command, "--solutions", str(source), "--out", str(out)]


def _peak_of(command: list[str]) -> int:
    here = str(Path(__file__).resolve().parent)
    paths = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    job = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})
    peak = 0
    while job.poll() is None:
        peak = max(peak, _in_use(job.pid))
        time.sleep(0.5)
    if job.returncode:
        sys.exit(f"the job ended with status {job.returncode}")
    return peak


def _in_use(pid: int) -> int:
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_full_info().pss
    return total


if __name__ == "__main__":
    main()
