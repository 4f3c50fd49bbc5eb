"""What is varied from one look at an image to the next: the settings, and the drawing of a placement.

All randomness comes from the generator that is passed in; what it draws is applied to the image and to all of
its labels alike, as one matrix (:mod:`oneglance.data.geometry`). Colour is in :mod:`oneglance.data.colour`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from oneglance.data.geometry import (
    Frame,
    Matrix,
    Rectangle,
    bounds,
    reflection,
    rotation,
    scaling,
    shearing,
)

#: In a mosaic an image fills its tile, but is not magnified beyond this multiple of what would fit whole.
_FITS = 2.0


class AugmentSettings(BaseModel):
    """How training images are varied. The defaults suit photographs whose left and right can be exchanged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    flip: float = Field(
        0.5, ge=0, le=1, description="Probability of a mirror image (left and right points change places)."
    )
    scale: tuple[float, float] = Field(
        (0.6, 1.4),
        description="Smallest and largest size, as a multiple of the size at which the image just fits.",
    )
    aspect: float = Field(1.0, ge=1, le=4, description="Width to height changes by a factor of up to this (1: never).")
    rotate: float = Field(0.0, ge=0, le=180, description="Turned by up to this many degrees, either way.")
    shear: float = Field(0.0, ge=0, le=60, description="Slanted by up to this many degrees, either way.")
    translate: float = Field(
        1.0,
        ge=0,
        le=1,
        description="How far the place varies, as a share of the room: 0: centred; 1: anywhere inside, or "
        "any part of the image where it is larger than the input.",
    )
    mosaic: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Probability that four images are joined to one (detection, segmentation).",
    )
    brightness: float = Field(0.2, ge=0, le=1, description="Brightness changes by up to this share.")
    contrast: float = Field(0.2, ge=0, le=1, description="Contrast changes by up to this share.")
    saturation: float = Field(0.3, ge=0, le=1, description="Saturation changes by up to this share.")
    hue: float = Field(0.02, ge=0, le=0.5, description="Hue turns by up to this share of the colour circle.")
    blur: float = Field(0.0, ge=0, le=1, description="Probability of a slight blur.")
    grey: float = Field(0.0, ge=0, le=1, description="Probability that all colour is taken away.")
    noise: float = Field(
        0.0,
        ge=0,
        le=0.2,
        description="Strongest noise: its standard deviation, as a share of full brightness.",
    )

    @field_validator("scale")
    @classmethod
    def _ordered(cls, scale: tuple[float, float]) -> tuple[float, float]:
        low, high = scale
        if not 0 < low <= high or not math.isfinite(high):
            raise ValueError(f"scale is smallest, largest, both above 0; got {low}, {high}")
        return scale

    @classmethod
    def none(cls) -> Self:
        """No variation at all: the letterboxed image as it is."""
        return cls(
            flip=0, scale=(1, 1), aspect=1, rotate=0, shear=0, translate=0, mosaic=0, brightness=0,
            contrast=0, saturation=0, hue=0, blur=0, grey=0, noise=0,
        )  # fmt: skip


def draw_matrix(
    rng: np.random.Generator,
    settings: AugmentSettings,
    source_wh: tuple[int, int],
    size_hw: tuple[int, int],
    may_flip: bool,
) -> Matrix:
    """A placement of an image of (width, height) in an input of (height, width), drawn at random.

    ``may_flip``: whether the image's labels have a meaning in a mirror. Without variation, this is
    ``letterbox``.
    """
    height, width = size_hw
    fits = min(width / source_wh[0], height / source_wh[1])
    return _draw(rng, settings, source_wh, (0, 0, width, height), fits, may_flip)


def mosaic_frames(
    rng: np.random.Generator,
    settings: AugmentSettings,
    sizes: Sequence[tuple[int, int]],
    size_hw: tuple[int, int],
    may_flip: bool,
) -> list[Frame]:
    """Frames of four images of (width, height) that share an input of (height, width), meeting at a random
    point.

    The mosaic of YOLOv4 (arXiv 2004.10934). Each image is scaled to fill its tile, as far as that does not
    magnify it beyond twice the size at which it fits whole (a very long image leaves some of its tile empty),
    times the drawn scale. The tiles, in the order of ``sizes``: top left, top right, bottom left, bottom
    right.
    """
    if len(sizes) != 4:
        raise ValueError(f"a mosaic is of 4 images, got {len(sizes)}")
    height, width = size_hw
    x, y = (round(side * rng.uniform(0.3, 0.7)) for side in (width, height))
    tiles: list[Rectangle] = [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]
    frames = []
    for (w, h), tile in zip(sizes, tiles, strict=True):
        across, down = (tile[2] - tile[0]) / w, (tile[3] - tile[1]) / h
        base = min(max(across, down), _FITS * min(across, down))
        matrix = _draw(rng, settings, (w, h), tile, base, may_flip)
        frames.append(Frame(matrix, width, height, w, h, clip=tile))
    return frames


def _draw(
    rng: np.random.Generator,
    settings: AugmentSettings,
    source_wh: tuple[int, int],
    place: Rectangle,
    base: float,
    may_flip: bool,
) -> Matrix:
    """A random placement in a rectangle, in sizes round ``base``.

    Every number is drawn whatever the settings are, so that changing one setting leaves the others' draws
    alone.
    """
    mirror, size, aspect, turn, slant, right, down = rng.random(7).tolist()
    scale = base * math.exp(_between(math.log(settings.scale[0]), math.log(settings.scale[1]), size))
    wider = settings.aspect ** _between(-0.5, 0.5, aspect)
    matrix = scaling(scale * wider, scale / wider)
    if may_flip and mirror < settings.flip:
        matrix = matrix @ reflection(source_wh[0])
    # Left out where there is none of it: the matrix keeps exact zeros, and the image takes the faster way.
    if settings.shear:
        matrix = shearing(math.tan(math.radians(_between(-settings.shear, settings.shear, slant)))) @ matrix
    if settings.rotate:
        matrix = rotation(_between(-settings.rotate, settings.rotate, turn)) @ matrix
    x1, y1, x2, y2 = bounds(source_wh, matrix)
    # Room is negative where the image is larger than the place: then it is the overhang, and the same rule
    # crops.
    room_x, room_y = (place[2] - place[0]) - (x2 - x1), (place[3] - place[1]) - (y2 - y1)
    dx = place[0] - x1 + room_x * (0.5 + settings.translate * (right - 0.5))
    dy = place[1] - y1 + room_y * (0.5 + settings.translate * (down - 0.5))
    matrix[:2, 2] += dx, dy
    return matrix


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share
