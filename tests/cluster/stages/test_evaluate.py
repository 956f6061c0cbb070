"""Reading the rows of an evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.stages.evaluate import read
from genprm.data import sources
from genprm.data.bad_rows import BadRows
from genprm.data.rows import write_jsonl
from genprm.errors import InputError
from genprm.records import EvaluationRow


def test_a_row_that_failed_earlier_is_a_bad_row_with_a_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    good = {"id": "a", "problem": "P", "steps": ["x"], "first_error": -1}
    write_jsonl(path, [{"id": "b", "error": "timed out"}, good])

    def rows(bad: BadRows) -> list[EvaluationRow]:
        located = sources.rows_to_evaluate([str(path)], bad)
        return read(located, EvaluationRow, sources.check_evaluation, bad, str(path))

    bad = BadRows("skip")
    assert [row.id for row in rows(bad)] == ["a"]
    row = {"id": "b", "error": "timed out"}
    reason = "failed in an earlier stage: timed out"
    assert bad.skipped == [{"where": f"{path}:1", "reason": reason, "row": row}]
    with pytest.raises(InputError) as caught:
        rows(BadRows("fail"))
    assert str(caught.value) == f"{path}:1: {reason}"
