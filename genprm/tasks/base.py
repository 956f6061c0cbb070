"""The contract of a built-in task: problems, text for pretraining, an oracle and a rule writer."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple, Protocol

from genprm.records import Problem

_MARKED = re.compile("\x0e([^\x0f]*)\x0f")  # shift out, shift in: never in a task's text


def mark_unpredictable(text: str) -> str:
    """Mark text that cannot be predicted (operands, a scene): pretraining puts no loss on it.

    A loss on random text is noise in the gradient. Marks do not nest; `split_marked` reads them.
    """
    return f"\x0e{text}\x0f"


def split_marked(text: str) -> Iterator[tuple[str, bool]]:
    """The parts of a text in order, each with whether it was marked as unpredictable."""
    for index, part in enumerate(_MARKED.split(text)):
        if part:
            yield part, index % 2 == 1


class RuleCritique(NamedTuple):
    """A critique without its verdict line, and the writer's verdict."""

    body: str
    correct: bool


class Task(Protocol):
    """A source of problems with exact answers.

    The oracle (`first_error`) is for measuring and never labels training rows. The rule writer
    (`critique`) errs at the given rate.
    """

    name: str
    verifier: str  # the kind of answer check, a key of genprm.verifiers.VERIFIERS
    options: ClassVar[dict[str, tuple[str, ...]]]  # of `generate`, with their values

    def generate(self, n: int, seed: int, **options: str) -> list[Problem]:
        """`n` problems; the same n, seed and options give the same problems, and a larger n
        only adds to them."""
        ...

    def first_error(self, problem: str, steps: Sequence[str]) -> int:
        """0-based index of the first wrong step by exact checking; -1 if all are right."""
        ...

    def critique(
        self, problem: str, steps: Sequence[str], rng: random.Random, error_rate: float
    ) -> RuleCritique:
        """Critique the last of `steps`; the verdict is wrong with probability `error_rate`."""
        ...

    def solution(self, rng: random.Random, slip_rate: float) -> tuple[Problem, list[str]]:
        """A new problem with a written solution, for pretraining. `slip_rate` is the probability of
        a mistake where one can be made."""
        ...

    def comparisons(self, rng: random.Random) -> str:
        """Pairs of things of the task, each with whether they are the same; marked like `facts`."""
        ...

    def facts(self, rng: random.Random) -> str:
        """A few lines of plain facts of the task for pretraining, without any verdict. Questions
        are marked by `mark_unpredictable`."""
        ...
