r"""Which text of a solution is its final answer.

Three kinds of places name an answer: marks (`\boxed{X}`, `#### X`, `<answer>X</answer>`),
statements ("the answer is X", "Answer: X", a title "# Answer" with X below it) and sentences about
an option ("option B is correct"). Of these the last one counts that holds a value: a mark, a
number, a formula, an option, a name. What only talks about an answer ("the answer is consistent
with ...", "if the answer is 5, ...") replaces none, nor do remarks about another answer (`_DOUBTS`:
"the naive answer is 36", "without the tax the answer would be 36") unless they correct it. A value
ends where the words about it begin ("24, since ..."; `_VALUE_ENDS`); units stay, and nothing is
converted. Of a sentence ("Answer: she has 5 apples left") the one number counts.

The text is untrusted: all of this takes time linear in its length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from fractions import Fraction
from itertools import zip_longest
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


def extract_final_answer(
    solution: str | Sequence[str], *, keep_sentences: bool = False
) -> str | None:
    r"""The last answer that a solution states, without what surrounds it; None if it states none.

    Several boxes in one sentence ("x = \boxed{2} and y = \boxed{9}") are one answer, "2, 9". A
    whole sentence is an answer only with `keep_sentences`, as options have such texts; else it
    stands for the one number in it, and for nothing if there are several or none.
    """
    text = solution if isinstance(solution, str) else "\n".join(solution)
    text = halve_width(text)
    # without runs of white space, in which patterns that allow for some would take square time
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r" ?\n\s*", "\n", text)
    places = [
        *_boxes(text),
        *_fields(text, keep_sentences),
        *_tags(text, keep_sentences),
        *_hashes(text, keep_sentences),
        *_options(text),
        *_statements(text, keep_sentences),
    ]
    candidates = [
        Candidate(not _is_quoted(text, start), rank, start, answer)
        for start, rank, answer in places
        if answer
    ]
    return max(candidates).answer if candidates else None


Place = tuple[int, Rank, str]  # start, rank, answer (which may be empty)

_FULL_WIDTH = str.maketrans(
    {"。": ". ", "，": ", ", "、": ", ", "；": "; ", "：": ": ", "！": "! ", "？": "? "}
    | {"（": " (", "）": ") ", "．": "."}
)


def halve_width(text: str) -> str:
    """The text with the full-width punctuation of Chinese and Japanese as that of English."""
    return text.translate(_FULL_WIDTH)


# --- words ---------------------------------------------------------------------------------------

_ARTICLE = r"(?:the|my|our|your|this|that|its|a|an)"
_FUNCTION = (
    r"(?:sin|cos|tan|cot|sec|csc|log|ln|lg|exp|sqrt|pi|inf|infinity|max|min|mod|gcd|lcm|det)\b"
)
# words that begin a remark: what stands behind them is no part of the answer
_REMARK = (
    r"(?:since|because|as(?!\s+well)|which|whose|where|so|thus|hence|therefore|i\.e\.|e\.g\.|that\s+is|namely"
    r"|meaning|assuming|given|instead|rather\s+than|and\s+not|but)"
)
# words that begin one unless a further number follows: "24 for Ann and 12 for Bob" is two answers
_AFTERTHOUGHT = (
    r"(?:for|from|by|in|on|at|to|with|when|while|if|unless|after|before|using"
    r"|rounded|altogether|overall)"
)
# what belongs to a number although it is a word
_TERM = r"(?:base|mod|modulo|remainder|rem|per|times|plus|minus)\b"
_NUMERAL = (
    r"(?:half|halves|thirds?|quarters?|fourths?|fifths?|one|two|three|four|five|six|seven|eight|nine"
    r"|ten|hundred|thousand|million)\b"
)

# --- where an answer ends ------------------------------------------------------------------------

_NO_TEXT = "</|<br|<\\||\\s*[\u2600-\u27bf\U0001f300-\U0001faff]"  # tags, ticks, smileys
_DASH = r"(?:[–—-]|--)"
# an entry of a list: "5, ten", "True, False", "$x$ and Bob"; but "24, Ann has the most"
_ENTRY = (
    rf"(?:[IVX]+\b|(?:[A-Z]\w*|(?i:true|false|yes|no)\b|{_NUMERAL})"
    r"(?![’'\w])(?!\s+(?!(?:and|or)\b)[a-z]))"
)
_NOUN = r"(?!(?:so|then|thus|done|finally)\b)[a-z]+(?=\s*(?:[.!?,;)]|\Z))"  # "8 boys and girls"
_TOKENS = r"""\\[()\[\]] | \\. | \$\$? | [()\[\]{}]
    | (?P<stop>[.!?])(?=["'”’*_`)\]}]*+(?:\s|$))"""
# where a value ends whatever follows
_VALUE_ENDS = {
    "marks": _NO_TEXT,
    "a footnote": r"\[\^\w+\]",
    "an empty box": r"\s*\$?\\boxed\s*\{\s*\}",
    "an arrow": rf"\s+(?:[→⇒⟹➜➔]|[-=]>)\s+(?!{_FUNCTION})(?=[a-z]{{2}})",
    "a remark": rf"(?:[,;:]\s+|\s+{_DASH}\s+|\s+){_REMARK}(?!\w)",
    "a remark in Chinese, Japanese or Korean": r"[,;:]\s+(?=[\u3040-\u9fff\uac00-\ud7af])",
    "what it is not": r",\s+not\b",
    "an apposition": r",\s+(?:an?|the)\s+(?=[a-z]{2})",
    "another form": r"\s+(?=\(\s*[=≈])|,?\s+or\s+(?:about|approx\w*|roughly|equivalently)\b",
    "a remark in brackets": r"\s+(?=\(\s*(?:or|also|about|approx\w*|rounded|exactly|to|from|using"
    rf"|{_REMARK})(?!\w))",
    "how it is meant": r"[,;]?\s+in\s+(?:total|all|simplest|lowest|reduced|its|the)\b",
}
# where it ends unless a further number follows
_SOFT_ENDS = {
    "words": rf"(?:[,;:]\s+|\s+{_DASH}\s+)(?!{_FUNCTION}|{_TERM}|(?:(?:and|or)\s+)?{_ENTRY})"
    r"(?=[\"'(]?[A-Za-z]{2})",
    "brackets": rf"\s+(?=\((?!{_FUNCTION}|{_TERM})[A-Za-z]{{2}}|\((?:an?|the)\s)",
    "a further clause": rf"\s+(?:and|or)\s+(?!{_FUNCTION}|{_TERM}|{_NUMERAL}|{_ENTRY}|{_NOUN})"
    r"(?=[A-Za-z]{2})",
    "an afterthought": rf"\s+{_AFTERTHOUGHT}\s+(?!{_FUNCTION}|{_TERM}|{_NUMERAL})(?=[A-Za-z]{{2}})",
}
# where words end: they may hold commas
_WORDS_ENDS = {
    "marks": _NO_TEXT,
    "a reason": r",?\s+(?:since|because)\b",
    "a dash": r"\s+[–—]\s+(?=[a-z])",
    "a remark": rf",\s+(?:{_REMARK}|not|who|when)(?!\w)|[,;:]\s+(?=[\u3040-\u9fff\uac00-\ud7af])",
    "what it is not": r"\s+(?:and not|instead of|rather than)\b",
    "brackets": rf"\s+(?=\((?:{_REMARK}\s|\w+\s+\w+\s+\w))",
}


def _compile_ends(glued: str, cut: Mapping[str, str], soft: Mapping[str, str]) -> re.Pattern[str]:
    groups = {"glued": glued, "cut": "|".join(cut.values()), "soft": "|".join(soft.values())}
    named = "|".join(f"(?P<{name}>{pattern})" for name, pattern in groups.items())
    return re.compile(f"{named}|(?x:{_TOKENS})")


_NEVER = r"(?!)"
_VALUE_END = _compile_ends(r"(?<=\d)\.(?=[A-Z][a-z])", _VALUE_ENDS, _SOFT_ENDS)
_WORDS_END = _compile_ends(_NEVER, _WORDS_ENDS, {"": _NEVER})
_FURTHER = re.compile(r"[\d\\$]|[.!?;](?=\s|$)")
_ABBREVIATED = re.compile(r"(?:^|[^\w.])(?:(?:[A-Za-z]\.)+[A-Za-z]|Mrs?|Ms|Dr|St|Jr|vs|No)\Z")
_INITIAL = re.compile(r"(?:^|[^\w.])[A-Z]\Z")
_CLOSING = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}


def _clip(text: str, end: re.Pattern[str], context: str) -> str | None:
    """The text up to where the answer in it ends; None if it is a question."""
    depth, position = 0, 0
    several = False  # "24 for Ann and 12 for Bob"
    for token in end.finditer(text):
        if token.start() < position:  # inside a formula
            continue
        mark = token[0]
        if mark in _CLOSING:
            closing = _formula_end(text, token.end(), mark)
            position = closing if closing is not None else position
        elif mark in "([{":
            depth += 1
        elif mark in ")]}":
            if depth == 0 and token.start():
                return text[: token.start()]
            depth -= 1
        elif depth > 0:
            continue
        elif token["stop"]:
            stopped = _stop(text, token, context)
            if stopped is not None:
                return stopped if mark != "?" else None
        elif token["cut"] or token["glued"]:
            return text[: token.start()]
        elif token["soft"] and not several:
            further = _FURTHER.search(text, token.end())
            several = further is not None and further[0] not in ".!?;"
            if not several:
                return text[: token.start()]
    return text


def _formula_end(text: str, start: int, mark: str) -> int | None:
    """Where a formula ends that opened before `start`; None for a price."""
    end = text.find(_CLOSING[mark], start)
    if end < 0:
        return None if "$" in mark else len(text)
    if mark == "$" and (text[end - 1].isspace() or text[end + 1 : end + 2].isdigit()):
        return None
    return end + len(mark)


def _stop(text: str, token: re.Match[str], context: str) -> str | None:
    """The answer before a mark that ends a sentence; None if the mark belongs to the answer."""
    following = text[token.end() :][:24].lstrip("\"'”’*_`)]} \t\n")[:1]
    before = text[max(0, token.start() - 24) : token.start()]
    if token[0] == "!":
        ends = not following or following.isupper()  # not 6! = 720
        return _without_exclamation(text[: token.end()], context) if ends else None
    if token[0] == "." and _ABBREVIATED.search(before):  # 10:30 a.m.; Mr. Brown
        ends = not following or (following.isupper() and "." in before[-3:])
        return text[: token.end()] if ends else None
    if re.search(r"\.\d+\.\.\Z", before):  # 0.333...
        return text[: token.end()]
    if token[0] == "." and following.islower() and _INITIAL.search(before):  # E. coli
        return None
    return text[: token.start()]


def _clean(answer: str) -> str:
    """The answer without emphasis, quotation marks, delimiters of a formula and a final period."""
    previous = None
    while answer != previous and len(answer) < 4_000:  # a longer one is not worth it
        previous = answer
        answer = _QED.sub("", answer.strip().rstrip(",;:").strip("*` \t\n")) or answer
        if not re.search(r"\.\d+\.\.\.\Z", answer) and not _ABBREVIATED.search(answer[-24:-1]):
            answer = answer.rstrip(". \t")
        for left, right in (*_CLOSING.items(), *_QUOTES.items()):
            inner = answer[len(left) : len(answer) - len(right)]
            wraps = answer.startswith(left) and answer.endswith(right) and bool(inner.strip())
            if wraps and left not in inner and right not in inner:
                answer = inner
                break
    return answer.strip()


_QED = re.compile(
    r"[,;.]?\s*\$?(?:[∎■□◻▪]|(?<![A-Za-z])Q\.?E\.?D\.?|\\(?:black)?square\b|\\(?:Box|qed)\b)\s*\$?\Z"
)
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "_": "_", "__": "__"}

