"""The settings of every stage: read from YAML, overridden by `--set`, refused in one line.

The defaults are the embedded model on two CPU cores (`configs/tiny.yaml` spells them out). Knows
no engine, no Ray and no stage: it only says what they are asked to do, and which of it decides
what a stage writes.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from genprm.errors import ConfigError
from genprm.invalid import first_problem
from genprm.models import CriticSource, model_identity, resolve_critic, resolve_model
from genprm.packs import PromptPack, load_pack
from genprm.paths import configs_dir
from genprm.sections import (
    DistillConfig,
    EngineConfig,
    LabelConfig,
    ModelsConfig,
    RuntimeConfig,
    ScoreConfig,
    Section,
    ServeConfig,
    SolveConfig,
    TrainConfig,
)

__all__ = [
    "Config",
    "CriticSource",
    "DistillConfig",
    "EngineConfig",
    "LabelConfig",
    "ModelsConfig",
    "RuntimeConfig",
    "ScoreConfig",
    "ServeConfig",
    "SolveConfig",
    "Stage",
    "TrainConfig",
    "load_config",
    "parse_config",
    "resolve_critic",
    "resolve_model",
]

Stage = Literal["solve", "label", "distill", "train", "score", "eval"]

# The engine settings that change what is generated; the others change how fast.
ENGINE_DECIDES = {"kind", "dtype", "max_model_len", "base_url", "extra"}
SPEED_ONLY: dict[str, set[str]] = {
    "label": {"audit"},  # what is shown beside the rows
    "score": {"max_concurrency", "calibration"},  # its content counts, see `scoring_stage`
    "train": {"micro_batch_size", "save_steps", "num_workers"},
}


class Config(Section):
    """Everything a stage can be told."""

    seed: int = 0
    """Seed of sampling, where the engine honours seeds."""
    models: ModelsConfig = ModelsConfig()
    """Which models a stage runs."""
    engine: EngineConfig = EngineConfig()
    """How completions are generated."""
    pack: str = "native"
    """The prompt pack: the name of a shipped one, or a path to a YAML file."""
    pack_texts: str | None = None
    """A YAML file with texts in place of the pack's, such as those that a published critic was
    trained with (`critique: {system: ...}`)."""
    solve: SolveConfig = SolveConfig()
    """How the policy writes solutions."""
    label: LabelConfig = LabelConfig()
    """How rollouts value the steps of a solution."""
    distill: DistillConfig = DistillConfig()
    """How labels become critiques to train on."""
    train: TrainConfig = TrainConfig()
    """How a critic is fine-tuned."""
    score: ScoreConfig = ScoreConfig()
    """How steps are judged."""
    serve: ServeConfig = ServeConfig()
    """The scoring service."""
    runtime: RuntimeConfig = RuntimeConfig()
    """Where stages run on Ray, and on how much of it."""

    def prompt_pack(self) -> PromptPack:
        """The prompt pack, with the texts that it is to have. Raises ConfigError if either cannot
        be loaded."""
        return load_pack(self.pack, self.pack_texts)

    def fingerprint(self, stage: Stage) -> str:
        """16 hex digits of what decides the rows that `stage` writes.

        Two configs that differ only in speed, placement or the service agree. Models count by
        their weights where they are directories, by their names elsewhere; the prompt pack counts
        by its content. Raises ConfigError if the pack cannot be loaded.
        """
        models: dict[str, str] = {}
        if stage in ("solve", "label"):
            models["policy"] = self.models.policy
        elif stage == "train":
            models["init"] = self.train.init or self.models.policy
        elif stage == "distill" and self.distill.writer == "teacher":
            models["teacher"] = self.distill.teacher_model or ""
        elif stage in ("score", "eval"):
            models["critic"] = self.models.critic
        chosen: dict[str, Any] = {
            "stage": stage,
            "seed": self.seed,
            "models": {role: model_identity(name) for role, name in models.items()},
        }
        section = "score" if stage == "eval" else stage
        chosen[section] = getattr(self, section).model_dump(
            mode="json", exclude=SPEED_ONLY.get(section)
        )
        if stage != "train":  # training rows carry their prompts as text
            chosen["pack"] = self.prompt_pack().fingerprint
        if stage in ("solve", "label", "score", "eval") or "teacher" in models:
            chosen["engine"] = self.engine.model_dump(mode="json", include=ENGINE_DECIDES)
        blob = json.dumps(chosen, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(blob.encode()).hexdigest()[:16]


def load_config(path: str | Path | None, overrides: Sequence[str] = ()) -> Config:
    """Read a config: a YAML path, the name of a shipped config (`tiny`), or None for the defaults.

    `overrides` are `a.b=value` strings, the value in YAML; they win over the file. Raises
    ConfigError in one line that names the file or key.
    """
    where = "" if path is None else str(path)
    data = {} if path is None else _read_yaml(_config_path(str(path)), where)
    forced = [_parse_override(override) for override in overrides]
    for key, value in forced:
        _assign(data, key, value)
    return parse_config(data, where, tuple(key for key, _ in forced))


def parse_config(
    data: Mapping[str, Any], where: str = "", overridden: Sequence[str] = ()
) -> Config:
    """Validate a plain mapping, such as the `args` of a Serve config.

    A pack's own sampling takes the place of the defaults of `score`. `where` names the source in
    errors, except for keys in `overridden`, which came from `--set`. Raises ConfigError in one line
    that names the dotted key.
    """
    try:
        return Config.model_validate(_with_sampling(data))
    except ValidationError as error:
        key, message, kind = first_problem(error)
        source = "--set" if any(_within(key, forced) for forced in overridden) else where
        prefix = f"{source}: " if source else ""
        if kind == "extra_forbidden":
            raise ConfigError(f"{prefix}unknown config key '{key}'{_suggestion(key)}") from None
        raise ConfigError(f"{prefix}config key '{key}': {message}") from None


def _with_sampling(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The mapping with a pack's own sampling where it says nothing of it."""
    pack, texts, score = data.get("pack"), data.get("pack_texts"), data.get("score") or {}
    if (
        not isinstance(pack, str)
        or not isinstance(texts, str | None)
        or not isinstance(score, dict)
    ):
        return data
    chosen = load_pack(pack, texts).sampling.model_dump(exclude_none=True)
    return {**data, "score": {**chosen, **score}} if chosen else data


