"""What a stage shows while it runs: on a terminal, and in the file that takes its place."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys

import pytest

from cluster.stages.progress import (
    Board,
    Line,
    ProgressLine,
    Snapshot,
    draw_line,
    format_line,
    format_seconds,
)
from genprm.report.terminal import open_console
from places import ROOT


def test_the_line_shows_rows_rates_and_the_time_left() -> None:
    now = Snapshot(rows=30, failed=2, completion_tokens=6000, engine="ready", seconds=10)
    line = format_line("label", now, done_before=10, total=100)
    assert str(line) == "label   40/100 rows  3.0 rows/s  600 tokens/s  0:20 left  2 failed"
    assert (line.done, line.total, line.failure) == (40, 100, "2 failed")


def test_the_line_says_what_is_waited_for() -> None:
    assert str(format_line("solve", Snapshot(engine="starting"), 5, 10)) == (
        "solve   5/10 rows  starting the engine"
    )


def test_the_board_counts_rows_and_deaths_per_block() -> None:
    board = Board()
    assert (board.died(["a", "b"]), board.died(["b", "c"])) == (1, 2)
    board.engine("ready")
    board.row(True, 5, 7)
    assert board.died(["c", "d"]) == 2  # c has seen two
    assert board.died(["e"]) == 1
    shown = board.snapshot()
    assert (shown.rows, shown.failed, shown.completion_tokens) == (1, 1, 7)


HALF = Line("score", 2, 4, ("2/4 rows", "1.0 rows/s"), "1 failed")


def test_where_the_output_is_a_file_lines_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # set where tests run for others; a file stays plain
    stream = io.StringIO()
    with ProgressLine(lambda: HALF, stream):
        pass
    assert stream.getvalue() == "score   2/4 rows  1.0 rows/s  1 failed\n"


SHOW = """
import sys
from cluster.stages.progress import Line, ProgressLine
with ProgressLine(lambda: Line("score", 2, 4, ("2/4 rows", "1.0 rows/s"), "1 failed")):
    print("a warning", file=sys.stderr)
"""


@pytest.mark.parametrize("colour", [True, False])
def test_a_terminal_has_a_bar_that_is_repainted(colour: bool) -> None:
    main, terminal = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {
        "TERM": "xterm",
        "COLUMNS": "100",
        **({} if colour else {"NO_COLOR": "1"}),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", SHOW], cwd=ROOT, env=environment, stderr=terminal
    )
    os.close(terminal)
    parts = []
    try:
        while part := os.read(main, 65536):
            parts.append(part)
    except OSError:  # how Linux says that the other side has closed
        pass
    os.close(main)
    assert process.wait() == 0
    shown = b"".join(parts).decode()
    assert ("\x1b[31m" in shown) == colour  # the failure in red
    plain = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", shown)
    assert "a warning\r\n" in plain
    assert re.search(r"score   ━+.* 2/4 rows  1\.0 rows/s *\r\n1 failed", plain)


@pytest.mark.parametrize("width", [20, 40, 60])
def test_what_a_narrow_terminal_has_no_room_for_is_cut(width: int) -> None:
    console = open_console(io.StringIO())
    console.width = width
    with console.capture() as captured:
        console.print(draw_line(HALF))
    line, failure = captured.get().splitlines()
    assert len(line) <= width and "score" in line and failure == "1 failed"


def test_markup_and_control_codes_in_a_reason_are_inert() -> None:
    line = Line("train", 1, 2, ("step 1/2",), "failure 1: [bold] [/] \x1b[31m \x07 a\nb")
    shown = "failure 1: [bold] [/] \\x1b[31m \\x07 a b"
    assert str(line) == f"train   step 1/2  {shown}"
    console = open_console(io.StringIO())
    with console.capture() as captured:
        console.print(draw_line(line))
    assert captured.get().splitlines()[-1] == shown


def test_seconds() -> None:
    assert [format_seconds(s) for s in (5, 65.9, 3700)] == ["0:05", "1:05", "1:01:40"]
