"""The manifest of a trained model: what it was made from, and what it may be used with.

    DIR/genprm_manifest.json    beside the weights or the adapter, the tokenizer, the chat template

A critic answers one prompt pack, and an adapter fits one base: serving asks `check_manifest`.
Loads no weights and no tokenizer; hashes files and vocabularies.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from genprm.errors import ConfigError
from genprm.prompts.packs import PromptPack
from genprm.util.validation import first_problem

MANIFEST_FILE = "genprm_manifest.json"
SCHEMA_VERSION = 1
# Text on which tokenizers part ways: digits, spaces, line ends, formulas, accents, other scripts.
PROBE = (
    "So 12345 - (67 * 8) = 11809.\n\n  x^{2} \\frac{1}{2}\tdéjà vu 步骤: “ok” 🙂\n\nVerdict: no\r\n"
)


class DataSource(BaseModel):
    """The rows that a critic was trained on. `sha256` is over all rows, in order."""

    model_config = ConfigDict(frozen=True)

    source: str
    sha256: str
    rows: int
    dropped: int  # longer than train.max_length
    writers: list[str]  # who wrote the critiques; empty for rows without any
    label_rule: str | None = None  # the estimator of the labels, where the data names it


class Manifest(BaseModel):
    """What a model directory says of itself; fields of a later minor version pass through."""

    model_config = ConfigDict(frozen=True, extra="allow")

    schema_version: int = SCHEMA_VERSION
    kind: str = "critic"
    """Which of the training kinds made it; manifests of earlier versions are all of critics."""
    fingerprint: str
    """Hash of everything that decided the weights: config, pack, base, data."""
    method: Literal["full", "lora"]
    base: str
    """The model that training started from, as the config names it."""
    base_sha256: str | None
    """`weights_sha256` of it; null where its weights are no safetensors files."""
    tokenizer_sha256: str
    pack: str | None = None
    """The prompt pack that it answers; null for a kind that answers none, as its fingerprint."""
    pack_fingerprint: str | None = None
    data: DataSource
    seed: int
    tokens: int
    """Training tokens, prompts included and padding excluded, over all epochs."""
    seconds: float
    """Wall time of the training loop, over all attempts."""
    metrics: dict[str, float]
    train: dict[str, Any]
    """The `train` section of the config."""
    versions: dict[str, str]
    decides: dict[str, Any] | None = None
    """What `fingerprint` is of, by config key; null in manifests of earlier versions."""


def write_manifest(directory: str | Path, manifest: Manifest) -> None:
    """Write the manifest into a model directory."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
    (Path(directory) / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def load_manifest(directory: str | Path) -> Manifest | None:
    """The manifest of a critic directory; None for a model that is not ours, or a hub name.

    Raises:
        ConfigError: a manifest that cannot be read, or that a newer genprm wrote.
    """
    path = Path(directory).expanduser() / MANIFEST_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["schema_version"]
        if version > SCHEMA_VERSION:
            raise ConfigError(
                f"{path}: schema version {version}, this genprm reads up to {SCHEMA_VERSION}"
            )
        return Manifest.model_validate(content)
    except ValidationError as error:
        key, message, _ = first_problem(error)
        raise ConfigError(f"{path}: field {key!r}: {message}") from None
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: not a critic's manifest") from None


def check_manifest(
    directory: str | Path,
    pack: PromptPack | None,
    *,
    base: str | Path | None = None,
    tokenizer: Any = None,
) -> Manifest | None:
    """Refuse a critic that was trained for something else than it is about to be used with.

    Args:
        directory: a critic directory; a model without a manifest passes, and None is returned.
        pack: the prompt pack that it will be asked with; None where it is used without one.
        base: for an adapter, the directory of its base model; the weights there are hashed.
        tokenizer: the loaded tokenizer that it will be used with.

    Raises:
        ConfigError: another pack, base or tokenizer, or a manifest that cannot be read.
    """
    manifest = load_manifest(directory)
    if manifest is None:
        return None
    if manifest.pack_fingerprint is None and pack is not None:
        raise ConfigError(f"{directory}: of kind {manifest.kind!r}, which answers no prompt pack")
    if manifest.pack_fingerprint != (pack and pack.fingerprint):
        use = "use without a pack"
        if pack is not None:
            name = f"a changed {pack.name!r}" if manifest.pack == pack.name else repr(pack.name)
            use = f"{name} ({pack.fingerprint})"
        raise ConfigError(
            f"{directory}: trained for prompt pack {manifest.pack!r} ({manifest.pack_fingerprint})"
            f", not for {use}"
        )
    if base is not None and manifest.method == "lora" and manifest.base_sha256 is not None:
        weights = weights_sha256(base)
        if weights is not None and weights != manifest.base_sha256:
            raise ConfigError(
                f"{directory}: an adapter for {manifest.base} (weights {manifest.base_sha256[:12]})"
                f", not for {base} (weights {weights[:12]})"
            )
    if tokenizer is not None and tokenizer_sha256(tokenizer) != manifest.tokenizer_sha256:
        raise ConfigError(f"{directory}: trained with another tokenizer or chat template")
    return manifest


def weights_sha256(directory: str | Path) -> str | None:
    """SHA-256 of the safetensors file of a model directory; None if there is none.

    Of several files it is the hash of their `sha256sum` lines, sorted by name.
    """
    files = sorted(Path(directory).glob("*.safetensors"))
    sums = []
    for file in files:
        with file.open("rb") as stream:
            sums.append(hashlib.file_digest(stream, "sha256").hexdigest())
    if len(sums) <= 1:
        return sums[0] if sums else None
    lines = "".join(f"{digest}  {file.name}\n" for digest, file in zip(sums, files, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def tokenizer_sha256(tokenizer: Any) -> str:
    """Hash of what a tokenizer does: its vocabulary, chat template, and the ids of a probe text.

    Behaviour, not files: saving a tokenizer with another release of its library rewrites those.
    """
    behaviour = {
        "vocabulary": sorted(tokenizer.get_vocab().items()),
        "chat_template": tokenizer.chat_template,
        "eos": tokenizer.eos_token,
        "probe": tokenizer(PROBE, add_special_tokens=False)["input_ids"],
    }
    blob = json.dumps(behaviour, ensure_ascii=True, sort_keys=True)
    return hashlib.sha256(blob.encode()).hexdigest()
