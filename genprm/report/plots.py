"""Plots as SVG text, drawn for narrow screens, light and dark mode, and screen readers.

Every plot carries a title and a description that states its figures; marks carry tooltips.
Colours and fonts come from CSS variables (`report.css`), so a plot follows the page it stands in.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from genprm.util.stats import Estimate

WIDTH = 480  # of the view box; a phone shows it at about 0.7 of that
LEFT, RIGHT = 46, 14  # margins of plots with a y axis
Axis = Callable[[float], float]  # a value to its place in the view box
# What may not stand in HTML, and what reorders text for the reader but not for the machine.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: `group` is usually the task, `name` the critic."""

    group: str
    name: str
    figure: Estimate


@dataclass(frozen=True, slots=True)
class Unit:
    """What a line's figures are in: shown as `factor` times their value and `sign`."""

    factor: float
    sign: str
    text: Callable[[Estimate], str]


PERCENT = Unit(100, "%", Estimate.text)
SECONDS = Unit(1, " s", lambda figure: f"{figure.value:.2f} s" if figure.value else "n/a")


@dataclass(frozen=True, slots=True)
class Series:
    """A named line: figures over a count, such as votes or rollouts."""

    name: str
    points: tuple[tuple[int, Estimate], ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A named reliability curve; `bins` and `ece` as `reliability` returns them."""

    name: str
    bins: tuple[dict[str, Any], ...]
    ece: float | None
    n: int


def escape(value: object) -> str:
    """Any text, made safe as HTML text or attribute; control characters become U+FFFD."""
    return html.escape(_UNSAFE.sub("\ufffd", str(value)), quote=True)


def bar_chart(bars: Sequence[Bar], title: str) -> str:
    """Horizontal bars with interval whiskers, one block per group, on a scale of 0 to 100 %."""
    x0, x1 = 4.0, WIDTH - 4.0
    colours = {name: i for i, name in enumerate(dict.fromkeys(bar.name for bar in bars))}
    parts: list[str] = []
    y = 4.0
    for group in dict.fromkeys(bar.group for bar in bars):
        y += 18
        parts.append(_text(x0, y, group, "strong"))
        for bar in (b for b in bars if b.group == group):
            y += 20
            n = "" if bar.figure.n is None else f"  n = {bar.figure.n:,}"
            parts.append(_text(x0, y, bar.name, "label"))
            parts.append(_text(x1, y, bar.figure.text() + n, "label end"))
            y += 7
            parts.append(_rect(x0, y, x1 - x0, 11, "track"))
            parts.append(_bar(bar, x0, x1, y, colours[bar.name]))
            y += 14
        y += 8
    for tick in range(0, 101, 20):
        x = x0 + (x1 - x0) * tick / 100
        place = "start" if tick == 0 else "end" if tick == 100 else "middle"
        parts.append(
            _text(x, y + 10, f"{tick}%" if tick in (0, 100) else str(tick), f"tick {place}")
        )
    told = "; ".join(f"{b.group}, {b.name}: {b.figure.text()}" for b in bars)
    return _svg(y + 18, title, told, parts)


def line_chart(
    series: Sequence[Series],
    title: str,
    x_label: str,
    y_label: str,
    ticks: Sequence[int] = (),
    unit: Unit = PERCENT,
) -> str:
    """Lines with interval bands over counts, evenly spaced, or on a logarithmic scale with these
    ticks; the y axis fits the intervals, and of units other than percent begins at 0."""
    counts = sorted({count for line in series for count, _ in line.points})
    parts, top = _legend([line.name for line in series])
    bottom = top + 230
    figures = [figure for line in series for _, figure in line.points]
    low, high, step = _percent_range(figures) if unit is PERCENT else _range_from_0(figures, unit)

    def x_of(count: int) -> float:
        inner = WIDTH - LEFT - RIGHT - 40
        if ticks:
            least, most = min(*counts, *ticks), max(*counts, *ticks)
            return LEFT + 20 + inner * math.log(count / least) / math.log(most / least)
        return LEFT + 20 + inner * (counts.index(count) / (len(counts) - 1) if counts[1:] else 0.5)

    def y_of(value: float) -> float:
        return bottom - (bottom - top) * (unit.factor * value - low) / (high - low)

    for number in range(round((high - low) / step) + 1):
        tick = low + number * step
        parts += _grid_line(LEFT, WIDTH - RIGHT, y_of(tick / unit.factor), f"{tick:g}{unit.sign}")
    for count in ticks or counts:
        parts.append(_text(x_of(count), bottom + 18, str(count), "tick middle"))
    for i, line in enumerate(series):
        known = [(x_of(c), c, f, f.value) for c, f in line.points if f.value is not None]
        band = [
            (x, y_of(f.low), y_of(f.high))
            for x, _, f, _ in known
            if f.low is not None and f.high is not None
        ]
        outline = [(x, high) for x, _, high in band] + [(x, low) for x, low, _ in reversed(band)]
        parts.append(f'<polygon class="band c{i % 6}" points="{_points(outline)}"/>')
        path = _points([(x, y_of(value)) for x, _, _, value in known])
        parts.append(f'<polyline class="line c{i % 6}" points="{path}"/>')
        for x, count, figure, value in known:
            parts.append(_dot(x, y_of(value), i, f"{line.name}, {count}: {unit.text(figure)}"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, bottom + 38, x_label, "label middle"))
    told = "; ".join(
        f"{line.name}: " + ", ".join(f"{count}: {unit.text(f)}" for count, f in line.points)
        for line in series
    )
    return _svg(bottom + 46, title, f"{y_label} against {x_label}. {told}", parts)


def reliability_chart(curves: Sequence[Calibration], title: str) -> str:
    """Share correct against mean score per bin, with the diagonal and the bins' sizes below."""
    named = [
        f"{c.name}  (ECE {'n/a' if c.ece is None else f'{c.ece:.3f}'}, {c.n:,} steps)"
        for c in curves
    ]
    parts, top = _legend(named)
    bottom = top + 280

    def x_of(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value

    def y_of(value: float) -> float:
        return bottom - (bottom - top) * value

    for tick in range(0, 101, 20):
        parts += _grid_line(LEFT, WIDTH - RIGHT, y_of(tick / 100), f"{tick}%")
    ideal = _points([(x_of(0), y_of(0)), (x_of(1), y_of(1))])
    parts.append(f'<polyline class="ideal" points="{ideal}"/>')
    y = bottom + 6
    for i, curve in enumerate(curves):
        parts += _calibration(curve, i, x_of, y_of)
        parts += _sizes(curve, i, x_of, y)
        y += 13
    for tick in range(0, 11, 2):
        parts.append(_text(x_of(tick / 10), y + 14, f"{tick / 10:.1f}", "tick middle"))
    label = "mean score of the bin  (strip: share of steps)"
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, y + 33, label, "label middle"))
    told = f"Share of correct steps against mean score. {'; '.join(named)}"
    return _svg(y + 40, title, told, parts)


