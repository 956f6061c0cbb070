"""Pages of HTML: templates of jinja2, in which all text is escaped, and the style sheet.

A page's own content policy forbids scripts, links and network access, so text of any origin can be
part of it; it is escaped all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from genprm.report.samples import STATUS_TEXT, TONES
from genprm.report.tables import Cell, TableRow, cell_text, columns_of, is_numeric
from genprm.report.text import clean
from genprm.util.stats import Estimate

if TYPE_CHECKING:
    from jinja2 import Environment


def css() -> str:
    """The style of the page."""
    return files("genprm.report").joinpath("report.css").read_text(encoding="utf-8")


def plot_css() -> str:
    """The part of the style that plots need as files of their own."""
    return css().split("/* page */")[0]


def render(template: str, **values: Any) -> str:
    """A page from one of the `templates` that extend `page.html`, which needs a `title`."""
    page: str = environment().get_template(template).render(values)
    return page


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Where the templates are, and what they may use besides their values."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("genprm.report"),
        autoescape=True,
        finalize=_without_control_characters,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"cell": _cell, "columns": _columns, "fact": _fact}
    made.globals |= {"css": css(), "status_text": STATUS_TEXT, "tones": TONES}
    return made


class Column(NamedTuple):
    """A column of a table; figures are set flush right."""

    name: str
    numeric: bool


def _columns(rows: Sequence[TableRow]) -> list[Column]:
    names = columns_of(rows)
    return [Column(name, all(is_numeric(r[name]) for r in rows if name in r)) for name in names]


def _cell(cell: Cell) -> tuple[str, str]:
    """The text of a cell, and the interval of an estimate."""
    if isinstance(cell, Estimate) and cell.low is not None:
        value, _, interval = cell.text().partition(" ")
        return value, interval
    return cell_text(cell), ""


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return "not known" if value is None else str(value)


def _without_control_characters(value: object) -> object:
    """What jinja2 escapes next; what is markup already stays as it is."""
    return value if hasattr(value, "__html__") else clean(value)
