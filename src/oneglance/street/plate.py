"""Licence plates, drawn flat and then put on a car in perspective."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from oneglance.street.canvas import Array, Colour, Picture, Sprite

#: The corners, in this order, named as one who reads the plate sees them.
CORNERS = ("top_left", "top_right", "bottom_right", "bottom_left")
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_HEIGHT = 48


@dataclass(frozen=True)
class Plate:
    """What a plate looks like: its text (a blank is a gap), colours, and metres (width, height)."""

    text: str
    ground: Colour
    ink: Colour
    band: Colour | None
    metres: tuple[float, float]


def choose_plate(rng: np.random.Generator) -> Plate:
    """Some plate: long or short, white or yellow, with or without a band."""

    def letters(count: int) -> str:
        return "".join(_LETTERS[k] for k in rng.integers(0, len(_LETTERS), count))

    def digits(count: int) -> str:
        return "".join(str(k) for k in rng.integers(0, 10, count))

    style = int(rng.integers(5))
    ground: Colour = (238, 238, 232)
    ink: Colour = (24, 24, 28)
    if style == 0:
        return Plate(f"{letters(2)} {digits(4)}", ground, ink, (30, 62, 150), (0.52, 0.115))
    if style == 1:
        return Plate(f"{letters(2)}{digits(2)} {letters(3)}", (244, 206, 60), ink, None, (0.52, 0.115))
    if style == 2:
        return Plate(f"{digits(3)} {letters(3)}", ground, (30, 50, 120), None, (0.38, 0.16))
    if style == 3:
        return Plate(f"{letters(3)} {digits(3)}", ground, ink, (30, 62, 150), (0.46, 0.115))
    return Plate(f"{letters(1)}{digits(3)} {letters(2)}", ground, (150, 30, 30), None, (0.40, 0.14))


def put_plate(sprite: Sprite, plate: Plate, corners: Array, light: Colour) -> None:
    """Draw a plate whose four corners [4, 2] (in the order of ``CORNERS``) are seen at these places.

    ``light``: factor on its colours. Mirrored or edge-on corners draw it as they are.
    """
    sprite.mark(corners)
    across = float(np.linalg.norm(corners[1] - corners[0])) * sprite.fine
    ground = tuple(c * k for c, k in zip(plate.ground, light, strict=True))
    sprite.poly(corners, ground)
    if across < 20:
        return
    flat = face_of(plate)
    height, width = flat.shape[:2]
    if across < width:  # warping takes no means: what is reduced much would shimmer
        factor = max(across / width, 0.1)
        flat = cv2.resize(flat, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        height, width = flat.shape[:2]
    target = (corners - sprite.origin) * sprite.fine - 0.5
    source = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
    matrix = cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32))
    x1, y1 = np.floor(np.maximum(target.min(0), 0)).astype(int)
    x2, y2 = np.ceil(target.max(0) + 1).astype(int)
    area = sprite.pixels[y1:y2, x1:x2]
    if area.size == 0:
        return
    shift = np.array([[1, 0, -x1], [0, 1, -y1], [0, 0, 1]], np.float64)
    lit = np.clip(flat * np.array(light, np.float32), 0, 255).astype(np.uint8)
    seen = cv2.warpPerspective(
        lit, shift @ matrix, (area.shape[1], area.shape[0]), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    inside = np.zeros(area.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.round((target - (x1, y1)) * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    np.copyto(area[..., :3], seen, where=inside[..., None] > 0)


@lru_cache(64)
def face_of(plate: Plate) -> Picture:
    """The plate as one stands before it, uint8 [48, W, 3] (or so) RGB."""
    width = round(_HEIGHT * plate.metres[0] / plate.metres[1])
    made = np.empty((_HEIGHT, width, 3), np.uint8)
    made[:] = np.array(plate.ground, np.uint8)
    ink = np.array(plate.ink, np.float32)
    made[[0, 1, -2, -1]] = ink * 0.6 + 60
    made[:, [0, 1, -2, -1]] = ink * 0.6 + 60
    left = 6
    if plate.band is not None:
        made[2:-2, 2:18] = np.array(plate.band, np.uint8)
        cv2.circle(made, (10, 16), 4, (230, 200, 60), 1, cv2.LINE_AA)
        left = 22
    slots = len(plate.text)
    pitch = min((width - left - 6) / slots, 30.0)
    start = left + ((width - left - 6) - pitch * slots) / 2
    for index, letter in enumerate(plate.text):
        if letter == " ":
            continue
        stamp = cv2.resize(glyph(letter), (max(6, round(pitch * 0.84)), 34), interpolation=cv2.INTER_AREA)
        x = round(start + index * pitch + pitch * 0.08)
        place = made[7:41, x : x + stamp.shape[1]]
        share = stamp[:, : place.shape[1], None].astype(np.float32) / 255
        place[:] = place * (1 - share) + ink * share
    return made


@lru_cache(None)
def glyph(letter: str) -> Picture:
    """A character's ink, uint8 [h, w], cut to its edges."""
    canvas = np.zeros((120, 120), np.uint8)
    cv2.putText(canvas, letter, (20, 95), cv2.FONT_HERSHEY_SIMPLEX, 3.0, 255, 10, cv2.LINE_AA)
    x, y, w, h = cv2.boundingRect(canvas)
    if letter in "1I":  # as wide as the others, or it would be stretched
        x, w = x - (56 - w) // 2, 56
    return canvas[y : y + h, x : x + w].copy()
