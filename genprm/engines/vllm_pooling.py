"""vLLM's pooling runner as a `PoolingEngine`, on CPU and GPU.

For models with a token classification head (`*ForTokenClassification`) and for process reward
models that vLLM knows (`Qwen2ForProcessRewardModel`). A causal model whose label tokens are read
as a head takes `engine.extra`: `convert: classify` and `hf_overrides` with `classifier_from_token`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from genprm.engines.base import Capabilities
from genprm.engines.vllm_process import VllmProcess, engine_arguments, import_vllm
from genprm.errors import ConfigError, PromptTooLongError
from genprm.generation import Pooling, Prompt

if TYPE_CHECKING:
    from genprm.config.engine import EngineConfig

TASK = "token_classify"


class VllmPoolingEngine(VllmProcess):
    """One model with a head in one vLLM engine. Build it with `VllmPoolingEngine.start(...)`."""

    @classmethod
    async def start(cls, config: EngineConfig, model: str) -> VllmPoolingEngine:
        """Load `model` and start its processes; takes as long as `VllmEngine.start`.

        Raises:
            ConfigError: settings or a model that vLLM refuses, or a model without a head.
            EngineError: the engine processes did not come up.
        """

        def start() -> VllmPoolingEngine:
            arguments = engine_arguments(config, model, None, on_cpu=import_vllm())
            return cls._launch(model, _pooling_arguments() | arguments, Capabilities(pooling=True))

        engine = await asyncio.to_thread(start)
        if TASK not in await engine._open().get_supported_tasks():
            await engine.close()
            raise ConfigError(f"{model}: has no head that gives values for tokens")
        return engine

    async def pool(self, prompt: Prompt) -> Pooling:
        """The head's logits at every token; see `PoolingEngine.pool`."""
        from vllm.inputs import tokens_input
        from vllm.pooling_params import PoolingParams

        if len(prompt.token_ids) > self.max_model_len:
            raise PromptTooLongError(len(prompt.token_ids), self.max_model_len)
        params = PoolingParams(task=TASK, use_activation=False)
        tokens = tokens_input(list(prompt.token_ids))
        output = await self._last_output(
            lambda llm, request_id: llm.encode(tokens, params, request_id)
        )
        values = tuple(map(tuple, output.outputs.data.float().tolist()))
        return Pooling(values, cached_tokens=output.num_cached_tokens or 0)


def _pooling_arguments() -> dict[str, Any]:
    """What makes vLLM pool. A process reward model would give the values of its own marker alone
    (STEP), which is wrong where the marker also occurs in ordinary text."""
    from vllm.config import PoolerConfig

    pooler = PoolerConfig(task=TASK, tok_pooling_type="ALL")
    return {"runner": "pooling", "pooler_config": pooler}
