"""Colours of classes: stable, and told apart by people with any kind of colour vision as far as that goes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from oneglance.annotations import Instances, Points, Segments

if TYPE_CHECKING:
    from oneglance.tasks.base import Task

Colour = tuple[int, int, int]

# Okabe & Ito's colours, which people with any kind of colour vision tell apart; then further ones, as far
# away as can be.
PALETTE: tuple[Colour, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167), (0, 114, 178), (240, 228, 66), (213, 94,
    0), (148, 103, 189), (140, 200, 75), (220, 50, 60), (120, 220, 210), (155, 105, 60), (190, 190, 255),
    (255, 150, 130), (90, 90, 200), (190, 190, 60), (255, 105, 220), (60, 130, 70), (170, 60, 110), (200,
    200, 200),
)  # fmt: skip


def class_colours(tasks: Mapping[str, Task[Any]]) -> dict[str, Colour]:
    """The colour of every class that is drawn into images: the same in all pictures of the same tasks, and
    the same for a class that several tasks know."""
    colours: dict[str, Colour] = {}
    for name, task in tasks.items():
        if task.annotation in (Segments, Instances):
            for label in task.classes:
                colours.setdefault(label, numbered(len(colours)))
        elif task.annotation is Points:
            colours.setdefault(name, numbered(len(colours)))
    return colours


def colour_of(name: str, colours: Mapping[str, Colour]) -> Colour:
    """The colour of a class; one that no task knows gets its colour from its name."""
    if name in colours:
        return colours[name]
    return numbered(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big") % 1009)


def numbered(number: int) -> Colour:
    """The colour of the class of this number: the palette's first, then ever new ones, then the same again."""
    known = _further()
    return known[number % len(known)]


@cache
def _further(count: int = 256) -> tuple[Colour, ...]:
    """The palette and after it, each time, the colour that is farthest from all before it, in CIELAB."""
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    all_rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    lightness = _lab(all_rgb)[:, 0]
    # What is nearly black or white is lost on dark or bright ground.
    rgb = all_rgb[(lightness > 35) & (lightness < 92)]
    lab, chosen = _lab(rgb), list(PALETTE)
    nearest = np.min(np.linalg.norm(lab[:, None] - _lab(np.array(PALETTE, np.uint8))[None], axis=-1), axis=1)
    while len(chosen) < count:
        best = int(nearest.argmax())
        red, green, blue = rgb[best].tolist()
        chosen.append((red, green, blue))
        nearest = np.minimum(nearest, np.linalg.norm(lab - lab[best], axis=-1))
    return tuple(chosen)


def _lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB, float32 [N, 3], of colours uint8 [N, 3]."""
    return cv2.cvtColor((rgb[None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0]
