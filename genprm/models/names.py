"""Model names: what `embedded:critic`, a directory or a Hugging Face name refers to.

Knows directories and what lies in them by name; loads no weights and asks no hub.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from genprm.errors import ConfigError
from genprm.util.paths import assets_dir

EMBEDDED = ("base", "critic")
# Beyond this shape a name can be no model of the Hugging Face hub.
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
# How much of each end of a weight file identifies it: enough to tell any two trainings apart
# without reading fifteen gigabytes.
WEIGHT_SAMPLE_BYTES = 1 << 20


class CriticSource(BaseModel):
    """A critic as an engine loads it: a model, and perhaps a LoRA adapter on top of it."""

    model_config = ConfigDict(frozen=True)

    model: str
    adapter: str | None = None
    adapter_rank: int | None = None


def resolve_model(name: str) -> str:
    """The path or Hugging Face name that an engine or trainer can load.

    `embedded:base` and `embedded:critic` are the models that ship with genprm. Raises ConfigError
    for an unknown embedded model, for a path that is not a model directory (no `config.json`),
    and for what can be neither a directory nor a Hugging Face name.
    """
    path = _model_path(name)
    if path is None:
        return name
    if not (path / "config.json").is_file():
        hint = ""
        if (path / "adapter_config.json").is_file():
            hint = "; it is a LoRA adapter, which can only be a critic"
        raise ConfigError(f"{name}: not a model directory (no config.json in {path}){hint}")
    return str(path)


def resolve_critic(name: str) -> CriticSource:
    """Like `resolve_model`, and a LoRA adapter directory becomes its base model plus the adapter.

    The base is the adapter's own `base_model_name_or_path`, which may be an embedded name.
    """
    path = _model_path(name)
    adapter_file = None if path is None else path / "adapter_config.json"
    if path is None or adapter_file is None or not adapter_file.is_file():
        return CriticSource(model=resolve_model(name))
    if (path / "config.json").is_file():  # PEFT leaves none; a full model with one wins
        return CriticSource(model=str(path))
    try:
        settings = json.loads(adapter_file.read_text(encoding="utf-8"))
        base, rank = str(settings["base_model_name_or_path"]), int(settings["r"])
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{name}: {adapter_file} names no base model or rank") from None
    return CriticSource(model=resolve_model(base), adapter=str(path), adapter_rank=rank)


def _model_path(name: str) -> Path | None:
    """The directory that a name means; None for a Hugging Face name."""
    if name.startswith("embedded:"):
        which = name.removeprefix("embedded:")
        if which not in EMBEDDED:
            names = " and ".join(f"embedded:{model}" for model in EMBEDDED)
            raise ConfigError(f"unknown embedded model '{name}': there are {names}")
        path = assets_dir() / which
        if not path.is_dir():
            raise ConfigError(f"{name}: not shipped with this copy of genprm (no {path})")
        return path
    if not name:  # Path("") is the current directory
        raise ConfigError("a model name is blank")
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise ConfigError(f"{name}: not a model directory (it is a file)")
    if not HUB_NAME.fullmatch(name) or name.startswith("."):
        raise ConfigError(f"{name}: no such model directory")
    return None


def model_identity(name: str) -> str:
    """What tells two models apart: sizes and both ends of the weight files, else the name."""
    path = assets_dir() / name.removeprefix("embedded:") if name.startswith("embedded:") else None
    path = path or Path(name).expanduser()
    weights = sorted(path.glob("*.safetensors")) if path.is_dir() else []
    if not weights:
        return name
    digest = hashlib.sha256()
    for file in weights:
        size = file.stat().st_size
        digest.update(f"{file.name}:{size}:".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(WEIGHT_SAMPLE_BYTES))
            stream.seek(max(0, size - WEIGHT_SAMPLE_BYTES))
            digest.update(stream.read())
    return digest.hexdigest()[:16]
