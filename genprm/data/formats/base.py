"""The formats by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from genprm.data.formats import math_aps, math_shepherd, prm800k, trl, ultrainteract
from genprm.records import LabelledSolution, Row


class Format(NamedTuple):
    """How to read a row, and how to write one, if that is possible.

    `write` returns None for a solution that the format cannot express. `options` are those of
    `read`, with their allowed values. `caution` is printed when the format is written.
    """

    read: Callable[..., Iterator[LabelledSolution]]
    write: Callable[[LabelledSolution], Row | None] | None = None
    options: Mapping[str, tuple[Any, ...]] = {}
    caution: str = ""


FORMATS: dict[str, Format] = {
    "trl": Format(trl.read, trl.write),
    "trl_rounded": Format(trl.read, trl.write_rounded),
    "trl_soft": Format(trl.read, trl.write_soft, caution=trl.SOFT_CAUTION),
    "math_shepherd": Format(math_shepherd.read, math_shepherd.write),
    "prm800k": Format(
        prm800k.read,
        prm800k.write,
        options={"neutral": ("correct", "null"), "alternatives": (True, False)},
    ),
    "math_aps": Format(math_aps.read),
    "ultrainteract": Format(ultrainteract.read),
}
