"""The contract of a verifier.

A verifier compares one stated answer with a problem's reference. It knows nothing of steps,
rollouts or engines. `check` may block for seconds on hostile input: call it off the event loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from genprm.records import Problem


class Verifier(Protocol):
    """Decides whether an answer is right. Safe to call from several threads."""

    name: str

    def extract(self, steps: Sequence[str]) -> str | None:
        """The answer that a solution states; None if it states none."""
        ...

    def check(self, answer: str, problem: Problem) -> bool | None:
        """Whether `answer` is right; None if undecided (it took too long, or is too long)."""
        ...


class Grade(NamedTuple):
    """A solution's final answer and whether it is right. `correct` is None without an answer, or if
    the verifier could not decide."""

    answer: str | None
    correct: bool | None


def grade(verifier: Verifier, problem: Problem, steps: Sequence[str]) -> Grade:
    """Extract the final answer of a solution and check it. May block; see the module."""
    answer = verifier.extract(steps)
    return Grade(answer, None if answer is None else verifier.check(answer, problem))


def normalise(text: str) -> str:
    """The text in lower case, with single spaces and without final periods, for comparison."""
    return " ".join(text.split()).rstrip(". ").casefold()
