r"""The text of an answer, made plain: typography, styles, spaces and delimiters of LaTeX removed.

`clean` keeps everything that carries meaning. Words from `\text{...}` stay between WORDS and
END, so that they are never read as products of letters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

WORDS, END = "\x02", "\x03"

_SYMBOLS = {
    **dict.fromkeys("\u2212\u2012\u2013\u2014\u2010\u2011\ufe63\uff0d", "-"),
    **dict.fromkeys("\u00a0\u2007\u202f\u2009\u2008\u2005\u2006\u2002\u2003\u3000", " "),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
    **dict.fromkeys("\u2018\u2019\u2032", "'"),
    **dict.fromkeys("\u201c\u201d", '"'),
    **dict.fromkeys("\u00b7\u22c5\u2219\u2217", r" \cdot "),
    **dict.fromkeys("\u00b0\u00ba", r"^{\circ}"),
    "\u00d7": r" \times ",
    "\u00f7": r" \div ",
    "\u00b1": r" \pm ",
    "\u2044": "/",
    "\u2215": "/",
    "\u2236": ":",
    "\u221a": r"\sqrt ",
    "\u221b": r"\sqrt[3] ",
    "\u221e": r" \infty ",
    "\u2264": r" \le ",
    "\u2265": r" \ge ",
    "\u2a7d": r" \le ",
    "\u2a7e": r" \ge ",
    "\u2260": r" \ne ",
    "\u2248": r" \approx ",
    "\u2208": r" \in ",
    "\u222a": r" \cup ",
    "\u2229": r" \cap ",
    "\u2205": r" \emptyset ",
    "\u211d": r" \mathbb{R} ",
    "\u2124": r" \mathbb{Z} ",
    "\u2220": r" \angle ",
    "\u25b3": r" \triangle ",
    "\u2026": r" \ldots ",
    "\u22ef": r" \ldots ",
}
_GREEK_NAMES = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon
phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega
"""
_GREEK = {
    letter: rf"\{name} "
    for letter, name in zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ", _GREEK_NAMES.split(), strict=True)
}
_TRANSLATION = str.maketrans(_SYMBOLS | _GREEK)
_SCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+|[₀₁₂₃₄₅₆₇₈₉]+")

