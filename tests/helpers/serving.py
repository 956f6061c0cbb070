"""A real HTTP server over the service's routes and the scripted critic, in this process."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

from cluster.serving.host import CriticHost
from cluster.serving.routes import build_routes
from genprm.config.root import Config
from genprm.engines.scripted import ScriptedEngine, ScriptedTokenizer
from genprm.scoring.critic import load_critic
from genprm.scoring.scorer import Scorer
from scripted_critic import critique, label_probs


def scripted_scorer(engine: ScriptedEngine | None = None, **score: Any) -> Scorer:
    """A step that says "wrong" is wrong (score 0.1), others are right (0.8)."""
    return _host(engine, score).scorer


@contextlib.contextmanager
def scripted_service(engine: ScriptedEngine | None = None, **score: Any) -> Iterator[str]:
    """The address of a service with that scorer."""
    app = build_routes(_host(engine, score))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def _host(engine: ScriptedEngine | None, score: dict[str, Any]) -> CriticHost:
    engine = engine or ScriptedEngine(
        critique, label_probs=label_probs, tokenizer=ScriptedTokenizer(), max_model_len=300
    )
    critic = load_critic(Config.model_validate({"score": {"votes": 2, **score}}))
    return CriticHost(engine, critic, Scorer(engine, critic.pack, critic.config.score))
