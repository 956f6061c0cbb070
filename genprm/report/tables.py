"""Tables of figures: `terminal` draws them as text, `html` for reports.

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
