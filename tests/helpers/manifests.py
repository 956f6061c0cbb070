"""A manifest with every field filled in."""

from __future__ import annotations

import hashlib
from typing import Any

from bpe import bpe
from genprm.models.manifest import (
    DataSource,
    Manifest,
    tokenizer_sha256,
)
from genprm.prompts.packs import load_pack


def a_manifest(**changes: Any) -> Manifest:
    pack = load_pack("native")
    fields: dict[str, Any] = {
        "fingerprint": "f" * 16,
        "method": "lora",
        "base": "embedded:base",
        "base_sha256": hashlib.sha256(b"weights").hexdigest(),
        "tokenizer_sha256": tokenizer_sha256(bpe()),
        "pack": pack.name,
        "pack_fingerprint": pack.fingerprint,
        "data": DataSource(source="a.jsonl", sha256="0", rows=2, dropped=0, writers=["rule"]),
        "seed": 0,
        "tokens": 100,
        "seconds": 1.5,
        "metrics": {"loss": 0.5},
        "train": {"method": "lora"},
        "versions": {"trl": "1.16.0"},
    }
    return Manifest(**(fields | changes))
