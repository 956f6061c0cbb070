import pytest

from genprm.rewards.carried import carry_minimum


@pytest.mark.parametrize(
    ("scores", "carried"),
    [
        ([], []),
        ([0.9, 0.2, 0.99], [0.9, 0.2, 0.2]),
        ([None, 0.8, None, 0.9, 0.1], [None, 0.8, None, 0.8, 0.1]),
        ([None, None], [None, None]),
        ([1.0, 1.0], [1.0, 1.0]),
    ],
)
def test_each_score_is_the_minimum_up_to_it(scores, carried):
    assert carry_minimum(scores) == carried
    assert carry_minimum(tuple(carried)) == carried  # carrying twice changes nothing
