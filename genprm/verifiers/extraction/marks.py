r"""Marks of an answer: `\boxed{X}`, `<answer>X</answer>`, a JSON field, `#### X`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress

from genprm.verifiers.extraction.ends import clean_answer
from genprm.verifiers.extraction.places import Place, Rank
from genprm.verifiers.extraction.statements import STATEMENT, rank_box, text_below
from genprm.verifiers.extraction.values import (
    PLACEHOLDER,
    SENTENCE,
    STYLED,
    keep_first_form,
    read_answer,
)

# --- marks ---------------------------------------------------------------------------------------

# \b in a string that nobody escaped is a backspace
_BOX = r"(?:\\+b|\x08)oxed(?![A-Za-z])|\\+(?:fbox|framebox)(?![A-Za-z])"
_TOKEN = re.compile(rf"(?P<box>{_BOX})\s*(?P<brace>\{{)?|\\.|[{{}}]", re.DOTALL)
_BARE = re.compile(  # the argument of a box without braces
    r"\s*(?:[-+−]?\d+(?:[.,]\d+)*|\\(?![()\[\]{}])[A-Za-z]+(?:\s*\{[^{}]*\}){0,2}"
    r"|\(?[A-Za-z]\)?(?=\s*(?:[$.,;!?\n]|\\[)\]]|\Z)))"
)
_BETWEEN = re.compile(  # from one box to another of the same answer: " and y = "
    r"(?:[\s$,;.]|\\[()\[\]]|\\q?quad|\\[,;!]|&|\\\\|(?:\\text\s*\{\s*)?\b(?:and|or)\b(?:\s*\})?)*"
    r"(?:[A-Za-z](?:_\{?\w\}?)?(?:\(\w\))?\s*=)?[\s$]*"
    r"|[\s$]*(?:[a-z]+\s+){0,2}and\s+(?:(?!(?:so|thus|then|hence|therefore|finally|now|after|we|it|this|indeed"
    r"|again|also|still|total|sum|answers?|altogether|overall|in)\b)[A-Za-z]+\s+){0,4}=?[\s$]*"
)
_UNKNOWN = re.compile(r"(?<![\w\\])([A-Za-z](?:_\{?\w\}?)?)(?:\(\w\))?\s*=[\s$]*\Z")
_CONNECTIVE = re.compile(r"[,;]|\b(?:and|or)\b")
_NAMED = re.compile(r"(?<![A-Za-z\\])(?!(?:and|or|text|quad|qquad)\b)[A-Za-z]")


def find_boxes(text: str) -> Iterator[Place]:
    last: tuple[int, int, str | None] | None = None  # start, end, unknown of the box before
    group: list[str] = []
    for start, end, content in sorted(_boxed(text)):
        if PLACEHOLDER.fullmatch(STYLED.sub(r"\1", content[:80])) or not (
            box := clean_answer(content)
        ):
            continue
        unknown = _UNKNOWN.search(text[max(0, start - 20) : start])
        name = unknown[1] if unknown else None
        if last is None or not _belongs(text[last[1] : start], last[2], name):
            group = []
        named = last is not None and _NAMED.search(text, last[1], start)
        if box not in group or named:  # 5 for Ann and 5 for Bob, not one box twice
            group.append(box)
        answer = ", ".join(group) if len(group) < 20 else box
        yield start, rank_box(text, start), keep_first_form(answer)
        last = start, end, name


def _belongs(between: str, before: str | None, unknown: str | None) -> bool:
    """Whether two boxes with this text between them are parts of one answer: joined by "and", or
    the values of two unknowns."""
    if len(between) > 60 or not _BETWEEN.fullmatch(between):
        return False
    if before is not None and unknown is not None:
        return before != unknown
    return _CONNECTIVE.search(between) is not None


def _boxed(text: str) -> Iterator[tuple[int, int, str]]:
    r"""Start, end and content of every box whose braces balance; `\{` and `\}` are text."""
    opened: list[re.Match[str]] = []
    for token in _TOKEN.finditer(text):
        if token["box"] and not token["brace"]:
            if argument := _BARE.match(text, token.end("box")):
                yield token.start(), argument.end(), argument[0]
        elif token["box"] or token[0] == "{":
            opened.append(token)
        elif token[0] == "}" and opened:
            opening = opened.pop()
            if opening["box"]:
                yield opening.start(), token.end(), text[opening.end() : token.start()]


_TAG = re.compile(
    r"(?:<(?P<end>/)?answer>|\[(?P<end_of_block>/)?answer\]|<\|(?:begin|(?P<end_of_box>end))_of_box\|>)",
    re.IGNORECASE,
)


def find_tags(text: str, keep_sentences: bool) -> Iterator[Place]:
    opening: re.Match[str] | None = None
    for tag in _TAG.finditer(text):
        if not any(tag.groups()):
            opening = tag
        elif opening:
            content = clean_answer(text[opening.end() : tag.start()])
            if not keep_sentences and len(content) < 400 and SENTENCE.match(content):
                content = read_answer(content, "", sentence=False, keep_sentences=False)[1]
            yield opening.start(), Rank.VALUE, content
            opening = None


_FIELD = re.compile(
    r"""["'](?:(?:final|correct)[_ ]?)?answer["']\s*:\s*(?P<value>"(?:[^"\\\n]|\\.)*"
    |'[^'\n]*'|\[[^\[\]\n]*\]|[^"'\[\],}\s][^,}\n]*)""",
    re.VERBOSE | re.IGNORECASE,
)


_LATEX = re.compile(r"(?<!\\)(?:\\\\)*\\(?:[A-Za-z]{2}|[^\w\"/\\])")  # that nobody escaped


def find_fields(text: str, keep_sentences: bool) -> Iterator[Place]:
    """The field of an answer in JSON: `{"answer": 42}`."""
    for field in _FIELD.finditer(text):
        content = field["value"].strip("[]")
        if content.startswith('"') and not _LATEX.search(content):
            with suppress(ValueError):  # an escape that JSON does not know
                content = f'"{json.loads(content, strict=False)}"'
        content = content.strip("\"'").strip()
        if content and content != "null":
            answer = read_answer(content, "", sentence=False, keep_sentences=keep_sentences)[1]
            yield field.start(), Rank.VALUE, answer


_HASHES = re.compile(r"(?<!#)####(?!#)(?P<content>(?:(?!####)[^\n])*)")


def find_hashes(text: str, keep_sentences: bool) -> Iterator[Place]:
    """GSM8K's last line, `#### 24`. With text below, words behind the marks are a heading."""
    end = len(text.rstrip())
    for mark in _HASHES.finditer(text):
        content = mark["content"].strip()
        if not content and text[mark.end() : mark.end() + 1] == "\n":
            content = text_below(text, mark.end())
        if STATEMENT.search(content):
            continue
        before = text[max(0, mark.start() - 200) : mark.start()]
        rank, answer = read_answer(content, before, sentence=False, keep_sentences=keep_sentences)
        is_last = mark.end() >= end
        if is_last or rank is Rank.VALUE:
            is_heading = not is_last and re.match(r"\d+[.):]\s+\S", content) is not None
            if not is_heading and (is_last or not re.search(r"(?<!\\)\b[A-Za-z]{2}", answer)):
                yield mark.start(), rank, answer
