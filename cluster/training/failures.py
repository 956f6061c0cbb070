"""Reports failed workers to the board of a training. Ray Train resumes from a checkpoint by itself,
and without this only a step that goes back would show it. Runs in Ray Train's controller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray.train import UserCallback

from cluster.training.progress import last_line

if TYPE_CHECKING:
    from ray.actor import ActorHandle


class TellFailures(UserCallback):
    """For `RunConfig(callbacks=...)`; `board` is a `progress.Board` as a Ray actor."""

    def __init__(self, board: ActorHandle) -> None:
        self._board = board

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """One failure, of however many workers."""
        self._board.failed.remote(last_line(worker_exceptions))
