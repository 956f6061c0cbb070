"""Reading configs: YAML, overrides by `--set`, and one line for every mistake."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from genprm.config.base import Section
from genprm.config.root import Config
from genprm.errors import ConfigError
from genprm.prompts.packs import load_pack
from genprm.util.paths import configs_dir
from genprm.util.validation import first_problem


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
