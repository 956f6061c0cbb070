"""The vLLM engine: `AsyncLLM` as an `Engine`, on CPU and GPU.

It sends token ids and never text, and asks for label probabilities only where they are read (they
cost time per generated token). Its processes are those of `vllm_process`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genprm.engines.base import Capabilities
from genprm.engines.common import MESSAGE_LIMIT, check_sampling
from genprm.engines.vllm_process import VllmProcess, engine_arguments, import_vllm
from genprm.errors import ConfigError, EngineError, PromptTooLongError, one_line
from genprm.generation import Completion, Generation, Prompt, Sampling

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.lora.request import LoRARequest
    from vllm.outputs import CompletionOutput, RequestOutput
    from vllm.v1.engine.async_llm import AsyncLLM

    from genprm.config.engine import EngineConfig


class VllmEngine(VllmProcess):
    """One model in one vLLM engine. Build it with `await VllmEngine.start(...)`.

    Seeds never reach the engine on CPU (`capabilities.seeds` is False there): under load prompts
    are prefilled in chunks, and a seeded request then kills vLLM's CPU engine for everyone.
    Adapters are named by their directory; write each version to a new one, because vLLM caches
    weights and prefixes by path.
    """

    def __init__(self, llm: AsyncLLM, model: str, tokenizer: Any, capabilities: Capabilities):
        super().__init__(llm, model, tokenizer, capabilities)
        self._adapters: dict[str, LoRARequest] = {}
        self._adapter_lock = asyncio.Lock()

    @classmethod
    async def start(
        cls, config: EngineConfig, model: str, *, adapter_rank: int | None = None
    ) -> VllmEngine:
        """Load `model` (a directory or a Hugging Face name) and start its processes.

        Takes 10 to 30 seconds on CPU and up to minutes for large models; the event loop stays
        free. With `adapter_rank` the engine can load LoRA adapters up to that rank, or up to
        `config.max_lora_rank` if that is larger. vLLM spawns processes: a script that calls
        this needs an `if __name__ == "__main__"` guard.

        Raises:
            ConfigError: settings or a model that vLLM refuses.
            EngineError: the engine processes did not come up.
        """

        def start() -> VllmEngine:
            on_cpu = import_vllm()
            arguments = engine_arguments(config, model, adapter_rank, on_cpu=on_cpu)
            capabilities = Capabilities(
                label_probs=True, prefill=True, seeds=not on_cpu, lora=adapter_rank is not None
            )
            return cls._launch(model, arguments, capabilities)

        return await asyncio.to_thread(start)

    async def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        *,
        label_token_ids: Sequence[int] = (),
        adapter: str | None = None,
    ) -> Generation:
        """Sample `sampling.n` completions; see `Engine.generate`.

        `max_tokens` is cut to the room that the context leaves; a prompt that leaves no room for
        one token raises PromptTooLongError before the engine sees it. Cancelling this call
        aborts the request. The probabilities of `label_token_ids` are those before temperature.
        """
        from vllm.inputs import tokens_input

        check_sampling(sampling)
        room = self.max_model_len - len(prompt.token_ids)
        if room < 1:
            raise PromptTooLongError(len(prompt.token_ids), self.max_model_len)
        lora = await self._adapter(adapter) if adapter is not None else None

        def request(llm: AsyncLLM, request_id: str) -> AsyncGenerator[RequestOutput]:
            tokens = tokens_input(list(prompt.token_ids))
            params = self._params(sampling, room, label_token_ids)  # may be what vLLM refuses
            outputs: AsyncGenerator[RequestOutput] = llm.generate(
                tokens, params, request_id, lora_request=lora
            )
            return outputs

        output = await self._last_output(request)
        return Generation(
            completions=tuple(_completion(one, label_token_ids) for one in output.outputs),
            prompt_tokens=len(prompt.token_ids),
            cached_tokens=output.num_cached_tokens or 0,
        )

    def _params(
        self, sampling: Sampling, room: int, label_token_ids: Sequence[int]
    ) -> SamplingParams:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            n=sampling.n,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=min(sampling.max_tokens, room),
            stop=list(sampling.stop),
            seed=sampling.seed if self.capabilities.seeds else None,
            logprob_token_ids=list(label_token_ids) or None,
            output_kind=RequestOutputKind.FINAL_ONLY,  # else n > 1 loses siblings
        )

    async def _adapter(self, path: str) -> LoRARequest:
        """The request that names this adapter; the first call loads it.

        Loading here and not with the first prompt keeps a broken adapter from killing the
        engine: an error while vLLM runs a batch is fatal for everyone.
        """
        from vllm.lora.request import LoRARequest
        from vllm.v1.engine.exceptions import EngineDeadError

        if not self.capabilities.lora:
            raise ConfigError(f"adapter {path}: the engine was started without adapter_rank")
        async with self._adapter_lock:
            if path not in self._adapters:
                if not (Path(path) / "adapter_config.json").is_file():
                    raise ConfigError(f"adapter {path}: not a PEFT adapter directory")
                request = LoRARequest(path, len(self._adapters) + 1, path)
                try:
                    await self._open().add_lora(request)
                except EngineDeadError as error:
                    raise EngineError(f"the vLLM engine of {self.name} is dead") from error
                except Exception as error:  # vLLM forwards a worker's error as a bare Exception
                    raise EngineError(
                        f"adapter {path}: {one_line(error, MESSAGE_LIMIT)}"
                    ) from error
                self._adapters[path] = request
            return self._adapters[path]


def _completion(output: CompletionOutput, label_token_ids: Sequence[int]) -> Completion:
    """vLLM's output as ours; a stop token's id is not a stop string and is left out."""
    stop_reason = output.stop_reason if isinstance(output.stop_reason, str) else None
    return Completion(
        text=output.text,
        token_ids=tuple(output.token_ids),
        finish_reason=output.finish_reason or "error",
        stop_reason=stop_reason,
        label_probs=_label_probs(output, label_token_ids),
    )


def _label_probs(
    output: CompletionOutput, label_token_ids: Sequence[int]
) -> dict[int, float] | None:
    """Probabilities of the labels at the first generated position, None where unasked."""
    if not label_token_ids or not output.logprobs:
        return None
    first = output.logprobs[0]
    return {token: math.exp(first[token].logprob) for token in label_token_ids}