# --- what an answer looks like -------------------------------------------------------------------

_VALUE = re.compile(
    rf"""[*_`"'“‘]*(?:
      [-+−–±~≈<>≤≥=]*\s*[$€£¥]?\s*\.?\d
    | [$\\√∞π|½-¾∅°]
    | [(\[{{]\s*(?:[-+−\d$\\∞.(\[{{]|[A-Za-z]\b|infinity\b|inf\b)
    | (?i:option|choice)\s+[(\[]?[A-Za-z\d]\b
    | {_FUNCTION}
    | (?![aAI]\s+[A-Za-z]{{2}})[-+−]?[A-Za-z](?![\w'’.])
    | [aAI]\s+(?:{_REMARK}|and\s+[A-Z]\b|or\s+[A-Z]\b)(?!\w)
    | [A-Z]\.(?=\s|$)
    | [a-z]_ | (?i:both|either)\s+[(]?[A-Z]\b
    | (?i:yes|no|true|false|none)\b(?=\W*$|\s*[,.;:!*(—–-]|\s+{_REMARK})
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
_PLACEHOLDER = re.compile(
    r"(?:[.?_\s$=]|\\[lcd]?dots|…|(?:(?:your|the|final|my|answer|here|goes)\s*)+)*", re.IGNORECASE
)
_STYLED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf)\s*\{([^{}]*)\}")


def _answer(content: str, before: str, *, sentence: bool, keep_sentences: bool) -> tuple[Rank, str]:
    """Rank and text of the answer at the start of `content`; empty if there is none.

    `before` is the text of the solution up to it; in a `sentence` a capital letter means a name.
    """
    content = content[_lead(content) :]
    if re.match(r"not\b", content, re.IGNORECASE):  # not 5 but 6
        contrast = _CONTRAST.search(content)
        content = content[contrast.end() :] if contrast else ""
        if not _VALUE.match(content):
            return Rank.COMMENT, ""
    is_value = bool(_VALUE.match(content)) and not _COMPARISON.match(content)
    clipped = _clip(content, _VALUE_END if _VALUE.match(content) else _WORDS_END, before)
    if clipped is None or _PLACEHOLDER.fullmatch(clipped):
        return Rank.COMMENT, ""
    answer = _clean(clipped)
    if is_value:
        return Rank.VALUE, _first_form(answer)
    if not keep_sentences and _SENTENCE.match(answer):
        amount = _only_amount(clipped, content[len(clipped) :])
        return (Rank.VALUE, amount) if amount else (Rank.COMMENT, "")
    if _COMMENT.match(answer):
        return Rank.COMMENT, "" if sentence or not _ALONE.fullmatch(answer) else answer
    return Rank.VALUE if sentence and answer[:1].isupper() else Rank.WORDS, answer


def _lead(content: str) -> int:
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
_SENTENCE = re.compile(
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
    return _clean(amounts[0]) if len(amounts) == 1 and not goes_on else None


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


def _first_form(answer: str) -> str:
    """The first of two forms of one number: `1/2 or 50%`, `3/4 (0.75)`."""
    forms = _FORMS.fullmatch(answer)
    if forms is None:
        return answer
    first, second = (_rational(text) for text in (forms["first"], forms[2] or forms[3]))
    if first is None or second is None:
        return answer
    return _clean(forms["first"]) if _agree(first, second) else answer


class _Rational(NamedTuple):
    value: Fraction
    error: Fraction  # half a unit of the last place of a decimal


def _rational(text: str) -> _Rational | None:
    match = _RATIONAL.fullmatch(_clean(text))
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


def _without_exclamation(answer: str, before: str) -> str:
    """The answer without an exclamation mark that ends its sentence.

    `6!` is a factorial if the solution wrote it before, or inside an expression or formula.
    """
    bare = answer.rstrip("*_` \n\t")
    if not bare.endswith("!"):
        return answer
    number = re.fullmatch(r"\W*(\d[\d,]*(?:\.\d+)?)!+", bare)
    if number and f"{number[1]}!" in before:
        return answer
    return bare.rstrip("!") if number or re.search(r"[^\W\d_]{2}!+\Z", bare) else answer


def _is_quoted(text: str, start: int) -> bool:
    """Whether a position is in a line of a quotation (`> ...`)."""
    line = text.rfind("\n", max(0, start - 4_000), start) + 1
    return text[line : line + 4].lstrip(" ").startswith(">")


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


def _boxes(text: str) -> Iterator[Place]:
    last: tuple[int, int, str | None] | None = None  # start, end, unknown of the box before
    group: list[str] = []
    for start, end, content in sorted(_boxed(text)):
        if _PLACEHOLDER.fullmatch(_STYLED.sub(r"\1", content[:80])) or not (box := _clean(content)):
            continue
        unknown = _UNKNOWN.search(text[max(0, start - 20) : start])
        name = unknown[1] if unknown else None
        if last is None or not _belongs(text[last[1] : start], last[2], name):
            group = []
        named = last is not None and _NAMED.search(text, last[1], start)
        if box not in group or named:  # 5 for Ann and 5 for Bob, not one box twice
            group.append(box)
        answer = ", ".join(group) if len(group) < 20 else box
        yield start, _rank_of_box(text, start), _first_form(answer)
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


def _tags(text: str, keep_sentences: bool) -> Iterator[Place]:
    opening: re.Match[str] | None = None
    for tag in _TAG.finditer(text):
        if not any(tag.groups()):
            opening = tag
        elif opening:
            content = _clean(text[opening.end() : tag.start()])
            if not keep_sentences and len(content) < 400 and _SENTENCE.match(content):
                content = _answer(content, "", sentence=False, keep_sentences=False)[1]
            yield opening.start(), Rank.VALUE, content
            opening = None


_FIELD = re.compile(
    r"""["'](?:(?:final|correct)[_ ]?)?answer["']\s*:\s*(?P<value>"(?:[^"\\\n]|\\.)*"
    |'[^'\n]*'|\[[^\[\]\n]*\]|[^"'\[\],}\s][^,}\n]*)""",
    re.VERBOSE | re.IGNORECASE,
)


_LATEX = re.compile(r"(?<!\\)(?:\\\\)*\\(?:[A-Za-z]{2}|[^\w\"/\\])")  # that nobody escaped


def _fields(text: str, keep_sentences: bool) -> Iterator[Place]:
    """The field of an answer in JSON: `{"answer": 42}`."""
    for field in _FIELD.finditer(text):
        content = field["value"].strip("[]")
        if content.startswith('"') and not _LATEX.search(content):
            with suppress(ValueError):  # an escape that JSON does not know
                content = f'"{json.loads(content, strict=False)}"'
        content = content.strip("\"'").strip()
        if content and content != "null":
            answer = _answer(content, "", sentence=False, keep_sentences=keep_sentences)[1]
            yield field.start(), Rank.VALUE, answer


_HASHES = re.compile(r"(?<!#)####(?!#)(?P<content>(?:(?!####)[^\n])*)")


def _hashes(text: str, keep_sentences: bool) -> Iterator[Place]:
    """GSM8K's last line, `#### 24`. With text below, words behind the marks are a heading."""
    end = len(text.rstrip())
    for mark in _HASHES.finditer(text):
        content = mark["content"].strip()
        if not content and text[mark.end() : mark.end() + 1] == "\n":
            content = _below(text, mark.end())
        if _STATEMENT.search(content):
            continue
        before = text[max(0, mark.start() - 200) : mark.start()]
        rank, answer = _answer(content, before, sentence=False, keep_sentences=keep_sentences)
        is_last = mark.end() >= end
        if is_last or rank is Rank.VALUE:
            is_heading = not is_last and re.match(r"\d+[.):]\s+\S", content) is not None
            if not is_heading and (is_last or not re.search(r"(?<!\\)\b[A-Za-z]{2}", answer)):
                yield mark.start(), rank, answer


