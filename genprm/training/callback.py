"""Reports progress from inside any of transformers' trainers. Imports transformers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from genprm.training.progress import Progress


class ProgressCallback(TrainerCallback):
    """Reports progress to a function whenever a loss is logged."""

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report = report
        self._begun = 0.0
        self._step_before = 0
        self._tokens_before = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        self._begun = time.monotonic()
        self._step_before = state.global_step
        self._tokens_before = int(state.num_input_tokens_seen)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        loss = (more.get("logs") or {}).get("loss")
        if loss is None or not state.is_world_process_zero:
            return
        seconds = max(time.monotonic() - self._begun, 1e-9)
        tokens = int(state.num_input_tokens_seen)
        steps_done = max(state.global_step - self._step_before, 1)
        self._report(
            Progress(
                step=state.global_step,
                steps=state.max_steps,
                loss=float(loss),
                tokens=tokens,
                tokens_per_second=(tokens - self._tokens_before) / seconds,
                seconds_left=seconds / steps_done * (state.max_steps - state.global_step),
            )
        )
