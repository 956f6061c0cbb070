"""A critic in a plain Ray actor, and finding a service that is not there."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
import ray

import scripted_critic
from cluster.actors import ScorerActor, ScorerHandle, connect
from genprm.config.root import Config
from genprm.errors import ConfigError, InputError
from genprm.records import Judgement
from genprm.scoring.base import ScoreItem, StepScorer


def scripted(**score: object) -> Config:
    return Config.model_validate({"engine": scripted_critic.ENGINE, "score": {"votes": 2, **score}})


def test_an_actor_scores_without_serve(ray_session: None) -> None:
    actor = ScorerActor.options(num_cpus=0).remote(scripted())
    ray.get(actor.ready.remote())

    options: dict[str, Any] = {"id": "a", "votes": 3, "return_critiques": True}

    async def calls() -> tuple[Judgement, list[Judgement]]:
        one = actor.score.remote("p", ["right", "wrong"], early_stop=False, **options)
        many = actor.score_batch.remote([ScoreItem("p", ["right"]), ScoreItem("p", ["wrong", " "])])
        return await one, await many

    one, many = asyncio.run(calls())
    assert isinstance(one, Judgement)
    assert one.id == "a"
    assert one.first_error == 1
    assert len(one.steps[0].critiques or []) == 3
    settled = ray.get(actor.score.remote("p", ["right"], **options))  # two of three alike
    assert len(settled.steps[0].critiques or []) == 2
    assert [judgement.first_error for judgement in many] == [-1, 0]
    assert [step.status for step in many[1].steps] == ["ok", "empty"]
    with pytest.raises(InputError, match="steps"):
        ray.get(actor.score.remote("p", []))
    ray.kill(actor)


def test_an_actor_that_cannot_start_says_why_at_every_call(ray_session: None) -> None:
    broken = Config.model_validate({"engine": {"kind": "scripted"}})
    actor = ScorerActor.options(num_cpus=0).remote(broken)
    for call in (actor.ready.remote, lambda: actor.score.remote("p", ["s"])):
        with pytest.raises(ConfigError, match=r"engine\.extra\.script"):
            ray.get(call())
    ray.kill(actor)


def test_no_service_of_that_name_is_a_config_error(ray_session: None) -> None:
    with pytest.raises(ConfigError, match="no scoring service 'absent'"):
        connect("absent")


def test_handle_and_actor_have_the_methods_of_a_step_scorer() -> None:
    for name, wanted in inspect.getmembers(StepScorer, inspect.isfunction):
        if not name.startswith("_"):
            offered = getattr(ScorerHandle, name)
            assert inspect.iscoroutinefunction(offered)
            positional = list(inspect.signature(wanted).parameters)[: 3 if name == "score" else 2]
            assert list(inspect.signature(offered).parameters)[: len(positional)] == positional
