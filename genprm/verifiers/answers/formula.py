r"""Formulas of answers: a reader that takes all of a text or none, and exact arithmetic.

It knows LaTeX (`\frac12`, `\sqrt[3]{2}`, `2^{10}`) and the forms of programming languages
(`3*x**2`, `sqrt(5)`, `pi/2`), on text that `clean` has made plain. What it does not know it refuses
by UnreadableError; it never leaves out a part.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from genprm.verifiers.answers.text import END, WORDS
from genprm.verifiers.answers.words import NUMBER_WORDS, SHORT_WORDS

MAX_BITS = 50_000  # of an exact number; a larger one is left to the limits of the helper process
MAX_FACTORIAL = 2_000
MIN_PLACES = 10  # significant digits of a decimal that stands for a number without end

FUNCTIONS = {
    *("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "asin", "acos"),
    *("atan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "log", "ln", "lg", "exp"),
    *("gcd", "lcm", "min", "max", "abs", "sqrt", "cbrt", "floor", "ceil", "binom", "factorial"),
}
_CONSTANTS = {
    **{"pi": "pi", "infty": "oo", "infinity": "oo", "Infinity": "oo", "inf": "oo", "oo": "oo"},
}
_LETTERS = """
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho
sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell
"""
GREEK = frozenset(_LETTERS.split())
_CLOSING = {"(": ")", "[": "]", "{": "}", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil"}
_GROUPS = re.compile(r"(?<![\d.,])(\d{1,3})((?: \d{3})+)(?!\s?\d)(?!,\d{3})")
_TOKEN = re.compile(
    rf"(?P<space>\s+)|{WORDS}(?P<words>[^{END}]*){END}"
    r"|(?P<number>\d*\.(?=\s*\\(?:overline|bar|dot)\b)"
    r"|(?:\d{1,3}(?:,\d{3})+(?!,?\d)|\d+|(?=\.\d))(?:\.\d+)?(?:[eE][-+]?\d{1,4}(?![\d.^]))?)"
    r"|(?P<command>\\[A-Za-z]+)|(?P<escaped>\\\\|\\[{}%$&#_|])"
    r"|(?P<letters>[^\W\d_]+)|(?P<sign>\*\*|<=|>=|!=|==|[-+*/^_=<>!%|()\[\]{},;:.'&$€£¥₹¤¢\"?~])"
)


class UnreadableError(ValueError):
    """The text is no formula that this reader knows to the end."""


class Token(NamedTuple):
    """A piece of text: `kind` is number, command, words, letters or sign."""

    kind: str
    text: str
    spaced: bool  # whether a space stands before it


@dataclass(frozen=True, slots=True)
class Formula:
    """A tree: `op` over `args`, or a leaf of which `text` is the number or the name."""

    op: str
    args: tuple[Formula, ...] = ()
    text: str = ""

    def as_json(self) -> list[Any]:
        return [self.op, self.text, [arg.as_json() for arg in self.args]]


def tokenise(text: str) -> list[Token]:
    """The tokens of a clean text; thousands apart by spaces are one number.

    Raises:
        UnreadableError: a character is in no formula or text.
    """
    text = _GROUPS.sub(lambda m: m[1] + m[2].replace(" ", ""), text)
    tokens: list[Token] = []
    at, depth, spaced = 0, 0, False
    while at < len(text):
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


def read_formula(tokens: list[Token]) -> Formula:
    """The formula that the tokens are.

    Raises:
        UnreadableError: they are none, or more than one.
    """
    reader = _Reader(tokens)
    try:
        formula = reader.sum()
    except RecursionError as error:
        raise UnreadableError("nested too deeply") from error
    if reader.at < len(tokens):
        raise UnreadableError(tokens[reader.at].text)
    return formula


class _Reader:
    """Recursive descent over tokens."""

    def __init__(self, tokens: list[Token]):
        self.tokens = tokens
        self.at = 0
        self.bars = 0  # of |x| that are open

    def peek(self, ahead: int = 0) -> str:
        i = self.at + ahead
        return self.tokens[i].text if i < len(self.tokens) else ""

    def kind(self, ahead: int = 0) -> str:
        i = self.at + ahead
        return self.tokens[i].kind if i < len(self.tokens) else ""

    def take(self, *texts: str) -> bool:
        if self.kind() in ("sign", "command") and self.peek() in texts:
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise UnreadableError(f"{text} wanted")

    def sum(self) -> Formula:
        total = self.product()
        while True:
            if self.take("+"):
                total = Formula("+", (total, self.product()))
            elif self.take("-"):
                total = Formula("-", (total, self.product()))
            elif self.take(r"\choose"):
                return Formula("binom", (total, self.sum()))
            else:
                return total

    def product(self) -> Formula:
        total = self.signed()
        divisor_of_letters = False
        while True:
            if self.take("*"):
                total, divisor_of_letters = Formula("*", (total, self.signed())), False
            elif self.take("/"):
                divisor_of_letters = self.kind() in ("letters", "command")
                total = Formula("/", (total, self.signed()))
            elif self.starts_factor():
                factor = self.power()
                if divisor_of_letters:  # a/bc is a/(bc)
                    top, bottom = total.args
                    total = Formula("/", (top, Formula("*", (bottom, factor))))
                else:
                    total = Formula("*", (total, factor))
            else:
                return total

    def starts_factor(self) -> bool:
        """Whether a factor without a sign of multiplication follows."""
        text, kind = self.peek(), self.kind()
        if kind == "number":
            return self.tokens[self.at - 1].text in (")", "]", "}")
        if kind == "sign":
            return text in ("(", "[", "{") or (text == "|" and not self.bars)
        if kind == "words":
            return len(text) == 1 or text in FUNCTIONS
        return kind == "letters" or (kind == "command" and self.is_atom(text))

    @staticmethod
    def is_atom(command: str) -> bool:
        name = command[1:]
        known = name in FUNCTIONS or name in _CONSTANTS or name in GREEK
        return known or name in ("frac", "lfloor", "lceil", "begin")

    def signed(self) -> Formula:
        if self.take("-"):
            return Formula("neg", (self.signed(),))
        if self.take("+"):
            return self.signed()
        return self.power()

    def power(self) -> Formula:
        base = self.postfix()
        if self.take("^"):
            return Formula("^", (base, self.exponent()))
        return base

    def exponent(self) -> Formula:
        if self.take("{"):
            inner = self.sum()
            self.expect("}")
            return Formula("^", (inner, self.exponent())) if self.take("^") else inner
        if self.take("-"):
            return Formula("neg", (self.exponent(),))
        if self.take("+"):
            return self.exponent()
        if self.kind() == "letters" and len(self.peek()) > 1 and self.peek() not in _CONSTANTS:
            return self.first_letter()
        return self.power()

    def postfix(self) -> Formula:
        value = self.atom()
        while True:
            if self.peek() == "!" and self.peek(1) != "!" and self.take("!"):
                value = Formula("factorial", (value,))
            elif self.take("%"):
                value = Formula("/", (value, Formula("num", text="100")))
            elif self.degrees():
                value = Formula("degrees", (value,))
            else:
                return value

    def degrees(self) -> bool:
        if self.peek() != "^":
            return False
        for form in ((r"\circ",), ("{", r"\circ", "}")):
            texts = [self.peek(i + 1) for i in range(len(form))]
            if texts == list(form):
                self.at += 1 + len(form)
                return True
        return False

    def atom(self) -> Formula:
        text, kind = self.peek(), self.kind()
        if kind == "number":
            return self.number()
        if kind in ("letters", "words"):
            return self.letters()
        if text in ("(", "[", "{"):
            self.at += 1
            bars, self.bars = self.bars, 0
            inner = self.sum()
            self.bars = bars
            self.expect(_CLOSING[text])
            return inner
        if self.take("|"):
            self.bars += 1
            inner = self.sum()
            self.bars -= 1
            self.expect("|")
            return Formula("abs", (inner,))
        if kind == "command":
            return self.command()
        raise UnreadableError(text or "end")

    def number(self) -> Formula:
        token = self.tokens[self.at]
        self.at += 1
        if self.peek() == "_":
            self.at += 1
            return numeral_value(token.text, self.base())
        if self.peek() in (r"\overline", r"\bar", r"\dot"):
            return self.repeating(token.text)
        if self.peek() == r"\ldots":
            self.at += 1
            return _with_dots(token.text)
        if self.kind() == "number":
            return self.mixed(token.text)
        if self.peek() == r"\frac":
            return self.mixed_fraction(token.text)
        return Formula("num", text=token.text.replace(",", ""))

    def mixed(self, whole: str) -> Formula:
        """`2 3/4`: a whole number, a space and a proper fraction."""
        top, slash, bottom = (self.peek(i) for i in range(3))
        proper = whole.isdigit() and top.isdigit() and bottom.isdigit() and int(top) < int(bottom)
        if not proper or slash != "/" or not self.tokens[self.at].spaced:
            raise UnreadableError(f"{whole} {top}")
        self.at += 3
        return _mixed(whole, top, bottom)

    def mixed_fraction(self, whole: str) -> Formula:
        r"""`2\frac{3}{4}`; before any other fraction the number alone, for that is a product."""
        start, tokens = self.at, self.tokens
        self.at += 1
        top, bottom = self.digits(), self.digits()
        if whole.isdigit() and top and bottom and int(top) < int(bottom):
            return _mixed(whole, top, bottom)
        self.at, self.tokens = start, tokens
        return Formula("num", text=whole.replace(",", ""))

    def digits(self) -> str:
        """The digits that an argument is, or "": what is more is not read twice over."""
        if self.kind() == "number" and self.peek().isdigit():
            return self.first_digit()
        if self.peek() == "{" and self.peek(1).isdigit() and self.peek(2) == "}":
            self.at += 3
            return self.tokens[self.at - 2].text
        return ""

    def repeating(self, start: str) -> Formula:
        self.at += 1
        digits = self.digits_of_group()
        if "." not in start or not digits.isdigit() or self.kind() == "number":
            raise UnreadableError("repeating digits")
        return _repeating(start, digits)

    def digits_of_group(self) -> str:
        if self.take("{"):
            digits = self.peek()
            self.at += 1
            self.expect("}")
            return digits
        return self.first_digit()

    def first_digit(self) -> str:
        """One digit of a number, as LaTeX takes an argument without braces."""
        token = self.tokens[self.at] if self.kind() == "number" else Token("", "", False)
        if not token.text[:1].isdigit():
            raise UnreadableError("a digit wanted")
        if len(token.text) > 1:
            self.tokens = [*self.tokens]
            self.tokens[self.at] = Token("number", token.text[1:], False)
        else:
            self.at += 1
        return token.text[0]

    def first_letter(self) -> Formula:
        token = self.tokens[self.at]
        self.tokens = [*self.tokens]
        self.tokens[self.at] = Token("letters", token.text[1:], False)
        return _symbol(token.text[0])

    def base(self) -> int:
        base = self.raw_argument()
        value = BASES.get(base, int(base) if base.isdigit() else 0)
        if not 2 <= value <= 36:
            raise UnreadableError("base")
        return value

    def letters(self) -> Formula:
        token = self.tokens[self.at]
        text = token.text
        self.at += 1
        if text in FUNCTIONS:
            return self.function(text)
        if text in _CONSTANTS:
            return Formula("const", text=_CONSTANTS[text])
        follows = self.kind() in ("letters", "words") and self.tokens[self.at].spaced
        pair = text + self.peek()
        if follows and (len(pair) > 2 or not pair.islower()) and self.peek() not in FUNCTIONS:
            raise UnreadableError("words")
        if len(text) == 1 and text.isascii():
            return self.symbol(text)
        if token.kind == "words" or not text.isascii() or text.lower() in SHORT_WORDS:
            raise UnreadableError(text)
        if text.isupper():
            return self.symbol(text)  # a segment such as AB, not a product
        if len(text) > (4 if text.islower() else 3):
            raise UnreadableError(text)
        product = _symbol(text[0])
        for letter in text[1:-1]:
            product = Formula("*", (product, _symbol(letter)))
        last = self.symbol(text[-1])
        if self.peek() == "^":  # binds to the last letter alone
            self.at += 1
            last = Formula("^", (last, self.exponent()))
        return Formula("*", (product, last))

    def symbol(self, name: str) -> Formula:
        while True:
            if self.take("_"):
                name += "_" + self.raw_argument()
            elif self.take("'"):
                name += "'"
            else:
                return _symbol(name)

    def raw_argument(self) -> str:
        """The text of a subscript."""
        if not self.take("{"):
            self.at += 1
            return self.tokens[self.at - 1].text if self.at <= len(self.tokens) else ""
        parts = []
        while self.peek() not in ("}", ""):
            parts.append(self.peek())
            self.at += 1
        self.expect("}")
        return "".join(parts)

    def argument(self) -> Formula:
        """An argument of a command: in braces, or one digit, letter or command."""
        if self.take("{"):
            inner = self.sum()
            self.expect("}")
            return inner
        if self.kind() == "number":
            return Formula("num", text=self.first_digit())
        if self.kind() == "letters" and len(self.peek()) > 1:
            return self.first_letter()
        if self.kind() in ("letters", "words", "command"):
            return self.atom()
        raise UnreadableError("argument")

    def command(self) -> Formula:
        name = self.peek()[1:]
        self.at += 1
        if name == "frac":
            top = self.argument()
            return Formula("/", (top, self.argument()))
        if name == "binom":
            top = self.argument() if self.peek() != "(" else self.function("binom")
            return top if top.op == "binom" else Formula("binom", (top, self.argument()))
        if name in ("lfloor", "lceil"):
            inner = self.sum()
            self.expect(_CLOSING["\\" + name])
            return Formula({"lfloor": "floor", "lceil": "ceil"}[name], (inner,))
        if name in FUNCTIONS:
            return self.function(name)
        if name in _CONSTANTS:
            return Formula("const", text=_CONSTANTS[name])
        if name in GREEK:
            return self.symbol("\\" + name)
        raise UnreadableError("\\" + name)

    def function(self, name: str) -> Formula:
        if name == "sqrt":
            return self.root()
        power: Formula | None = None
        base: Formula | None = None
        while self.peek() in ("^", "_"):
            if self.take("^"):
                power = self.exponent()
            elif self.take("_"):
                base = self.argument()
        arguments = self.arguments()
        if name in ("log", "lg", "ln") and len(arguments) == 2 and base is None:
            base, arguments = arguments[1], arguments[:1]
        if base is not None and name not in ("log", "lg"):
            raise UnreadableError(name)
        if base is not None:
            name, arguments = "log_base", (arguments[0], base)
        if power is not None and exact_value(power) == -1:
            if name not in ("sin", "cos", "tan"):
                raise UnreadableError(f"inverse of {name}")
            return Formula("a" + name, arguments)
        value = Formula(_SAME_FUNCTION.get(name, name), arguments)
        return value if power is None else Formula("^", (value, power))

    def root(self) -> Formula:
        degree = Formula("num", text="2")
        if self.take("["):
            degree = self.sum()
            self.expect("]")
        if self.take("("):
            inner = self.sum()
            self.expect(")")
        elif self.kind() == "number":
            inner = self.number()
        else:
            inner = self.argument()
        return Formula("root", (inner, degree))

    def arguments(self) -> tuple[Formula, ...]:
        """What a function is applied to: `(a, b)`, `{a}`, or the product that follows."""
        if self.peek() in ("(", "[", "{"):
            closing = _CLOSING[self.peek()]
            self.at += 1
            arguments = [self.sum()]
            while self.take(","):
                arguments.append(self.sum())
            self.expect(closing)
            return tuple(arguments)
        value = self.power()
        while self.kind() in ("letters", "command", "number") and self.starts_factor():
            if self.peek().removeprefix("\\") in FUNCTIONS - {"sqrt"}:
                break
            value = Formula("*", (value, self.power()))
        if _has_pi(value) and self.take("/"):  # \sin \pi/6
            value = Formula("/", (value, self.power()))
        return (value,)


_SAME_FUNCTION = {
    **{"arcsin": "asin", "arccos": "acos", "arctan": "atan", "lg": "log10"},
    **{"arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh"},
}
BASES = NUMBER_WORDS | {"sixteen": 16}


def _symbol(name: str) -> Formula:
    return Formula("const", text=name) if name in ("i", "e") else Formula("sym", text=name)


def _has_pi(formula: Formula) -> bool:
    return formula == Formula("const", text="pi") or any(map(_has_pi, formula.args))


def _mixed(whole: str, top: str, bottom: str) -> Formula:
    return Formula("num", text=str(int(whole) + Fraction(int(top), int(bottom))))


def _repeating(start: str, period: str) -> Formula:
    places = len(start.partition(".")[2])
    tail = Fraction(int(period), (10 ** len(period) - 1) * 10**places)
    return Formula("num", text=str(Fraction("0" + start.rstrip(".").replace(",", "")) + tail))


def _with_dots(text: str) -> Formula:
    """`0.333...`, `0.1666...`, `0.142857142857...`: digits that repeat to the end."""
    match = re.fullmatch(r"(\d*\.\d*?)((\d+?)\3+)", text)
    if match is None or len(match[2]) < 3:
        raise UnreadableError("dots")
    return _repeating(match[1], match[3])


def numeral_value(digits: str, base: int) -> Formula:
    """The value of a numeral.

    Raises:
        UnreadableError: a digit does not fit the base.
    """
    try:
        return Formula("num", text=str(int(digits, base)))
    except ValueError as error:
        raise UnreadableError(digits) from error


def exact_value(formula: Formula) -> Fraction | None:
    """The value of a formula of rational numbers; None if it is none, or too large to write."""
    if formula.op == "num":
        return Fraction(formula.text)
    values = [exact_value(arg) for arg in formula.args]
    exact = [value for value in values if value is not None]
    if not exact or len(exact) < len(values) or max(map(_bits, exact)) > MAX_BITS:
        return None
    return _calculate(formula.op, exact)


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _calculate(op: str, values: list[Fraction]) -> Fraction | None:
    first, second = values[0], values[-1]
    match op:
        case "+":
            return first + second
        case "-":
            return first - second
        case "*":
            return first * second
        case "/":
            return first / second if second else None
        case "neg":
            return -first
        case "abs":
            return abs(first)
        case "floor":
            return Fraction(math.floor(first))
        case "ceil":
            return Fraction(math.ceil(first))
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "^":
            return _power(first, second)
        case "root":
            return _exact_root(first, second)
    if any(value.denominator != 1 for value in values):
        return None
    whole = [value.numerator for value in values]
    if op == "factorial" and 0 <= whole[0] <= MAX_FACTORIAL:
        return Fraction(math.factorial(whole[0]))
    if op == "binom" and len(whole) == 2 and 0 <= whole[1] <= whole[0] <= MAX_FACTORIAL:
        return Fraction(math.comb(*whole))
    if op == "gcd":
        return Fraction(math.gcd(*whole))
    if op == "lcm":
        return Fraction(math.lcm(*whole))
    return None


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if base < 0 and exponent.denominator != 1:
        return None
    if exponent.denominator != 1:
        root = _exact_root(base, Fraction(exponent.denominator))
        return None if root is None else _power(root, Fraction(exponent.numerator))
    if (base == 0 and exponent <= 0) or abs(exponent) * _bits(base) > MAX_BITS:
        return None
    return base**exponent.numerator


def _exact_root(value: Fraction, degree: Fraction) -> Fraction | None:
    """The real root of a perfect power."""
    if degree.denominator != 1 or not 2 <= degree <= 64 or value < 0:
        return None
    parts = [_whole_root(part, int(degree)) for part in (value.numerator, value.denominator)]
    return None if None in parts else Fraction(parts[0] or 0, parts[1] or 1)


def _whole_root(number: int, degree: int) -> int | None:
    root = (
        math.isqrt(number)
        if degree == 2
        else round(number ** (1 / degree))
        if number < 1 << 900
        else 0
    )
    return root if root**degree == number else None


class Decimal(NamedTuple):
    """A decimal as written, and the value of one in its last place."""

    value: Fraction
    last_place: Fraction


def significant_decimal(formula: Formula) -> Decimal | None:
    """The decimal that a formula is, if it has MIN_PLACES significant digits: only such a one may
    stand for a number without end."""
    sign, number = (-1, formula.args[0]) if formula.op == "neg" else (1, formula)
    whole, point, places = number.text.partition(".")
    if number.op != "num" or not point or not (whole + places).isdigit():
        return None
    if len((whole + places).lstrip("0")) < MIN_PLACES:
        return None
    return Decimal(sign * Fraction(number.text), Fraction(1, 10 ** len(places)))
