"""Plots as SVG, drawn by matplotlib for narrow screens, light and dark mode and screen readers.

Every plot carries a title and a description that states its figures; marks carry tooltips.
Colours and fonts come from the page's style sheet (`report.css`), so a plot follows the page around
it: matplotlib draws in stand-in colours, which become CSS variables here.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from genprm.evaluation.reliability import Reliability
from genprm.report.text import clean
from genprm.util.stats import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 480  # of the view box, in pixels; a phone shows it at about 0.7 of that
SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
TIP = "tip: "  # begins the ids of marks that have a tooltip
# stand-in colours by the CSS variables that replace them
NAMES = ("c0", "c1", "c2", "c3", "c4", "c5", "ink", "soft", "rule", "track", "card")
COLOURS = {name: f"#0a0b{number:02x}" for number, name in enumerate(NAMES)}
LINES = [COLOURS[name] for name in NAMES[:6]]
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "genprm",  # the same plot has the same bytes
    "text.parse_math": False,  # a $ in a name is a $
    "font.family": "DejaVu Sans",  # ships with matplotlib; the page's font replaces it
    "font.size": 13,
    "figure.dpi": 72,  # a point is a pixel
    "text.color": COLOURS["ink"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.autolimit_mode": "round_numbers",
    "axes.ymargin": 0,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 1,
    "legend.frameon": False,
    "legend.loc": "lower left",
    "lines.markersize": 8,
    "lines.markeredgecolor": COLOURS["card"],
    "lines.markeredgewidth": 1.5,
    **{f"axes.spines.{side}": False for side in ("left", "right", "top", "bottom")},
    **{f"{axis}tick.labelcolor": COLOURS["soft"] for axis in "xy"},
    **{f"{axis}tick.labelsize": 12 for axis in "xy"},
    **{f"{axis}tick.major.size": 0 for axis in "xy"},
    **{f"{axis}tick.major.pad": 6 for axis in "xy"},
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: `group` is usually the task, `name` the critic."""

    group: str
    name: str
    figure: Estimate


@dataclass(frozen=True, slots=True)
class AxisUnit:
    """What a line's figures are in: shown as `factor` times their value and `sign`."""

    factor: float
    sign: str
    text: Callable[[Estimate], str]


PERCENT = AxisUnit(100, "%", Estimate.text)
SECONDS = AxisUnit(1, " s", lambda figure: f"{figure.value:.2f} s" if figure.value else "n/a")


@dataclass(frozen=True, slots=True)
class Series:
    """A named line: figures over a count, such as votes or rollouts."""

    name: str
    points: tuple[tuple[int, Estimate], ...]


@dataclass(frozen=True, slots=True)
class ReliabilityCurve:
    """The reliability of one critic's scores."""

    name: str
    figures: Reliability


def bar_chart(bars: Sequence[Bar], title: str) -> str:
    """Horizontal bars with interval whiskers, one block per group, on a scale of 0 to 100 %."""
    groups = list(dict.fromkeys(bar.group for bar in bars))
    names = list(dict.fromkeys(bar.name for bar in bars))

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.01, 0, 0.98, 1))
        axes.set_axis_off()
        axes.set(xlim=(0, 1), ylim=(26 * len(groups) + 41 * len(bars) + 22, 0))  # y is in pixels
        y = 0.0
        for group in groups:
            y += 20
            axes.text(0, y, clean(group), size=14, weight="bold")
            for bar in (bar for bar in bars if bar.group == group):
                value, low, high = bar.figure.value, bar.figure.low, bar.figure.high
                n = "" if bar.figure.n is None else f" · n = {bar.figure.n:,}"
                axes.text(0, y + 20, clean(bar.name))
                axes.text(1, y + 20, bar.figure.text() + n, ha="right")
                y += 32.5
                axes.barh(y, 1, 11, color=COLOURS["track"])
                if value is not None:
                    color = LINES[names.index(bar.name) % 6]
                    (mark,) = axes.barh(y, value, 11, color=color)
                    _tip(mark, f"{bar.group}, {bar.name}: {bar.figure.text()}")
                if low is not None and high is not None:
                    xs, ys = [low, low, low, high, high, high], [-3.5, 3.5, 0, 0, -3.5, 3.5]
                    for color, width in (("card", 4), ("ink", 1.5)):  # legible on any colour
                        axes.plot(xs, [y + dy for dy in ys], color=COLOURS[color], lw=width)
                y += 8.5
            y += 6
        for tick in range(0, 101, 20):
            side = "left" if tick == 0 else "right" if tick == 100 else "center"
            label = f"{tick}%" if tick in (0, 100) else str(tick)
            axes.text(tick / 100, y + 16, label, ha=side, size=12, color=COLOURS["soft"])

    description = "; ".join(f"{b.group}, {b.name}: {b.figure.text()}" for b in bars)
    return _svg(draw, 26 * len(groups) + 41 * len(bars) + 22, title, description)


