"""Formulas as latex2sympy2_extended reads them, compared by their values.

Two constants are equal if their difference shrinks with the precision of the calculation, at
hundreds of digits; two formulas with variables, if they are equal at every point where both have a
value. So `10^{-30}` is not zero, and `\\sqrt{x^2}` is not `x`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended.latex2sympy2 import (
    ConversionConfig,
    _Latex2Sympy,
)
from mpmath import isinf, isnan, mp
from sympy.printing.pycode import MpmathPrinter

from genprm.verifiers.answers.formula import LOG_BASE, MIN_PLACES, UnreadableError

DIGITS = 200
MAX_BITS = 50_000  # of a number that is compared to its last digit
POINTS = 14
ENOUGH_POINTS = 3
# Real and of both signs; not small fractions, at which different formulas might agree.
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43)
_NATURAL, _DECIMAL = ({sympy.Symbol(LOG_BASE): base} for base in (sympy.E, sympy.Integer(10)))
_TO_CALCULATE = (sympy.Integral, sympy.Sum, sympy.Product, sympy.Limit)
_NUMBER = re.compile(r"(-?)(?:(\d+)|\\frac\{(\d+)\}\{(\d+)\})")
Formula = Any  # sympy's Expr, which is without types


class NoValueError(ArithmeticError):
    """A formula has no value at a point, or none that is real where real ones are wanted."""


class _Parser(_Latex2Sympy):
    """The library's parser stops where it does not know on; this one can be asked."""

    def create_parser(self, latex_str: str) -> Any:
        self.parser = super().create_parser(latex_str)
        return self.parser


@lru_cache(maxsize=8192)
def read_latex(text: str) -> Formula:
    """A formula as the library reads it, capital letters kept apart from small ones.

    Raises:
        UnreadableError: it cannot read all of it.
    """
    if number := _NUMBER.fullmatch(text):
        value = sympy.Rational(int(number[2] or number[3]), int(number[4] or 1))
        return -value if number[1] else value
    parser = _Parser(None, None, True, config=ConversionConfig(lowercase_symbols=False))
    try:
        formula = parser.parse(text)
    except Exception as error:  # the library raises many kinds, bare Exception among them
        raise UnreadableError(text) from error
    if parser.parser.getCurrentToken().type != -1 or not isinstance(formula, sympy.Expr):
        raise UnreadableError(text)
    return formula


def names(*formulas: Formula) -> set[str]:
    """The names of the variables."""
    return {str(s) for formula in formulas for s in formula.free_symbols} - {LOG_BASE}


def equal(left: Formula, right: Formula) -> bool:
    """Whether two formulas have the same value; `log` may be natural, or decimal in both."""
    if left == right or (left.is_Rational and right.is_Rational):
        return bool(left == right)
    if not {left, right} <= {left.xreplace(_NATURAL), right.xreplace(_NATURAL)}:
        pairs = [(left.xreplace(base), right.xreplace(base)) for base in (_NATURAL, _DECIMAL)]
        return any(_agree(*pair) for pair in pairs)
    return _agree(left, right)


def proportional(left: Formula, right: Formula, positive: bool) -> bool:
    """Whether one formula is the other times a constant, which is not zero (or is positive)."""
    for point in _points(names(left, right)):
        numbers = {sympy.Symbol(n): sympy.Rational(*x.as_integer_ratio()) for n, x in point.items()}
        a, b = (f.xreplace(_NATURAL).xreplace(numbers).doit() for f in (left, right))
        if a.is_zero is False and b.is_zero is False and a.is_real and b.is_real:
            return bool(not positive or (a * b).is_positive) and equal(left * b, right * a)
    return False


def is_cut(decimal: str, other: Formula) -> bool:
    """Whether a long decimal is a number without end, rounded or cut at its last place."""
    places = len(decimal.partition(".")[2])
    ends = other.is_Rational and 10 ** other.q.bit_length() % other.q == 0
    if len(re.sub(r"\D", "", decimal).lstrip("0")) < MIN_PLACES or ends or names(other):
        return False
    try:
        value = _value(other, {}, DIGITS, real=True)
    except NoValueError:
        return False
    with mp.workdps(DIGITS):
        return bool(abs(value - mp.mpf(decimal)) < mp.mpf(10) ** -places)