# --- statements ----------------------------------------------------------------------------------

_STATEMENT = re.compile(
    r"""(?<![A-Za-z\d-])(?:answers?|ans|(?:correct|right|best)[ ](?:option|choice|alternative))
    (?![A-Za-z\d-])\.?
    (?: (?P<verb>(?:[ \t]+(?:to|for|of)\b[^\n.:;=]{1,80}?|[ \t]+(?:that[ ])?(?:I|we|you)[ ]\w+)?
          [ \t]*,?
          (?:[ \t]+(?:then|therefore|thus|hence),?)?[ \t]+
          (?:is|are|was|equals|(?:must|should|would|will|has[ ]to)[ ](?:then[ ])?be
            |(?:turns|works)[ ]out[ ](?:to|as)(?:[ ]be)?|comes[ ](?:out[ ])?(?:to|as)(?:[ ]be)?
            |becomes|amounts[ ]to|evaluates[ ]to
            |(?P<no>isn['’]t|is[ ]not))\b)
      | (?P<label>[*_`}]*[ \t]*(?:[=-]>|[→⇒⟹➜➔]|\$?\\(?:Right|right)arrow\b\$?|[:=]|[-–—](?=[ \t])))
      # "we get the answer 8.", and nothing else in the sentence
      | (?P<bare>(?<![sS])[ \t]+(?:(?P<of>of|as)[ \t]+)?(?=[*_]*(?:\\?\$)?\\?[(\[]?[-−+]?[\d\\]
          [^\s]{0,60}(?:[ \t][^\s\d]{1,20})?(?:[.!][*_]*(?:\s|\Z)|\n|\Z)))
      | (?P<title>[*_`}]*[ \t]*(?:\n|\Z))
      | (?P<short>(?<=\.)[ \t]+(?=\S) | [*_]{2,}[ \t]+(?=\S)))""",
    re.VERBOSE | re.IGNORECASE,
)
_LINE_START = re.compile(
    r"(?:\A|[\n.!?:;])[\s#>*_`•-]*(?:\\\w+\{\s*)?"
    r"(?:(?:so|thus|therefore|hence|the|my|our|your|final|correct|numerical)[,\s]+){0,4}\Z",
    re.IGNORECASE,
)
_NOT_THE = re.compile(
    r"(?:['’]s?|\b(?:no|an|any|each|every|which|what|whose|another|some|other|one|their|his|her))\s+\Z",
    re.IGNORECASE,
)
_ADJECTIVE = r"(?:(?:final|correct|right|exact|actual|obvious|best)\s+)?"
_HYPOTHESIS = re.compile(
    r"\b(?:if|whether|unless|until|suppos\w+|assum\w+|imagine|tempted\s+to\s+\w+"
    r"|(?:some|many|people|others|someone|one|you|students?|they)\s+(?:\w+\s+)?(?:argue|claim)s?"
    r"|(?:might|may|could|would|can|to) (?:think|say|guess|believe|expect|argue|claim|conclude))"
    rf"(?:,? that)?\s+(?:{_ARTICLE}\s+)?{_ADJECTIVE}\Z",
    re.IGNORECASE,
)


