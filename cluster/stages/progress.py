"""What a stage shows while it runs: what is done, at what rate, and the time left.

Engine actors report finished rows to a `Board`, a plain counter that runs as a Ray actor. A thread
of the driver asks it and shows the answer. Knows nothing of engines or of what a row is.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TextIO

from genprm.report.terminal import open_console, visible

if TYPE_CHECKING:
    from rich.console import RenderableType

TTY_SECONDS = 0.5  # between two repaints on a terminal
PLAIN_SECONDS = 15.0  # between two lines where the output is a file
BAR_WIDTH = 24


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
        """Count an engine that died while it worked on these blocks.

        Returns:
            How many engines have died over the one of these blocks that has seen most die. Deaths
            are counted per block, because a row that kills every engine keeps its block from ever
            being finished, while other rows go on.
        """
        self._deaths.update(blocks)
        return max((self._deaths[block] for block in blocks), default=0)

    def fatal(self, error: Exception) -> None:
        """Keep the error that ends the stage; the first one counts."""
        self._fatal = self._fatal or error

    def fatal_error(self) -> Exception | None:
        """The first error that `fatal` was called with; None without one."""
        return self._fatal

    def snapshot(self) -> Snapshot:
        """The totals so far."""
        seconds = time.monotonic() - self._ready_at if self._ready_at is not None else 0.0
        return replace(self._total, seconds=seconds)


@dataclass(frozen=True, slots=True)
class Line:
    """One moment of a run; `str` gives it as one plain line.

    Attributes:
        total: how much there is to do; None while that is not known.
        facts: what is done, rates and times, in the order in which they are shown.
        failure: what went wrong so far, if anything did.
    """

    name: str
    done: int
    total: int | None
    facts: tuple[str, ...]
    failure: str = ""

    def __str__(self) -> str:
        shown = filter(None, (*self.facts, visible(self.failure)))
        return f"{self.name:<7} {'  '.join(shown)}"


def format_line(stage: str, now: Snapshot, done_before: int, total: int) -> Line:
    """What to show of a stage.

    Rows that an earlier run finished (`done_before`) count as done, but not for the rates.
    """
    done = min(total, done_before + now.rows)  # a dead engine's rows are done twice
    facts = [f"{done:,}/{total:,} rows"]
    if now.rows == 0:
        states = {"waiting": "starting", "starting": "starting the engine", "ready": "running"}
        facts.append(states[now.engine])
    elif now.seconds > 0:
        rate = now.rows / now.seconds
        facts.append(f"{rate:.1f} rows/s")
        if now.completion_tokens:
            facts.append(f"{now.completion_tokens / now.seconds:,.0f} tokens/s")
        if done < total:
            facts.append(f"{format_seconds((total - done) / rate)} left")
    failure = f"{now.failed:,} failed" if now.failed else ""
    return Line(stage, done, total, tuple(facts), failure)


def format_seconds(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class ProgressLine:
    """Shows what `read` returns, from a thread of its own, between `__enter__` and `__exit__`.

    A terminal has a line with a bar that is repainted. A file gets a plain line every
    `plain_seconds`, if it differs from the one before.
    """

    def __init__(
        self,
        read: Callable[[], Line],
        stream: TextIO | None = None,
        plain_seconds: float = PLAIN_SECONDS,
    ):
        # rich's own progress keeps its own counts; `Live` repaints what it is handed
        from rich.live import Live

        self._read, self._plain_seconds = read, plain_seconds
        self._stream = stream or sys.stderr
        console = open_console(self._stream)
        repaints = console.is_terminal and not console.is_dumb_terminal
        self._live: Live | None = None
        if repaints:
            # what is printed meanwhile appears above the line; a file keeps what is printed to it
            redirect = sys.stdout.isatty()
            self._live = Live(console=console, auto_refresh=False, redirect_stdout=redirect)
        self._last = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> ProgressLine:
        if self._live is not None:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._stop.set()
        self._thread.join()
        try:
            if kind is None:
                self._show()
        finally:
            if self._live is not None:
                self._live.stop()

    def _loop(self) -> None:
        period = TTY_SECONDS if self._live is not None else self._plain_seconds
        wait = TTY_SECONDS  # the first line comes at once, to show that something happens
        while not self._stop.wait(wait):
            self._show()
            wait = period

    def _show(self) -> None:
        line = self._read()
        if self._live is not None:
            self._live.update(draw_line(line), refresh=True)
        elif str(line) != self._last:
            self._last = str(line)
            self._stream.write(f"{self._last}\n")
            self._stream.flush()


def draw_line(line: Line) -> RenderableType:
    """The line with a bar, for a terminal, and failures below it; what does not fit is cut."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    bar = ProgressBar(
        total=line.total,
        completed=line.done,
        width=BAR_WIDTH,
        complete_style="cyan",
        finished_style="green",
        pulse=line.total is None,
        animation_time=time.monotonic(),
    )
    facts = Text("  ".join(line.facts), no_wrap=True, overflow="ellipsis")
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text(f"{line.name:<7}", style="bold"), bar, facts)
    if not line.failure:
        return grid
    failure = Text(visible(line.failure), style="red", no_wrap=True, overflow="ellipsis")
    return Group(grid, failure)
