"""Whether two forms of answers are equal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

import sympy

from genprm.verifiers.answers.forms import (
    Between,
    Bracket,
    Chain,
    Form,
    Matrix,
    Named,
    Numeral,
    Quantity,
    Ratio,
    Relation,
    Several,
    Time,
    Union,
    Words,
    read_answer,
)
from genprm.verifiers.answers.formula import write_symbol
from genprm.verifiers.answers.numeric import Formula, is_cut, names, proportional, read_latex
from genprm.verifiers.answers.numeric import equal as same_value
from genprm.verifiers.answers.units import Unit

MAX_ITEMS = 40  # of a list whose items are matched one by one
MAX_REPEATED = 9  # of a set in which an item may be there twice

_OPPOSITE = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!="}
_VARIABLES = {"x", "t", "u", "y", "z", "theta"}


def equal_texts(reference: str, answer: str) -> bool:
    return equal(read_answer(reference), read_answer(answer))


def equal(reference: Form, answer: Form) -> bool:
    """Whether an answer is what the reference is."""
    if reference == answer:
        return True
    for form, other in ((reference, answer), (answer, reference)):
        turned = form is answer
        if isinstance(form, Named | Chain | Relation | Between):
            return related(form, other, turned)
    match reference, answer:
        case Words(), Words():
            return _same_words(reference.text, answer.text)
        case Quantity(), Quantity():
            return quantities(reference, answer)
        case Numeral(), _:
            return _numeral_equals(reference, answer)
        case _, Numeral():
            return equal(reference, Quantity(sympy.Integer(int(answer.digits, answer.base))))
        case Time(), Time():
            same_half = not (reference.half and answer.half) or reference.half == answer.half
            return reference.clock == answer.clock and same_half
        case Ratio(), Ratio():
            return ratios(reference.terms, answer.terms)
        case Ratio(), Quantity():
            return ratio_is(reference, answer)
        case Quantity(), Ratio():
            return ratio_is(answer, reference)
        case Matrix(), Matrix():
            if [len(row) for row in reference.rows] != [len(row) for row in answer.rows]:
                return False
            return in_order(sum(reference.rows, ()), sum(answer.rows, ()))
        case Bracket(), Bracket():
            ends = (reference.left, reference.right) == (answer.left, answer.right)
            as_lists = len(reference.items) > 2 and {reference.left, answer.left} == {"(", "["}
            return (ends or as_lists) and in_order(reference.items, answer.items)
        case Bracket(), Several():
            return tuple_is(reference, answer)
        case Several(), Bracket():
            return tuple_is(answer, reference)
        case Union(), Union():
            return in_any_order(reference.parts, answer.parts)
        case Several(), Several():
            return lists(reference, answer)
        case Several(items=(only,), braces=True), _:
            return equal(only, answer)
        case _, Several(items=(only,), braces=True):
            return equal(reference, only)
    return False


def related(form: Form, other: Form, turned: bool) -> bool:
    """Compare something with a sign of relation; `turned` if it is the answer."""

    def is_other(value: Form) -> bool:
        return equal(other, value) if turned else equal(value, other)

    match form, other:
        case Named(), Named() if form.name == other.name:
            return equal(form.value, other.value)
        case ((Named() | Chain()), (Named() | Chain())):
            return equations(form, other)
        case Named(), (Relation() | Between()):
            return False
        case Named(), _:
            if isinstance(form.value, Chain):
                return chain_is(form.value, is_other)
            return is_other(form.value)
        case Chain(), (Relation() | Between()):
            return False
        case Chain(), _:
            return chain_is(form, is_other)
        case Relation(), Relation():
            return relations(form, other)
        case Between(), Between():
            return form.name == other.name and equal(form.bounds, other.bounds)
        case ((Relation() | Between()), Bracket()) if form.bounds:
            return equal(form.bounds, other)
    return False


def chain_is(chain: Chain, is_other: Callable[[Form], bool]) -> bool:
    """Whether all sides are equal, and the last of them is the other answer."""
    return all(equal(*pair) for pair in pairwise(chain.sides)) and is_other(chain.sides[-1])


def equations(left: Named | Chain, right: Named | Chain) -> bool:
    """Whether two equations say the same: their sides differ by multiples of each other."""
    if isinstance(left, Chain) and isinstance(right, Chain) and not _has_names(left, right):
        return chain_is(left, lambda last: equal(last, right.sides[-1])) and chain_is(
            right, lambda last: True
        )
    a, b = _difference(left), _difference(right)
    return a is not None and b is not None and proportional(a, b, positive=False)


def relations(left: Relation, right: Relation) -> bool:
    if left.left is None or right.left is None:
        if left.bounds and right.bounds:  # `> 7` and `x > 7`
            return equal(left.bounds, right.bounds)
        same = left.sign == right.sign and left.left is right.left is None
        return same and same_value(left.right, right.right)
    if left.sign == "~" or right.sign == "~":
        return False
    a, b = left.left - left.right, right.left - right.right
    if not names(a) or not names(b):  # 3 < 5 says nothing of 2 < 9
        return False
    if left.sign not in (right.sign, _OPPOSITE[right.sign]):
        return False
    return proportional(a, b if left.sign == right.sign else -b, positive=left.sign != "!=")


def quantities(reference: Quantity, answer: Quantity) -> bool:
    factors = _common_factors(reference.unit, answer.unit)
    if reference.product is not None or answer.product is not None:
        both = (f.formula if f.product is None else f.product for f in (reference, answer))
        if same_value(*both):
            return True
    if factors is None:
        return False
    a, b = reference.formula * _number(factors[0]), answer.formula * _number(factors[1])
    if factors[0] == factors[1]:
        a, b = _with_one_constant(reference.formula), _with_one_constant(answer.formula)
    if same_value(a, b) or is_cut(reference.digits, b) or is_cut(answer.digits, a):
        return True
    parts = [f / 100 if form.percent else f for f, form in ((a, reference), (b, answer))]
    return reference.percent != answer.percent and same_value(*parts)


def ratio_is(ratio: Ratio, value: Quantity) -> bool:
    if len(ratio.terms) != 2 or value.unit or value.percent:
        return False
    return same_value(ratio.terms[0] / ratio.terms[1], value.formula)


def ratios(left: Sequence[Formula], right: Sequence[Formula]) -> bool:
    """Whether the terms are in proportion."""
    return len(left) == len(right) and all(
        same_value(left[0] * y, right[0] * x) for x, y in zip(left, right, strict=True)
    )


def tuple_is(bracket: Bracket, several: Several) -> bool:
    """Whether a list has a tuple's items in its order, or says `x = 1, y = 2`."""
    if several.braces or (bracket.left, bracket.right) != ("(", ")"):
        return False
    items = several.items
    if all(isinstance(item, Named) for item in items):
        items = tuple(sorted(items, key=lambda item: getattr(item, "name", "")))
    return in_order(bracket.items, items)


