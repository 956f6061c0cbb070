"""Answers that name an option, or say who has which thing.

Options compare by letter: `(A)`, `A`, `(a) striker`, or the option's text where the problem lists
its options. Assignments such as `Alice: lime, Bob: red` compare as mappings, whatever the order
and spacing. Anything else compares as text, case and spacing aside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from genprm.records import Problem
from genprm.verifiers.base import extract_final_answer, normalise

_LETTER = re.compile(r"\(([A-Za-z])\)(?:\s.*)?|([A-Z])(?:[.):]\s*.*)?|([a-z])", re.DOTALL)
_OPTION = re.compile(r"^[ \t]*\(([A-Z])\)[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_NEXT_PAIR = re.compile(r"[,;]\s*(?:and\s+)?(?=[^,;:]+:)")


class ChoiceVerifier:
    """Compares options, assignments and short texts; never undecided."""

    name = "choice"

    def extract(self, steps: Sequence[str]) -> str | None:
        return extract_final_answer(steps)

    def check(self, answer: str, problem: Problem) -> bool | None:
        gold = extract_final_answer(problem.answer or "") or problem.answer or ""
        if (gold_pairs := _assignment(gold)) is not None:
            return _assignment(answer) == gold_pairs
        if (gold_letter := _letter(gold)) is not None:
            return _named_option(answer, problem.problem) == gold_letter
        return normalise(answer) == normalise(gold)


def _letter(answer: str) -> str | None:
    """The letter of an answer written as an option, in upper case."""
    match = _LETTER.fullmatch(answer.strip())
    return next(filter(None, match.groups())).upper() if match else None


def _named_option(answer: str, problem_text: str) -> str | None:
    """The letter that an answer names, directly or by the text of exactly one listed option."""
    if (letter := _letter(answer)) is not None:
        return letter
    wanted = normalise(answer)
    hits = {letter for letter, text in _OPTION.findall(problem_text) if normalise(text) == wanted}
    return hits.pop() if len(hits) == 1 else None


def _assignment(answer: str) -> dict[str, str] | None:
    """`Alice: lime, Bob: red` as a mapping; None if a part is not a pair or a name repeats."""
    pairs = [part.partition(":") for part in _NEXT_PAIR.split(answer.strip())]
    mapping = {normalise(name): normalise(value) for name, _, value in pairs}
    complete = all(name.strip() and value.strip() for name, _, value in pairs)
    return mapping if complete and len(mapping) == len(pairs) else None
