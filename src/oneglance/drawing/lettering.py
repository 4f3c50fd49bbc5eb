"""Text in pictures: tags that keep out of each other's way, and the strip below a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Rect = tuple[float, float, float, float]

STRIP: Colour = (27, 30, 36)
INK: Colour = (20, 22, 26)
PAPER: Colour = (240, 242, 245)
FAINT: Colour = (160, 166, 176)
#: Tags of an object beyond this many would only cover the image.
MOST_TAGS = 120


@dataclass(frozen=True)
class Tag:
    """A short text at a box ``x1 y1 x2 y2`` of the picture; ``small``: without a ground of its own colour."""

    text: str
    box: Rect
    colour: Colour
    small: bool = False


@dataclass(frozen=True)
class Line:
    """One line of the strip: a text, then coloured dots with a word each, then a text in brackets or so."""

    text: str
    dots: tuple[tuple[Colour, str], ...] = ()
    after: str = ""
    faint: bool = False


def font_height(longer_side: int) -> int:
    """A text size that can be read in a picture of this size."""
    return int(np.clip(round(longer_side / 42), 12, 40))


def ink_on(colour: Colour) -> Colour:
    """Dark or light, whichever can be read on a ground of this colour (by WCAG's relative luminance)."""
    linear = [(v / 255 / 12.92 if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4) for v in colour]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return INK if luminance > 0.18 else PAPER


@lru_cache(maxsize=64)
def _font(size: int, plain: bool) -> ImageFont.FreeTypeFont:
    if plain:
        font = ImageFont.load_default(size)
        assert isinstance(font, ImageFont.FreeTypeFont)
        return font
    # Pillow's own font knows ASCII only; Matplotlib brings one that has Latin, Greek and Cyrillic.
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    return ImageFont.truetype(str(path), round(size * 0.9))


def font_for(text: str, size: int) -> ImageFont.FreeTypeFont:
    """A font that has the letters of ``text``."""
    return _font(size, text.isascii())


def place_tags(canvas: NDArray[np.uint8], tags: Sequence[Tag], size: int) -> None:
    """Set tags into the canvas (in place), each at the first place near its box where it covers no other.

    Where there is none, the place is taken that covers least; a tag that would be mostly covered is left out.
    """
    if not tags:
        return
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    height, width = canvas.shape[:2]
    taken: list[Rect] = []
    # A point's name may cover neither another name nor another point; an object's name may cover points.
    dots = [tag.box for tag in tags if tag.small]
    # Points' names give way to objects' names, and these to what is smaller and has less choice.
    ordered = sorted(tags, key=lambda tag: (tag.small, _area(tag.box)))[:MOST_TAGS]
    for tag in ordered:
        text_size = max(11, round(size * 0.8)) if tag.small else size
        pad = max(2, text_size // 5)
        font = font_for(tag.text, text_size)
        w, h = font.getlength(tag.text) + 2 * pad, text_size * 1.1 + pad
        best, least = None, 1.0
        for x, y in _places(tag.box, w, h, small=tag.small):
            x, y = min(max(x, 0), max(0, width - w)), min(max(y, 0), max(0, height - h))
            rect = (x, y, x + w, y + h)
            covered = sum(_overlap(rect, other) for other in (taken + dots if tag.small else taken)) / (w * h)
            if covered < least:
                best, least = rect, covered
            if covered == 0:
                break
        if best is None or least > 0.35:
            continue
        taken.append(best)
        x, y = best[0] + pad, best[1] + h / 2
        if tag.small:
            rim = max(1, size // 9)
            pen.text((x, y), tag.text, tag.colour, font, anchor="lm", stroke_width=rim, stroke_fill=INK)
        else:
            pen.rounded_rectangle(best, radius=pad, fill=tag.colour)
            pen.text((x, y), tag.text, ink_on(tag.colour), font, anchor="lm")
    canvas[:] = np.asarray(picture)


def _places(box: Rect, w: float, h: float, *, small: bool) -> list[tuple[float, float]]:
    x1, y1, x2, y2 = box
    if small:
        x, y = (x1 + x2 - w) / 2, (y1 + y2 - h) / 2
        return [(x2, y), (x1 - w, y), (x, y1 - h), (x, y2), (x2, y2), (x1 - w, y1 - h)]
    places = [(x1, y1 - h), (x1, y1), (x2 - w, y1 - h), (x1, y2), (x2 - w, y2), (x2, y1), (x1 - w, y1)]
    inside = [(x1, y2 - h), (x2 - w, y1), (x2 - w, y2 - h)]
    steps = [(x1, y1 - h * k) for k in (2, 3)] + [(x1, y1 + h * k) for k in (1, 2)]
    return places + inside + steps


def _area(box: Rect) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _overlap(one: Rect, other: Rect) -> float:
    w = min(one[2], other[2]) - max(one[0], other[0])
    h = min(one[3], other[3]) - max(one[1], other[1])
    return w * h if w > 0 and h > 0 else 0.0


def caption(lines: Sequence[Line], width: int, size: int) -> NDArray[np.uint8]:
    """The strip below a picture, uint8 [h, width, 3], as high as its lines need; long lines are broken."""
    if not lines:
        return np.empty((0, width, 3), np.uint8)
    pad = max(3, size // 2)
    pieces: list[tuple[float, int, str, Colour, Colour | None]] = []
    row = 0
    for line in lines:
        ink = FAINT if line.faint else PAPER
        words: list[tuple[Colour | None, str]] = [(None, word) for word in line.text.split()]
        words += line.dots
        words += [(None, word) for word in line.after.split()]
        x = 0.0
        for colour, word in words:
            word = _cut(word, width - 2 * pad - (size if colour else 0), size)
            length = font_for(word, size).getlength(word) + (size if colour else 0)
            if x and x + length > width - 2 * pad:
                x, row = float(size), row + 1
            pieces.append((x, row, word, ink, colour))
            x += length + (size * 0.6 if colour else size * 0.28)
        row += 1
    step = round(size * 1.35)
    picture = Image.new("RGB", (width, row * step + pad), STRIP)
    pen = ImageDraw.Draw(picture)
    for x, at, word, ink, dot in pieces:
        left, middle = pad + x, pad / 2 + at * step + step / 2
        if dot is not None:
            side = size * 0.36
            pen.rounded_rectangle((left, middle - side, left + 2 * side, middle + side), radius=2, fill=dot)
            left += size
        pen.text((left, middle), word, ink, font_for(word, size), anchor="lm")
    return np.array(picture)


def _cut(word: str, room: float, size: int) -> str:
    """A word that is too long for a line, cut in its middle."""
    font = font_for(word, size)
    if font.getlength(word) <= room:
        return word
    keep = len(word)
    while keep > 2 and font.getlength(word[: keep // 2] + "..." + word[-(keep // 2) :]) > room:
        keep -= 2
    return word[: keep // 2] + "..." + word[-(keep // 2) :]
