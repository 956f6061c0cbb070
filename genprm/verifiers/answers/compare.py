"""Whether two forms of answers are equal; formulas are left to a judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Literal

from genprm.verifiers.answers.forms import (
    Between,
    Bracket,
    Chain,
    Form,
    Latex,
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
)
from genprm.verifiers.answers.formula import Formula, exact_value, significant_decimal
from genprm.verifiers.answers.units import Unit

Question = Literal["equal", "proportional", "positive"]
# Whether one formula equals the other, or is a multiple of it; None if undecided.
Judge = Callable[[Question, Formula, Formula], bool | None]
MAX_ITEMS = 40  # of a list whose items are matched one by one
MAX_REPEATED = 9  # of a set in which an item may be there twice

_OPPOSITE = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!="}
_ONE_HUNDRED = Formula("num", text="100")


class Comparison:
    """Compares a reference with an answer. Every method returns None if it is undecided."""

    def __init__(self, judge: Judge):
        self.judge = judge

    def equal(self, reference: Form, answer: Form) -> bool | None:
        if reference == answer:
            return True
        for form, other in ((reference, answer), (answer, reference)):
            turned = form is answer
            if isinstance(form, Named | Chain | Relation | Between):
                return self.related(form, other, turned)
        match reference, answer:
            case Words(), Words():
                return _same_words(reference.text, answer.text)
            case ((Quantity() | Latex()), (Quantity() | Latex())):
                return self.quantities(_as_quantity(reference), _as_quantity(answer))
            case Numeral(), _:
                return _numeral_equals(reference, answer)
            case _, Numeral():
                return self.equal(reference, Quantity(_number(int(answer.digits, answer.base))))
            case Time(), Time():
                same_half = not (reference.half and answer.half) or reference.half == answer.half
                return reference.clock == answer.clock and same_half
            case Ratio(), Ratio():
                return self.ratios(reference.terms, answer.terms)
            case Ratio(), Quantity():
                return self.ratio_is(reference, answer)
            case Quantity(), Ratio():
                return self.ratio_is(answer, reference)
            case Matrix(), Matrix():
                if [len(row) for row in reference.rows] != [len(row) for row in answer.rows]:
                    return False
                return self.in_order(sum(reference.rows, ()), sum(answer.rows, ()))
            case Bracket(), Bracket():
                ends = (reference.left, reference.right) == (answer.left, answer.right)
                as_lists = len(reference.items) > 2 and {reference.left, answer.left} == {"(", "["}
                return (ends or as_lists) and self.in_order(reference.items, answer.items)
            case Bracket(), Several():
                return self.tuple_is(reference, answer)
            case Several(), Bracket():
                return self.tuple_is(answer, reference)
            case Union(), Union():
                return self.in_any_order(reference.parts, answer.parts)
            case Several(), Several():
                return self.lists(reference, answer)
            case Several(items=(only,), braces=True), _:
                return self.equal(only, answer)
            case _, Several(items=(only,), braces=True):
                return self.equal(reference, only)
        return False

    def related(self, form: Form, other: Form, turned: bool) -> bool | None:
        """Compare something with a sign of relation; `turned` if it is the answer."""

        def equal(value: Form) -> bool | None:
            return self.equal(other, value) if turned else self.equal(value, other)

        match form, other:
            case Named(), Named() if form.name == other.name:
                return self.equal(form.value, other.value)
            case ((Named() | Chain()), (Named() | Chain())):
                return self.equations(form, other)
            case Named(), (Relation() | Between()):
                return False
            case Named(), _:
                if isinstance(form.value, Chain):
                    return self.chain_is(form.value, equal)
                return equal(form.value)
            case Chain(), (Relation() | Between()):
                return False
            case Chain(), _:
                return self.chain_is(form, equal)
            case Relation(), Relation():
                return self.relations(form, other)
            case Between(), Between():
                return form.name == other.name and self.equal(form.bounds, other.bounds)
            case ((Relation() | Between()), Bracket()) if form.bounds:
                return self.equal(form.bounds, other)
        return False

    def chain_is(self, chain: Chain, equal: Callable[[Form], bool | None]) -> bool | None:
        """Whether all sides are equal, and the last of them is the other answer."""
        steps = [partial(self.equal, *pair) for pair in pairwise(chain.sides)]
        return _all([*steps, lambda: equal(chain.sides[-1])])

    def equations(self, left: Named | Chain, right: Named | Chain) -> bool | None:
        """Whether two equations say the same: their sides differ by multiples of each other."""
        if isinstance(left, Chain) and isinstance(right, Chain) and not _has_names(left, right):
            return _all(
                [
                    lambda: self.chain_is(left, lambda last: self.equal(last, right.sides[-1])),
                    lambda: self.chain_is(right, lambda last: True),
                ]
            )
        differences = [_difference(form) for form in (left, right)]
        if differences[0] is None or differences[1] is None:
            return False
        return self.judge("proportional", differences[0], differences[1])

    def relations(self, left: Relation, right: Relation) -> bool | None:
        if left.left is None or right.left is None:
            if left.bounds and right.bounds:  # `> 7` and `x > 7`
                return self.equal(left.bounds, right.bounds)
            same = left.sign == right.sign and left.left is right.left is None
            return same and self.judge("equal", left.right, right.right)
        if left.sign == "~" or right.sign == "~":
            return False
        a, b = (Formula("-", (f.left, f.right)) for f in (left, right) if f.left)
        if not _symbols(a) or not _symbols(b):  # 3 < 5 says nothing of 2 < 9
            return False
        question: Question = "proportional" if left.sign == "!=" else "positive"
        if left.sign == right.sign:
            return self.judge(question, a, b)
        if left.sign == _OPPOSITE[right.sign]:
            return self.judge(question, a, Formula("neg", (b,)))
        return False

    def quantities(self, reference: Quantity, answer: Quantity) -> bool | None:
        factors = _common_factors(reference.unit, answer.unit)
        both = reference.product or reference.formula, answer.product or answer.formula
        if reference.product or answer.product:
            verdict = self.formulas(*both)
            if verdict or factors is None:
                return verdict
        if factors is None:
            return False
        a, b = (
            f if factor == 1 else Formula("*", (f, _number(factor)))
            for f, factor in zip((reference.formula, answer.formula), factors, strict=True)
        )
        if reference.percent == answer.percent:
            return self.formulas(a, b)
        a_part, b_part = (
            Formula("/", (f, _ONE_HUNDRED)) if percent else f
            for f, percent in ((a, reference.percent), (b, answer.percent))
        )
        return _any([lambda: self.formulas(a, b), lambda: self.formulas(a_part, b_part)])

    def formulas(self, left: Formula, right: Formula) -> bool | None:
        left, right = _with_one_constant(left), _with_one_constant(right)
        if left == right:
            return True
        values = exact_value(left), exact_value(right)
        if values[0] is not None and values[1] is not None:
            return values[0] == values[1] or _is_rounded(left, right) or _is_rounded(right, left)
        if left.op == right.op == "sym":
            return left.text == right.text
        return self.judge("equal", left, right)

    def ratio_is(self, ratio: Ratio, value: Quantity) -> bool | None:
        if len(ratio.terms) != 2 or value.unit or value.percent:
            return False
        top, bottom = (_as_quantity(term).formula for term in ratio.terms)
        return self.formulas(Formula("/", (top, bottom)), value.formula)

    def ratios(self, left: Sequence[Form], right: Sequence[Form]) -> bool | None:
        """Whether the terms are in proportion."""
        if len(left) != len(right):
            return False
        a, b = ([_as_quantity(term).formula for term in terms] for terms in (left, right))
        products = [
            (Formula("*", (a[0], y)), Formula("*", (b[0], x)))
            for x, y in zip(a[1:], b[1:], strict=True)
        ]
        return _all([partial(self.formulas, *pair) for pair in products])

    def tuple_is(self, bracket: Bracket, several: Several) -> bool | None:
        """Whether a list has a tuple's items in its order, or says `x = 1, y = 2`."""
        if several.braces or (bracket.left, bracket.right) != ("(", ")"):
            return False
        items = several.items
        if all(isinstance(item, Named) for item in items):
            items = tuple(sorted(items, key=lambda item: getattr(item, "name", "")))
        return self.in_order(bracket.items, items)

    def lists(self, reference: Several, answer: Several) -> bool | None:
        """Whether lists have the same items; in braces an item may be there twice."""
        items = reference.items, answer.items
        if reference.braces and answer.braces and len(items[0]) != len(items[1]):
            if max(map(len, items)) > MAX_REPEATED:
                return False
            ways = (items, items[::-1])
            return _all([partial(self.has, many, item) for few, many in ways for item in few])
        return self.in_any_order(*items)

    def has(self, items: Sequence[Form], wanted: Form) -> bool | None:
        return _any([partial(self.equal, item, wanted) for item in items])

    def in_order(self, reference: Sequence[Form], answer: Sequence[Form]) -> bool | None:
        if len(reference) != len(answer):
            return False
        pairs = zip(reference, answer, strict=True)
        return _all([partial(self.equal, *pair) for pair in pairs])

    def in_any_order(self, reference: Sequence[Form], answer: Sequence[Form]) -> bool | None:
        """Whether every item has a partner of its own."""
        if len(reference) != len(answer) or len(reference) > MAX_ITEMS:
            return False
        left = list(answer)
        for item in reference:
            for other in left:
                verdict = self.equal(item, other)
                if verdict is None:
                    return None
                if verdict:
                    left.remove(other)
                    break
            else:
                return False
        return True


