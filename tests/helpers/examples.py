"""How many examples a property is tried on, in proportion to the profile of hypothesis."""

from __future__ import annotations

from hypothesis import settings


def examples(number: int) -> int:
    """`number` in the default profile, of 100 examples; fewer in `fast`, and at least 5."""
    return max(5, number * settings.default.max_examples // 100)
