"""Critique targets for tests of training: small sums, rendered by the native pack."""

from __future__ import annotations

from typing import Any

from genprm.prompts.packs import load_pack
from genprm.prompts.render import critique_target_messages
from genprm.records import CritiqueTarget


def toy_targets(n: int, pack: str = "native", **columns: Any) -> list[CritiqueTarget]:
    """`n` targets on one-digit sums; every second step is wrong and says so.

    `columns` override columns of all rows.
    """
    return [_target(number, pack, columns) for number in range(n)]


def _target(number: int, pack: str, columns: dict[str, Any]) -> CritiqueTarget:
    left, right = number % 10, number // 10 % 10
    good = number % 2 == 0
    claim = left + right if good else left + right + 1
    steps = [f"{left} + {right} = {claim}"]
    body = f"The step adds {left} and {right}, so it is {'right' if good else 'wrong'}."
    prompt, completion = critique_target_messages(
        load_pack(pack), f"What is {left} + {right}?", steps, body, good
    )
    row = {
        "id": f"sum-{number}:0:0",
        "prompt": prompt,
        "completion": completion,
        "label": good,
        "value": 1.0 if good else 0.0,
        "step": 0,
        "source_id": f"sum-{number}",
        "writer": "rule",
    }
    return CritiqueTarget.model_validate(row | columns)
