"""Whether two configs decide the same rows, by what `Config.decides` gives, and where they part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SHOWN = 60  # characters of a value in a message


def fingerprint(decides: Mapping[str, Any]) -> str:
    """16 hex digits of what decides some rows."""
    blob = json.dumps(decides, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(blob.encode()).hexdigest()[:16]


def first_difference(there: Mapping[str, Any] | None, here: Mapping[str, Any]) -> str | None:
    """The first key that differs, with both values; None if there is none.

    Args:
        there: what is recorded beside an output; None where an earlier version recorded nothing.
        here: what the config decides now.
    """
    if there is None:
        return "an earlier version of genprm wrote it and did not record its config"
    for key in (*here, *there):
        if key not in there or key not in here or there[key] != here[key]:
            return f"{key} is {_shown(there, key)} there and {_shown(here, key)} here"
    return None


def _shown(decides: Mapping[str, Any], key: str) -> str:
    if key not in decides:
        return "missing"
    text = json.dumps(decides[key], ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
