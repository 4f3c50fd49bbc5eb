"""What everything is drawn with: sprites, drawn finer than the image and reduced, and the stage they are put on.

A sprite is a window of the image, drawn ``fine`` times larger without anti-aliasing in four channels and reduced by
area: its colours come out multiplied by its coverage, its coverage is exact, and a pixel is the object's where that is
at least a half. The picture and the truth come from the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Picture: TypeAlias = NDArray[np.uint8]
Array: TypeAlias = NDArray[np.float64]
#: Red, green, blue, 0..255; may run over, drawing clips it.
Colour: TypeAlias = tuple[float, float, float]
#: x1 y1 x2 y2 in whole pixels of the image.
Window: TypeAlias = tuple[int, int, int, int]

_SHIFT = 4


def colour4(colour: Sequence[float]) -> tuple[int, int, int, int]:
    """A colour as an opaque value of a sprite's four channels."""
    red, green, blue = colour
    return (
        0 if red < 0 else 255 if red > 255 else int(red),
        0 if green < 0 else 255 if green > 255 else int(green),
        0 if blue < 0 else 255 if blue > 255 else int(blue),
        255,
    )


def mix(one: Sequence[float], other: Sequence[float], share: float) -> Colour:
    """``share`` of the other colour, the rest of the one."""
    a, b = 1 - share, share
    return (one[0] * a + other[0] * b, one[1] * a + other[1] * b, one[2] * a + other[2] * b)


def scaled(colour: Sequence[float], factor: float) -> Colour:
    """A colour, brighter or darker."""
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


