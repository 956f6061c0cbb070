"""Critique text or label probabilities to a verdict: strict, so that doubt is `invalid`.

Knows the pack's opener and labels, and no engine or vote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from genprm.prompts import LabelTokens, PromptPack
from genprm.records import Verdict


class LabelReading(NamedTuple):
    """A verdict read from probabilities.

    `p_correct` is P(correct) renormalised over the two labels, `label_mass` the probability of
    both together.
    """

    verdict: Verdict
    p_correct: float | None
    label_mass: float | None


def parse_verdict(pack: PromptPack, text: str, untrusted: Sequence[str] = ()) -> Verdict:
    """The verdict that a finished critique states.

    The last verdict counts: the pack's opener (at the beginning of a line, if it begins with a
    newline), then exactly one label up to the end of its line. Anything else there is `invalid`,
    and so is text without an opener. A line that stands word for word in `untrusted` never
    counts. Pass the texts as the prompt showed them (`prompts.rendered_texts`): those hold no
    verdict line, so nobody can silence a verdict by writing it into a step.
    """
    quoted = {line.strip() for source in untrusted for line in source.split("\n")}
    labels: dict[str, Verdict] = {
        pack.correct_label.rstrip(): "correct",
        pack.incorrect_label.rstrip(): "incorrect",
    }
    text = "\n" + text  # a verdict may stand on the first line
    end = len(text)
    while (start := text.rfind(pack.opener, 0, end)) >= 0:
        after = start + len(pack.opener)
        tail = text[after:].split("\n", 1)[0]
        line_start = text.rfind("\n", 0, after) + 1
        if (text[line_start:after] + tail).strip() not in quoted:
            return labels.get(tail.rstrip(), "invalid")
        end = start + len(pack.opener) - 1
    return "invalid"


def read_labels(labels: LabelTokens, probabilities: Mapping[int, float]) -> LabelReading:
    """The likelier label; equal probabilities are incorrect, no probability at all is invalid."""
    correct = probabilities.get(labels.correct_id, 0.0)
    incorrect = probabilities.get(labels.incorrect_id, 0.0)
    mass = correct + incorrect
    if not mass > 0:
        return LabelReading("invalid", None, mass)
    verdict: Verdict = "correct" if correct > incorrect else "incorrect"
    return LabelReading(verdict, correct / mass, mass)
