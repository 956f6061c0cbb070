"""Rollouts for a person to read: what was written, which answer the verifier read, its verdict."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from genprm.records import Row, content_id
from genprm.report.html import render

COLUMN = "rollout_to_read"
INTRO = (
    "Read each one and compare: is the stated answer what the solution says, and does it equal the "
    "reference? A verdict that should be another is noise that ends up in the labels."
)


def draw(rows: Iterable[Row], count: int) -> list[Row]:
    """`count` labelled rows that have a rollout to read, the same every time.

    Half of them are right rollouts and half are not, as far as there are enough of both: a verifier
    makes mistakes of both kinds.
    """
    kept: dict[bool, list[tuple[str, Row]]] = {True: [], False: []}
    for row in rows:
        if row[COLUMN]:
            kind = kept[row[COLUMN]["correct"] is True]
            kind.append((content_id("audit", row["id"]), row))
            if len(kind) > 2 * count:  # however many rows there are, only so many are held
                kind[:] = heapq.nsmallest(count, kind, key=lambda entry: entry[0])
    right, other = (sorted(kept[kind], key=lambda entry: entry[0]) for kind in (True, False))
    first = right[: max(count // 2, count - len(other))]
    return [row for _, row in first + other[: count - len(first)]]


def audit_page(rows: Sequence[Row]) -> str:
    """A page with one card per rollout."""
    title = f"{len(rows)} rollouts to read"
    return render("audit.html", title=title, intro=INTRO, rows=rows, column=COLUMN)
