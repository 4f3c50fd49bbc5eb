"""What a metric has to show beside its figures: plain data, of which :mod:`oneglance.evaluation` makes pictures.

Nothing here draws. Every chart has a ``title``, a ``note`` that says in plain words how to read it, and a ``stem``: the
beginning of its file's name (``confusion_matrix``), one that people know from elsewhere where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: No curve needs more points than this to look the same.
MOST_POINTS = 201


@dataclass(frozen=True)
class Matrix:
    """How often each truth was answered with what: ``counts`` int64 [R, C], rows the truth, columns the prediction.

    Drawn with each row as shares of its sum, so that rare classes are seen as well as frequent ones. ``rows`` and
    ``columns``: their names; ``unit``: what is counted (images, pixels, objects).
    """

    stem: str
    title: str
    note: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: NDArray[np.int64]
    unit: str = "images"


@dataclass(frozen=True)
class Heat:
    """A number for each pair: ``values`` float64 [R, C] by ``rows`` and ``columns``, coloured from the low end of
    ``span`` over 0, which has no colour, to its high end, and written with ``decimals``. NaN: unknown, hatched."""

    stem: str
    title: str
    note: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: Floats
    span: tuple[float, float]
    decimals: int = 2
    x_label: str = ""
    y_label: str = ""


@dataclass(frozen=True)
class Series:
    """One line: ``x`` and ``y`` float64 [N]. ``main``: the one to look at first; ``low`` and ``high`` float64 [N]: the
    ends of an interval round each point."""

    name: str
    x: Floats
    y: Floats
    main: bool = False
    low: Floats | None = None
    high: Floats | None = None


@dataclass(frozen=True)
class Curves:
    """Lines over one pair of axes. ``x_range``, ``y_range``: where the axes end; None: where the lines do."""

    stem: str
    title: str
    note: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Scatter:
    """A point an image: the truth ``x`` and the prediction ``y``, float64 [N]; the diagonal is where they are equal."""

    stem: str
    title: str
    note: str
    x_label: str
    y_label: str
    x: Floats
    y: Floats


@dataclass(frozen=True)
class Cloud:
    """Groups of points over one pair of axes; those of the ``main`` groups are joined by a line, in their order."""

    stem: str
    title: str
    note: str
    x_label: str
    y_label: str
    groups: tuple[Series, ...]


@dataclass(frozen=True)
class Parallel:
    """A line for each of N things over A axes side by side: ``places`` float64 [N, A] in [0, 1], NaN where it has none;
    ``ticks``: by axis, places and what stands there. The stronger the line, the higher ``values`` float64 [N]."""

    stem: str
    title: str
    note: str
    axes: tuple[str, ...]
    ticks: tuple[tuple[tuple[float, str], ...], ...]
    places: Floats
    values: Floats


@dataclass(frozen=True)
class Histogram:
    """How often a number falls between neighbouring ``edges`` float64 [N + 1]: ``counts`` int64 [N]."""

    stem: str
    title: str
    note: str
    x_label: str
    y_label: str
    edges: Floats
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Bars:
    """A length for each name: ``values`` float64 [N], NaN where nothing could be measured."""

    stem: str
    title: str
    note: str
    x_label: str
    names: tuple[str, ...]
    values: Floats
    x_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Intervals:
    """A point with an interval for each name: ``values``, ``low`` and ``high`` float64 [N]; on either side of 0."""

    stem: str
    title: str
    note: str
    x_label: str
    names: tuple[str, ...]
    values: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Table:
    """Figures that are read rather than looked at: one row a class, a tag, a point. NaN: nothing could be measured."""

    stem: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]


Chart = Matrix | Heat | Curves | Scatter | Cloud | Parallel | Histogram | Bars | Intervals | Table


def thinned(x: Sequence[float] | Floats, y: Sequence[float] | Floats, most: int = MOST_POINTS) -> tuple[Floats, Floats]:
    """At most ``most`` points of a curve, evenly by their number, the first and the last among them."""
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(xs) <= most:
        return xs, ys
    at = np.unique(np.linspace(0, len(xs) - 1, most).round().astype(np.int64))
    return xs[at], ys[at]


def share(part: float, whole: float) -> float:
    """``part / whole``; NaN where there is no whole."""
    return float(part / whole) if whole else float("nan")


def weighted_mean(values: Floats, counts: NDArray[np.integer]) -> Floats:
    """The mean of ``values`` float64 [n] where value k counts ``counts[b, k]`` times, float64 [B]; NaN values are left
    out, and what has none left is NaN."""
    known = np.isfinite(values)
    weights = counts[:, known].astype(np.float64)
    with np.errstate(invalid="ignore"):
        mean: Floats = (weights @ values[known]) / weights.sum(1)
    return mean


def mean_of_known(values: Floats) -> Floats:
    """The mean over the first axis of float64 [K, B], NaN left out; NaN where there is nothing else, float64 [B]."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(known, values, 0.0).sum(0) / known.sum(0)
    return mean


def per_class(confusion: NDArray[np.int64], classes: Sequence[str]) -> list[tuple[str, int, float, float, float]]:
    """A row a class from int64 [C, C] (rows truth, columns prediction): name, how many are labelled as it, recall,
    precision, intersection over union."""
    right, labelled, said = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    return [
        (
            name,
            int(labelled[k]),
            share(right[k], labelled[k]),
            share(right[k], said[k]),
            share(right[k], labelled[k] + said[k] - right[k]),
        )
        for k, name in enumerate(classes)
    ]
