"""Engines: what generates completions, or pools values. `base` has the contracts; each engine is
one file.

An engine's libraries are imported when one is built, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from genprm.engines.base import Engine, PoolingEngine
from genprm.errors import ConfigError

if TYPE_CHECKING:
    from genprm.config.engine import EngineConfig


async def build_engine(config: EngineConfig, model: str, adapter_rank: int | None = None) -> Engine:
    """Start the engine that `config.kind` names on a resolved `model`.

    With `adapter_rank` it can load LoRA adapters up to that rank. Close it when done. Raises
    ConfigError for settings that cannot work and EngineError if the engine does not come up.
    """
    if config.kind == "vllm":
        from genprm.engines.vllm import VllmEngine

        return await VllmEngine.start(config, model, adapter_rank=adapter_rank)
    if adapter_rank is not None:
        raise ConfigError(f"engine.kind {config.kind} cannot load LoRA adapters; use vllm")
    if config.kind == "openai":
        from genprm.engines.openai import OpenAIEngine

        return await OpenAIEngine.start(config, model)
    from genprm.engines.scripted import scripted_engine

    return scripted_engine(config, model)


async def build_pooling_engine(config: EngineConfig, model: str) -> PoolingEngine:
    """Start an engine that reads the head of a resolved `model`. Close it when done.

    Raises ConfigError for an engine that cannot pool and a model without a head, EngineError if
    the engine does not come up.
    """
    if config.kind != "vllm":
        raise ConfigError(f"engine.kind {config.kind} cannot read a model's head; use vllm")
    from genprm.engines.vllm_pooling import VllmPoolingEngine

    return await VllmPoolingEngine.start(config, model)
