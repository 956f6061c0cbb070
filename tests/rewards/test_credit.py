"""Judgements to rewards of solutions, steps and tokens; sampled tokens to text."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpe import bpe
from examples import examples
from genprm.errors import InputError
from genprm.records import Judgement
from genprm.rewards.credit import (
    decode_with_offsets,
    describe,
    min_form,
    solution_reward,
    step_rewards,
    token_rewards,
)
from genprm.steps import char_spans, split
from judged import judge


def calibrated(judgement: Judgement, *scores: float | None) -> Judgement:
    pairs = zip(judgement.steps, scores, strict=True)
    steps = [step.model_copy(update={"calibrated": score}) for step, score in pairs]
    return judgement.model_copy(update={"steps": steps, "aggregate": "product"})


def test_rewards_of_a_solution() -> None:
    good, bad = judge("a", "+++", "++-"), judge("b", "++", "--", "++", "++")
    assert solution_reward(good) == pytest.approx((0.9 + 0.9 + 0.1) / 3)
    assert solution_reward(good, "correct_share") == 1.0
    assert solution_reward(bad, "correct_share") == 0.25
    assert solution_reward(calibrated(good, 0.8, 0.5), "calibrated") == pytest.approx(0.4)
    assert solution_reward(calibrated(good, 0.8, None), "calibrated") is None
    overall = calibrated(good, 0.8, 0.5).model_copy(update={"aggregate": "overall"})
    assert solution_reward(overall, "calibrated") is None
    with pytest.raises(InputError, match="unknown reward 'best'; known are solution_score"):
        solution_reward(good, "best")


@pytest.mark.parametrize("reward", ["solution_score", "calibrated", "correct_share"])
def test_what_is_not_covered_has_no_reward(reward: str) -> None:
    assert solution_reward(None, reward) is None
    assert solution_reward(judge("a", "++", "", "--"), reward) is None
    assert step_rewards(judge("a", "++", "", "--")) is None


def test_a_verdict_of_the_whole_needs_no_verdict_of_a_step() -> None:
    """A critique may answer the question about the whole and box no verdict for a step."""
    uncovered = judge("a", "??", "")
    fields = {"aggregate": "overall", "overall": 0.9, "solution_score": 0.9}
    overall = uncovered.model_copy(update=fields)
    assert solution_reward(overall) == 0.9
    assert solution_reward(overall, "correct_share") is None
    assert solution_reward(overall, "calibrated") is None and step_rewards(overall) is None
    assert describe(overall)["covered"] == 0.0
    unanswered = overall.model_copy(update={"overall": None, "solution_score": None})
    assert solution_reward(unanswered) is None
    lost = uncovered.model_copy(update={"solution_score": 0.9})  # of another aggregate
    assert solution_reward(lost) is None


def test_a_null_behind_the_first_error_takes_only_the_score_away() -> None:
    judgement = judge("a", "++", "--", "")
    assert solution_reward(judgement) is None
    assert solution_reward(judgement, "correct_share") == pytest.approx(1 / 3)
    assert step_rewards(judgement) is not None


def test_facts_have_the_same_keys_whatever_happened() -> None:
    facts = [describe(j) for j in (judge("a", "+", "-"), judge("a", "", "-"), None)]
    assert [sorted(each) for each in facts] == [sorted(facts[0])] * 3
    assert facts[0] == pytest.approx(
        {
            "covered": 1.0,
            "steps": 2.0,
            "first_error": 1.0,
            "correct_share": 0.5,
            "min_step_score": 0.1,
            "mean_step_score": 0.5,
            "invalid_share": 0.0,
            "critique_tokens": 20.0,
        }
    )
    assert facts[1]["covered"] == facts[1]["correct_share"] == 0.0
    assert describe(judge("a", "+?", "???+"))["invalid_share"] == pytest.approx(4 / 6)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20))
def test_min_form_adds_up_to_about_the_smallest(rewards: list[float]) -> None:
    shaped = min_form(rewards)
    # at most 1/e * SHARPNESS above it for each of the others
    assert min(rewards) - 1e-9 <= math.fsum(shaped) <= min(rewards) + 0.04 * len(rewards)


def test_min_form_puts_the_credit_on_the_worst_step() -> None:
    assert min_form([]) == []
    assert min_form([0.8, -0.8, 0.6]) == pytest.approx([0.0, -0.8, 0.0], abs=1e-4)


def test_steps_behind_the_first_error_have_no_reward() -> None:
    judgement = judge("a", "++", "--", "++", "--")
    assert step_rewards(judgement, list) == pytest.approx([0.8, -0.8, 0.0, 0.0])
    assert step_rewards(judge("a", "++", "+-"), list) == pytest.approx([0.8, 0.0])


def test_a_step_pays_its_last_token() -> None:
    text, offsets = "ab c\nd e\n", [(0, 2), (2, 4), (4, 5), (5, 6), (6, 8), (8, 9), (0, 0)]
    tokens = token_rewards(text, "lines", offsets, [0.25, -1.0])
    assert tokens == [0.0, 0.0, 0.25, 0.0, 0.0, -1.0, 0.0]
    # the last step has no token of its own: the one that holds its text gets its reward
    assert token_rewards("a\nb\nc", "lines", [(0, 2), (2, 5)], [1.0, 2.0, 4.0]) == [1.0, 6.0]
    assert token_rewards("", "lines", [], []) == []


def decode(ids: Any) -> str:
    return bpe().decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def check(ids: list[int]) -> str:
    text, offsets = decode_with_offsets(decode, ids)
    assert len(offsets) == len(ids)
    end = 0
    for place, (start, stop) in enumerate(offsets):  # without a gap, or with a character in common
        assert start == end or (start, stop) == offsets[place - 1]
        end = stop
    assert end == len(text)
    return text


@settings(max_examples=examples(50))
@given(st.text(max_size=40))
def test_sampled_tokens_give_their_text_back(text: str) -> None:
    ids = bpe()(text, add_special_tokens=False)["input_ids"]
    assert check(ids) == decode(ids)
    # letter by letter, in which no name of a special token is one
    letters = [byte for c in text for byte in bpe()(c)["input_ids"]]
    assert check(letters) == decode(letters)


@given(st.lists(st.integers(0, 500), max_size=20))
def test_tokens_that_no_text_has_are_decoded_too(ids: list[int]) -> None:
    check(ids)


def test_steps_are_found_in_the_tokens_that_wrote_them() -> None:
    text = "Zwei Äpfel ☃\n\nund 3\n"
    ids = [*bpe()(text, add_special_tokens=False)["input_ids"], bpe().eos_token_id]
    read, offsets = decode_with_offsets(decode, ids)
    tokens = token_rewards(read, "lines", offsets, [1.0, 2.0])
    ends = [i for i, reward in enumerate(tokens) if reward]
    assert read == text and len(split(text, "lines")) == len(ends) == 2
    spans = char_spans(text, "lines")
    assert [decode(ids[: end + 1]) for end in ends] == [text[: span.end] for span in spans]
