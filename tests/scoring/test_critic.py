"""Which critic a config means."""

from __future__ import annotations

from pathlib import Path

import pytest

from genprm.config.root import Config
from genprm.errors import ConfigError
from genprm.scoring.critic import critic_source


def test_a_critic_that_runs_here_is_a_model_directory(tmp_path: Path) -> None:
    config = Config.model_validate({"models": {"critic": str(tmp_path)}})
    with pytest.raises(ConfigError, match="not a model directory"):
        critic_source(config)
    (tmp_path / "config.json").write_text("{}")
    assert critic_source(config).model == str(tmp_path)


def test_a_critic_on_a_server_is_a_name_that_the_server_knows() -> None:
    config = Config.model_validate(
        {"models": {"critic": "served/critic"}, "engine": {"kind": "scripted"}}
    )
    assert critic_source(config).model == "served/critic"


def test_a_pack_that_does_not_exist_is_refused_everywhere() -> None:
    config = Config.model_validate({"pack": "absent", "engine": {"kind": "scripted"}})
    with pytest.raises(ConfigError, match="no such prompt pack"):
        critic_source(config)
