"""What the scoring stage counts, without Ray."""

from __future__ import annotations

from typing import Any

from cluster.stages.outputs import Result
from cluster.stages.score import Judgements
from genprm.config.load import load_config
from judged import judge


def summary(*steps: str) -> dict[str, Any]:
    collector = Judgements(load_config(None))
    row = judge("a", *steps).row()
    results = [
        Result("a", 0, [row], None),
        Result("b", 1, [{"id": "b", "problem": "p", "steps": ["x"]}], "the engine refused"),
    ]
    assert len(list(collector.rows(results))) == 2
    return collector.summary()


def test_a_critic_most_of_whose_critiques_are_invalid_is_called_so() -> None:
    assert summary("+-+?", "??+-") == {"steps": {"ok": 2, "error": 1}}
    counts = summary("???+", "????")
    assert counts["steps"] == {"ok": 1, "no_valid_critique": 1, "error": 1}
    assert counts["critic"].startswith("7 of 8 critiques are invalid: the critic has not learnt")
    assert "critic" not in summary("", "")
