"""Calibration: rising curves, honest choice among methods, and what cannot be fitted."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import examples
from genprm.config.score import ScoreConfig
from genprm.errors import ConfigError, InputError
from genprm.evaluation.calibrate import METHODS, fit, isotonic, platt
from genprm.evaluation.reliability import LabelledStep, calibration_error
from genprm.models.manifest import MANIFEST_FILE
from genprm.records import CriticInfo, content_id
from genprm.scoring.calibration import CALIBRATION_FILE, calibrated, load_calibrations, sampling_of
from genprm.util.paths import assets_dir

CRITIC = CriticInfo(model="m", pack="native", fingerprint="f", scoring="label_probs")
SCORE = ScoreConfig(votes=8)
some_steps = st.lists(
    st.builds(LabelledStep, st.sampled_from("abcdef"), st.floats(0, 1), st.booleans()),
    min_size=1,
    max_size=30,
)


def steps(pairs: list[tuple[float, bool]]) -> list[LabelledStep]:
    return [LabelledStep(f"s{i}", score, right) for i, (score, right) in enumerate(pairs)]


def simulated(n: int, sharpness: float, seed: int = 0) -> list[LabelledStep]:
    """Steps whose score, to the power of `sharpness`, is P(correct)."""
    rng = random.Random(seed)
    scores = [rng.random() for _ in range(n)]
    return steps([(score, rng.random() < score**sharpness) for score in scores])


@settings(deadline=None, max_examples=examples(60))
@given(some_steps, st.sampled_from(list(METHODS)))
def test_every_curve_rises_and_stays_within_bounds(given_steps: list, name: str) -> None:
    curve = METHODS[name](given_steps)
    values = [curve.at(i / 50) for i in range(51)]
    assert values == sorted(values)
    assert all(0 <= value <= 1 for value in values)


def many(score: float, right: int, n: int) -> list[tuple[float, bool]]:
    return [(score, i < right) for i in range(n)]


def test_isotonic_by_hand() -> None:
    pairs = many(0.1, 0, 20) + many(0.2, 12, 20) + many(0.3, 8, 20) + many(0.9, 20, 20)
    curve = isotonic(steps(pairs))
    assert curve.at(0.1) == pytest.approx(0.5 / 21)  # never 0: twenty steps do not show that
    assert curve.at(0.2) == curve.at(0.25) == curve.at(0.3) == 0.5  # pooled
    assert curve.at(0.6) == pytest.approx((0.5 + 20.5 / 21) / 2)
    assert curve.at(1.0) == pytest.approx(20.5 / 21)


def test_isotonic_does_not_depend_on_the_order_of_steps() -> None:
    pairs = many(0.4, 24, 30) + many(0.5, 27, 30)
    for order in (pairs, pairs[::-1], sorted(pairs)):
        curve = isotonic(steps(order))
        assert (curve.at(0.4), curve.at(0.5)) == pytest.approx((24.5 / 31, 27.5 / 31))


def test_isotonic_does_not_trust_a_few_steps() -> None:
    # thirteen steps a hair above a thousand others, and one at the top
    pairs = many(0.12501, 50, 1000) + many(0.12539, 7, 13) + many(0.9, 900, 1000) + [(0.95, False)]
    curve = isotonic(steps(pairs))
    assert curve.at(0.1254) - curve.at(0.1250) < 0.01
    assert curve.at(1.0) == pytest.approx(0.9, abs=0.01)


def test_platt_on_falling_data_is_the_base_rate() -> None:
    curve = platt(steps(many(0.1, 60, 100) + many(0.9, 20, 100)))
    assert curve.at(0.1) == curve.at(0.9) == pytest.approx(0.4, abs=0.01)


def test_platt_finds_what_the_scores_were_made_by() -> None:
    rng = random.Random(1)
    made = []
    for _ in range(4000):
        score = rng.uniform(0.02, 0.98)
        odds = (score / (1 - score)) ** 0.5 * 0.4  # slope 1/2, shift log 0.4
        made.append((score, rng.random() < odds / (1 + odds)))
    curve = platt(steps(made))
    for score in (0.1, 0.5, 0.9):
        odds = (score / (1 - score)) ** 0.5 * 0.4
        assert curve.at(score) == pytest.approx(odds / (1 + odds), abs=0.04)


@pytest.mark.parametrize("pairs", [[(0.2, False), (0.8, True)] * 20, [(0.0, False), (1.0, True)]])
def test_platt_is_finite_where_the_score_parts_right_from_wrong(pairs: list) -> None:
    curve = platt(steps(pairs))
    assert curve.at(0.1) < 0.5 < curve.at(0.9)


def test_the_chosen_method_is_the_best_on_held_out_solutions_and_helps_on_new_ones() -> None:
    calibration = fit(simulated(2000, 3.0), CRITIC, SCORE, "rows")
    assert calibration.method in ("platt", "isotonic")
    assert calibration.held_out[calibration.method]["brier"] == min(
        f["brier"] for f in calibration.held_out.values()
    )
    fresh = simulated(2000, 3.0, seed=9)
    raw = calibration_error([(s.score, s.correct) for s in fresh])
    better = calibration_error([(calibrated(calibration, s.score), s.correct) for s in fresh])
    assert raw[0] > 0.2 and better[0] < 0.05 and better[1] < raw[1]


def test_scores_that_mean_what_they_say_are_left_about_as_they_are() -> None:
    calibration = fit(simulated(3000, 1.0), CRITIC, SCORE, "rows")
    assert all(
        abs(calibrated(calibration, score) - score) < 0.06 for score in (0.1, 0.3, 0.5, 0.7, 0.9)
    )


def test_folds_hold_out_whole_solutions() -> None:
    rng = random.Random(3)
    noise = [LabelledStep(f"s{i % 40}", i % 40 / 40, rng.random() < 0.5) for i in range(400)]
    side = {f"s{i}": int(content_id(i), 16) % 2 == 0 for i in range(40)}
    by_luck = [s._replace(correct=side[s.solution]) for s in noise]
    calibration = fit(by_luck, CRITIC, SCORE, "rows")
    brier = calibration.held_out["isotonic"]["brier"]
    assert brier > 0.2  # though each solution tells all of its steps


@pytest.mark.parametrize(
    ("pairs", "words"),
    [([], "correct"), ([(0.5, True)] * 30, "wrong"), ([(0.5, False)] * 30, "correct")],
)
def test_data_that_cannot_be_fitted_is_reported_in_one_line(pairs: list, words: str) -> None:
    with pytest.raises(InputError, match=f"too few {words} ones") as caught:
        fit(steps(pairs), CRITIC, SCORE, "rows")
    assert "\n" not in str(caught.value)


def test_a_calibration_comes_back_from_its_file(tmp_path: Path) -> None:
    steps = simulated(200, 2.0)
    calibrations = [fit(steps, CRITIC, SCORE, "rows", early_stop=early) for early in (False, True)]
    path = tmp_path / "c.json"
    path.write_text(json.dumps([each.row() for each in calibrations]))
    assert load_calibrations(path) == calibrations
    path.write_text(json.dumps(calibrations[0].row()))
    assert load_calibrations(path) == calibrations[:1]


def test_what_ships_is_of_the_shipped_critic_asked_as_the_service_does() -> None:
    every, early = load_calibrations(assets_dir() / "critic" / CALIBRATION_FILE)
    assert every.critic == early.critic and every.critic.model == "embedded:critic"
    manifest = json.loads((assets_dir() / "critic" / MANIFEST_FILE).read_text())
    assert every.critic.version == manifest["fingerprint"]
    service = ScoreConfig()
    assert (every.votes, every.early_stop) == (service.votes, False)
    assert (early.votes, early.early_stop) == (service.votes, True)
    assert every.sampling == sampling_of(service, early_stop=False)
    assert early.sampling == sampling_of(service, early_stop=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file"),
        ("{", "not JSON"),
        ("[]", "no calibration in it"),
        ("[1]", "calibration"),
        ('{"method": "platt"}', "field 'scores'"),
    ],
)
def test_a_file_without_a_calibration_is_refused(
    tmp_path: Path, text: str | None, words: str
) -> None:
    path = tmp_path / "c.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        load_calibrations(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_falling_curve_is_refused(tmp_path: Path) -> None:
    row = fit(simulated(200, 2.0), CRITIC, SCORE, "rows").row()
    row["probabilities"] = row["probabilities"][::-1]
    path = tmp_path / "c.json"
    path.write_text(json.dumps(row))
    with pytest.raises(ConfigError, match=r"c\.json: scores and probabilities must have"):
        load_calibrations(path)
