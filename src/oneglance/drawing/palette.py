"""Colours of classes: stable, and told apart by people with any kind of colour vision as far as that goes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
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
    """The colour of the class of this number: the palette's first, then ever new ones."""
    if number < len(PALETTE):
        return PALETTE[number]
    # Steps of the golden angle never come back to a hue; three brightnesses keep neighbours apart.
    hue, saturation, value = (
        int(number * 137.508) % 360 // 2,
        (150, 200, 110)[number % 3],
        (235, 190, 255)[number % 3],
    )
    hsv = np.array([[[hue, saturation, value]]], np.uint8)
    red, green, blue = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue
