"""Configs: the shipped one is the default, and every mistake is one line that names its key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from genprm.config.base import Section
from genprm.config.load import load_config, parse_config
from genprm.config.root import Config
from genprm.errors import ConfigError
from genprm.models.names import CriticSource, resolve_critic, resolve_model
from genprm.util.paths import assets_dir, configs_dir


def one_line(error: pytest.ExceptionInfo[ConfigError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_tiny_is_the_default() -> None:
    assert load_config("tiny") == load_config(None) == Config()


def test_every_field_is_explained() -> None:
    def missing(section: type[Section], name: str) -> list[str]:
        fields = section.model_fields.items()
        own = [f"{name}.{key}" for key, field in fields if not field.description]
        inner = [
            gap
            for key, field in fields
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
            for gap in missing(field.annotation, key)
        ]
        inner += [
            gap
            for key, field in fields
            for option in get_args(field.annotation)  # of one that may be null
            if isinstance(option, type) and issubclass(option, Section)
            for gap in missing(option, key)
        ]
        return own + inner

    assert missing(Config, "") == []


def test_overrides_win_and_are_yaml(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("score: {votes: 4}\nengine:\n")
    overrides = ["score.votes=2", "engine.max_model_len=null", "engine.extra={a: [1]}", "seed=7"]
    config = load_config(path, overrides)
    assert (config.score.votes, config.engine.max_model_len, config.seed) == (2, None, 7)
    assert config.engine.extra == {"a": [1]}
    assert load_config(None, ["train.learning_rate=1e-4"]).train.learning_rate == 1e-4
    url = "http://h:1/v1?a=b"
    assert load_config(None, [f"engine.base_url={url}"]).engine.base_url == url
    assert load_config(None, ["engine.extra.a.b=1"]).engine.extra == {"a": {"b": 1}}


@pytest.mark.parametrize(
    "override,message",
    [
        ("score.vots=3", "--set: unknown config key 'score.vots'; did you mean 'score.votes'?"),
        ("votes=3", "--set: unknown config key 'votes'; did you mean 'score.votes'?"),
        ("scores.votes=3", "--set: unknown config key 'scores'; did you mean 'score'?"),
        ("zzz=1", "--set: unknown config key 'zzz'"),
        ("score.votes=0", "--set: config key 'score.votes': input should be greater than or equal"),
        ("score.aggregate=max", "--set: config key 'score.aggregate': input should be 'min', "),
        ("score.temperature=0", "--set: config key 'score': temperature 0 gives the same text 8"),
        ("engine.kind=hf", "--set: config key 'engine.kind': input should be 'vllm', 'openai' or"),
        ("train.learning_rate=.nan", "--set: config key 'train.learning_rate': input should be"),
        ("seed.x=1", "--set: config key 'seed': input should be a valid integer"),
        ("score=3", "--set: config key 'score': input should be a valid dictionary"),
        ("votes", "--set votes: expected key=value"),
        ("score votes=1", "--set score votes=1: expected key=value"),
        ("pack=[", "--set pack=[: the value is not valid YAML"),
    ],
)
def test_broken_override(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override])
    assert one_line(caught).startswith(message)


@pytest.mark.parametrize(
    "text,message",
    [
        ("score: {vots: 3}", ": unknown config key 'score.vots'; did you mean 'score.votes'?"),
        ("engine:\n  max_num_seqs: many", ": config key 'engine.max_num_seqs': input should be"),
        ("a: b: c", ":1: not valid YAML: mapping values are not allowed here"),
        ("seed: 1\n\tx: 2", ":2: not valid YAML: "),
        ("- seed", ": a config is a mapping of keys, not a list"),
        ("x\x00y", ": not valid YAML: "),
    ],
)
def test_broken_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, ["score.max_concurrency=3"])
    assert one_line(caught).startswith(f"{path}{message}")


def test_missing_config_names_the_shipped_ones(tmp_path: Path) -> None:
    for name in ("tinny", str(tmp_path / "tiny"), str(tmp_path)):
        with pytest.raises(ConfigError) as caught:
            load_config(name)
        assert one_line(caught).startswith(f"{name}: no such config file")
        assert "tiny" in one_line(caught)


def test_mapping_of_a_serve_config() -> None:
    assert parse_config({"score": {"votes": 2}}).score.votes == 2
    with pytest.raises(ConfigError, match=r"^unknown config key 'score.x'"):
        parse_config({"score": {"x": 2}})


def model_dir(path: Path, weights: bytes = b"w", **files: object) -> Path:
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(weights)
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return path


def test_resolve_model(tmp_path: Path) -> None:
    full = model_dir(tmp_path / "full", config={})
    adapter = model_dir(tmp_path / "lora", adapter_config={"r": 4})
    empty = tmp_path / "empty"
    empty.mkdir()
    file = tmp_path / "file"
    file.touch()
    assert resolve_model(str(full)) == str(full)
    assert resolve_model("Qwen/Qwen2.5-7B-Instruct") == "Qwen/Qwen2.5-7B-Instruct"
    for name, message in [
        (str(empty), f"{empty}: not a model directory (no config.json in {empty})"),
        (str(file), f"{file}: not a model directory (it is a file)"),
        (str(tmp_path / "no"), f"{tmp_path}/no: no such model directory"),
        ("./no", "./no: no such model directory"),
        ("a/b/c", "a/b/c: no such model directory"),
        ("", "a model name is blank"),
        ("embedded:large", "unknown embedded model 'embedded:large': there are embedded:base"),
        (str(adapter), f"{adapter}: not a model directory (no config.json in {adapter}); it is a"),
    ]:
        with pytest.raises(ConfigError) as caught:
            resolve_model(name)
        assert one_line(caught).startswith(message)


@pytest.mark.parametrize(
    ("serve", "message"),
    [
        ({"autoscaling": {}}, "'serve.autoscaling.max_replicas': field required"),
        ({"autoscaling": {"max_replicas": 1, "min_replicas": 2}}, "max_replicas 1 is less than"),
        ({"autoscaling": {"max_replicas": 2}, "num_replicas": 2}, "leave it out with autoscaling"),
        (
            {"autoscaling": {"max_replicas": 2, "target_ongoing_requests": 65}},
            "target_ongoing_requests 65 is more than a replica works on at once",
        ),
    ],
)
def test_autoscaling_that_could_not_act_is_refused(serve: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"serve": serve})
    assert message in one_line(caught) and "config key 'serve" in one_line(caught)


def test_the_most_replicas_are_those_of_autoscaling_or_the_fixed_ones() -> None:
    assert parse_config({"serve": {"num_replicas": 3}}).serve.most_replicas == 3
    scaled = parse_config({"serve": {"autoscaling": {"max_replicas": 5}}})
    assert scaled.serve.most_replicas == 5
    assert parse_config(scaled.model_dump(mode="json")) == scaled  # as replicas get it


def test_embedded_models_are_package_files() -> None:
    for which in ("base", "critic"):
        assert resolve_model(f"embedded:{which}") == str(assets_dir() / which)


def test_resolve_critic(tmp_path: Path) -> None:
    full = model_dir(tmp_path / "full", config={})
    settings = {"r": 4, "base_model_name_or_path": str(full)}
    lora = model_dir(tmp_path / "lora", adapter_config=settings)
    broken = model_dir(tmp_path / "broken", adapter_config={"r": 4})
    assert resolve_critic(str(full)) == CriticSource(model=str(full))
    assert resolve_critic("org/model") == CriticSource(model="org/model")
    assert resolve_critic(str(lora)) == CriticSource(
        model=str(full), adapter=str(lora), adapter_rank=4
    )
    with pytest.raises(ConfigError, match="names no base model or rank"):
        resolve_critic(str(broken))


def test_fingerprint_follows_what_decides_the_rows() -> None:
    def of(stage: str, *overrides: str) -> str:
        return load_config(None, overrides).fingerprint(stage)  # type: ignore[arg-type]

    for same in ("serve.port=1", "runtime.engine_replicas=2", "engine.max_num_seqs=2"):
        assert of("score", same) == of("score")
    assert of("score", "score.max_concurrency=2") == of("score")
    assert of("train", "train.save_steps=2", "engine.dtype=float32") == of("train")
    for other in ("score.votes=2", "models.critic=org/x", "pack=native-value", "seed=1"):
        assert of("score", other) != of("score")
    assert of("label", "label.rollouts=4") != of("label")
    assert of("label", "score.votes=4") == of("label")
    assert of("distill", "distill.filter=false") != of("distill")
    assert of("distill", "engine.dtype=float32") == of("distill")
    assert len({of(stage) for stage in ("solve", "label", "distill", "train", "score")}) == 5


def test_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    def of(path: Path) -> str:
        return load_config(None, [f"models.critic={path}"]).fingerprint("score")

    one = of(model_dir(tmp_path / "a", b"x" * 3_000_000 + b"1"))
    same = of(model_dir(tmp_path / "b", b"x" * 3_000_000 + b"1"))
    other = of(model_dir(tmp_path / "c", b"x" * 3_000_000 + b"2"))
    assert one == same != other


@pytest.mark.parametrize("name", sorted(file.stem for file in configs_dir().glob("*.yaml")))
def test_every_shipped_config_can_be_named(name: str) -> None:
    config = load_config(name, [])
    assert config.score.max_critique_tokens < (config.engine.max_model_len or 0)
