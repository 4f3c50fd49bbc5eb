"""Where boxes are likely to be next: Kalman filters of constant velocity, of many boxes at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oneglance.annotations import FloatArray

Array = NDArray[np.float64]

#: Standard deviations as shares of the box's sides, a frame. That of the speed is twice that of DeepSORT, ByteTrack and
#: BoT-SORT: fewer objects are lost when they turn (benchmarks/tracking.py) ...
_PLACE, _SPEED = 1 / 20, 1 / 80
#: ... at so many frames a second. Here time is in seconds, and noise grows with it.
_RATE = 30.0


class Motion:
    """One Kalman filter a box, of its centre, width and height; each moves steadily but for noise.

    BoT-SORT's model (Aharon et al. 2022), for frames at any times. All noise is independent between the four numbers,
    so the covariance of a box is four of 2 x 2, and everything is closed form over arrays.

    ``mean`` float64 [T, 2, 4]: (cx, cy, w, h) in pixels, and their speeds a second. ``spread`` float64 [T, 3, 4]:
    the variance of the place, the covariance of place and speed, the variance of the speed.
    """

    def __init__(self) -> None:
        self.mean: Array = np.zeros((0, 2, 4))
        self.spread: Array = np.zeros((0, 3, 4))

    def __len__(self) -> int:
        return len(self.mean)

    def add(self, boxes: FloatArray | Array) -> None:
        """Begin a filter for each box ``x1 y1 x2 y2``, float [N, 4]: at rest, of unknown speed."""
        place = _centred(boxes)
        size = _sides(place)
        mean, spread = np.zeros((len(place), 2, 4)), np.zeros((len(place), 3, 4))
        mean[:, 0] = place
        spread[:, 0] = (2 * _PLACE * size) ** 2
        spread[:, 2] = (10 * _SPEED * _RATE * size) ** 2
        self.mean, self.spread = np.concatenate([self.mean, mean]), np.concatenate([self.spread, spread])

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        """Forget all filters but these, bool [T]."""
        self.mean, self.spread = self.mean[chosen], self.spread[chosen]

    def predict(self, seconds: float, lost: NDArray[np.bool_]) -> None:
        """Go on by so many seconds; ``lost`` bool [T]: boxes that were not seen last, whose size stays as it was."""
        size = _sides(self.mean[:, 0])
        self.mean[lost, 1, 2:] = 0
        self.mean[:, 0] += seconds * self.mean[:, 1]
        place, both, speed = self.spread[:, 0], self.spread[:, 1], self.spread[:, 2]
        frames = seconds * _RATE
        place += seconds * (2 * both + seconds * speed) + frames * (_PLACE * size) ** 2
        both += seconds * speed
        speed += frames * (_SPEED * _RATE * size) ** 2

    def update(self, rows: NDArray[np.intp], boxes: FloatArray | Array) -> None:
        """Take in where the boxes of some filters were found: rows int [N], boxes float [N, 4]."""
        mean, spread = self.mean[rows], self.spread[rows]
        place, both = spread[:, 0].copy(), spread[:, 1].copy()
        total = place + (_PLACE * _sides(mean[:, 0])) ** 2
        off = _centred(boxes) - mean[:, 0]
        mean[:, 0] += place / total * off
        mean[:, 1] += both / total * off
        spread -= np.stack([place * place, place * both, both * both], 1) / total[:, None]
        self.mean[rows], self.spread[rows] = mean, spread

    def boxes(self) -> Array:
        """Where the boxes should be, float64 [T, 4], ``x1 y1 x2 y2``."""
        centre, half = self.mean[:, 0, :2], np.maximum(self.mean[:, 0, 2:], 0) / 2
        return np.concatenate([centre - half, centre + half], 1)


def _centred(boxes: FloatArray | Array) -> Array:
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    low, high = corners[:, :2], corners[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], 1)


def _sides(place: Array) -> Array:
    """Width and height, twice, float64 [T, 4]; at least a pixel, so that no filter is ever certain."""
    return np.maximum(place[:, [2, 3, 2, 3]], 1.0)
