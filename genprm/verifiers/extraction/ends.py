"""Where the text of an answer ends, and what is around it."""

from __future__ import annotations

import re
from collections.abc import Mapping

_FULL_WIDTH = str.maketrans(
    {"。": ". ", "，": ", ", "、": ", ", "；": "; ", "：": ": ", "！": "! ", "？": "? "}
    | {"（": " (", "）": ") ", "．": "."}
)


def halve_width(text: str) -> str:
    """The text with the full-width punctuation of Chinese and Japanese as that of English."""
    return text.translate(_FULL_WIDTH)


# --- words ---------------------------------------------------------------------------------------

ARTICLE = r"(?:the|my|our|your|this|that|its|a|an)"
FUNCTION = (
    r"(?:sin|cos|tan|cot|sec|csc|log|ln|lg|exp|sqrt|pi|inf|infinity|max|min|mod|gcd|lcm|det)\b"
)
# words that begin a remark: what stands behind them is no part of the answer
REMARK = (
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
    "an arrow": rf"\s+(?:[→⇒⟹➜➔]|[-=]>)\s+(?!{FUNCTION})(?=[a-z]{{2}})",
    "a remark": rf"(?:[,;:]\s+|\s+{_DASH}\s+|\s+){REMARK}(?!\w)",
    "a remark in Chinese, Japanese or Korean": r"[,;:]\s+(?=[\u3040-\u9fff\uac00-\ud7af])",
    "what it is not": r",\s+not\b",
    "an apposition": r",\s+(?:an?|the)\s+(?=[a-z]{2})",
    "another form": r"\s+(?=\(\s*[=≈])|,?\s+or\s+(?:about|approx\w*|roughly|equivalently)\b",
    "a remark in brackets": r"\s+(?=\(\s*(?:or|also|about|approx\w*|rounded|exactly|to|from|using"
    rf"|{REMARK})(?!\w))",
    "how it is meant": r"[,;]?\s+in\s+(?:total|all|simplest|lowest|reduced|its|the)\b",
}
# where it ends unless a further number follows
_SOFT_ENDS = {
    "words": rf"(?:[,;:]\s+|\s+{_DASH}\s+)(?!{FUNCTION}|{_TERM}|(?:(?:and|or)\s+)?{_ENTRY})"
    r"(?=[\"'(]?[A-Za-z]{2})",
    "brackets": rf"\s+(?=\((?!{FUNCTION}|{_TERM})[A-Za-z]{{2}}|\((?:an?|the)\s)",
    "a further clause": rf"\s+(?:and|or)\s+(?!{FUNCTION}|{_TERM}|{_NUMERAL}|{_ENTRY}|{_NOUN})"
    r"(?=[A-Za-z]{2})",
    "an afterthought": rf"\s+{_AFTERTHOUGHT}\s+(?!{FUNCTION}|{_TERM}|{_NUMERAL})(?=[A-Za-z]{{2}})",
}
# where words end: they may hold commas
_WORDS_ENDS = {
    "marks": _NO_TEXT,
    "a reason": r",?\s+(?:since|because)\b",
    "a dash": r"\s+[–—]\s+(?=[a-z])",
    "a remark": rf",\s+(?:{REMARK}|not|who|when)(?!\w)|[,;:]\s+(?=[\u3040-\u9fff\uac00-\ud7af])",
    "what it is not": r"\s+(?:and not|instead of|rather than)\b",
    "brackets": rf"\s+(?=\((?:{REMARK}\s|\w+\s+\w+\s+\w))",
}


def _compile_ends(glued: str, cut: Mapping[str, str], soft: Mapping[str, str]) -> re.Pattern[str]:
    groups = {"glued": glued, "cut": "|".join(cut.values()), "soft": "|".join(soft.values())}
    named = "|".join(f"(?P<{name}>{pattern})" for name, pattern in groups.items())
    return re.compile(f"{named}|(?x:{_TOKENS})")


_NEVER = r"(?!)"
VALUE_END = _compile_ends(r"(?<=\d)\.(?=[A-Z][a-z])", _VALUE_ENDS, _SOFT_ENDS)
WORDS_END = _compile_ends(_NEVER, _WORDS_ENDS, {"": _NEVER})
_FURTHER = re.compile(r"[\d\\$]|[.!?;](?=\s|$)")
_ABBREVIATED = re.compile(r"(?:^|[^\w.])(?:(?:[A-Za-z]\.)+[A-Za-z]|Mrs?|Ms|Dr|St|Jr|vs|No)\Z")
_INITIAL = re.compile(r"(?:^|[^\w.])[A-Z]\Z")
CLOSING = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}


def clip(text: str, end: re.Pattern[str], context: str) -> str | None:
    """The text up to where the answer in it ends; None if it is a question."""
    depth, position = 0, 0
    several = False  # "24 for Ann and 12 for Bob"
    for token in end.finditer(text):
        if token.start() < position:  # inside a formula
            continue
        mark = token[0]
        if mark in CLOSING:
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
    end = text.find(CLOSING[mark], start)
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


def clean_answer(answer: str) -> str:
    """The answer without emphasis, quotation marks, delimiters of a formula and a final period."""
    previous = None
    while answer != previous and len(answer) < 4_000:  # a longer one is not worth it
        previous = answer
        answer = _QED.sub("", answer.strip().rstrip(",;:").strip("*` \t\n")) or answer
        if not re.search(r"\.\d+\.\.\.\Z", answer) and not _ABBREVIATED.search(answer[-24:-1]):
            answer = answer.rstrip(". \t")
        for left, right in (*CLOSING.items(), *_QUOTES.items()):
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