# Commands that only change the look, with the number of arguments that go with them.
_UNSEEN = ("phantom", "hphantom", "vphantom", "hspace", "vspace", "hskip", "kern", "label", "tag")
_COLOURS = ("color", "textcolor", "colorbox")
_STYLES = (
    *("mathbf", "boldsymbol", "bm", "mathit", "mathsf", "mathcal", "mathnormal", "pmb", "bold"),
    *("underline", "boxed", "fbox", "framebox", "ensuremath", "emph", "uline"),
    *("Large", "large", "LARGE", "huge", "Huge", "small", "normalsize", "tiny"),
    *("displaystyle", "textstyle", "scriptstyle", "limits", "nolimits", "bf", "it", "rm"),
)
_TEXTS = (
    *("text", "textbf", "textit", "textrm", "textsf", "texttt", "textnormal", "textup", "mbox"),
    *("mathrm", "hbox", "operatorname", "textsc", "mathtt"),
)
_SIZES = re.compile(r"\\(?:left|right|big|Big|bigg|Bigg|bigl|bigr|Bigl|Bigr|middle)(?![A-Za-z])\.?")
_COMMAND = re.compile(r"\\(?:(?P<name>[A-Za-z]+)\*?|.)", re.DOTALL)
_SPACES = re.compile(
    r"(?<!\\)\\[,;: >]|\\(?:q?quad|enspace|thinspace|space|nobreakspace)(?![A-Za-z])|~|\s+"
)
_RENAMED = {
    **dict.fromkeys(("dfrac", "tfrac", "cfrac", "sfrac", "nicefrac"), "frac"),
    **dict.fromkeys(("dbinom", "tbinom"), "binom"),
    **dict.fromkeys(("leq", "leqslant", "leqq"), "le"),
    **dict.fromkeys(("geq", "geqslant", "geqq"), "ge"),
    **dict.fromkeys(("neq", "not="), "ne"),
    **dict.fromkeys(("lt",), "<"),
    **dict.fromkeys(("gt",), ">"),
    **dict.fromkeys(("varnothing", "O"), "emptyset"),
    **dict.fromkeys(("dots", "cdots", "dotsc", "dotsb", "dotsm", "dotso"), "ldots"),
    **dict.fromkeys(("bullet", "ast"), "cdot"),
    **dict.fromkeys(("dotsc",), "ldots"),
    **dict.fromkeys(("lbrace",), "{"),
    **dict.fromkeys(("rbrace",), "}"),
    **dict.fromkeys(("lvert", "rvert", "vert", "mid"), "|"),
    **dict.fromkeys(("lparen",), "("),
    **dict.fromkeys(("rparen",), ")"),
    **dict.fromkeys(("lbrack",), "["),
    **dict.fromkeys(("rbrack",), "]"),
    **dict.fromkeys(("colon", "ratio"), ":"),
    **dict.fromkeys(("degree", "degrees"), "^circ"),
    **dict.fromkeys(("mathdollar", "textdollar"), "$"),
    **dict.fromkeys(("lor", "vee"), "or"),
    **dict.fromkeys(("land", "wedge"), "and"),
    **dict.fromkeys(("pounds",), "£"),
    **dict.fromkeys(("euro",), "€"),
}
_SEEN_AS = {
    **{"<": "<", ">": ">", "|": "|", "(": "(", ")": ")", "[": "[", "]": "]", ":": ":"},
    **{"{": r"\{", "}": r"\}", "$": r"\$", "^circ": r"^{\circ}", "£": "£", "€": "€"},
    **{"or": f"{WORDS}or{END}", "and": f"{WORDS}and{END}"},
}
# Commas inside a number: `1{,}234`, `1,\!234`, `1\!,234`.
_TEX_COMMA = re.compile(r"\{,\}|\\!,|,\\!")
_MARKDOWN = re.compile(r"^([*_]{1,2})([^*_]+)\1$")
_PROGRAM_FORMS = [
    (re.compile(r"\{([:.])\}"), r"\1"),
    (re.compile(r"\b(?:math|np|numpy|sympy)\."), ""),
    (re.compile(r"\b(?:Fraction|Rational)\((-?\d+), ?(\d+)\)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\blog(2|10)\("), r"\\log_{\1}("),
    (re.compile(r"\b(\d+\.)\((\d+)\)"), r"\1\\overline{\2}"),
    (re.compile(r"\b(?:US|AU?|CA?|HK|NZ|S|R|NT|MX)(?=\\\$)"), ""),  # dollars of other countries
]
_ROUND = re.compile(r"\\\(|\\\)|\\\[(?!\d*\.?\d*[a-z]{2}\])|\\\]")
_DOLLAR = re.compile(r"(?<!\\)\$\$?")
_WORD_TEXT = re.compile(r"[^\W\d_][^\W\d_.'\-\s]*(?:[.'\-\s]+[^\W\d_.'\-\s]+)*\.?")


@lru_cache(maxsize=4096)
def clean(text: str) -> str:
    """The text without what only changes its look; blank text if nothing is left."""
    text = _plain_characters(text)
    text = _MARKDOWN.sub(r"\2", text.strip().strip("`"))
    text = _TEX_COMMA.sub(",", text).replace(r"\!", "")
    text = _without_delimiters(text)
    for form, latex in _PROGRAM_FORMS:
        text = form.sub(latex, text)
    text = _commands(text, 0)
    text = re.sub(r"\.\.\.+", r" \\ldots ", text)
    text = re.sub(r"\^ ?\{ ?\\circ ?\}", r"^\\circ ", text)
    text = re.sub(r"(?<=\d) ?[xX] ?(?=10 ?\^)", r" \\times ", text)
    text = re.sub(r"\bRs\.", "Rs", text)
    text = _SPACES.sub(" ", text).replace(r"\\%", r"\%")
    return _without_ends(text)


def plain(text: str) -> str:
    """Clean text without marks of words and without spaces that separate nothing; one behind a
    comma stays, for `1, 234` is not `1,234`."""
    text = " ".join(text.replace(WORDS, " ").replace(END, " ").split())
    return re.sub(r"(?<![\w,]) | (?!\w)", "", text)


