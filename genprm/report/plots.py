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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from genprm.evaluation.reliability import Reliability
from genprm.report.text import clean
from genprm.util.stats import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 480  # of the view box; a phone shows it at about 0.7 of that
LEFT, RIGHT = 46, 14  # margins of plots with a y axis
SVG = "http://www.w3.org/2000/svg"
LINK = "{http://www.w3.org/1999/xlink}href"
# stand-in colours by the CSS variables that replace them
NAMES = ("c0", "c1", "c2", "c3", "c4", "c5", "ink", "soft", "rule", "track", "card")
COLOURS = {name: f"#0a0b{number:02x}" for number, name in enumerate(NAMES)}
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "genprm",  # the same plot has the same bytes
}
SMALL: dict[str, Any] = {"size": 12, "color": "soft"}


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
    from matplotlib.patheffects import withStroke

    groups = list(dict.fromkeys(bar.group for bar in bars))
    names = list(dict.fromkeys(bar.name for bar in bars))
    plot = Plot(26 * len(groups) + 41 * len(bars) + 22)
    axes = plot.axes(top=0, bottom=22, left=4, right=4)
    axes.set(xlim=(0, 1), ylim=(plot.height - 22, 0))  # one unit of y is one pixel
    halo = [withStroke(linewidth=4, foreground=COLOURS["card"], alpha=0.75)]
    y = 0.0
    for group in groups:
        y += 20
        plot.text(axes, (0, y), group, size=14, weight="bold")
        for bar in (bar for bar in bars if bar.group == group):
            figure, color = bar.figure, COLOURS[f"c{names.index(bar.name) % 6}"]
            n = "" if figure.n is None else f" · n = {figure.n:,}"
            plot.text(axes, (0, y + 20), bar.name)
            plot.text(axes, (1, y + 20), figure.text() + n, "right")
            y += 32.5
            plot.bar(axes, y, 0, 1, 11, color=COLOURS["track"])
            if figure.value is not None:
                tip = f"{bar.group}, {bar.name}: {figure.text()}"
                plot.bar(axes, y, 0, figure.value, 11, tip, color=color)
            if figure.low is not None and figure.high is not None:
                low, high = figure.low, figure.high
                whisker = [(low, y - 3.5), (low, y + 3.5), (low, y)]
                whisker += [(high, y), (high, y - 3.5), (high, y + 3.5)]
                plot.line(axes, whisker, COLOURS["ink"], 1.5, path_effects=halo)
            y += 8.5
        y += 6
    for tick in range(0, 101, 20):
        side = "left" if tick == 0 else "right" if tick == 100 else "center"
        label = f"{tick}%" if tick in (0, 100) else str(tick)
        plot.text(axes, (tick / 100, plot.height - 6), label, side, **SMALL)
    figures = "; ".join(f"{b.group}, {b.name}: {b.figure.text()}" for b in bars)
    return plot.svg(title, figures)


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
    top = 20 + 19 * len(series)
    plot = Plot(top + 276)
    plot.legend([line.name for line in series])
    axes = plot.axes(top=top, bottom=46)
    x_of = {count: math.log(count) if ticks else float(counts.index(count)) for count in counts}
    x_of |= {tick: math.log(tick) for tick in ticks}
    first, last = min(x_of.values(), default=0.0), max(x_of.values(), default=0.0)
    margin = 0.05 * (last - first) or 1.0
    low, high, step = _y_range([figure for line in series for _, figure in line.points], unit)
    axes.set(xlim=(first - margin, last + margin), ylim=(low, high))
    plot.grid(axes, [low + i * step for i in range(round((high - low) / step) + 1)], unit.sign)
    plot.x_axis(axes, {x_of[count]: str(count) for count in ticks or counts}, x_label)
    for i, line in enumerate(series):
        color = COLOURS[f"c{i % 6}"]
        bounds = [
            (x_of[count], unit.factor * f.low, unit.factor * f.high)
            for count, f in line.points
            if f.value is not None and f.low is not None and f.high is not None
        ]
        xs, lows, highs = ([bound[i] for bound in bounds] for i in range(3))
        axes.fill_between(xs, lows, highs, color=color, alpha=0.13, linewidth=0, clip_on=False)
        points = [(x_of[c], unit.factor * f.value) for c, f in line.points if f.value is not None]
        plot.line(axes, points, color, 2.2)
        for count, figure in line.points:
            if figure.value is not None:
                tip = f"{line.name}, {count}: {unit.text(figure)}"
                plot.dot(axes, x_of[count], unit.factor * figure.value, color, tip)
    figures = "; ".join(
        f"{line.name}: " + ", ".join(f"{count}: {unit.text(f)}" for count, f in line.points)
        for line in series
    )
    return plot.svg(title, f"{y_label} against {x_label}. {figures}")


