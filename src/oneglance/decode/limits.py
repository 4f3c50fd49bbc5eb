"""What is refused, and how a refusal is said."""

from __future__ import annotations

from oneglance.errors import OneglanceError

#: An image of more pixels is refused by its header, before anything is decoded.
MAX_PIXELS = 100_000_000
#: An image with a longer side is refused.
MAX_SIDE = 65_535


class ImageError(OneglanceError):
    """An image (or a mask) can't be used; the message names the file and says why."""


class Unusable(Exception):
    """Why an image can't be used, from where its name is not known; never leaves this room."""


def too_large(size: tuple[int, int]) -> str | None:
    """Why a picture of this (width, height) is refused, also as a frame of a film; None where it is not."""
    width, height = size
    if width < 1 or height < 1:
        return f"{width} x {height} pixels: the image is empty"
    if width * height > MAX_PIXELS:
        return f"{width} x {height} pixels; at most {MAX_PIXELS / 1e6:g} million are read"
    if max(width, height) > MAX_SIDE:
        return f"{width} x {height} pixels; a side of at most {MAX_SIDE} is read"
    return None


def check_size(size: tuple[int, int]) -> None:
    problem = too_large(size)
    if problem is not None:
        raise Unusable(problem)
