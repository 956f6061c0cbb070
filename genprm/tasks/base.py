"""What a built-in task offers: problems, worked text to learn from, an oracle, a rule writer."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple, Protocol

from genprm.records import Problem

_GIVEN = re.compile("\x0e([^\x0f]*)\x0f")  # shift out, shift in: never in a task's text


def given(text: str) -> str:
    """Mark what nobody could foretell (operands, a scene): pretraining reads it, and learns it not.

    A loss on random text is noise in the gradient. Marks do not nest; see `pieces`.
    """
    return f"\x0e{text}\x0f"


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The parts of a marked text in order, each with whether it was given."""
    for index, part in enumerate(_GIVEN.split(text)):
        if part:
            yield part, index % 2 == 1


class RuleCritique(NamedTuple):
    """A critique body without its verdict line, and the verdict its writer reached."""

    body: str
    correct: bool


class Task(Protocol):
    """One problem source with exact answers.

    The oracle (`first_error`) measures and never labels what is trained on; the rule writer
    (`critique`) errs at the rate it is given.
    """

    name: str
    verifier: str  # the kind of answer check, a key of genprm.verifiers
    options: ClassVar[dict[str, tuple[str, ...]]]  # what `generate` takes besides n and seed

    def generate(self, n: int, seed: int, **options: str) -> list[Problem]:
        """`n` problems; the same n, seed and options give the same problems, and a larger n
        only adds to them."""
        ...

    def first_error(self, problem: str, steps: Sequence[str]) -> int:
        """0-based index of the first wrong step, -1 for none, by exact checking."""
        ...

    def critique(
        self, problem: str, steps: Sequence[str], rng: random.Random, error_rate: float
    ) -> RuleCritique:
        """Critique the last of `steps`; the verdict is wrong with probability `error_rate`."""
        ...

    def solution(self, rng: random.Random, slip_rate: float) -> tuple[Problem, list[str]]:
        """A fresh problem with a written solution; pretraining text."""
        ...

    def comparisons(self, rng: random.Random) -> str:
        """Things of the task side by side, the same or not; marked like `facts`."""
        ...

    def facts(self, rng: random.Random) -> str:
        """A few lines of plain facts of the task, what is asked marked as `given`; pretraining
        text without any verdict."""
        ...