def reliability_chart(curves: Sequence[ReliabilityCurve], title: str) -> str:
    """Share correct against mean score per bin, with the diagonal and the bins' sizes below."""
    names = []
    for curve in curves:
        ece = curve.figures.ece
        error = "n/a" if ece is None else f"{ece:.3f}"
        names.append(f"{curve.name} (ECE {error}, {curve.figures.n:,} steps)")
    top, strips = 20 + 19 * len(curves), 13 * len(curves)
    plot = Plot(top + 280 + strips + 46)
    plot.legend(names)
    axes = plot.axes(top=top, bottom=strips + 46)
    axes.set(xlim=(0, 1), ylim=(0, 100))
    plot.grid(axes, range(0, 101, 20), "%")
    plot.line(axes, [(0, 0), (1, 100)], COLOURS["soft"], 1.2, linestyle=(0, (4, 4)))
    sizes = plot.axes(top=top + 286, bottom=40)
    sizes.set(xlim=(0, 1), ylim=(strips, 0))
    ticks = {tick / 10: f"{tick / 10:.1f}" for tick in range(0, 11, 2)}
    plot.x_axis(sizes, ticks, "mean score of the bin (strip: share of steps)")
    for i, curve in enumerate(curves):
        color, points = COLOURS[f"c{i % 6}"], []
        for part in curve.figures.bins:
            share = part.n / curve.figures.n if curve.figures.n else 0.0
            tip = f"{curve.name}: {part.n:,} steps, {100 * share:.1f}%"
            shade = 0.06 + 0.94 * math.sqrt(share)  # so that few steps are seen, too
            left, width = part.low + 0.0015, part.high - part.low - 0.003
            plot.bar(sizes, 13 * i + 5, left, width, 10, tip, color=color, alpha=shade)
            x, accuracy = part.mean_score, part.accuracy
            if x is None or accuracy.value is None:
                continue
            points.append((x, 100 * accuracy.value))
            whisker = [(x, 100 * (accuracy.low or 0.0)), (x, 100 * (accuracy.high or 0.0))]
            plot.line(axes, whisker, color, 1.4, alpha=0.75)
            tip = f"{curve.name}, score {part.low:.1f} to {part.high:.1f}: "
            tip += f"{100 * accuracy.value:.1f}% correct, {part.n:,} steps"
            plot.dot(axes, *points[-1], color, tip)
        plot.line(axes, points, color, 1.2, alpha=0.55)
    return plot.svg(title, f"Share of correct steps against mean score. {'; '.join(names)}")


