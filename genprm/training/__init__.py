"""Training: rows in, a model directory out, one module per kind and one entry in `KINDS`.

A new kind is a module with a `Kind` (see `base`) and a line here. There is no Ray in here:
`cluster.training` runs it. Importing this package loads no torch, transformers or trl.
"""

from __future__ import annotations

from typing import Any

from genprm.errors import ConfigError
from genprm.training.base import Kind
from genprm.training.sft import CRITIC

__all__ = ["KINDS", "Kind", "find_kind", "kind_names"]

KINDS: dict[str, Kind[Any]] = {
    "critic": CRITIC,
}


def kind_names() -> str:
    """The kinds in one line, for help and messages."""
    return ", ".join(KINDS)


def find_kind(name: str) -> Kind[Any]:
    """The kind of `train.kind`. Raises ConfigError, which lists the kinds, if there is none."""
    if name not in KINDS:
        raise ConfigError(f"train.kind: no such kind {name!r}; there are: {kind_names()}")
    return KINDS[name]