def line_chart(
    series: Sequence[Series],
    title: str,
    x_label: str,
    y_label: str,
    ticks: Sequence[int] = (),
    unit: AxisUnit = PERCENT,
) -> str:
    """Lines with interval bands over counts, evenly spaced, or on a logarithmic scale with these
    ticks; the y axis fits the intervals, and of units other than percent begins at 0."""
    counts = sorted({count for line in series for count, _ in line.points})
    x_of = {count: math.log(count) if ticks else counts.index(count) for count in counts}
    x_of |= {tick: math.log(tick) for tick in ticks}

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _y_axis(axes, unit.sign)
        for line, color in zip(series, _colours(series), strict=True):
            valued = [(x_of[c], c, f, f.value) for c, f in line.points if f.value is not None]
            xs, ys = [x for x, *_ in valued], [unit.factor * value for *_, value in valued]
            axes.plot(xs, ys, color=color, lw=2.2, label=clean(line.name))
            bounds = [(f.low, f.high) if f.low is not None else (v, v) for *_, f, v in valued]
            lows, highs = ([unit.factor * (b[i] or 0.0) for b in bounds] for i in (0, 1))
            axes.fill_between(xs, lows, highs, color=color, alpha=0.13, lw=0)
            for (x, count, estimate, _), y in zip(valued, ys, strict=True):
                _dot(axes, x, y, color, f"{line.name}, {count}: {unit.text(estimate)}")
        if unit is not PERCENT:
            axes.update_datalim([(0, 0)], updatex=False)
        axes.set_xticks([x_of[count] for count in ticks or counts], [*map(str, ticks or counts)])
        places = x_of.values() or [0]
        margin = 0.06 * (max(places) - min(places)) or 1
        axes.set(xlim=(min(places) - margin, max(places) + margin), xlabel=x_label)
        _legend(figure, axes)

    figures = "; ".join(
        f"{line.name}: " + ", ".join(f"{count}: {unit.text(f)}" for count, f in line.points)
        for line in series
    )
    description = f"{y_label} against {x_label}. {figures}"
    return _svg(draw, 296 + 19 * len(series), title, description)


def reliability_chart(curves: Sequence[ReliabilityCurve], title: str) -> str:
    """Share correct against mean score per bin, with the diagonal and the bins' sizes below."""
    names = []
    for curve in curves:
        ece = "n/a" if curve.figures.ece is None else f"{curve.figures.ece:.3f}"
        names.append(f"{curve.name} (ECE {ece}, {curve.figures.n:,} steps)")

    def draw(figure: Figure) -> None:
        sizes = [280, 13 * len(curves)]
        axes, strips = figure.subplots(2, sharex=True, height_ratios=sizes)
        _y_axis(axes, "%")
        axes.plot([0, 1], [0, 100], color=COLOURS["soft"], lw=1.2, ls=(0, (4, 4)))
        for i, (curve, color) in enumerate(zip(curves, _colours(curves), strict=True)):
            filled = [part for part in curve.figures.bins if part.n]
            means, shares = [b.mean_score or 0.0 for b in filled], [b.accuracy for b in filled]
            ys = [100 * (share.value or 0.0) for share in shares]
            axes.plot(means, ys, color=color, lw=1.2, alpha=0.55, label=clean(names[i]))
            lows, highs = (
                [100 * (getattr(s, end) or 0.0) for s in shares] for end in ("low", "high")
            )
            axes.vlines(means, lows, highs, color=color, lw=1.4, alpha=0.75)
            for part, x, y in zip(filled, means, ys, strict=True):
                tip = f"{curve.name}, score {part.low:.1f} to {part.high:.1f}: "
                _dot(axes, x, y, color, f"{tip}{y:.1f}% correct, {part.n:,} steps")
            for part in curve.figures.bins:
                share = part.n / curve.figures.n if curve.figures.n else 0.0
                (cell,) = strips.barh(
                    -i, part.high - part.low - 0.003, left=part.low + 0.0015, color=color
                )
                cell.set_alpha(0.06 + 0.94 * math.sqrt(share))  # so that few steps are seen, too
                _tip(cell, f"{curve.name}: {part.n:,} steps, {100 * share:.1f}%")
        strips.set(xlim=(0, 1), xlabel="mean score of the bin (strip: share of steps)", yticks=[])
        _legend(figure, axes)

    description = f"Share of correct steps against mean score. {'; '.join(names)}"
    return _svg(draw, 346 + 32 * len(curves), title, description)