class Sprite:
    """A window of the image, ``fine`` times larger, in which one thing is drawn.

    All coordinates are the image's: continuous, 0-based, the first pixel covers [0, 1]. ``part``: a second mask, for a
    thing on the thing (a face, a plate): coverage in image pixels, made when it is first drawn to. ``classes``: a
    map of class numbers, for backdrops.
    """

    def __init__(self, window: Window, fine: int, classes: bool = False) -> None:
        self.window, self.fine = window, fine
        self.origin = np.array(window[:2], np.float64)
        self._unit = float(fine << _SHIFT)
        self._offset = -self.origin * self._unit - (0.5 * (1 << _SHIFT))
        shape = ((window[3] - window[1]) * fine, (window[2] - window[0]) * fine)
        self.pixels = np.zeros((*shape, 4), np.uint8)
        self.part: NDArray[np.uint8] | None = None
        self.classes = np.zeros(shape, np.uint8) if classes else None

    def fixed(self, xy: Array) -> NDArray[np.int32]:
        """Image coordinates [..., 2] as OpenCV's fixed-point ones, whose whole numbers are pixel centres."""
        return (xy * self._unit + self._offset).astype(np.int32)

    def poly(self, xy: Array, colour: Sequence[float], kind: int | None = None) -> None:
        """Fill a polygon [P, 2]; ``kind``: its number in the class map."""
        self.fill(self.fixed(xy), colour, kind)

    def fill(self, points: NDArray[np.int32], colour: Sequence[float], kind: int | None = None) -> None:
        """Fill a polygon in fixed-point coordinates, see :meth:`fixed`."""
        cv2.fillPoly(self.pixels, [points], colour4(colour), cv2.LINE_8, _SHIFT)
        if kind is not None and self.classes is not None:
            cv2.fillPoly(self.classes, [points], kind, cv2.LINE_8, _SHIFT)

    def polys(self, xy: Array, colour: Sequence[float]) -> None:
        """Fill many polygons of as many corners each, [N, P, 2], in one colour; they must not overlap."""
        if len(xy):
            cv2.fillPoly(self.pixels, list(self.fixed(xy)), colour4(colour), cv2.LINE_8, _SHIFT)

    def mark(self, xy: Array) -> None:
        """Fill a polygon [P, 2] of the part."""
        x1, y1, x2, y2 = self.window
        if self.part is None:
            self.part = np.zeros((y2 - y1, x2 - x1), np.uint8)
        (left, top), (right, bottom) = np.floor(xy.min(0)).astype(int), np.ceil(xy.max(0)).astype(int) + 1
        left, top, right, bottom = max(left, x1), max(top, y1), min(right, x2), min(bottom, y2)
        if right <= left or bottom <= top:
            return
        # OpenCV fills a polygon's border as well, half a pixel too much: finer than the rest, since parts are small.
        fine = 8 if right - left < 64 else 4
        drawn = np.zeros(((bottom - top) * fine, (right - left) * fine), np.uint8)
        points = ((xy - (left, top)) * fine - 0.5) * (1 << _SHIFT)
        cv2.fillPoly(drawn, [points.astype(np.int32)], 255, cv2.LINE_8, _SHIFT)
        small = cv2.resize(drawn, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
        place = self.part[top - y1 : bottom - y1, left - x1 : right - x1]
        np.maximum(place, small, out=place)

    def line(self, xy: Array, colour: Sequence[float], width: float, closed: bool = False) -> None:
        """Draw a line through points [P, 2], ``width`` image pixels wide, with round ends."""
        thick = max(1, round(width * self.fine))
        cv2.polylines(self.pixels, [self.fixed(xy)], closed, colour4(colour), thick, cv2.LINE_8, _SHIFT)

    def disc(self, centre: Sequence[float], radius: float, colour: Sequence[float]) -> None:
        """Fill a circle."""
        self.poly(ellipse(centre, radius, radius, corners=16 if radius * self.fine < 12 else 32), colour)

    def reduced(self) -> tuple[Picture, NDArray[np.uint8]]:
        """Colours times coverage, uint8 [h, w, 3], and coverage, uint8 [h, w], in image pixels."""
        width, height = self.window[2] - self.window[0], self.window[3] - self.window[1]
        small = cv2.resize(self.pixels, (width, height), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(small[..., :3]), np.ascontiguousarray(small[..., 3])

    def reduced_part(self, coverage: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
        """Where the part is, bool [h, w]: nowhere outside the thing itself."""
        if self.part is None:
            return None
        return (self.part >= 128) & (coverage >= 128)

    def reduced_classes(self) -> NDArray[np.uint8]:
        """The class that most of a pixel's four samples have, uint8 [h, w]; only for ``fine`` 2."""
        if self.classes is None or self.fine != 2:
            raise ValueError("only a sprite of fine 2 with classes has a reduced class map")
        a, b, c, d = (self.classes[y::2, x::2] for y in (0, 1) for x in (0, 1))
        rest = np.where((b == c) | (b == d), b, np.where(c == d, c, a))
        return np.where((a == b) | (a == c) | (a == d), a, rest)


def ellipse(centre: Sequence[float], rx: float, ry: float, angle: float = 0.0, corners: int = 24) -> Array:
    """An ellipse as a polygon [corners, 2]; ``angle`` in radians."""
    made = unit_circle(corners) * (rx, ry)
    if angle:
        cos, sin = math.cos(angle), math.sin(angle)
        made = made @ np.array([[cos, sin], [-sin, cos]])
    return np.asarray(made + centre)


_CIRCLES: dict[int, Array] = {}


def unit_circle(corners: int) -> Array:
    """Points on the unit circle, [corners, 2]."""
    if corners not in _CIRCLES:
        turn = np.arange(corners) * (2 * np.pi / corners)
        _CIRCLES[corners] = np.stack([np.cos(turn), np.sin(turn)], 1)
    return _CIRCLES[corners]


_HALF = np.linspace(-np.pi / 2, np.pi / 2, 7)
_HALVES = np.concatenate([np.stack([np.cos(_HALF), np.sin(_HALF)], 1), np.stack([-np.cos(_HALF), -np.sin(_HALF)], 1)])


def capsule(a: Sequence[float], b: Sequence[float], ra: float, rb: float) -> Array:
    """A limb from ``a`` to ``b``, with a radius at each end, as a polygon [14, 2]."""
    x, y = b[0] - a[0], b[1] - a[1]
    length = math.hypot(x, y) or 1.0
    x, y = x / length, y / length
    made = _HALVES @ np.array([[x, y], [-y, x]])
    made[:7] = made[:7] * rb + b
    made[7:] = made[7:] * ra + a
    return made


@dataclass
class Drawn:
    """What came of drawing a thing: its sprite, the image points that matter, lamps (place, radius, colour)."""

    sprite: Sprite
    points: Array | None = None
    lamps: list[tuple[tuple[float, float], float, Colour]] = field(default_factory=list)
    beyond: bool = False
    ground: float = 0.0


@dataclass
class Stage:
    """The image in the making, and whose each pixel is.

    ``image`` uint8 [H, W, 3]; ``classes`` uint8 [H, W]: index into the classes of the ground, 255 void; ``owner`` and
    ``part`` int32 [H, W]: number of the object (of the face or plate) that is seen there, 0 none; ``full``: by number,
    how many pixels of the window it would show if nothing stood before it.
    """

    image: Picture
    classes: NDArray[np.uint8]
    owner: NDArray[np.int32] = field(init=False)
    part: NDArray[np.int32] = field(init=False)
    full: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.owner = np.zeros(self.classes.shape, np.int32)
        self.part = np.zeros(self.classes.shape, np.int32)

    def place(
        self,
        sprite: Sprite,
        kind: int,
        number: int = 0,
        part: int = 0,
        veil: Veil | None = None,
        hidden: NDArray[np.bool_] | None = None,
    ) -> None:
        """Put a sprite before everything that is there, but for what is ``hidden`` (bool [H, W]) behind a house.

        ``kind``: its class of the ground; ``number`` and ``part``: under which it and its part are kept in mind.
        """
        colours, coverage = sprite.reduced()
        full, whole = int(np.count_nonzero(coverage >= 128)), sprite.reduced_part(coverage)
        if veil is not None and veil.share > 0:
            colours = veil.over(colours, coverage)
        x1, y1, x2, y2 = sprite.window
        if hidden is not None:
            away = hidden[y1:y2, x1:x2]
            coverage[away], colours[away] = 0, 0
        blend(self.image[y1:y2, x1:x2], colours, coverage)
        mine = coverage >= 128
        self.classes[y1:y2, x1:x2][mine] = kind
        self.owner[y1:y2, x1:x2][mine] = number
        self.part[y1:y2, x1:x2][mine] = 0
        if number:
            self.full[number] = full
        if part and whole is not None:
            self.part[y1:y2, x1:x2][whole & mine] = part
            self.full[part] = int(np.count_nonzero(whole))


@dataclass(frozen=True)
class Veil:
    """Haze between a thing and the eye: ``share`` of ``colour`` over it."""

    colour: Colour
    share: float

    def over(self, colours: Picture, coverage: NDArray[np.uint8]) -> Picture:
        """Colours times coverage, seen through it."""
        haze = cv2.merge([cv2.multiply(coverage, value * self.share / 255) for value in self.colour])
        return np.asarray(cv2.addWeighted(colours, 1 - self.share, haze, 1, 0), np.uint8)


def blend(image: Picture, colours: Picture, coverage: NDArray[np.uint8]) -> None:
    """Colours times coverage, put over a part of an image, in place."""
    rest = cv2.cvtColor(cv2.bitwise_not(coverage), cv2.COLOR_GRAY2RGB)
    image[:] = cv2.add(cv2.multiply(image, rest, scale=1 / 255), colours)


def window_of(xy: Array, size: tuple[int, int], margin: float = 1.0) -> Window | None:
    """The part of the image (width, height) that points [N, 2] span, None where there is none of it."""
    (x1, y1), (x2, y2) = xy.min(0) - margin, xy.max(0) + margin
    left, top = max(0, int(np.floor(x1))), max(0, int(np.floor(y1)))
    right, bottom = min(size[0], int(np.ceil(x2))), min(size[1], int(np.ceil(y2)))
    return (left, top, right, bottom) if right > left and bottom > top else None
