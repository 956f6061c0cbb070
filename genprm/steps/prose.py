"""Finds where a new step begins in prose: at lines, blank lines, numbers and sentences.

Every function maps a text to character positions and changes nothing. Fenced code is never cut
(except by lines), and sentences do not end inside formulas. All functions take time linear in the
length of any text, because solutions are untrusted.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise

Region = tuple[int, int]  # characters from, to (exclusive)

_NEWLINE = re.compile(r"\r\n|\r|\n")
_FENCE = re.compile(r"[^\S\r\n]*+(?P<marks>`{3,}+|~{3,}+)(?P<rest>[^\r\n]*+)")
_LIST_MARKS = r"[^\S\r\n]*+(?:(?:[#>*_-]++)[^\S\r\n]*+)*+"  # indentation, markdown marks
_WORD_NUMBER = re.compile(
    _LIST_MARKS + r"step[^\S\r\n]++\d++[^\S\r\n]*+(?:[:.)*_–—-]|$|[\r\n])", re.IGNORECASE
)
_BARE_NUMBER = re.compile(
    r"(?P<indent>[^\S\r\n]*+)(?:[#>*_]++[^\S\r\n]*+)?(?P<open>\(?)(?P<number>[0-9]{1,3})"
    r"(?P<close>[.)])(?=[\s*_]|$)"
)
_SENTENCE_END = re.compile(
    r"(?<![.!?…])(?P<mark>[.!?…]++)[\"'”’»)\]}*_]*+"
    r"(?:\s?(?:\\[)\]]|\$\$?))?"  # a formula that ends with the sentence: "x = 2. \]"
    r"(?P<gap>\s++)|[。！？]++[」』”’）]*+\s*+"
)
_LIST_ITEM = re.compile(
    r"[^\S\r\n]*+(?:[-*•]|#{1,6}|\(?[0-9]{1,3}[.)]|step [0-9]{1,3}[.:])[^\S\r\n]", re.IGNORECASE
)
_LIST_NUMBER = re.compile(_LIST_MARKS + r"(?:step[^\S\r\n])?[0-9]{1,3}", re.IGNORECASE)
_LAST_WORD = re.compile(r"(?<!\w)[A-Za-z.]{1,12}\Z")
# not a.m. and p.m., which often close a sentence: "at 5 p.m. She leaves"
_ABBREVIATION = re.compile(
    r"(?i:al|approx|cf|eqs?|resp|thm|viz|vs)|Dr|Figs?|Jr|Mrs?|Ms|Prof|Secs?|Sr|St"
    r"|(?i:(?!a\.m|p\.m)(?:[a-z]\.)+[a-z])"
)
_BEFORE_A_NUMBER = re.compile(r"(?i:nos?|pp)")  # "no. 5", but "No. It is 5."
_SENTENCE_START = frozenset("\"'([{$\\`*#")  # besides capitals, digits and non-ASCII letters

_FORMULA_START = re.compile(r"\\\(|\\\[|\\begin\{|(?<!\\)\$\$|(?<!\\)\$(?=\S)|(?<!`)`(?!`)")
_FORMULA_END = {
    "\\(": re.compile(r"\\\)"),
    "\\[": re.compile(r"\\\]"),
    "\\begin{": re.compile(r"\\end\{[^{}\r\n]*+\}"),
    "$$": re.compile(r"\$\$"),
    "$": re.compile(r"(?<!\\)\$"),
    "`": re.compile(r"(?<!`)`(?!`)"),
}
_SPACE_BEFORE_OR_DIGIT_AFTER = re.compile(r"(?<=\s)\$|\$(?=\d)")  # a second price


def line_starts(text: str) -> list[int]:
    """The first character of every line; lines end at \\n, \\r\\n or \\r."""
    return [0, *(match.end() for match in _NEWLINE.finditer(text))]


def fences(text: str) -> list[Region]:
    """The fenced code blocks of a text with their fence lines; an unclosed one runs to the end."""
    regions: list[Region] = []
    opened: tuple[int, str] | None = None
    starts = line_starts(text)
    for start, end in pairwise([*starts, len(text)]):
        match = _FENCE.match(text, start)
        if match is None:
            continue
        marks, rest = match["marks"], match["rest"]
        if opened is None:
            if "`" not in rest:  # otherwise inline code in three marks
                opened = (start, marks)
        elif marks.startswith(opened[1]) and (not rest or rest.isspace()):
            regions.append((opened[0], end))
            opened = None
    if opened is not None:
        regions.append((opened[0], len(text)))
    return regions


def _outside(cuts: Iterator[int], regions: list[Region]) -> Iterator[int]:
    """The cuts that are not inside a region; a region's two ends are not inside it."""
    starts = [start for start, _ in regions]
    for cut in cuts:
        region = bisect_right(starts, cut - 1) - 1
        if region < 0 or cut >= regions[region][1]:
            yield cut


