"""Boxes, polygons and points as files give them: checked, and fitted to the image. Pixels, continuous and
0-based.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from oneglance.annotations import UNLABELLED, FloatArray, Instance, Points, Rle, enclosing_box
from oneglance.formats import rle as runs

#: What lies further outside the image than this is said, what lies nearer is rounding.
TOLERANCE = 1.0
#: No image is this wide; beyond it, float32 no longer tells pixels apart.
LARGEST = 1e7


class Bad(ValueError):
    """A shape that is not used, and why."""


class Nothing(Bad):
    """A shape that shows nothing: a slip of the mouse, after which no object is missing."""


def number(value: Any) -> float:
    """A finite number of a pixel's magnitude; raises Bad for text, booleans, NaN, infinities and absurd
    sizes.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Bad(f"{str(value)[:40]!r} is not a number")
    # Compared before anything else: a whole number of a thousand digits is too large even to be made a float.
    if not abs(value) <= LARGEST:
        raise Bad(f"the coordinate {str(value)[:40]} is not a place in an image")
    return float(value)


def numbers(values: Any, count: int | None = None) -> list[float]:
    """A list of ``count`` finite numbers; raises Bad."""
    if not isinstance(values, (list, tuple)):
        raise Bad(f"{str(values)[:40]!r} is not a list of numbers")
    if count is not None and len(values) != count:
        raise Bad(f"{len(values)} numbers where {count} are expected")
    return [number(value) for value in values]


def checked_box(corners: Sequence[float], width: int, height: int) -> tuple[FloatArray, str]:
    """Clip a box (x1 y1 x2 y2) to the image; returns it, float32 [4], and a complaint or "".

    Raises Bad where it has no area or lies wholly outside, Nothing where it is a mere point.
    """
    x1, y1, x2, y2 = (number(value) for value in corners)
    if x2 == x1 and y2 == y1:
        raise Nothing(f"its box goes from {x1:g}, {y1:g} to {x2:g}, {y2:g}: it has no size")
    if x2 <= x1 or y2 <= y1:
        raise Bad(f"its box is {x2 - x1:g} wide and {y2 - y1:g} high; both must be more than 0")
    box = np.array([max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)], np.float32)
    if box[2] <= box[0] or box[3] <= box[1]:
        raise Bad(f"its box [{x1:g}, {y1:g}, {x2:g}, {y2:g}] lies outside the image of {width} x {height}")
    beyond = max(-x1, -y1, x2 - width, y2 - height)
    if beyond > TOLERANCE:
        return (
            box,
            f"its box reaches {beyond:g} pixels out of the image of {width} x {height}; cut off at the edge",
        )
    return box, ""


def checked_polygon(values: Any, width: int, height: int) -> tuple[FloatArray, str]:
    """A polygon from flat numbers x y x y ..., float32 [P, 2], and a complaint or ""; raises Bad.

    Corners outside the image stay where they are, since drawing cuts them off more truly than moving them
    does.
    """
    flat = numbers(values)
    if len(flat) % 2 or len(flat) < 6:
        raise Bad(f"its polygon has {len(flat) / 2:g} points; at least 3 are needed")
    polygon = np.array(flat, np.float32).reshape(-1, 2)
    x1, y1, x2, y2 = (float(v) for v in enclosing_box([polygon]))
    if x2 < 0 or y2 < 0 or x1 > width or y1 > height:
        raise Bad(f"its polygon lies outside the image of {width} x {height}")
    beyond = max(-x1, -y1, x2 - width, y2 - height)
    return polygon, f"its polygon reaches {beyond:g} pixels out of the image" if beyond > TOLERANCE else ""


def checked_points(values: Any, count: int | None = None) -> Points:
    """Points from COCO's flat x y v x y v ...; ``count``: how many there must be. Raises Bad."""
    flat = numbers(values)
    if len(flat) % 3 or (count is not None and len(flat) != 3 * count):
        expected = f"{3 * count} (3 for each of its {count} points)" if count is not None else "a multiple of 3"
        raise Bad(f"{len(flat)} keypoint numbers where {expected} are expected")
    table = np.array(flat, np.float32).reshape(-1, 3)
    if not np.isin(table[:, 2], (0, 1, 2)).all():
        raise Bad("a keypoint's visibility is not 0, 1 or 2")
    return Points(table[:, :2].copy(), table[:, 2].astype(np.int8))


def box_of_shape(item: Instance, width: int, height: int) -> FloatArray | None:
    """The box around an instance's mask, polygons or labelled points, cut off at the image's edge."""
    if item.rle is not None:
        return runs.box(item.rle)
    if item.polygons:
        box = enclosing_box(item.polygons)
    elif item.points is not None and (item.points.visibility != UNLABELLED).any():
        box = enclosing_box([item.points.xy[item.points.visibility != UNLABELLED]])
    else:
        return None
    box = np.clip(box, 0, np.array([width, height, width, height], np.float32))
    return box if box[2] > box[0] and box[3] > box[1] else None


def polygon_area(polygon: FloatArray) -> float:
    """Area inside a polygon, float [P, 2], by the shoelace formula."""
    x, y = polygon.astype(np.float64).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def shape_area(item: Instance) -> float:
    """Area of an instance: as its source gave it, of its mask, of its polygons, or of its box."""
    if item.area is not None:
        return item.area
    if item.rle is not None:
        return float(runs.area(item.rle))
    if item.polygons:
        return sum(polygon_area(part) for part in item.polygons)
    if item.box is not None:
        return float((item.box[2] - item.box[0]) * (item.box[3] - item.box[1]))
    return 0.0


def outlines(mask: Rle) -> tuple[tuple[FloatArray, ...], bool]:
    """The outer outlines of a mask, each float32 [P, 2] with P >= 3, and whether holes were lost.

    OpenCV gives centres of border pixels; every pixel is doubled first, so that the outline runs along its
    outside.
    """
    large = cv2.copyMakeBorder(runs.decode(mask).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    large = cv2.resize(large, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, hierarchy = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parts, holes = [], False
    for index, contour in enumerate(contours):
        if hierarchy[0][index][3] >= 0:
            holes = True
        elif len(contour) >= 3:
            # Pixel (2, 2) and (3, 3) of the enlarged image are the sides 0 and 1 of the original's first
            # pixel.
            parts.append(np.round((contour.reshape(-1, 2) - 2) / 2 + 0.01).astype(np.float32))
    return tuple(parts), holes
