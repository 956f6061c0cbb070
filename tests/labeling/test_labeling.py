"""Rollout counts, flat values, and what values become as labels."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genprm.config.label import LabelConfig
from genprm.engines.scripted import ScriptedEngine, ScriptedTokenizer
from genprm.errors import ConfigError, EngineError, InputError
from genprm.generation import Prompt, Sampling
from genprm.labeling.labels import labels_from_values, unlabelled_reason
from genprm.labeling.rollouts import RolloutCounts, policy_of, rollout_prefix
from genprm.labeling.solution import label_solution
from genprm.prompts.packs import load_pack
from genprm.records import LabelledSolution, Problem, Solution
from genprm.util.seeds import derive_seed

PACK = load_pack("native")
PROBLEM = Problem(id="p", problem="What is 2 * 3 + 4?", answer="10", task="math")
RIGHT, WRONG = "So the answer is 10", "So the answer is 11"
STEPS = ["2 * 3 = 6.", "6 + 4 = 11.", WRONG]
CONFIG = LabelConfig(rollouts=4)

values_lists = st.lists(st.none() | st.sampled_from([0.0, 0.125, 0.5, 1.0]), max_size=8)


def solution(steps: list[str] = STEPS, **columns: object) -> Solution:
    return Solution(**(PROBLEM.row() | {"id": "s", "steps": steps, **columns}))


def engine_by_prefix(*texts_per_step: list[str], **options: object) -> ScriptedEngine:
    """An engine that answers a prefix of t steps with the t-th list of rollouts."""

    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        return texts_per_step[prompt.prefill.count("\n") - 1][i]

    return ScriptedEngine(script, tokenizer=ScriptedTokenizer(), **options)  # type: ignore[arg-type]


def label(engine: ScriptedEngine, given_solution: Solution, **config: object) -> LabelledSolution:
    settings = CONFIG.model_copy(update=config)
    return asyncio.run(label_solution(engine, PACK, given_solution, settings, 0))


@settings(deadline=None)
@given(values_lists)
def test_labels_stop_at_the_first_error(values: list[float | None]) -> None:
    labels, first_error = labels_from_values(values)
    assert len(labels) == len(values)
    if unlabelled_reason(values):
        assert set(labels) == {None} and first_error == -1
    elif first_error == -1:
        assert labels == [True] * len(values)
    else:
        assert labels[:first_error] == [True] * first_error
        assert labels[first_error] is False
        assert set(labels[first_error + 1 :]) <= {None}


@settings(deadline=None)
@given(values_lists)
def test_a_null_counts_only_before_the_first_error(values: list[float | None]) -> None:
    before = values[: values.index(0.0)] if 0.0 in values else values
    assert (unlabelled_reason(values) is not None) == (None in before)


@settings(deadline=None)
@given(values_lists, values_lists)
def test_what_follows_the_first_error_changes_nothing(
    values: list[float | None], tail: list[float | None]
) -> None:
    shorter = labels_from_values([*values, 0.0])
    longer = labels_from_values([*values, 0.0, *tail])
    assert longer.first_error == shorter.first_error
    assert longer.labels[: len(values) + 1] == shorter.labels


def test_one_win_in_eight_is_a_correct_step() -> None:
    assert labels_from_values([1.0, 0.125, 0.0]) == ([True, True, False], 2)


@settings(deadline=None)
@given(st.lists(st.sampled_from([True, False, None]), max_size=8))
def test_a_value_is_wins_over_all_rollouts_and_null_if_all_are_invalid(
    outcomes: list[bool | None],
) -> None:
    counts = RolloutCounts(tuple(outcomes))
    assert counts.wins + outcomes.count(False) + counts.invalid == counts.rollouts
    if set(outcomes) <= {None}:
        assert counts.value is None and counts.why_no_value()
    else:
        assert counts.value == outcomes.count(True) / len(outcomes)
        assert counts.why_no_value() is None


def test_one_request_per_prefix_and_every_kind_of_rollout_is_counted() -> None:
    texts = [RIGHT, "6 + 4 = 11.\n" + WRONG, "So on and on.", "1 " * 50 + RIGHT]
    engine = engine_by_prefix(texts)
    config = LabelConfig(max_tokens=40, temperature=0.7, top_p=0.9)
    policy = policy_of(engine, PACK, config, "lines")
    counts = asyncio.run(rollout_prefix(policy, PROBLEM, STEPS[:1], 4, 17))
    assert counts.outcomes == (True, False, None, None)
    assert (counts.wins, counts.rollouts, counts.invalid, counts.truncated) == (1, 4, 2, 1)
    assert counts.value == 0.25
    ((prompt, sampling),) = engine.calls
    assert prompt.prefill == "2 * 3 = 6.\n"
    assert sampling == Sampling(n=4, temperature=0.7, top_p=0.9, max_tokens=40, seed=17)
    assert counts.usage.completion_tokens > 40 and counts.usage.requests == 1


def test_values_labels_and_outcomes_of_a_wrong_solution() -> None:
    engine = engine_by_prefix([RIGHT, WRONG, RIGHT, "?"], [WRONG, "?", WRONG, WRONG])
    row = label(engine, solution()).row()
    assert row["values"] == [0.5, 0.0, 0.0]
    assert row["labels"] == [True, False, None]
    assert row["first_error"] == 1
    assert row["outcomes"] == [[True, False, True, None], [False, None, False, False], [False]]
    assert row["wins"] == [2, 0, 0]
    assert row["rollouts"] == [4, 4, 1]
    assert row["invalid"] == [1, 1, 0]
    assert row["estimator"] == "flat_hard"
    assert row["unlabelled_reason"] is None
    assert row["cost"]["rollouts"] == 8  # the last step costs none
    assert row["cost"]["completion_tokens"] > 0 and row["cost"]["prompt_tokens"] > 0
    assert len(engine.calls) == 2


def test_the_given_outcome_is_the_last_value() -> None:
    engine = engine_by_prefix([RIGHT] * 4, [RIGHT] * 4)
    labelled = label(engine, solution(outcome=True, final_answer="ten"))
    assert labelled.values == [1.0, 1.0, 1.0]
    assert labelled.labels == [True, True, True] and labelled.first_error == -1


def test_an_unfinished_solution_is_rolled_out_to_its_last_step() -> None:
    engine = engine_by_prefix([RIGHT] * 4, [WRONG] * 4)
    labelled = label(engine, solution(STEPS[:2]))
    assert labelled.rollouts == [4, 4] and labelled.first_error == 1


@pytest.mark.parametrize("end", [["The answer is:", "10"], ["# Answer", "$$", "10", "$$"]])
def test_an_answer_may_take_several_steps(end: list[str]) -> None:
    engine = engine_by_prefix(*[[RIGHT] * 4] * 9)
    assert label(engine, solution([*STEPS[:2], *end])).values[-1] == 1.0
    unfinished = solution([*STEPS[:2], *end, "Now to check."])
    assert label(engine, unfinished).rollouts[-1] == 4


def test_a_solution_of_one_step_needs_no_engine() -> None:
    engine = engine_by_prefix()
    labelled = label(engine, solution([RIGHT]))
    assert labelled.values == [1.0] and labelled.labels == [True] and engine.calls == []


def test_all_rollouts_invalid_is_null_with_a_reason_and_unlabels_the_solution() -> None:
    engine = engine_by_prefix(["?", "", "1 " * 90, "1 " * 90], [WRONG] * 4)
    row = label(engine, solution(), max_tokens=60).row()
    assert row["values"] == [None, 0.0, 0.0]
    assert row["value_reasons"] == ["all 4 rollouts invalid, 2 of them truncated", None, None]
    assert row["labels"] == [None, None, None]
    assert row["first_error"] == -1
    assert "step 0" in row["unlabelled_reason"]


def test_a_null_after_the_first_error_does_not_unlabel() -> None:
    engine = engine_by_prefix([WRONG] * 4, ["?"] * 4)
    labelled = label(engine, solution())
    assert labelled.values == [0.0, None, 0.0]
    assert labelled.labels == [False, None, None] and labelled.first_error == 0


def test_a_prefix_beyond_the_context_is_null_with_both_lengths() -> None:
    short = len(STEPS[0].split()) * 20
    engine = engine_by_prefix([RIGHT] * 4, [], max_model_len=short)
    row = label(engine, solution([STEPS[0], "1 " * short, WRONG])).row()
    assert row["values"] == [1.0, None, 0.0]
    assert f"does not fit the context of {short}" in row["value_reasons"][1]
    assert row["rollouts"] == [4, 0, 1]


def test_extra_columns_pass_through() -> None:
    engine = engine_by_prefix([RIGHT] * 4, [RIGHT] * 4)
    assert label(engine, solution(difficulty=3)).row()["difficulty"] == 3


def test_no_answer_names_the_row() -> None:
    with pytest.raises(InputError, match="problem 's': no answer to verify against"):
        label(engine_by_prefix(), solution(answer=None))


def test_an_empty_step_names_row_and_step() -> None:
    with pytest.raises(InputError, match="solution 's': step 1 is empty"):
        label(engine_by_prefix(), solution([STEPS[0], " ", WRONG]))


def test_an_engine_that_cannot_continue_a_prefix_is_refused() -> None:
    with pytest.raises(ConfigError, match="prefill"):
        label(engine_by_prefix(prefill=False), solution())


def test_a_dead_engine_ends_the_solution_with_its_own_error() -> None:
    engine = engine_by_prefix([RIGHT] * 4, [RIGHT] * 4)
    engine.alive = False
    with pytest.raises(EngineError):
        label(engine, solution())


def test_all_prefixes_are_in_flight_together_and_none_survives_a_failure() -> None:
    class Stuck(ScriptedEngine):
        waiting, ended = 0, 0

        async def generate(self, prompt: Prompt, sampling: Sampling, **labels: object):  # type: ignore
            if prompt.prefill.count("\n") == 4:  # the last one to be rolled out
                assert self.waiting == 3
                raise EngineError("dead")
            self.waiting += 1
            try:
                await asyncio.sleep(60)
            finally:
                self.ended += 1

    engine = Stuck(lambda *_: "", tokenizer=ScriptedTokenizer())
    with pytest.raises(EngineError, match="dead"):
        label(engine, solution([*"abcd", WRONG]))
    assert engine.waiting == engine.ended == 3


def test_seeds_follow_from_the_row_and_never_overlap() -> None:
    def seeds(seed: int, name: str) -> set[int]:
        engine = engine_by_prefix([RIGHT] * 4, [RIGHT] * 4)
        asyncio.run(label_solution(engine, PACK, solution(id=name), CONFIG, seed))
        return {(s.seed or 0) + i for _, s in engine.calls for i in range(s.n)}

    assert seeds(0, "a") == seeds(0, "a")
    distinct = [seeds(0, "a"), seeds(1, "a"), seeds(0, "b")]
    assert len(set().union(*distinct)) == sum(map(len, distinct)) == 24


@settings(deadline=None)
@given(st.integers(), st.text())
def test_derived_seeds_leave_room_for_children(seed: int, name: str) -> None:
    assert 0 <= derive_seed(seed, name) < 2**31 - 2**20
