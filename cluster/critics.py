"""Which critic a config means, checked against its prompt pack; for batches and service alike."""

from __future__ import annotations

import asyncio

from genprm.config import Config, CriticSource, resolve_critic
from genprm.engines.base import Engine
from genprm.prompts import load_pack
from genprm.scorer import Scorer
from genprm.training.manifest import check_manifest


def critic_source(config: Config) -> CriticSource:
    """What the config's engine loads as critic: a checked directory or hub name where the engine
    runs here, the server's own name for it where it does not. Loads no weights.

    Raises:
        ConfigError: no model directory, a pack that cannot be loaded, a critic that was trained
            for another pack.
    """
    pack = load_pack(config.pack)
    if config.engine.kind != "vllm":
        return CriticSource(model=config.models.critic)
    source = resolve_critic(config.models.critic)
    check_manifest(source.adapter or source.model, pack)
    return source


async def make_scorer(config: Config, engine: Engine) -> Scorer:
    """The scorer over a running engine, named by the manifest of its critic.

    Raises:
        ConfigError: model, adapter, tokenizer or pack do not belong together.
    """
    pack, source = load_pack(config.pack), critic_source(config)
    made = await asyncio.to_thread(  # an adapter's base is hashed: gigabytes
        check_manifest,
        source.adapter or source.model,
        pack,
        base=source.model,
        tokenizer=engine.tokenizer,
    )
    version = made.fingerprint if made else None
    return Scorer(engine, pack, config.score, source.adapter, version)
