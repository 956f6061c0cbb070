"""The report: figures, plots and judged solutions as one static HTML page.

Knows how things look and nothing of how they are measured: `genprm.report.summary` fills a
`ReportData` from an evaluation.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from genprm.generation import Usage
from genprm.report.html import plot_css, render
from genprm.report.plots import (
    Bar,
    ReliabilityCurve,
    Series,
    bar_chart,
    line_chart,
    reliability_chart,
    standalone,
)
from genprm.report.samples import Sample
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
LABELS = (
    "The exact oracle measures and labels nothing. Exact: the labels name its first error, or "
    "none. Figures per step cover the steps up to its first error."
)


@dataclass(frozen=True, slots=True)
class StageCost:
    """What one stage cost; None where a count does not apply or is unknown."""

    stage: str
    seconds: float
    rows: int | None = None
    rollouts: int | None = None
    usage: Usage | None = None
    trained_tokens: int | None = None  # over all epochs

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of all prompts, where there is a usage."""
        return None if self.usage is None else self.usage.prompt_tokens

    @property
    def completion_tokens(self) -> int | None:
        """Tokens written, where there is a usage."""
        return None if self.usage is None else self.usage.completion_tokens


@dataclass(frozen=True)
class ReportData:
    """Everything that a report shows; what has no data is left out."""

    title: str
    subtitle: str = ""
    headline: tuple[tuple[str, Estimate], ...] = ()  # name and figure of each tile
    tables: tuple[Table, ...] = ()
    f1_bars: tuple[Bar, ...] = ()
    votes_curves: tuple[Series, ...] = ()
    reliability: tuple[ReliabilityCurve, ...] = ()
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
    """Write the page and return its path; a half-written page is never there.

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
    return render(
        "report.html",
        title=data.title,
        data=data,
        intervals=INTERVALS,
        samples=SAMPLES,
        plots=_plots(data),
        labels=Table("Labels against the oracle", data.label_quality, LABELS),
        costs=_costs(data.costs),
    )


def _plots(data: ReportData) -> list[_Plot]:
    """The plots that have data."""
    plots = []
    if data.f1_bars:
        title, note = "First-error F1", "Whiskers are 95 % intervals."
        rows: list[TableRow] = [
            {"task": bar.group, "critic": bar.name, "F1": bar.figure, "n": bar.figure.n}
            for bar in data.f1_bars
        ]
        plots.append(_Plot(title, bar_chart(data.f1_bars, title), rows, note))
    if data.votes_curves:
        title = "F1 against votes"
        svg = line_chart(data.votes_curves, title, "votes per step", "first-error F1")
        note = (
            "All from the same critiques: fewer votes are disjoint groups of them, and a point is "
            "the mean over groups. Bands are 95 % intervals."
        )
        plots.append(_Plot(title, svg, _line_rows(data.votes_curves, "votes", "F1"), note))
    if data.reliability:
        title = "Reliability of step scores"
        note = (
            "Steps up to and including the true first error; later steps have no label. Dashed: "
            "scores that mean what they say. ECE: expected calibration error."
        )
        rows = _bin_rows(data.reliability)
        plots.append(_Plot(title, reliability_chart(data.reliability, title), rows, note))
    if data.rollout_curves:
        title = "Rollout labels against the oracle"
        svg = line_chart(
            data.rollout_curves, title, "rollouts per step", "first error named exactly"
        )
        note = "Share of solutions in which rollout labels name the oracle's first error, or none."
        plots.append(_Plot(title, svg, _line_rows(data.rollout_curves, "rollouts", "exact"), note))
    return plots


def _line_rows(lines: tuple[Series, ...], count: str, figure: str) -> list[TableRow]:
    return [{"series": line.name, count: k, figure: f} for line in lines for k, f in line.points]


def _bin_rows(curves: tuple[ReliabilityCurve, ...]) -> list[TableRow]:
    return [
        {
            "critic": curve.name,
            "score": f"{part.low:.1f} to {part.high:.1f}",
            "steps": part.n,
            "mean score": f"{part.mean_score:.3f}",
            "correct": part.accuracy,
        }
        for curve in curves
        for part in curve.figures.bins
        if part.n
    ]


def _costs(costs: tuple[StageCost, ...]) -> Table:
    total = sum(cost.seconds for cost in costs)
    counts = ("rows", "rollouts", "prompt_tokens", "completion_tokens", "trained_tokens")
    used = [name for name in counts if any(getattr(cost, name) is not None for cost in costs)]
    rows: list[TableRow] = [
        {
            "stage": cost.stage,
            "seconds": cost.seconds,
            "of the time": f"{100 * cost.seconds / total:.0f} %" if total else "n/a",
            **{name.replace("_", " "): getattr(cost, name) for name in used},
        }
        for cost in costs
    ]
    return Table("Seconds, rollouts and tokens per stage", tuple(rows), f"{total:,.1f} s in all.")
