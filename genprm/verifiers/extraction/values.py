"""What an answer looks like: values, words about an answer, sentences, one value in two forms."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from genprm.verifiers.extraction.ends import (
    FUNCTION,
    REMARK,
    VALUE_END,
    WORDS_END,
    clean_answer,
    clip,
)
from genprm.verifiers.extraction.places import Rank

# --- what an answer looks like -------------------------------------------------------------------

VALUE = re.compile(
    rf"""[*_`"'“‘]*(?:
      [-+−–±~≈<>≤≥=]*\s*[$€£¥]?\s*\.?\d
    | [$\\√∞π|½-¾∅°]
    | [(\[{{]\s*(?:[-+−\d$\\∞.(\[{{]|[A-Za-z]\b|infinity\b|inf\b)
    | (?i:option|choice)\s+[(\[]?[A-Za-z\d]\b
    | {FUNCTION}
    | (?![aAI]\s+[A-Za-z]{{2}})[-+−]?[A-Za-z](?![\w'’.])
    | [aAI]\s+(?:{REMARK}|and\s+[A-Z]\b|or\s+[A-Z]\b)(?!\w)
    | [A-Z]\.(?=\s|$)
    | [a-z]_ | (?i:both|either)\s+[(]?[A-Z]\b
    | (?i:yes|no|true|false|none)\b(?=\W*$|\s*[,.;:!*(—–-]|\s+{REMARK})
    )""",
    re.VERBOSE,
)
_COMPARISON = (
    re.compile(  # "4 more than 20", "> 20" and "25 is too large" only say something about it
        r"\W*\d[\d,.]*(?:[\s-]digits?|\s+(?:is|are|was|were|would|has|have)"
        r"|\s+(?:\w+\s+)?(?:more|less|fewer|greater|smaller|larger|higher|lower|times)"
        r"\s+(?:than|as|the|what|that|of))\b|[\s$]*(?:[<>≤≥]|\\(?:[gl]eq?|[gl]t|neq?)\b)",
        re.IGNORECASE,
    )
)
_COMMENT = re.compile(
    r"(?:not|consistent|correct|incorrect|right|wrong|reasonable|plausible|valid|invalid|verified"
    r"|confirmed|checked|unique|clear|obvious|found|obtained|shown|given|stated|see|the same|as"
    r"|in (?:agreement|accordance|line|simplest|lowest|reduced|its|the|this)|what|now|also"
    r"|therefore|below|above|to be|going|still|expected|supposed|acceptable|exact)\b",
    re.IGNORECASE,
)
_ALONE = re.compile(r"(?:right|wrong|correct|incorrect|valid|invalid|unique)\W*\Z", re.IGNORECASE)
_LEAD = re.compile(
    r"(?:[*`}:=,\s→⇒⟹➜➔]|</(?:b|i|u|em|strong|span|font)>|"
    r"a total of(?=\s+[*_]*[\d$\\])|<\w+(?:\s[^<>\n]{1,80})?>|_+(?=\s)|\\quad\b|\\[,;! ]|"
    r"(?:then|therefore|thus|hence|simply|just|indeed|clearly"
    r"|exactly|actually|now|again|still|also|definitely|that|approximately|about|roughly"
    r"|equal to|given by|found to be|rounded to|as follows|the following"
    r"|the (?:number|value|letter|integer|fraction)(?=\s+[\d$\\(+-]|\s+[A-Z]\b))(?=[\s:,]))+",
    re.IGNORECASE,
)
_CONTRAST = re.compile(r"(?:\bbut(?: rather)?|\brather|\bit is|\bit's|\bit’s|\binstead)\b,?\s+")
PLACEHOLDER = re.compile(
    r"(?:[.?_\s$=]|\\[lcd]?dots|…|(?:(?:your|the|final|my|answer|here|goes)\s*)+)*", re.IGNORECASE
)
STYLED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf)\s*\{([^{}]*)\}")


def read_answer(
    content: str, before: str, *, sentence: bool, keep_sentences: bool
) -> tuple[Rank, str]:
    """Rank and text of the answer at the start of `content`; empty if there is none.

    `before` is the text of the solution up to it; in a `sentence` a capital letter means a name.
    """
    content = content[skip_lead(content) :]
    if re.match(r"not\b", content, re.IGNORECASE):  # not 5 but 6
        contrast = _CONTRAST.search(content)
        content = content[contrast.end() :] if contrast else ""
        if not VALUE.match(content):
            return Rank.COMMENT, ""
    is_value = bool(VALUE.match(content)) and not _COMPARISON.match(content)
    clipped = clip(content, VALUE_END if VALUE.match(content) else WORDS_END, before)
    if clipped is None or PLACEHOLDER.fullmatch(clipped):
        return Rank.COMMENT, ""
    answer = clean_answer(clipped)
    if is_value:
        return Rank.VALUE, keep_first_form(answer)
    if not keep_sentences and SENTENCE.match(answer):
        amount = _only_amount(clipped, content[len(clipped) :])
        return (Rank.VALUE, amount) if amount else (Rank.COMMENT, "")
    if _COMMENT.match(answer):
        return Rank.COMMENT, "" if sentence or not _ALONE.fullmatch(answer) else answer
    return Rank.VALUE if sentence and answer[:1].isupper() else Rank.WORDS, answer


def skip_lead(content: str) -> int:
    lead = _LEAD.match(content)
    return lead.end() if lead else 0


# --- sentences as answers ------------------------------------------------------------------------

