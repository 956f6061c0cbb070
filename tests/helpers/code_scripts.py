"""A policy and a teacher by script for code, importable in Ray workers.

The policy knows the reference programs of `data/code/mbpp.jsonl`; every second text that it writes
has a slip, unless the steps that it is given decide. The teacher finds every slip but one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from genprm.generation import Prompt, Sampling
from genprm.steps import split
from places import SAMPLES

DATA = SAMPLES / "code" / "mbpp.jsonl"
SLIPS = {  # what the policy writes in place of what
    "mbpp-9": ("range(1,n", "range(2,n - 1"),
    "mbpp-12": ("key=sum", "key=max"),
    "mbpp-56": ("* 10", "* 11"),
    "mbpp-66": ("pos_count += 1", "pos_count += 2"),
    "mbpp-70": ("!= k", "== k"),
    "mbpp-109": ("'1'", "'0'"),
}
OVERLOOKED = "key=max"  # by the teacher
ROWS = [json.loads(line) for line in DATA.read_text().splitlines()]


def programs(problem: str) -> tuple[list[str], list[str]]:
    """The steps of the reference, and with the slip."""
    row = next(row for row in ROWS if row["problem"] in problem)
    right, wrong = SLIPS[row["id"]]
    return split(row["code"], "code"), split(row["code"].replace(right, wrong, 1), "code")


def write(prompt: Prompt, sampling: Sampling, index: int) -> str:
    """A program, the rest of one, or a critique."""
    text = prompt.messages[-1]["content"]
    if "Last step:" in text:
        last = text.split("Last step:")[1]
        slip = any(wrong in last for _, wrong in SLIPS.values() if wrong != OVERLOOKED)
        return f"I read it.\nVerdict: {'incorrect' if slip else 'correct'}"
    right, wrong = programs(text)
    possible = [p for p in (right, wrong) if _joined(p).startswith(prompt.prefill)]
    return _joined(possible[index % len(possible)]).removeprefix(prompt.prefill)


def label_probs(prompt: Prompt, token_ids: Sequence[int]) -> list[float]:
    """As sure as a critic can be."""
    slip = "incorrect" in write(prompt, Sampling(n=1, max_tokens=99), 0)
    return [0.1, 0.9] if slip else [0.9, 0.1]


def _joined(steps: Sequence[str]) -> str:
    return "".join(f"{step}\n\n" for step in steps)
