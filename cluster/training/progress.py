"""What `cluster.stages.progress` shows during training: step, loss, rate, the time left, and
failures so far.

Rank 0 and Ray Train's controller write to a `Board`, which runs as a Ray actor and which the
driver reads. Knows the numbers, not what is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cluster.stages.progress import clock

if TYPE_CHECKING:
    from genprm.training.progress import Progress

PLAIN_SECONDS = 5.0  # between two lines where the output is a file
REASON_LENGTH = 80  # characters of a failure's reason in the line


class Board:
    """The latest progress, None before the first step, and the reasons of failures so far: written
    by rank 0 and by the controller, read by the driver."""

    def __init__(self) -> None:
        self._latest: Progress | None = None
        self._failures: list[str] = []

    def tell(self, progress: Progress) -> None:
        """Replace the latest progress."""
        self._latest = progress

    def failed(self, reason: str) -> None:
        """Workers failed; Ray Train goes on from the last checkpoint, or gives up."""
        self._failures.append(reason)

    def read(self) -> tuple[Progress | None, Sequence[str]]:
        """What `format_line` shows."""
        return self._latest, self._failures


def format_line(now: Progress | None, failures: Sequence[str] = ()) -> str:
    """The progress line."""
    parts = ["train   starting"]
    if now is not None:
        parts = [f"train   step {now.step:,}/{now.steps:,}", f"loss {now.loss:.3f}"]
        parts.append(f"{now.tokens_per_second:,.0f} tokens/s")
        if now.step < now.steps:
            parts.append(f"{clock(now.seconds_left)} left")
    if failures:
        parts.append(f"failure {len(failures)}: {failures[-1][:REASON_LENGTH]}")
    return "  ".join(parts)


def last_line(errors: Mapping[int, Exception]) -> str:
    """Why workers failed: the last line of the first one's error, which may be a traceback."""
    error = errors[min(errors)]
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
