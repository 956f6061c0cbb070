"""TRL's SFTTrainer with weighted tokens and batches of similar length.

Imports trl and torch: `genprm.training.sft` loads this module when it builds a trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

# Batches are cut from so many rows sorted by length: on critique targets this leaves a few per
# cent of padding, where random batches have a quarter.
POOL_BATCHES = 50


class WeightedCollator(DataCollatorForLanguageModeling):
    """Pads rows like TRL and keeps the `weights` of their tokens."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        weights = [torch.tensor(example["weights"]) for example in examples]
        batch["weights"] = torch.nn.utils.rnn.pad_sequence(weights, batch_first=True)
        return batch


class LengthGroupedRows(torch.utils.data.Sampler[int]):
    """Row numbers such that consecutive `batch_size` rows have similar lengths.

    Rows are shuffled, sorted by length within pools, cut into batches, and the batches shuffled
    again (transformers' own sampler leaves them sorted: every pool would begin with its longest
    rows). The order depends on seed and epoch alone, so that a resumed run continues in it.
    """

    def __init__(
        self, lengths: list[int], batch_size: int, seed: int, epoch: Callable[[], int]
    ) -> None:
        self._lengths, self._size, self._seed, self._epoch = lengths, batch_size, seed, epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 10_007 + self._epoch())
        rows = torch.randperm(len(self._lengths), generator=generator).tolist()
        pool = self._size * POOL_BATCHES
        batches: list[list[int]] = []
        for start in range(0, len(rows), pool):
            by_length = sorted(rows[start : start + pool], key=self._lengths.__getitem__)
            batches += [
                by_length[at : at + self._size] for at in range(0, len(by_length), self._size)
            ]
        # the batch that is not full comes last, or each batch after it would mix two of these
        full = len(rows) // self._size
        for at in torch.randperm(full, generator=generator).tolist():
            yield from batches[at]
        for batch in batches[full:]:
            yield from batch


class CriticTrainer(SFTTrainer):
    """SFTTrainer for prepared rows (`genprm.training.sft.prepare_dataset`)."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        if "weights" in self.train_dataset.column_names:
            self.data_collator = WeightedCollator(pad_token_id=self.processing_class.pad_token_id)

    def create_model_card(self, *names: Any, **more: Any) -> None:
        """Writes none: the manifest says what a critic is."""

    def _send_telemetry(self) -> None:
        """Sends none: who trains what stays private."""

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedRows:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        args = self.args
        # a whole optimizer step, so that the order does not depend on how it is divided
        rows = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        # on resume `state.epoch` is set before any callback or `set_epoch` is called
        return LengthGroupedRows(
            list(dataset["length"]), rows, args.seed, lambda: int(self.state.epoch or 0)
        )

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """TRL's loss; with weights, each token's loss times its weight."""
        weights = inputs.pop("weights", None)
        if weights is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs.pop("labels")[:, 1:]
        outputs = model(**inputs, use_cache=False)
        token_losses = torch.nn.functional.cross_entropy(
            outputs.logits[:, :-1].float().transpose(1, 2), labels, reduction="none"
        )
        count = (labels != -100).sum() if num_items_in_batch is None else num_items_in_batch
        loss = (token_losses * weights[:, 1:]).sum() / count
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # DDP averages, `count` is a sum
        return (loss, outputs) if return_outputs else loss