_SUBJECT = (
    r"(?:(?i:(?:the|an?|his|her|their|its|our|my|your|each|every|all|both|one)\s)"
    r"(?:(?!(?:that|which|who|whose|where|what|such)\b)[\w'’-]+\s){1,5}?"
    r"|[A-Z][\w-]*[’']s?\s(?:[a-z]+\s){1,4}?|(?:[A-Z][\w'’-]*\s(?:and\s|of\s)?){1,4})"
)
_VERB = (
    r"(?:is|are|was|were|has|have|had|does|did|made|spent|needed|got|sold|paid|took|ate|bought|gave"
    r"|(?:can|will|could|would|must|should)\s[a-z]+)"
)
# verbs that may be nouns, unless a number follows: "Tina makes $5"
_ACTION = (
    r"(?:[a-z]+(?:s|ed)|drove|ran|won|lost|kept|drank|left|cost|read|grew|rode|flew|swam|held)"
)
SENTENCE = re.compile(
    rf"(?:(?i:she|he|they|it|we|there|you)|I)(?=[’'\s](?!and\b|or\b|only\b)[a-z])|{_SUBJECT}{_VERB}\b"
    rf"|(?!an?\s){_SUBJECT}(?:(?:also|now|then|only|still|each)\s)?{_ACTION}\s(?=[^\d\n]{{0,60}}\d)"
    rf"|[^,\n]{{0,60}}?\b(?:she|he|they|we|there)\s{_VERB}\b"
    r"|(?:At|In|On|After|By|For|Therefore|So|Thus|Then)\b[^,.\n]{0,40},\s"
)
_AMOUNT = re.compile(
    r"""(?P<formula>\\\(.{1,200}?\\\) | \$[^$\n]{1,200}(?<!\s)\$(?!\d))
    | (?<![\w.,/])[-−]?(?:\\?[$€£¥]\s?)?\d+(?:,\d{3})*(?:\.\d+)?(?:\s?/\s?\d+|:\d\d)?(?:\s?\\?%)?
      (?:\s(?:hundred|thousand|million|billion|dozen|square|cubic)(?![\w]))?
      (?:\s(?!(?:every|each|left|more|less|fewer|in|on|at|of|for|from|to|per|an?|the|and|or|with|by
        |after|before|when|while|if|total|altogether|remaining|that|than|as|is|are|was|were|now|away
        |over|out|back|extra|how|because|since|so|again|today)\b)[a-z]+(?:\sper\s[a-z]+)?)?""",
    re.VERBOSE,
)


def _only_amount(clause: str, rest: str) -> str | None:
    """The number or formula in a clause, with its unit; None if there are several or none, or if
    the line goes on with further sentences that hold some."""
    amounts = [match[0] for match in _AMOUNT.finditer(re.sub(r"\*+", "", clause))]
    goes_on = re.match(r"[.!?]", rest) and re.search(r"[\d\\]", rest)
    return clean_answer(amounts[0]) if len(amounts) == 1 and not goes_on else None


# --- one value in two forms ----------------------------------------------------------------------

_FORMS = re.compile(
    r"(?P<first>(?:[^()]|\\[()]){1,60}?)(?:\s*,?\s*(?:\\text\s*\{\s*or\s*\}|\bor\b)\s*(?P<second>(?:[^()]|\\[()]){1,60})"
    r"|\s*\(\s*(?:or\s+)?(?P<bracketed>[^()]{1,60})\))"
)
_RATIONAL = re.compile(
    r"(?P<sign>[-−]?)\s*(?:(?P<whole>\d+)\s*(?=\\|\d+\s*/))?"
    r"(?:\\[dt]?frac\s*(?:\{\s*(\d+)\s*\}|(\d))\s*(?:\{\s*(\d+)\s*\}|(\d))|(\d+)\s*/\s*(\d+)"
    r"|(?P<decimal>\d*\.?\d+))(?P<percent>\s*\\?%)?"
)


def keep_first_form(answer: str) -> str:
    """The first of two forms of one number: `1/2 or 50%`, `3/4 (0.75)`."""
    forms = _FORMS.fullmatch(answer)
    if forms is None:
        return answer
    first, second = (_rational(text) for text in (forms["first"], forms[2] or forms[3]))
    if first is None or second is None:
        return answer
    return clean_answer(forms["first"]) if _agree(first, second) else answer


class _Rational(NamedTuple):
    value: Fraction
    error: Fraction  # half a unit of the last place of a decimal


def _rational(text: str) -> _Rational | None:
    match = _RATIONAL.fullmatch(clean_answer(text))
    if match is None:
        return None
    top, bottom = (match[3] or match[4] or match[7]), (match[5] or match[6] or match[8])
    error = Fraction(0)
    if decimal := match["decimal"]:
        value = Fraction(decimal)
        error = Fraction(1, 2 * 10 ** len(decimal.partition(".")[2])) if len(decimal) > 3 else error
    elif int(bottom) == 0:
        return None
    else:
        value = int(match["whole"] or 0) + Fraction(int(top), int(bottom))
    scale = Fraction(1 if not match["sign"] else -1, 100 if match["percent"] else 1)
    return _Rational(value * scale, error * abs(scale))


def _agree(one: _Rational, other: _Rational) -> bool:
    return abs(one.value - other.value) <= max(one.error, other.error)


def is_quoted(text: str, start: int) -> bool:
    """Whether a position is in a line of a quotation (`> ...`)."""
    line = text.rfind("\n", max(0, start - 4_000), start) + 1
    return text[line : line + 4].lstrip(" ").startswith(">")
