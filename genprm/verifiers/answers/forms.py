r"""What an answer is: a quantity, a list, a tuple, an interval, a relation, a ratio, words ...

`read_answer` recognises the form of a text. It leaves out nothing: what is in no form that it knows
is Words, which equal only the same words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import sympy

from genprm.verifiers.answers.formula import (
    BASES,
    CONSTANTS,
    FUNCTIONS,
    GREEK,
    Token,
    UnreadableError,
    tokenise,
    write_latex,
    write_number,
)
from genprm.verifiers.answers.numeric import Formula, names, read_latex
from genprm.verifiers.answers.text import clean, plain
from genprm.verifiers.answers.units import Unit, read_unit, take_currency
from genprm.verifiers.answers.words import NUMBER_WORDS, QUANTITIES, SHORT_WORDS


@dataclass(frozen=True, slots=True)
class Words:
    """Anything that is compared as text."""

    text: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """A formula, and what it measures. `product` is the other way to read `5 m`: 5 times m;
    `digits` are those of a decimal as written."""

    formula: Formula
    unit: Unit | None = None
    percent: bool = False
    product: Formula | None = None
    digits: str = ""


@dataclass(frozen=True, slots=True)
class Numeral:
    """Digits with a stated base."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Time:
    """A time of day: minutes or seconds as written, and `am` or `pm` if said."""

    clock: str
    half: str


@dataclass(frozen=True, slots=True)
class Ratio:
    terms: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Several:
    """Items in no order, without brackets (`1, 2`, `1 or 2`) or in braces."""

    items: tuple[Form, ...]
    braces: bool = False


@dataclass(frozen=True, slots=True)
class Bracket:
    """A tuple or interval: items in their order between `(` or `[` and `)` or `]`."""

    left: str
    right: str
    items: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """Sets joined by `\\cup`."""

    parts: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    rows: tuple[tuple[Form, ...], ...]


@dataclass(frozen=True, slots=True)
class Named:
    """`x = 5`, `f(x) = x^2`, `x \\in [1,2]`: a name and what it stands for."""

    name: str
    value: Form


@dataclass(frozen=True, slots=True)
class Relation:
    """`left sign right`; `left` is None in `> 7`. `bounds` is the same as an interval, if it is."""

    sign: str
    left: Formula | None
    right: Formula
    name: str = ""
    bounds: Bracket | None = None


@dataclass(frozen=True, slots=True)
class Between:
    """`1 < x \\le 2`: an interval for a name."""

    name: str
    bounds: Bracket


@dataclass(frozen=True, slots=True)
class Chain:
    """`2^3 = 8`: sides without a name, which may or may not be equal."""

    sides: tuple[Form, ...]


Form = (
    Words
    | Quantity
    | Numeral
    | Time
    | Ratio
    | Several
    | Bracket
    | Union
    | Matrix
    | Named
    | Relation
    | Between
    | Chain
)

_TIME = re.compile(r"(?:(\d{1,2}):(\d\d)(?::(\d\d))?|(\d{1,2}))\s*([ap])?\.?(m)?\.?", re.IGNORECASE)
_NUMERAL = re.compile(
    r"\(?(?P<digits>\d(?: ?[0-9A-F])*|[0-9A-F]+(?=_\{?16))\)?_ ?\{? ?(?P<base>[a-z0-9]+) ?\}?"
)
_OPENS = {"(", "[", "{", r"\{", r"\lfloor", r"\lceil", r"\langle", r"\begin"}
_CLOSES = {")", "]", "}", r"\}", r"\rfloor", r"\rceil", r"\rangle", r"\end"}
_SIGNS = {
    **{"=": "=", "==": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "!=": "!="},
    **{r"\le": "<=", r"\ge": ">=", r"\ne": "!=", r"\in": "in", r"\approx": "~"},
}
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_MATRIX = re.compile(r"\\begin ?\{[bpBv]?(?:matrix|array)\}(?: ?\{[clr|]*\})?(.*)\\end ?\{(.*?)\}")
MAX_ROWS = 4  # of a determinant
MAX_CHARS = 2_000  # a longer text is words; the time that reading takes grows faster than the text
Separator = Callable[[Token], bool]
_FIGURE = re.compile(r"m?\\(?:angle|triangle|overline)\{?[A-Z]+\}?|\|[A-Z]{2}\|")  # |AB|
_PAIR = re.compile(r"\((?:[a-zA-Z],)+[a-zA-Z]\)")  # (x, y)
_BINDING = ("+", "-", "*", "/", "^", "_", "!", "'")  # no unit begins with one
_LIBRARY_KNOWS = re.compile(r"\\(?:int|sum|prod|lim)(?![a-z])")


