"""What `cluster.stages.progress` shows during training: step, loss, rate, the time left, and
failures so far.

Rank 0 and Ray Train's controller write to a `Board`, which runs as a Ray actor and which the
driver reads. Knows the numbers, not what is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cluster.stages.progress import Line, format_seconds

if TYPE_CHECKING:
    from genprm.training.progress import Progress

PLAIN_SECONDS = 5.0  # between two lines where the output is a file
REASON_LENGTH = 80  # characters of a failure's reason that are shown


class Board:
    """The latest progress, None before the first step, and the reasons of failures so far.

    Rank 0 and the controller write it, the driver reads it.
    """

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
        """The arguments of `format_line`."""
        return self._latest, self._failures


def format_line(now: Progress | None, failures: Sequence[str] = ()) -> Line:
    """What to show of a training."""
    failure = f"failure {len(failures)}: {failures[-1][:REASON_LENGTH]}" if failures else ""
    if now is None:
        return Line("train", 0, None, ("starting",), failure)
    facts = [
        f"step {now.step:,}/{now.steps:,}",
        f"loss {now.loss:.3f}",
        f"{now.tokens_per_second:,.0f} tokens/s",
    ]
    if now.step < now.steps:
        facts.append(f"{format_seconds(now.seconds_left)} left")
    return Line("train", now.step, now.steps, tuple(facts), failure)


def last_line(errors: Mapping[int, Exception]) -> str:
    """Why workers failed: the last line of the first worker's error, which may be a traceback."""
    error = errors[min(errors)]
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
