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
#: Tags that would cover more of the picture than this share are made smaller.
CROWDED = 0.12
#: Letters of fewer pixels can't be read.
SMALLEST_TEXT = 11


@dataclass(frozen=True)
class Tag:
    """A short text at a box ``x1 y1 x2 y2`` of the picture; ``small``: without a ground of its own colour.

    ``short``: what it says where there is no room for more.
    """

    text: str
    box: Rect
    colour: Colour
    small: bool = False
    short: str = ""


@dataclass(frozen=True)
class Line:
    """One line of the strip: a text, then coloured dots with a word each, then a text in brackets or so."""

    text: str
    dots: tuple[tuple[Colour, str], ...] = ()
    after: str = ""
    faint: bool = False


def font_height(longer_side: int) -> int:
    """A text size that can be read in a picture of this size."""
    return int(np.clip(round(12 + (longer_side - 384) / 100), 12, 40))


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


def length_of(text: str, size: int) -> float:
    """How wide the text is, in pixels."""
    return _length(text, size) if len(text) < 64 else font_for(text, size).getlength(text)


@lru_cache(maxsize=8192)
def _length(text: str, size: int) -> float:
    return font_for(text, size).getlength(text)


def place_tags(canvas: NDArray[np.uint8], tags: Sequence[Tag], size: int) -> None:
    """Set tags into the canvas (in place), each at the first place near its box where it covers no other text.

    A crowd of tags gets smaller letters, then shorter texts; a tag for which there is still no place is left out, for
    the strip below the picture has its colour. No tag covers another, and none reaches out of the picture.
    """
    if not tags:
        return
    height, width = canvas.shape[:2]
    named = [tag for tag in tags if not tag.small]
    short = False
    small = max(SMALLEST_TEXT, round(size * 0.8))
    for text_size, brief in ((size, False), (small, False), (small, True)):
        size, short = text_size, brief
        if sum(np.prod(_extent(tag, size, short)) for tag in named) <= CROWDED * height * width:
            break
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    taken = np.empty((0, 4))
    # A name may cover no other name; and it should cover no point.
    dots = np.array([tag.box for tag in tags if tag.small], float).reshape(-1, 4)
    # Points' names give way to objects' names, and these to what is smaller and has less choice.
    for tag in sorted(tags, key=lambda tag: (tag.small, _area(tag.box)))[:MOST_TAGS]:
        w, h = _extent(tag, size, short)
        if w > width or h > height:
            continue
        corners = np.array(_places(tag.box, w, h, small=tag.small))
        corners = np.clip(corners, 0, (width - w, height - h))
        rects = np.concatenate([corners, corners + np.array([w, h])], 1)
        free = _covered(rects, taken) <= 0
        if not free.any():
            continue
        cost = np.where(free, _covered(rects, dots), np.inf)
        if tag.small and cost.min() > 0.25 * w * h:
            continue
        x1, y1, x2, y2 = rects[int(cost.argmin())].tolist()
        taken = np.concatenate([taken, [[x1, y1, x2, y2]]])
        text = tag.short if short and tag.short else tag.text
        pad, font = _padding(tag, size), font_for(text, _letters(tag, size))
        at = (x1 + pad, (y1 + y2) / 2)
        if tag.small:
            rim = max(1, size // 9)
            pen.text(at, text, _light(tag.colour), font, anchor="lm", stroke_width=rim, stroke_fill=INK)
        else:
            pen.rounded_rectangle((x1, y1, x2 - 1, y2 - 1), radius=pad, fill=tag.colour)
            pen.text(at, text, ink_on(tag.colour), font, anchor="lm")
    canvas[:] = np.asarray(picture)


def _letters(tag: Tag, size: int) -> int:
    return max(SMALLEST_TEXT, round(size * 0.8)) if tag.small else size


def _padding(tag: Tag, size: int) -> int:
    return max(2, _letters(tag, size) // 5)


def _extent(tag: Tag, size: int, short: bool) -> tuple[float, float]:
    """(width, height) that a tag takes."""
    pad, letters = _padding(tag, size), _letters(tag, size)
    text = tag.short if short and tag.short else tag.text
    return length_of(text, letters) + 2 * pad, letters * 1.1 + pad


def _light(colour: Colour) -> Colour:
    """The colour, light enough to be read with a dark rim."""
    red, green, blue = ((v + 255) // 2 for v in colour)
    return red, green, blue


def _places(box: Rect, w: float, h: float, *, small: bool) -> list[tuple[float, float]]:
    x1, y1, x2, y2 = box
    if small:
        x, y = (x1 + x2 - w) / 2, (y1 + y2 - h) / 2
        beside = [(x2, y), (x1 - w, y), (x, y1 - h), (x, y2)]
        return [*beside, (x2, y2), (x1 - w, y1 - h), (x2, y1 - h), (x1 - w, y2)]
    places = [(x1, y1 - h), (x1, y1), (x2 - w, y1 - h), (x1, y2), (x2 - w, y2), (x2, y1), (x1 - w, y1)]
    inside = [(x1, y2 - h), (x2 - w, y1), (x2 - w, y2 - h), ((x1 + x2 - w) / 2, (y1 + y2 - h) / 2)]
    steps = [(x1, y1 - h * k) for k in (2, 3)] + [(x1, y1 + h * k) for k in (1, 2)]
    return places + inside + steps


def _area(box: Rect) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _covered(rects: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of each rectangle [P, 4] the others [N, 4] cover together, counted for each: [P], in pixels."""
    wide = np.minimum(rects[:, None, 2:], others[None, :, 2:]) - np.maximum(rects[:, None, :2], others[None, :, :2])
    return np.clip(wide, 0, None).prod(-1).sum(-1)


@dataclass(frozen=True)
class _Piece:
    """A word of the strip: where it begins, in which row, and the colour of the dot before it."""

    x: float
    row: int
    word: str
    ink: Colour
    dot: Colour | None


def caption(lines: Sequence[Line], width: int, size: int, rows: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """The strip below a picture, uint8 [h, width, 3], as high as its lines need; long lines are broken.

    ``rows``: each line gets exactly so many rows, and ends in dots where it needs more.
    """
    if not lines:
        return np.empty((0, width, 3), np.uint8)
    pieces: list[_Piece] = []
    row = 0
    for k, line in enumerate(lines):
        own, used = _broken(line, width, size, row, rows[k] if rows is not None else None)
        pieces += own
        row += used if rows is None else rows[k]
    pad, step = _margin(size), round(size * 1.35)
    picture = Image.new("RGB", (width, row * step + pad), STRIP)
    pen = ImageDraw.Draw(picture)
    for piece in pieces:
        left, middle = pad + piece.x, pad / 2 + piece.row * step + step / 2
        if piece.dot is not None:
            side = size * 0.36
            pen.rounded_rectangle((left, middle - side, left + 2 * side, middle + side), radius=2, fill=piece.dot)
            left += size
        pen.text((left, middle), piece.word, piece.ink, font_for(piece.word, size), anchor="lm")
    return np.array(picture)


@lru_cache(maxsize=16)
def rows_needed(lines: tuple[Line, ...], width: int, size: int, most: int) -> tuple[int, ...]:
    """How many rows each line takes in a strip of this width; at most ``most``."""
    return tuple(min(most, _broken(line, width, size, 0, None)[1]) for line in lines)


def _margin(size: int) -> int:
    return max(3, size // 2)


def _broken(line: Line, width: int, size: int, top: int, most: int | None) -> tuple[list[_Piece], int]:
    """The words of a line, from row ``top`` on, and how many rows they take."""
    ink = FAINT if line.faint else PAPER
    words: list[tuple[Colour | None, str]] = [(None, word) for word in line.text.split()]
    words += line.dots
    words += [(None, word) for word in line.after.split()]
    room = width - 2 * _margin(size)
    pieces: list[_Piece] = []
    x, row = 0.0, 0
    for k, (dot, word) in enumerate(words):
        before = size if dot is not None else 0
        word = _cut(word, room - before, size)
        length = length_of(word, size) + before
        last = most is not None and row == most - 1
        # In the last row that there may be, the dots that stand for the rest need room too.
        reserved = length_of("...", size) if last and k < len(words) - 1 else 0
        if x and x + length + reserved > room:
            if last:
                pieces.append(_Piece(x, top + row, "...", ink, None))
                break
            x, row = float(size), row + 1
        pieces.append(_Piece(x, top + row, word, ink, dot))
        x += length + (size * 0.6 if dot is not None else size * 0.28)
    return pieces, row + 1


def _cut(word: str, room: float, size: int) -> str:
    """A word that is too long for a line, cut in its middle."""
    if length_of(word, size) <= room:
        return word
    keep = min(len(word), 400)
    while keep > 2 and length_of(word[: keep // 2] + "..." + word[-(keep // 2) :], size) > room:
        keep -= 2
    return word[: keep // 2] + "..." + word[-(keep // 2) :]