@lru_cache(maxsize=4096)
def read_answer(text: str) -> Form:
    """The form of a text."""
    if len(text) > MAX_CHARS:
        return Words(text)
    cleaned = clean(text)
    try:
        return _read_special(cleaned) or _read(tokenise(cleaned))
    except (UnreadableError, RecursionError):
        return Words(plain(cleaned))


def _read_special(text: str) -> Form | None:
    """Forms that are told by the characters of the whole text."""
    unmarked = plain(text)
    time = _TIME.fullmatch(unmarked)
    if time and (time[2] or time[5]) and bool(time[5]) == bool(time[6]):
        hour, minute = int(time[1] or time[4]), int(time[2] or 0)
        if hour <= 24 and minute < 60:
            clock = f"{hour}:{minute:02}" + (f":{time[3]}" if time[3] else "")
            return Time(clock, (time[5] or "").lower())
    matrix = _MATRIX.fullmatch(text)
    if matrix is None or r"\begin" in matrix[1]:
        return None
    lines = [line for line in matrix[1].split(r"\\") if line.replace(r"\hline", "").strip()]
    rows = tuple(tuple(read_answer(cell) for cell in line.split("&")) for line in lines)
    if matrix[2].startswith("v"):  # the library takes the end of `d \end` for a differential
        cells = [[c.formula for c in row if isinstance(c, Quantity)] for row in rows]
        if len(rows) > MAX_ROWS or any(len(row) != len(rows) for row in cells):
            raise UnreadableError("determinant")
        return Quantity(sympy.Matrix(cells).det())
    return Matrix(rows)


def _read(tokens: list[Token]) -> Form:
    if len(tokens) > 1 and tokens[0].text.lower() in ("either", "both"):
        tokens = tokens[1:]
    if not tokens:
        return Words("")
    if len(tokens) == 1 and tokens[0].text.lower() in NUMBER_WORDS:
        return Quantity(sympy.Integer(NUMBER_WORDS[tokens[0].text.lower()]))
    if len(tokens) == 1 and tokens[0].text == r"\emptyset":
        return Several((), braces=True)
    if numeral := _NUMERAL.fullmatch(plain(_text(tokens))):
        return _numeral(**numeral.groupdict())
    if inner := _in_brackets(tokens):
        return inner
    parts = _split(tokens, lambda t: t.text in (",", ";") or _is_word(t, "and", "or"))
    parts = [part for part in parts if part]
    if len(parts) > 1:
        return _list(parts)
    if any(t.text in (",", ";") or _is_word(t, "and", "or") for t in tokens):
        tokens = parts[0] if parts and _depths(tokens)[-1] == 0 else tokens
    unions = _split(tokens, lambda t: t.text == r"\cup")
    if len(unions) > 1 and all(unions):
        return Union(tuple(_read(part) for part in unions))
    if len(_split(tokens, lambda t: t.text in _SIGNS)) > 1:
        return _relation(tokens)
    ratio = _split(tokens, lambda t: t.text == ":" or _is_word(t, "to"))
    if len(ratio) > 1 and all(ratio):
        return Ratio(tuple(_formula(part) for part in ratio))
    return _several_signs(tokens) or _quantity(tokens)


def _numeral(digits: str, base: str) -> Form:
    digits = digits.replace(" ", "")
    value = BASES.get(base) or int("0" + "".join(filter(str.isdigit, base)))
    if not 2 <= value <= 36 or any(int(d, 36) >= value for d in digits):
        raise UnreadableError("numeral")
    return Numeral(digits.lstrip("0") or "0", value)


