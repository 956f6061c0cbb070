"""What the driver hands to a training worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genprm.config.train import TrainConfig
from genprm.training.base import Kind

if TYPE_CHECKING:
    from ray.actor import ActorHandle
    from transformers import TrainerCallback


@dataclass(frozen=True, slots=True)
class TrainJob:
    """All that a worker needs. `model` is what it loads, `base` what an adapter will name."""

    kind: Kind[Any]
    config: TrainConfig
    model: str
    base: str
    dataset: Any  # reference to a datasets.Dataset in Ray's object store
    node_cpus: int  # logical CPUs of the largest node
    board: ActorHandle
    callbacks: tuple[TrainerCallback, ...]