class Plot:
    """A figure of matplotlib's, laid out in pixels, and the tooltips of its marks.

    Nothing is clipped: a clip path would need an id that is unique in the whole page.
    """

    def __init__(self, height: float):
        from matplotlib.figure import Figure

        self.height = height
        self._figure: Figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
        self._tooltips: dict[str, str] = {}

    def axes(self, top: float, bottom: float, left: float = LEFT, right: float = RIGHT) -> Axes:
        """An empty plane with these margins to the edges of the plot."""
        wide, high = WIDTH - left - right, self.height - top - bottom
        axes = self._figure.add_axes(
            (left / WIDTH, bottom / self.height, wide / WIDTH, high / self.height)
        )
        axes.set_axis_off()
        return axes

    def text(
        self,
        axes: Axes,
        place: tuple[float, float],
        text: str,
        side: str = "left",
        *,
        color: str = "ink",
        size: float = 13,
        weight: str = "normal",
        offset: tuple[float, float] = (0, 0),
        transform: Any = "data",
    ) -> None:
        """A line of text that begins, ends or is centred so many pixels (up and to the right) from
        a place."""
        axes.annotate(
            " ".join(clean(text).split()), place, offset, transform, "offset points",
            ha=side, va="baseline", size=size, weight=weight, color=COLOURS[color],
            annotation_clip=False, parse_math=False,  # a $ in a name is a $
        )  # fmt: skip

    def bar(
        self,
        axes: Axes,
        y: float,
        left: float,
        width: float,
        height: float,
        tip: str = "",
        **more: Any,
    ) -> None:
        (mark,) = axes.barh(y, width, height, left, clip_on=False, **more)
        self._tooltip(mark, tip)

    def line(
        self,
        axes: Axes,
        points: Sequence[tuple[float, float]],
        color: str,
        width: float,
        **more: Any,
    ) -> None:
        xs, ys = [x for x, _ in points], [y for _, y in points]
        axes.plot(xs, ys, color=color, linewidth=width, clip_on=False, **more)

    def dot(self, axes: Axes, x: float, y: float, color: str, tip: str) -> None:
        (mark,) = axes.plot(
            [x], [y], marker="o", markersize=8, color=color, clip_on=False, zorder=3,
            markeredgecolor=COLOURS["card"], markeredgewidth=1.5,
        )  # fmt: skip
        self._tooltip(mark, tip)

    def _tooltip(self, mark: Any, text: str) -> None:
        key = f"mark-{len(self._tooltips)}"
        mark.set_gid(key)
        self._tooltips[key] = text

    def legend(self, names: Sequence[str]) -> None:
        """A row with a square of its colour per name, above everything else."""
        high = 19 * len(names) + 2
        axes = self.axes(top=0, bottom=self.height - high)
        axes.set(xlim=(0, WIDTH - LEFT - RIGHT), ylim=(high, 0))
        for i, name in enumerate(names):
            self.bar(axes, 12 + 19 * i, 0, 12, 12, color=COLOURS[f"c{i % 6}"])
            self.text(axes, (19, 16.5 + 19 * i), name)

    def grid(self, axes: Axes, values: Iterable[float], sign: str) -> None:
        """A labelled rule at each of these values of y."""
        at = axes.get_yaxis_transform()
        for value in values:
            axes.axhline(value, color=COLOURS["rule"], linewidth=1, zorder=0, clip_on=False)
            label = f"{value:g}{sign}"
            self.text(axes, (0, value), label, "right", offset=(-7, -4), transform=at, **SMALL)

    def x_axis(self, axes: Axes, ticks: Mapping[float, str], label: str) -> None:
        """What is written below the plane."""
        at = axes.get_xaxis_transform()
        for x, text in ticks.items():
            self.text(axes, (x, 0), text, "center", offset=(0, -18), transform=at, **SMALL)
        self.text(axes, (0.5, 0), label, "center", offset=(0, -38), transform="axes fraction")

    def svg(self, title: str, description: str) -> str:
        """The plot as one `<svg>` element."""
        from matplotlib import rc_context

        file = io.StringIO()
        with rc_context(STYLE), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of glyphs that its font lacks: the page has others
            self._figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
        return _own_style(file.getvalue(), title, description, self._tooltips)


def standalone(svg: str, css: str) -> str:
    """A plot as an SVG file of its own, with the style that the page would give it."""
    return svg.replace("<title>", f"<style>{css}</style><title>", 1) + "\n"


def _own_style(drawing: str, title: str, description: str, tooltips: Mapping[str, str]) -> str:
    """Matplotlib's SVG with the page's colours and fonts, a title, a description and tooltips.

    The only ids left are those of shapes that are drawn several times, made unique by the title.
    """
    ElementTree.register_namespace("", SVG)
    root = ElementTree.fromstring(drawing)
    for name in ("metadata", "defs"):  # these `defs` are one style, which the page's sheet has
        for element in root.findall(f"{{{SVG}}}{name}"):
            root.remove(element)
    prefix = re.sub("[^a-z0-9]+", "-", title.lower())
    for element in root.iter():
        if link := element.attrib.pop(LINK, None):
            element.set("href", f"#{prefix}-{link.removeprefix('#')}")
        name = element.attrib.pop("id", "")
        if tooltips.get(name):
            _insert(element, "title", tooltips[name])
        elif name and element.tag == f"{{{SVG}}}path":
            element.set("id", f"{prefix}-{name}")
        if element.get("transform", "").startswith("rotate(-0 "):
            del element.attrib["transform"]
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
    child = ElementTree.Element(f"{{{SVG}}}{tag}")
    child.text = " ".join(clean(text).split())
    element.insert(0, child)


def _y_range(figures: Sequence[Estimate], unit: AxisUnit) -> tuple[float, float, float]:
    """Bounds and tick distance of an axis that holds all figures and intervals; of units other
    than percent it begins at 0."""
    from matplotlib.ticker import MaxNLocator

    values = [unit.factor * x for f in figures for x in (f.value, f.low, f.high) if x is not None]
    if unit is not PERCENT:
        values.append(0.0)
    low, high = (min(values), max(values)) if values else (0.0, 100.0)
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high if high > low else low + 1)
    return float(ticks[0]), float(ticks[-1]), float(ticks[1] - ticks[0])
