"""Whether two heat maps show the same: by the ranks of all places, and by the places of most heat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from oneglance.data.geometry import Frame
from oneglance.explaining.attribution import Heat, in_content

#: Maps are compared on so many cells along the image's longer side.
CELLS = 32
#: The share of the image that is called the places of most heat.
MOST = 0.2


def cells_of(heat: Heat, frame: Frame) -> Heat:
    """The image's part of a heat map on a grid of :data:`CELLS` along the longer side, float32 [h, w]."""
    x1, y1, x2, y2 = frame.content
    scale = CELLS / max(x2 - x1, y2 - y1)
    return in_content(heat, frame, (max(1, round((y2 - y1) * scale)), max(1, round((x2 - x1) * scale))))


def rank_correlation(one: Heat, other: Heat) -> float:
    """Spearman's, over all cells; NaN where a map is the same everywhere."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan
    return float(stats.spearmanr(one.ravel(), other.ravel()).statistic)


def hottest(heat: Heat) -> NDArray[np.bool_]:
    """The fifth of the cells with most heat, bool [h, w]; fewer where fewer have any."""
    count = max(1, round(MOST * heat.size))
    order = np.argsort(-heat, axis=None, kind="stable")[:count]
    chosen = np.zeros(heat.size, bool)
    chosen[order] = True
    return chosen.reshape(heat.shape) & (heat > 0)


def common_area(one: Heat, other: Heat) -> float:
    """Intersection over union of the hottest fifths; NaN where a map has no heat at all."""
    a, b = hottest(one), hottest(other)
    return float((a & b).sum() / (a | b).sum()) if a.any() and b.any() else math.nan


@dataclass(frozen=True)
class Mean:
    """A mean over ``images`` with the half-width of its interval (Student's t); NaN where it can't be had."""

    value: float
    margin: float
    images: int

    @classmethod
    def of(cls, values: Sequence[float], level: float = 0.95) -> Mean:
        """Of one value an image, those that are NaN left out."""
        known = np.array([one for one in values if math.isfinite(one)], np.float64)
        if not len(known):
            return cls(math.nan, math.nan, 0)
        if len(known) < 2:
            return cls(float(known[0]), math.nan, 1)
        margin = stats.t.ppf((1 + level) / 2, len(known) - 1) * known.std(ddof=1) / math.sqrt(len(known))
        return cls(float(known.mean()), float(margin), len(known))

    def __str__(self) -> str:
        if not self.images:
            return "–"
        return f"{self.value:.2f}" + (f" ± {self.margin:.2f}" if math.isfinite(self.margin) else "")
