"""Golden files, and the problem and steps that most of them render."""

from __future__ import annotations

import pytest

from places import GOLDEN

PROBLEM = "Compute ((2 + 3) * 4) - 1."


STEPS = ("2 + 3 = 5", "5 * 4 = 20", "So the answer is 19.")


def golden(name: str, text: str) -> None:
    """Compare with the golden file; a missing one is written, and fails this once."""
    path = GOLDEN / f"{name}.txt"
    if not path.exists():
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"wrote {path}; look at it and run again")
    expected = path.read_text(encoding="utf-8")
    assert text == expected, f"{path}: if the change is meant, delete it, run again, read the diff"
