"""The report: figures, plots and judged solutions as one static HTML page.

The page has no script, no link and no network access (its own content policy forbids them), so
text of any origin can stand in it; it is escaped all the same. Knows how things look and nothing
of how they are measured: `genprm.report.summary` fills a `ReportData` from an evaluation.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from genprm.report.html import document, figure, plot_css, section, table_card, tiles
from genprm.report.plots import (
    Bar,
    Calibration,
    Series,
    bar_chart,
    escape,
    line_chart,
    reliability_chart,
    standalone,
)
from genprm.report.samples import Sample, sample_html
from genprm.report.tables import Table, TableRow
from genprm.util.stats import Estimate

INTERVALS = (
    "In percent, with 95 % intervals in brackets. F1 is ProcessBench's: the harmonic mean of the "
    "accuracy on solutions with an error and on solutions without."
)
SAMPLES = (
    "Steps count from 1 here and from 0 in the files. A step's score is the mean P(correct) of its "
    "critiques, and its colour runs with the score from incorrect to correct."
)


@dataclass(frozen=True, slots=True)
class StageCost:
    """What one stage cost. Null: does not apply, or is not known."""

    stage: str
    seconds: float
    rows: int | None = None
    rollouts: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    trained_tokens: int | None = None  # over all epochs


@dataclass(frozen=True)
class ReportData:
    """Everything that a report shows; what has no data is left out."""

    title: str
    subtitle: str = ""
    headline: tuple[tuple[str, Estimate], ...] = ()  # name and figure of each tile
    tables: tuple[Table, ...] = ()
    f1_bars: tuple[Bar, ...] = ()
    votes_curves: tuple[Series, ...] = ()
    reliability: tuple[Calibration, ...] = ()
    rollout_curves: tuple[Series, ...] = ()  # first error named exactly, against rollouts
    label_quality: tuple[TableRow, ...] = ()
    costs: tuple[StageCost, ...] = ()
    samples: tuple[Sample, ...] = ()
    provenance: Mapping[str, object] = field(default_factory=dict)  # command, seed, commit, ...
    notes: tuple[str, ...] = ()


class _Plot(NamedTuple):
    title: str
    svg: str
    rows: list[TableRow]
    note: str


def write_report(path: str | os.PathLike[str], data: ReportData) -> Path:
    """Write the page and return its path; a half-written page never stands there.

    Folders are made as needed; an existing page is replaced.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    partial.write_text(render_report(data), encoding="utf-8")
    os.replace(partial, target)
    return target


def write_plots(folder: str | os.PathLike[str], data: ReportData) -> list[Path]:
    """Write each plot of the report as an SVG file of its own, named after its title."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for plot in _plots(data):
        path = target / f"{re.sub('[^a-z0-9]+', '-', plot.title.lower())}.svg"
        path.write_text(standalone(plot.svg, plot_css()), encoding="utf-8")
        written.append(path)
    return written


def render_report(data: ReportData) -> str:
    """The page as one HTML document."""
    labels = Table(
        "Labels against the oracle",
        data.label_quality,
        "The exact oracle measures and labels nothing. Exact: the labels name its first error, or "
        "none. Figures per step cover the steps up to its first error.",
    )
    body = (
        f"<h1>{escape(data.title)}</h1>",
        f'<p class="subtitle">{escape(data.subtitle)}</p>',
        tiles(data.headline),
        section("Results", [table_card(table) for table in data.tables], intro=INTERVALS),
        section("Plots", [figure(*plot) for plot in _plots(data)], layout="grid"),
        section("Labels", [table_card(labels)] if data.label_quality else []),
        section("Cost", [table_card(_costs(data.costs))] if data.costs else []),
        section("Judged solutions", [sample_html(s) for s in data.samples], intro=SAMPLES),
        section("How this was made", _provenance(data)),
    )
    return document(data.title, "".join(body))


def _plots(data: ReportData) -> list[_Plot]:
    """The plots that have data."""
    plots = (
        (data.f1_bars, _f1_plot),
        (data.votes_curves, _votes_plot),
        (data.reliability, _reliability_plot),
        (data.rollout_curves, _rollouts_plot),
    )
    return [draw(data) for present, draw in plots if present]


def _f1_plot(data: ReportData) -> _Plot:
    title = "First-error F1"
    rows: list[TableRow] = [
        {"task": bar.group, "critic": bar.name, "F1": bar.figure, "n": bar.figure.n}
        for bar in data.f1_bars
    ]
    return _Plot(title, bar_chart(data.f1_bars, title), rows, "Whiskers are 95 % intervals.")


def _votes_plot(data: ReportData) -> _Plot:
    title = "F1 against votes"
    svg = line_chart(data.votes_curves, title, "votes per step", "first-error F1")
    note = (
        "All from the same critiques: fewer votes are disjoint groups of them, and a point is the "
        "mean over groups. Bands are 95 % intervals."
    )
    return _Plot(title, svg, _line_rows(data.votes_curves, "votes", "F1"), note)


def _rollouts_plot(data: ReportData) -> _Plot:
    title = "Rollout labels against the oracle"
    svg = line_chart(data.rollout_curves, title, "rollouts per step", "first error named exactly")
    note = "Share of solutions in which rollout labels name the oracle's first error, or none."
    return _Plot(title, svg, _line_rows(data.rollout_curves, "rollouts", "exact"), note)


def _line_rows(lines: tuple[Series, ...], count: str, figure: str) -> list[TableRow]:
    return [{"series": line.name, count: k, figure: f} for line in lines for k, f in line.points]


def _reliability_plot(data: ReportData) -> _Plot:
    title = "Reliability of step scores"
    note = (
        "Steps up to and including the true first error; later steps have no label. Dashed: scores "
        "that mean what they say. ECE: expected calibration error."
    )
    rows: list[TableRow] = [
        {
            "critic": curve.name,
            "score": f"{b['low']:.1f} to {b['high']:.1f}",
            "steps": b["n"],
            "mean score": f"{b['mean_score']:.3f}",
            "correct": Estimate.of(b, "accuracy"),
        }
        for curve in data.reliability
        for b in curve.bins
        if b["n"]
    ]
    return _Plot(title, reliability_chart(data.reliability, title), rows, note)


def _costs(costs: tuple[StageCost, ...]) -> Table:
    total = sum(cost.seconds for cost in costs)
    counts = ("rows", "rollouts", "prompt_tokens", "completion_tokens", "trained_tokens")
    used = [name for name in counts if any(getattr(cost, name) is not None for cost in costs)]
    rows: list[TableRow] = []
    for cost in costs:
        told = {name.replace("_", " "): getattr(cost, name) for name in used}
        share = f"{100 * cost.seconds / total:.0f} %" if total else "n/a"
        rows.append({"stage": cost.stage, "seconds": cost.seconds, "of the time": share, **told})
    return Table("Seconds, rollouts and tokens per stage", tuple(rows), f"{total:,.1f} s in all.")


def _provenance(data: ReportData) -> list[str]:
    pairs = "".join(
        f"<dt>{escape(key.replace('_', ' '))}</dt><dd>{escape(_fact(value))}</dd>"
        for key, value in data.provenance.items()
    )
    facts = [f'<div class="card"><dl>{pairs}</dl></div>'] if pairs else []
    return facts + [f'<p class="note">{escape(note)}</p>' for note in data.notes]


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return "not known" if value is None else str(value)
