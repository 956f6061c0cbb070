"""The vLLM engine: `AsyncLLM` behind the `Engine` contract, on CPU and GPU.

Only this file and its `vllm_*` neighbours import vllm, and only when an engine starts. It sends
token ids and never text, asks for label probabilities only where they are read (they cost time
per generated token), and owns the processes that vLLM starts: they end with `close()` and with
the process that started them, however that ends.
"""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genprm.engines.base import Capabilities
from genprm.engines.common import check_sampling, one_line
from genprm.errors import ConfigError, EngineError, PromptTooLongError
from genprm.generation import Completion, Generation, Prompt, Sampling

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.lora.request import LoRARequest
    from vllm.outputs import CompletionOutput, RequestOutput
    from vllm.v1.engine.async_llm import AsyncLLM

    from genprm.config.engine import EngineConfig

# Read by vllm when it is imported; a value that the user set stays.
ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # stdout belongs to results
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
}
# vLLM has the model in a process of its own on CPU, so that this can bind threads. That process
# takes as long to start as the engine itself, and while it computes the engine spins on a core.
BINDING = "VLLM_CPU_OMP_THREADS_BIND"
# Python's teardown of a process with vLLM in it takes seconds; killing it earlier leaves shared
# memory behind, which Python's resource tracker reports on the user's terminal.
SHUTDOWN_SECONDS = 15.0
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM's LoRA kernels are built for
LORA_SLOTS = 2  # so that a new adapter version works while requests on the old one finish