def _statements(text: str, keep_sentences: bool) -> Iterator[Place]:
    matches = list(_STATEMENT.finditer(text))
    end = text.rstrip()[-400:]
    for match, following in zip_longest(matches, matches[1:]):
        limit = following.start() if following else len(text)
        before = text[max(0, match.start() - 60) : match.start()]
        begins = _LINE_START.search(before) is not None
        if _HYPOTHESIS.search(before):
            continue
        if _NOT_THE.search(before) and not (match["of"] and re.search(r"\ban\s+\Z", before)):
            continue
        if match["title"] is not None and not begins:
            continue
        start = match.end() - (match["title"] or "").count("\n")
        content = _content(text, start, limit)
        below = not content[_lead(content) :].strip()
        if below:
            content = _below(text, start + len(content), limit)
        if match["no"]:
            content = "not " + content
        named = match["verb"] is not None and not below
        if ":" in content[: _lead(content)]:
            named = False
        context = text[max(0, match.start() - 2_000) : match.start()]
        behind = content
        if correction := _CORRECTION.search(content, _lead(content) + 1):
            content = content[correction.end() :]
        # below a title only the last line may be a sentence that is the answer
        keep = keep_sentences or (below and not end.endswith(content.strip()[-400:]))
        rank, answer = _answer(content, context, sentence=named, keep_sentences=keep)
        if rank is Rank.WORDS and not named and (total := _IS.search(answer)):
            rest = answer[total.end() :]
            rank, answer = _answer(rest, context, sentence=False, keep_sentences=keep)
        if rank is not Rank.VALUE and not (match["verb"] or begins):
            continue  # "this is the answer: we are done"
        if below and rank is not Rank.VALUE and not _is_short(answer):
            continue
        if (match["short"] or match["bare"]) is not None and rank is not Rank.VALUE:
            continue
        if match["bare"] is not None and _IMPERATIVE.search(before) and " " in answer:
            continue  # "Answer 5 questions."
        doubt = _doubt(text, match, behind) if answer else None
        if doubt is not None:
            yield match.start(), min(rank, doubt), answer


