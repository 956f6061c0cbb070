"""The progress line."""

from __future__ import annotations

import io

from cluster.stages.progress import Board, ProgressLine, Snapshot, clock, format_line


def test_the_line_shows_rows_rates_and_the_time_left() -> None:
    now = Snapshot(rows=30, failed=2, completion_tokens=6000, engine="ready", seconds=10)
    line = format_line("label", now, done_before=10, total=100)
    assert line == "label   40/100 rows  3.0 rows/s  600 tokens/s  0:20 left  2 failed"


def test_the_line_says_what_is_waited_for() -> None:
    assert format_line("solve", Snapshot(engine="starting"), 5, 10) == (
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


def test_where_the_output_is_a_file_lines_are_plain() -> None:
    stream = io.StringIO()
    with ProgressLine(lambda: "score   4/4 rows", stream):
        pass
    assert stream.getvalue() == "score   4/4 rows\n"


def test_clock() -> None:
    assert [clock(5), clock(65.9), clock(3700)] == ["0:05", "1:05", "1:01:40"]