def line_cuts(text: str) -> Iterator[int]:
    """A step is a line."""
    yield from line_starts(text)


def blank_line_cuts(text: str) -> Iterator[int]:
    """A step ends at a blank line; fenced code stays whole."""
    yield from _outside(_after_blank_lines(text), fences(text))


def _after_blank_lines(text: str) -> Iterator[int]:
    starts = line_starts(text)
    for start, end in pairwise(starts):
        if text[start:end].isspace():
            yield end


def numbered_cuts(text: str) -> Iterator[int]:
    """A step begins at a line with its number: `Step 1:`, or `1.`, `1)`, `(1)`.

    If a text has lines of the form `Step N`, only they count. Otherwise a number counts if it is
    the first, or one more than the number before, in the same form and not indented deeper: lists
    inside a step, and lines that happen to begin with a number, cut nothing. Text before the first
    number is a step of its own.
    """
    starts = list(_outside(iter(line_starts(text)), fences(text)))
    words = [start for start in starts if _WORD_NUMBER.match(text, start)]
    if words:
        yield from words
        return
    last: tuple[str, int, int] | None = None
    for start in starts:
        match = _BARE_NUMBER.match(text, start)
        if match is None:
            continue
        form, indent = match["open"] + match["close"], len(match["indent"])
        number = int(match["number"])
        if last is None or (form == last[0] and number == last[1] + 1 and indent <= last[2]):
            last = (form, number, indent)
            yield start


def sentence_cuts(text: str) -> Iterator[int]:
    """A step is a sentence or a fenced code block; paragraphs, list items and titles end one too.

    A sentence ends at `.`, `!` or `?` before white space unless the next letter is lower case. It
    does not end at an abbreviation, a decimal point, an ellipsis inside a sentence, the number of a
    list item or a factorial, nor inside a formula or code.
    """
    code = fences(text)
    for start, end in code:
        yield start
        yield end
    uncut = sorted(code + _formulas(text, code))
    yield from _outside(_after_blank_lines(text), uncut)
    starts = line_starts(text)
    items = (start for start in starts if _LIST_ITEM.match(text, start))
    yield from _outside(items, uncut)
    ends = (m.end() for m in _SENTENCE_END.finditer(text) if _ends_sentence(text, m, starts))
    yield from _outside(ends, uncut)


def _ends_sentence(text: str, match: re.Match[str], starts: list[int]) -> bool:
    mark, gap = match["mark"], match["gap"]
    following = text[match.end() : match.end() + 1]
    if mark is None or not following:
        return True
    before = text[max(0, match.start() - 24) : match.start()]
    line = starts[bisect_right(starts, match.start()) - 1]
    if mark == ".":
        if match.start() - line <= 24 and _LIST_NUMBER.fullmatch(text, line, match.start()):
            return False
        if _is_abbreviation(before, following):
            return False
    if "\n" in gap or "\r" in gap:
        return True
    ellipsis = "…" in mark or ".." in mark
    factorial = mark == "!" and re.search(r"(?:[0-9)}]|(?<![A-Za-z])[a-z])\Z", before)
    if ellipsis or factorial:
        return following.isupper()
    if following.isascii():
        return following.isupper() or following.isdigit() or following in _SENTENCE_START
    return not following.islower()


def _is_abbreviation(before: str, following: str) -> bool:
    word = _LAST_WORD.search(before)
    if word is None:
        return False
    if _BEFORE_A_NUMBER.fullmatch(word[0]):
        return following.isdigit()
    return _ABBREVIATION.fullmatch(word[0]) is not None


def _formulas(text: str, code: list[Region]) -> list[Region]:
    """LaTeX formulas and inline code outside `code` that do not cross a blank line."""
    code_starts = [start for start, _ in code]
    barriers = sorted([*_after_blank_lines(text), *code_starts, len(text) + 1])
    regions: list[Region] = []
    # per kind the first end at or after an earlier position: one search per region, so that a
    # thousand marks without an end do not cost a thousand searches
    next_end: dict[str, re.Match[str] | None] = {}
    position = 0
    while match := _FORMULA_START.search(text, position):
        kind, position = match[0], match.end()
        inside = bisect_right(code_starts, match.start()) - 1
        if inside >= 0 and match.start() < code[inside][1]:
            position = code[inside][1]
            continue
        end = next_end.get(kind)
        if kind not in next_end or (end is not None and end.start() < position):
            end = next_end[kind] = _FORMULA_END[kind].search(text, position)
        if end is None or end.start() >= barriers[bisect_right(barriers, match.start())]:
            continue
        if kind == "$" and _SPACE_BEFORE_OR_DIGIT_AFTER.match(text, end.start()):
            continue
        regions.append((match.start(), end.end()))
        position = end.end()
    return regions
