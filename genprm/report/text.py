"""Text of any origin, made safe to show."""

from __future__ import annotations

import re

# What may not occur in HTML or XML, and what reorders text for the reader but not for the machine.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def clean(text: object) -> str:
    """The text with control characters as U+FFFD; markup in it is still to be escaped."""
    return _UNSAFE.sub("\ufffd", str(text))
