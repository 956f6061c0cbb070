"""The built-in tasks: exact answers, oracles, a rule writer that errs at a configured rate."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genprm import tasks
from genprm.errors import InputError
from genprm.tasks.arithmetic import expressions, problems
from genprm.tasks.arithmetic.solutions import cuts, draw_parts, flatten, skeleton
from genprm.tasks.tracking.oracle import names, read_problem
from places import SAMPLES

TRACES = SAMPLES / "bigbench_mistake_sample.jsonl"
SEEDS = st.integers(min_value=0, max_value=10**9)


@pytest.mark.parametrize("name", sorted(tasks.TASKS))
def test_problems_are_seeded_and_a_larger_n_only_adds(name: str) -> None:
    few, more = tasks.load(f"task:{name}?n=3&seed=5"), tasks.load(f"task:{name}?n=6&seed=5")
    assert [p.row() for p in few] == [p.row() for p in more[:3]]
    assert len({p.id for p in more}) == 6
    assert [p.problem for p in tasks.load(f"task:{name}?n=3&seed=6")] != [p.problem for p in few]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("task:chess", "unknown task 'chess'"),
        ("task:arithmetic?n=many", "n must be a whole number"),
        ("task:arithmetic?variant=easy", "no option variant=easy"),
        ("task:tracking?colour=red", "no option colour=red"),
    ],
)
def test_a_bad_task_name_or_option_is_named(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tasks.load(spec)


@pytest.mark.parametrize("name", sorted(tasks.TASKS))
@given(seed=SEEDS)
def test_written_solutions_without_a_slip_are_right(name: str, seed: int) -> None:
    task = tasks.get(name)
    problem, steps = task.solution(random.Random(seed), slip_rate=0.0)
    assert task.first_error(problem.problem, steps) == -1


@pytest.mark.parametrize("name", sorted(tasks.TASKS))
@given(seed=SEEDS)
def test_a_writer_that_never_errs_names_the_oracles_first_error(name: str, seed: int) -> None:
    task, rng = tasks.get(name), random.Random(seed)
    problem, steps = task.solution(rng, slip_rate=0.8)
    verdicts = [
        task.critique(problem.problem, steps[: t + 1], rng, 0.0).correct for t in range(len(steps))
    ]
    first_error = verdicts.index(False) if False in verdicts else -1
    assert first_error == task.first_error(problem.problem, steps)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(tasks.TASKS))
def test_the_writer_errs_at_the_rate_it_is_given(name: str) -> None:
    task, rng, wrong, n = tasks.get(name), random.Random(1), 0, 1500
    for _ in range(n):
        problem, steps = task.solution(rng, slip_rate=0.5)
        truth = task.critique(problem.problem, steps[:2], rng, 0.0).correct
        wrong += task.critique(problem.problem, steps[:2], rng, 0.15).correct != truth
    assert 0.12 < wrong / n < 0.18  # three standard errors around 0.15


@pytest.mark.parametrize("name", sorted(tasks.TASKS))
def test_slips_are_found(name: str) -> None:
    task, rng = tasks.get(name), random.Random(2)
    drawn = [task.solution(rng, slip_rate=1.0) for _ in range(300)]
    count = sum(task.first_error(problem.problem, steps) >= 0 for problem, steps in drawn)
    assert count > 150  # some slips have nothing to slip on


@pytest.mark.parametrize("name", sorted(tasks.TASKS))
def test_pretraining_facts_hold_no_verdict(name: str) -> None:
    task, rng = tasks.get(name), random.Random(3)
    text = "\n".join(task.facts(rng) for _ in range(500)).lower()
    assert not any(word in text for word in ("verdict", "correct", "step", "wrong"))


@given(seed=SEEDS)
def test_expressions_survive_rendering_and_reading(seed: int) -> None:
    node = problems.draw(random.Random(seed))
    assert expressions.parse(expressions.render(node)) == node
    assert expressions.parse(problems.text_of(node)) == node
    operations = expressions.operations(node)
    assert operations[-1].result == expressions.evaluate(node)
    assert all(expressions.apply(*op[:3]) == op.result for op in operations)


@given(seed=SEEDS)
def test_a_plan_without_brackets_has_the_same_value(seed: int) -> None:
    rng = random.Random(seed)
    node = problems.draw(rng)
    parts = draw_parts(node, rng)
    frame = skeleton(node, parts, "ABCDEFGH")
    values = {letter: rng.randint(-99, 99) for letter in "ABCDEFGH"}
    assert expressions.evaluate(frame, values) == expressions.evaluate(flatten(frame), values)
    own = dict(zip("ABCDEFGH", map(expressions.evaluate, parts), strict=False))
    assert expressions.evaluate(frame, own) == expressions.evaluate(node)


def test_letters_can_stand_for_brackets_of_any_depth() -> None:
    problem = expressions.parse("((1 + 2) - (3 * 4)) * ((5 + 6) - (7 - 8))")
    frames = [skeleton(problem, way, "ABCDEFGH") for way in cuts(problem)]
    shown = [expressions.render(frame, outer=False) for frame in frames]
    assert shown == ["A * B", "A * (B - C)", "(A - B) * C", "(A - B) * (C - D)"]


@given(left=st.integers(-9999, 9999), right=st.integers(-9999, 9999))
def test_long_multiplication_ends_in_the_product(left: int, right: int) -> None:
    if expressions.needs_long_multiplication(left, right):
        lines = expressions.long_multiplication(left, right)
        assert lines[-1].result == left * right
        assert all(expressions.apply(*line[:3]) == line.result for line in lines)


@pytest.mark.parametrize(
    "text", ["", "(", "3 +", "3 4", "(3 - 4", "3 - 4)", "3 / 4", "A + x1", "(" * 500 + "1"]
)
def test_unreadable_expressions_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        expressions.evaluate(expressions.parse(text))


@pytest.mark.parametrize(
    ("answer", "true", "fits"),
    [
        ("red", "red", True),
        ("Gatsby", "The Great Gatsby", True),
        ("Hound", "Hound of the Baskervilles", True),
        ("fellowship of the ring", "The Fellowship of the Ring", True),
        ("Catch", "Catch-22", True),
        ("left", "left winger", False),  # there is a left midfielder, too
        ("winger", "left winger", False),
        ("left winger", "left winger", True),
        ("The", "The Odyssey", False),
        ("blue", "red", False),
        ("", "The Odyssey", False),
    ],
)
def test_short_names_of_things(answer: str, true: str, fits: bool) -> None:
    assert names(answer, true) is fits


def test_a_foreign_problem_is_refused() -> None:
    for task in tasks.TASKS.values():
        with pytest.raises(ValueError):
            task.first_error("What is the capital of France?", ["Paris."])
    with pytest.raises(ValueError):
        read_problem("Alice, Bob, and Claire are playing a game.")


def test_the_oracles_agree_with_people_on_real_traces() -> None:
    rows = [json.loads(line) for line in TRACES.read_text().splitlines()]
    assert {row["task"] for row in rows} == set(tasks.TASKS)
    for row in rows:
        first_error = tasks.get(row["task"]).first_error(row["problem"], row["steps"])
        assert first_error == row["first_error"], row["id"]


@pytest.mark.parametrize("name", sorted(tasks.TASKS))
@given(steps=st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_the_oracle_calls_noise_wrong_at_once(name: str, steps: list[str]) -> None:
    problem = tasks.get(name).generate(1, 0)[0]
    assert tasks.get(name).first_error(problem.problem, steps) == 0
