"""What stages read: a row that does not fit the config is refused, with place and both values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from genprm.data import sources
from genprm.data.rows import write_jsonl
from genprm.errors import InputError

Read = Callable[[list[str]], Iterator[dict[str, Any]]]
SOLUTION = {"id": "s", "problem": "What is 1 + 1?", "answer": "2", "steps": ["1 + 1 = 2"]}
LABELS = {"values": [1.0], "wins": [1], "rollouts": [1], "labels": [True], "first_error": -1}
LABELLED = {**SOLUTION, **LABELS, "estimator": "flat_hard"}
TEXT = {"id": "s", "problem": "What is 1 + 1?", "solution": "1 + 1 = 2"}

READERS: dict[str, tuple[dict[str, Any], Read]] = {
    "label": (SOLUTION, lambda files: sources.solutions(files, "lines")),
    "distill": (
        LABELLED,
        lambda files: sources.labelled_solutions(files, rule_writer=False, splitter="lines"),
    ),
    "score": (TEXT, lambda files: sources.solutions_to_score(files, "lines")),
}


def read(row: dict[str, Any], folder: Path, reader: Read) -> list[dict[str, Any]]:
    """The second row of a file, which is like the first but for its id."""
    path = folder / "rows.jsonl"
    write_jsonl(path, [{**row, "id": "first", "splitter": None}, row])
    return list(reader([str(path)]))


@pytest.mark.parametrize("stage", READERS)
def test_a_row_that_another_splitter_cut_is_refused(stage: str, tmp_path: Path) -> None:
    row, reader = READERS[stage]
    with pytest.raises(InputError) as caught:
        read({**row, "splitter": "code"}, tmp_path, reader)
    place = f"{tmp_path}/rows.jsonl:2: field 'splitter': "
    assert str(caught.value) == place + "split by 'code', and the config's splitter is 'lines'"
    for same in ({}, {"splitter": None}, {"splitter": "lines"}):
        assert len(read({**row, **same}, tmp_path, reader)) == 2


def test_steps_that_are_given_may_be_scored_whatever_cut_them(tmp_path: Path) -> None:
    row = {**TEXT, "steps": ["1 + 1 = 2"], "splitter": "code"}
    assert len(read(row, tmp_path, READERS["score"][1])) == 2


def test_solutions_of_another_temperature_are_not_counted_with_rollouts(tmp_path: Path) -> None:
    row = {**SOLUTION, "temperature": 0.8}
    with pytest.raises(
        InputError, match=r"rows\.jsonl:1: field 'temperature': sampled at 0\.8, and "
    ):
        read(row, tmp_path, lambda files: sources.solutions(files, temperature=1.0))
    assert read(row, tmp_path, lambda files: sources.solutions(files, "lines", 0.8))
    assert read(row, tmp_path, lambda files: sources.solutions(files, "lines"))
    assert read(SOLUTION, tmp_path, lambda files: sources.solutions(files, temperature=1.0))
