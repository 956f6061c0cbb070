"""From judgements to rewards: one number per solution, per step, per token of a response.

Pure functions. `genprm.steps` finds the steps in a text and in its tokens. An unscored solution
has reward None here: only a trainer's shim may replace that by a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from genprm.errors import InputError
from genprm.records import Judgement
from genprm.scoring.voting import aggregate
from genprm.steps import char_spans, token_spans

# rewards of the steps in [-1, 1] -> as many, shaped
Shape = Callable[[Sequence[float]], Sequence[float]]

SHARPNESS = 0.1  # PURE's temperature: 0.01 and 1 trained worse


def _score(judgement: Judgement) -> float | None:
    return judgement.solution_score


def _calibrated(judgement: Judgement) -> float | None:
    if judgement.aggregate == "overall":  # calibrations are for steps only
        return None
    steps = [step for step in judgement.steps if step.status != "not_scored"]
    return aggregate([step.calibrated for step in steps], judgement.aggregate)


def _correct_share(judgement: Judgement) -> float | None:
    steps, error = len(judgement.steps), judgement.first_error
    return (steps if error < 0 else error) / steps


REWARDS: dict[str, Callable[[Judgement], float | None]] = {
    "solution_score": _score,
    "calibrated": _calibrated,
    "correct_share": _correct_share,
}


def check_reward(reward: str) -> None:
    """InputError unless there is a reward of that name."""
    if reward not in REWARDS:
        raise InputError(f"unknown reward {reward!r}; known are {', '.join(REWARDS)}")


def solution_reward(judgement: Judgement | None, reward: str = "solution_score") -> float | None:
    """The reward of a solution, in [0, 1].

    Args:
        reward: `solution_score`; `calibrated`, the same aggregate over the calibrated scores
            (each is P(correct, if all before it are), so their `product` is the probability that
            all are correct); or `correct_share`, the share of steps before the first error.

    Returns:
        None where the solution is unscored: it was not judged, a step before its first error has
        no score, or a step that the reward is made of has none. A `solution_score` of aggregate
        `overall` is made of no step, and needs none.

    Raises:
        InputError: there is no such reward.
    """
    check_reward(reward)
    if judgement is None:
        return None
    of_solution = reward == "solution_score" and judgement.aggregate == "overall"
    return REWARDS[reward](judgement) if judgement.covered or of_solution else None


def describe(judgement: Judgement | None) -> dict[str, float]:
    """What to log beside a reward: flat, numeric, always the same keys.

    `covered` (1 or 0), `steps`, `first_error` (-1 if there is none, or if the solution is not
    covered), `correct_share` of the steps before it, `min_step_score` and `mean_step_score` of the
    scored steps, `invalid_share` of the critiques, `critique_tokens`. A figure of no steps is 0.
    """
    steps = judgement.steps if judgement else []
    scores = [step.score for step in steps if step.score is not None]
    invalid = sum(step.votes.invalid for step in steps)
    critiques = invalid + sum(step.votes.correct + step.votes.incorrect for step in steps)
    return {
        "covered": float(judgement is not None and judgement.covered),
        "steps": float(len(steps)),
        "first_error": float(judgement.first_error if judgement else -1),
        "correct_share": solution_reward(judgement, "correct_share") or 0.0,
        "min_step_score": min(scores, default=0.0),
        "mean_step_score": sum(scores) / len(scores) if scores else 0.0,
        "invalid_share": invalid / critiques if critiques else 0.0,
        "critique_tokens": float(judgement.usage.get("completion_tokens", 0) if judgement else 0),
    }


def min_form(rewards: Sequence[float]) -> list[float]:
    """PURE's credit (arXiv:2504.15275): each reward, weighted by the softmax of its negative.

    Their sum is about the smallest reward, and nearly all of it falls to the worst step. A plain
    sum of rewards grows with the number of steps, and training on it collapses.
    """
    if not rewards:
        return []
    lowest = min(rewards)
    weights = [math.exp((lowest - reward) / SHARPNESS) for reward in rewards]
    total = math.fsum(weights)
    return [reward * weight / total for reward, weight in zip(rewards, weights, strict=True)]


def step_rewards(judgement: Judgement | None, shape: Shape = min_form) -> list[float] | None:
    """The reward of each step: `shape` over 2 * score - 1 of the steps up to the first error.

    Steps after the first error have 0: a policy should learn nothing from their scores. None where
    the solution is unscored.
    """
    if judgement is None or not judgement.covered:
        return None
    counted = judgement.steps[: judgement.first_error + 1] or judgement.steps
    scores = [step.score for step in counted if step.score is not None]
    after = len(judgement.steps) - len(scores)
    return [*shape([2 * score - 1 for score in scores]), *[0.0] * after]


def token_rewards(
    text: str, splitter: str, offsets: Sequence[tuple[int, int]], rewards: Sequence[float]
) -> list[float]:
    """One number per token: each step's reward at the last of its tokens, 0 elsewhere.

    Args:
        text: the response, as it was split for judging.
        offsets: per token its characters in `text`; see `genprm.steps.token_spans`.
        rewards: one per step of `text`. A step that owns no token gives its reward to the token
            that holds its characters.
    """
    spans = token_spans(offsets, char_spans(text, splitter))
    tokens = [0.0] * len(offsets)
    for span, reward in zip(spans, rewards, strict=True):
        tokens[max(span.end - 1, 0)] += reward
    return tokens


def decode_with_offsets(
    decode: Callable[[Sequence[int]], str], ids: Sequence[int]
) -> tuple[str, list[tuple[int, int]]]:
    """The text of sampled tokens, and the characters that each of them wrote.

    For tokens as the policy drew them: encoding their text again may give others. Each token is
    decoded together with the one before it, since some tokenizers drop a leading space. Tokens that
    share one character all have its place, and a token that writes nothing has an empty one.

    Args:
        decode: token ids -> text, without clean-up; it may leave special tokens out.
    """
    text = ""
    offsets: list[tuple[int, int]] = []
    before = read = 0
    for end in range(1, len(ids) + 1):
        shorter, longer = decode(ids[before:read]), decode(ids[before:end])
        if longer.endswith("\N{REPLACEMENT CHARACTER}") and end < len(ids):
            continue  # the next tokens complete the character
        start, text = len(text), text + longer[len(shorter) :]
        offsets += [(start, len(text))] * (end - read)
        before, read = read, end
    return text, offsets
