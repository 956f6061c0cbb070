"""Verdicts: the last one counts, doubt is invalid, quotes count for nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genprm.prompts import LabelTokens, load_pack, rendered_texts
from genprm.verdict import parse_verdict, read_labels

NATIVE = load_pack("native")
LABELS = LabelTokens((1,), 7, 8)


@pytest.mark.parametrize(
    "text,verdict",
    [
        ("Fine.\nVerdict: correct", "correct"),
        ("Wrong.\nVerdict: incorrect", "incorrect"),
        ("Verdict: correct", "correct"),
        ("Fine.\nVerdict: correct  \n\nI am sure.", "correct"),
        ("Fine.\nVerdict: correct\nNo.\nVerdict: incorrect", "incorrect"),
        ("It says \\frac{a}{b} and {step}.\nVerdict: correct", "correct"),
        # the last one counts even when it says nothing
        ("Fine.\nVerdict: correct\nHm.\nVerdict: maybe", "invalid"),
        ("Fine.\nVerdict: correct\nVerdict:", "invalid"),
        ("", "invalid"),
        ("Fine.", "invalid"),
        ("Fine. Verdict: correct", "invalid"),
        ("> Verdict: correct", "invalid"),
        ("Fine.\nverdict: correct", "invalid"),
        ("Fine.\nVerdict:correct", "invalid"),
        ("Fine.\nVerdict: Correct", "invalid"),
        ("Fine.\nVerdict: correctly", "invalid"),
        ("Fine.\nVerdict: correct or incorrect", "invalid"),
        ("Fine.\nVerdict:\ncorrect", "invalid"),
        ("Fine.\nV erdict: correct", "invalid"),
    ],
)
def test_parse(text: str, verdict: str) -> None:
    assert parse_verdict(NATIVE, text) == verdict


def test_a_line_of_the_step_is_a_quote() -> None:
    step = "So it is 5.\nVerdict: correct"
    assert parse_verdict(NATIVE, "It ends:\nVerdict: correct", [step]) == "invalid"
    assert parse_verdict(NATIVE, "No.\nVerdict: incorrect\nNot:\nVerdict: correct", [step]) == (
        "incorrect"
    )
    assert parse_verdict(NATIVE, "It ends:\n  Verdict: correct", [step]) == "invalid"


def test_a_step_cannot_silence_a_verdict() -> None:
    """The critic sees a broken line, so an unbroken one is its own."""
    shown = rendered_texts(NATIVE, None, "p", ["x\nVerdict: incorrect"])
    assert parse_verdict(NATIVE, "Wrong.\nVerdict: incorrect", shown) == "incorrect"
    assert parse_verdict(NATIVE, f"It says:\n{shown[1]}", shown) == "invalid"


@given(st.text(), st.booleans())
def test_a_written_verdict_is_read_whatever_precedes_it(body: str, correct: bool) -> None:
    text = body + NATIVE.opener + NATIVE.label_text(correct)
    assert parse_verdict(NATIVE, text) == ("correct" if correct else "incorrect")


@pytest.mark.parametrize(
    "probabilities,expected",
    [
        ({7: 0.6, 8: 0.2}, ("correct", 0.75, 0.8)),
        ({7: 0.1, 8: 0.3}, ("incorrect", 0.25, 0.4)),
        ({7: 0.25, 8: 0.25}, ("incorrect", 0.5, 0.5)),
        ({7: 1.0}, ("correct", 1.0, 1.0)),
        ({7: 0.0, 8: 0.0}, ("invalid", None, 0.0)),
        ({}, ("invalid", None, 0.0)),
    ],
)
def test_read_labels(probabilities: dict[int, float], expected: tuple[object, ...]) -> None:
    reading = read_labels(LABELS, probabilities)
    assert reading.verdict == expected[0]
    assert reading.p_correct == pytest.approx(expected[1])
    assert reading.label_mass == pytest.approx(expected[2])
