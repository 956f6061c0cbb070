"""The routes of the service over a scripted critic, in this process, and one call to them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
from fastapi import FastAPI

from cluster.serving.host import CriticHost
from cluster.serving.routes import build_routes
from genprm.config.root import Config
from genprm.engines.scripted import ScriptedEngine, ScriptedTokenizer
from genprm.scoring.critic import load_critic
from genprm.scoring.scorer import Scorer
from scripted_critic import critique, label_probs

CONTEXT = 300  # tokens


def routes(
    engine: ScriptedEngine | None = None, tokens: tuple[str, ...] = (), **score: Any
) -> FastAPI:
    engine = engine or ScriptedEngine(
        critique, label_probs=label_probs, tokenizer=ScriptedTokenizer(), max_model_len=CONTEXT
    )
    critic = load_critic(Config.model_validate({"score": {"votes": 2, **score}}))
    scorer = Scorer(engine, critic.pack, critic.config.score)
    return build_routes(CriticHost(engine, critic, scorer), tokens)


def post(path: str, body: Any, script: Any = critique, **config: Any) -> httpx.Response:
    """One request to a service of that config, whose critic is another one in each call; its
    prompts are in `extensions`."""
    engine = ScriptedEngine(
        script, label_probs=label_probs, tokenizer=ScriptedTokenizer(), max_model_len=CONTEXT
    )
    loaded = load_critic(Config.model_validate({"score": {"votes": 2}, **config}))
    scorer = Scorer(engine, loaded.pack, loaded.config.score)
    app = build_routes(CriticHost(engine, loaded, scorer))
    answer = call(app, "POST", path, json.dumps(body).encode())
    answer.extensions["prompts"] = [prompt.messages[-1]["content"] for prompt, _ in engine.calls]
    return answer


def call(
    app: FastAPI, method: str, path: str, content: Any = None, root: str = "", **headers: str
) -> httpx.Response:
    """One request to the application; a dict is sent as JSON."""
    if isinstance(content, dict):
        content = json.dumps(content).encode()

    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path=root)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, content=content, headers=headers)

    return asyncio.run(once())
