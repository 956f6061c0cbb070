r"""Formulas of answers, written so that latex2sympy2_extended reads what they say.

`tokenise` takes a clean text apart. `write_latex` says the tokens again in the LaTeX that the
library knows: with every argument in braces, every product with its sign, decimals as fractions. It
follows brackets and arguments only; what is a sum, a product or a power is the library's to read.
Where the library would leave out something in silence, it refuses by UnreadableError.

Without it, of 1,808 formulas (`equalities.yaml`, the sample pairs and MATH's references, plain
numbers aside) version 1.11 refuses 111, such as `\sqrt 2`, and takes 41 for something else without
a word: `5(6)` for 11, `x'` for x, `sqrt(7)` for a product of letters, 15 digits for a decimal.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from genprm.verifiers.answers.text import END, WORDS
from genprm.verifiers.answers.words import NUMBER_WORDS, SHORT_WORDS

_APPLIED = {  # program forms with their argument in parentheses
    **{"cbrt": (r"\sqrt[3]{", "}"), "abs": ("|", "|"), "factorial": ("(", ")!")},
    **{"floor": (r"\lfloor ", r"\rfloor "), "ceil": (r"\lceil ", r"\rceil ")},
}
_FUNCTIONS = {
    **{n: n for n in ("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan")},
    **{n: n for n in ("sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh")},
    **{n: n for n in ("log", "ln", "exp", "gcd", "lcm", "min", "max")},
    **{"asin": "arcsin", "acos": "arccos", "atan": "arctan", "lg": "log_{10}"},
}
_LISTED = ("gcd", "lcm", "min", "max")  # functions of several arguments
FUNCTIONS = frozenset(_FUNCTIONS) | frozenset(_APPLIED) | {"sqrt", "binom"}
CONSTANTS = {
    **dict.fromkeys(("infty", "infinity", "Infinity", "inf", "oo"), r"\infty "),
    **{"pi": r"\pi ", "e": "e", "i": "(I)"},  # a power of a bare I is left out by the library
}
_LETTERS = """
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho
sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell
"""
GREEK = frozenset(_LETTERS.split())
BASES = NUMBER_WORDS | {"sixteen": 16}
MIN_PLACES = 10  # significant digits of a decimal that stands for a number without end
LOG_BASE = "logbase"  # the name that stands for the base of a logarithm without one
_CLOSING = {"(": ")", "[": "]", "{": "}", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil", "|": "|"}
_SIGNS = {"+": "+", "-": "-", "*": r" \cdot ", "/": "/", r"\mod": r"\mod ", r"\bmod": r"\mod "}
_GROUPS = re.compile(r"(?<![\d.,])(\d{1,3})((?: \d{3})+)(?!\s?\d)(?!,\d{3})")
_DIGITS = r" ?(?:\{ ?(\d+) ?\}|(\d))"  # an argument of digits
_MIXED = rf"(\d+)(?: ?\\frac{_DIGITS}{_DIGITS}| (\d+)/(\d+)(?![\d.]))"
_REPEATING = rf"((?:\d{{1,3}}(?:,\d{{3}})+|\d*)\.\d*) ?\\(?:overline|bar|dot) ?{_DIGITS}(?!\d)"
_DOTS = r"(\d*\.\d*?)((\d+?)\3+) ?\\ldots"  # 0.333..., 0.142857142857...
_DECIMAL = r"(?:\d{1,3}(?:,\d{3})+(?!,?\d)|\d+|(?=\.\d))(?:\.\d+)?(?:[eE][-+]?\d{1,4}(?![\d.^]))?"
_SPECIAL = {form: re.compile(form) for form in (_MIXED, _REPEATING, _DOTS)}
_TOKEN = re.compile(
    rf"(?P<space>\s+)|{WORDS}(?P<words>[^{END}]*){END}|(?P<number>{_DECIMAL})"
    r"|(?P<command>\\[A-Za-z]+)|(?P<escaped>\\\\|\\[{}%$&#_|])"
    r"|(?P<letters>[^\W\d_]+)|(?P<sign>\*\*|<=|>=|!=|==|[-+*/^_=<>!%|()\[\]{},;:.'&$€£¥₹¤¢\"?~])"
)


class UnreadableError(ValueError):
    """The text is no formula, or the library would not read all of it."""


class Token(NamedTuple):
    """A piece of text: `kind` is number, command, words, letters or sign."""

    kind: str
    text: str
    spaced: bool  # whether a space stands before it


def tokenise(text: str) -> list[Token]:
    """The tokens of a clean text; thousands apart by spaces are one number.

    Raises:
        UnreadableError: a character is in no formula or text.
    """
    text = _GROUPS.sub(lambda m: m[1] + m[2].replace(" ", ""), text)
    tokens: list[Token] = []
    at, depth, spaced = 0, 0, False
    while at < len(text):
        if text[at] in ".0123456789" and (number := _special_number(text, at)):
            tokens.append(Token("number", str(number[0]), spaced))
            at, spaced = number[1], False
            continue
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise UnreadableError(text[at : at + 10])
        at = match.end()
        if match.lastgroup == "space":
            spaced = True
            continue
        kind = {"escaped": "sign"}.get(match.lastgroup, match.lastgroup)
        content = match[match.lastgroup]
        if content in _CLOSING or content in (")", "]", "}", r"\{", r"\}"):
            depth += 1 if content in _CLOSING or content == r"\{" else -1
        if kind == "number" and "," in content and depth > 0 and ", " not in text:
            content = content.partition(",")[0]  # (1,234) is a pair
            at = match.start() + len(content)
        content = {"**": "^", r"\cdot": "*", r"\times": "*", r"\div": "/", r"\%": "%"}.get(
            content, content
        )
        kind = "sign" if content in ("*", "/", "%", r"\$") else kind
        tokens.append(Token(kind, " ".join(content.split()), spaced))
        spaced = False
    return tokens


def _special_number(text: str, at: int) -> tuple[Fraction, int] | None:
    """The value of a mixed number or repeating decimal that begins there, and where it ends."""
    for form, pattern in _SPECIAL.items():
        if match := pattern.match(text, at):
            start, *rest = (part for part in match.groups() if part is not None)
            if form == _MIXED:
                value = int(start) + Fraction(int(rest[0]), int(rest[1]) or 1)
                proper = int(rest[0]) < int(rest[1])  # any other fraction is a factor
            else:
                proper = form == _REPEATING or len(rest[0]) > 2
                places = len(start.partition(".")[2])
                tail = Fraction(int(rest[-1]), (10 ** len(rest[-1]) - 1) * 10**places)
                value = Fraction("0" + start.rstrip(".").replace(",", "")) + tail
            if proper:
                return value, match.end()
    return None


def exact_value(text: str) -> Fraction | None:
    """The value of a clean text that is a number or a fraction of two; None if it is anything else
    or a decimal so long that it may stand for a number without end."""
    try:
        tokens = tokenise(text)
    except UnreadableError:
        return None
    sign = bool(tokens) and tokens[0].text == "-"
    numbers = [t.text.replace(",", "") for t in tokens if t.kind == "number"]
    form = "".join("0" if t.kind == "number" else t.text for t in tokens[sign:])
    if form not in ("0", "0/0", r"\frac{0}{0}") or any(
        len(n) > MIN_PLACES and "." in n for n in numbers
    ):
        return None
    top, bottom = (*map(Fraction, numbers), Fraction(1))[:2]
    return None if bottom == 0 else -top / bottom if sign else top / bottom


def write_latex(tokens: list[Token]) -> str:
    """What the tokens say, for the library.

    Raises:
        UnreadableError: they are no formula.
    """
    return _Writer(tokens).group()


class _Writer:
    def __init__(self, tokens: list[Token]):
        self.tokens = [*tokens]
        self.at = 0

    def peek(self, ahead: int = 0) -> Token:
        i = self.at + ahead
        return self.tokens[i] if 0 <= i < len(self.tokens) else Token("", "", False)

    def take(self, *texts: str) -> bool:
        is_next = self.peek().text in texts and self.peek().kind in ("sign", "command")
        self.at += is_next
        return is_next

    def group(self, closing: str = "", comma: str = "") -> str:
        """What stands before `closing`, which is taken too; "" is the end."""
        out, adjacent, divisor = "", False, False
        while not (self.peek().text == closing and (adjacent or closing != "|")):
            text = self.peek().text
            if adjacent and self.take(r"\choose"):
                return rf"\binom{{{out}{')' * divisor}}}{{{self.group(closing)}}}"
            if text in _SIGNS or (text and text == comma):
                out += (")" if divisor else "") + _SIGNS.get(text, text)
                self.at += 1
                # the library takes a/2b for a/(2b), too, which is (a/2)b
                divisor = text == "/" and self.peek().kind in ("letters", "command")
                out += "(" if divisor else ""
                adjacent = False
                continue
            if adjacent and self.peek().kind == "number" and not self.closed():
                raise UnreadableError("two numbers")  # of which the library makes a sum
            # without a sign, 2(3) would be a mixed number for the library, and f(x) a function
            out += (r" \cdot " if adjacent else "") + self.factor()
            adjacent = True
        self.at += 1
        return out + (")" if divisor else "")

    def closed(self) -> bool:
        return self.peek(-1).text in (")", "]", "}", "!")

    def factor(self) -> str:
        """One factor with its powers, and what else stands behind it."""
        out = self.atom()
        while True:
            if self.peek().text == "!" and self.peek(1).text != "!" and self.take("!"):
                out += "!"
            elif self.take("%"):
                out = rf"({out}\cdot \frac{{1}}{{100}})"
            elif not self.take("^"):
                return out
            elif self.take(r"\circ"):
                out = rf"({out}^{{\circ}})"
            else:
                out += f"^{{{self.exponent()}}}"

    def exponent(self) -> str:
        if self.take("{"):
            inner = self.group("}")
            return f"({inner})^{{{self.exponent()}}}" if self.take("^") else inner
        if self.peek().text in ("-", "+"):
            self.at += 1
            return _SIGNS[self.peek(-1).text] + self.exponent()
        if self.peek().kind == "letters" and self.peek().text not in CONSTANTS:
            self.split()
        return self.factor()

    def atom(self) -> str:
        kind, text, _ = self.peek()
        self.at += 1
        if kind == "number":
            return write_number(Fraction(text.replace(",", "")))
        if kind in ("letters", "words"):
            return self.letters(kind, text)
        if text in ("(", "[", "{"):
            return f"({self.group(_CLOSING[text])})"
        if text in ("|", r"\lfloor", r"\lceil"):
            closing = _CLOSING[text]
            return f"{text} {self.group(closing)}{closing} "
        name = text[1:]
        if kind == "command" and name == "frac":
            return r"\frac" + self.argument() + self.argument()
        if kind == "command" and (name in FUNCTIONS or name in CONSTANTS):
            return self.name(name)
        if kind == "command" and name in GREEK:
            return self.symbol(name)
        raise UnreadableError(text or "end")

    def argument(self) -> str:
        """An argument of a command: in braces, or one digit, letter or command."""
        if self.take("{"):
            return f"{{{self.group('}')}}}"
        self.split()
        if self.peek().kind == "sign":
            raise UnreadableError("argument")
        return f"{{{self.atom()}}}"

    def split(self) -> None:
        """Make one character a token of its own, as LaTeX takes an argument without braces."""
        kind, text, spaced = self.peek()
        if kind == "number" and not text[0].isdigit():
            raise UnreadableError("a digit wanted")
        if kind in ("number", "letters") and len(text) > 1:
            parts = [Token(kind, text[0], spaced), Token(kind, text[1:], False)]
            self.tokens[self.at : self.at + 1] = parts

    def subscript(self) -> str:
        """The text of a subscript."""
        if not self.take("{"):
            self.at += 1
            return self.peek(-1).text
        start = self.at
        while self.peek().text not in ("}", ""):
            self.at += 1
        self.at += 1
        return "".join(t.text for t in self.tokens[start : self.at - 1])

    def letters(self, kind: str, text: str) -> str:
        if text in FUNCTIONS or (text in CONSTANTS and len(text) > 1):
            return self.name(text)
        other = self.peek()
        follows = other.kind in ("letters", "words") and other.spaced
        pair = text + other.text
        if follows and (len(pair) > 2 or not pair.islower()) and other.text not in FUNCTIONS:
            raise UnreadableError("words")
        if len(text) == 1 and text.isascii():
            return self.symbol(text)
        if kind == "words" or not text.isascii() or text.lower() in SHORT_WORDS:
            raise UnreadableError(text)
        if text.isupper():
            return self.symbol(text)  # a segment such as AB, not a product
        counted = self.peek(-2).kind == "number" and len(text) > 3 and sorted(set(text)) != [*text]
        if counted or len(text) > (4 if text.islower() else 3):  # 12 eggs, but 12 abcd
            raise UnreadableError(text)
        first = [CONSTANTS.get(letter, rf"\variable{{{letter}}}") for letter in text[:-1]]
        return r" \cdot ".join([*first, self.symbol(text[-1])])

    def symbol(self, name: str) -> str:
        r"""A variable. The library drops the prime of `x'` and the power of `A^T`, and makes
        functions of `x(y)` and a differential of `dx`, but not if it is called \variable."""
        plain = name
        while True:
            if self.take("_"):
                name += "_" + self.subscript()
            elif self.take("'"):
                name += "'"
            elif name == plain and name in CONSTANTS:
                return CONSTANTS[name]
            else:
                return write_symbol(name)

    def name(self, name: str) -> str:
        """A constant, or a function with its argument, which the library takes to be all the
        product that follows, as in `\\log 5 / \\log 2`."""
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name == "binom" and self.take("("):
            return rf"\binom{{{self.group(')', comma=',').replace(',', '}{')}}}"
        if name == "binom":
            return r"\binom" + self.argument() + self.argument()
        if name == "sqrt":
            degree = f"[{self.group(']')}]" if self.take("[") else ""
            if self.take("("):
                return rf"\sqrt{degree}{{{self.group(')')}}}"
            is_number = self.peek().kind == "number"
            return rf"\sqrt{degree}" + (f"{{{self.atom()}}}" if is_number else self.argument())
        if name in _APPLIED:
            left, right = _APPLIED[name]
            if not self.take("("):
                raise UnreadableError(name)
            return f"({left}{self.group(')')}{right})"
        power, base = "", ""
        while self.peek().text in ("^", "_"):
            if self.take("^"):
                power = f"^{{{self.exponent()}}}"
            elif self.take("_"):
                base = f"_{self.argument()}"
        if name in ("log", "lg") and not base:
            base = "_{10}" if name == "lg" else rf"_{{\variable{{{LOG_BASE}}}}}"
        elif base and name != "log":
            raise UnreadableError(name)
        return rf"\{_FUNCTIONS[name].partition('_')[0]}{base}{power}({self.applied(name)})"

    def applied(self, name: str) -> str:
        for opening in ("(", "[", "{"):
            if self.take(opening):
                return self.group(_CLOSING[opening], comma="," if name in _LISTED else "")
        out = self.factor()
        while self.peek().kind in ("letters", "command") or (
            self.peek().kind == "number" and self.closed()
        ):
            other = self.peek().text.removeprefix("\\")
            is_factor = other in GREEK or other in CONSTANTS or other in ("frac", "sqrt")
            if not is_factor and (self.peek().kind == "command" or other in FUNCTIONS):
                break
            out += r" \cdot " + self.factor()
        if r"\pi" in out and self.take("/"):  # \sin \pi/6
            out += "/" + self.factor()
        return out


def write_symbol(name: str) -> str:
    """A variable of any name; `\\variable` knows letters and digits only."""
    plain = (c if c.isalnum() else f"Q{ord(c)}Q" for c in name.removeprefix("\\"))
    return rf"\variable{{{''.join(plain)}}}"


def write_number(value: Fraction) -> str:
    """A number without a sign as a whole number or fraction: the library rounds decimals."""
    if value.denominator == 1:
        return str(value)
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
