"""Rewards of the same text: one draw of critiques while the critic is the same."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from cluster.serving import compat_routes
from cluster.serving.host import CriticHost
from cluster.serving.routes import build_routes
from genprm.config.root import Config
from genprm.engines.scripted import ScriptedEngine, ScriptedTokenizer
from genprm.generation import Prompt, Sampling
from genprm.records import Judgement
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


def test_another_critic_judges_anew() -> None:
    engine = moody()
    host = host_of(engine)
    rewards(host, [ROLLOUT] * 2, "/get_reward", False)
    assert len(engine.calls) == 2
    app = build_routes(host)

    async def ask() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://s") as client:
            await client.post("/get_reward", json=ROLLOUT)
            host.scorer = Scorer(
                engine, host.critic.pack, host.config.score, critic_version="another"
            )
            await client.post("/get_reward", json=ROLLOUT)

    asyncio.run(ask())
    assert len(engine.calls) == 6


def test_a_batch_of_any_size_is_judged_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat_routes, "MAX_BATCH_STEPS", 3)
    sizes = []

    class Host(CriticHost):
        async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
            sizes.append(sum(len(item.steps) for item in items))
            return await super().score_batch(items)

    engine = moody()
    plain = host_of(engine)
    host = Host(engine, plain.critic, plain.scorer)
    body = {"query": [f"p a\nb\n{i}" for i in range(3)] + ["p a", "p b"], "prompts": ["p"] * 5}
    [answer] = rewards(host, [body], "/get_reward", True)
    assert len(answer["rewards"]) == 5 and sizes == [3, 3, 3, 2]
