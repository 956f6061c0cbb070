"""One vLLM `AsyncLLM` and its processes: how they start, whether they live, how they end.

`vllm` (generation) and `vllm_pooling` are built on this. These files and `vllm_owner` are the only
ones that import vllm, and only when an engine starts. The processes that vLLM starts end with
`close()` and with the process that started them, however that ends.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import uuid
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar

from genprm.engines.base import Capabilities
from genprm.engines.common import MESSAGE_LIMIT
from genprm.errors import ConfigError, EngineError, one_line
from genprm.models.tokenizers import load_tokenizer
from genprm.util.hardware import cpu_has_bf16

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

    from genprm.config.engine import EngineConfig

T = TypeVar("T")
# vllm reads these when it is imported; a value that the user set stays.
ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # stdout belongs to results
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
}
# On CPU vLLM puts the model into a process of its own, so that it can bind threads. That process
# takes as long to start as the engine itself, and while it computes the engine spins on a core.
BINDING = "VLLM_CPU_OMP_THREADS_BIND"
# Python's teardown of a process with vLLM in it takes seconds; killing it earlier leaves shared
# memory, which Python's resource tracker reports on the user's terminal.
SHUTDOWN_SECONDS = 15.0
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM's LoRA kernels are built for
LORA_SLOTS = 2  # so that a new adapter version works while requests on the old one finish


class VllmProcess:
    """The part of an engine that does not depend on what is asked of the model.

    On CPU the model runs in the process of the engine's core, with OMP_NUM_THREADS threads or one
    for each core; with VLLM_CPU_OMP_THREADS_BIND in the environment it has a process of its own,
    where vLLM binds threads as that says.
    """

    def __init__(self, llm: AsyncLLM, model: str, tokenizer: Any, capabilities: Capabilities):
        self.name = model
        self.capabilities = capabilities
        self.max_model_len: int = llm.model_config.max_model_len
        self.tokenizer = tokenizer
        self._llm: AsyncLLM | None = llm  # None once closed
        self._running: set[str] = set()  # request ids

    @classmethod
    def _launch(cls, model: str, arguments: dict[str, Any], capabilities: Capabilities) -> Self:
        """Start vLLM with these arguments of `AsyncEngineArgs`; blocks until it is up.

        Raises:
            ConfigError: settings or a model that vLLM refuses.
            EngineError: the processes did not come up.
        """
        from vllm import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM
        from vllm.v1.executor.abstract import Executor

        from genprm.engines.vllm_owner import OwnedUniProcExecutor, owned

        tokenizer = load_tokenizer(model)
        try:
            settings = AsyncEngineArgs(**arguments).create_engine_config()
        except (ValueError, TypeError, OSError) as error:
            reason = one_line(error, MESSAGE_LIMIT)
            raise ConfigError(f"vLLM cannot run {model}: {reason}") from error
        executor = owned(Executor.get_class(settings))
        user_decides = BINDING in os.environ or "distributed_executor_backend" in arguments
        one_process = current_platform.is_cpu() and settings.parallel_config.world_size == 1
        if one_process and not user_decides:
            executor = OwnedUniProcExecutor
        try:  # no local name for the engine: tracebacks that vLLM keeps would keep it alive
            return cls(
                AsyncLLM(settings, executor, log_stats=False), model, tokenizer, capabilities
            )
        except (RuntimeError, ValueError, OSError) as error:
            reason = one_line(error, MESSAGE_LIMIT)
            raise EngineError(f"vLLM did not start on {model}: {reason}") from error

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

    async def _last_output(self, request: Callable[[AsyncLLM, str], AsyncGenerator[T]]) -> T:
        """The last output of one request, which is called with the engine and a request id.

        Raises:
            EngineError: the engine is dead or closed, or refused the request.
        """
        from vllm.exceptions import VLLMError
        from vllm.v1.engine.exceptions import EngineDeadError

        last: T | None = None
        request_id = uuid.uuid4().hex
        self._running.add(request_id)
        try:
            async for output in request(self._open(), request_id):
                last = output
        except EngineDeadError as error:
            raise EngineError(f"the vLLM engine of {self.name} is dead") from error
        except VLLMError as error:
            reason = one_line(error, MESSAGE_LIMIT)
            raise EngineError(f"vLLM refused a request: {reason}") from error
        finally:
            self._running.discard(request_id)
        self._open()  # what a closed engine returns is not an answer
        if last is None:
            raise EngineError(f"the vLLM engine of {self.name} gave no output")
        return last

    def _open(self) -> AsyncLLM:
        """The engine, or EngineError once it is closed."""
        if self._llm is None:
            raise EngineError(f"the engine of {self.name} is closed")
        return self._llm


def import_vllm() -> bool:
    """Import vllm, quietly; whether it computes on CPUs."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def engine_arguments(
    config: EngineConfig, model: str, adapter_rank: int | None, *, on_cpu: bool
) -> dict[str, Any]:
    """The keyword arguments of `AsyncEngineArgs` for a config; `config.extra` has the last word.

    Settings that are null are left to vLLM. `dtype` auto is float32 on a CPU without bfloat16
    instructions. Raises ConfigError for a LoRA rank beyond vLLM's, and for a number format that
    its LoRA kernels do not have.
    """
    settings: dict[str, Any] = {
        "dtype": config.dtype,
        "max_model_len": config.max_model_len,
        "max_num_seqs": config.max_num_seqs,
        "tensor_parallel_size": config.gpu.tensor_parallel_size,
        "block_size": config.block_size,
        "enforce_eager": config.enforce_eager,
    }
    if on_cpu:
        settings["kv_cache_memory_bytes"] = int(config.cpu.kv_cache_gib * 2**30)
        if config.dtype == "auto" and not cpu_has_bf16():
            settings["dtype"] = "float32"
    else:
        settings["gpu_memory_utilization"] = config.gpu.memory_utilization
    if adapter_rank is not None:
        rank = max(adapter_rank, config.max_lora_rank)
        fitting = [allowed for allowed in LORA_RANKS if allowed >= rank]
        if not fitting:
            raise ConfigError(f"LoRA rank {rank} is more than vLLM's largest, {LORA_RANKS[-1]}")
        settings |= {"enable_lora": True, "max_lora_rank": fitting[0], "max_loras": LORA_SLOTS}
    settings = {name: value for name, value in settings.items() if value is not None}
    fixed = {"model": model, "enable_prefix_caching": True, "use_tqdm_on_load": False}
    arguments = fixed | settings | config.extra
    if adapter_rank is not None and not on_cpu and arguments["dtype"] == "float32":
        raise ConfigError("engine.dtype: vLLM puts no LoRA adapter on a float32 model on GPUs")
    return arguments
