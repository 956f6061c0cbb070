"""What a training kind is, and what kinds share: prepared rows, batches and steps, losses.

A kind is one module that fills in a `Kind`, and one entry in `genprm.training.KINDS`; the driver
and the workers in `cluster.training` know nothing else of it. Importing this loads no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from genprm.config.root import Config
from genprm.config.train import TrainConfig
from genprm.errors import ConfigError
from genprm.records import CritiqueTarget, Identified

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer, TrainerCallback

Row = TypeVar("Row", bound=CritiqueTarget | Identified)
LOSS_POINTS = 10  # logged losses that the final one is the mean of


class Prepared(NamedTuple):
    """Rows of tokens, and how many training rows were left out because they are too long.

    The dataset has a column `length` in tokens; the other columns are between a kind's `prepare`
    and its trainer.
    """

    dataset: Dataset
    dropped: int


class BuildTrainer(Protocol):
    """How a kind makes its trainer, in every worker."""

    def __call__(
        self,
        model_name: str,
        dataset: Dataset,
        config: TrainConfig,
        output_dir: str | Path,
        *,
        tokenizer: Any = None,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> Trainer:
        """A transformers trainer over a prepared dataset; checkpoints go to `output_dir`."""
        ...


@dataclass(frozen=True, slots=True)
class Kind(Generic[Row]):
    """One kind of training. Its functions are named at the top of a module, since they are pickled
    by name, and load torch only when they are called.

    record: the record of its training rows.
    uses_pack: whether the model answers one prompt pack, which the manifest then names.
    check: raises InputError or ConfigError for rows or settings that cannot work, before anything
        is loaded.
    prepare: rows, the base's tokenizer and the config to rows of tokens; InputError if none is
        left.
    build_trainer: see `BuildTrainer`.
    save: writes the trained model to a directory, with tokenizer; the last argument is what an
        adapter names as its base.
    summary: the metrics of a trained trainer for the manifest.
    """

    record: type[Row]
    uses_pack: bool
    check: Callable[[Sequence[Row], Config], None]
    prepare: Callable[[Sequence[Row], Any, Config], Prepared]
    build_trainer: BuildTrainer
    save: Callable[[Any, Path, str], None]
    summary: Callable[[Any], dict[str, float]]


class Plan(NamedTuple):
    """Rows and steps of a run. One optimizer step takes micro x accumulation x workers rows."""

    micro_batch: int
    accumulation: int
    steps: int


def plan(rows: int, config: TrainConfig) -> Plan:
    """How a run over so many rows is divided. Raises ConfigError if the batch does not divide."""
    micro = min(config.micro_batch_size, config.batch_size // config.num_workers)
    accumulation, rest = divmod(config.batch_size, max(1, micro) * config.num_workers)
    if not micro or rest:
        raise ConfigError(
            f"train.batch_size={config.batch_size} is no multiple of train.micro_batch_size="
            f"{config.micro_batch_size} times train.num_workers={config.num_workers}"
        )
    batches = math.ceil(math.ceil(rows / micro) / config.num_workers)
    steps = math.ceil(config.epochs * math.ceil(batches / accumulation))
    return Plan(micro, accumulation, steps)


def loss_summary(log: Sequence[Mapping[str, Any]], steps: int) -> dict[str, float]:
    """Optimizer steps, and the first and the final loss of a trainer's log."""
    losses = [entry["loss"] for entry in log if "loss" in entry]
    return {
        "steps": steps,
        "first_loss": losses[0],
        "loss": fmean(losses[-LOSS_POINTS:]),
    }
