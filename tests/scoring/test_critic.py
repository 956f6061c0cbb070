"""The critic of a config: found, checked, and made a scorer of."""

from __future__ import annotations

import asyncio
import textwrap
from pathlib import Path
from typing import Any

import pytest

import genprm.scoring
from genprm.config.root import Config
from genprm.errors import ConfigError
from genprm.models.manifest import write_manifest
from genprm.prompts.packs import load_pack
from genprm.scoring.critic import load_critic
from manifests import a_manifest
from scripted_critic import ENGINE


def test_a_critic_that_runs_here_is_a_model_directory(tmp_path: Path) -> None:
    config = Config.model_validate({"models": {"critic": str(tmp_path)}})
    with pytest.raises(ConfigError, match="not a model directory"):
        load_critic(config)
    (tmp_path / "config.json").write_text("{}")
    critic = load_critic(config)
    assert critic.source.model == critic.directory == str(tmp_path)
    assert (critic.kind, critic.manifest, critic.calibrations) == ("critic", None, ())
    assert critic.pack == load_pack("native")


def test_a_critic_on_a_server_is_a_name_that_the_server_knows() -> None:
    config = Config.model_validate(
        {"models": {"critic": "served/critic"}, "engine": {"kind": "scripted"}}
    )
    assert load_critic(config).source.model == "served/critic"


def test_a_pack_that_does_not_exist_is_refused_everywhere() -> None:
    config = Config.model_validate({"pack": "absent", "engine": {"kind": "scripted"}})
    with pytest.raises(ConfigError, match="no such prompt pack"):
        load_critic(config)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"pack_fingerprint": "0" * 16}, "trained for prompt pack"),
        ({"kind": "oracle"}, "of kind 'oracle', which does not score; kinds: critic"),
    ],
)
def test_a_critic_of_another_pack_or_kind_is_refused(
    tmp_path: Path, manifest: dict[str, Any], message: str
) -> None:
    (tmp_path / "config.json").write_text("{}")
    write_manifest(tmp_path, a_manifest(method="full", **manifest))
    with pytest.raises(ConfigError, match=message):
        load_critic(Config.model_validate({"models": {"critic": str(tmp_path)}}))


def test_a_calibration_that_is_named_must_be_there(tmp_path: Path) -> None:
    score = {"calibration": str(tmp_path / "absent.json")}
    with pytest.raises(ConfigError, match=r"score\.calibration: .*absent\.json: No such file"):
        load_critic(Config.model_validate({"score": score}))


def test_the_scorer_has_the_settings_of_pack_and_config() -> None:
    config = Config.model_validate(
        {"pack": "genprm", "engine": {"kind": "scripted"}, "score": {"votes": 3}}
    )
    score = load_critic(config).config.score
    assert (score.votes, score.temperature, score.top_k, score.early_stop) == (3, 0.6, 20, False)


def test_the_example_in_the_docstring_runs() -> None:
    example = textwrap.dedent((genprm.scoring.__doc__ or "").split("::\n")[1].split("`base`")[0])
    names: dict[str, Any] = {"__name__": "example"}
    exec(example, names)
    judgement = asyncio.run(names["judge"](Config.model_validate({"engine": ENGINE})))
    assert [step.votes.correct for step in judgement.steps] == [4, 4]
    assert judgement.critic.scoring == "label_probs"