_IMPERATIVE = re.compile(r"(?:\A|[\n.!?:]|\b(?:to|please))[\s*_]*\Z", re.IGNORECASE)


def _is_short(answer: str) -> bool:
    words = answer.split()
    return len(words) <= 4 and not {"is", "are", "we", "the"} & {word.lower() for word in words}


class _Doubt(NamedTuple):
    """A reason to take a stated answer for that of another question, and the rank that it leaves,
    None where the answer is certainly wrong. All its patterns must be found: `around` from the
    sentence before on, `before` in the beginning of the statement's own sentence, `statement` in
    the statement, `behind` in what follows."""

    rank: Rank | None
    before: str = ""
    statement: str = ""
    behind: str = ""
    around: str = ""


_CONDITION = r"(?i:\b(?:if|without|unless|otherwise|had it|in (?:which|that) case))\b|\bHad\b"
_WRONG = (
    "wrong|incorrect|false|mistaken|erroneous|flawed|naive|naïve|tempting|common|typical|intuitive"
)
_EARLIER = "initial|previous|prior|earlier|original|first|old|preliminary|student['’]?s?"
_DOUBTS = {
    "a wrong answer": _Doubt(None, rf"(?i:\b(?:{_WRONG})\s+(?:\w+\s+)?\Z)"),
    "an earlier answer": _Doubt(Rank.SUPPOSED, rf"(?i:\b(?:{_EARLIER})\s+(?:\w+\s+)?\Z)"),
    "a common mistake": _Doubt(
        Rank.SUPPOSED,
        around=r"(?i:\b(?:(?:common|frequent|typical|usual|classic|easy)\s+(?:mistake|error|trap)"
        r"|(?:mistake|error|trap|pitfall)\s+(?:is|would|here))\b)",
    ),
    "somebody's thought": _Doubt(
        Rank.SUPPOSED,
        r"(?i:\b(?:mistakenly|wrongly|incorrectly|erroneously|tempting|(?:some|many|people|others"
        r"|someone|students?)\s+(?:\w+\s+){0,4}(?:think|say|argue|claim|get|forget)s?)\b)",
    ),
    "a supposition": _Doubt(Rank.SUPPOSED, _CONDITION, r"\bwould\b"),
    "a condition": _Doubt(Rank.HEDGED, _CONDITION),
    "a condition behind": _Doubt(Rank.HEDGED, behind=r"\A[^.!?\n]{1,120}?\s(?:if|unless)\b"),
    "would be": _Doubt(Rank.HEDGED, statement=r"(?i:\bwould\b)"),
    "should be": _Doubt(Rank.HEDGED, statement=r"(?i:\b(?:should|was)\b)"),
}
# what such words before a statement say about the question itself
_CONCLUSION = re.compile(
    rf"\b(?:so|thus|therefore|hence|then|conclude that),?\s+(?:{_ARTICLE}\s+)?{_ADJECTIVE}\Z",
    re.IGNORECASE,
)
_MAY_CONCLUDE = {"a condition", "should be"}
_RETRACTION = re.compile(
    r"\b(?i:wait|actually|oops|sorry|correction|hold on|on second thought|no[,.:!]|I (?:forgot|made"
    r"|missed|overlooked|mis[a-z]+|wrongly|incorrectly)|my mistake"
    r"|(?:that|this|it)(?:['’]s| is| was) (?:not right|not correct|wrong|incorrect|a mistake)"
    r"|let me (?:re[a-z]+|correct|fix))"
)
_MAY_CORRECT = {"somebody's thought", "a condition", "a condition behind", "would be", "should be"}


