"""Formulas compared by their values, at hundreds of digits and at several points.

Two constants are equal if their difference shrinks with the precision of the calculation; two
formulas with variables, if they are equal at every point where both have a value. So `10^{-30}` is
not zero, and `\\sqrt{x^2}` is not `x`. It needs mpmath; integrals and the like are read by
latex2sympy2_extended, which must take the text to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any

from genprm.verifiers.answers.formula import Formula, exact_value, significant_decimal

DIGITS = 200
POINTS = 14
ENOUGH_POINTS = 3
# Real and of both signs; not small fractions, at which different formulas might agree.
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43)


class NoValueError(ArithmeticError):
    """A formula has no value at a point, or none that is real where real ones are wanted."""


def equal(left: Formula, right: Formula) -> bool:
    """Whether two formulas have the same value; False if one cannot be read."""
    try:
        return _equal(left, right)
    except NoValueError:
        return False


def _equal(left: Formula, right: Formula) -> bool:
    if any(_is_close(*pair) for pair in ((left, right), (right, left))):
        return True
    readings = (None, 10) if _has(left, "log") or _has(right, "log") else (None,)
    return any(_agree(left, right, base) for base in readings)


def proportional(left: Formula, right: Formula, positive: bool) -> bool:
    """Whether one formula is the other times a constant, which is not zero (or is positive)."""
    ratios = list[Any]()
    for point in _points(_names(left) | _names(right)):
        try:
            values = [_value(f, point, DIGITS, True) for f in (left, right)]
        except NoValueError:
            continue
        if not values[0] or not values[1]:
            return False
        ratios.append(values[0] / values[1])
    same = all(abs(r - ratios[0]) < abs(ratios[0]) * 10.0 ** -(DIGITS // 4) for r in ratios)
    sign = not positive or all(r.imag == 0 and r.real > 0 for r in ratios)
    return len(ratios) >= ENOUGH_POINTS and same and sign


def _agree(left: Formula, right: Formula, log_base: int | None) -> bool:
    names = _names(left) | _names(right)
    if not names:
        try:
            return _same_constant(left, right, {}, log_base, real=False)
        except NoValueError:
            return False
    for real in (not (_has_i(left) or _has_i(right)), False):
        met = 0
        for point in _points(names):
            try:
                if not _same_constant(left, right, point, log_base, real):
                    return False
            except NoValueError:
                continue
            met += 1
        if met >= ENOUGH_POINTS:
            return True
    return False


def _same_constant(
    left: Formula, right: Formula, point: dict[str, Fraction], log_base: int | None, real: bool
) -> bool:
    from mpmath import isinf, mp  # type: ignore[import-untyped]

    distances = []
    for digits in (DIGITS, 2 * DIGITS):
        a, b = (_value(f, point, digits, real, log_base) for f in (left, right))
        if isinf(a) or isinf(b):
            return bool(a == b)
        with mp.workdps(2 * DIGITS):
            distances.append((abs(a - b), max(abs(a), abs(b))))
    (coarse, _), (fine, scale) = distances
    with mp.workdps(2 * DIGITS):
        if not coarse or not fine or fine <= scale * mp.mpf(10) ** -DIGITS:
            return True
        return bool(fine <= coarse * mp.mpf(10) ** -(DIGITS // 2))  # both are rounding alone


def _is_close(decimal: Formula, other: Formula) -> bool:
    """Whether a long decimal is the other, irrational value, rounded or cut at its last place."""
    from mpmath import mp

    digits = significant_decimal(decimal)
    if digits is None or exact_value(other) is not None or _names(other):
        return False
    try:
        value = _value(other, {}, DIGITS, real=False)
    except NoValueError:
        return False
    with mp.workdps(DIGITS):
        return bool(abs(value - _fraction(digits.value)) < _fraction(digits.last_place))


def _points(names: frozenset[str]) -> Iterator[dict[str, Fraction]]:
    for i in range(POINTS):
        point = {}
        for j, name in enumerate(sorted(names)):
            sign = (-1) ** (i + j // 2 + i // 2 * j)
            size = Fraction(_PRIMES[(3 * i + 5 * j) % len(_PRIMES)], 7 + i + j)
            point[name] = sign * size + Fraction(1, 101 + 13 * i + 31 * j)
        yield point


def _fraction(value: Fraction) -> Any:
    from mpmath import mp

    return mp.mpf(value.numerator) / value.denominator


def _has(formula: Formula, op: str) -> bool:
    return formula.op == op or any(_has(arg, op) for arg in formula.args)


def _has_i(formula: Formula) -> bool:
    is_i = formula.op == "const" and formula.text == "i"
    return is_i or any(map(_has_i, formula.args))


def _names(formula: Formula) -> frozenset[str]:
    if formula.op == "sym":
        return frozenset({formula.text})
    if formula.op == "latex":
        return frozenset(str(s) for s in _expression(formula.text).free_symbols)
    return frozenset[str]().union(*map(_names, formula.args))


def _value(
    formula: Formula,
    point: dict[str, Fraction],
    digits: int,
    real: bool,
    log_base: int | None = None,
) -> Any:
    """The value at a point, as a number of mpmath.

    Raises:
        NoValueError: there is none.
    """
    from mpmath import isnan, mp

    with mp.workdps(digits + 10):
        try:
            value = _Calculator(point, real, log_base).value(formula)
        except (ArithmeticError, ValueError, TypeError, IndexError) as error:
            raise NoValueError(str(error)) from error
        if isnan(value):
            raise NoValueError("not a number")
        return value


class _Calculator:
    def __init__(self, point: dict[str, Fraction], real: bool, log_base: int | None):
        self.point = {name: _fraction(value) for name, value in point.items()}
        self.real = real
        self.log_base = log_base

    def value(self, formula: Formula) -> Any:
        from mpmath import mp

        match formula.op:
            case "num":
                return _fraction(Fraction(formula.text))
            case "sym":
                return self.point[formula.text]
            case "const":
                return {"pi": mp.pi, "e": mp.e, "i": mp.mpc(0, 1), "oo": mp.inf}[formula.text] + 0
            case "latex":
                return self.library(formula.text)
        values = [self.value(arg) for arg in formula.args]
        return self.apply(formula.op, values)

    def library(self, text: str) -> Any:
        import sympy  # type: ignore[import-untyped]
        from mpmath import mp

        expression = _expression(text)
        point = {s: sympy.Float(str(self.point[str(s)]), mp.dps) for s in expression.free_symbols}
        value = expression.subs(point).doit().evalf(mp.dps)
        if not value.is_number:
            raise NoValueError(text)
        return sympy.sympify(value)._to_mpmath(mp.prec)

    def apply(self, op: str, values: list[Any]) -> Any:
        from mpmath import mp

        first, second = values[0], values[-1]
        match op:
            case "+":
                return first + second
            case "-":
                return first - second
            case "*":
                return first * second
            case "/":
                return first / second
            case "neg":
                return -first
            case "degrees":
                return first * mp.pi / 180
            case "^":
                return self.power(first, second)
            case "root":
                return self.root(first, second)
            case "ln":
                return mp.log(self.positive(first))
            case "log":
                return mp.log(self.positive(first)) / (
                    mp.log(self.log_base) if self.log_base else 1
                )
            case "log10":
                return mp.log(self.positive(first)) / mp.log(10)
            case "log_base":
                return mp.log(self.positive(first)) / mp.log(self.positive(second))
            case "cbrt":
                return self.root(first, mp.mpf(3))
            case "gcd" | "lcm":
                raise NoValueError(op)
            case "min" | "max":
                return {"min": min, "max": max}[op](values)
            case "abs":
                return abs(first)
            case "binom":
                return mp.binomial(first, second)
        functions: dict[str, Callable[[Any], Any]] = {"factorial": mp.factorial}
        return functions[op](first) if op in functions else getattr(mp, op)(first)

    def positive(self, value: Any) -> Any:
        if self.real and (value.imag or value <= 0):
            raise NoValueError("logarithm")
        return value

    def power(self, base: Any, exponent: Any) -> Any:
        from mpmath import mp

        if self.real and not mp.isint(exponent) and (base.imag or base < 0):
            raise NoValueError("power")
        return base**exponent

    def root(self, base: Any, degree: Any) -> Any:
        from mpmath import mp

        odd = mp.isint(degree) and int(degree) % 2
        if not base.imag and base.real < 0:
            if odd:
                return -((-base.real) ** (1 / degree))
            if self.real:
                raise NoValueError("root")
        return mp.sqrt(base) if degree == 2 else base ** (1 / degree)


@lru_cache(maxsize=256)
def _expression(text: str) -> Any:
    """A formula as the library reads it, capital letters kept apart from small ones.

    Raises:
        NoValueError: it cannot read all of it.
    """
    try:
        from latex2sympy2_extended.latex2sympy2 import (  # type: ignore[import-untyped]
            ConversionConfig,
            _Latex2Sympy,
        )

        class Whole(_Latex2Sympy):
            """The library's parser stops where it does not know on; this one says so."""

            def create_parser(self, latex_str: str) -> Any:
                self.parser = super().create_parser(latex_str)
                return self.parser

        config = ConversionConfig(lowercase_symbols=False)
        reader = Whole(None, "i" not in text, False, config=config)
        expression = reader.parse(text)
        if reader.parser.getCurrentToken().type != -1:
            raise ValueError("text is left")
        if not hasattr(expression, "evalf"):
            raise ValueError("no formula")
        return expression
    except ImportError:
        raise
    except Exception as error:  # the library raises many kinds, bare Exception among them
        raise NoValueError(text) from error