def _is_word(token: Token, *words: str) -> bool:
    return token.kind in ("words", "letters") and token.text.lower().strip(" .") in words


def _depths(tokens: list[Token]) -> list[int]:
    """How many brackets are open at each token; `(1, 2]` counts as closed.

    Raises:
        UnreadableError: a bracket is closed that is not open.
    """
    depths, depth = list[int](), 0
    for token in tokens:
        if token.kind in ("sign", "command"):
            depth -= token.text in _CLOSES
        if depth < 0:
            raise UnreadableError("bracket")
        depths.append(depth)
        if token.kind in ("sign", "command"):
            depth += token.text in _OPENS
    return depths


def _split(tokens: list[Token], separates: Separator) -> list[list[Token]]:
    parts = [list[Token]()]
    for token, depth in zip(tokens, _depths(tokens), strict=True):
        if depth == 0 and separates(token):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _text(tokens: list[Token]) -> str:
    """What the tokens say, spaced as they were."""
    spaced = [" " + t.text if t.spaced and t.text != "{" else t.text for t in tokens]
    return "".join(spaced).strip()


def _in_brackets(tokens: list[Token]) -> Form | None:
    """A set, tuple or interval, if the first bracket closes at the last token."""
    left, right = tokens[0].text, tokens[-1].text
    if left not in ("(", "[", r"\{", "{", r"\langle") or right not in _CLOSES or len(tokens) < 2:
        return None
    if 0 in _depths(tokens)[1:-1]:
        return None
    inner = tokens[1:-1]
    if left in (r"\{", "{"):
        if right not in (r"\}", "}"):
            raise UnreadableError("bracket")
        if any(t.text in ("|", ":") for t in inner):
            raise UnreadableError("condition of a set")
        items = [p for p in _split(inner, lambda t: t.text in (",", ";")) if p]
        return Several(tuple(_read(part) for part in items), braces=True)
    parts = _split(inner, lambda t: t.text in (",", ";"))
    if len(parts) == 1:
        return _read(inner) if (left, right) == ("(", ")") else None
    if not all(parts):
        raise UnreadableError("empty item")
    left = "(" if left == r"\langle" else left
    right = ")" if right == r"\rangle" else right
    return Bracket(left, right, tuple(_read(part) for part in parts))


def _list(parts: list[list[Token]]) -> Form:
    """Several items; `x = 1, y = 2` stays names with values, `x = 1, 2` is two values."""
    items = [_read_part(part) for part in parts]
    first = items[0]
    if isinstance(first, Named) and not any(isinstance(item, Named) for item in items[1:]):
        inside = first.value if isinstance(first.value, Several) else Several((first.value,))
        return Named(first.name, Several((*inside.items, *items[1:])))
    names = {item.name for item in items if isinstance(item, Named)}
    if len(names) == 1 and all(isinstance(item, Named) for item in items):
        return Named(names.pop(), Several(tuple(i.value for i in items if isinstance(i, Named))))
    if all(isinstance(item, Between | Relation) and item.bounds for item in items):
        return Union(tuple(items))
    flat = [
        inner
        for item in items
        for inner in (item.items if isinstance(item, Several) and not item.braces else (item,))
    ]
    return Several(tuple(flat))


def _read_part(tokens: list[Token]) -> Form:
    try:
        return _read(tokens)
    except UnreadableError:
        return Words(plain(_text(tokens)))


def _several_signs(tokens: list[Token]) -> Form | None:
    r"""`1 \pm 2` as its two values."""
    if not any(t.text in (r"\pm", r"\mp") for t in tokens):
        return None
    signs = ({r"\pm": "+", r"\mp": "-"}, {r"\pm": "-", r"\mp": "+"})
    both = ([t._replace(text=s.get(t.text, t.text)) for t in tokens] for s in signs)
    return Several(tuple(_quantity(part) for part in both))


