"""Critique targets: the text that the critic learns to write, after the prompt of scoring.

One labelled solution with the critiques written for it becomes one `DistilledSolution`. Writing
its targets as rows and balancing them is a later, cheap step. Knows no file and no batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from genprm.config.distill import DistillConfig
from genprm.distill.agreement import WrittenCritique, agrees, last_step_to_write, writer_first_error
from genprm.distill.writers import CritiqueWriter
from genprm.generation import Message
from genprm.prompts.packs import PromptPack
from genprm.prompts.render import critic_turn, critique_target_messages, solution_target_messages
from genprm.records import CritiqueTarget, LabelledSolution, Record

MIN_WEIGHT = 0.1  # an uncertain label still says something


class DistilledSolution(Record):
    """The targets of one labelled solution, one record per input row.

    `reason` says why there are no targets, and is null if there are some: `unlabelled: ...` for a
    solution without labels, `disagreement: ...` for one that the filter dropped. `written` keeps
    the writer's critiques, dropped or not, so that the writer can be measured.
    """

    id: str
    task: str | None
    targets: list[CritiqueTarget]
    written: list[WrittenCritique]
    reason: str | None = None


async def distill_solution(
    labelled: LabelledSolution, writer: CritiqueWriter, pack: PromptPack, config: DistillConfig
) -> DistilledSolution:
    """Have critiques written up to the first error, filter the solution, make its targets.

    An unlabelled solution costs nothing: no critique is written for it. Without
    `config.filter` only the single critiques that contradict their label are dropped.

    Raises:
        InputError: the writer does not know the row's task.
        EngineError: from a teacher's engine.
    """
    if all(label is None for label in labelled.labels):
        reason = f"unlabelled: {labelled.unlabelled_reason or 'no labels'}"
        return DistilledSolution(
            id=labelled.id, task=labelled.task, targets=[], written=[], reason=reason
        )
    upto = last_step_to_write(labelled)
    written = await writer.write(labelled, labelled.steps, upto, labels=labelled.labels)
    targets: list[CritiqueTarget] = []
    disagreement: str | None = None
    if config.filter and not agrees(labelled, written):
        error = writer_first_error(written, upto)
        by_writer = "no verdict" if error is None else f"first error {error}"
        by_rollouts = f"first error {labelled.first_error}"
        if labelled.first_error < 0:
            by_rollouts = f"no error up to step {upto}"
        disagreement = f"disagreement: rollouts say {by_rollouts}, writer {by_writer}"
    else:
        targets = targets_for(labelled, written, pack, writer.name)
        if not targets:
            disagreement = "disagreement: no critique has its step's label"
    return DistilledSolution(
        id=labelled.id, task=labelled.task, targets=targets, written=written, reason=disagreement
    )


def targets_for(
    labelled: LabelledSolution,
    written: Sequence[WrittenCritique],
    pack: PromptPack,
    writer_name: str,
) -> list[CritiqueTarget]:
    """One target per different critique of a labelled step, up to and including the first error;
    if the pack's unit is `solution`, one per different critique of the whole solution.

    A critique whose verdict is not the step's label is left out, so that no target argues for one
    verdict and concludes the other.
    """
    if pack.unit == "solution":
        return _whole_targets(labelled, written, pack, writer_name)
    targets = []
    seen: set[tuple[int, str]] = set()
    turns = _turns(labelled, written, pack)
    for critique, copy in _numbered(written):
        label = labelled.labels[critique.step]
        if label is None or critique.correct is not label:
            continue
        if (critique.step, critique.body) in seen:  # a second copy teaches nothing
            continue
        seen.add((critique.step, critique.body))
        history = turns[: critique.step]
        if pack.unit == "turns" and len(history) < critique.step:
            continue
        messages = critique_target_messages(
            pack,
            labelled.problem,
            labelled.steps[: critique.step + 1],
            critique.body,
            label,
            history=history,
        )
        value = labelled.values[critique.step]
        row = f"{labelled.id}:{critique.step}:{copy}"
        target = _target(row, labelled, messages, critique.step, label, value, writer_name)
        targets.append(target)
    return targets


def _turns(
    labelled: LabelledSolution, written: Sequence[WrittenCritique], pack: PromptPack
) -> list[str]:
    """The critic's turns of a conversation: of each step the first critique that agrees with its
    label, up to the first step without one."""
    turns: list[str] = []
    for agreeing in _agreeing(labelled, written):
        if not agreeing:
            break
        turns.append(critic_turn(pack, None, len(turns), agreeing[0].body, agreeing[0].correct))
    return turns


def _whole_targets(
    labelled: LabelledSolution,
    written: Sequence[WrittenCritique],
    pack: PromptPack,
    writer_name: str,
) -> list[CritiqueTarget]:
    """Critiques of each step up to the first error (or to the end) in one completion. Empty if a
    step on the way has no label, or no critique that agrees with its label."""
    first = labelled.first_error
    upto = first if first >= 0 else len(labelled.steps) - 1
    steps = _agreeing(labelled, written)[: upto + 1]
    if not all(steps):
        return []
    targets = []
    seen: set[tuple[str, ...]] = set()
    for copy in range(max(len(step) for step in steps)):
        critiques = [step[copy % len(step)] for step in steps]
        bodies = tuple(critique.body for critique in critiques)
        if bodies in seen:
            continue
        seen.add(bodies)
        judged = [(critique.body, bool(critique.correct)) for critique in critiques]
        messages = solution_target_messages(pack, labelled.problem, labelled.steps, judged)
        label, value = first < 0, labelled.values[upto]
        row = f"{labelled.id}:whole:{copy}"
        targets.append(_target(row, labelled, messages, upto, label, value, writer_name))
    return targets


def _agreeing(
    labelled: LabelledSolution, written: Sequence[WrittenCritique]
) -> list[list[WrittenCritique]]:
    """Per step the critiques whose verdict is its label."""
    agreeing: list[list[WrittenCritique]] = [[] for _ in labelled.steps]
    for critique in written:
        label = labelled.labels[critique.step]
        if label is not None and critique.correct is label:
            agreeing[critique.step].append(critique)
    return agreeing


def _target(
    row: str,
    labelled: LabelledSolution,
    messages: tuple[list[Message], list[Message]],
    step: int,
    label: bool,
    value: float | None,
    writer_name: str,
) -> CritiqueTarget:
    prompt, completion = messages
    return CritiqueTarget.model_validate(
        {
            "id": row,
            "prompt": prompt,
            "completion": completion,
            "label": label,
            "value": value,
            "weight": weight(label, value, labelled.estimator),
            "step": step,
            "source_id": labelled.id,
            "writer": writer_name,
            "task": labelled.task,
            "last": step == len(labelled.steps) - 1,
        }
    )


def weight(label: bool, value: float | None, estimator: str) -> float:
    """How much a target counts in training: 1 for hard estimators and unknown values.

    For soft estimators it is the share of rollouts on the label's side, at least MIN_WEIGHT:
    the value for a step labelled correct, 1 - value for one labelled incorrect. A step that a
    single rollout in eight rescued is a weak example of a correct step; distance from one half
    would make it a strong one.
    """
    if value is None or not estimator.endswith("_soft"):
        return 1.0
    return max(MIN_WEIGHT, value if label else 1 - value)


def _numbered(
    written: Iterable[WrittenCritique],
) -> Iterable[tuple[WrittenCritique, int]]:
    """Each critique with its number among those of its step."""
    seen: dict[int, int] = {}
    for critique in written:
        copy = seen.get(critique.step, 0)
        seen[critique.step] = copy + 1
        yield critique, copy
