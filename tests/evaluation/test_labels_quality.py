"""Label quality against the oracle, and what fewer rollouts would have labelled."""

import pytest

from genprm.errors import InputError
from genprm.evaluation import labels_quality
from genprm.evaluation.labels_quality import JudgedLabels, RolloutOutcomes
from genprm.labeling.labels import labels_from_values

YES, NO = True, False


def label_quality(*measured):
    return labels_quality.label_quality(*measured).json()


def rollout_curve(*measured, **more):
    return [point.json() for point in labels_quality.rollout_curve(*measured, **more)]


def test_quality_by_hand():
    quality = label_quality(
        [
            JudgedLabels((YES, NO, None), 1, oracle=1),  # exact
            JudgedLabels((NO, None, None), 0, oracle=2),  # too early
            JudgedLabels((YES, YES, NO), 2, oracle=1),  # too late: the last label has no truth
            JudgedLabels((YES, YES), -1, oracle=-1),  # exact
            JudgedLabels((YES, NO), 1, oracle=-1),  # false alarm
        ]
    )
    assert (quality["n"], quality["n_error"], quality["n_unlabelled"]) == (5, 3, 0)
    assert quality["first_error_exact"] == pytest.approx(2 / 5)
    assert quality["exact_error"] == pytest.approx(1 / 3)
    assert quality["exact_correct"] == pytest.approx(1 / 2)
    assert quality["confusion"] == {
        "correct": {"correct": 5, "incorrect": 2, "unlabelled": 1},
        "incorrect": {"correct": 1, "incorrect": 1, "unlabelled": 1},
    }
    assert quality["n_steps"] == 9
    assert quality["step_accuracy"] == pytest.approx(6 / 9)
    assert quality["error_precision"] == pytest.approx(1 / 3)
    assert quality["error_recall"] == pytest.approx(1 / 3)
    for name in ("first_error_exact", "step_accuracy", "error_precision", "error_recall"):
        low, high = quality[f"{name}_ci"]
        assert low <= quality[name] <= high


def test_no_labels_at_all_is_not_a_claim_of_no_error():
    quality = label_quality([JudgedLabels((None, None), -1, oracle=-1)])
    assert quality["n_unlabelled"] == 1
    assert quality["first_error_exact"] == 0.0
    assert quality["step_accuracy"] is None and quality["error_precision"] is None


def test_labels_that_leave_the_first_error_open_are_not_exact():
    quality = label_quality([JudgedLabels((YES, None), -1, oracle=-1)])
    assert quality["n_unlabelled"] == 1 and quality["first_error_exact"] == 0.0
    assert quality["step_accuracy"] == 1.0 and quality["n_steps"] == 1


def test_the_oracle_must_lie_within_the_labels():
    with pytest.raises(InputError, match="oracle error at step 2, but 2 labels"):
        JudgedLabels((YES, YES), -1, oracle=2)


def test_fewer_rollouts_miss_rare_successes():
    """Step 1 is correct, but only its third rollout gets there; step 2 is the real error."""
    outcomes = ((YES, YES, YES, YES), (NO, NO, YES, NO), (NO, NO, NO, NO), (NO,))
    solutions = [RolloutOutcomes(outcomes, oracle=2)]
    curve = rollout_curve(solutions, labels_from_values, counts=(1, 2, 4))
    assert [point["rollouts"] for point in curve] == [1, 2, 4]
    assert [point["first_error_exact"] for point in curve] == [0.0, 0.0, 1.0]


def test_invalid_rollouts_are_not_wins_and_only_invalid_ones_are_no_value():
    solutions = [
        RolloutOutcomes(((None, YES), (YES,)), oracle=-1),
        RolloutOutcomes(((None, NO), (NO,)), oracle=0),
    ]
    one, two = rollout_curve(solutions, labels_from_values, counts=(1, 2))
    assert one["n_unlabelled"] == 2
    assert two["n_unlabelled"] == 0 and two["first_error_exact"] == 1.0


def test_too_few_rollouts_are_an_input_error():
    solutions = [RolloutOutcomes(((YES,) * 4, (YES,)), oracle=-1)]
    with pytest.raises(InputError, match="solution 0, step 0 has 4 rollouts, 8 needed"):
        rollout_curve(solutions, labels_from_values, counts=(4, 8))
