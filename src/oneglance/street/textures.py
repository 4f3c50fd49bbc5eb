"""Noise and patterns that are made once in a process and then only cut out: from fixed seeds, always the same."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from oneglance.street.canvas import Picture

SIDE = 512


def smooth_noise(rng: np.random.Generator, side: int, cells: tuple[int, ...]) -> NDArray[np.float32]:
    """Noise of several sizes added up, float32 [side, side] about 0..1, that goes on over its edges."""
    total = np.zeros((side, side), np.float32)
    for weight, count in enumerate(cells, 1):
        coarse = np.pad(rng.random((count, count), np.float32), 2, "wrap")
        scale = side / count
        wide = cv2.resize(coarse, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        edge = round(2 * scale)
        total += wide[edge : edge + side, edge : edge + side] / 2**weight
    low, high = total.min(), total.max()
    return np.asarray((total - low) / (high - low), np.float32)


@lru_cache(None)
def asphalt() -> Picture:
    """Brightness of a road, uint8 [512, 512], 128 in the mean: grain, patches and cracks over 16 metres."""
    rng = np.random.default_rng(1)
    grain = rng.normal(0, 13, (SIDE, SIDE)) + 36 * (smooth_noise(rng, SIDE, (8, 32, 64)) - 0.5)
    cracks = np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(7):
        turn = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.25, 40))
        path = np.cumsum(7 * np.stack([np.cos(turn), np.sin(turn)], 1), 0) + rng.uniform(0, SIDE, 2)
        cv2.polylines(cracks, [path.astype(np.int32)], False, 26, 1, cv2.LINE_AA)
    for _ in range(5):
        x, y = rng.integers(0, SIDE - 80, 2)
        w, h = rng.integers(20, 70, 2)
        grain[y : y + h, x : x + w] += rng.uniform(-22, 10)
    return np.clip(128 + grain - cracks, 0, 255).astype(np.uint8)


@lru_cache(None)
def paving() -> Picture:
    """Brightness of a pavement, uint8 [512, 512], 128 in the mean: slabs of half a metre over 16 metres."""
    rng = np.random.default_rng(2)
    slab = np.kron(rng.normal(0, 9, (32, 32)), np.ones((16, 16))) + rng.normal(0, 6, (SIDE, SIDE))
    slab[::16] -= 34
    slab[:, ::16] -= 34
    return np.clip(130 + slab, 0, 255).astype(np.uint8)


@lru_cache(None)
def drifts() -> Picture:
    """How thick snow lies on a road, uint8 [512, 512] over 16 metres: two pairs of tracks along the rows' axis."""
    rng = np.random.default_rng(3)
    return np.asarray(255 * smooth_noise(rng, SIDE, (6, 20, 60, 120)), np.float32).astype(np.uint8)


@lru_cache(None)
def clouds() -> NDArray[np.float32]:
    """Thickness of clouds, float32 [512, 512], 0..1."""
    return smooth_noise(np.random.default_rng(4), SIDE, (4, 8, 16, 32, 64, 128))


@lru_cache(None)
def grain() -> NDArray[np.int16]:
    """A sensor's noise, int16 [1024, 1024, 3], standard deviation 64."""
    rng = np.random.default_rng(5)
    shared = rng.normal(0, 1, (1024, 1024, 1)) * 0.8 + rng.normal(0, 1, (1024, 1024, 3)) * 0.6
    return np.round(shared * 64).astype(np.int16)


@lru_cache(None)
def bricks() -> Picture:
    """Unevenness of walls, uint8 [512, 512], 128 in the mean."""
    rng = np.random.default_rng(6)
    return np.clip(
        128 + rng.normal(0, 2.6, (SIDE, SIDE)) + 24 * (smooth_noise(rng, SIDE, (6, 24, 96)) - 0.5), 0, 255
    ).astype(np.uint8)


@lru_cache(None)
def streaks(number: int) -> Picture:
    """Falling rain, uint8 [1024, 1024], brightness to be added; there are four."""
    rng = np.random.default_rng(100 + number)
    made = np.zeros((1024, 1024), np.uint8)
    slant = (-0.28, -0.12, 0.1, 0.24)[number]
    for length, count, bright in ((14, 1500, 70), (26, 700, 105), (48, 160, 130)):
        for x, y in rng.uniform(0, 1024, (count, 2)):
            reach = length * rng.uniform(0.6, 1.3)
            ends = np.array([[x, y], [x + slant * reach, y + reach]]) * 16
            cv2.polylines(made, [ends.astype(np.int32)], False, bright * rng.uniform(0.5, 1), 1, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(made, (3, 3), 0.6), np.uint8)


@lru_cache(None)
def flakes(number: int) -> Picture:
    """Falling snow, uint8 [1024, 1024], how much white lies over the picture; there are three."""
    rng = np.random.default_rng(200 + number)
    far, near = np.zeros((2, 1024, 1024), np.uint8)
    for x, y in rng.uniform(0, 1024, (2600, 2)):
        cv2.circle(far, (int(x * 16), int(y * 16)), int(16 * rng.uniform(0.5, 1.25)), 225, -1, cv2.LINE_AA, 4)
    for x, y in rng.uniform(0, 1024, (260, 2)):
        size = (rng.uniform(1.6, 3.4), rng.uniform(1.6, 4.2))
        box = ((float(x), float(y)), size, float(rng.uniform(-20, 20)))
        cv2.ellipse(near, (box[0], (2 * size[0], 2 * size[1]), box[2]), 235, -1, cv2.LINE_AA)
    near = cv2.GaussianBlur(near, (5, 5), 1.1)
    return np.asarray(np.maximum(cv2.GaussianBlur(far, (3, 3), 0.5), near), np.uint8)


@lru_cache(None)
def glow() -> NDArray[np.float32]:
    """Light round a lamp, float32 [128, 128], 1 in the middle, 0 at the edge."""
    axis = np.linspace(-1, 1, 128, dtype=np.float32)
    radius = np.sqrt(axis[:, None] ** 2 + axis[None] ** 2)
    soft = np.clip(1 - radius, 0, 1) ** 2
    return np.asarray(0.55 * soft + 0.45 * soft**4, np.float32)
