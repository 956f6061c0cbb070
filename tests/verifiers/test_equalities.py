"""The table of what the math verifier takes as equal: every pair in it holds."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import genprm.verifiers
from genprm.records import Problem
from genprm.verifiers import get_verifier

TABLE = Path(genprm.verifiers.__file__).with_name("equalities.yaml")
KINDS = yaml.safe_load(TABLE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["kind"])
def test_every_pair_of_the_table_holds(kind: dict[str, list[list[str]]]) -> None:
    check = get_verifier("math").check
    wrong = [
        (reference, answer, expected)
        for name, expected in (("equal", True), ("different", False))
        for reference, answer in kind[name]
        if check(answer, Problem(id="p", problem="?", answer=reference)) is not expected
    ]
    assert not wrong
