"""Charts as pictures: SVG for the page, PNG for whoever wants to take one along."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from PIL import Image

from oneglance.errors import OneglanceError
from oneglance.tasks.charts import (
    Bars,
    Chart,
    Cloud,
    Curves,
    Heat,
    Histogram,
    Intervals,
    Matrix,
    Parallel,
    Scatter,
    Table,
)

#: Stands for the colour of text, which the page sets: dark on a light page, light on a dark one.
INK = "#16191d"
#: Okabe & Ito's colours, but for those that can't be seen on white, a little nearer to the middle so that they can be
#: seen on black as well. After them the line's pattern changes.
LINES = ("#2a7fbf", "#d9631e", "#1a9d78", "#b565a0", "#c98a00", "#5a6fd0")
PATTERNS = ("-", "--", ":", "-.")
ACCENT = LINES[0]
#: Hatches what nothing is known of.
UNKNOWN = "#7a828c"
MARKS = ("o", "s", "D", "^")
#: With more lines than this, all but the main one are drawn faintly and have no place in the legend.
TOLD_APART = 10
#: Names are written on the axes of a matrix up to this many, beside bars up to this many, and numbers into a matrix's
#: cells up to that many.
NAMED, BARRED, NUMBERED = 100, 60, 16
MADE_BY = "oneglance report"

Drawable = Matrix | Heat | Curves | Scatter | Cloud | Parallel | Histogram | Bars | Intervals


#: The page's pixels in one of Matplotlib's points.
PIXELS = 4 / 3


def figure_of(chart: Drawable) -> Figure:
    """A chart as a figure, without a title: what it stands in has one."""
    with _style():
        figure = Figure(figsize=_size(chart), layout="constrained")
        _draw(figure.add_subplot(), chart)
        return _laid_out(figure)


def grid_of(charts: Sequence[Drawable]) -> Figure:
    """Several charts with their titles; an even number in a row, so that a task's losses and scores stay together."""
    columns = min(len(charts), 2 if len(charts) <= 6 else 4)
    rows = -(-len(charts) // columns)
    with _style():
        figure = Figure(figsize=(5.0 * columns, 3.4 * rows), layout="constrained")
        for number, chart in enumerate(charts):
            axes = figure.add_subplot(rows, columns, number + 1)
            _draw(axes, chart)
            axes.set_title(chart.title, loc="left")
        return _laid_out(figure)


def _laid_out(figure: Figure) -> Figure:
    """The same figure, its parts given their places once and for all: that takes as long as drawing it."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def svg(figure: Figure, name: str) -> str:
    """A figure as an ``<svg>`` element to stand in a page: text is text, its colour the page's own.

    ``name`` keeps the element's ids apart from those of other figures on the page.
    """
    with _style(), io.StringIO() as file:
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
        text = file.getvalue()
    # What the page's own style says, and names of specifications that look like addresses.
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = text[text.index("<svg") :].split(">", 1)[1]
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'xlink:href="#', f'href="#{name}-', text).replace("xlink:href=", "href=")
    text = re.sub(r"\n\s*", "\n", text.replace(INK, "currentColor"))
    width, height = figure.get_size_inches() * 72
    size = f'width="{width * PIXELS:.0f}" height="{height * PIXELS:.0f}"'
    return f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" {size} aria-hidden="true">{text}'


def write_png(figure: Figure, path: Path) -> None:
    """A figure as a PNG at twice the size of a screen's pixels.

    Raises OneglanceError where a file of that name is there already that no report made.
    """
    if path.exists() and not _ours(path):
        raise OneglanceError(f"{path}: exists already and is no plot that a report made; it is left as it is")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _style():
        partial = path.with_name(path.name + ".partial")
        figure.savefig(partial, format="png", dpi=144, facecolor="white", metadata={"Software": MADE_BY})
        partial.replace(path)


def _ours(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.info.get("Software") == MADE_BY
    except OSError:
        return False


@contextmanager
def _style() -> Iterator[None]:
    settings = {
        "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9, "text.color": INK,
        "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
        "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "axes.spines.top": False,
        "axes.spines.right": False, "axes.titlesize": 10, "axes.titleweight": "bold", "legend.frameon": False,
        "legend.fontsize": 8, "svg.fonttype": "none", "svg.hashsalt": "oneglance", "text.parse_math": False,
        "axes.unicode_minus": True, "lines.linewidth": 1.6, "figure.dpi": 72, "text.usetex": False,
    }  # fmt: skip
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # A name in letters that the font lacks: the page has other fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def _size(chart: Drawable) -> tuple[float, float]:
    """Width and height in inches, of 72 pixels on the page."""
    match chart:
        case Matrix():
            side = min(11.0, max(2.2, 0.42 * max(chart.counts.shape)))
            label = 0.075 * max(len(_short(name)) for name in chart.rows) if len(chart.rows) <= NAMED else 0.3
            return side + label + 0.6, side + label + 0.6
        case Heat():
            side = 0.62 * max(chart.values.shape) + 0.4
            label = 0.085 * max(len(_short(name)) for name in chart.rows)
            return min(11.0, side + label), min(11.0, side + label)
        case Bars():
            return 5.4, max(1.6, 0.7 + 0.24 * len(chart.names)) if len(chart.names) <= BARRED else 6.0
        case Intervals():
            return 6.6, 1.0 + 0.36 * len(chart.names)
        case Scatter():
            return 4.2, 4.0
        case Parallel():
            return min(11.0, max(5.4, 1.5 * len(chart.axes))), 3.8
    return 5.4, 3.6


def _draw(axes: Axes, chart: Drawable) -> None:
    match chart:
        case Matrix():
            _matrix(axes, chart)
        case Heat():
            _heat(axes, chart)
        case Curves():
            _curves(axes, chart)
        case Scatter():
            _scatter(axes, chart)
        case Cloud():
            _cloud(axes, chart)
        case Parallel():
            _parallel(axes, chart)
        case Histogram():
            axes.stairs(chart.counts, chart.edges, fill=True, color=ACCENT, alpha=0.75)
            axes.axvline(0, color=INK, linewidth=0.8, linestyle="--")
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
            _labels(axes, chart.x_label, chart.y_label)
        case Bars():
            _bars(axes, chart)
        case Intervals():
            _intervals(axes, chart)


def _matrix(axes: Axes, chart: Matrix) -> None:
    sums = chart.counts.sum(1, keepdims=True)
    shares = chart.counts / np.maximum(sums, 1)
    # From nothing at all to a full colour, so that an empty cell is the page, light or dark.
    colours = LinearSegmentedColormap.from_list("shares", [(0.165, 0.498, 0.749, a) for a in (0.0, 1.0)])
    if max(chart.counts.shape) <= NAMED:
        axes.pcolormesh(shares, cmap=colours, vmin=0, vmax=1, edgecolors="none")
        axes.invert_yaxis()
    else:
        axes.imshow(shares, cmap=colours, vmin=0, vmax=1, interpolation="none",
                    extent=(0, shares.shape[1], shares.shape[0], 0))  # fmt: skip
    axes.set_aspect("equal")
    axes.spines[:].set_visible(True)
    axes.spines[:].set_alpha(0.3)
    for labels, put in ((chart.rows, axes.set_yticks), (chart.columns, axes.set_xticks)):
        named = len(labels) <= NAMED
        put(np.arange(len(labels)) + 0.5 if named else [], [_short(name) for name in labels] if named else [])
    cell = 72 * min(11.0, max(2.2, 0.42 * max(chart.counts.shape))) / max(chart.counts.shape)
    axes.tick_params(length=0, labelsize=min(9.0, 0.75 * cell))
    axes.tick_params(axis="x", rotation=90 if max(map(len, map(_short, chart.columns))) > 3 else 0)
    _labels(axes, "prediction", "truth", grid=False)
    if max(chart.counts.shape) <= NUMBERED:
        for i, j in np.argwhere(chart.counts > 0):
            on = shares[i, j] > 0.6
            axes.text(j + 0.5, i + 0.5, f"{shares[i, j]:.2f}".removeprefix("0"), ha="center", va="center",
                      color="white" if on else INK, fontsize=8)  # fmt: skip


def _heat(axes: Axes, chart: Heat) -> None:
    # Told apart by the numbers too: colour says nothing that they don't.
    below, above = (0.85, 0.388, 0.118), (0.165, 0.498, 0.749)
    ends = [(*below, 1.0), (*below, 0.0), (*above, 0.0), (*above, 1.0)]
    colours = LinearSegmentedColormap.from_list("around", list(zip((0.0, 0.5, 0.5, 1.0), ends, strict=True)))
    low, high = chart.span
    axes.pcolormesh(chart.values, cmap=colours, vmin=-max(-low, high), vmax=max(-low, high), edgecolors="none")
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.spines[:].set_visible(True)
    axes.spines[:].set_alpha(0.3)
    for names, put in ((chart.rows, axes.set_yticks), (chart.columns, axes.set_xticks)):
        put(np.arange(len(names)) + 0.5, [_short(name) for name in names])
    axes.tick_params(length=0)
    axes.tick_params(axis="x", rotation=90 if max(map(len, map(_short, chart.columns))) > 8 else 0)
    if max(chart.values.shape) <= NUMBERED:
        for (i, j), value in np.ndenumerate(chart.values):
            on = abs(value) > 0.6 * max(-low, high)
            text = f"{value:.{chart.decimals}f}" if np.isfinite(value) else "?"
            axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", color="white" if on else INK)
    for i, j in np.argwhere(~np.isfinite(chart.values)):
        # No colour of the scale: what is unknown is not 0.
        axes.add_patch(Rectangle((j, i), 1, 1, facecolor="#8884", edgecolor=UNKNOWN, hatch="////", linewidth=0))
    _labels(axes, chart.x_label, chart.y_label, grid=False)


def _curves(axes: Axes, chart: Curves) -> None:
    many = len(chart.series) > TOLD_APART
    for number, one in enumerate(chart.series):
        colour, pattern = LINES[number % len(LINES)], PATTERNS[number // len(LINES) % len(PATTERNS)]
        marker = "o" if len(one.x) == 1 else None  # a line of one point is nothing to be seen
        if one.main:
            axes.plot(
                one.x,
                one.y,
                color=INK,
                linewidth=2.4 if len(chart.series) > 1 else 1.8,
                label=_short(one.name),
                marker=marker,
                zorder=3,
            )
        elif many:
            label = None if number else f"each of {len(chart.series)}"
            axes.plot(one.x, one.y, color=ACCENT, alpha=0.35, linewidth=0.9, label=label)
        else:
            axes.plot(one.x, one.y, color=colour, linestyle=pattern, label=_short(one.name), marker=marker)
        if one.low is not None and one.high is not None:
            shade = INK if one.main else colour
            axes.fill_between(one.x, one.low, one.high, color=shade, alpha=0.15, linewidth=0)
    _labels(axes, chart.x_label, chart.y_label)
    if chart.x_range is not None:
        axes.set_xlim(*chart.x_range)
    if chart.x_label == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    values = np.concatenate([np.asarray(one.y, np.float64) for one in chart.series] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    if chart.y_range is not None:
        axes.set_ylim(*chart.y_range)
    elif len(values) and values.min() == values.max() >= 0:
        axes.set_ylim(0, 2 * float(values.max()) or 1.0)  # not a magnified nothing around the one value
    if len(chart.series) > 1:
        axes.legend(loc="best", handlelength=2.2)


def _scatter(axes: Axes, chart: Scatter) -> None:
    both = np.r_[chart.x, chart.y]
    low, high = float(both.min()), float(both.max())
    gap = 0.04 * (high - low) or 1.0
    ends = (low - gap, high + gap)
    axes.plot(ends, ends, color=INK, linewidth=0.8, linestyle="--")
    size = float(np.clip(60 / len(chart.x) ** 0.5, 3, 7))
    axes.plot(chart.x, chart.y, "o", color=ACCENT, markersize=size, alpha=0.6, markeredgecolor="none")
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    _labels(axes, chart.x_label, chart.y_label)


def _cloud(axes: Axes, chart: Cloud) -> None:
    for number, one in enumerate(chart.groups):
        colour = INK if one.main else LINES[number % len(LINES)]
        size = 4.0 if one.main else 5.5
        axes.plot(
            one.x, one.y, MARKS[number % len(MARKS)], color=colour, markersize=size, alpha=0.8, markeredgecolor="none",
            linestyle="-" if one.main else "none", linewidth=1.2, label=_short(one.name, 40),
        )  # fmt: skip
    _labels(axes, chart.x_label, chart.y_label)
    axes.legend(loc="best", handlelength=1.6)


def _parallel(axes: Axes, chart: Parallel) -> None:
    x = np.arange(len(chart.axes))
    order = np.argsort(np.nan_to_num(chart.values, nan=-np.inf))
    known = chart.values[np.isfinite(chart.values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    for k in order:  # the best last, over the others
        strength = (chart.values[k] - low) / (high - low) if high > low and np.isfinite(chart.values[k]) else 0.0
        axes.plot(x, chart.places[k], color=ACCENT, alpha=0.12 + 0.88 * float(strength) ** 2, linewidth=1.4)
    axes.set(xlim=(-0.15, len(x) - 0.55), ylim=(-0.05, 1.05))
    axes.vlines(x, 0, 1, color=INK, linewidth=0.8)
    for place, ticks in enumerate(chart.ticks):
        for at, text in ticks:
            axes.text(place + 0.04, at, _short(text, 12), fontsize=8, va="center")
    axes.set_xticks(x, [_short(name) for name in chart.axes])
    axes.tick_params(axis="x", length=0, labelsize=8)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _bars(axes: Axes, chart: Bars) -> None:
    places = np.arange(len(chart.names))
    values = np.nan_to_num(chart.values)
    axes.barh(places, values, color=ACCENT, alpha=0.85, height=0.7)
    axes.invert_yaxis()
    if len(chart.names) <= BARRED:
        axes.set_yticks(places, [_short(name) for name in chart.names])
        for place, value in zip(places, chart.values, strict=True):
            text = f" {value:.3g}" if np.isfinite(value) else " not measured"
            axes.text(
                float(np.nan_to_num(value)),
                float(place),
                text,
                va="center",
                fontsize=8,
                alpha=1 if np.isfinite(value) else 0.6,
            )
    else:
        axes.set_yticks([])
    axes.tick_params(axis="y", length=0)
    _labels(axes, chart.x_label, "")
    axes.grid(visible=False, axis="y")
    low, high = chart.x_range or (0.0, float(values.max()) or 1.0)
    axes.set_xlim(low, high + 0.12 * (high - low))


def _intervals(axes: Axes, chart: Intervals) -> None:
    places = np.arange(len(chart.names))
    axes.axvline(0, color=INK, linewidth=0.8, linestyle="--")
    axes.hlines(places, chart.low, chart.high, color=ACCENT, linewidth=2.2, alpha=0.7)
    axes.plot(chart.values, places, "o", color=ACCENT, markersize=6)
    axes.set_yticks(places, [_short(name) for name in chart.names])
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    _labels(axes, chart.x_label, "")
    axes.grid(visible=False, axis="y")


def _labels(axes: Axes, x: str, y: str, *, grid: bool = True) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if grid:
        axes.grid(color=INK, alpha=0.12, linewidth=0.6)
        axes.set_axisbelow(True)


def _short(name: str, most: int = 22) -> str:
    """A name that fits, on one line; its ends tell more than its middle."""
    name = " ".join(name.split()) or "-"
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most // 2 - 1) :]}"


def drawable(charts: Sequence[Chart]) -> list[Drawable]:
    """Those that are pictures rather than tables."""
    return [chart for chart in charts if not isinstance(chart, Table)]


def slug(text: str) -> str:
    """A text as part of a file's name."""
    return re.sub(r"[^\w-]+", "_", text).strip("_") or "_"