def _doubt(text: str, statement: re.Match[str], behind: str) -> Rank | None:
    """The highest rank that a stated answer may have; None if it is certainly wrong."""
    earlier, sentence = _sentences_before(text, statement.start())
    for name, doubt in _DOUBTS.items():
        if not (
            re.search(doubt.around, earlier + sentence)
            and re.search(doubt.before, sentence)
            and re.search(doubt.statement, statement[0])
            and re.search(doubt.behind, behind)
        ):
            continue
        if name in _MAY_CONCLUDE and _CONCLUSION.search(sentence):
            continue
        if name in _MAY_CORRECT and _corrects(earlier, sentence):
            continue
        return doubt.rank
    is_ours = statement["bare"] is None or _OURS.search(sentence)
    return Rank.VALUE if is_ours else Rank.HEDGED  # "Bob got the answer 36."


# whose answer a sentence without a verb of being gives: "we get the answer 8", "Final answer 8"
_OURS = re.compile(
    r"\b(?i:we|this|that|which|us|giv(?:es?|ing)|yields?|has|have)\b|\bI\b"
    r"|\A[\s*_#>-]*(?i:(?:so|thus|hence|therefore),?\s+)?(?i:(?:the|my|our|final|correct)\s+)*\Z"
)


def _corrects(earlier: str, sentence: str) -> bool:
    """Whether the sentence before, or the beginning of a sentence, takes an earlier answer back."""
    earlier = re.split(r"oxed|[Aa]nswer|####", earlier)[-1]
    return _RETRACTION.search(earlier + sentence) is not None


