"""Reads a verdict from critique text or label probabilities. Whatever is not clear is `invalid`.

Knows the pack's opener and labels, and no engine or vote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from genprm.prompts.packs import PromptPack
from genprm.prompts.render import LabelTokens
from genprm.records import Verdict

# The probability of both labels below which what a critic says next is no verdict: it would write
# something else 99 times in 100, and the ratio of two numbers that small says nothing. A trained
# critic is far above, one that did not learn its pack far below: `label_mass` of the critiques in a
# judgement says how far. A critique cut off in the middle of a sentence may be below, too: the
# critic is not done.
MIN_LABEL_MASS = 0.01


class LabelReading(NamedTuple):
    """A verdict read from probabilities.

    `p_correct` is P(correct) renormalised over the two labels, `label_mass` the probability of
    both together.
    """

    verdict: Verdict
    p_correct: float | None
    label_mass: float | None


class StatedVerdict(NamedTuple):
    """A verdict in a text: the character at which its opener begins, and the one after its end."""

    verdict: Verdict
    opener: int
    end: int


def parse_verdict(pack: PromptPack, text: str, untrusted: Sequence[str] = ()) -> Verdict:
    """The verdict that a finished critique states.

    The last verdict counts: the pack's opener (at the beginning of a line, if it begins with a
    newline), then exactly one label up to the end of its line. Anything else there is `invalid`,
    and so is text without an opener. A verdict whose lines are, word for word, lines of `untrusted`
    never counts. Pass the texts as the prompt showed them (`rendered_texts`): those hold no verdict
    line, so a verdict cannot be silenced by writing it into a step.
    """
    verdicts = stated_verdicts(pack, text, untrusted)
    return verdicts[-1].verdict if verdicts else "invalid"


def stated_verdicts(
    pack: PromptPack, text: str, untrusted: Sequence[str] = ()
) -> list[StatedVerdict]:
    """All verdicts that a text states, in order, each read as by `parse_verdict`.

    Places are characters of `text`. The place of an opener that begins with a newline is 0 if the
    verdict is on the first line.
    """
    opener, text = pack.opener, "\n" + text  # a verdict may be on the first line
    height = opener.removeprefix("\n").count("\n") + 1  # lines of a verdict
    quoted = {lines for source in untrusted for lines in _windows(source, height)}
    verdicts: list[StatedVerdict] = []
    begin, is_quoted = (
        -1,
        False,
    )  # of the last verdict's lines: compared once, however many are there
    start = text.find(opener)
    while start >= 0:
        after = start + len(opener)
        tail = text[after : _line_end(text, after)]
        first = text.rfind("\n", 0, start + 1) + 1  # where the verdict's first line begins
        if first != begin:
            lines = _windows(text[first:after] + tail, height)
            begin, is_quoted = first, not quoted.isdisjoint(lines)
        if not is_quoted:
            verdict, length = _label(pack, tail)
            verdicts.append(StatedVerdict(verdict, max(start - 1, 0), after + length - 1))
        start = text.find(opener, start + 1)
    return _with_spellings(pack, text[1:], untrusted, verdicts) if pack.spellings else verdicts


def _with_spellings(
    pack: PromptPack, text: str, untrusted: Sequence[str], verdicts: Sequence[StatedVerdict]
) -> list[StatedVerdict]:
    """`verdicts` and those of the pack's other spellings, in order. A spelling behind an opener
    without a label of its own ("The step is \\boxed{\\text{correct}}") is that opener's verdict."""
    pattern, labels = _spelled(pack.spelled)
    quoted = {line.strip() for source in untrusted for line in source.split("\n")}
    merged = list(verdicts)
    first, is_quoted = -1, False  # of the last spelling's line
    near = 0  # the first of `verdicts` that does not end before the spelling
    for match in pattern.finditer(text):
        start, end = match.span()
        begin = text.rfind("\n", 0, start) + 1
        if begin != first:
            first = begin
            is_quoted = text[begin : _line_end(text, begin)].strip() in quoted
        while near < len(verdicts) and merged[near].end <= start:
            near += 1
        at = near if near < len(verdicts) and merged[near].opener < end else None
        if is_quoted or (at is not None and merged[at].verdict != "invalid"):
            continue
        spelled_verdict = StatedVerdict(labels[match.group().lower()], start, end)
        if at is None:
            merged.append(spelled_verdict)
        else:
            merged[at] = spelled_verdict._replace(opener=min(start, merged[at].opener))
    return sorted(merged, key=lambda verdict: verdict.opener)


@lru_cache(maxsize=16)
def _spelled(spelled: tuple[tuple[str, bool], ...]) -> tuple[re.Pattern[str], dict[str, Verdict]]:
    """The pattern of `PromptPack.spelled`, longest first, and the verdict of each in small
    letters."""
    texts = sorted((text for text, _ in spelled), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, texts)), re.IGNORECASE)
    return pattern, {text.lower(): "correct" if good else "incorrect" for text, good in spelled}


def _line_end(text: str, place: int) -> int:
    """The end of the line that `place` is on."""
    end = text.find("\n", place)
    return len(text) if end < 0 else end


def _windows(text: str, height: int) -> list[tuple[str, ...]]:
    """Every run of `height` lines of a text."""
    lines = [line.strip() for line in text.split("\n")]
    return [tuple(lines[i : i + height]) for i in range(len(lines) - height + 1)]


def _label(pack: PromptPack, tail: str) -> tuple[Verdict, int]:
    """The verdict at the beginning of `tail` (the rest of a line), and its length. After a label
    must come the pack's closer or, without a closer, the end of the line."""
    labels: list[tuple[str, Verdict]] = [
        (pack.correct_label.rstrip(), "correct"),
        (pack.incorrect_label.rstrip(), "incorrect"),
    ]
    for label, verdict in labels:
        if pack.closer and tail.startswith(label + pack.closer[0]):
            return verdict, len(label) + len(pack.closer.split("\n", 1)[0])
        if not pack.closer.strip() and tail.rstrip() == label:
            return verdict, len(tail)
    return "invalid", len(tail)


def read_labels(labels: LabelTokens, probabilities: Mapping[int, float]) -> LabelReading:
    """The likelier label. Equal probabilities are `incorrect`, a mass below `MIN_LABEL_MASS` is
    `invalid`."""
    correct = probabilities.get(labels.correct_id, 0.0)
    incorrect = probabilities.get(labels.incorrect_id, 0.0)
    mass = correct + incorrect
    if not mass >= MIN_LABEL_MASS:
        return LabelReading("invalid", None, mass)
    verdict: Verdict = "correct" if correct > incorrect else "incorrect"
    return LabelReading(verdict, correct / mass, mass)