def _plain_characters(text: str) -> str:
    characters = []
    for c in text:
        if unicodedata.category(c) == "Sc" and c not in "$€£¥₹¢":
            characters.append("¤")  # any other currency
        elif c not in _SYMBOLS and unicodedata.decomposition(c).startswith(
            ("<fraction>", "<wide>")
        ):
            written_out = unicodedata.normalize("NFKC", c)
            top, slash, bottom = written_out.partition("\u2044")
            characters.append(rf"\frac{{{top}}}{{{bottom}}}" if slash else written_out)
        else:
            characters.append(c)
    text = _SCRIPTS.sub(_script, "".join(characters))
    return text.translate(_TRANSLATION)


def _script(match: re.Match[str]) -> str:
    mark = "_" if match[0][0] in "₀₁₂₃₄₅₆₇₈₉" else "^"
    return f"{mark}{{{unicodedata.normalize('NFKC', match[0])}}}".replace("\u2212", "-")


def _without_delimiters(text: str) -> str:
    r"""The text without `$..$`, `\(..\)` and `\[..\]`; a dollar sign of money becomes `\$`.

    As in Markdown, a dollar sign that closes a formula is not followed by a digit.
    """
    signs = [m for m in _DOLLAR.finditer(text)]
    pairs = list(zip(signs[::2], signs[1::2], strict=False))
    is_formula = len(signs) % 2 == 0 and all(
        text[left.end() : right.start()].strip()
        and not text[right.end() : right.end() + 1].isdigit()
        for left, right in pairs
    )
    text = _DOLLAR.sub(" " if is_formula else r"\\$", text)
    return _ROUND.sub(" ", text)


def _commands(text: str, depth: int) -> str:
    """The text with every command of style replaced by its argument, and others renamed."""
    out: list[str] = []
    at = 0
    while match := _COMMAND.search(text, at):
        out.append(text[at : match.start()])
        name, at = match["name"], match.end()
        if name is None:  # an escaped sign, or the end of a line
            out.append(match[0])
        elif name in ("left", "right", "middle") or _SIZES.fullmatch(match[0]):
            at += text[at : at + 1] == "."
            out.append(" ")
        elif name in _UNSEEN:
            at = _argument(text, at)[1]
        elif name in _COLOURS:
            at = _argument(text, at)[1]
            out.append(" ")
        elif name in _STYLES:
            out.append(" ")
        elif name in _TEXTS:
            inner, at = _argument(text, at)
            out.append(_words(_commands(inner, depth + 1) if depth < 9 else inner))
        else:
            new = _RENAMED.get(name, name)
            out.append(_SEEN_AS.get(new, rf"\{new} "))
    return "".join(out) + text[at:]


def _argument(text: str, at: int) -> tuple[str, int]:
    """The argument of a command, in braces, brackets or one character, and where it ends."""
    while text[at : at + 1].isspace():
        at += 1
    if text[at : at + 1] == "[":  # as in \color[HTML]{..}
        at = text.find("]", at) + 1 or len(text)
    if text[at : at + 1] != "{":
        return text[at : at + 1], at + 1
    depth, start = 0, at
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
        if depth == 0:
            return text[start + 1 : at - 1], at
    return text[start + 1 :], len(text)


def _words(inner: str) -> str:
    stripped = inner.strip().removeprefix("(").removesuffix(")")
    if _WORD_TEXT.fullmatch(stripped) and "\\" not in inner:
        return inner.replace(stripped, f" {WORDS}{stripped}{END} ", 1)
    return f" {inner} "


def _without_ends(text: str) -> str:
    """The text without punctuation, quotes and braces around it."""
    previous = None
    while previous != text:
        previous = text
        text = text.strip().rstrip(";,").removesuffix(r"\\").strip()
        if text.endswith(".") and not text.endswith(".m."):
            text = text[:-1].rstrip()
        for left, right in ('""', "''", "{}"):
            if len(text) > 1 and text[0] == left and text[-1] == right and _wraps(text):
                text = text[1:-1]
    return text


def _wraps(text: str) -> bool:
    """Whether the first and last character belong together, and are not the braces of a set."""
    if text[0] != "{":
        return text[0] not in text[1:-1]
    depth = 0
    for i, c in enumerate(text):
        if i and text[i - 1] == "\\":
            continue
        depth += {"{": 1, "}": -1}.get(c, 0)
        if depth == 0 and i < len(text) - 1:
            return False
        if depth == 1 and c == ",":
            return False
    return text[-2:-1] != "\\"
