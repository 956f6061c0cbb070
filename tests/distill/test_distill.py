"""Critique writers, the agreement filter, balance, and critique targets."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genprm import tasks
from genprm.config.distill import DistillConfig, RuleConfig, TeacherConfig
from genprm.distill import balance
from genprm.distill.agreement import WrittenCritique, agrees, last_step_to_write, writer_first_error
from genprm.distill.targets import (
    MIN_WEIGHT,
    DistilledSolution,
    distill_solution,
    targets_for,
    weight,
)
from genprm.distill.writers import RuleWriter, TeacherWriter
from genprm.engines.scripted import ScriptedEngine, ScriptedTokenizer
from genprm.errors import EngineError, InputError
from genprm.generation import Prompt, Sampling
from genprm.labeling.labels import labels_from_values, unlabelled_reason
from genprm.prompts.packs import PromptPack, load_pack
from genprm.prompts.render import critique_prompt
from genprm.prompts.verdict import parse_verdict
from genprm.records import CritiqueTarget, LabelledSolution

PACK = load_pack("native")
EXACT = DistillConfig(rule=RuleConfig(error_rate=0.0))


def labelled(values: list[float | None], **columns: object) -> LabelledSolution:
    labels, first_error = labels_from_values(values)
    row = {
        "id": "s",
        "problem": "2 * 3 + 4 =",
        "answer": "10",
        "task": "arithmetic",
        "steps": [f"step {t}" for t in range(len(values))],
        "values": values,
        "wins": [int(8 * (v or 0)) for v in values],
        "rollouts": [8] * len(values),
        "labels": labels,
        "first_error": first_error,
        "estimator": "flat_hard",
        "unlabelled_reason": unlabelled_reason(values),
    }
    return LabelledSolution(**(row | columns))


def built_in(name: str, seed: int, slip_rate: float) -> LabelledSolution:
    """A written solution of a built-in task, labelled by the oracle."""
    problem, steps = tasks.get(name).solution(random.Random(seed), slip_rate)
    first_error = tasks.get(name).first_error(problem.problem, steps)
    wrong_from = first_error if first_error >= 0 else len(steps)
    values: list[float | None] = [float(t < wrong_from) for t in range(len(steps))]
    columns = {"id": f"{name}-{seed}", "steps": steps, "task": name}
    return labelled(values, **(problem.row() | columns))


def critiques(*verdicts: bool | None) -> list[WrittenCritique]:
    return [WrittenCritique(step=t, body=f"body {t}", correct=v) for t, v in enumerate(verdicts)]


def target(i: int, label: bool, task: str | None = "arithmetic") -> CritiqueTarget:
    return CritiqueTarget(
        **{
            "id": f"t{i}",
            "prompt": [{"role": "user", "content": f"prompt {i}"}],
            "completion": [{"role": "assistant", "content": f"critique {i}"}],
            "label": label,
            "step": 0,
            "source_id": "s",
            "writer": "w",
            "task": task,
        }
    )


target_lists = st.lists(
    st.tuples(st.booleans(), st.sampled_from(["arithmetic", "tracking", None])), max_size=30
).map(lambda rows: [target(i, label, task) for i, (label, task) in enumerate(rows)])
values_lists = st.lists(st.none() | st.sampled_from([0.0, 0.125, 1.0]), min_size=1, max_size=6)
verdict_lists = st.lists(st.none() | st.booleans(), min_size=6, max_size=6)


# --- agreement


@pytest.mark.parametrize(
    ("values", "verdicts", "agreed"),
    [
        ([1.0, 0.0, 0.0], [True, False], True),
        ([1.0, 0.0, 0.0], [False, False], False),
        ([1.0, 0.0, 0.0], [True, True], False),
        ([1.0, 0.0, 0.0], [None, False], False),
        ([1.0, 1.0], [True, True], True),
        ([1.0, 1.0], [True, False], False),
        ([1.0, 1.0], [True], False),
        ([None, 0.0], [True, True], False),
    ],
)
def test_agreement_is_on_the_first_error(
    values: list[float | None], verdicts: list[bool | None], agreed: bool
) -> None:
    assert agrees(labelled(values), critiques(*verdicts)) is agreed


@settings(deadline=None)
@given(values_lists, verdict_lists)
def test_the_filter_never_keeps_a_disagreement(
    values: list[float | None], verdicts: list[bool | None]
) -> None:
    solution, written_critiques = labelled(values), critiques(*verdicts)
    kept = agrees(solution, written_critiques)
    upto = last_step_to_write(solution)
    same_labels = solution.labels[: upto + 1] == [c.correct for c in written_critiques[: upto + 1]]
    assert kept == (same_labels and unlabelled_reason(values) is None)


def test_steps_before_an_uncertain_one_become_targets_and_no_others() -> None:
    solution = labelled([1.0, 1.0, None], labels=[True, True, None], unlabelled_reason="open")
    assert agrees(solution, critiques(True, True)) and not agrees(solution, critiques(True, False))
    to_the_end = labelled([1.0, 0.0, 0.0], labels=[True, False, False])  # as in other datasets
    assert last_step_to_write(to_the_end) == 1
    good = built_in("arithmetic", 3, slip_rate=0.0)
    labels = [True] * (len(good.steps) - 1) + [None]
    row = good.model_copy(update={"labels": labels, "first_error": -1})
    writer = RuleWriter(EXACT, seed=0)
    distilled = asyncio.run(distill_solution(row, writer, PACK, EXACT))
    assert [t.step for t in distilled.targets] == list(range(len(good.steps) - 1))
    assert {c.step for c in distilled.written} == {t.step for t in distilled.targets}


def test_several_critiques_vote_and_a_tie_is_incorrect() -> None:
    def make_critiques(*verdicts: bool | None) -> list[WrittenCritique]:
        return [WrittenCritique(step=0, body="b", correct=v) for v in verdicts]

    assert writer_first_error(make_critiques(True, True, False), 0) == -1
    assert writer_first_error(make_critiques(True, False), 0) == 0
    assert writer_first_error(make_critiques(True, None, None), 0) == -1
    assert writer_first_error(make_critiques(None, None), 0) is None


# --- balance


@settings(deadline=None)
@given(target_lists, st.randoms(use_true_random=False))
def test_balance_ignores_order(rows: list[CritiqueTarget], rng: random.Random) -> None:
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert {t.id for t in balance(rows).targets} == {t.id for t in balance(shuffled).targets}


@settings(deadline=None)
@given(target_lists, st.sampled_from([1.0, 1.5, 3.0]))
def test_balance_is_idempotent_and_keeps_the_order(
    rows: list[CritiqueTarget], ratio: float
) -> None:
    once = balance(rows, ratio)
    assert balance(once.targets, ratio).targets == once.targets
    assert once.targets == [t for t in rows if t in once.targets]


@settings(deadline=None)
@given(target_lists)
def test_balance_keeps_the_whole_minority_of_each_task(rows: list[CritiqueTarget]) -> None:
    kept, counts = balance(rows)
    for task in ("arithmetic", "tracking", None):
        given_classes = Counter(t.label for t in rows if t.task == task)  # type: ignore[attr-defined]
        kept_classes = Counter(t.label for t in kept if t.task == task)  # type: ignore[attr-defined]
        minority = min(given_classes[True], given_classes[False])
        assert kept_classes[True] == kept_classes[False] == minority
        if given_classes:
            assert (counts[task or ""].correct, counts[task or ""].kept_correct) == (
                given_classes[True],
                minority,
            )


def test_balance_ratio_keeps_more_of_the_majority() -> None:
    rows = [target(i, label=i % 5 > 0) for i in range(50)]
    kept = Counter(t.label for t in balance(rows, ratio=2).targets)
    assert kept == {True: 20, False: 10}


def test_balance_keeps_last_steps_apart_where_both_places_have_both_classes() -> None:
    def rows(wrong_last: int) -> list[CritiqueTarget]:
        labels = [*[True] * 40, *[False] * 4, *[True] * 6, *[False] * wrong_last]
        return [
            target(i, label=label).model_copy(update={"last": i >= 44})
            for i, label in enumerate(labels)
        ]

    kept, counts = balance(rows(wrong_last=12))
    assert Counter((t.row()["last"], t.label) for t in kept) == {
        (False, True): 4,
        (False, False): 4,
        (True, True): 6,
        (True, False): 6,
    }
    assert [(group, count.kept_correct) for group, count in counts.items()] == [
        ("arithmetic", 4),
        ("arithmetic, last step", 6),
    ]
    assert len(balance(kept).targets) == len(kept)
    together = balance(rows(wrong_last=0)).counts
    assert [(group, count.correct) for group, count in together.items()] == [("arithmetic", 46)]


def test_balance_does_not_take_the_first_rows() -> None:
    rows = [target(i, label=i >= 10) for i in range(110)]
    kept = [int(t.id[1:]) for t in balance(rows).targets if t.label]
    assert len(kept) == 10 and max(kept) > 60


# --- targets


@settings(deadline=None)
@given(values_lists, verdict_lists)
def test_targets_end_at_the_first_error_and_never_contradict_themselves(
    values: list[float | None], verdicts: list[bool | None]
) -> None:
    solution = labelled(values)
    targets = targets_for(solution, critiques(*verdicts[: len(values)]), PACK, "w")
    for row in targets:
        assert row.label is solution.labels[row.step] is verdicts[row.step]
        assert solution.first_error == -1 or row.step <= solution.first_error
        verdict = parse_verdict(PACK, row.completion[-1]["content"])
        assert verdict == ("correct" if row.label else "incorrect")
    assert len({row.id for row in targets}) == len(targets)


def test_a_target_is_the_prompt_that_scoring_sends() -> None:
    solution = labelled([1.0, 0.0])
    rows = targets_for(solution, critiques(True, False), PACK, "w")
    for row in rows:
        prompt = critique_prompt(PACK, None, solution.problem, solution.steps[: row.step + 1])
        assert row.prompt == list(prompt.messages)
    assert rows[1].completion == [{"role": "assistant", "content": "body 1\nVerdict: incorrect"}]
    row = rows[1].row()
    assert (row["source_id"], row["task"], row["writer"], row["value"]) == (
        "s",
        "arithmetic",
        "w",
        0.0,
    )


def test_a_whole_solution_is_one_target_up_to_its_first_error() -> None:
    pack = load_pack("native-solution")
    solution = labelled([1.0, 1.0, 0.0, 0.0])
    written_critiques = critiques(True, True, False)
    written_critiques += [WrittenCritique(step=1, body="other", correct=True)]
    first, second = targets_for(solution, written_critiques, pack, "w")
    assert first.completion[0]["content"] == (
        "body 0\nVerdict: correct\nbody 1\nVerdict: correct\nbody 2\nVerdict: incorrect"
    )
    assert "other" in second.completion[0]["content"] and first.id != second.id
    assert (first.label, first.step) == (False, 2)
    prompt = critique_prompt(pack, None, solution.problem, solution.steps)
    assert first.prompt == list(prompt.messages)
    [good] = targets_for(labelled([1.0, 1.0]), critiques(True, True), pack, "w")
    assert good.label and good.completion[0]["content"].count("Verdict: correct") == 2
    # a critique of all steps cannot skip one without a label or without agreement
    uncertain = labelled([1.0, 1.0, None], labels=[True, True, None], unlabelled_reason="open")
    assert targets_for(uncertain, critiques(True, True), pack, "w") == []
    assert targets_for(solution, critiques(True, False, False), pack, "w") == []


def test_a_target_in_a_conversation_has_the_critiques_before_it() -> None:
    native = load_pack("native").model_dump()
    turns = {"unit": "turns", "next_turn": "Next step:\n{step}"}
    pack = PromptPack.model_validate(native | turns)
    solution = labelled([1.0, 1.0, 0.0])
    *_, last = targets_for(solution, critiques(True, True, False), pack, "w")
    roles = [message["role"] for message in last.prompt]
    assert roles == ["system", *("user", "assistant") * 2, "user"]
    assert last.prompt[2]["content"] == "body 0\nVerdict: correct"
    assert last.prompt[-1]["content"] == "Next step:\nstep 2"
    assert last.completion[0]["content"] == "body 2\nVerdict: incorrect"
    prompt = critique_prompt(
        pack, None, solution.problem, solution.steps, [m["content"] for m in last.prompt[2:-1:2]]
    )
    assert last.prompt == list(prompt.messages)
    # a conversation ends where no critique agrees with the label
    assert len(targets_for(solution, critiques(True, False, False), pack, "w")) == 1


def test_weights_follow_soft_values_to_the_side_of_the_label() -> None:
    assert weight(True, 0.125, "flat_hard") == 1.0
    assert weight(True, 0.5, "flat_soft") == 0.5
    assert weight(True, 0.01, "flat_soft") == MIN_WEIGHT
    assert weight(False, 0.0, "flat_soft") == 1.0
    assert weight(True, None, "flat_soft") == 1.0


# --- rule writer


@pytest.mark.parametrize("name", sorted(tasks.TASKS))
def test_the_exact_rule_writer_agrees_with_the_oracle(name: str) -> None:
    writer, seen = RuleWriter(EXACT, 0), Counter[bool]()
    for seed in range(30):
        solution = built_in(name, seed, slip_rate=(0.1, 0.4, 1.0)[seed % 3])
        row = asyncio.run(distill_solution(solution, writer, PACK, EXACT))
        assert row.reason is None, (solution.steps, row)
        assert [t.label for t in row.targets] == [x for x in solution.labels if x is not None]
        seen.update(t.label for t in row.targets)
    assert seen[True] > 10 and seen[False] > 5


@pytest.mark.slow
def test_the_rule_writer_errs_at_its_rate() -> None:
    writer = RuleWriter(DistillConfig(rule=RuleConfig(error_rate=0.25)), 0)
    verdicts = []
    for seed in range(150):
        row = built_in("arithmetic", seed, slip_rate=0.0)
        written_critiques = asyncio.run(writer.write(row, row.steps, len(row.steps) - 1))
        verdicts += [critique.correct for critique in written_critiques]
    wrong = verdicts.count(False) / len(verdicts)
    assert len(verdicts) > 500 and abs(wrong - 0.25) < 0.08  # over four standard errors


def test_the_rule_writer_depends_on_row_and_seed_and_not_on_order() -> None:
    rows = [built_in("tracking", seed, 0.2) for seed in range(12)]
    config = DistillConfig(rule=RuleConfig(error_rate=0.5), critiques_per_step=2)

    def write_all(order: list[LabelledSolution], seed: int) -> dict[str, list[WrittenCritique]]:
        writer = RuleWriter(config, seed)
        return {
            row.id: asyncio.run(writer.write(row, row.steps, last_step_to_write(row)))
            for row in order
        }

    forward = write_all(rows, 0)
    assert forward == write_all(rows[::-1], 0)
    assert forward != write_all(rows, 1)
    verdicts = [
        [critique.correct for critique in written_critiques]
        for written_critiques in forward.values()
    ]
    assert any(v[::2] != v[1::2] for v in verdicts)  # copies of one step err independently


def test_the_rule_writer_refuses_what_it_does_not_know() -> None:
    with pytest.raises(InputError, match=r"solution 's': the rule writer knows .* not 'math'"):
        asyncio.run(RuleWriter(EXACT, 0).write(labelled([1.0], task="math"), ["x"], 0))


def test_a_lower_error_rate_keeps_more() -> None:
    rows = [built_in("tracking", seed, 0.2) for seed in range(40)]

    def kept(rate: float) -> int:
        config = DistillConfig(rule=RuleConfig(error_rate=rate))
        writer = RuleWriter(config, 0)
        done = [asyncio.run(distill_solution(row, writer, PACK, config)) for row in rows]
        assert all(bool(row.targets) == (row.reason is None) for row in done)
        return sum(bool(row.targets) for row in done)

    assert kept(0.0) == 40 > kept(0.15) > kept(0.6)


# --- distil one solution


def test_an_unlabelled_solution_is_one_row_with_its_reason_and_costs_nothing() -> None:
    engine = ScriptedEngine(lambda *_: "b\nVerdict: correct", tokenizer=ScriptedTokenizer())
    writer = TeacherWriter(engine, PACK, DistillConfig(), 0)
    row = asyncio.run(distill_solution(labelled([None, 1.0]), writer, PACK, DistillConfig()))
    assert row.targets == [] and row.written == [] and engine.calls == []
    assert row.reason is not None and row.reason.startswith("unlabelled: step 0")


def distil_with_teacher(
    config: DistillConfig, values: list[float | None], *texts: str, **options: object
) -> tuple[DistilledSolution, ScriptedEngine]:
    """Each text answers one step; n copies of a step get `texts[step * n + i]`."""

    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        step = sum(prompt.messages[-1]["content"].count(f"step {t}\n") for t in range(9)) - 1
        return texts[step * sampling.n + i]

    engine = ScriptedEngine(script, tokenizer=ScriptedTokenizer(), name="teacher", **options)  # type: ignore[arg-type]
    writer = TeacherWriter(engine, PACK, config, 0)
    return asyncio.run(distill_solution(labelled(values), writer, PACK, config)), engine


def test_a_teacher_that_agrees_makes_targets() -> None:
    row, engine = distil_with_teacher(
        DistillConfig(teacher=TeacherConfig(temperature=0.3, max_tokens=99)),
        [1.0, 0.0, 0.0],
        "Fine.\nVerdict: correct",
        "6 + 4 is 10.\nVerdict: incorrect\nand more",
    )
    assert row.reason is None
    assert [(t.label, t.writer) for t in row.targets] == [(True, "teacher"), (False, "teacher")]
    assert row.targets[1].completion[0]["content"] == "6 + 4 is 10.\nVerdict: incorrect"
    assert all(c.tokens > 0 for c in row.written)
    assert len(engine.calls) == 2  # no request after the first error
    assert {(s.temperature, s.max_tokens) for _, s in engine.calls} == {(0.3, 99)}


@pytest.mark.parametrize(
    "text",
    [
        "No verdict here.",
        "\nVerdict: correct",
        "Fine.\nVerdict: maybe",
        "Fine.\nVerdict: incorrect\nNo:\nVerdict: correct",
        "word " * 60 + "\nVerdict: correct",
    ],
)
def test_a_teacher_without_one_clear_verdict_is_a_disagreement(text: str) -> None:
    config = DistillConfig(teacher=TeacherConfig(max_tokens=50))
    row, _ = distil_with_teacher(config, [1.0], text)
    assert row.targets == [] and [c.correct for c in row.written] == [None]
    assert row.reason == "disagreement: rollouts say no error up to step 0, writer no verdict"


def test_the_filter_is_per_solution_and_without_it_per_critique() -> None:
    texts = ("ok\nVerdict: correct", "ok\nVerdict: correct")
    filtered, _ = distil_with_teacher(DistillConfig(), [1.0, 0.0], *texts)
    assert filtered.targets == []
    assert filtered.reason == "disagreement: rollouts say first error 1, writer first error -1"
    loose, _ = distil_with_teacher(DistillConfig(filter=False), [1.0, 0.0], *texts)
    assert [t.step for t in loose.targets] == [0]


def test_of_several_critiques_those_that_contradict_the_label_are_left_out() -> None:
    row, _ = distil_with_teacher(
        DistillConfig(critiques_per_step=3),
        [1.0],
        *("a\nVerdict: correct", "b\nVerdict: incorrect", "c\nVerdict: correct"),
    )
    assert [t.completion[0]["content"][0] for t in row.targets] == ["a", "c"]
    assert len({t.id for t in row.targets}) == 2


def test_the_teacher_sees_the_label_only_when_asked_to() -> None:
    texts = ("ok\nVerdict: correct", "no\nVerdict: incorrect")
    _, blind = distil_with_teacher(DistillConfig(), [1.0, 0.0], *texts)
    assert not any("is known" in p.messages[-1]["content"] for p, _ in blind.calls)
    row, engine = distil_with_teacher(
        DistillConfig(teacher=TeacherConfig(show_label=True)), [1.0, 0.0], *texts
    )
    questions = [prompt.messages[-1]["content"] for prompt, _ in engine.calls]
    assert "is known: correct." in questions[0] and "is known: incorrect." in questions[1]
    assert row.targets[0].writer == "teacher(shown label)"
    assert not any("is known" in m["content"] for t in row.targets for m in t.prompt)


def test_a_step_beyond_the_teachers_context_has_no_verdict() -> None:
    row, _ = distil_with_teacher(DistillConfig(), [1.0], "", max_model_len=10)
    assert row.written[0].correct is None and "does not fit" in row.written[0].body


def test_a_dead_teacher_raises_and_writes_no_row() -> None:
    def dead(*_: object) -> str:
        raise EngineError("dead")

    writer = TeacherWriter(ScriptedEngine(dead), PACK, DistillConfig(), 0)
    with pytest.raises(EngineError, match="dead"):
        asyncio.run(distill_solution(labelled([1.0, 1.0]), writer, PACK, DistillConfig()))
