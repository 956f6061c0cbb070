"""Sentences about an option: "option B is correct"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from genprm.verifiers.extraction.ends import clean_answer
from genprm.verifiers.extraction.places import Place, Rank
from genprm.verifiers.extraction.statements import HYPOTHESIS, corrects, sentences_before

# --- sentences about an answer -------------------------------------------------------------------

_OPTIONS = re.compile(
    r"""(?<![\w.,/$\\])\*{0,2}(?:
      (?P<value>\$[^$\n]{1,80}\$ | \\\([^\n]{1,80}?\\\) | [-+−]?\$?\d[\d,./]{0,40}%?
        | (?i:(?:option|choice|alternative)\ )?[(\[]?[A-Z][)\]]?)
      \*{0,2}[ ](?:is|are)[ ](?i:thus[ ]|therefore[ ]|indeed[ ]|then[ ])?(?:the|our|my)[ ]
      (?:(?:final|correct|right|best|required)[ ])?(?:answer|option|choice|one)\b
    | (?P<option>(?i:option|choice|alternative)[ ][(\[]?[A-Za-z\d][)\]]? | [(\[][A-Z][)\]]
        | (?:(?<=^)|(?<=[.!?:][ ])|(?<=[Oo]nly[ ])|(?<=[Ss]o[ ])|(?<=,[ ])|(?<=[Tt]hus[ ])
            |(?<=[Hh]ence[ ]))[A-Z])
      \*{0,2}[ ]is[ ](?i:thus[ ]|therefore[ ]|indeed[ ]|then[ ])?(?:the[ ])?(?:correct|right|best)\b
    | (?-i:I)(?:['’]d|['’]ll|[ ]would|[ ]will)?[ ](?:choose|chose|pick|select|go[ ]with)[ ]\*{0,2}
      (?P<choice>(?i:(?:option|choice)\ )?[(\[]?[A-Z][)\]]?)(?!\w)
    )(?!\s*\?)""",
    re.VERBOSE | re.MULTILINE,
)


# such an option answers another question
_ELSEWHERE = re.compile(
    r"[^.!?\n]{0,60}?\b(?:only|if|unless|(?:in|to|for|under|on|with) (?:an?|the|some)? ?"
    r"(?:different|another|other|second|next|previous|first)|other|would)\b"
)


def find_options(text: str) -> Iterator[Place]:
    """Options that a sentence calls right. An explicit statement is surer than those, unless they
    correct it."""
    for match in _OPTIONS.finditer(text):
        before = text[max(0, match.start() - 30) : match.start()]
        if HYPOTHESIS.search(before) or re.search(r"\b(?:[Nn]ot|[Ii]s)\s+\Z", before):
            continue
        rank = Rank.OPTION
        if (match["value"] and "answer" in match[0]) or corrects(
            *sentences_before(text, match.start())
        ):
            rank = Rank.VALUE
        if _ELSEWHERE.match(text, match.end()):
            rank = Rank.SUPPOSED
        yield (
            match.start(),
            rank,
            clean_answer(match["value"] or match["option"] or match["choice"]),
        )
