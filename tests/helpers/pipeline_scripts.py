"""Policies and critics by script for the pipeline tests, importable in Ray workers.

Words in the problem make them do more than answer, because a worker shares neither memory nor
environment with the test.
"""

from __future__ import annotations

import os
import re
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genprm.errors import EngineError
from genprm.generation import Prompt, Sampling

SECONDS = "PIPELINE_SECONDS"  # environment: how long a completion takes
CALLS = re.compile(r"calls=(\S+)")  # in a problem: a file that gets a line per completion


def engine(script: str = "answer", **more: Any) -> dict[str, Any]:
    """The `engine` section of a config."""
    extra = {"script": f"{__name__}:{script}", "label_probs": f"{__name__}:label_probs"}
    return {"kind": "scripted", "extra": extra, **more}


def answer(prompt: Prompt, sampling: Sampling, index: int) -> str:
    """Solves, or criticises; a problem that says "fail" breaks the call."""
    text = prompt.messages[-1]["content"]
    noted = CALLS.search(text)
    if noted:
        with open(noted[1], "a") as file:
            file.write("call\n")
    time.sleep(float(os.environ.get(SECONDS, "0")))
    if "fail" in text:
        raise ValueError("told to fail")
    if "refuse" in text:
        raise EngineError("not now")
    if "Last step:" in text:
        return "I looked at it.\nVerdict: correct"
    return "First I think.\nSo the answer is 7.\n"


def dies_once(prompt: Prompt, sampling: Sampling, index: int) -> str:
    """Takes its process down at the sixth completion ever, and then never again."""
    text = answer(prompt, sampling, index)
    noted = CALLS.search(prompt.messages[-1]["content"])
    if noted and Path(noted[1]).read_text().count("\n") == 6:
        os._exit(1)
    return text


def label_probs(prompt: Prompt, token_ids: Sequence[int]) -> list[float]:
    """A step that says "wrong" is wrong."""
    step = prompt.messages[-1]["content"].split("Last step:")[1]
    return [0.1, 0.9] if "wrong" in step else [0.8, 0.2]


def varied(prompt: Prompt, sampling: Sampling, index: int) -> str:
    """Answers that differ by prompt and seed: right, wrong, without an answer, or cut off."""
    text = prompt.messages[-1]["content"]
    draw = zlib.crc32(f"{text}|{prompt.prefill}|{(sampling.seed or 0) + index}".encode())
    if "Last step:" in text:
        body = f"Look {draw % 3}. {'word ' * (400 if draw % 11 == 0 else 1)}"
        return f"{body}\nVerdict: {'incorrect' if draw % 3 == 0 else 'correct'}"
    ends = [*["So the answer is 7."] * 3, "So the answer is 7.0", "So the answer is 8.", "Hm.", ""]
    first = ["First I think.", "I count.", "word " * 400][draw % 7 % 3 if draw % 13 == 0 else 0]
    return f"{first}\n{ends[draw // 7 % len(ends)]}\n"
