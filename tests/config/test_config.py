"""Configs: the shipped one is the default, and every mistake is one line that names its key."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from genprm.config.base import Section
from genprm.config.compare import fingerprint, first_difference
from genprm.config.load import load_config, parse_config
from genprm.config.moved import MOVED
from genprm.config.root import Config, Work
from genprm.config.score import ScoreConfig
from genprm.config.show import config_yaml, readme
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
    assert load_config(None, [f"engine.openai.base_url={url}"]).engine.openai.base_url == url
    assert load_config(None, ["engine.extra.a.b=1"]).engine.extra == {"a": {"b": 1}}


@pytest.mark.parametrize(
    "override,message",
    [
        ("score.vots=3", "--set: unknown config key 'score.vots'; did you mean 'score.votes'?"),
        ("votes=3", "--set: unknown config key 'votes'; did you mean 'score.votes'?"),
        ("scores.votes=3", "--set: unknown config key 'scores'; did you mean 'score'?"),
        ("zzz=1", "--set: unknown config key 'zzz'"),
        (
            "confidence=1",
            "--set: unknown config key 'confidence'; did you mean 'label.adaptive.",
        ),
        (
            "score.early_stopping.votes=1",
            "--set: unknown config key 'score.early_stopping.vot",
        ),
        (
            "splitter=words",
            "--set: config key 'splitter': no such splitter; there are lines,",
        ),
        ("distill.balance=0.5", "--set: config key 'distill.balance': input should be greater"),
        ("score.votes=0", "--set: config key 'score.votes': input should be greater than or equal"),
        ("score.aggregate=max", "--set: config key 'score.aggregate': input should be 'min', "),
        (
            "score={temperature: 0, votes: 2}",
            "--set: config key 'score': temperature 0 gives the same text 2 times",
        ),
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


def test_a_number_of_replicas_beside_autoscaling_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"serve": {"autoscaling": {"max_replicas": 2}, "num_replicas": 2}})
    assert "config key 'serve': num_replicas is for a fixed number" in one_line(caught)


@pytest.mark.parametrize("old", sorted(MOVED))
def test_a_key_of_an_earlier_version_is_refused_with_what_became_of_it(
    old: str, tmp_path: Path
) -> None:
    *sections, name = old.split(".")
    data: dict[str, Any] = {name: 1}
    for section in reversed(sections):
        data = {section: data}
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump(data))
    for where, arguments in (("--set", (None, [f"{old}=1"])), (str(path), (path, []))):
        with pytest.raises(ConfigError) as caught:
            load_config(*arguments)
        assert one_line(caught) == f"{where}: config key '{old}' {MOVED[old]}"
    assert old not in keys(Config())
    for new in re.findall(r"moved to '([\w.]+)'", MOVED[old]):
        assert new in keys(Config())


def keys(section: Section, path: str = "") -> list[str]:
    """The dotted keys of all values."""
    dotted_keys = []
    for name in type(section).model_fields:
        value = getattr(section, name)
        inner = keys(value, f"{path}{name}.") if isinstance(value, Section) else [f"{path}{name}"]
        dotted_keys += inner
    return dotted_keys


def test_messages_name_the_new_key() -> None:
    for override, message in [
        ("label.confidence=0.8", "'label.confidence' moved to 'label.adaptive.confidence'"),
        ("score.splitter=code", "'score.splitter' moved to 'splitter', one key for all stages"),
        ("score.budget=3", "'score.budget' was dropped: 'score.votes' limits"),
        ("distill.balance=true", "'distill.balance' is the ratio itself now: 1 in place of true"),
        ("distill.balance=false", "'distill.balance' is the ratio itself now: 1 in place of true"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load_config(None, [override])
        assert one_line(caught).startswith(f"--set: config key {message}")


def test_balance_is_a_ratio_or_null() -> None:
    assert load_config(None).distill.balance == 1
    assert load_config(None, ["distill.balance=1.5"]).distill.balance == 1.5
    assert load_config(None, ["distill.balance=null"]).distill.balance is None


def test_a_section_whose_keys_are_commented_out_keeps_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("label:\n  adaptive:\nscore:\npack:\nengine: {block_size: null}\n")
    assert load_config(path) == load_config(None, ["engine.block_size=null"])


def test_early_stopping_of_a_pack_gives_way_to_the_config() -> None:
    pack = "pack=thinkprm"

    def score(*overrides: str) -> ScoreConfig:
        return load_config(None, [pack, *overrides]).score

    assert score().early_stopping.enabled is False
    risky = score("score.early_stopping.risk=0.1").early_stopping
    assert (risky.enabled, risky.risk) == (False, 0.1)
    own = score("score.early_stopping.enabled=true")
    assert own.early_stopping.enabled is True and own.votes == 4


def test_a_config_as_yaml_has_every_sentence_and_reads_back(tmp_path: Path) -> None:
    config = load_config("cluster-8xgpu", ["engine.extra={a: {b: [1, x]}}", "splitter=code"])
    text = config_yaml(config)
    path = tmp_path / "shown.yaml"
    path.write_text(text)
    assert load_config(path) == config
    assert max(map(len, text.splitlines())) <= 100
    lines = [line.strip() for line in text.splitlines()]
    for key in keys(config):
        place = next(i for i, line in enumerate(lines) if line.startswith(key.split(".")[-1] + ":"))
        assert lines[place - 1].startswith("# "), key


def test_the_readme_of_configs_is_what_the_fields_say() -> None:
    text = (configs_dir() / "README.md").read_text(encoding="utf-8")
    assert text == readme(), "python -m genprm.config.show > configs/README.md"
    for key in keys(Config()):
        assert f"\n| `{key}` | `" in text
    for file in configs_dir().glob("*.yaml"):
        assert f"| `{file.stem}` |" in text
    for file in (configs_dir() / "deploy").iterdir():
        assert f"`{file.name}`" in text


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


def test_what_decides_the_rows_of_each_stage() -> None:
    def of(stage: Work, *overrides: str) -> dict[str, Any]:
        return load_config(None, overrides).decides(stage)

    for same in ("serve.port=1", "runtime.engine_replicas=2", "engine.max_num_seqs=2"):
        assert of("score", same) == of("score")
    assert of("score", "score.max_concurrency=2", "engine.gpu.tensor_parallel_size=2") == of(
        "score"
    )
    assert of("train", "train.save_steps=2", "engine.dtype=float32", "seed=3") == of("train")
    for other in ("score.votes=2", "models.critic=org/x", "pack=native-value", "seed=1"):
        assert of("score", other) != of("score")
    assert of("score", "splitter=code") != of("score")
    assert of("eval", "splitter=code") == of("eval")  # its rows have steps
    assert of("label", "label.rollouts=4") != of("label")
    assert of("label", "score.votes=4", "label.audit=3") == of("label")
    assert of("distill", "distill.filter=false") != of("distill")
    assert of("distill", "engine.dtype=float32") == of("distill")
    taught = "distill.teacher.model=org/x"
    assert of("distill_by_teacher", taught)["distill.teacher.model"] == "org/x"
    assert of("distill_by_teacher", "engine.dtype=float32") != of("distill_by_teacher")
    openai = of("solve", "engine.openai.base_url=http://h")
    assert openai["engine.openai.base_url"] == "http://h" and "engine.openai.retries" not in openai
    assert len({fingerprint(of(stage)) for stage in get_args(Work)}) == len(get_args(Work))


def test_models_decide_by_their_weights(tmp_path: Path) -> None:
    def of(path: Path) -> dict[str, Any]:
        return load_config(None, [f"models.critic={path}"]).decides("score")

    one = of(model_dir(tmp_path / "a", b"x" * 3_000_000 + b"1"))
    same = of(model_dir(tmp_path / "b", b"x" * 3_000_000 + b"1"))
    other = of(model_dir(tmp_path / "c", b"x" * 3_000_000 + b"2"))
    assert one == same != other
    assert first_difference(one, other).startswith('models.critic is "weights ')


def test_the_first_difference_names_the_key_and_both_values() -> None:
    def of(*overrides: str) -> dict[str, Any]:
        return load_config(None, overrides).decides("label")

    there = json.loads(json.dumps(of("label.rollouts=4", "label.top_p=0.5")))
    assert first_difference(there, of()) == "label.rollouts is 4 there and 8 here"
    assert first_difference(json.loads(json.dumps(of())), of()) is None
    pack = first_difference(of("pack=native-value"), of())
    assert (
        pack == 'pack is "native-value 4165c3dc8e71a990" there and "native 20a20e2ba1aed964" here'
    )
    assert first_difference({}, of()) == "seed is missing there and 0 here"
    assert "earlier version" in first_difference(None, of())
    long = first_difference(of(f"engine.extra={{a: {'x' * 100}}}"), of())
    assert long.startswith('engine.extra is {"a": "xxx') and len(long) < 120


@pytest.mark.parametrize("name", sorted(file.stem for file in configs_dir().glob("*.yaml")))
def test_every_shipped_config_can_be_named(name: str) -> None:
    config = load_config(name, [])
    assert config.score.max_critique_tokens < (config.engine.max_model_len or 0)
