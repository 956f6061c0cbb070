"""Which models run, and how an engine runs them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from genprm.config.base import Section


class ModelsConfig(Section):
    """Which models a stage runs: a directory, a Hugging Face name, or an embedded one."""

    policy: str = "embedded:base"
    """Writes solutions and rollouts, and is what a critic is trained from."""
    critic: str = "embedded:critic"
    """Critiques steps. May be a LoRA adapter directory written by `genprm train`."""


class EngineConfig(Section):
    """How completions are generated."""

    kind: Literal["vllm", "openai", "scripted"] = "vllm"
    """`vllm` runs the model here, `openai` asks a server, `scripted` calls a Python function."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Number format of weights and activations; `auto` takes the checkpoint's own, and float32 on
    CPUs that compute no bfloat16."""
    max_model_len: int | None = Field(default=1024, ge=1)
    """Context length in tokens, prompt and completion together; null takes the model's own."""
    max_num_seqs: int = Field(default=128, ge=1)
    """Sequences that one engine generates at once."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    """Share of each GPU's memory that the engine may take (GPU only)."""
    tensor_parallel_size: int = Field(default=1, ge=1)
    """GPUs that one copy of the model is split over."""
    kv_cache_gib: float = Field(default=1, gt=0)
    """Memory of the key-value cache in GiB (CPU only)."""
    block_size: int | None = Field(default=32, ge=1)
    """Tokens per block of the prefix cache: only whole blocks are reused. Null: the engine's."""
    enforce_eager: bool | None = True
    """True skips compilation: quicker to start, slower to run. Null leaves it to the engine."""
    base_url: str | None = None
    """Where an OpenAI-compatible server answers, such as `http://host:8000/v1`."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the server's key; keys never stand in a config."""
    request_timeout_s: float = Field(default=120, gt=0)
    """How long one request to a server may take, in seconds."""
    request_retries: int = Field(default=15, ge=0)
    """How often a request is sent again to a server that is away, answers too late or says that it
    cannot answer now. The waits between grow to 8 seconds, or are what the server asks for, so that
    15 outlast a minute; a server that never answers is given up after 16 times the time-out."""
    max_lora_rank: int = Field(default=16, ge=1)
    """The largest rank of a LoRA adapter that the engine must be able to load."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the engine: vLLM's `AsyncEngineArgs`; for a server `prefill`,
    `tokenizer` and fields of the request body; `script` and `label_probs` of a scripted one."""
