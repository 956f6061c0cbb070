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
from genprm.config.moved import moved_key
from genprm.config.root import Config
from genprm.errors import ConfigError, one_line
from genprm.util.paths import configs_dir
from genprm.util.validation import first_problem


def load_config(path: str | Path | None, overrides: Sequence[str] = ()) -> Config:
    """Read a config: a YAML path, the name of a shipped config (`tiny`), or None for the defaults.

    `overrides` are `a.b=value` strings, the value in YAML; they win over the file. What the prompt
    pack samples with is in `score`, where neither sets it.

    Raises:
        ConfigError: in one line that names the file or key.
    """
    where = "" if path is None else str(path)
    data = {} if path is None else _read_yaml(_config_path(str(path)), where)
    forced = [_parse_override(override) for override in overrides]
    for key, value in forced:
        _assign(data, key, value)
    return parse_config(data, where, tuple(key for key, _ in forced)).with_pack_sampling()


def parse_config(
    data: Mapping[str, Any], where: str = "", overridden: Sequence[str] = ()
) -> Config:
    """Validate a plain mapping, such as the `args` of a Serve config.

    `where` names the source in errors, except for keys in `overridden`, which came from `--set`.
    Reads no file: what the prompt pack sets is put in by `Config.with_pack_sampling`.

    Raises:
        ConfigError: in one line that names the dotted key; for a key of an earlier version, what
            became of it.
    """

    def source_of(key: str) -> str:
        source = "--set" if any(_within(key, forced) for forced in overridden) else where
        return f"{source}: " if source else ""

    if moved := moved_key(data):
        key, message = moved
        raise ConfigError(f"{source_of(key)}config key '{key}' {message}")
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        key, message, kind = first_problem(error)
        if kind == "extra_forbidden":
            suggestion = _suggestion(key)
            raise ConfigError(f"{source_of(key)}unknown config key '{key}'{suggestion}") from None
        raise ConfigError(f"{source_of(key)}config key '{key}': {message}") from None


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
        raise ConfigError(f"{where}: not valid YAML: {one_line(error)}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: a config is a mapping of keys, not a {type(data).__name__}")
    return _without_empty(data, Config)


def _without_empty(data: dict[str, Any], section: type[Section]) -> dict[str, Any]:
    """The mapping without sections whose keys are all commented out, such as `engine:`, and without
    nulls at the top level."""
    kept = {}
    for name, value in data.items():
        inner = _section_of(section, name)
        if inner is not None and isinstance(value, dict):
            kept[name] = _without_empty(value, inner)
        elif value is not None or (inner is None and section is not Config):
            kept[name] = value
    return kept


def _section_of(section: type[Section], name: Any) -> type[Section] | None:
    """The class of a field that is a section; None for other fields, and for unknown ones."""
    field = section.model_fields.get(name)
    kind = None if field is None else field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


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


def _all_keys(section: type[Section] = Config, path: str = "") -> list[str]:
    """The dotted keys of all fields, at every depth."""
    keys: list[str] = []
    for name in section.model_fields:
        keys.append(f"{path}{name}")
        if inner := _section_of(section, name):
            keys.extend(_all_keys(inner, f"{path}{name}."))
    return keys


def _suggestion(key: str) -> str:
    """`; did you mean 'score.votes'?`, for slips of spelling and for the wrong section."""
    keys = _all_keys()
    same_name = [other for other in keys if other.split(".")[-1] == key.split(".")[-1]]
    close = difflib.get_close_matches(key, keys, n=1, cutoff=0.7) or same_name
    return f"; did you mean '{close[0]}'?" if close else ""
