"""Which step each verdict of a whole-solution critique is about: the one that the critique names.

A critique may judge a step twice, leave one out, or go on to steps that are not there, so the order
of its verdicts alone does not say whose they are. A critique that names no steps is read by order,
unless it mentions some as sources.
What cannot be decided is nobody's verdict.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

from genprm.prompts.packs import PromptPack
from genprm.prompts.verdict import StatedVerdict

_CARDINALS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ORDINALS = (
    *("first", "second", "third", "fourth", "fifth"),
    *("sixth", "seventh", "eighth", "ninth", "tenth"),
)
_VALUES = {word: i for words in (_CARDINALS, _ORDINALS) for i, word in enumerate(words, 1)}
# Words before a step's number that make it a source of what follows, not the step in question;
# those of the second kind only within a clause.
_SOURCES = {
    *("from", "by", "using", "per", "since", "after", "via", "than", "uses", "used", "as", "given"),
}
_JOINTS = {"in", "with", "to", "and"}
_GOING = re.compile(
    r"\b(?:on|over|ahead|forward|next|now|go(?:ing)?|com(?:e|ing)|mov(?:e|ing)|turn(?:ing)?|"
    r"proceed(?:ing)?|continu(?:e|ing)|skip(?:ping)?|jump(?:ing)?|pass(?:ing)?|get(?:ting)?)\s+to\s+"
    r"(?:the\s+)?$|\b(?:start(?:ing)?|begin(?:ning)?|continu(?:e|ing)|proceed(?:ing)?)\s+with\s+"
    r"(?:the\s+)?$",
    re.IGNORECASE,
)
# What a critique says that goes back on a verdict; the second kind only on the verdict's own line.
# An exclamation ends at a mark or before a word that begins what it takes back: "Wait, it is", but
# not "Wait time", "Correction of units" or "Reread pages".
_GOES_ON = (
    r"(?=\W*$|\s*[,.:;!?…–—(]|\s*-\s|\s+(?:(?:a (?:moment|minute|second)|no|actually|but|i|its?|"
    r"that|this|the|step|let|let's|there|there's|maybe|we|so|if|here|not|about)\b|"
    r"\d+\s*[-+*/^=×÷]))"
)
_AGAIN = r"re-?(?:check|consider|examin|think|read|do|comput|calculat|count|visit|verif|evaluat)"
_TAKEN_BACK = re.compile(
    r"\W*(?:(?:(?:no|oh|hm+|but|actually|so)\W+)?"
    rf"(?:wait|hold on|oops|sorry|correction|scratch that){_GOES_ON}|on second thoughts?\b|"
    rf"let(?: me|'s| us) {_AGAIN}[ey]?\b|{_AGAIN}(?:[ey]|y?ing)?{_GOES_ON}|"
    r"i (?:was wrong|(?:made a|was) mistaken?)\b)",
    re.IGNORECASE,
)
_TAKEN_BACK_AT_ONCE = re.compile(
    r"\W*(?:no|actually|but|hm+|rather(?! than)|in fact)\b", re.IGNORECASE
)
_CLAUSE = re.compile(r"(?<=[.!?;:}*])(?<!step no\.)\s+|\n+", re.IGNORECASE)
# What a heading has before a step's number, and behind it: with words before it, a colon.
_BARE = re.compile(
    r"[\s>#*_•\-.,;:()\[}$`]*(?:\\[a-z]+\{)?(?:\d+[.)]\s*)?(?:the\s+)?", re.IGNORECASE
)
_WORDS = re.compile(_BARE.pattern + r"(?:[A-Za-z'’]+,?\s+){1,4}", re.IGNORECASE)
# What a clause may have before the step that it is about: "Now in step 2"
_OPENING = re.compile(
    _BARE.pattern
    + r"(?:(?:but|so|now|then|next|also|however|finally|here|again|ok(?:ay)?),?\s+){0,2}"
    r"(?:(?:in|with|to|and|for|at|on)\s+)?(?:the\s+)?",
    re.IGNORECASE,
)
_LISTED = re.compile(  # "2. It is wrong", "(2) It is wrong"
    r"[\s.,;:)}$*]{0,50}(?:^|\n)[\s>*_]{0,50}\(?(\d{1,9})[.)][\s*_]"
)
_BEHIND = r"[*_)\]}$`\s]*"
_COLON = re.compile(rf"(?:\s+again|\s+once more)?{_BEHIND}[:–—]")
_MARK = re.compile(rf"{_COLON.pattern}|{_BEHIND}(?:[.(,]|-\s|$)|[*_]*[)\]]")
_LOOK_BACK = 200  # characters before a step's number that tell what it is there for
_NOWHERE = 10**9  # the number of a step that is in no solution

_Kind = Literal["bare", "words", "opening", "passing", "source"]
_UNMARKED = ("opening", "passing", "source")


class _Mention(NamedTuple):
    """A step, or several, by their numbers, and what they are there for: a `heading` (`bare` or
    with `words` before it), the `opening` of a clause, in `passing`, or a `source` of what follows.
    `first`: nothing is before it in its part."""

    numbers: tuple[int, ...]
    kind: _Kind
    first: bool

    @property
    def heading(self) -> bool:
        return self.kind not in _UNMARKED


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
    last_number = pack.first_number + steps - 1
    mentions = [_mentions(pack, part, last_number) for part in parts]
    again = [number > 0 and _takes_back(part) for number, part in enumerate(parts)]
    listed = [_LISTED.match(part) for part in parts]
    if any(mention.heading for each in mentions for mention in each):
        names = _headings(mentions)
    elif all(listed):
        names = [(int(match[1]),) for match in listed if match]
    else:
        names = _subjects(mentions, again, pack.first_number)
    named = [tuple(number - pack.first_number for number in name) for name in names]
    places = _by_order(named, again, steps)
    for number, each in enumerate(mentions):  # not by order, where a later step is mentioned
        latest = max((max(mention.numbers) for mention in each), default=-1) - pack.first_number
        if not (named[number] or again[number]) and places[number] and latest > max(places[number]):
            places[number] = ()
    if not any(named):
        for number in range(1, len(places)):  # by order, an unclear verdict ends what can be told
            if verdicts[number - 1].verdict == "invalid" and not again[number]:
                places[number:] = [()] * (len(places) - number)
                break
    return [
        () if len(each) > 1 and verdict.verdict != "correct" else each
        for verdict, each in zip(verdicts, places, strict=True)
    ]


def _headings(mentions: Sequence[Sequence[_Mention]]) -> list[tuple[int, ...]]:
    """The steps that each part of a critique names, where at least one has a heading."""
    names: list[tuple[int, ...]] = []
    judged: set[int] = set()
    for each in mentions:
        headings = [mention for mention in each if mention.heading]
        name = _heading(headings, judged) if headings else _opening(each) or _only(each)
        judged.update(name)
        names.append(name)
    return names


def _heading(headings: Sequence[_Mention], judged: set[int]) -> tuple[int, ...]:
    """The steps of the heading that counts among those in one part; `_NOWHERE` where it cannot be
    told."""
    runs: list[list[_Mention]] = []
    for heading in headings:
        if runs and runs[-1][-1].numbers[-1] + 1 == heading.numbers[0]:
            runs[-1].append(heading)
        else:
            runs.append([heading])
    if len(runs) == 1:  # steps in order, without a verdict for each: the last of them
        new = [each for each in runs[0][1:] if not judged.issuperset(each.numbers)]
        return (new or runs[0][:1])[-1].numbers
    single = [run[0] for run in runs if len(run) == 1]  # several in order are a solution, quoted
    if single and single[0].first and single[0].kind == "bare":
        least = min(single[0].numbers)
        rest = [each for each in single[1:] if max(each.numbers) > least]
        single = single[:1] + [each for each in rest if not judged.issuperset(each.numbers)]
    else:
        new = [each for each in single if not judged.issuperset(each.numbers)] or single
        single = [each for each in new if each.kind == "bare"] or new
    names = {each.numbers for each in single}
    return names.pop() if len(names) == 1 else (_NOWHERE,)


def _subjects(
    mentions: Sequence[Sequence[_Mention]], again: Sequence[bool], first_number: int
) -> list[tuple[int, ...]]:
    """The steps that each part of a critique names in its sentences, where none has a heading."""
    names = [_opening(each) or _only(each) for each in mentions]
    if all(names):
        return names
    names = [_opening(each) for each in mentions]
    nobody: list[tuple[int, ...]] = [(_NOWHERE,)] * len(names)
    if not any(names):
        # without a name they go by order, but not where the one in question may be a source's
        is_source = any(mention.kind == "source" for each in mentions for mention in each)
        return nobody if is_source else names
    least = first_number  # the least number that the next part can be about
    for name, is_again in zip(names, again, strict=True):
        if name and min(name) < least - is_again:
            return nobody  # an earlier step, which the sentence goes back to
        least = max(name) + 1 if name else least + (not is_again)
    return names


def _opening(mentions: Sequence[_Mention]) -> tuple[int, ...]:
    """The steps that open a part, else those that open its clauses, if they are the same."""
    openings = [mention for mention in mentions if mention.kind == "opening"]
    if openings and openings[0].first:
        least = min(openings[0].numbers)  # an earlier step is only mentioned
        openings = openings[:1] + [each for each in mentions if max(each.numbers) > least]
    return _only(openings)


def _only(mentions: Sequence[_Mention]) -> tuple[int, ...]:
    """The steps that are named, if all mentions but sources name the same."""
    names = {mention.numbers for mention in mentions if mention.kind != "source"}
    return names.pop() if len(names) == 1 else ()


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


def _mentions(pack: PromptPack, part: str, last_number: int) -> list[_Mention]:
    """The steps that a part of a critique mentions, in order."""
    mentions: list[_Mention] = []
    first, behind_colon = True, False
    for clause in _CLAUSE.split(part):
        for match in _pattern(pack.step_form).finditer(clause):
            numbers, kind = _numbers(match, last_number), _kind(clause, match)
            if kind == "words" and behind_colon and any(mention.heading for mention in mentions):
                kind = "passing"  # "Step 2: this contradicts step 1: 7, not 8"
            is_previous = (match["ordinal"] or "").lower() == "last" and kind in _UNMARKED
            if numbers and not is_previous:
                mentions.append(_Mention(numbers, kind, first))
        first = first and re.search(r"[^\W\d_]", clause) is None
        behind_colon = clause.rstrip()[-1:] == ":"
    return mentions


def _kind(clause: str, match: re.Match[str]) -> _Kind:
    """What a clause mentions a step for."""
    # a look back of bounded length, so that time grows with the text and not its square
    before = clause[max(0, match.start() - _LOOK_BACK) : match.start()]
    lead = before.split()[-1].strip("*_(,").lower() if before.split() else ""
    if _BARE.fullmatch(before) and _MARK.match(clause, match.end()):
        return "bare"
    if lead in _SOURCES:
        return "source"
    opens = _OPENING.fullmatch(before) or _GOING.search(before)
    if lead in _JOINTS and not opens:
        return "passing" if lead == "and" else "source"
    if _WORDS.fullmatch(before) and _COLON.match(clause, match.end()):
        return "words"
    return "opening" if opens else "passing"


@lru_cache(maxsize=16)
def _pattern(step_form: str) -> re.Pattern[str]:
    """A step by the word that `step_form` puts before its number: "Step 2", "step two", "Steps 1
    and 2", "the second step"."""
    word = step_form.partition("{number}")[0].strip() if "{number}" in step_form else ""
    word = re.escape(word) if word[-1:].isalpha() else "step"
    gap = r"(?:-|[\s#(*_$`\[{]*+(?:(?:number|no\.)\s*+)?)"
    number = rf"(?:[$`]?\d+(?![.,]?\d)[$`]?|(?:{'|'.join(_CARDINALS)})\b)"
    joint = r"\s*(?:,\s*and|,|and|&|-|–|to|through)\s*"
    # behind one "step" only words join numbers: "In step 2, 5*2=11", "Step 1 - 2+1=3"
    last_joint = r"(?:\s*+(?:,\s*+)?(?:and|&|to|through)\s*|[-–])"
    no_term = r"(?!\s*[-+*/^=×÷%<>])"
    return re.compile(
        rf"\b(?:{word}s{gap}(?P<several>{number}(?:{joint}(?:{word}\s*)?{number})*)"
        rf"|{word}{gap}(?P<pair>{number}(?:\s*,\s*{number})*{last_joint}(?:{word}\s*)?{number}{no_term})"
        rf"|{word}{gap}(?P<one>{number})"
        rf"|(?P<ordinal>{'|'.join(_ORDINALS)}|final|last|\d+(?:st|nd|rd|th))\s+{word}\b)",
        re.IGNORECASE,
    )


def _numbers(match: re.Match[str], last_number: int) -> tuple[int, ...]:
    joined = match["several"] or match["pair"]
    text = (joined or match["one"] or match["ordinal"]).lower()
    if text in ("final", "last"):
        return (last_number,)
    words = re.findall(r"\d+|[a-z]+|-|–", text)
    numbers = [_value(w) for w in words if w.isdigit() or w in _VALUES]
    if joined and {"-", "–", "to", "through"} & set(words) and len(numbers) == 2:
        first, last = numbers
        return tuple(range(first, last + 1)) if last - first < 1000 else ()
    return tuple(dict.fromkeys(numbers))


def _value(word: str) -> int:
    """The number that a word or digits stand for."""
    if not word.isdigit():
        return _VALUES[word]
    return int(word) if len(word) < 10 else _NOWHERE  # Python refuses thousands of digits
