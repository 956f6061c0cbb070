"""A critic by script, importable in Ray workers: a step that says "wrong" is wrong."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genprm.generation import Prompt, Sampling

# As a config asks for it: `engine: {kind: scripted, extra: ...}`.
ENGINE: dict[str, Any] = {
    "kind": "scripted",
    "max_model_len": 300,
    "extra": {
        "script": f"{__name__}:critique",
        "label_probs": f"{__name__}:label_probs",
    },
}


def critique(prompt: Prompt, sampling: Sampling, index: int) -> str:
    return "I looked at it.\nVerdict: correct"


def slow_critique(prompt: Prompt, sampling: Sampling, index: int) -> str:
    """A problem that says "slowly" blocks the replica for a second; where it also names a file,
    that file is created first."""
    message = prompt.messages[-1]["content"]
    if named := re.search(r"slowly (/\S+)", message):
        Path(named[1]).touch()
    if "slowly" in message:
        time.sleep(1)
    return critique(prompt, sampling, index)


def label_probs(prompt: Prompt, token_ids: Sequence[int]) -> list[float]:
    step = prompt.messages[-1]["content"].split("Last step:")[1]
    return [0.1, 0.9] if "wrong" in step else [0.8, 0.2]
