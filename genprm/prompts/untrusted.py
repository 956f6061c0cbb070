"""Makes untrusted text harmless inside a prompt, visibly and without losing any of it.

Problems and steps come from users, models and the web. They may hold the tokenizer's own special
tokens, chat markup, a forged verdict or lines that look like the prompt's own. Each such piece is
broken by a space after its first character (`< |im_end|>`, `V erdict:`), which a reader still
understands and no tokenizer or parser takes for the real thing. Knows no pack and no chat
template: callers name the literals and line beginnings that are reserved.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

# Markup of the common chat formats, for engines whose tokenizer is not available here. "｜" is
# folded to "|" before matching.
CHAT_MARKUP = (
    r"<\|[^<>\n]{0,64}\|>",
    r"</?(?:s|bos|eos|pad|unk|mask|start_of_turn|end_of_turn|think|tool_call)>",
    r"\[/?(?:inst|system_prompt|available_tools|tool_results|tool_calls)\]",
    r"<</?sys>>",
)
SHORT_TEXT = 4_000  # characters; longer texts are not cached, since there may be thousands
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")  # not \t, not \n
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def neutralise(text: str, literals: Iterable[str] = (), line_starts: Iterable[str] = ()) -> str:
    """`text` with every literal broken, and every line that begins like one of `line_starts`.

    Literals are found at any position, in any case, and through the foldings that tokenizers
    apply (compatibility forms, accents, invisible characters); chat markup always counts as
    literal. Literals of white space or invisible characters alone, or of a single letter or digit,
    are content and stay.
    Lone surrogates become U+FFFD; control characters other than tab and newline become a space.
    Applying it twice changes nothing.
    """
    work = _remembered if len(text) <= SHORT_TEXT else _neutralise
    return work(text, tuple(literals), tuple(line_starts))


@lru_cache(maxsize=4096)  # every step returns in the prefix of each later one
def _remembered(text: str, literals: tuple[str, ...], line_starts: tuple[str, ...]) -> str:
    return _neutralise(text, literals, line_starts)


def _neutralise(text: str, literals: tuple[str, ...], line_starts: tuple[str, ...]) -> str:
    text = _SURROGATE.sub("\ufffd", text).replace("\r\n", "\n")
    text = _UNPRINTABLE.sub(" ", text)
    pattern = _pattern(literals, line_starts)
    # Each pass breaks what it finds; a break can only complete another literal by adding a space
    # inside it, and literals are finite, so the passes end.
    while (broken := _break(text, pattern)) != text:
        text = broken
    return text


@lru_cache(maxsize=16)
def added_literals(tokenizer: Any) -> tuple[str, ...]:
    """The literals that a tokenizer turns into one token at any position; empty for None."""
    if tokenizer is None:
        return ()
    return tuple(sorted({*tokenizer.get_added_vocab(), *tokenizer.all_special_tokens}))


@lru_cache(maxsize=64)
def _pattern(literals: tuple[str, ...], line_starts: tuple[str, ...]) -> re.Pattern[str]:
    """One pattern over folded text, longest literal first."""
    cores = {_fold(literal)[0].strip() for literal in literals}
    cores = {core for core in cores if core and not (len(core) == 1 and core.isalnum())}
    parts = [re.escape(core) for core in sorted(cores, key=lambda core: (-len(core), core))]
    starts = {_fold(start)[0].strip() for start in line_starts} - {""}
    lines = [rf"(?<![^\n])[^\S\n]*{re.escape(start)}" for start in sorted(starts)]
    return re.compile("|".join([*parts, *CHAT_MARKUP, *lines]))


def _break(text: str, pattern: re.Pattern[str]) -> str:
    """One pass: a space after the first visible character of every match."""
    folded, origin = _fold(text)
    kept: list[str] = []
    done = 0
    for match in pattern.finditer(folded):
        literal = match.group()
        first = match.start() + len(literal) - len(literal.lstrip())
        start, end = origin[first], origin[match.end() - 1]
        # a literal of one character cannot be broken: the space goes before it
        kept.append(f"{text[done:start]} " if start == end else f"{text[done : start + 1]} ")
        done = start + 1
    return "".join(kept) + text[done:]


def _fold(text: str) -> tuple[str, Sequence[int]]:
    """`text` as matching sees it, and for each of its characters the place in `text`."""
    if text.isascii():
        return text.lower(), range(len(text))
    folded: list[str] = []
    origin: list[int] = []
    for place, character in enumerate(text):
        for part in unicodedata.normalize("NFKD", character).casefold():
            if unicodedata.category(part) not in ("Mn", "Cf"):
                folded.append(part)
                origin.append(place)
    return "".join(folded), origin