def standalone(svg: str, css: str) -> str:
    """A plot as an SVG file of its own, with the style that the page would give it."""
    return svg.replace("<title>", f"<style>{css}</style><title>", 1) + "\n"


def _bar(bar: Bar, x0: float, x1: float, y: float, colour: int) -> str:
    figure = bar.figure
    if figure.value is None:
        return ""
    scale = x1 - x0
    parts = [_rect(x0, y, scale * figure.value, 11, f"bar c{colour % 6}")]
    if figure.low is not None and figure.high is not None:
        low, high = x0 + scale * figure.low, x0 + scale * figure.high
        caps = f"M{low:.1f} {y + 2}v7M{high:.1f} {y + 2}v7M{low:.1f} {y + 5.5}H{high:.1f}"
        parts += [f'<path class="halo" d="{caps}"/>', f'<path class="whisker" d="{caps}"/>']
    tip = escape(f"{bar.group}, {bar.name}: {figure.text()}")
    return f"<g><title>{tip}</title>{''.join(parts)}</g>"


def _calibration(curve: Calibration, i: int, x_of: Axis, y_of: Axis) -> list[str]:
    parts, path = [], []
    for bin_ in (b for b in curve.bins if b["n"]):
        x, y = x_of(bin_["mean_score"]), y_of(bin_["accuracy"])
        low, high = bin_["accuracy_ci"]
        path.append((x, y))
        parts.append(
            f'<path class="error c{i % 6}" d="M{x:.1f} {y_of(low):.1f}V{y_of(high):.1f}"/>'
        )
        told = f"{curve.name}, score {bin_['low']:.1f} to {bin_['high']:.1f}: "
        told += f"{100 * bin_['accuracy']:.1f}% correct, {bin_['n']:,} steps"
        parts.append(_dot(x, y, i, told))
    return [f'<polyline class="line thin c{i % 6}" points="{_points(path)}"/>', *parts]


