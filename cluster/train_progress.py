"""What `cluster.progress` shows while a critic trains: step, loss, rate and the time left.

Rank 0 tells a `Board`, which runs as a Ray actor and which the driver asks. Knows the numbers,
not what is trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.progress import clock

if TYPE_CHECKING:
    from genprm.training.trainer import Progress

PLAIN_SECONDS = 5.0  # between two lines where the output is a file


class Board:
    """The latest progress: written by rank 0, read by the driver."""

    def __init__(self) -> None:
        self._latest: Progress | None = None

    def tell(self, progress: Progress) -> None:
        """Replace what stands here."""
        self._latest = progress

    def read(self) -> Progress | None:
        """None before the first step."""
        return self._latest


def format_line(now: Progress | None) -> str:
    """The progress line."""
    if now is None:
        return "train   starting"
    parts = [f"train   step {now.step:,}/{now.steps:,}", f"loss {now.loss:.3f}"]
    parts.append(f"{now.tokens_per_second:,.0f} tokens/s")
    if now.step < now.steps:
        parts.append(f"{clock(now.seconds_left)} left")
    return "  ".join(parts)
