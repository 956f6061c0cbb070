"""Rollouts for a person to read: what was written, what the verifier read in it and made of it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Any

from genprm.records import content_id
from genprm.report.html import document
from genprm.report.plots import escape

COLUMN = "rollout_to_read"
Row = dict[str, Any]
INTRO = (
    "Read each one and compare: is the stated answer what the solution says, and does it equal the "
    "reference? Where the verdict should be another, it is noise that ends up in the labels."
)


def draw(rows: Iterable[Row], count: int) -> list[Row]:
    """`count` labelled rows that have a rollout to read, the same every time.

    Half of those are right rollouts and half are not, as far as there are enough of both: mistakes
    of a verifier are sought on either side.
    """
    kept: dict[bool, list[tuple[str, Row]]] = {True: [], False: []}
    for row in rows:
        if row[COLUMN]:
            kind = kept[row[COLUMN]["correct"] is True]
            kind.append((content_id("audit", row["id"]), row))
            if len(kind) > 2 * count:  # of any number of rows only so many are held
                kind[:] = heapq.nsmallest(count, kind, key=lambda entry: entry[0])
    right, other = (sorted(kept[kind], key=lambda entry: entry[0]) for kind in (True, False))
    half = max(count // 2, count - len(other))
    chosen = right[:half]
    return [row for _, row in chosen + other[: count - len(chosen)]]


def audit_page(rows: Sequence[Row]) -> str:
    """A page with one card per rollout."""
    cards = "".join(_card(number, row) for number, row in enumerate(rows, 1))
    title = f"{len(rows)} rollouts to read"
    head = f'<h1>{title}</h1><p class="subtitle">{escape(INTRO)}</p>'
    return document(title, f'{head}<div class="stack">{cards}</div>')


def _card(number: int, row: Row) -> str:
    seen = row[COLUMN]
    given = row["steps"][: seen["prefix"]]
    steps = [_step(step, "given") for step in given]
    steps += [_step(step, "rolled out") for step in seen["continuation"]]
    told = [_badge("right", True) if seen["correct"] else _badge(_why_not(seen), False)]
    if seen["second"] is not None:
        said = "right" if seen["second"] else "wrong"
        told.append(f"<span>second verifier: {said}</span>")
    answer = "none" if seen["answer"] is None else seen["answer"]
    reference = row.get("answer") or "its tests"
    return (
        f'<article class="card sample"><header><strong>{number} · {escape(row["id"])}</strong>'
        f"{''.join(told)}</header>"
        f'<p class="problem" dir="auto">{escape(row["problem"])}</p>'
        f'<ol class="steps">{"".join(steps)}</ol>'
        f'<p class="problem">stated answer: <strong>{escape(answer)}</strong> · '
        f"reference: <strong>{escape(reference)}</strong></p></article>"
    )


def _why_not(seen: Row) -> str:
    if seen["correct"] is False:
        return "wrong"
    if seen["end"] != "stop":
        return f"invalid: cut off ({seen['end']}), so not read"
    return "invalid: no answer that could be judged"


def _step(text: str, origin: str) -> str:
    return (
        f'<li class="step"><div class="row"><p class="text" dir="auto">{escape(text)}</p>'
        f'<span class="score">{origin}</span></div></li>'
    )


def _badge(text: str, good: bool) -> str:
    return f'<span class="badge {"good" if good else "bad"}">{escape(text)}</span>'
