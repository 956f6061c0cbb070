"""Tables of figures, as aligned text for a terminal; the report renders the same tables as HTML.

A table is a sequence of rows, and a row maps column names to cells. Columns come in the order in
which they first appear; a cell that a row lacks is empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genprm.util.stats import Estimate

Cell = str | int | float | Estimate | None
TableRow = Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table; `note` says how to read it."""

    title: str
    rows: tuple[TableRow, ...]
    note: str = ""


def columns_of(rows: Sequence[TableRow]) -> list[str]:
    """All column names, in order of first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))


def cell_text(cell: Cell) -> str:
    """A cell as people read it: estimates in percent with interval, a dash for null."""
    if cell is None:
        return "–"
    if isinstance(cell, Estimate):
        return cell.text()
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:,.1f}" if isinstance(cell, float) else cell


def is_numeric(cell: Cell) -> bool:
    """Whether a cell is set flush right."""
    return not isinstance(cell, str)


def format_table(rows: Sequence[TableRow]) -> str:
    """The rows as plain aligned text with a rule under the header; no trailing newline."""
    names = columns_of(rows)
    texts = [[cell_text(row[name]) if name in row else "" for name in names] for row in rows]
    right = [all(is_numeric(row[name]) for row in rows if name in row) for name in names]
    widths = [max(len(line[i]) for line in [names, *texts]) for i in range(len(names))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(cells, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(names), line(["-" * width for width in widths]), *map(line, texts)])
