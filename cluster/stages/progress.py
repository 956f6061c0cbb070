"""One live line per stage: what is done, at what rate, and the time left.

Engine actors report finished rows to a `Board`, a plain counter that runs as a Ray actor; a
thread of the driver asks it and writes the line. Knows nothing of engines or of what a row is.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

TTY_SECONDS = 0.5  # between two repaints of the line
PLAIN_SECONDS = 15.0  # between two lines where the output is a file


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Totals of one run so far.

    `engine` is `waiting`, `starting` or `ready`; `seconds` counts from when it was first ready.
    """

    rows: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    engine: str = "waiting"
    seconds: float = 0.0


class Board:
    """Counts what actors report; lives in an actor of its own, so calls never overlap."""

    def __init__(self) -> None:
        self._total = Snapshot()
        self._ready_at: float | None = None
        self._deaths: Counter[str] = Counter()
        self._fatal: Exception | None = None

    def engine(self, state: str) -> None:
        """An engine begins to start (`starting`) or serves (`ready`)."""
        if state == "ready" and self._ready_at is None:
            self._ready_at = time.monotonic()
        self._total = replace(self._total, engine=state)

    def row(self, failed: bool, prompt_tokens: int, completion_tokens: int) -> None:
        """One row is finished."""
        total = self._total
        self._total = replace(
            total,
            rows=total.rows + 1,
            failed=total.failed + failed,
            prompt_tokens=total.prompt_tokens + prompt_tokens,
            completion_tokens=total.completion_tokens + completion_tokens,
        )

    def died(self, blocks: Sequence[str]) -> int:
        """Count an engine that died over these blocks; returns how many one of them has seen die.

        Per block, because a row that kills every engine keeps its block from ever being finished,
        while other rows go on."""
        self._deaths.update(blocks)
        return max((self._deaths[block] for block in blocks), default=0)

    def fatal(self, error: Exception) -> None:
        """Keep the error that ends the stage; the first one counts."""
        self._fatal = self._fatal or error

    def fatal_error(self) -> Exception | None:
        """What `fatal` was told, if anything."""
        return self._fatal

    def snapshot(self) -> Snapshot:
        """The totals so far."""
        seconds = time.monotonic() - self._ready_at if self._ready_at is not None else 0.0
        return replace(self._total, seconds=seconds)


def format_line(stage: str, now: Snapshot, done_before: int, total: int) -> str:
    """The progress line; rows that an earlier run finished count as done, not for the rates."""
    done = min(total, done_before + now.rows)  # a dead engine's rows are done twice
    parts = [f"{stage:<7} {done:,}/{total:,} rows"]
    if now.rows == 0:
        state = {"waiting": "starting", "starting": "starting the engine", "ready": "running"}
        parts.append(state[now.engine])
    elif now.seconds > 0:
        rate = now.rows / now.seconds
        parts.append(f"{rate:.1f} rows/s")
        if now.completion_tokens:
            parts.append(f"{now.completion_tokens / now.seconds:,.0f} tokens/s")
        if done < total:
            parts.append(f"{clock((total - done) / rate)} left")
    if now.failed:
        parts.append(f"{now.failed:,} failed")
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


class ProgressLine:
    """Shows what `read` gives from a thread of its own between `__enter__` and `__exit__`.

    On a terminal one line is repainted; elsewhere a new one is written every `plain_seconds`.
    """

    def __init__(
        self,
        read: Callable[[], str],
        stream: TextIO | None = None,
        plain_seconds: float = PLAIN_SECONDS,
    ):
        self._read, self._plain_seconds = read, plain_seconds
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._last = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> ProgressLine:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._stop.set()
        self._thread.join()
        if kind is None:
            self._show()
        if self._live:
            self._stream.write("\n")
            self._stream.flush()

    def _loop(self) -> None:
        period = TTY_SECONDS if self._live else self._plain_seconds
        wait = TTY_SECONDS  # the first line comes at once, to show that something happens
        while not self._stop.wait(wait):
            self._show()
            wait = period

    def _show(self) -> None:
        line = self._read()
        if line == self._last:
            return
        self._last = line
        # \x1b[K clears what a longer line before this one left behind
        self._stream.write(f"\r{line}\x1b[K" if self._live else line + "\n")
        self._stream.flush()