def _sizes(curve: Calibration, i: int, x_of: Axis, y: float) -> list[str]:
    """One strip of cells, darker where more steps lie (square root of the share)."""
    cells = []
    for bin_ in curve.bins:
        share = bin_["n"] / curve.n if curve.n else 0.0
        x, width = x_of(bin_["low"]), x_of(bin_["high"]) - x_of(bin_["low"])
        cell = _rect(
            x + 0.5, y, width - 1, 10, f"cell c{i % 6}", f"{0.06 + 0.94 * math.sqrt(share):.2f}"
        )
        tip = escape(f"{curve.name}: {bin_['n']:,} steps, {100 * share:.1f}%")
        cells.append(f"<g><title>{tip}</title>{cell}</g>")
    return cells


def _percent_range(figures: Sequence[Estimate]) -> tuple[int, int, int]:
    """Bounds and tick distance of an axis in percent that holds all figures and intervals."""
    known = [x for f in figures for x in (f.value, f.low, f.high) if x is not None]
    least, most = (100 * min(known), 100 * max(known)) if known else (0.0, 100.0)
    step = next(s for s in (1, 2, 5, 10, 20) if s >= (most - least) / 6 or s == 20)
    low = math.floor(least / step + 1e-9) * step
    high = math.ceil(most / step - 1e-9) * step
    return low, max(high, low + step), step


def _range_from_0(figures: Sequence[Estimate], unit: Unit) -> tuple[float, float, float]:
    """0, a round bound above all figures, and a round tick distance."""
    most = max((unit.factor * f.value for f in figures if f.value is not None), default=0.0) or 1.0
    power = 10 ** math.floor(math.log10(most / 5))
    step = next(s * power for s in (1, 2, 5, 10) if s * power * 6 >= most)
    return 0, math.ceil(most / step - 1e-9) * step, step


def _legend(names: Sequence[str]) -> tuple[list[str], float]:
    """One row per name, and where the plot below may begin."""
    parts = []
    for i, name in enumerate(names):
        y = 6 + 19 * i
        parts.append(_rect(LEFT, y, 12, 12, f"bar c{i % 6}"))
        parts.append(_text(LEFT + 19, y + 10.5, name, "label"))
    return parts, 20 + 19.0 * len(names)


def _grid_line(x0: float, x1: float, y: float, label: str) -> list[str]:
    line = f'<path class="grid" d="M{x0:.1f} {y:.1f}H{x1:.1f}"/>'
    return [line, _text(x0 - 7, y + 4, label, "tick end")]


def _dot(x: float, y: float, i: int, tip: str) -> str:
    return (
        f'<circle class="dot c{i % 6}" cx="{x:.1f}" cy="{y:.1f}" r="4">'
        f"<title>{escape(tip)}</title></circle>"
    )


def _rect(x: float, y: float, width: float, height: float, kind: str, opacity: str = "") -> str:
    faded = f' opacity="{opacity}"' if opacity else ""
    size = f'width="{max(width, 0):.1f}" height="{height:.1f}" rx="2"'
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" {size}{faded}/>'


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _svg(height: float, title: str, description: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="plot" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="0 0 {WIDTH} {height:.0f}"><title>{escape(title)}</title>'
        f"<desc>{escape(description)}</desc>{''.join(parts)}</svg>"
    )
