"""Which step each verdict of a whole-solution critique is about: the one that the critique names.

A critique may judge a step twice, leave one out, or go on to steps that are not there, so the order
of its verdicts alone does not say whose they are. A critique that names no steps is read by order.
What cannot be decided is nobody's verdict.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from genprm.prompts.packs import PromptPack
from genprm.prompts.verdict import StatedVerdict

_CARDINALS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ORDINALS = (
    *("first", "second", "third", "fourth", "fifth"),
    *("sixth", "seventh", "eighth", "ninth", "tenth"),
)
_VALUES = {word: i for words in (_CARDINALS, _ORDINALS) for i, word in enumerate(words, 1)}
# Words before a step's number that make it a source of what follows, not the step in question.
_SOURCES = {
    *("from", "in", "by", "using", "with", "per", "since", "after", "to", "via", "than"),
    *("uses", "used", "and"),
}
# What a critique says that goes back on a verdict; the second kind only on the verdict's own line.
_TAKEN_BACK = re.compile(
    r"\W*(?:wait|hold on|on second thought|correction|sorry|oops|scratch that|let me re|"
    r"re-?(?:check|consider|examin|think|read)|i (?:was|made a) (?:wrong|mistake))",
    re.IGNORECASE,
)
_TAKEN_BACK_AT_ONCE = re.compile(r"\W*(?:no\b|actually|but\b|hmm|rather|in fact)", re.IGNORECASE)
_CLAUSE = re.compile(r"(?<=[.!?;:}*])\s+|\n+")
# What a heading has before a step's number, and behind it: with words before it, a colon.
_BARE = re.compile(r"[\s>#*_•\-.,;:)}$]*(?:\d+[.)]\s*)?(?:the\s+)?", re.IGNORECASE)
_WORDS = re.compile(_BARE.pattern + r"(?:[A-Za-z]+,?\s+){1,3}", re.IGNORECASE)
_LISTED = re.compile(r"[\s.,;:)}$*]*(?:^|\n)[\s>*_]*(\d{1,9})[.)][\s*_]")  # "2. It is wrong"
_COLON = re.compile(r"(?:\s+again|\s+once more)?[*_)\]\s]*[:–—]")
_MARK = re.compile(rf"{_COLON.pattern}|[*_)\]\s]*(?:[.(,]|-\s|$)")


class _Names(NamedTuple):
    """The steps that a part of a critique names, by their numbers; `heading`: as its heading."""

    numbers: tuple[int, ...]
    heading: bool


def verdict_places(
    pack: PromptPack, text: str, verdicts: Sequence[StatedVerdict], steps: int
) -> list[tuple[int, ...]]:
    """The places (0-based) of the steps that each verdict is about; none where the step is not
    there or cannot be told.

    A verdict is about the step in its heading, else about the one that its part of the text names.
    Without a name it is about the same step as the verdict before it, where the critique takes that
    back; else its place follows from the named verdicts around it, where they leave exactly one
    step for each verdict between them.
    """
    parts = [text[a.end : b.opener] for a, b in pairwise(verdicts)]
    parts = [text[: verdicts[0].opener], *parts] if verdicts else []
    names = [_names(pack, part) for part in parts]
    listed = [_LISTED.match(part) for part in parts]
    if all(listed) and not any(name.heading for name in names):
        names = [_Names((int(match[1]),), True) for match in listed if match]
    if not any(name.heading for name in names) and not all(name.numbers for name in names):
        names = [_Names((), False)] * len(parts)  # mentions in passing
    mentions = [tuple(n - pack.first_number for n in name.numbers) for name in names]
    again = [number > 0 and _takes_back(part) for number, part in enumerate(parts)]
    places = _by_order(mentions, again, steps)
    if not any(mentions):
        for number in range(1, len(places)):  # by order, an unclear verdict ends what can be told
            if verdicts[number - 1].verdict == "invalid" and not again[number]:
                places[number:] = [()] * (len(places) - number)
                break
    return [
        () if len(each) > 1 and verdict.verdict != "correct" else each
        for verdict, each in zip(verdicts, places, strict=True)
    ]


def _by_order(
    mentions: Sequence[tuple[int, ...]], again: Sequence[bool], steps: int
) -> list[tuple[int, ...]]:
    """The places of all verdicts, given those that are named and those that take one back."""
    places: list[tuple[int, ...]] = []
    before = -1  # the last named place
    number = 0
    while number < len(mentions):
        if mentions[number]:
            before = mentions[number][-1]
            places.append(mentions[number])
            number += 1
            continue
        end = number
        while end < len(mentions) and not mentions[end]:
            end += 1
        new = [not is_again for is_again in again[number:end]]
        places += _run(before, new, min(mentions[end]) if end < len(mentions) else None, steps)
        number = end
    return [tuple(place for place in each if 0 <= place < steps) for each in places]


def _run(before: int, new: Sequence[bool], after: int | None, steps: int) -> list[tuple[int, ...]]:
    """The places of verdicts without a name between two with one; `new`: not taken-back ones."""
    count = sum(new)
    if after is None:
        fits = count <= steps - 1 - before
    else:
        fits = count == after - before - 1
        if not fits and before >= 0 and after - before <= 1:  # no step is between them
            return [(before,)] * len(new)
    places: list[tuple[int, ...]] = []
    place = before
    for is_new in new:
        place += is_new
        places.append((place,) if fits or place == before else ())
    return places


def _takes_back(part: str) -> bool:
    """Whether a part of a critique goes back on the verdict before it."""
    if _TAKEN_BACK.match(part):
        return True
    return "\n" not in part and _TAKEN_BACK_AT_ONCE.match(part) is not None


def _names(pack: PromptPack, part: str) -> _Names:
    """The steps that a part of a critique names: in the last of its headings, else in passing, if
    it is only one."""
    mention = _mention(pack.step_form)
    heading: tuple[int, ...] = ()
    in_passing: list[tuple[int, ...]] = []
    for clause in _CLAUSE.split(part):
        for match in mention.finditer(clause):
            numbers, before = _numbers(match), clause[: match.start()]
            lead = before.split()[-1].strip("*_(,").lower() if before.split() else ""
            if lead in _SOURCES or not numbers:
                continue
            bare = _BARE.fullmatch(before) and _MARK.match(clause, match.end())
            if bare or (_WORDS.fullmatch(before) and _COLON.match(clause, match.end())):
                heading = numbers
            else:
                in_passing.append(numbers)
    if heading:
        return _Names(heading, True)
    return _Names(in_passing[0] if len(set(in_passing)) == 1 else (), False)


@lru_cache(maxsize=16)
def _mention(step_form: str) -> re.Pattern[str]:
    """A step by the word that `step_form` puts before its number: "Step 2", "step two", "Steps 1
    and 2", "the second step"."""
    word = step_form.partition("{number}")[0].strip() if "{number}" in step_form else ""
    word = re.escape(word) if word[-1:].isalpha() else "step"
    number = rf"(?:\d+(?![.,]?\d)|(?:{'|'.join(_CARDINALS)})\b)"
    joint = r"\s*(?:,\s*and|,|and|&|-|–|to|through)\s*"
    return re.compile(
        rf"\b(?:{word}s[\s#(*_]*(?P<several>{number}(?:{joint}(?:{word}\s*)?{number})*)"
        rf"|{word}[\s#(*_]*(?P<one>{number})"
        rf"|(?P<ordinal>{'|'.join(_ORDINALS)}|\d+(?:st|nd|rd|th))\s+{word}\b)",
        re.IGNORECASE,
    )


def _numbers(match: re.Match[str]) -> tuple[int, ...]:
    text = match["several"] or match["one"] or match["ordinal"]
    words = re.findall(r"\d+|[a-z]+|-|–", text.lower())
    numbers = [int(w) if w.isdigit() else _VALUES[w] for w in words if w.isdigit() or w in _VALUES]
    if match["several"] and {"-", "–", "to", "through"} & set(words) and len(numbers) == 2:
        first, last = numbers
        return tuple(range(first, last + 1)) if last - first < 1000 else ()
    return tuple(numbers)
