"""Which models run, and how an engine runs them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from genprm.config.base import NAMES_A_MODEL, SPEED_ONLY, Section


class ModelsConfig(Section):
    """Which models a stage runs: a directory, a Hugging Face name, or an embedded one."""

    policy: str = Field(default="embedded:base", json_schema_extra=NAMES_A_MODEL)
    """Writes solutions and rollouts, and is what a critic is trained from."""
    critic: str = Field(default="embedded:critic", json_schema_extra=NAMES_A_MODEL)
    """Critiques steps. May be a LoRA adapter directory written by `genprm train`."""


class OpenAIConfig(Section):
    """The engine `openai`: any server that speaks OpenAI's protocol."""

    base_url: str | None = None
    """Where the server answers, such as `http://host:8000/v1`; null is OpenAI itself."""
    api_key_env: str = Field(default="OPENAI_API_KEY", json_schema_extra=SPEED_ONLY)
    """The environment variable that holds the server's key; a config never holds the key itself."""
    timeout_s: float = Field(default=120, gt=0, json_schema_extra=SPEED_ONLY)
    """How long one request may take, in seconds."""
    retries: int = Field(default=15, ge=0, json_schema_extra=SPEED_ONLY)
    """How often a request is sent again to a server that is away, answers too late or says that it
    cannot answer now. The waits between grow to 8 seconds, or are what the server asks for, so that
    15 outlast a minute; a server that never answers is given up after 16 times the time-out."""


class CpuConfig(Section):
    """vLLM on CPUs."""

    kv_cache_gib: float = Field(default=1, gt=0)
    """Memory of the key-value cache in GiB."""


class GpuConfig(Section):
    """vLLM on GPUs."""

    memory_utilization: float = Field(default=0.9, gt=0, le=1)
    """Share of each GPU's memory that the engine may take."""
    tensor_parallel_size: int = Field(default=1, ge=1)
    """GPUs that one copy of the model is split over."""


class EngineConfig(Section):
    """How completions are generated."""

    kind: Literal["vllm", "openai", "scripted"] = "vllm"
    """`vllm` runs the model here, `openai` asks a server, `scripted` calls a Python function."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Number format of weights and activations; `auto` takes the checkpoint's own, and float32 on
    CPUs that compute no bfloat16."""
    max_model_len: int | None = Field(default=1024, ge=1)
    """Context length in tokens, prompt and completion together; null takes the model's own."""
    max_num_seqs: int = Field(default=128, ge=1, json_schema_extra=SPEED_ONLY)
    """Sequences that one engine generates at once."""
    block_size: int | None = Field(default=32, ge=1, json_schema_extra=SPEED_ONLY)
    """Tokens per block of the prefix cache: only whole blocks are reused. Null: the engine's."""
    enforce_eager: bool | None = Field(default=True, json_schema_extra=SPEED_ONLY)
    """True skips compilation: quicker to start, slower to run. Null leaves it to the engine."""
    max_lora_rank: int = Field(default=16, ge=1, json_schema_extra=SPEED_ONLY)
    """The largest rank of a LoRA adapter that the engine must be able to load."""
    cpu: CpuConfig = Field(default=CpuConfig(), json_schema_extra=SPEED_ONLY)
    """vLLM on CPUs."""
    gpu: GpuConfig = Field(default=GpuConfig(), json_schema_extra=SPEED_ONLY)
    """vLLM on GPUs."""
    openai: OpenAIConfig = OpenAIConfig()
    """The engine `openai`: any server that speaks OpenAI's protocol."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the engine: vLLM's `AsyncEngineArgs`; for a server `prefill`,
    `tokenizer` and fields of the request body; `script` and `label_probs` of a scripted one."""
