"""Which track is which detection: costs between the two, and the assignment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oneglance.annotations import FloatArray

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


def iou_matrix(one: FloatArray | Array, other: FloatArray | Array) -> Array:
    """Intersection over union of boxes ``x1 y1 x2 y2``, float64 [T, N]; 0 where both are empty."""
    a, b = np.asarray(one, np.float64)[:, None], np.asarray(other, np.float64)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.maximum(sides, 0).prod(-1)
    union = _areas(a) + _areas(b) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def with_looks(cost: Array, one: Array, other: Array) -> Array:
    """Costs 1 - IoU, float64 [T, N], mixed with how different two look.

    DeepSORT's sum (Wojke et al. 2017, eq. 5): a half each of 1 - IoU and of the cosine distance, which is 1 at most. So
    looks decide between objects that are near each other; boxes that do not overlap still cost 1.

    ``one`` float64 [T, D], ``other`` float64 [N, D]: of length 1, or NaN where nobody knows what it looks like; there
    the cost stays as it is.
    """
    distance = np.clip(1 - one @ other.T, 0, 1)
    return np.where(np.isnan(distance) | (cost >= 1), cost, (cost + distance) / 2)


def assign(cost: Array, limit: float) -> tuple[Rows, Rows]:
    """Pairs (rows, columns) of the least total cost, where to leave a row and a column unpaired costs ``limit``.

    No pair costs ``limit`` or more.
    """
    if cost.size == 0:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    # Takes a third of a second to import, and only films need it.
    from scipy.optimize import linear_sum_assignment

    capped = np.minimum(cost, limit)
    rows, columns = linear_sum_assignment(capped)
    paired = capped[rows, columns] < limit
    return rows[paired], columns[paired]


def _areas(boxes: Array) -> Array:
    return np.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(-1)
