"""Callbacks that tests of Ray training put into the workers: they record steps, and kill."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from transformers import TrainerCallback


class Recorder(TrainerCallback):
    """Appends the number of every finished step to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        with self._file.open("a") as stream:
            stream.write(f"{state.global_step}\n")

    @staticmethod
    def steps(file: Path) -> list[int]:
        return [int(line) for line in file.read_text().split()]


class KillOnce(TrainerCallback):
    """At a step, once: this worker dies, or a given process is killed."""

    def __init__(self, marker: Path, step: int, pid: int | None = None) -> None:
        self._marker, self._step, self._pid = marker, step, pid

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if state.global_step != self._step or self._marker.exists():
            return
        self._marker.touch()
        if self._pid is None:
            os._exit(1)
        os.kill(self._pid, signal.SIGKILL)
        signal.pause()  # until the death of the driver reaches this worker
