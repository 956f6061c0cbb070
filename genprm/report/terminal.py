"""Tables and text for people at a terminal, or for the file or pipe that takes its place.

rich measures widths, folds what is too wide and colours; it is imported when there is something to
draw. A file gets the same text without colour, in a width that does not depend on where the command
ran. Text that somebody else wrote is shown as it is: rich's markup in it means nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TextIO

from genprm.report.tables import TableRow, cell_text, columns_of, is_numeric

if TYPE_CHECKING:
    from rich.console import Console

FILE_WIDTH = 200  # characters of a line in a file; the widest table of a command has about 175

GAP = 2  # columns of blanks between two columns of a table


def open_console(stream: TextIO) -> Console:
    """A console that writes colour and moves the cursor only where `stream` is a terminal.

    NO_COLOR takes the colour away there; FORCE_COLOR puts none into a file.
    """
    from rich.console import Console

    terminal = stream.isatty()
    return Console(
        file=stream,
        force_terminal=terminal,
        width=None if terminal else FILE_WIDTH,
        markup=False,
        highlight=False,
        emoji=False,
    )


def print_table(rows: Sequence[TableRow], stream: TextIO | None = None) -> None:
    """Write the rows as an aligned table with a rule under the header.

    Columns are in the order in which they first appear. A cell that a row lacks is empty.

    Args:
        stream: where to; stdout by default.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console = open_console(stream or sys.stdout)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    names = columns_of(rows)
    texts = [[visible(cell_text(row[n])) if n in row else "" for n in names] for row in rows]
    columns = list(zip(names, *texts, strict=True))
    widths = fit_widths(columns, console.width)
    for name, width in zip(names, widths, strict=True):
        numeric = all(is_numeric(row[name]) for row in rows if name in row)
        side: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(Text(name), justify=side, overflow="fold", width=width)
    for cells in texts:
        table.add_row(*map(Text, cells))
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    lines = captured.get().splitlines()
    console.file.write("".join(f"{line.rstrip()}\n" for line in lines))  # without rich's padding


def fit_widths(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """A width for each column of texts so that the table has at most `room` characters.

    The widest column that can give way without breaking a word does so first, where rich itself
    would narrow all columns by the same share.
    """
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in columns]
    words = [
        max((cell_len(word) for text in column for word in text.split()), default=1)
        for column in columns
    ]
    excess = sum(widths) + GAP * (len(widths) - 1) - room
    for _ in range(excess):
        breakable = [i for i, width in enumerate(widths) if width > words[i]]
        widest = max(breakable or range(len(widths)), key=widths.__getitem__)
        widths[widest] = max(1, widths[widest] - 1)
    return widths


def visible(text: str) -> str:
    """The text in one line, with control characters escaped: none reaches a terminal as such."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
