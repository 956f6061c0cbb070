"""Records: which columns a row has."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from genprm.distill.targets import DistilledSolution
from genprm.records import CritiqueTarget, LabelledSolution, Solution

LABELLED: dict[str, Any] = {
    **{"id": "s", "problem": "P", "steps": ["a"], "values": [1.0], "wins": [1], "rollouts": [1]},
    **{"labels": [True], "first_error": -1, "estimator": "flat_hard"},
}
TARGET: dict[str, Any] = {
    **{"id": "t", "prompt": [], "completion": [], "label": True, "step": 0},
    **{"source_id": "s", "writer": "w"},
}


def test_an_optional_column_is_there_only_if_it_was_set() -> None:
    plain = LabelledSolution.model_validate(LABELLED).row()
    assert plain["answer"] is None  # a column of every row
    assert not {"outcomes", "unlabelled_reason", "sample"} & plain.keys()
    columns = {"unlabelled_reason": None, "outcomes": [[True, None]], "mine": {"a": [1]}}
    assert columns.items() <= LabelledSolution.model_validate(LABELLED | columns).row().items()
    copied = LabelledSolution.model_validate(LABELLED).model_copy(update={"settled": 0.5})
    assert copied.row()["settled"] == 0.5


def test_it_is_so_inside_other_records_too() -> None:
    distilled = {
        "id": "s",
        "task": None,
        "written": [],
        "targets": [TARGET, {**TARGET, "last": None}],
    }
    row = DistilledSolution.model_validate(distilled).row()
    assert [target.keys() - TARGET.keys() for target in row["targets"]] == [
        {"value", "weight"},
        {"value", "weight", "last"},
    ]
    assert CritiqueTarget.model_validate(TARGET).task is None


@pytest.mark.parametrize("value", ["17", 17, None, ["a"]])
def test_a_foreign_solution_may_use_our_column_names(value: Any) -> None:
    row = {"id": "s", "problem": "P", "steps": ["a"], "sample": value, "problem_id": value}
    output = Solution.model_validate(row).row()
    assert output["sample"] == value and output["problem_id"] == value


def test_a_column_of_another_type_is_refused_by_name() -> None:
    row = {"problem": "P", "steps": ["a"], "step": 0, "finish_reason": 3, "splitter": 3}
    with pytest.raises(ValidationError, match="splitter"):
        Solution.model_validate(row)
