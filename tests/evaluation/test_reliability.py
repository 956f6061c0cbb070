"""Reliability bins: which steps count, where they land, what ECE says."""

import pytest

from genprm.evaluation.reliability import LabelledStep, calibration_error, labelled_steps
from genprm.evaluation.reliability import reliability as measured
from judged import judge, row


def reliability(*judged, **more):
    return measured(*judged, **more).json()


def test_steps_after_the_first_error_have_no_label():
    rows = [row("a", 4, 1), row("b", 2, -1)]
    judgements = [judge("a", "+", "-", "+", "-"), judge("b", "+", "-")]
    scored, unscored = labelled_steps(rows, judgements)
    expected = [("a", 0.9, True), ("a", 0.1, False), ("b", 0.9, True), ("b", 0.1, True)]
    assert scored == [LabelledStep(*each) for each in expected]
    assert unscored == 0


def test_steps_without_score_are_counted_apart():
    figures = reliability([row("a", 3, 2)], [judge("a", "+", "", "-")])
    assert (figures["n"], figures["unscored"]) == (2, 1)


def test_bins_and_ece_by_hand():
    rows = [row("a", 4, -1), row("b", 1, 0)]
    judgements = [judge("a", "+", "+", "+", "-"), judge("b", "+")]
    figures = reliability(rows, judgements, bins=5)
    # scores: 0.9 four times (three of them correct), 0.1 once (correct)
    assert [b["n"] for b in figures["bins"]] == [1, 0, 0, 0, 4]
    top = figures["bins"][4]
    assert (top["mean_score"], top["accuracy"]) == (pytest.approx(0.9), 0.75)
    assert figures["bins"][1]["accuracy"] is None and figures["bins"][1]["mean_score"] is None
    assert figures["ece"] == pytest.approx((4 * 0.15 + 1 * 0.9) / 5)
    assert figures["brier"] == pytest.approx((3 * 0.01 + 0.81 + 0.81) / 5)


def test_a_score_of_one_falls_into_the_last_bin():
    judgement = judge("a", "+")
    step = judgement.steps[0].model_copy(update={"score": 1.0})
    figures = reliability([row("a", 1, -1)], [judgement.model_copy(update={"steps": [step]})])
    assert figures["bins"][-1]["n"] == 1
    assert figures["ece"] == 0.0


def test_nothing_scored_is_null():
    figures = reliability([row("a", 1, -1)], [judge("a", "")])
    assert figures["n"] == 0 and figures["ece"] is None and figures["brier"] is None
    with pytest.raises(ValueError, match="of no scores"):
        calibration_error([])
