"""Engines: what generates completions. `base` is the contract; each engine is one file.

An engine's libraries are imported when one is built, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from genprm.engines.base import Engine
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
