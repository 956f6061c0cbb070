"""The manifest of a critic directory: what the critic was made from, and what it may be used with.

    DIR/genprm_manifest.json    beside the weights or the adapter, the tokenizer, the chat template

A critic answers one prompt pack, and an adapter fits one base: serving asks `check_manifest`.
Loads no weights and no tokenizer; hashes files and what it is given.
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
    writers: list[str]
    label_rule: str | None = None  # the estimator behind the labels, where the data tells


class Manifest(BaseModel):
    """What a critic directory says of itself; fields of a later minor version pass through."""

    model_config = ConfigDict(frozen=True, extra="allow")

    schema_version: int = SCHEMA_VERSION
    fingerprint: str
    """Hash of everything that decided the weights: config, pack, base, data."""
    kind: str = "critic"
    """What it judges with: a key of `genprm.scoring.critic.SCORERS`."""
    method: Literal["full", "lora"]
    base: str
    """The model that training started from, as the config names it."""
    base_sha256: str | None
    """`weights_sha256` of it; null where its weights are no safetensors files."""
    tokenizer_sha256: str
    pack: str
    pack_fingerprint: str
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
    """Write the manifest into a critic directory that is being put together."""
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
        found = json.loads(path.read_text(encoding="utf-8"))
        version = found["schema_version"]
        if version > SCHEMA_VERSION:
            raise ConfigError(
                f"{path}: schema version {version}, this genprm reads up to {SCHEMA_VERSION}"
            )
        return Manifest.model_validate(found)
    except ValidationError as error:
        key, message, _ = first_problem(error)
        raise ConfigError(f"{path}: field {key!r}: {message}") from None
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: not a critic's manifest") from None


def check_manifest(
    directory: str | Path,
    pack: PromptPack,
    *,
    base: str | Path | None = None,
    tokenizer: Any = None,
) -> Manifest | None:
    """Refuse a critic that was trained for something else than it is about to be used with.

    Args:
        directory: a critic directory; a model without a manifest passes, and None is returned.
        pack: the prompt pack that will ask it.
        base: for an adapter, the base directory under it; its weights are hashed.
        tokenizer: the loaded tokenizer that will feed it.

    Raises:
        ConfigError: another pack, base or tokenizer, or a manifest that cannot be read.
    """
    manifest = load_manifest(directory)
    if manifest is None:
        return None
    if manifest.pack_fingerprint != pack.fingerprint:
        same = f"a changed {pack.name!r}" if manifest.pack == pack.name else repr(pack.name)
        raise ConfigError(
            f"{directory}: trained for prompt pack {manifest.pack!r} ({manifest.pack_fingerprint})"
            f", not for {same} ({pack.fingerprint})"
        )
    if base is not None and manifest.method == "lora" and manifest.base_sha256 is not None:
        found = weights_sha256(base)
        if found is not None and found != manifest.base_sha256:
            raise ConfigError(
                f"{directory}: an adapter for {manifest.base} (weights {manifest.base_sha256[:12]})"
                f", not for {base} (weights {found[:12]})"
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
    does = {
        "vocabulary": sorted(tokenizer.get_vocab().items()),
        "chat_template": tokenizer.chat_template,
        "eos": tokenizer.eos_token,
        "probe": tokenizer(PROBE, add_special_tokens=False)["input_ids"],
    }
    blob = json.dumps(does, ensure_ascii=True, sort_keys=True)
    return hashlib.sha256(blob.encode()).hexdigest()
