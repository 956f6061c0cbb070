"""Best-of-n and votes over answers: choices by hand, ties, nulls, paired differences."""

import pytest

from genprm.errors import InputError
from genprm.evaluation.bon import best_of_n, best_of_n_metrics, majority, weighted_majority
from genprm.records import BestOfNRow


def problem(*candidates, id="p"):
    """Candidates as (answer, correct, step scores)."""
    return BestOfNRow(
        id=id,
        problem="1 + 1",
        candidates=[
            {"steps": ["s"], "answer": answer, "correct": correct, "step_scores": scores}
            for answer, correct, scores in candidates
        ],
    )


def test_best_of_n_by_each_aggregate():
    row = problem(
        ("min", True, [0.5, 0.5]),
        ("mean", False, [0.1, 1.0]),
        ("last", False, [0.0, 1.0]),
        ("product", False, [0.3, 0.9]),
    )
    assert best_of_n(row, "min").answer == "min"
    assert best_of_n(row, "mean").answer == "product"
    assert best_of_n(row, "last").answer == "mean"  # a tie with "last": the first one
    assert best_of_n(row, "product").answer == "product"


def test_a_null_sorts_last_even_against_zero():
    row = problem(("a", True, None), ("b", True, [0.9, None]), ("c", False, [0.0]))
    assert best_of_n(row).answer == "c"
    assert best_of_n(problem(("a", True, None), ("b", True, []))).answer == "a"


def test_majority_and_its_ties():
    row = problem(("2", True, None), ("3", False, None), ("3 ", False, None), (" 2", True, None))
    assert majority(row).answer == "2"  # seen first
    assert (
        majority(problem((None, False, None), (None, False, None), ("5", True, None))).answer == "5"
    )
    assert majority(problem((None, False, None), ("", True, None))).answer is None


def test_weighted_majority_lets_scores_outvote_heads():
    row = problem(("2", True, [0.9]), ("3", False, [0.3]), ("3", False, [0.3]), ("3", False, None))
    assert majority(row).answer == "3"
    assert weighted_majority(row).answer == "2"


def test_metrics_by_hand():
    rows = [
        problem(("1", True, [0.9]), ("2", False, [0.2]), ("2", False, [0.1]), id="a"),
        problem(("1", True, [0.4]), ("1", True, [0.3]), ("2", False, [0.9]), id="b"),
        problem(("1", True, [0.8]), ("1", True, [0.7]), ("1", True, None), id="c"),
        problem(("2", False, [0.8]), ("3", False, [0.7]), ("4", False, [0.1]), id="d"),
    ]
    metrics = best_of_n_metrics(rows).json()
    assert (metrics["n"], metrics["candidates"], metrics["unscored"]) == (4, 3, 1)
    assert metrics["pass_at_1"] == pytest.approx((1 / 3 + 2 / 3 + 1 + 0) / 4)
    assert metrics["pass_at_n"] == 0.75
    assert metrics["majority"] == 0.5  # b and c
    assert metrics["best_of_n"]["min"]["accuracy"] == 0.5  # a and c
    assert metrics["best_of_n"]["min"]["minus_majority"] == 0.0
    low, high = metrics["best_of_n"]["min"]["minus_majority_ci"]
    assert low < -0.2 and high > 0.2  # two of four problems decide, one each way
    assert metrics["weighted_majority"]["min"]["accuracy"] == 0.5
    for name in ("pass_at_1", "pass_at_n", "majority"):
        low, high = metrics[f"{name}_ci"]
        assert low <= metrics[name] <= high


def test_no_rows_and_uneven_candidates_are_input_errors():
    with pytest.raises(InputError, match="no rows"):
        best_of_n_metrics([])
    rows = [problem(("1", True, None)), problem(("1", True, None), ("1", True, None), id="q")]
    with pytest.raises(InputError, match="row q has 2 candidates, the first row 1"):
        best_of_n_metrics(rows)
