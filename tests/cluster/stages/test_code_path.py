"""Code takes the same way as everything: solved, labelled by its tests, distilled, scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import code_scripts
from cluster import pipelines
from genprm.config.root import Config
from genprm.verifiers.sandbox import sandbox_program

CONFIG = Config.model_validate(
    {
        "models": {"policy": "scripted", "critic": "scripted"},
        "engine": {
            "kind": "scripted",
            "extra": {"script": "code_scripts:write", "label_probs": "code_scripts:label_probs"},
        },
        "splitter": "code",
        "solve": {"samples_per_problem": 2},
        "label": {"rollouts": 2},
        "distill": {"writer": "teacher", "teacher": {"model": "scripted"}, "balance": None},
        "score": {"votes": 2},
    }
)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.skipif(sandbox_program() is None, reason="no working bubblewrap")
def test_code_from_problems_to_scores(ray_session: None, tmp_path: Path) -> None:
    at = {name: tmp_path / f"{name}.jsonl" for name in "sltj"}
    pipelines.solve(CONFIG, [str(code_scripts.DATA)], str(at["s"]))
    solutions = rows_of(at["s"])
    assert [s["outcome"] for s in solutions] == [True, False] * 6

    pipelines.label(CONFIG, [str(at["s"])], str(at["l"]))
    slips = {}
    for row in rows_of(at["l"]):
        right, wrong = code_scripts.programs(row["problem"])
        slip = next(i for i, (a, b) in enumerate(zip(right, wrong, strict=True)) if a != b)
        slips[row["id"]] = -1 if row["outcome"] else slip
        assert row["first_error"] == slips[row["id"]]
        assert row["values"][:slip] == [0.5] * slip  # one of two rollouts slips
        assert row["rollouts"][slip] == (1 if slip == len(right) - 1 else 2)

    pipelines.distill(CONFIG, [str(at["l"])], str(at["t"]))
    reasons = {
        row["id"]: row["reason"] for row in rows_of(at["t"].with_suffix(".jsonl.written.jsonl"))
    }
    dropped = [key for key, reason in reasons.items() if reason]
    assert len(dropped) == 1 and "mbpp-12" in dropped[0]  # the slip that the teacher overlooks
    targets = rows_of(at["t"])
    assert {(t["source_id"], t["step"]) for t in targets if not t["label"]} == {
        (key, slip) for key, slip in slips.items() if slip >= 0 and key not in dropped
    }

    pipelines.score(CONFIG, [str(at["s"])], str(at["j"]))
    for row in rows_of(at["j"]):
        assert row["first_error"] == (-1 if row["id"] in dropped else slips[row["id"]])
        assert all(step["status"] == "ok" for step in row["steps"])
