"""Files past PIL, in two thirds of the time: JPEGs that lie upright, and masks that are plain grey PNGs.

Only what is flawless and ordinary is read here; all else is left to PIL, which decides what is wrong with it.
"""

from __future__ import annotations

import os
from typing import IO, cast

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from oneglance.decode.limits import too_large

#: EXIF orientations that make the height the width.
SWAPS_SIDES = (5, 6, 7, 8)
# Orientations that turn round the stored x axis, and the stored y axis.
_MIRRORS_X, _MIRRORS_Y = (2, 3, 7, 8), (3, 4, 6, 7)

#: Of a JPEG's segments: where the pixels begin; APP1, EXIF and XMP, which may say how the picture is to be turned;
#: APP2, which says (among much else) that more pictures follow.
_START_OF_SCAN, _EXIF_OR_XMP, _APP2 = b"\xda", b"\xe1", b"\xe2"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\0\0\0\0IEND\xaeB`\x82"
#: Depth, colour type, and the only compression, filter and order of rows that is ordinary.
_EIGHT_BITS_OF_GREY = bytes([8, 0, 0, 0, 0])
#: What may come between header and pixels and says nothing about the numbers (EXIF, transparency and frames do).
_MEANS_NOTHING = (b"tIME", b"pHYs", b"tEXt", b"zTXt", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"bKGD")
#: Where older programs keep EXIF among the texts.
_EXIF_AS_TEXT = b"Raw profile type"
#: A larger file is read piece by piece, by PIL.
_LARGEST_PNG = 16 << 20
#: Below this side, two of libjpeg's scales may give the same size, and which it takes would be left to chance.
_SMALL = 16
#: A larger file is read piece by piece, by PIL.
_LARGEST_JPEG = 64 << 20


def reduction(size: tuple[int, int], orientation: int, enough: tuple[int, int] | None) -> int:
    """The largest of 1, 2, 4, 8 by which a JPEG of this (width, height) can be reduced while it is decoded and leave
    ``enough`` (height, width)."""
    if enough is None:
        return 1
    height, width = (max(1, side) for side in (enough if orientation not in SWAPS_SIDES else enough[::-1]))
    for s in (8, 4, 2):
        # The last column of the reduced image may reach over the edge of the original. Turned round, it would
        # be the first, and every pixel would lie a fraction off: such an image is left whole.
        whole_x = orientation not in _MIRRORS_X or size[0] % s == 0
        whole_y = orientation not in _MIRRORS_Y or size[1] % s == 0
        if size[0] // s >= width and size[1] // s >= height and whole_x and whole_y:
            return s
    return 1


def _content(file: IO[bytes], beginning: bytes, largest: int) -> bytes | None:
    """What is in the file; None if it begins otherwise or has more bytes than that."""
    if file.read(len(beginning)) != beginning or file.seek(0, os.SEEK_END) > largest:
        return None
    file.seek(0)
    return file.read()


def plain_jpeg(file: IO[bytes], enough: tuple[int, int] | None, padded: bool) -> NDArray[np.uint8] | None:
    """The pixels of a JPEG whose header says nothing that needs PIL (no EXIF, no XMP, no second picture; in colour);
    None for all else."""
    data = _content(file, b"\xff\xd8\xff", _LARGEST_JPEG)
    if data is None:
        return None
    at = 2
    while (marker := data[at : at + 2])[1:] != _START_OF_SCAN:
        if marker[:1] != b"\xff" or marker[1:] in (b"", b"\xff"):  # broken, or padded between its segments
            return None
        if marker[1:] == _EXIF_OR_XMP or (marker[1:] == _APP2 and data[at + 4 : at + 7] == b"MPF"):
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    if colours != "YCbCr" or too_large((width, height)):
        return None
    return _turbo(data, (width, height), reduction((width, height), 1, enough), padded)


def upright_jpeg(file: IO[bytes], size: tuple[int, int], divisor: int, padded: bool) -> NDArray[np.uint8] | None:
    """The pixels of a colour JPEG that PIL has opened and that lies upright; None where PIL is to decode it."""
    file.seek(0)
    data = _content(file, b"", _LARGEST_JPEG)
    return None if data is None else _turbo(data, size, divisor, padded)


def _turbo(data: bytes, size: tuple[int, int], divisor: int, padded: bool) -> NDArray[np.uint8] | None:
    """The pixels of a flawless colour JPEG of this (width, height) that lies upright; None for all else, on which PIL
    decides.

    The same library below, libjpeg-turbo, with the same settings gives the same pixels as through PIL, in two
    thirds of the time. It is strict: whatever it warns of (a file cut short, damaged data) is PIL's to judge.
    """
    if min(size) < _SMALL:
        return None
    height, width = -(-size[1] // divisor), -(-size[0] // divisor)
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "RGBX" if padded else "RGB", fastdct=False, fastupsample=False,
            min_height=height, min_width=width, strict=True,
        )  # fmt: skip
    except ValueError:
        return None
    return pixels if pixels.shape[:2] == (height, width) else None


def plain_png(file: IO[bytes]) -> NDArray[np.uint8] | None:
    """The numbers of a whole PNG with eight bits of grey and no transparency, uint8 [H, W]; None for all else."""
    data = _content(file, _PNG, _LARGEST_PNG)
    if data is None or data[24:29] != _EIGHT_BITS_OF_GREY:
        return None
    size = (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))
    if too_large(size):
        return None
    at = 33
    while (kind := data[at + 4 : at + 8]) in _MEANS_NOTHING:
        if data[at + 8 : at + 24] == _EXIF_AS_TEXT:
            return None
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    if kind != b"IDAT" or not data.endswith(_PNG_END):
        return None
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint8 or values.shape != size[::-1]:
        return None
    return cast(NDArray[np.uint8], values)
