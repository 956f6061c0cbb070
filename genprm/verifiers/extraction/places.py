"""What a place in a solution that names an answer is worth."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Rank(IntEnum):
    """How surely a text is an answer: words may be about one ("correct"), or be one ("a ball"); a
    value may be that of another question ("without the tax the answer would be 36")."""

    COMMENT = 0
    SUPPOSED = 1
    WORDS = 2
    HEDGED = 3
    OPTION = 4
    VALUE = 5


class Candidate(NamedTuple):
    """A text that may be the answer. The greatest counts: what is not quoted, of the highest rank,
    that begins last."""

    unquoted: bool
    rank: Rank
    start: int
    answer: str


Place = tuple[int, Rank, str]  # start, rank, answer (which may be empty)