def _config_path(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_file():
        return path
    shipped = configs_dir() / f"{name}.yaml"
    if re.fullmatch(r"[\w.-]+", name) and shipped.is_file():
        return shipped
    names = ", ".join(sorted(file.stem for file in configs_dir().glob("*.yaml")))
    raise ConfigError(f"{name}: no such config file, and no shipped config of that name ({names})")


def _read_yaml(path: Path, where: str) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{where}:{line}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: a config is a mapping of keys, not a {type(data).__name__}")
    # `engine:` with all of its keys commented out
    return {key: value for key, value in data.items() if value is not None}


def _parse_override(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not re.fullmatch(r"\w+(\.\w+)*", key):
        raise ConfigError(f"--set {override}: expected key=value, such as score.votes=4")
    try:
        return key, yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}: the value is not valid YAML") from None


def _assign(data: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    at = data
    for name in sections:
        at = at.setdefault(name, {})
        if not isinstance(at, dict):
            raise ConfigError(f"--set {key}: '{name}' is not a section")
    at[last] = value


def _within(key: str, forced: str) -> bool:
    return key == forced or key.startswith(f"{forced}.") or forced.startswith(f"{key}.")


def _known_keys() -> list[str]:
    keys: list[str] = []
    for name, field in Config.model_fields.items():
        keys.append(name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            keys.extend(f"{name}.{inner}" for inner in field.annotation.model_fields)
    return keys


def _suggestion(key: str) -> str:
    """`; did you mean 'score.votes'?`, for slips of spelling and for the wrong section."""
    known = _known_keys()
    same_name = [other for other in known if other.split(".")[-1] == key.split(".")[-1]]
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.7) or same_name
    return f"; did you mean '{close[0]}'?" if close else ""
