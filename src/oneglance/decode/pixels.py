"""The pixels of an image that PIL has opened, as arrays."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from oneglance.decode.limits import Unusable

#: How an EXIF orientation is undone; 1, upright, is not among them.
TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")


# Filters of warnings belong to the process; threads that decode together must not restore each other's.
_filters = threading.RLock()
if hasattr(os, "register_at_fork"):  # a worker forked while a thread held the lock would wait for ever

    def _unlock() -> None:
        global _filters
        _filters = threading.RLock()

    os.register_at_fork(after_in_child=_unlock)


@contextmanager
def quiet() -> Iterator[None]:
    """PIL's warnings (large image, corrupt EXIF, malformed MPO) silenced: our own limits say what is wrong.

    Held only while a header is read (or a TIFF): threads still decode at the same time.
    """
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def loaded(image: Image.Image, orientation: int) -> Image.Image:
    """The image with its pixels decoded and turned the right way up."""
    if image.format == "TIFF":
        with quiet():  # some of a TIFF's tags are read with the pixels
            image.load()
    else:
        image.load()
    return image.transpose(TRANSPOSE[orientation]) if orientation in TRANSPOSE else image


def rgb(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of a loaded image of any mode."""
    if image.mode in SIXTEEN_BIT or image.mode == "I":
        return grey_to_rgb(_eight_bits(image))
    if image.mode == "F":
        raise Unusable("pixels are floating-point numbers of unknown range; export them as 8 or 16 bits")
    if image.mode in _WITH_ALPHA or _transparency(image):
        image = _on_white(image)
    if image.mode == "L":
        return grey_to_rgb(np.asarray(image))
    return _pixels(image if image.mode == "RGB" else image.convert("RGB"))


def rgbx(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 [H, W, 4] of a loaded image of any mode, the last without meaning; not to be written to."""
    if image.mode == "RGB" and not _transparency(image) and image.width * image.height <= _BLOCK:
        return _four(image)
    return cv2.cvtColor(rgb(image), cv2.COLOR_RGB2RGBA)


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of a PIL image of mode RGB.

    PIL keeps four bytes a pixel, which Arrow hands out without a copy; numpy's own way makes two and takes
    five times as long. Of an image that lies in several blocks of memory (16 MB), Arrow sees only parts.
    """
    out = np.empty((image.height, image.width, 3), np.uint8)
    if out.size <= _STRIP:
        return cv2.cvtColor(_four(image), cv2.COLOR_RGBA2RGB, dst=out)
    rows = max(1, _STRIP // (3 * image.width))
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(image.height, top + rows)))
        cv2.cvtColor(_four(strip), cv2.COLOR_RGBA2RGB, dst=out[top : top + rows])
    return out


#: Pixels that PIL is sure to keep in one block of memory (16 MB): only of those Arrow sees the whole.
_BLOCK = 1 << 21
#: Bytes of RGB converted at a time: strips stay in the cache, and well below PIL's blocks.
_STRIP = 1 << 20


def _four(image: Image.Image) -> NDArray[np.uint8]:
    """PIL's own memory of an RGB image, uint8 [H, W, 4], the last without meaning."""
    return pa.array(image).values.to_numpy(zero_copy_only=True).reshape(image.height, image.width, 4)


def grey_to_rgb(grey: np.ndarray) -> NDArray[np.uint8]:
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def _eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    values = np.asarray(image)
    if image.mode == "I" and (values.min() < 0 or values.max() > 65535):
        raise Unusable("pixels are 32-bit numbers beyond 0..65535; export them as 8 or 16 bits")
    # The upper byte, as PIL takes it of colour images with 16 bits.
    return (values >> 8).astype(np.uint8)


def _transparency(image: Image.Image) -> bool:
    """Whether the file names a colour (or palette entries) as transparent."""
    named = image.info.get("transparency")
    if named is None or image.mode not in ("1", "L", "P", "RGB"):
        return False
    # Of 16-bit images PIL names the colour by its 16 bits but has kept only eight of each pixel.
    return isinstance(named, bytes) or bool(np.max(named) <= 255)


def _on_white(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return image.convert("RGB")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=alpha)
    return white
