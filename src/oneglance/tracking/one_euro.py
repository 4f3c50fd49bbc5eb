"""The One-Euro filter: steady at rest, quick in motion."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Hertz: how much the speed itself is smoothed (the paper's constant).
_SPEED_CUTOFF = 1.0


class OneEuro:
    """A low-pass filter whose cut-off rises with speed (Casiez, Roussel and Vogel 2012), of each number of an array.

    Args:
        min_cutoff: hertz, at rest.
        beta: hertz by which the cut-off rises with each unit a second.
    """

    def __init__(self, min_cutoff: float = 1.0, beta: float = 0.0) -> None:
        self.min_cutoff, self.beta = min_cutoff, beta
        self._seconds = 0.0
        self._value: Array | None = None
        self._speed: Array = np.zeros(0)

    def __call__(self, seconds: float, values: Array, unit: float = 1.0) -> Array:
        """The values smoothed, float64 of the same shape.

        A NaN is unknown: it stays so, and the next value in its place begins anew. A second frame of the same time
        changes nothing.

        Args:
            seconds: the time of the values; never before that of the last.
            values: float64, of one shape in all calls.
            unit: the length in which speeds are measured.
        """
        values = np.asarray(values, np.float64)
        if self._value is None:
            self._value = np.full_like(values, np.nan)
            self._speed = np.zeros_like(values)
        elapsed, self._seconds = seconds - self._seconds, seconds
        new = np.isnan(self._value) | np.isnan(values)
        if elapsed > 0:
            off = values - self._value
            share = _share(_SPEED_CUTOFF, elapsed)
            speed = share * off / elapsed + (1 - share) * self._speed
            smoothed = self._value + _share(self.min_cutoff + self.beta * np.abs(speed) / unit, elapsed) * off
        else:
            speed, smoothed = self._speed, self._value
        self._speed = np.where(new, 0.0, speed)
        self._value = np.where(new, values, smoothed)
        return self._value.copy()


def _share(cutoff: Array | float, elapsed: float) -> Array | float:
    """The paper's alpha: how much of a new value is taken over."""
    turned = 2 * math.pi * cutoff * elapsed
    return turned / (turned + 1)
