"""The HTML pieces that a report is made of; no section of any particular report."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from genprm.report.plots import escape
from genprm.report.tables import Cell, Table, TableRow, cell_text, columns_of, is_numeric
from genprm.util.stats import Estimate

POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # no script, no network, whatever slips in


def css() -> str:
    """The style of the page."""
    return files("genprm.report").joinpath("report.css").read_text(encoding="utf-8")


def plot_css() -> str:
    """The part of the style that plots need as files of their own."""
    return css().split("/* page */")[0]


def document(title: str, body: str) -> str:
    """A whole page around trusted HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{css()}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def section(title: str, parts: Sequence[str], layout: str = "stack", intro: str = "") -> str:
    """A headed block of parts, in a `stack` or a `grid`; nothing where there are no parts."""
    if not parts:
        return ""
    told = f'<p class="intro">{escape(intro)}</p>' if intro else ""
    body = "".join(parts)
    return f'<section><h2>{escape(title)}</h2>{told}<div class="{layout}">{body}</div></section>'


def tiles(headline: Sequence[tuple[str, Estimate]]) -> str:
    """The figures that matter most, large."""
    if not headline:
        return ""
    return f'<div class="tiles">{"".join(_tile(name, f) for name, f in headline)}</div>'


def table_card(table: Table) -> str:
    """A titled table with its note."""
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return f'<div class="card"><h3>{escape(table.title)}</h3>{html_table(table.rows)}{note}</div>'


def html_table(rows: Sequence[TableRow]) -> str:
    """The rows as a table that scrolls sideways where the screen is narrow."""
    names = columns_of(rows)
    right = {name for name in names if all(is_numeric(row[name]) for row in rows if name in row)}
    flush = {name: ' class="right"' if name in right else "" for name in names}
    head = "".join(f'<th scope="col"{flush[name]}>{escape(name)}</th>' for name in names)
    lines = []
    for row in rows:
        cells = (f"<td{flush[name]}>{_cell(row.get(name, ''))}</td>" for name in names)
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def figure(title: str, svg: str, rows: Sequence[TableRow], note: str = "") -> str:
    """A plot with what it shows as a table to open."""
    told = f'<p class="note">{escape(note)}</p>' if note else ""
    return (
        f'<figure class="card"><h3>{escape(title)}</h3>{svg}{told}'
        f"<details><summary>Numbers</summary>{html_table(rows)}</details></figure>"
    )


def _tile(name: str, figure: Estimate) -> str:
    value = Estimate(figure.value).text()
    interval = figure.text().removeprefix(value).strip()
    n = f"n = {figure.n:,}" if figure.n is not None else ""
    return (
        f'<div class="card tile"><div class="name">{escape(name)}</div>'
        f'<div class="value">{value}</div>'
        f'<div class="range">{escape(" · ".join(filter(None, (interval, n))))}</div></div>'
    )


def _cell(cell: Cell) -> str:
    if isinstance(cell, Estimate) and cell.low is not None:
        value, _, interval = cell.text().partition(" ")
        return f'{value} <span class="ci">{interval}</span>'
    return escape(cell_text(cell))