def _agree(left: Formula, right: Formula) -> bool:
    variables = names(left, right)
    for real in (False,) if left.has(sympy.I) or right.has(sympy.I) else (True, False):
        met = 0
        for point in _points(variables):
            try:
                if not _same_value(left, right, point, real):
                    return False
            except NoValueError:
                continue
            met += 1
        if met >= (ENOUGH_POINTS if variables else 1):
            return True
    return False


def _same_value(left: Formula, right: Formula, point: dict[str, Fraction], real: bool) -> bool:
    bits = max(mp.mag(_value(f, point, DIGITS, real)) for f in (left, right))
    before_point = int(0.302 * bits) if 0 < bits < MAX_BITS else 0  # digits before the point
    distances = []
    for digits in (before_point + DIGITS, before_point + 2 * DIGITS):
        a, b = (_value(f, point, digits, real) for f in (left, right))
        if isinf(a) or isinf(b):
            return bool(a == b)
        with mp.workdps(digits):
            distances.append((abs(a - b), max(abs(a), abs(b))))
    (coarse, _), (fine, scale) = distances
    with mp.workdps(before_point + 2 * DIGITS):
        if not coarse or not fine or fine <= scale * mp.mpf(10) ** -(before_point + DIGITS):
            if MAX_BITS <= bits < mp.inf:
                raise OverflowError("the last digits are not compared")
            return True
        return bool(fine <= coarse * mp.mpf(10) ** -(DIGITS // 2))  # both are rounding alone


def _points(variables: set[str]) -> Iterator[dict[str, Fraction]]:
    for i in range(POINTS if variables else 1):
        point = {}
        for j, name in enumerate(sorted(variables)):
            sign = (-1) ** (i + j // 2 + i // 2 * j)
            size = Fraction(_PRIMES[(3 * i + 5 * j) % len(_PRIMES)], 7 + i + j)
            point[name] = sign * size + Fraction(1, 101 + 13 * i + 31 * j)
        yield point


class _Printer(MpmathPrinter):
    """Whole numbers as mpmath's, for powers of Python's have no limit; and real roots."""

    def _print_Integer(self, number: Any) -> str:
        return f"mpf({number.p})"

    def _print_Pow(self, power: Any, rational: bool = False) -> str:
        base, exponent = self._print(power.base), self._print(power.exp)
        if power.exp.is_Rational and power.exp.q % 2 and power.exp.q > 1:
            return f"root({base}, {exponent}, {power.exp.p})"
        return f"(({base}) ** ({exponent}))"


def _root(base: Any, exponent: Any, power: int) -> Any:
    """A third, fifth ... root to a power; the real one of a negative number."""
    if mp.im(base) == 0 and mp.re(base) < 0:
        return (-1) ** power * (-base) ** exponent
    return base**exponent


@lru_cache(maxsize=4096)
def _function(formula: Formula) -> tuple[list[str], Callable[..., Any]]:
    formula = formula.doit() if formula.has(*_TO_CALCULATE) else formula
    symbols = sorted(formula.free_symbols, key=str)
    printer = _Printer({"fully_qualified_modules": False, "inline": True})
    function = sympy.lambdify(symbols, formula, [{"root": _root}, "mpmath"], printer=printer)
    return [str(s) for s in symbols], function


def _value(formula: Formula, point: dict[str, Fraction], digits: int, real: bool) -> Any:
    """The value at a point, as a number of mpmath.

    Raises:
        NoValueError: there is none.
    """
    with mp.workdps(digits + 10):
        try:
            variables, function = _function(formula)
            values = [point[name] for name in variables]
            value = mp.mpmathify(function(*(mp.mpf(x.numerator) / x.denominator for x in values)))
        except (ArithmeticError, LookupError, ValueError, TypeError, NameError, RuntimeError) as e:
            raise NoValueError(str(e)) from e
        if isnan(value) or (real and abs(mp.im(value)) > mp.mpf(10) ** -(digits // 2)):
            raise NoValueError("none, or none that is real")
        return mp.re(value) if real else value
