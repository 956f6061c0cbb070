"""Splits solution text into steps and joins it again; finds the characters and tokens of each step.

A splitter only says at which characters a new step begins, so splitting loses nothing: the spans
of `char_spans` follow each other without a gap and cover the text. Blank pieces belong to
the step before them (at the start of the text: to the first step). Knows no model and no
tokenizer, only the offset mapping that a fast tokenizer returns.

    >>> split("2 + 3 = 5\\n5 * 4 = 20\\n", "lines")
    ['2 + 3 = 5', '5 * 4 = 20']
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from genprm.errors import InputError
from genprm.steps.code import code_cuts
from genprm.steps.prose import blank_line_cuts, line_cuts, numbered_cuts, sentence_cuts

_LEADING_BLANK_LINES = re.compile(r"\A(?:[^\S\r\n]*+[\r\n])++")


class StepSpan(NamedTuple):
    """Characters `start` to `end` (exclusive) of a text: one step and the separator after it."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """Tokens `start` to `end` (exclusive) of one step; empty where a step owns no token."""

    start: int
    end: int


@dataclass(frozen=True)
class Splitter:
    """A way to cut a solution into steps."""

    cuts: Callable[[str], Iterable[int]]  # text -> characters at which a new step begins
    separator: str  # `join` puts it between two steps
    keeps_indentation: bool = False  # of a step's first line; other splitters strip steps


SPLITTERS: dict[str, Splitter] = {
    "lines": Splitter(line_cuts, "\n"),
    "blank_lines": Splitter(blank_line_cuts, "\n\n"),
    "numbered": Splitter(numbered_cuts, "\n"),
    "sentences": Splitter(sentence_cuts, "\n\n"),
    "code": Splitter(code_cuts, "\n\n", keeps_indentation=True),
}


def get_splitter(name: str) -> Splitter:
    """The splitter of that name.

    Raises:
        InputError: no splitter has that name.
    """
    if name not in SPLITTERS:
        raise InputError(f"unknown splitter {name!r}; known are {', '.join(SPLITTERS)}")
    return SPLITTERS[name]


def char_spans(text: str, splitter: str) -> list[StepSpan]:
    """One span per step, in order, covering the text; no span for a blank text.

    Raises:
        InputError: no splitter has that name.
    """
    cuts = set(get_splitter(splitter).cuts(text))
    if not text or text.isspace():
        return []
    first = len(text) - len(text.lstrip())
    last = len(text.rstrip())
    spans: list[StepSpan] = []
    start = 0
    for end in [*sorted(cut for cut in cuts if first < cut < last), len(text)]:
        if text[start:end].isspace():  # only between two steps: it belongs to the one before
            spans[-1] = StepSpan(spans[-1].start, end)
        else:
            spans.append(StepSpan(start, end))
        start = end
    return spans


def split(text: str, splitter: str) -> list[str]:
    """The steps of a text without the white space around them; a step is never blank.

    The `code` splitter keeps the indentation of a step's first line.

    Raises:
        InputError: no splitter has that name.
    """
    pieces = [text[start:end] for start, end in char_spans(text, splitter)]
    if get_splitter(splitter).keeps_indentation:
        return [_LEADING_BLANK_LINES.sub("", piece).rstrip() for piece in pieces]
    return [piece.strip() for piece in pieces]


def join(steps: Sequence[str], splitter: str) -> str:
    """The steps as one text, with the splitter's separator between them.

    The splitter cuts at its separator, so steps that came from `split` come out of it again. With
    `sentences` and `code` there are rare exceptions: one step holds half of a pair (a fence, a
    formula) that another completes, or white space turns prose into Python.

    Raises:
        InputError: no splitter has that name.
    """
    return get_splitter(splitter).separator.join(steps)


def token_spans(offsets: Sequence[tuple[int, int]], spans: Sequence[StepSpan]) -> list[TokenSpan]:
    """The tokens of each step: those whose first character lies in the step's span.

    Args:
        offsets: per token its characters (start, end) in the text that `spans` refer to, as
            `tokenizer(text, return_offsets_mapping=True)` gives them. Tokens with an empty range
            (special tokens) and tokens that begin outside every span belong to no step. Apart
            from the empty ones, tokens are in the order of their first characters.
        spans: per step its characters, in order and not overlapping: `char_spans` of a solution,
            shifted by the solution's first character if it is part of a longer text.

    Returns:
        One span per step. If all characters of a step belong to a token that begins earlier, its
        span is empty and lies where that token ends.
    """
    real = [(start, index) for index, (start, end) in enumerate(offsets) if start < end]
    tokens: list[TokenSpan] = []
    for span in spans:
        first = bisect_left(real, (span.start, -1))
        last = bisect_left(real, (span.end, -1))
        begin = real[first][1] if first < last else (real[first - 1][1] + 1 if first else 0)
        tokens.append(TokenSpan(begin, real[last - 1][1] + 1 if first < last else begin))
    return tokens
