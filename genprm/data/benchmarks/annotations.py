"""Reads what a benchmark says of the first error, and builds the evaluation row of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from genprm.errors import InputError
from genprm.records import Row

NONE = ("", "n/a", "na", "none", "null")  # how benchmarks write that no step is wrong
# "Step 2: ..", "**Step 2**", "tep 2: .." (some texts of Mr-Ben lack their first letter), neither
# "Step 2 says .." nor "Step 2.1: .."
_LABEL = re.compile(r"\W*s?tep\s*(\d{1,9})[*_ ]*(?:[.:)](?!\d)|$)", re.IGNORECASE | re.MULTILINE)
_INTEGER = re.compile(r"\s*([+-]?\d{1,18})(?:\.0*)?\s*")


def build_row(
    raw: Row,
    *,
    problem: str,
    steps: Sequence[str],
    first_error: int,
    source: str,
    without: Sequence[str] = (),
    **columns: Any,
) -> Row:
    """The row that `genprm eval` reads: other columns stay, but for those named in `without`.

    Empty steps, which nobody can judge, are left out, and `first_error` moves with them.

    Raises:
        InputError: `first_error` is no step, or an empty one.
    """
    if first_error >= len(steps):
        raise InputError(f"the first error is step {first_error + 1} of {len(steps)}")
    if first_error >= 0 and not steps[first_error].strip():
        raise InputError(f"the first error is step {first_error + 1}, which is empty")
    texts = [step for step in steps if step.strip()]
    if first_error >= 0:
        first_error = sum(bool(step.strip()) for step in steps[:first_error])
    others = {name: value for name, value in raw.items() if name not in without}
    own = {"problem": problem, "steps": texts, "first_error": first_error, "source": source}
    return {**others, **own, **columns}


def read_integer(value: Any, field: str) -> int:
    """A whole number: also one that was read as a float, or as a text. Raises InputError."""
    if isinstance(value, str) and (match := _INTEGER.fullmatch(value)):
        return int(match[1])
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"not a whole number: {value!r:.60}", field=field)
    return value


def find_first_error(
    row: Mapping[str, Any], steps: Sequence[str], correctness: str, step: str
) -> int:
    """The first error by a column that says `correct` or not and one that names the step: by its
    number from 1, or by its text. -1 where there is none.

    Where steps carry labels ("Step 2: ...") that rise from 1, the number is that of a label: lines
    without one stand between them.

    Raises:
        InputError: the two columns contradict each other, or there is no such step.
    """
    verdict, error = str(row.get(correctness)).strip().lower(), row.get(step)
    is_none = error is None or str(error).strip().lower() in NONE
    if verdict not in ("correct", "incorrect", "wrong"):
        raise InputError(f"neither correct nor wrong: {row.get(correctness)!r}", field=correctness)
    if (verdict == "correct") != is_none:
        raise InputError(f"{error!r}, and {correctness} is {verdict!r}", field=step)
    if is_none:
        return -1
    if isinstance(error, str) and not error.strip().isdigit():
        texts = [text.strip() for text in steps]
        if error.strip() in texts:  # a line of a program
            return texts.index(error.strip())
        label = _LABEL.fullmatch(error.strip())
        error = label[1] if label else error
    number = read_integer(error, step)
    labels = [int(label[1]) if (label := _LABEL.match(text)) else None for text in steps]
    numbers = [label for label in labels if label is not None]
    if numbers[:1] == [1] and numbers == sorted(numbers):
        if number not in labels:
            raise InputError(f"no step has the label {number}", field=step)
        return labels.index(number)
    if number < 1:
        raise InputError(f"steps count from 1: {number}", field=step)
    return number - 1
