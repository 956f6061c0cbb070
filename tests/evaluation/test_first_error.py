"""First-error metrics against figures worked out by hand."""

import pytest

from genprm.errors import InputError
from genprm.evaluation import first_error
from genprm.evaluation.first_error import votes_curve_obstacle
from genprm.records import StepJudgement
from judged import judge, row


def first_error_metrics(*measured, **more):
    return first_error.first_error_metrics(*measured, **more).json()


def votes_curve(*measured):
    return [point.json() for point in first_error.votes_curve(*measured)]


def close(value):
    return pytest.approx(value)


def test_processbench_metrics_by_hand():
    rows = [row("a", 2, 1), row("b", 2, 0), row("c", 3, 2), row("d", 2, -1), row("e", 1, -1)]
    judgements = [
        judge("a", "+++", "---"),  # found
        judge("b", "+++", "---"),  # an error, but not the first
        judge("c", "+++", "++-", "+--"),  # found
        judge("d", "+++", "+++"),  # passed
        judge("e", "--+"),  # false alarm
    ]
    metrics = first_error_metrics(rows, judgements, seconds=2.5)
    assert (metrics["n"], metrics["n_error"], metrics["n_correct"]) == (5, 3, 2)
    assert metrics["accuracy_error"] == close(2 / 3)
    assert metrics["accuracy_correct"] == close(1 / 2)
    assert metrics["f1"] == close(2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2))
    assert metrics["accuracy"] == close(3 / 5)
    assert metrics["coverage"] == 1.0
    assert metrics["critiques_per_step"] == 3.0
    assert metrics["completion_tokens"] == 300
    assert metrics["seconds"] == 2.5
    for name in ("f1", "accuracy", "accuracy_error", "accuracy_correct", "coverage"):
        low, high = metrics[f"{name}_ci"]
        assert 0 <= low <= metrics[name] <= high <= 1
    assert "sources" not in metrics and "without_suspect" not in metrics


def test_order_of_judgements_does_not_matter():
    rows = [row("a", 1, 0), row("b", 1, -1)]
    judgements = [judge("b", "+"), judge("a", "-")]
    assert first_error_metrics(rows, judgements)["f1"] == 1.0


def test_uncovered_rows_are_wrong_even_where_the_answer_would_fit():
    rows = [row("none", 2, -1), row("after", 3, 1), row("before", 3, 2)]
    judgements = [
        judge("none", "++", ""),  # says no error, but has not seen all
        judge("after", "++", "--", ""),  # complete up to the error it names
        judge("before", "++", "??", "--"),  # a null before the error it names
    ]
    metrics = first_error_metrics(rows, judgements)
    assert metrics["accuracy_correct"] == 0.0
    assert metrics["accuracy_error"] == 0.5
    assert metrics["coverage"] == close(1 / 3)
    assert metrics["f1"] == 0.0  # no division by zero
    assert metrics["invalid_critiques"] == 2


def test_an_empty_class_is_null_and_never_zero():
    metrics = first_error_metrics([row("a", 1, 0)], [judge("a", "-")])
    assert metrics["accuracy_error"] == 1.0
    assert metrics["accuracy_correct"] is None and metrics["accuracy_correct_ci"] is None
    assert metrics["f1"] is None and metrics["f1_ci"] is None
    empty = first_error_metrics([], [])
    assert empty["n"] == 0 and empty["accuracy"] is None and empty["coverage"] is None
    assert empty["critiques_per_step"] is None


def test_both_accuracies_zero_give_f1_zero():
    metrics = first_error_metrics(
        [row("a", 1, 0), row("b", 1, -1)], [judge("a", "+"), judge("b", "-")]
    )
    assert metrics["f1"] == 0.0
    assert metrics["f1_ci"][0] == 0.0 and metrics["f1_ci"][1] > 0.3


def test_sources_apart_and_their_mean():
    rows = [row("a", 1, 0, "x"), row("b", 1, -1, "x"), row("c", 1, 0, "y"), row("d", 1, -1, "y")]
    judgements = [judge("a", "-"), judge("b", "+"), judge("c", "-"), judge("d", "-")]
    metrics = first_error_metrics(rows, judgements)
    assert list(metrics["sources"]) == ["x", "y"]
    assert metrics["sources"]["x"]["f1"] == 1.0
    assert metrics["sources"]["y"]["f1"] == 0.0
    assert metrics["f1_mean"] == 0.5
    assert metrics["f1"] == close(2 / 3)


