"""The contract of a verifier, and the extraction of a solution's final answer.

A verifier compares one stated answer with a problem's reference. It knows nothing of steps,
rollouts or engines. `check` may block for seconds on hostile input: call it off the event loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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


# "So the answer is X", "The final answer is: X" to the end of the line; "#### X" (GSM8K).
_PHRASE = re.compile(r"\b(?:the|final) answer is\b[ \t]*:?(?P<x>[^\n]*)", re.IGNORECASE)
_HASHES = re.compile(r"^[ \t]*####(?P<x>[^\n]*)", re.MULTILINE)
_BOXED = "\\boxed{"
_BRACES = re.compile(r"\\boxed\{|\\.|[{}]", re.DOTALL)


def extract_final_answer(solution: str | Sequence[str]) -> str | None:
    r"""The last answer that a solution states, as "the answer is X", `\boxed{X}` or "#### X"; None
    if it states none.

    The statement that begins last counts, so the box wins in "the answer is \boxed{5}". Statements
    without content do not count.
    """
    text = solution if isinstance(solution, str) else "\n".join(solution)
    statements = [(m.start(), m["x"]) for rx in (_PHRASE, _HASHES) for m in rx.finditer(text)]
    statements += _boxed(text)
    answers = [(start, answer) for start, raw in statements if (answer := _strip(raw))]
    return max(answers)[1] if answers else None


def normalise(text: str) -> str:
    """The text in lower case, with single spaces and without final periods, for comparison."""
    return " ".join(text.split()).rstrip(". ").casefold()


def _strip(answer: str) -> str:
    return answer.strip().rstrip(".").strip("*` \t").rstrip(". \t")


def _boxed(text: str) -> Iterator[tuple[int, str]]:
    r"""Start and content of every `\boxed{...}` whose braces balance; `\{` and `\}` are text."""
    opened: list[re.Match[str]] = []
    for token in _BRACES.finditer(text):
        if token[0] in ("{", _BOXED):
            opened.append(token)
        elif token[0] == "}" and opened:
            opening = opened.pop()
            if opening[0] == _BOXED:
                yield opening.start(), text[opening.end() : token.start()]
