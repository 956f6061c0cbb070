"""How a critic is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genprm.config.base import NAMES_A_MODEL, SPEED_ONLY, Section


class LoraConfig(Section):
    """The adapter that `method: lora` trains."""

    r: int = Field(default=16, ge=1)
    """Rank of the adapter."""
    alpha: float = Field(default=32, gt=0)
    """Scale of the adapter; its update is multiplied by alpha / rank."""


class TrainConfig(Section):
    """How a critic is fine-tuned."""

    kind: str = "critic"
    """What is trained: `critic`, by supervised fine-tuning on critiques."""
    method: Literal["full", "lora"] = "full"
    """Train all weights, or a LoRA adapter."""
    lora: LoraConfig = LoraConfig()
    """The adapter that `method: lora` trains."""
    init: str | None = Field(default=None, json_schema_extra=NAMES_A_MODEL)
    """The model that training starts from; null takes `models.policy`."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """Peak learning rate."""
    epochs: float = Field(default=3, gt=0)
    """Passes over the training rows."""
    batch_size: int = Field(default=32, ge=1)
    """Rows per optimizer step, over all workers."""
    micro_batch_size: int = Field(default=32, ge=1, json_schema_extra=SPEED_ONLY)
    """Rows that one worker holds in memory at once."""
    max_length: int = Field(default=1024, ge=1)
    """Longest training row in tokens; longer rows are dropped and counted."""
    warmup_ratio: float = Field(default=0.05, ge=0, le=1)
    """Share of the steps over which the learning rate rises."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Weight decay of AdamW."""
    verdict_weight: float = Field(default=1.0, gt=0)
    """Loss of the token that decides a verdict, a critique's other tokens having 1."""
    save_steps: int = Field(default=200, ge=1, json_schema_extra=SPEED_ONLY)
    """Optimizer steps between two checkpoints."""
    seed: int = 0
    """Seed of the order of rows and of new weights."""
    num_workers: int = Field(default=1, ge=1, json_schema_extra=SPEED_ONLY)
    """Ray Train workers, one per GPU where there are GPUs."""
    bf16: bool | None = None
    """Compute in bfloat16; null does so where it is the quicker one."""
