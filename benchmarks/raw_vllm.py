"""The yardstick of throughput: prompts through vLLM's own `LLM.generate`, in this process.

    python benchmarks/raw_vllm.py JOB    # JOB: a file that `Job` writes

Prints READY on a line of its own once the engine has started, waits for a line on stdin, generates,
and prints a JSON line with the tokens written and the seconds taken. Then it runs the first
`one_by_one` prompts once more, a completion at a time as simple loops do. The prompts of `warm_up`
come first and are not timed. Only benchmarks start this program. On GPUs the pipeline sends seeds,
and this program does not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from genprm.config.engine import EngineConfig
from genprm.engines.vllm_process import engine_arguments, import_vllm
from genprm.generation import Sampling

READY = "ready to generate"


class Job(BaseModel):
    """The work of one process; `prompts` are token ids, all with the same sampling."""

    model: str
    engine: EngineConfig
    sampling: Sampling
    prompts: list[list[int]]
    one_by_one: int = 0
    warm_up: list[list[int]] = []


class Speed(BaseModel):
    """The result of jobs that ran at the same time; `start` is their start-up in seconds."""

    tokens: int
    seconds: float
    start: float
    one_by_one: float | None = None  # tokens per second


def generate(jobs: Sequence[Job], folder: Path) -> Speed:
    """Run jobs at the same time, each in a process of its own. They share this machine's cores,
    bound to them as vLLM wants it: by itself it leaves one core of a CPU idle."""
    begun, processes = time.monotonic(), []
    cores = sorted(os.sched_getaffinity(0))
    for number, job in enumerate(jobs):
        path = folder / f"job-{number}.json"
        path.write_text(job.model_dump_json())
        own = cores[number :: len(jobs)]
        environment = {**os.environ, "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, own))}
        processes.append(
            subprocess.Popen(
                [sys.executable, str(Path(__file__).resolve()), str(path)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    for process in processes:
        assert process.stdout
        if not any(line.strip() == READY for line in process.stdout):  # vLLM talks there too
            for each in processes:
                each.kill()
            sys.exit(f"the raw engine ended with status {process.wait()}")
    ready = time.monotonic()
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    outcomes = [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
    return Speed(
        tokens=sum(each["tokens"] for each in outcomes),
        seconds=max(each["seconds"] for each in outcomes),
        start=ready - begun,
        one_by_one=outcomes[0]["one_by_one"],
    )


def main() -> None:
    """One job."""
    job = Job.model_validate_json(Path(sys.argv[1]).read_text())
    on_cpu, sampling = import_vllm(), job.sampling
    from vllm import LLM, SamplingParams, TokensPrompt

    llm = LLM(**engine_arguments(job.engine, job.model, None, on_cpu=on_cpu))
    room = llm.llm_engine.model_config.max_model_len
    every = [*job.warm_up, *job.prompts]
    parameters = [
        SamplingParams(
            n=sampling.n,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=min(sampling.max_tokens, room - len(ids)),
            stop=list(sampling.stop),
        )
        for ids in every
    ]
    prompts = [TokensPrompt(prompt_token_ids=ids) for ids in every]
    print(READY, flush=True)
    sys.stdin.readline()
    first = len(job.warm_up)
    if first:
        _timed(llm, prompts[:first], parameters[:first])
    prompts, parameters = prompts[first:], parameters[first:]
    tokens, seconds = _timed(llm, prompts, parameters)
    slow = None
    if job.one_by_one:
        llm.reset_prefix_cache()
        wrote, took = 0, 0.0
        for prompt, wanted in zip(prompts[: job.one_by_one], parameters, strict=False):
            single = wanted.clone()
            single.n = 1
            for _ in range(wanted.n):
                more, passed = _timed(llm, [prompt], [single])
                wrote, took = wrote + more, took + passed
        slow = wrote / took
    print(json.dumps({"tokens": tokens, "seconds": seconds, "one_by_one": slow}), flush=True)


def _timed(llm: Any, prompts: list[Any], parameters: list[Any]) -> tuple[int, float]:
    """The tokens written and the seconds taken."""
    begun = time.monotonic()
    outputs = llm.generate(prompts, parameters, use_tqdm=False)
    seconds = time.monotonic() - begun
    return sum(len(one.token_ids) for output in outputs for one in output.outputs), seconds


if __name__ == "__main__":
    main()