def standalone(svg: str, css: str) -> str:
    """A plot as an SVG file of its own, with the style that the page would give it."""
    return svg.replace("<title>", f"<style>{css}</style><title>", 1) + "\n"


def _colours(lines: Sequence[object]) -> list[str]:
    return [LINES[i % 6] for i in range(len(lines))]


def _dot(axes: Axes, x: float, y: float, color: str, tip: str) -> None:
    (mark,) = axes.plot([x], [y], "o", color=color)
    _tip(mark, tip)


def _tip(mark: Any, text: str) -> None:
    mark.set_gid(TIP + clean(text))


def _y_axis(axes: Axes, sign: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter("{x:g}" + sign)


def _legend(figure: Figure, axes: Axes) -> None:
    """The lines' names, above the plane, which a long name does not make smaller."""
    legend = axes.legend(bbox_to_anchor=(0, 1), borderaxespad=0.4)
    legend.set_in_layout(False)
    for line in legend.get_lines():
        line.set(alpha=1, linewidth=4)
    height = (20 * len(legend.get_lines()) + 12) / 72 / figure.get_figheight()
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - height))


def _svg(draw: Callable[[Figure], None], height: float, title: str, description: str) -> str:
    """What is drawn as one `<svg>` element, with the page's colours and fonts, a title, a
    description and tooltips."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    file = io.StringIO()
    with rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of glyphs that its font lacks: the page has others
        figure = Figure((WIDTH / 72, height / 72), layout="constrained")
        draw(figure)
        figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    ElementTree.register_namespace("", SVG[1:-1])
    root = ElementTree.fromstring(file.getvalue())
    for child in list(root):
        if child.tag != f"{SVG}g":  # metadata, clip paths, and a style that the page's sheet has
            root.remove(child)
    prefix = re.sub("[^a-z0-9]+", "-", title.lower())  # makes ids unique in a page
    for element in root.iter():
        element.attrib.pop("clip-path", None)
        if link := element.attrib.pop(LINK, None):
            element.set("href", f"#{prefix}-{link.removeprefix('#')}")
        name = element.attrib.pop("id", "")
        if name.startswith(TIP):
            _insert(element, "title", name.removeprefix(TIP))
        elif element.tag == f"{SVG}path" and name:  # a shape that is drawn several times
            element.set("id", f"{prefix}-{name}")
        if style := element.get("style"):
            style = style.replace("font-family: 'DejaVu Sans'; ", "")
            for variable, colour in COLOURS.items():
                style = style.replace(colour, f"var(--{variable})")
            element.set("style", style)
    _insert(root, "desc", description)
    _insert(root, "title", title)
    root.attrib = {"class": "plot", "role": "img", "viewBox": root.attrib["viewBox"]}
    return re.sub(r"\n\s*", "", ElementTree.tostring(root, encoding="unicode"))


def _insert(element: ElementTree.Element, tag: str, text: str) -> None:
    child = ElementTree.Element(SVG + tag)
    child.text = " ".join(clean(text).split())
    element.insert(0, child)