# An undecided step ends both, for it may have taken seconds.
def _all(steps: Sequence[Callable[[], bool | None]]) -> bool | None:
    for step in steps:
        if not (verdict := step()):
            return verdict
    return True


def _any(steps: Sequence[Callable[[], bool | None]]) -> bool | None:
    for step in steps:
        if (verdict := step()) is not False:
            return verdict
    return False


def _same_words(left: str, right: str) -> bool:
    """Whether words are the same, capitals aside; letters that may be symbols keep their case."""
    if left == right:
        return True
    long_words = all(len(word) > 1 for word in left.split()) and max(
        map(len, left.split()), default=0
    )
    is_phrase = len(left) >= 3 or left.lower() in ("no", "on", "yes")
    return bool(long_words and is_phrase) and left.casefold() == right.casefold()


def _as_quantity(form: Form) -> Quantity:
    if isinstance(form, Quantity):
        return form
    assert isinstance(form, Latex)
    return Quantity(Formula("latex", text=form.text))


def _number(value: int | Fraction) -> Formula:
    return Formula("num", text=str(value))


def _numeral_equals(reference: Numeral, answer: Form) -> bool:
    """The base may be left out of an answer; another base must be said."""
    if isinstance(answer, Numeral):
        same_value = int(reference.digits, reference.base) == int(answer.digits, answer.base)
        return same_value and (reference.base == answer.base or 10 in (reference.base, answer.base))
    is_number = isinstance(answer, Quantity) and answer.formula.op == "num"
    return is_number and answer.formula.text.lstrip("0") == reference.digits  # type: ignore[union-attr]


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