def test_mean_over_sources_is_null_where_one_has_no_f1():
    rows = [row("a", 1, 0, "x"), row("b", 1, -1, "x"), row("c", 1, 0, "y")]
    metrics = first_error_metrics(rows, [judge("a", "-"), judge("b", "+"), judge("c", "-")])
    assert metrics["f1_mean"] is None


def test_suspect_rows_are_left_out_beside_the_full_figures():
    rows = [
        row("a", 1, 0),
        row("b", 1, -1),
        row("c", 1, 0, suspect=True),
        row("d", 1, 0, suspect=False),
    ]
    judgements = [judge("a", "-"), judge("b", "+"), judge("c", "+"), judge("d", "-")]
    metrics = first_error_metrics(rows, judgements)
    assert metrics["accuracy"] == 0.75
    assert metrics["without_suspect"]["n"] == 3
    assert metrics["without_suspect"]["f1"] == 1.0


def test_unknown_token_counts_are_null():
    silent = judge("a", "-").model_copy(update={"usage": {}})
    metrics = first_error_metrics([row("a", 1, 0), row("b", 1, -1)], [silent, judge("b", "+")])
    assert metrics["completion_tokens"] is None


@pytest.mark.parametrize(
    ("rows", "judgements", "message"),
    [
        ([row("a", 1, 0)], [], "row a"),
        ([row("a", 1, 0), row("a", 1, 0)], [judge("a", "-")], "row a"),
        ([row("a", 1, 0)], [judge("a", "-"), judge("b", "-")], "judgement b"),
        ([row("a", 1, 0)], [judge("a", "-"), judge("a", "-")], "more than once"),
        ([row("a", 2, 0)], [judge("a", "-")], "2 steps but 1 judged"),
    ],
)
def test_rows_and_judgements_must_pair_up(rows, judgements, message):
    with pytest.raises(InputError, match=message):
        first_error_metrics(rows, judgements)


def test_votes_curve_averages_disjoint_groups_of_the_same_critiques():
    rows = [row("a", 1, 0), row("b", 1, -1)]
    judgements = [judge("a", "-+--"), judge("b", "++-+")]
    curve = votes_curve(rows, judgements)
    assert [(point["votes"], point["groups"]) for point in curve] == [(1, 4), (2, 2), (4, 1)]
    assert curve[0]["accuracy_error"] == 0.75 and curve[0]["accuracy_correct"] == 0.75
    # two votes: "-+" is a tie at 0.5, which is incorrect; so is "-+" in b, but there it is wrong
    assert curve[1]["accuracy_error"] == 1.0 and curve[1]["accuracy_correct"] == 0.5
    metrics = first_error_metrics(rows, judgements)
    assert curve[-1]["f1"] == metrics["f1"] == 1.0
    assert curve[-1]["f1_ci"] == metrics["f1_ci"]


def test_votes_curve_uses_no_more_critiques_than_every_step_has():
    rows = [row("a", 2, 1)]
    curve = votes_curve(rows, [judge("a", "++++++++", "---")])
    assert [point["votes"] for point in curve] == [1, 2]


def test_votes_curve_counts_a_step_without_valid_vote_as_uncovered():
    rows = [row("a", 2, -1)]
    curve = votes_curve(rows, [judge("a", "?+", "++")])
    assert curve[0]["accuracy"] == 0.5  # the first critique of step 0 is invalid
    assert curve[1]["accuracy"] == 1.0


def test_votes_curve_needs_every_step_and_every_critique():
    stopped = judge("a", "--", "++")
    late = StepJudgement(index=1, score=None, verdict=None, status="not_scored")
    stopped = stopped.model_copy(update={"steps": [stopped.steps[0], late]})
    with pytest.raises(InputError, match="judgement a, step 1 was not scored"):
        votes_curve([row("a", 2, 0)], [stopped])
    bare = judge("a", "--").steps[0].model_copy(update={"critiques": None})
    bare = judge("a", "--").model_copy(update={"steps": [bare]})
    assert "return_critiques=true" in votes_curve_obstacle([bare])
    assert votes_curve_obstacle([judge("a", "", "++")]) is None  # too long: nothing is missing
