"""The agreement filter: keep a solution only where writer and rollouts name the same first error.

Consensus of two fallible judges with independent mistakes is the largest single quality lever of
rollout labels (Zhang et al. 2025, 2501.07301: it keeps about 40 % of the solutions). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from genprm.records import LabelledSolution, Record


class WrittenCritique(Record):
    """One critique of one step by a writer."""

    step: int
    body: str  # without the line of the verdict
    correct: bool | None  # the writer's verdict; without a valid one the body is never trained on
    tokens: int = 0  # that the writer generated for it


def last_step_to_write(labelled: LabelledSolution) -> int:
    """The last step with a label: the first error, the end, or the one before an uncertain step;
    -1 without any."""
    if labelled.first_error >= 0:  # foreign data may have labels after it
        return labelled.first_error
    return max((i for i, label in enumerate(labelled.labels) if label is not None), default=-1)


def writer_verdict(critiques: Iterable[WrittenCritique]) -> bool | None:
    """The writer's verdict on one step: the majority of its critiques, a tie is incorrect; None
    without a valid one."""
    votes = [c.correct for c in critiques if c.correct is not None]
    return 2 * sum(votes) > len(votes) if votes else None


def writer_first_error(written: Sequence[WrittenCritique], upto: int) -> int | None:
    """The first of the steps 0 to `upto` that the writer calls incorrect, -1 if there is none.

    None if a step before that has no verdict: then the writer's first error is unknown.
    """
    for step in range(upto + 1):
        verdict = writer_verdict(c for c in written if c.step == step)
        if verdict is None:
            return None
        if not verdict:
            return step
    return -1


def agrees(labelled: LabelledSolution, written: Sequence[WrittenCritique]) -> bool:
    """Whether writer and rollouts name the same first error among the labelled steps; False for a
    solution without labels."""
    if all(label is None for label in labelled.labels):
        return False
    return writer_first_error(written, last_step_to_write(labelled)) == labelled.first_error