_SENTENCE_END = re.compile(r"[.!?][*_`)\]}$]*\s+|\n")


def _sentences_before(text: str, start: int) -> tuple[str, str]:
    """The sentence before the one that holds `start`, and the beginning of that one up to it."""
    window = text[max(0, start - 250) : start]
    ends = [0, 0, *(end.end() for end in _SENTENCE_END.finditer(window))]
    return window[ends[-2] : ends[-1]], window[ends[-1] :]


def _rank_of_box(text: str, start: int) -> Rank:
    """The rank of a box; low in a statement of another answer: "the naive answer is [box]"."""
    statements = list(_STATEMENT.finditer(text, max(0, start - 60), start))
    if not statements or _SENTENCE_END.search(text, statements[-1].end(), start):
        return Rank.VALUE
    doubt = _doubt(text, statements[-1], "")
    return Rank.COMMENT if doubt is None else doubt if doubt is Rank.SUPPOSED else Rank.VALUE


# in the same line: "5. Wait, I forgot one, so it is 6."
_VALUE_AHEAD = rf"(?=(?x:{_VALUE.pattern}))"
_CORRECTION = re.compile(
    r"\b(?i:(?<!yes, )no, |(?:wait|actually|no|sorry|correction|oops|hold on)\b[^\n]{1,80}?\b"
    r"(?:(?:it|that)(?:['’]s| is| should be| must be)|I meant?|make (?:it|that)) )" + _VALUE_AHEAD
)
_IS = re.compile(rf"\b(?:is|are|equals)\s+{_VALUE_AHEAD}")

