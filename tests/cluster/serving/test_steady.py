"""Rewards of the same text: one draw of critiques while the critic is the same."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import httpx
import pytest

from cluster.serving import steady
from cluster.serving.host import CriticHost
from cluster.serving.routes import build_routes
from cluster.serving.steady import SteadyScores
from genprm.config.root import Config
from genprm.engines.scripted import ScriptedEngine, ScriptedTokenizer
from genprm.errors import EngineError
from genprm.generation import Prompt, Sampling
from genprm.scoring.base import ScoreItem
from genprm.scoring.critic import load_critic
from genprm.scoring.scorer import Scorer

ROLLOUT = {"query": ["p a\nb"], "prompts": ["p"]}


def moody() -> ScriptedEngine:
    """A critic of whose critiques every third says incorrect, whatever it is shown."""
    count = itertools.count()

    def critique(prompt: Prompt, sampling: Sampling, index: int) -> str:
        verdict = "incorrect" if next(count) % 3 == 0 else "correct"
        return f"Number {next(count)}.\nVerdict: {verdict}"

    return ScriptedEngine(critique, tokenizer=ScriptedTokenizer())


def host_of(engine: ScriptedEngine, **score: Any) -> CriticHost:
    critic = load_critic(Config.model_validate({"score": {"votes": 4, **score}}))
    return CriticHost(engine, critic, Scorer(engine, critic.pack, critic.config.score))


def rewards(host: CriticHost, bodies: list[dict[str, Any]], path: str, at_once: bool) -> list[Any]:
    async def ask() -> list[Any]:
        transport = httpx.ASGITransport(build_routes(host))
        async with httpx.AsyncClient(transport=transport, base_url="http://s") as client:
            calls = [client.post(path, content=json.dumps(body)) for body in bodies]
            answers = await asyncio.gather(*calls) if at_once else [await call for call in calls]
            return [answer.json() for answer in answers]

    return asyncio.run(ask())


@pytest.mark.parametrize("at_once", [True, False])
def test_ten_calls_for_one_text_have_one_reward(at_once: bool) -> None:
    engine = moody()
    slime = {"prompt": "p", "response": "a\nb"}
    answers = rewards(host_of(engine), [ROLLOUT, slime] * 10, "/get_reward", at_once)
    numbers = {a if isinstance(a, float) else a["rewards"][0] for a in answers}
    assert len(numbers) == 1
    assert len(engine.calls) == 2  # one request for each step
    turns = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "a<extra_0>"}]
    rows = rewards(host_of(engine), [{"messages": turns}] * 10, "/pooling", at_once)
    assert len({json.dumps(row["data"]) for row in rows}) == 1


def test_the_seed_follows_from_the_content() -> None:
    seeds = []
    for text in ("a\nb", "a\nb", "a\nc"):
        engine = moody()
        rewards(host_of(engine), [{"prompt": "p", "response": text}], "/get_reward", True)
        seeds.append([sampling.seed for _, sampling in engine.calls])
    assert seeds[0] == seeds[1] != seeds[2] and None not in seeds[0]
    assert len(set(seeds[0])) == 2  # a seed for each step


def test_another_critic_judges_anew_and_failures_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    item = ScoreItem("p", ["a"])

    async def run() -> None:
        engine = moody()
        host = host_of(engine)
        scores = SteadyScores(host)
        await scores.score_batch([item, item])
        assert len(engine.calls) == 1
        host.scorer = Scorer(engine, host.critic.pack, host.config.score)
        await scores.score_batch([item])
        assert len(engine.calls) == 2
        monkeypatch.setattr(steady, "REMEMBERED", 1)
        await scores.score_batch([ScoreItem("q", ["a"]), item])
        await scores.score_batch([ScoreItem("q", ["a"])])  # the other took its place
        assert len(engine.calls) == 5
        engine.alive = False
        with pytest.raises(EngineError):
            await scores.score_batch([ScoreItem("r", ["a"])])
        engine.alive = True
        assert (await scores.score_batch([ScoreItem("r", ["a"])]))[0].solution_score is not None

    asyncio.run(run())


def test_a_caller_that_gives_up_leaves_the_judgement_to_the_others() -> None:
    async def run() -> None:
        engine = moody()
        scores = SteadyScores(host_of(engine))
        first, second = (
            asyncio.create_task(scores.score_batch([ScoreItem("p", ["a"])])) for _ in "12"
        )
        await asyncio.sleep(0)
        first.cancel()
        assert (await second)[0].solution_score is not None
        assert len(engine.calls) == 1

    asyncio.run(run())