def _is_rounded(decimal: Formula, other: Formula) -> bool:
    """Whether a long decimal is a periodic fraction, rounded or cut at its last place."""
    digits, value = significant_decimal(decimal), exact_value(other)
    if digits is None or value is None:
        return False
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest > 1 and abs(value - digits.value) < digits.last_place


def _difference(form: Named | Chain) -> Formula | None:
    if isinstance(form, Chain):
        sides = form.sides
    else:
        sides = (Quantity(Formula("sym", text=form.name)), form.value)
    formulas = [side.formula for side in sides if isinstance(side, Quantity)]
    return Formula("-", tuple(formulas)) if len(formulas) == len(sides) == 2 else None


def _has_names(*chains: Chain) -> bool:
    sides = [side for chain in chains for side in chain.sides]
    return any(not isinstance(side, Quantity) or _symbols(side.formula) for side in sides)


def _with_one_constant(formula: Formula) -> Formula:
    """A constant of integration (`x^2 + c`) has one name, for it may have any."""
    if formula.op != "+" or formula.args[1] not in (
        Formula("sym", text="c"),
        Formula("sym", text="C"),
    ):
        return formula
    names = set(_symbols(formula.args[0]))
    if len(names) == 1 and names <= {"x", "t", "u", "y", "z", "\\theta"}:
        return Formula("+", (formula.args[0], Formula("sym", text="C")))
    return formula


def _symbols(formula: Formula) -> list[str]:
    inner = [name for arg in formula.args for name in _symbols(arg)]
    return [formula.text, *inner] if formula.op == "sym" else inner