_DISPLAY = re.compile(r"\\\[|\$\$|\\begin\{(?P<name>[A-Za-z]+\*?)\}|(?P<fence>```)\w*\n")


def _content(text: str, start: int, limit: int) -> str:
    """The rest of the line from `start`, or the formula with which it begins if that is longer."""
    end = text.find("\n", start, limit)
    line = text[start : end if end >= 0 else limit]
    return _formula(text, start, limit) or _formula(text, start + _lead(line), limit) or line


def _formula(text: str, start: int, limit: int) -> str | None:
    """The content of a displayed formula, or of fenced lines, that begins at `start`."""
    opening = _DISPLAY.match(text, start)
    if opening is None:
        return None
    if opening["name"]:
        closing = f"\\end{{{opening['name']}}}"
    else:
        closing = "```" if opening["fence"] else _CLOSING[opening[0]]
    end = text.find(closing, opening.end(), min(limit, opening.end() + 1_000))
    return None if end < 0 else f"$${_clean(text[opening.end() : end])}$$"


_BLANK = re.compile(r"\s*(?:[=*_-]{3,}\s*\n)?\s*(?:>[ \t]+)?")
_BULLETS = re.compile(r"(?:[ \t]*[•*-][ \t]+[^\n]*(?:\n|\Z))+")
_ITEM = re.compile(r"\d+[.)]\s+\S|#")


def _below(text: str, start: int, limit: int | None = None) -> str:
    """The first line below `start` that is not blank; empty for a heading or a numbered list."""
    limit = len(text) if limit is None else limit
    if blank := _BLANK.match(text, start, limit):
        start = blank.end()
    if bullets := _BULLETS.match(text, start, limit):
        return ", ".join(line.strip().lstrip("•*- \t") for line in bullets[0].splitlines())
    content = _content(text, start, limit)
    return "" if _ITEM.match(content) else content


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


def _options(text: str) -> Iterator[Place]:
    """Options that a sentence calls right. An explicit statement is surer than those, unless they
    correct it."""
    for match in _OPTIONS.finditer(text):
        before = text[max(0, match.start() - 30) : match.start()]
        if _HYPOTHESIS.search(before) or re.search(r"\b(?:[Nn]ot|[Ii]s)\s+\Z", before):
            continue
        rank = Rank.OPTION
        if (match["value"] and "answer" in match[0]) or _corrects(
            *_sentences_before(text, match.start())
        ):
            rank = Rank.VALUE
        if _ELSEWHERE.match(text, match.end()):
            rank = Rank.SUPPOSED
        yield match.start(), rank, _clean(match["value"] or match["option"] or match["choice"])