def lists(reference: Several, answer: Several) -> bool:
    """Whether lists have the same items; in braces an item may be there twice."""
    items = reference.items, answer.items
    if reference.braces and answer.braces and len(items[0]) != len(items[1]):
        if max(map(len, items)) > MAX_REPEATED:
            return False
        ways = (items, items[::-1])
        return all(any(equal(i, item) for i in many) for few, many in ways for item in few)
    return in_any_order(*items)


def in_order(reference: Sequence[Form], answer: Sequence[Form]) -> bool:
    pairs = zip(reference, answer, strict=False)
    return len(reference) == len(answer) and all(equal(*pair) for pair in pairs)


def in_any_order(reference: Sequence[Form], answer: Sequence[Form]) -> bool:
    """Whether every item has a partner of its own."""
    if len(reference) != len(answer) or len(reference) > MAX_ITEMS:
        return False
    left = list(answer)
    for item in reference:
        partner = next((other for other in left if equal(item, other)), None)
        if partner is None:
            return False
        left.remove(partner)
    return True


def _same_words(left: str, right: str) -> bool:
    """Whether words are the same, capitals aside; letters that may be symbols keep their case."""
    if left == right:
        return True
    long_words = all(len(word) > 1 for word in left.split()) and max(
        map(len, left.split()), default=0
    )
    is_phrase = len(left) >= 3 or left.lower() in ("no", "on", "yes")
    return bool(long_words and is_phrase) and left.casefold() == right.casefold()


def _number(value: Fraction) -> Formula:
    return sympy.Rational(value.numerator, value.denominator)


def _numeral_equals(reference: Numeral, answer: Form) -> bool:
    """The base may be left out of an answer; another base must be said."""
    if isinstance(answer, Numeral):
        same = int(reference.digits, reference.base) == int(answer.digits, answer.base)
        return same and (reference.base == answer.base or 10 in (reference.base, answer.base))
    return isinstance(answer, Quantity) and str(answer.formula) == reference.digits


def _common_factors(left: Unit | None, right: Unit | None) -> tuple[Fraction, Fraction] | None:
    """What to multiply two values by before they are compared; None if they measure different
    things. A unit that is left out, or a thing that is counted, fits every unit."""
    one = Fraction(1)
    if left is None or right is None or left.factor is None or right.factor is None:
        return one, one
    if left.over and right.over and left.over != right.over:
        return None
    if left.under and right.under and left.under != right.under:
        return None
    if (left.over, left.under) != (right.over, right.under):  # "per hour" left out
        return one, one
    return (one, one) if left.factor == right.factor else (left.factor, right.factor)


def _difference(form: Named | Chain) -> Formula | None:
    sides = form.sides if isinstance(form, Chain) else (form.value,)
    formulas = [side.formula for side in sides if isinstance(side, Quantity)]
    if isinstance(form, Named):
        formulas.insert(0, read_latex(write_symbol(form.name)))
    return formulas[0] - formulas[1] if len(formulas) == 2 else None


def _has_names(*chains: Chain) -> bool:
    sides = [side for chain in chains for side in chain.sides]
    return any(not isinstance(side, Quantity) or names(side.formula) for side in sides)


def _with_one_constant(formula: Formula) -> Formula:
    """A constant of integration (`x^2 + c`) has one name, for it may have any."""
    constant, others = sympy.Symbol("c"), names(formula) - {"c"}
    if constant in formula.args and formula.is_Add and len(others) == 1 and others <= _VARIABLES:
        return formula.xreplace({constant: sympy.Symbol("C")})
    return formula
