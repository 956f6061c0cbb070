"""Estimators over simulated policies: what they label, what they spend, what they reuse."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import examples
from genprm.config.label import AdaptiveConfig, LabelConfig
from genprm.engines.scripted import ScriptedEngine, ScriptedTokenizer
from genprm.errors import InputError
from genprm.generation import Prompt, Sampling
from genprm.labeling.adaptive import Belief, BetaPrior, Rates, Tries, information, posterior
from genprm.labeling.relative import relative_flags
from genprm.labeling.solution import ESTIMATORS, label_solution
from genprm.prompts.packs import load_pack
from genprm.records import LabelledSolution, Solution
from genprm.verifiers.sandbox import sandbox_program

PACK = load_pack("native")
RIGHT, WRONG = "So the answer is 10", "So the answer is 11"
BELIEF = Belief(recovery_rate=0.02, repeat_rate=0.1)
some_tries = st.builds(
    lambda wins, repeats, others, with_repeats: Tries(
        wins, repeats + others, repeats if with_repeats else None
    ),
    *[st.integers(0, 4)] * 3,
    st.booleans(),
)
tries_lists = st.lists(some_tries, min_size=1, max_size=7)


def solution(steps: int, *, right: bool = False, **columns: object) -> Solution:
    """Steps 1. 2. 3. and an answer; policy and outcome as a finished solution has them."""
    lines = [f"Step {number}." for number in range(1, steps)]
    row = {"id": "s", "problem": "What is 2 * 3 + 4?", "answer": "10", "task": "math"}
    end = RIGHT if right else WRONG
    return Solution(**row | {"steps": [*lines, end], "outcome": right} | columns)


def policy(
    rates: list[float],
    seed: int = 0,
    drawn: Callable[[int], str] | None = None,
    repeats: list[float] | None = None,
):
    """An engine that wins from the prefix of t steps with probability rates[t]. Losing, it says
    WRONG with probability repeats[t], and else something else that is wrong."""
    rng = random.Random(seed)

    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        steps = prompt.prefill.count("\n")
        end = RIGHT if rng.random() < rates[steps] else f"So the answer is {rng.randint(12, 99)}"
        if end != RIGHT and repeats and rng.random() < repeats[steps]:
            end = WRONG
        return f"{drawn(steps)}\n{end}" if drawn else end

    return ScriptedEngine(script, tokenizer=ScriptedTokenizer(), name="policy")


def label(
    engine: ScriptedEngine, given_solution: Solution, splitter: str = "lines", **config: object
) -> LabelledSolution:
    """Labels with settings of `label`; those of `adaptive` are found in their section."""
    inner = {name: config.pop(name) for name in AdaptiveConfig.model_fields if name in config}
    settings = LabelConfig.model_validate({"rollouts": 8, "adaptive": inner, **config})
    return asyncio.run(label_solution(engine, PACK, given_solution, settings, 0, splitter))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_finds_a_plain_error_and_says_how(name: str) -> None:
    row = label(policy([1, 1, 1, 0, 0, 0]), solution(5), estimator=name, rollouts=12).row()
    assert row["first_error"] == 2 and row["labels"] == [True, True, False, None, None]
    assert row["estimator_settings"]["rollouts"] == 12 and row["estimator"] == name
    assert row["cost"]["rollouts"] == sum(len(o) for o in row["outcomes"][:-1]) + (
        12 if name.startswith("relative") else 0  # the problem's own
    )
    for value, interval, n in zip(row["values"], row["intervals"], row["rollouts"], strict=True):
        assert (interval is None) == (n == 0)
        if interval:
            assert interval[0] <= value <= interval[1]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_passes_a_right_solution(name: str) -> None:
    row = label(policy([1] * 5), solution(4, right=True), estimator=name)
    assert row.first_error == -1 and row.labels == [True] * 4


@settings(deadline=None, max_examples=examples(40))
@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 1000))
def test_first_zero_labels_as_flat_does_for_less(steps: int, error: int, seed: int) -> None:
    rates = [0.4 if prefix <= error else 0.0 for prefix in range(steps + 1)]
    flat = label(policy(rates), solution(steps), estimator="flat_hard", rollouts=5)
    # the same outcomes, prefix by prefix
    by_prefix = [list(outcomes) for outcomes in flat.row()["outcomes"]]

    def replay(prompt: Prompt, sampling: Sampling, i: int) -> str:
        return RIGHT if by_prefix[prompt.prefill.count("\n") - 1][i] else WRONG

    engine = ScriptedEngine(replay, tokenizer=ScriptedTokenizer())
    early = label(engine, solution(steps), estimator="first_zero", rollouts=5)
    assert (early.labels, early.first_error) == (flat.labels, flat.first_error)
    assert early.cost.rollouts <= flat.cost.rollouts
    assert early.cost.rollouts == 5 * min(early.first_error + 1, steps - 1)


def test_binary_search_looks_at_both_sides_of_the_edge_it_found() -> None:
    unlucky = {3: 8}  # the first eight rollouts from prefix 3 fail, though it is good

    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        steps = prompt.prefill.count("\n")
        if unlucky.get(steps, 0) > 0:
            unlucky[steps] -= 1
            return WRONG
        return RIGHT if steps < 5 else WRONG

    engine = ScriptedEngine(script, tokenizer=ScriptedTokenizer())
    assert label(engine, solution(7), estimator="binary_search").first_error == 4


def test_binary_search_costs_a_logarithm() -> None:
    row = label(policy([1] * 9 + [0] * 8), solution(16), estimator="binary_search", rollouts=4)
    assert row.first_error == 8
    assert row.cost.rollouts <= 4 * (4 + 2)  # log2(16) probes, and the edge's two sides


@settings(deadline=None)
@given(tries_lists, st.sampled_from([True, False, None]))
def test_the_posterior_is_a_distribution(tries: list[Tries], outcome: bool | None) -> None:
    belief = posterior(tries, outcome, BELIEF)
    for chances in belief:
        assert len(chances) == len(tries) + 1 and sum(chances) == pytest.approx(1)
        assert all(p >= 0 for p in chances)
    first, last = (list(itertools.accumulate(chances)) for chances in belief)
    assert all(b <= a + 1e-9 for a, b in zip(first, last, strict=True))  # the last is no earlier
    assert belief.first[-1] == belief.last[-1]  # no error: both bounds coincide
    if outcome is False:
        assert belief.first[-1] == 0


def test_the_posterior_by_hand() -> None:
    # one open step, unfinished: n losses have probability 1/(n+1) if it is good
    belief = posterior([Tries(0, 3)], None, BELIEF).first
    bad = math.prod((9.8 + k) / (10 + k) for k in range(3))
    assert belief[0] == pytest.approx(bad / (bad + 1 / 4))
    # a finished right solution without rollouts: only a repaired error stands against it
    assert posterior([Tries(0, 0)] * 4, True, BELIEF).first[-1] == pytest.approx(1 / 1.02)
    # one loss that is a repeat: 1/2 · 0.1 if the first step is good, 0.98 · 1/2 if it is wrong and
    # the other right, 0.98 · 0.1 if both are wrong; one error is as likely as two
    belief = posterior([Tries(0, 1, 1), Tries(0, 0, 0)], False, BELIEF)
    ways = {(0, 0): 0.49 / 2, (0, 1): 0.098 / 2, (1, 1): 0.05}
    assert belief.first[0] == pytest.approx((ways[0, 0] + ways[0, 1]) / sum(ways.values()))
    assert belief.last[0] == pytest.approx(ways[0, 0] / sum(ways.values()))


def test_a_win_moves_the_error_behind_it_and_losses_before_it() -> None:
    prior = posterior([Tries(0, 0)] * 5, False, BELIEF).first

    def third(tries: Tries) -> list[float]:
        none = Tries(0, 0)
        return posterior([none, none, tries, none, none], False, BELIEF).first

    won, lost = third(Tries(1, 0)), third(Tries(0, 9))
    assert sum(won[3:]) > 0.9 > sum(prior[3:])
    assert sum(lost[:3]) > 0.9 > sum(prior[:3])
    assert sum(third(Tries(0, 2, 2))[:3]) > 0.9 > sum(third(Tries(0, 2, 0))[:3])
    # unless good steps are seen to end there as well
    after = [Tries(0, 2, 2), Tries(0, 0), Tries(0, 0)]
    seen = posterior([*[Tries(8, 6, 6)] * 2, *after], False, BELIEF)
    never = posterior([*[Tries(8, 6, 0)] * 2, *after], False, BELIEF)
    assert sum(seen.first[:3]) < 0.8 < 0.95 < sum(never.first[:3])


def test_absent_repeats_are_not_evidence_for_an_error_at_the_end() -> None:
    # nothing wins and nothing repeats: a hard problem, and more errors than one
    nowhere = [Tries(0, 4, 0)] * 5 + [Tries(0, 0, 0)]
    belief = posterior(nowhere, False, BELIEF)
    assert belief.last[5] > 0.7 and belief.first[5] < 0.3


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), some_tries, st.integers(1, 6))
def test_information_is_never_negative_and_more_with_repeats(
    p: float, q: float, tries: Tries, n: int
) -> None:
    places = [BELIEF.good([tries])[0], BELIEF.between(), BELIEF.after_last()]
    places = [rates.after(tries) for rates in places]
    for rates in places:
        for repeats in (False, True):
            assert sum(rates.outlook(n, repeats)) == pytest.approx(1)
    chances = [p, (1 - p) * q, (1 - p) * (1 - q)]
    base, more = (information(chances, places, n, repeats) for repeats in (False, True))
    assert -1e-9 <= base <= more + 1e-9 <= math.log(3) + 2e-9
    if max(chances) == 1:
        assert more == pytest.approx(0)


def test_what_tells_nothing_of_repeats_moves_no_belief_about_them() -> None:
    rates = Rates(BetaPrior(1, 1), BetaPrior(0.5, 4.5))
    assert rates.after(Tries(1, 2)) == Rates(BetaPrior(2, 3), BetaPrior(0.5, 4.5))
    assert rates.after(Tries(1, 3, 1)) == Rates(BetaPrior(2, 4), BetaPrior(1.5, 6.5))


SOLUTIONS = 150


def run_adaptive(again: float, wrong_again: float, **config: object) -> tuple[float, float, float]:
    """Share labelled, share of those right, and rollouts beside flat ones: wrong solutions, whose
    good prefixes repeat their answer in `again` of the losses, and wrong ones in `wrong_again`."""
    rng, right, spent, labelled, cost_of_flat = random.Random(5), 0, 0, 0, 0
    for index in range(SOLUTIONS):
        steps = rng.randint(3, 8)
        error = rng.randrange(steps)
        start = rng.uniform(0.1, 0.7)  # values rise along a good solution
        rates = [start ** (1 - p / steps) if p <= error else 0.01 for p in range(steps + 1)]
        repeats = [again if p <= error else wrong_again for p in range(steps + 1)]
        engine = policy(rates, index, repeats=repeats)
        row = label(engine, solution(steps), estimator="adaptive", rollouts=16, **config)
        spent += row.cost.rollouts
        cost_of_flat += 16 * (steps - 1)
        if row.row()["unlabelled_reason"] is None:
            labelled += 1
            right += row.first_error == error
    return labelled / SOLUTIONS, right / labelled, spent / cost_of_flat


@pytest.mark.slow
@pytest.mark.parametrize(
    ("again", "wrong_again", "most"), [(0.05, 0.6, 0.5), (0.05, 0.0, 0.7), (0.3, 0.3, 0.5)]
)
def test_adaptive_is_as_sure_as_it_says_and_cheap(
    again: float, wrong_again: float, most: float
) -> None:
    patient = {"min_information": 0.0, "min_confidence": 0.9}
    labelled, right, cost = run_adaptive(again, wrong_again, **patient)
    assert labelled > 0.5 and right > 0.9  # as stated
    assert cost < most  # of wrong solutions; right ones cost nothing


@pytest.mark.slow
def test_adaptive_gives_up_what_is_not_worth_its_rollouts() -> None:
    patient = run_adaptive(0.05, 0.6, min_information=0.0, min_confidence=0)
    brief = run_adaptive(0.05, 0.6, min_information=0.1, min_confidence=0)
    assert patient[0] == brief[0] == 1
    assert brief[2] < 0.6 * patient[2] and brief[1] > patient[1] - 0.15
    sure = run_adaptive(0.05, 0.6, min_information=0.1, min_confidence=0.8)
    assert sure[0] < 1 and sure[1] > brief[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adaptive", "binary_search", "first_zero"])
def test_hundreds_of_steps_are_searched_by_few_rollouts(name: str) -> None:
    rates = [0.9 if prefix <= 200 else 0.0 for prefix in range(301)]
    engine = policy(rates, repeats=[0.0] * 201 + [0.8] * 100)
    row = label(engine, solution(300), estimator=name, min_confidence=0)
    assert row.first_error == 200
    assert name == "first_zero" or row.cost.rollouts < 100


def test_adaptive_labels_nothing_by_its_prior_alone() -> None:
    def mute(prompt: Prompt, sampling: Sampling, i: int) -> str:
        return "no answer"

    engine = ScriptedEngine(mute, tokenizer=ScriptedTokenizer())
    for steps in (1, 2, 6):
        unfinished = [f"Step {number}." for number in range(1, steps + 1)]
        open_end = solution(steps, outcome=None).model_copy(update={"steps": unfinished})
        solutions = [open_end] if steps == 1 else [open_end, solution(steps)]
        for each in solutions:
            row = label(engine, each, estimator="adaptive", min_confidence=0).row()
            assert row["labels"] == [None] * steps and row["unlabelled_reason"]


def test_the_solutions_answer_is_recognised_in_other_spellings_too() -> None:
    rates, repeats = [1.0, 0, 0, 0], [0.0, 1, 1, 1]  # the first step is wrong
    for answer in ("11", "$11$", "11.0"):
        engine = policy(rates, repeats=repeats)
        row = label(engine, solution(3, final_answer=answer), estimator="adaptive").row()
        assert row["first_error"] == 0 and sum(row["repeats"]) == row["cost"]["rollouts"]


def test_a_rollout_that_passes_through_counts_once_for_the_posterior() -> None:
    engine = policy([0, 0, 0, 0, 0], drawn=lambda steps: f"Step {steps + 1}.", repeats=[1.0] * 5)
    settings = {"estimator": "adaptive", "rollouts": 1, "confidence": 0.99}
    row = label(engine, solution(4), **settings, reuse="rollouts", min_information=0).row()
    assert row["borrowed"] != [[], [], [], []]
    assert sum(row["repeats"]) == row["cost"]["rollouts"]
    assert [len(own) for own in row["outcomes"]][:-1] == row["repeats"][:-1]


def test_adaptive_leaves_unlabelled_what_its_budget_does_not_settle() -> None:
    settings = {"estimator": "adaptive", "rollouts": 1, "min_confidence": 0.9}
    row = label(policy([0.3] * 9), solution(8), **settings, min_information=0).row()
    assert row["labels"] == [None] * 8 and row["first_error"] == -1
    assert row["unlabelled_reason"].startswith("first error not settled: 0.")
    assert row["cost"]["rollouts"] == 7 and len(row["posterior"]) == 9
    assert row["likeliest_first_error"] in range(8)
    assert row["repeats"] == [0] * 8
    given_up = label(policy([0.3] * 9), solution(8), **settings, min_information=9).row()
    assert given_up["cost"]["rollouts"] == 0


def test_partial_labels_keep_steps_surely_before_the_first_error() -> None:
    rates = [1, 1, 1, 0, 0, 0, 0, 0]  # the third step is wrong
    settings = {"estimator": "adaptive", "rollouts": 1, "min_confidence": 0.9}
    kept = 0
    for seed in range(8):
        default = label(policy(rates, seed), solution(7), **settings).row()
        part = label(policy(rates, seed), solution(7), **settings, partial=True).row()
        if default["unlabelled_reason"] is None:
            assert part["labels"] == default["labels"]
            continue
        assert default["labels"] == [None] * 7
        assert part["first_error"] == -1 and part["unlabelled_reason"]
        kept += part["labels"].count(True)
        assert part["labels"][:2].count(True) == part["labels"].count(True)  # none behind the error
    assert kept > 0


def test_binary_search_keeps_good_steps_before_an_unknown_value() -> None:
    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        return "no answer" if prompt.prefill.count("\n") == 6 else RIGHT

    engine = ScriptedEngine(script, tokenizer=ScriptedTokenizer())
    row = label(engine, solution(8), estimator="binary_search", partial=True).row()
    assert row["labels"] == [True] * 4 + [None] * 4  # it looked at 4, then at 6
    default = label(engine, solution(8), estimator="binary_search").row()
    assert default["labels"] == [None] * 8 and default["unlabelled_reason"].startswith("step 5: ")


@pytest.mark.parametrize("name", [n for n in ESTIMATORS if n not in ("adaptive", "binary_search")])
def test_a_value_that_is_not_known_makes_its_step_uncertain(name: str) -> None:
    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        return "no answer" if prompt.prefill.count("\n") == 3 else RIGHT

    engine = ScriptedEngine(script, tokenizer=ScriptedTokenizer())
    row = label(engine, solution(5), estimator=name, partial=True).row()
    assert row["labels"] == [True, True, None, None, None] and row["first_error"] == -1
    assert row["unlabelled_reason"]


def test_a_right_solution_needs_no_rollouts_to_be_settled() -> None:
    row = label(policy([0.3] * 5), solution(4, right=True), estimator="adaptive")
    assert row.cost.rollouts == 0 and row.labels == [True] * 4
    assert row.values == [None, None, None, 1.0]


def test_a_rollout_counts_where_it_passes_through() -> None:
    engine = policy([1, 1, 1, 1, 1], drawn=lambda steps: f"Step {steps + 1}.")
    plain = label(engine, solution(4), estimator="flat_hard", rollouts=2).row()
    assert plain["rollouts"] == [2, 2, 2, 1] and "borrowed" not in plain
    row = label(engine, solution(4), estimator="flat_hard", rollouts=2, reuse="rollouts").row()
    assert row["rollouts"] == [2, 4, 4, 1]  # from prefix 1 through 2, from 2 through 3
    assert row["borrowed"] == [[], [True, True], [True, True], []]
    assert row["cost"]["rollouts"] == 6


def test_the_solution_counts_only_for_the_policy_that_wrote_it() -> None:
    mine = solution(4, right=True, policy="policy")
    row = label(policy([0] * 5), mine, estimator="flat_hard", rollouts=2, reuse="solution").row()
    assert row["wins"] == [1, 1, 1, 1] and row["rollouts"] == [3, 3, 3, 1]
    other = solution(4, right=True, policy="another")
    row = label(policy([0] * 5), other, estimator="flat_hard", rollouts=2, reuse="solution").row()
    assert row["wins"] == [0, 0, 0, 1]


def test_relative_rules_by_hand() -> None:
    def keeps(before: float, after: float) -> bool:
        return after >= 0.8 * before

    assert relative_flags(0.5, [0.5, 0.4, 0.2, 0.4], keeps) == [True, True, False, None]
    assert relative_flags(0.5, [0.0, 0.4], keeps) == [False, None]
    assert relative_flags(0.0, [0.5, 0.1], keeps) == [True, False]
    assert relative_flags(None, [0.5], keeps) == [None]
    assert relative_flags(0.5, [0.5, None, 0.5], keeps) == [True, None, None]


def test_relative_effective_asks_for_more_than_a_value_above_zero() -> None:
    # from 0.9 to 0.1: Q falls from 1.0 to 0.34, which outweighs the 0.1 that is left
    row = label(policy([1, 1, 0.1, 0.1, 0.1]), solution(4), estimator="relative_effective")
    assert row.first_error == 1
    assert label(policy([1, 1, 0.1, 0.1, 0]), solution(4), rollouts=30).first_error > 1


def test_relative_progress_rolls_out_more_on_harder_problems() -> None:
    easy = label(policy([1] * 5), solution(4), estimator="relative_progress")
    hard = label(policy([0.0, 1, 1, 1, 1]), solution(4), estimator="relative_progress")
    assert easy.rollouts[:3] == [8, 8, 8] and hard.rollouts[:3] == [32, 32, 32]


def test_rollouts_go_on_in_the_form_of_the_splitter() -> None:
    engine = policy([1] * 5)
    label(engine, solution(3), splitter="blank_lines", rollouts=1)
    assert engine.calls[0][0].prefill == "Step 1.\n\n"


def test_the_second_verifier_judges_the_solutions_own_answer_too() -> None:
    engine, own = policy([1] * 5), solution(2, right=True)
    exact = label(engine, own, rollouts=3, second_verifier="exact").row()
    assert exact["verifier_checked"] == 3 + 1 and exact["verifier_disagreements"] == []
    other = own.model_copy(update={"answer": "10.0"})
    row = label(engine, other, rollouts=3, second_verifier="exact").row()
    assert [d["prefix"] for d in row["verifier_disagreements"]] == [1, 1, 1, 2]
    same = label(engine, own, rollouts=3, second_verifier="math").row()  # no opinion on itself
    assert same["verifier_checked"] == 0


def test_new_labels_drop_columns_of_earlier_labels() -> None:
    old = solution(2, right=True, merged=[1], settled=0.9, verifier_checked=3, source="kept")
    row = label(policy([1] * 3), old).row()
    assert row["source"] == "kept" and not {"merged", "settled", "verifier_checked"} & row.keys()


@pytest.mark.skipif(sandbox_program() is None, reason="no working bubblewrap")
def test_code_is_rolled_out_and_verified_by_its_tests() -> None:
    steps = ["def add(a, b):", "    return a - b"]
    tests = ["assert add(1, 2) == 3"]
    code = Solution(id="c", problem="Add two numbers.", tests=tests, steps=steps)

    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        return "# that is all" if "return" in prompt.prefill else "    return a + b"

    engine = ScriptedEngine(script, tokenizer=ScriptedTokenizer())
    row = label(engine, code, rollouts=2, splitter="code")
    assert row.labels == [True, False] and row.wins == [2, 0]
    with pytest.raises(InputError, match=r"\(splitter: code\)"):
        label(engine, code, rollouts=2)