def _quantity(tokens: list[Token]) -> Form:
    """A formula with what it counts or measures, words, or a formula for the library."""
    currency, amount = take_currency(tokens)
    if (form := _measured(amount, currency)) is not None:
        return form
    if (form := _single_formula(amount)) is not None:
        return replace(form, unit=currency) if currency else form
    for head, tail in _cuts(amount):
        if (form := _with_unit(head, tail, currency)) is not None:
            return form
    text = _text(tokens)
    if _LIBRARY_KNOWS.search(text):
        return Quantity(read_latex(text))
    raise UnreadableError(text)


def _cuts(tokens: list[Token]) -> Iterator[tuple[list[Token], list[Token]]]:
    """Every way to cut tokens into a formula and words behind it."""
    for cut in range(1, len(tokens)):
        head, tail = tokens[:cut], tokens[cut:]
        if tail[0].text not in _BINDING or _text(tail[:2]) == r"^\circ":
            yield head, tail


def _measured(tokens: list[Token], currency: Unit | None) -> Quantity | None:
    """A number without variables before a known unit (`15 cm` is no product of c and m)."""
    for head, tail in _cuts(tokens):
        if tail[0].kind not in ("letters", "words") and tail[0].text not in (r"\frac", "^"):
            continue
        form = _with_unit(head, tail, currency)
        is_measure = form and form.unit and form.unit.factor and not names(form.formula)
        if is_measure and not (_is_applied(head) and tail[0].text == "^"):
            return form
    return None


def _single_formula(tokens: list[Token]) -> Quantity | None:
    """The tokens as one formula without a unit."""
    if len(tokens) == 1 and tokens[0].kind in ("letters", "words"):
        text = tokens[0].text
        is_product = text.islower() and len(text) <= 3 and tokens[0].kind == "letters"
        if len(text) > 1 and text not in CONSTANTS and (not is_product or text in SHORT_WORDS):
            raise UnreadableError(text)
    amount, unit = tokens, None
    if percent := bool(tokens) and tokens[-1].text == "%":
        amount = tokens[:-1]
    elif _text(tokens[-2:]) == r"^\circ" and not _is_applied(tokens):
        amount, unit = tokens[:-2], read_unit(tokens[-2:])
    formula = _formula_or_none(amount)
    return None if formula is None else Quantity(formula, unit, percent, None, _digits(amount))


def _is_applied(tokens: list[Token]) -> bool:
    r"""Whether there is a function: the degrees of `\cos 60^\circ` belong to the cosine."""
    return any(t.text.removeprefix("\\") in FUNCTIONS - {"sqrt"} for t in tokens)


def _formula(tokens: list[Token]) -> Formula:
    return read_latex(write_latex(tokens))


def _formula_or_none(tokens: list[Token]) -> Formula | None:
    try:
        return _formula(tokens)
    except UnreadableError:
        return None


def _digits(tokens: list[Token]) -> str:
    text = "".join(t.text for t in tokens)
    return text if re.fullmatch(r"-?\d*\.\d+", text) else ""


def _with_unit(head: list[Token], tail: list[Token], currency: Unit | None) -> Quantity | None:
    """The formula `head` with the words `tail` behind it: quantities and a unit."""
    if (formula := _formula_or_none(head)) is None:
        return None
    percent, factor = False, Fraction(1)
    if tail[0].text == "%" and len(tail) > 1:
        percent, tail = True, tail[1:]
    while tail:
        words = tail[0].text.lower().split() if tail[0].kind in ("words", "letters") else [""]
        if words[0] in ("percent", "pct") or (words[0] == "percentage" and len(words) > 1):
            percent = True
        elif words[0] in QUANTITIES:
            factor *= QUANTITIES[words[0]]
        else:
            break
        rest = " ".join(words[1:])
        tail = ([Token("words", rest, True)] if rest else []) + tail[1:]
    unit = currency
    if tail:
        if _is_letter_product(formula, tail) or not (read := read_unit(tail)):
            return None
        unit = read if currency is None else currency
    if factor != 1:
        formula = formula * read_latex(write_number(factor))
    product = None
    if unit and tail and all(t.kind == "letters" and len(t.text) == 1 for t in tail):
        product = _formula_or_none(head + tail)
    return Quantity(formula, unit, percent, product, _digits(head) if factor == 1 else "")


