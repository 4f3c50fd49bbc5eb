"""Masks as run lengths, the way COCO writes them: column by column, the first run is of zeros.

The compressed string is that of cocoapi's ``rleToString``: every run from the fourth on as the difference to
the run two before it, in groups of five bits, the lowest first, a sixth bit for *more follows*, plus 48 to be
printable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneglance.annotations import FloatArray, Rle

BoolArray = NDArray[np.bool_]


def counts_from_string(text: str) -> list[int]:
    """Run lengths from COCO's compressed string; raises ValueError where it is not one."""
    counts: list[int] = []
    value = shift = 0
    for position, character in enumerate(text):
        chunk = ord(character) - 48
        if not 0 <= chunk < 64 or shift > 35:
            raise ValueError(f"character {position} of the compressed mask is not COCO's encoding")
        value |= (chunk & 0x1F) << shift
        shift += 5
        if chunk & 0x20:
            continue
        if chunk & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("the compressed mask ends in the middle of a number")
    return counts


def string_from_counts(counts: Sequence[int]) -> str:
    """COCO's compressed string of run lengths."""
    out: list[str] = []
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            chunk = value & 0x1F
            value >>= 5
            more = value != (-1 if chunk & 0x10 else 0)
            out.append(chr((chunk | 0x20 if more else chunk) + 48))
    return "".join(out)


def checked(size: Any, counts: Any, height: int, width: int) -> Rle:
    """An RLE that fits an image of ``height`` x ``width``; raises ValueError. Nothing is unpacked before that
    is sure.

    ``size``: (H, W) as the file gives it; ``counts``: a compressed string or a list of run lengths.
    """
    if not isinstance(size, (list, tuple)) or len(size) != 2 or [*size] != [height, width]:
        raise ValueError(f"its mask is of size {str(size)[:60]}, the image is [{height}, {width}] (height, width)")
    if isinstance(counts, str):
        if len(counts) > 7 * (height * width + 1):
            raise ValueError("its compressed mask is longer than the image has pixels")
        counts = counts_from_string(counts)
    if not isinstance(counts, (list, tuple)) or not all(type(count) is int for count in counts):
        raise ValueError("its mask's counts are neither a string nor whole numbers")
    if any(count < 0 for count in counts):
        raise ValueError(f"its mask has the negative run length {next(count for count in counts if count < 0)}")
    if sum(counts) != height * width:
        raise ValueError(f"its mask's run lengths sum to {sum(counts)}, the image has {height * width} pixels")
    return Rle((height, width), tuple(counts))


def decode(rle: Rle) -> BoolArray:
    """The mask, bool [H, W]."""
    values = np.zeros(len(rle.counts), bool)
    values[1::2] = True
    return np.repeat(values, rle.counts).reshape(rle.size[::-1]).T


def encode(mask: BoolArray) -> Rle:
    """The run lengths of a mask, bool [H, W]."""
    flat = np.asarray(mask, bool).T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    if flat.size and flat[0]:
        counts = [0, *counts]
    return Rle((int(mask.shape[0]), int(mask.shape[1])), tuple(counts))


def encode_part(part: BoolArray, left: int, top: int, size: tuple[int, int]) -> Rle:
    """The run lengths of an image of ``size`` (H, W) that holds ``part``, bool [h, w], from column ``left`` and row
    ``top`` on, and is false elsewhere: what :func:`encode` gives, without an image being made.

    Raises ValueError where the part reaches beyond the image.
    """
    height, width = size
    h, w = part.shape
    if not (left >= 0 and top >= 0 and left + w <= width and top + h <= height):
        raise ValueError(f"a part of {w}x{h} pixels at ({left}, {top}) reaches beyond an image of {width}x{height}")
    edges = np.diff(np.pad(np.asarray(part, np.int8), ((1, 1), (0, 0))), axis=0).T
    starts, ends = (np.nonzero(edges == sign) for sign in (1, -1))
    flat = [(left + columns) * height + top + rows for columns, rows in (starts, ends)]
    # A run that ends a column goes on where the next column begins with one.
    joined = flat[0][1:] == flat[1][:-1]
    first, last = flat[0][np.r_[True, ~joined]] if len(flat[0]) else flat[0], flat[1]
    last = last[np.r_[~joined, True]] if len(last) else last
    bounds = np.stack([first, last], 1).ravel()
    counts = np.diff(np.concatenate([[0], bounds, [height * width]])).tolist()
    return Rle(size, tuple(counts[:-1] if len(counts) > 1 and counts[-1] == 0 else counts))


def area(rle: Rle) -> int:
    """Pixels of the mask."""
    return sum(rle.counts[1::2])


def box(rle: Rle) -> FloatArray | None:
    """The smallest box around the mask, float32 [4] (x1 y1 x2 y2), or None where the mask is empty."""
    edges = np.cumsum(rle.counts, dtype=np.int64)
    ends = edges[1::2]
    starts = edges[0::2][: len(ends)]
    keep = ends > starts
    starts, ends = starts[keep], ends[keep] - 1
    if not len(starts):
        return None
    height = rle.size[0]
    left, right = starts // height, ends // height
    # A run that reaches into the next column covers the image's first and last row.
    wraps = bool((left != right).any())
    top = 0 if wraps else int((starts % height).min())
    bottom = height if wraps else int((ends % height).max()) + 1
    return np.array([left.min(), top, right.max() + 1, bottom], np.float32)
