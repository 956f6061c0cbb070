"""Sampling solutions: one request, split, read, verified."""

from __future__ import annotations

import asyncio

import pytest

from genprm.config.solve import SolveConfig
from genprm.engines.scripted import ScriptedEngine, ScriptedTokenizer
from genprm.errors import EngineError, InputError, PromptTooLongError
from genprm.policy import solve_problem
from genprm.prompts.packs import load_pack
from genprm.records import Problem, Solution

PACK = load_pack("native")
PROBLEM = Problem(
    **{"id": "p", "problem": "2 * 3 + 4 =", "answer": "10", "task": "arithmetic", "level": 3}
)
TEXTS = [
    "2 * 3 = 6.\n6 + 4 = 10. So the answer is 10",
    "2 * 3 = 6.\n\n6 + 4 = 11. So the answer is 11.\n",
    "I do not know.",
    "So the answer is 10\n" + "word " * 50,
    "",
]
CONFIG = SolveConfig(samples_per_problem=5, max_tokens=40, temperature=0.8, top_p=0.9)


def policy(texts: list[str] = TEXTS, **options: object) -> ScriptedEngine:
    tokenizer = ScriptedTokenizer()
    return ScriptedEngine(lambda prompt, sampling, i: texts[i], tokenizer=tokenizer, **options)  # type: ignore[arg-type]


def solve(engine: ScriptedEngine, problem: Problem = PROBLEM, seed: int = 0) -> list[Solution]:
    return asyncio.run(solve_problem(engine, PACK, problem, CONFIG, seed))


def test_samples_are_split_read_and_verified() -> None:
    engine = policy()
    solutions = solve(engine)
    assert [s.steps for s in solutions[:2]] == [
        ["2 * 3 = 6.", "6 + 4 = 10. So the answer is 10"],
        ["2 * 3 = 6.", "6 + 4 = 11. So the answer is 11."],
    ]
    assert [(s.final_answer, s.outcome) for s in solutions] == [
        ("10", True),
        ("11", False),
        (None, None),
        (None, None),  # cut off: an answer stated before does not count
    ]
    ((prompt, sampling),) = engine.calls
    assert prompt.prefill == "" and prompt.messages[-1]["content"] == PROBLEM.problem
    assert (sampling.n, sampling.temperature, sampling.top_p, sampling.max_tokens) == (
        5,
        0.8,
        0.9,
        40,
    )


def test_columns_of_the_problem_and_the_cost_are_kept() -> None:
    rows = [s.row() for s in solve(policy(name="tiny"))]
    for row in rows:
        assert (row["problem"], row["answer"], row["level"]) == ("2 * 3 + 4 =", "10", 3)
        assert (row["policy"], row["problem_id"], row["task"]) == ("tiny", "p", "arithmetic")
        assert (row["splitter"], row["temperature"]) == ("lines", 0.8)
        assert row["completion_tokens"] > 0 and row["prompt_tokens"] > 0
    assert [row["sample"] for row in rows] == [0, 1, 2, 3]  # the empty one has no step
    assert [row["finish_reason"] for row in rows] == ["stop", "stop", "stop", "length"]


def test_ids_are_unique_and_stable() -> None:
    same = ["2 * 3 + 4 = 10"] * 5
    ids = [s.id for s in solve(policy(same))]
    assert len(set(ids)) == 5 and ids == [s.id for s in solve(policy(same))]
    others = [s.id for s in solve(policy(same), seed=1)]
    others += [s.id for s in solve(policy(same), Problem(**(PROBLEM.row() | {"id": "q"})))]
    assert len({*ids, *others}) == 15


def test_rounds_with_adjacent_seeds_share_no_sample_seed() -> None:
    engine = policy()
    solve(engine, seed=0)
    solve(engine, seed=1)
    first, second = (range(s.seed or 0, (s.seed or 0) + s.n) for _, s in engine.calls)
    assert not set(first) & set(second)


def test_errors_name_the_row_or_come_from_the_engine() -> None:
    with pytest.raises(InputError, match="problem 'p': no answer to verify against"):
        solve(policy(), Problem(id="p", problem="?"))
    with pytest.raises(PromptTooLongError):
        solve(policy(max_model_len=5))
    engine = policy()
    engine.alive = False
    with pytest.raises(EngineError):
        solve(engine)
