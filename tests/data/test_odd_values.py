"""Whatever stands in place of a value, a row is read or kept with a reason; none is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genprm.data import sources
from genprm.data.bad_rows import BadRows
from genprm.data.rows import write_jsonl
from genprm.errors import InputError
from genprm.records import EvaluationRow

MR = "model_output_solution_"
VALID: dict[str, dict[str, Any]] = {
    "processbench": {"id": "x-0", "problem": "P", "steps": ["a", "b"], "label": 1},
    "prmbench": {
        **{"modified_question": "Q", "modified_process": ["a", "b"], "error_steps": [2]},
        **{"idx": "p_1", "classification": "circular"},
    },
    "mr_gsm8k": {
        **{"uuid": "u", "question": "Q", "model_output_steps": ["Step 1: a", "Step 2: b"]},
        **{f"{MR}correctness": "wrong", f"{MR}first_error_step": 2, "question_type": "POT"},
    },
    "mr_ben": {
        **{"Question_UUID": "u", "Sampled_Model": "m", "Subject": "s", "Question": "Q"},
        **{"Options": "A: 1", "Model_Solution_Steps": ["Step 1: a"]},
        **{"Model_Solution_Correctness": "incorrect", "Model_Solution_First_Error_Step": "1"},
    },
    "bigbench_mistake": {
        **{"input": "P", "steps": ["a", "b"], "mistake_index": 1, "answer": "1", "target": "2"}
    },
    "trl": {"prompt": "q", "completions": ["a", "b"], "labels": [0.5, 0.0]},
    "trl:chat": {
        "prompt": [{"role": "user", "content": [{"type": "text", "text": "q"}]}],
        "completions": [[{"role": "assistant", "content": "a"}]],
        "labels": [True],
    },
    "math_shepherd": {
        **{"input": "Q? Step 1: a ки\nStep 2: b ки", "label": "Q? Step 1: a +\nStep 2: b -"},
        "task": "T",
    },
    "prm800k": {
        "question": {"problem": "Q", "ground_truth_answer": "9"},
        "label": {
            "steps": [
                {
                    "completions": [{"text": "a", "rating": 1}, {"text": "b", "rating": -1}],
                    "human_completion": {"text": "h", "rating": None},
                    "chosen_completion": 0,
                }
            ],
            "finish_reason": "solution",
        },
    },
    "math_aps": {
        "question": "Q",
        "final_answer": "4",
        "reasoning_steps": {
            **{"text": "Q", "mc_value": 0.5},
            "children": [{"text": "a", "mc_value": 1.0, "children": []}],
        },
    },
    "math_aps:flat": {
        "question": "Q",
        "reasoning_steps": [
            {"solution_prefix": "Q", "mc_value": 0.5},
            {"solution_prefix": "Q\na", "mc_value": 1.0},
        ],
    },
    "ultrainteract": {
        **{"trajectory": [{"from": "user", "value": "Q"}], "chosen": "a", "rejected": "b"},
        **{"dataset": "gsm8k", "id": "x"},
    },
}
BENCHMARKS = ("processbench", "prmbench", "mr_gsm8k", "mr_ben", "bigbench_mistake")
scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=9)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value within a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in inner:
        yield (*path, key)
        if isinstance(each, dict | list):
            yield from places(each, (*path, key))


def changed(row: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(row))
    at: Any = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return copy


def read(name: str, file: str, bad: BadRows) -> list[dict[str, Any]]:
    if name in BENCHMARKS:
        located = sources.rows_to_evaluate([file], bad)
        return list(
            sources.validate_rows(located, EvaluationRow, sources.check_evaluation, bad=bad)
        )
    source = f"{name.partition(':')[0]}:{file}"
    return list(sources.labelled_solutions([source], rule_writer=False, bad=bad))


@pytest.mark.parametrize("name", VALID)
@settings(max_examples=30)
@given(data=st.data())
def test_a_row_with_an_odd_value_is_read_or_named(name: str, data: st.DataObject) -> None:
    row = VALID[name]
    path = data.draw(st.sampled_from(list(places(row))))
    odd = changed(row, path, data.draw(values))
    file = "memory://odd.jsonl"
    with fsspec.open(file, "w", encoding="utf-8") as stream:
        stream.write(f"{json.dumps(row)}\n{json.dumps(odd)}\n")
    bad = BadRows("skip")
    rows = read(name, file, bad)
    assert rows and (len(bad.skipped) == 1 or len(rows) >= 2)
    write_jsonl("memory://skipped.jsonl", bad.skipped)
    write_jsonl("memory://rows.jsonl", rows)
    try:
        read(name, file, BadRows("fail"))
    except InputError as error:
        assert str(error).startswith(f"{file}:2: ") and "\n" not in str(error)
        assert str(error).removeprefix(f"{file}:2: ") == bad.skipped[0]["reason"]


line_bytes = st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b""))


@given(st.lists(line_bytes | values.map(lambda value: json.dumps(value).encode()), max_size=6))
def test_every_line_is_a_row_or_has_a_reason(lines: list[bytes]) -> None:
    with fsspec.open("memory://lines.jsonl", "wb") as stream:
        stream.write(b"\n".join(lines))
    bad = BadRows("skip")
    rows = list(sources.locate_rows("memory://lines.jsonl", bad))
    blank = sum(not line.decode("utf-8-sig", "replace").strip() for line in lines)
    assert len(rows) + len(bad.skipped) == len(lines) - blank
    write_jsonl("memory://skipped.jsonl", bad.skipped)