class VllmEngine:
    """One model in one vLLM engine. Build it with `await VllmEngine.start(...)`.

    Seeds never reach the engine on CPU (`capabilities.seeds` is False there): under load prompts
    are prefilled in chunks, and a seeded request then kills vLLM's CPU engine for everyone.
    Adapters are named by their directory; write each version to a new one, because vLLM caches
    weights and prefixes by path. On CPU the model runs in the process of the engine's core, with
    OMP_NUM_THREADS threads or one for each core; with VLLM_CPU_OMP_THREADS_BIND in the environment
    it has a process of its own, where vLLM binds threads as that says.
    """

    def __init__(self, llm: AsyncLLM, model: str, tokenizer: Any, capabilities: Capabilities):
        self.name = model
        self.capabilities = capabilities
        self.max_model_len: int = llm.model_config.max_model_len
        self.tokenizer = tokenizer
        self._llm: AsyncLLM | None = llm  # None once closed
        self._running: set[str] = set()  # request ids
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
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        return await asyncio.to_thread(cls._start, config, model, adapter_rank)

    @classmethod
    def _start(cls, config: EngineConfig, model: str, adapter_rank: int | None) -> VllmEngine:
        from transformers import AutoTokenizer
        from vllm import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM
        from vllm.v1.executor.abstract import Executor

        from genprm.engines.vllm_owner import OwnedUniProcExecutor, owned

        on_cpu = current_platform.is_cpu()
        if on_cpu and config.dtype == "auto" and not cpu_computes_bf16():
            config = config.model_copy(update={"dtype": "float32"})
        arguments = engine_arguments(config, model, adapter_rank, on_cpu=on_cpu)
        try:
            tokenizer = AutoTokenizer.from_pretrained(model)
            settings = AsyncEngineArgs(**arguments).create_engine_config()
        except (ValueError, TypeError, OSError) as error:
            raise ConfigError(f"vLLM cannot run {model}: {one_line(error)}") from error
        capabilities = Capabilities(
            label_probs=True, prefill=True, seeds=not on_cpu, lora=adapter_rank is not None
        )
        executor = owned(Executor.get_class(settings))
        chosen = BINDING in os.environ or "distributed_executor_backend" in config.extra
        if on_cpu and settings.parallel_config.world_size == 1 and not chosen:
            executor = OwnedUniProcExecutor
        try:  # no local name for the engine: tracebacks that vLLM keeps would keep it alive
            return cls(
                AsyncLLM(settings, executor, log_stats=False), model, tokenizer, capabilities
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise EngineError(f"vLLM did not start on {model}: {one_line(error)}") from error

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
        from vllm.exceptions import VLLMError
        from vllm.v1.engine.exceptions import EngineDeadError

        check_sampling(sampling)
        room = self.max_model_len - len(prompt.token_ids)
        if room < 1:
            raise PromptTooLongError(len(prompt.token_ids), self.max_model_len)
        lora = await self._adapter(adapter) if adapter is not None else None
        try:
            output = await self._run(prompt, self._params(sampling, room, label_token_ids), lora)
        except EngineDeadError as error:
            raise EngineError(f"the vLLM engine of {self.name} is dead") from error
        except VLLMError as error:
            raise EngineError(f"vLLM refused a request: {one_line(error)}") from error
        return Generation(
            completions=tuple(_completion(one, label_token_ids) for one in output.outputs),
            prompt_tokens=len(prompt.token_ids),
            cached_tokens=output.num_cached_tokens or 0,
        )

    async def check_health(self) -> None:
        """Raise EngineError if the engine is closed or its processes died."""
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            await self._open().check_health()
        except EngineDeadError as error:
            raise EngineError(f"the vLLM engine of {self.name} is dead") from error

    async def close(self) -> None:
        """End the engine's processes, in a few seconds; requests in flight raise EngineError.

        Closing twice does nothing.
        """
        llm, self._llm = self._llm, None
        if llm is None:
            return
        if llm.output_handler is not None:
            llm.output_handler.cancel()  # else it logs the end of the engine as an error
        await asyncio.to_thread(llm.shutdown, timeout=SHUTDOWN_SECONDS)
        await llm.abort(list(self._running))  # wakes the calls that wait for an output
        multiprocessing.active_children()  # reaps the processes

    def _open(self) -> AsyncLLM:
        """The engine, or EngineError once it is closed."""
        if self._llm is None:
            raise EngineError(f"the engine of {self.name} is closed")
        return self._llm

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

    async def _run(
        self, prompt: Prompt, params: SamplingParams, lora: LoRARequest | None
    ) -> RequestOutput:
        from vllm.inputs import tokens_input

        last: RequestOutput | None = None
        request_id = uuid.uuid4().hex
        self._running.add(request_id)
        try:
            async for output in self._open().generate(
                tokens_input(list(prompt.token_ids)), params, request_id, lora_request=lora
            ):
                last = output
        finally:
            self._running.discard(request_id)
        self._open()  # what a closed engine returns is not an answer
        if last is None:
            raise EngineError(f"the vLLM engine of {self.name} gave no output")
        return last

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
                    raise EngineError(f"adapter {path}: {one_line(error)}") from error
                self._adapters[path] = request
            return self._adapters[path]


def cpu_computes_bf16() -> bool:
    """Whether this CPU has bfloat16 instructions; without them each product is 50 times slower
    than in float32."""
    import torch

    cpu = torch.cpu.get_capabilities()
    return bool(cpu.get("amx_bf16") or cpu.get("avx512_bf16"))


def engine_arguments(
    config: EngineConfig, model: str, adapter_rank: int | None, *, on_cpu: bool
) -> dict[str, Any]:
    """The keyword arguments of `AsyncEngineArgs` for a config; `config.extra` has the last word.

    Settings that are null are left to vLLM. Raises ConfigError for a LoRA rank beyond vLLM's, and
    for a number format that its LoRA kernels do not have.
    """
    chosen: dict[str, Any] = {
        "dtype": config.dtype,
        "max_model_len": config.max_model_len,
        "max_num_seqs": config.max_num_seqs,
        "tensor_parallel_size": config.gpu.tensor_parallel_size,
        "block_size": config.block_size,
        "enforce_eager": config.enforce_eager,
    }
    if on_cpu:
        chosen["kv_cache_memory_bytes"] = int(config.cpu.kv_cache_gib * 2**30)
    else:
        chosen["gpu_memory_utilization"] = config.gpu.memory_utilization
    if adapter_rank is not None:
        rank = max(adapter_rank, config.max_lora_rank)
        fitting = [allowed for allowed in LORA_RANKS if allowed >= rank]
        if not fitting:
            raise ConfigError(f"LoRA rank {rank} is more than vLLM's largest, {LORA_RANKS[-1]}")
        chosen |= {"enable_lora": True, "max_lora_rank": fitting[0], "max_loras": LORA_SLOTS}
    given = {name: value for name, value in chosen.items() if value is not None}
    fixed = {"model": model, "enable_prefix_caching": True, "use_tqdm_on_load": False}
    arguments = fixed | given | config.extra
    if adapter_rank is not None and not on_cpu and arguments["dtype"] == "float32":
        raise ConfigError("engine.dtype: vLLM puts no LoRA adapter on a float32 model on GPUs")
    return arguments


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
