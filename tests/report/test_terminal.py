"""Tables as text: aligned, the same in every file, and never more than the text that they show."""

from __future__ import annotations

import io
import re

import pytest

from genprm.report.terminal import FILE_WIDTH, print_table, visible
from genprm.util.stats import Estimate
from goldens import golden


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def drawn(rows, stream=None):
    stream = stream or io.StringIO()
    print_table(rows, stream)
    return stream.getvalue()


ROWS = [
    {"critic": "shipped", "n": 1200, "F1": Estimate(0.924, 0.9, 0.941)},
    {"critic": "quickstart critic", "n": 200, "F1": Estimate(None), "seconds": 12.34},
    {"critic": "[bold]a[/] \x1b[31m [/]", "n": None, "F1": Estimate(0.5)},
]


def test_a_table_in_a_file(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "30")
    text = drawn(ROWS)
    golden("table", text)
    assert "\x1b" not in text


def test_a_table_prints_to_the_stdout_of_now(capsys):
    print_table([{"stage": "label", "rows": 3}])
    assert capsys.readouterr().out.splitlines()[-1].split() == ["label", "3"]


@pytest.mark.parametrize("name", ["", "x" * 1000, "many words " * 100])
def test_a_wide_cell_is_folded(name):
    lines = drawn([{"critic": name, "n": 1}]).splitlines()
    assert max(map(len, lines)) <= FILE_WIDTH
    text = "".join(line.removesuffix("1").replace(" ", "") for line in lines[2:])
    assert text == name.replace(" ", "")


def test_a_terminal_has_a_bold_header_and_its_own_width(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    assert "\x1b[1m" in drawn(ROWS, Terminal())
    assert "\x1b[31m" not in drawn(ROWS, Terminal())  # of a cell
    monkeypatch.setenv("COLUMNS", "40")
    lines = re.sub(r"\x1b\[[0-9]*m", "", drawn(ROWS, Terminal())).splitlines()
    assert max(map(len, lines)) <= 40


def test_visible_text_is_one_line_without_control_characters():
    assert visible("a\n b\tc \x07\x9b2J\u202e–é") == "a b c \\x07\\x9b2J\\u202e–é"