def _is_letter_product(formula: Formula, tail: list[Token]) -> bool:
    """Whether a small letter behind a formula is a variable of it, as in `2x m` and `5m`."""
    first = tail[0]
    if first.kind != "letters" or len(first.text) > 1 or not first.text.isascii():
        return False
    return not first.spaced or bool(names(formula))


def _relation(tokens: list[Token]) -> Form:
    """The form of sides with signs between them."""
    sides = _split(tokens, lambda t: t.text in _SIGNS)
    depths = zip(tokens, _depths(tokens), strict=True)
    signs = [_SIGNS[t.text] for t, depth in depths if depth == 0 and t.text in _SIGNS]
    if not all(sides[1:]) or (not sides[0] and (len(signs) > 1 or signs[0] == "=")):
        raise UnreadableError("side of a relation")
    if set(signs) == {"="} or signs == ["in"]:
        return _equation(sides)
    if len(signs) == 1:
        return _inequality(sides[0], signs[0], sides[1])
    same_way = set(signs) <= {"<", "<="} or set(signs) <= {">", ">="}
    if len(signs) == 2 and same_way and (name := _name(sides[1])):
        lower, upper = sides[0], sides[2]
        if signs[0][0] == ">":
            lower, upper, signs = upper, lower, [_FLIPPED[s] for s in reversed(signs)]
        bounds = Bracket(
            "(["[signs[0] == "<="], ")]"[signs[1] == "<="], (_quantity(lower), _quantity(upper))
        )
        return Between(name, bounds)
    raise UnreadableError("chain of relations")


def _equation(sides: list[list[Token]]) -> Form:
    names = [_name(side) for side in sides]
    if len(sides) == 2 and not names[0] and names[1]:
        sides, names = sides[::-1], names[::-1]  # 5 = x
    if names[0]:
        values = [_read(side) for side in sides[1:]]
        return Named(names[0], values[0] if len(values) == 1 else Chain(tuple(values)))
    return Chain(tuple(_read(side) for side in sides))


def _inequality(left: list[Token], sign: str, right: list[Token]) -> Form:
    if sign == "~" and left:
        raise UnreadableError("about")
    name = _name(left) if left else ""
    other = right
    towards = sign
    if left and not name and (name := _name(right)):
        other, towards = left, _FLIPPED.get(sign, sign)
    bounds = None
    if (name or not left) and towards in _FLIPPED:
        bound = _quantity(other)
        if towards[0] == ">":
            bounds = Bracket("(["[towards == ">="], ")", (bound, Quantity(sympy.oo)))
        else:
            low = Quantity(-sympy.oo)
            bounds = Bracket("(", ")]"[towards == "<="], (low, bound))
    right_formula = _formula(right)
    return Relation(sign, _formula(left) if left else None, right_formula, name, bounds)


def _name(tokens: list[Token]) -> str:
    """The name that a side of a relation is (`x`, `a_5`, `f(x)`, `AB`, `Area`), or ""."""
    texts = [t.text for t in tokens]
    if _FIGURE.fullmatch("".join(texts)) or _PAIR.fullmatch("".join(texts)):
        return "".join(texts)
    if not tokens or tokens[0].kind not in ("letters", "words", "command"):
        return ""
    if all(t.kind == "words" or (t.kind == "letters" and len(t.text) > 3) for t in tokens):
        return " ".join(texts)
    first = tokens[0]
    if first.kind == "command" and first.text[1:] not in GREEK:
        return ""
    if first.kind == "letters" and len(first.text) > 1 and not first.text.isupper():
        return ""
    if first.text in FUNCTIONS:
        return ""
    rest = "".join(texts[1:])
    if re.fullmatch(r"'*(?:_(?:\w|\{\w+\}))?'*(?:\((?:[A-Za-z]|\d+|-\d+)(?:,[A-Za-z])*\))?", rest):
        return first.text + rest.replace("{", "").replace("}", "")
    return ""
