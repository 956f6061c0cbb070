"""Rollouts drawn for a person to read, and the page that shows them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from genprm.report.audit import COLUMN, audit_page, draw

outcomes = st.lists(st.sampled_from([True, False, None, "no rollout"]), max_size=40)


def row(i: int, correct: Any, **seen: Any) -> dict[str, Any]:
    example = {"prefix": 1, "continuation": ["on"], "end": "stop", "answer": "7"}
    example |= {"correct": correct, "second": None}
    return {
        "id": f"r{i}",
        "problem": "2 + 5 =",
        "answer": "7",
        "steps": ["first", "last"],
        COLUMN: None if correct == "no rollout" else example | seen,
    }


@given(outcomes, st.integers(1, 12))
def test_draws_the_requested_count_half_of_them_right_where_possible(
    verdicts: list[Any], count: int
) -> None:
    rows = [row(i, correct) for i, correct in enumerate(verdicts)]
    drawn = draw(iter(rows), count)
    right = verdicts.count(True)
    other = verdicts.count(False) + verdicts.count(None)
    assert len(drawn) == min(count, right + other)
    assert len({r["id"] for r in drawn}) == len(drawn)
    shown = sum(r[COLUMN]["correct"] is True for r in drawn)
    assert shown == min(right, max(count // 2, count - other))
    assert draw(reversed(rows), count) == drawn


def test_the_page_shows_what_was_read_and_escapes_it() -> None:
    rows = [
        row(1, True, continuation=["<script>alert(1)</script>"], second=False),
        row(2, None, answer=None),
        row(3, False) | {"answer": None},
        row(4, None, end="length", answer=None),
    ]
    page = audit_page(rows)
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "second verifier: wrong" in page and "invalid: no answer" in page
    assert "cut off (length)" in page and "its tests" in page and page.count("<article") == 4
    assert page.count("rolled out") == 4 and page.count("given") == 4
