"""Units behind a number: `cm^2`, `miles per hour`, `kg m/s^2`, `(dollars)`, `eggs`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from genprm.verifiers.answers.formula import Token
from genprm.verifiers.answers.words import CURRENCIES, NOT_UNITS, PLAIN_LETTERS, SPEEDS, UNITS

MAX_WORDS = 6
_ORDINAL = re.compile(r"(?:teen|tie|en|elf|dred|sand|lion|six|eigh|nin|fif|four)ths?$")
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number counts or measures. `factor` leads to base units; it is None for a thing that
    is counted and not measured, and then there are no dimensions."""

    factor: Fraction | None
    over: tuple[tuple[str, int], ...] = ()  # dimensions and their powers
    under: tuple[tuple[str, int], ...] = ()  # those behind "per" or a slash


COUNTED = Unit(None)


def take_currency(tokens: list[Token]) -> tuple[Unit | None, list[Token]]:
    """The currency at the start of tokens, and the tokens without it; a sign may stand before."""
    signs = tokens[:1] if tokens[:1] and tokens[0].text in ("-", "+") else []
    rest = tokens[len(signs) :]
    names = list[str]()
    while rest and (name := rest[0].text.removeprefix("\\")) in CURRENCIES and len(names) < 2:
        names.append(name)
        rest = rest[1:]
    if not names or not rest:
        return None, tokens
    dimension, factor = UNITS.get(names[-1], ("", None))
    return (Unit(factor, ((dimension, 1),)) if factor else COUNTED), signs + rest


def read_unit(tokens: list[Token]) -> Unit | None:
    """The unit that the tokens are; None if they are none."""
    if len(tokens) > 2 and tokens[0].text == "(" and tokens[-1].text == ")":
        tokens = tokens[1:-1]
    parts = list(_parts(tokens))
    texts = [part for part in parts if part]
    words = [part for part in texts if part not in ("/", "^") and not part.lstrip("-").isdigit()]
    if not words or len(words) > MAX_WORDS or len(texts) < len(parts):
        return None
    if not all(map(_may_be_unit, texts)):
        return None
    return _measure(texts) or (COUNTED if _counts(texts) else None)


def _parts(tokens: list[Token]) -> list[str | None]:
    """Words, slashes and powers; None for anything else."""
    parts = list[str | None]()
    for i, token in enumerate(tokens):
        text = token.text
        if token.kind == "words":
            parts += text.split()
        elif token.kind == "letters":
            if len(text) == 1 and text.isascii() and text not in PLAIN_LETTERS:
                is_degree = parts[-1:] == ["°"] or (text.upper() in "CF" and i > 0)
                parts.append(text if is_degree else None)
            else:
                parts.append(text)
        elif text in ("/", "^", "-") or token.kind == "number":
            parts.append(text)
        elif text == r"\circ":
            parts = [*(parts[:-1] if parts[-1:] == ["^"] else parts), "°"]
        elif text.removeprefix("\\") in CURRENCIES or text == "¢":
            parts.append(text.removeprefix("\\"))
        elif text == r"\frac":
            parts.append("frac")
        elif text in ("*", ".", "{", "}"):
            continue
        else:
            parts.append(None)
    return _written_out(parts)


def _written_out(parts: list[str | None]) -> list[str | None]:
    """`per` as a slash, a hyphen as nothing, a fraction of units as one with a slash."""
    if parts[:1] == ["frac"]:
        parts = [parts[1], "/", *parts[2:]] if len(parts) >= 3 else [None]
    parts = ["/" if part in ("per", "a", "an", "each", "every") else part for part in parts]
    out = list[str | None]()
    for part in parts:
        if part == "-" and out[-1:] != ["^"]:
            continue
        if out[-2:] == ["^", "-"]:
            out[-1] = f"-{part}"
        else:
            out.append(part)
    return out


def _may_be_unit(part: str) -> bool:
    if part in ("/", "^", "°") or part in UNITS or re.fullmatch(r"-?[1-9]", part):
        return True
    word = part.lower().strip(".")
    return word not in NOT_UNITS and not word[:1].isdigit() and not _ORDINAL.search(word)


def _counts(parts: list[str]) -> bool:
    """Whether the words may be things that are counted: no powers, no single letters."""
    words = [part for part in parts if part != "/"]
    cjk = any(not word.isascii() for word in words)
    return (
        parts[0] != "/"
        and "^" not in parts
        and all(
            (len(w) > 2 or cjk or w in ("of", "in", "on", "by")) and not w[-1].isdigit()
            for w in words
        )
    ) or parts[:1] == ["/"]


def _measure(parts: list[str]) -> Unit | None:
    """The unit of parts that are all known measures."""
    factor, over, under = Fraction(1), dict[str, int](), dict[str, int]()
    side, ahead, i = over, 0, 0
    if "°" in parts:
        parts = [p for p in parts if p != "°"] if len(parts) > 1 else parts
    while i < len(parts):
        part = parts[i].strip(".") if len(parts[i]) > 1 else parts[i]
        i += 1
        if part == "/":
            side = under
            continue
        if part in _POWERS:
            ahead = _POWERS[part]
            continue
        if part in SPEEDS and side is over:
            parts = [*parts[:i], SPEEDS[part][0], "/", SPEEDS[part][1], *parts[i:]]
            continue
        unit = UNITS.get(part) or UNITS.get(part.lower())
        if unit is None:
            return None
        power = ahead or 1
        if parts[i : i + 1] == ["^"]:
            if not re.fullmatch("-?[1-9]", "".join(parts[i + 1 : i + 2])):
                return None
            power = int(parts[i + 1])
            i += 2
        elif parts[i : i + 1] and re.fullmatch("[23]", parts[i]):  # cm2
            power = int(parts[i])
            i += 1
        ahead = 0
        target, power = (under if side is over else over, -power) if power < 0 else (side, power)
        target[unit[0]] = target.get(unit[0], 0) + power
        factor *= unit[1] ** (power if target is over else -power)
    if ahead or (not over and not under):
        return None
    return Unit(factor, tuple(sorted(over.items())), tuple(sorted(under.items())))
