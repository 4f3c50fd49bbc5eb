"""The only place that opens an image.

PIL, OpenCV and torchvision disagree on EXIF rotation, broken JPEGs, 16-bit PNGs and decompression bombs; here
is what holds everywhere in oneglance:

- The image is as it is looked at: EXIF orientation applied. An orientation that does not exist, or EXIF that
  can't be read, is passed over; of a PNG, only what stands before the pixels is read.
- uint8 RGB. 16 bits a channel are scaled to 8, not saturated. What is transparent is shown on white, as the
  page of a browser or an annotation tool shows it: the colours under it are whatever the program that wrote
  the file left there.
- What is truncated, oversized, animated or no image is refused with an :class:`ImageError` that says why.
"""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import cv2
import numpy as np
import pyarrow as pa
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from oneglance.errors import OneglanceError

#: An image of more pixels is refused by its header, before anything is decoded.
MAX_PIXELS = 100_000_000
#: An image with a longer side is refused.
MAX_SIDE = 65_535

#: The only parsers that a file is shown to; PIL knows forty more formats, and each is a way in.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = (5, 6, 7, 8)
# Orientations that turn round the stored x axis, and the stored y axis.
_MIRRORS_X, _MIRRORS_Y = (2, 3, 7, 8), (3, 4, 6, 7)

_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")


class ImageError(OneglanceError):
    """An image (or a mask) can't be used; the message names the file and says why."""


class _Unusable(Exception):
    """Why an image can't be used, from where its name is not known; never leaves this module."""


def read_size(path: str | Path) -> tuple[int, int]:
    """(width, height) as the image is looked at, EXIF rotation applied, from the header only.

    Raises ImageError by the limits of :func:`decode`; whether the pixels are whole only decoding can tell.
    """
    with _opened(path) as (image, orientation):
        width, height = image.size
        return (height, width) if orientation in _SWAPS_SIDES else (width, height)


def decode(path: str | Path, *, enough: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """The pixels of an image file, uint8 [H, W, 3] RGB, contiguous and writable.

    Args:
        enough: (height, width) that will do. A JPEG is then decoded at 1/2, 1/4 or 1/8 of its size as long as
            it stays at least that large, which saves most of the work. The pixel in row i and column j of
            what is decoded at 1/s covers exactly [s*j, s*(j+1)] x [s*i, s*(i+1)] of the original, and the
            sides are those of the original divided by s, rounded up, which
            :func:`oneglance.data.geometry.warp_image` allows for, given the original size.

    Raises:
        ImageError: naming the file and the reason.
    """
    return _decode(path, str(path), enough)


def decode_padded(path: str | Path, *, enough: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """:func:`decode` with four bytes a pixel, uint8 [H, W, 4], of which the last means nothing; not to be written to.

    What is to be warped anyway is warped faster from it.
    """
    return _decode(path, str(path), enough, padded=True)


def decode_bytes(data: bytes, name: str = "image", *, enough: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """:func:`decode` for the content of a file; ``name`` is what messages call it."""
    return _decode(io.BytesIO(data), name, enough)


def decode_mask(path: str | Path) -> NDArray[np.uint8] | NDArray[np.int32]:
    """The numbers that a mask file holds, [H, W]: uint8, or int32 where the file has 16 bits or more.

    Palette indices stay what they are (the palette is for the eye only); a 1-bit mask gives 0 and 1.

    Raises:
        ImageError: also for colour masks, and for JPEGs, whose compression changes the numbers.
    """
    with _file_of(path, str(path)) as file:
        plain = _plain_png(file)
    if plain is not None:
        return plain
    with _opened(path) as (image, orientation):
        if image.format in ("JPEG", "MPO"):
            raise _Unusable("a JPEG can't hold a mask: its compression changes the numbers; save it as PNG")
        if image.mode not in ("P", "L", "1", "I", *_SIXTEEN_BIT):
            raise _Unusable(
                f"a mask holds one class number a pixel (palette or grey), but this file is {image.mode}; "
                "map each colour to the number of its class and save the result as a palette or grey PNG"
            )
        values = np.asarray(_loaded(image, orientation))
    # A copy in any case: what numpy sees of a PIL image is read-only.
    if values.dtype in (np.uint8, np.bool_):
        return values.astype(np.uint8)
    return values.astype(np.int32)


def to_rgb(image: Image.Image | np.ndarray | Path | str | bytes) -> NDArray[np.uint8]:
    """Whatever a user calls an image, as uint8 [H, W, 3] RGB.

    A path or the content of a file is decoded; a PIL image is treated as if it came from a file; an array
    must be uint8 [H, W, 3] in RGB order, or [H, W] grey. Raises ImageError for all else.
    """
    if isinstance(image, (str, Path)):
        return decode(image)
    if isinstance(image, bytes):
        return decode_bytes(image)
    if isinstance(image, Image.Image):
        with _reasons(str(getattr(image, "filename", "") or "image")):
            _check_size(image.size)
            with _quiet():
                orientation = _orientation(image)
            return _rgb(_loaded(image, orientation))
    if isinstance(image, np.ndarray):
        return _from_array(image)
    kind = type(image).__name__
    raise ImageError(f"an image is a path, bytes, a PIL image or a uint8 array [H, W, 3], not {kind}")


def _from_array(array: np.ndarray) -> NDArray[np.uint8]:
    expected = "expected uint8 [H, W, 3] in RGB order, or [H, W] grey"
    if array.dtype != np.uint8:
        hint = "; multiply by 255 and convert if it runs from 0 to 1" if array.dtype.kind == "f" else ""
        raise ImageError(f"the image is an array of {array.dtype}; {expected}{hint}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ImageError(f"the image is an array of shape {list(array.shape)}; {expected}")
    with _reasons("image"):
        _check_size((array.shape[1], array.shape[0]))
    array = np.ascontiguousarray(array)
    return array if array.ndim == 3 else _grey_to_rgb(array)


# --- opening -----------------------------------------------------------------------------------------------


@contextmanager
def _opened(source: str | Path | IO[bytes], name: str | None = None) -> Iterator[tuple[ImageFile.ImageFile, int]]:
    """The image by its header, within the limits, and its EXIF orientation (1..8).

    All that goes wrong with it inside the ``with`` becomes an ImageError.
    """
    with _file_of(source, str(source) if name is None else name) as file:
        try:
            with _quiet():
                image = Image.open(file, formats=FORMATS)
                orientation = _orientation(image)
        except UnidentifiedImageError:
            raise _Unusable(_what_it_is(file)) from None
        with image:
            _check_size(image.size)
            if image.format != "MPO" and getattr(image, "is_animated", False):
                # A camera's MPO holds the picture first and a preview (or the other eye's view) after it.
                with _quiet():  # counting reads on in the file
                    n = getattr(image, "n_frames", 2)
                raise _Unusable(
                    f"TIFF of {n} pages; export one page"
                    if image.format == "TIFF"
                    else f"animated image with {n} frames; export one frame"
                )
            yield image, orientation


@contextmanager
def _file_of(source: str | Path | IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """The file, open for reading; all that goes wrong with it inside the ``with`` becomes an ImageError."""
    with _reasons(name), open(source, "rb") if isinstance(source, (str, Path)) else source as file:  # noqa: PTH123
        yield file


@contextmanager
def _reasons(name: str) -> Iterator[None]:
    """Turns whatever reading the file raises into an ImageError that names it."""
    try:
        yield
    except ImageError:
        raise
    except _Unusable as error:
        raise ImageError(f"{name}: {error}") from error.__cause__
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise ImageError(f"{name}: {error.strerror}") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: {error}") from error
    except (
        # What PIL's parsers are known to run into in broken files, beside the errors they raise on purpose.
        OSError, ValueError, SyntaxError, EOFError, struct.error, TypeError, LookupError, ArithmeticError,
        AttributeError, AssertionError, RuntimeError, MemoryError, NotImplementedError,
    ) as error:  # fmt: skip
        raise ImageError(f"{name}: broken image: {error or type(error).__name__}") from error


# Filters of warnings belong to the process; threads that decode together must not restore each other's.
_filters = threading.RLock()
if hasattr(os, "register_at_fork"):  # a worker forked while a thread held the lock would wait for ever

    def _unlock() -> None:
        global _filters
        _filters = threading.RLock()

    os.register_at_fork(after_in_child=_unlock)


@contextmanager
def _quiet() -> Iterator[None]:
    """PIL's warnings (large image, corrupt EXIF, malformed MPO) silenced: our own limits say what is wrong.

    Held only while a header is read (or a TIFF): threads still decode at the same time.
    """
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _orientation(image: Image.Image) -> int:
    if getattr(image, "format", None) == "TIFF":
        return 1  # PIL turns a TIFF itself when it loads it, and its header says so
    try:
        # Of a PNG, the subclass's getexif would decode all pixels to look for EXIF after them.
        found = Image.Image.getexif(image).get(0x0112, 1)
    except Exception:  # broken EXIF raises what it likes, and is no reason to lose the picture
        return 1
    return found if found in _TRANSPOSE else 1


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


def _check_size(size: tuple[int, int]) -> None:
    problem = too_large(size)
    if problem is not None:
        raise _Unusable(problem)


def _what_it_is(file: IO[bytes]) -> str:
    """Why a file that PIL does not take for an image is none."""
    file.seek(0)
    head = file.read(1024)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "the file is empty"
    if b"<svg" in text:
        return "an SVG is a drawing, not pixels; export it as PNG"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "a web page under the name of an image (a failed download?)"
    if head[4:8] == b"ftyp":
        return "HEIC, AVIF or a film; convert it to JPEG or PNG"
    known = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")
    if head.startswith(known) or head[8:12] == b"WEBP":
        return "broken image: its header can't be read"
    return f"not an image of a known format ({', '.join(FORMATS)})"


# --- pixels ------------------------------------------------------------------------------------------------


def _decode(
    source: str | Path | IO[bytes], name: str, enough: tuple[int, int] | None, padded: bool = False
) -> NDArray[np.uint8]:
    """The pixels of a file, uint8 [H, W, 3], or [H, W, 4] if ``padded``."""
    with _file_of(source, name) as file:
        pixels = _plain_jpeg(file, enough, padded)
        if pixels is not None:
            return pixels
        file.seek(0)
        with _opened(file, name) as (image, orientation):
            return _read(image, orientation, enough, padded)


def _read(
    image: ImageFile.ImageFile, orientation: int, enough: tuple[int, int] | None, padded: bool
) -> NDArray[np.uint8]:
    """The pixels of an opened image, uint8 [H, W, 3], or [H, W, 4] if ``padded``."""
    divisor = 1
    if image.format in ("JPEG", "MPO"):
        divisor = _divisor(image.size, orientation, enough)
    if image.format == "JPEG" and image.mode == "RGB" and orientation == 1 and image.fp is not None:
        image.fp.seek(0)
        data = _content(image.fp, b"", _LARGEST_JPEG)
        pixels = None if data is None else _turbo(data, image.size, divisor, padded)
        if pixels is not None:
            return pixels
    if divisor > 1:
        image.draft(image.mode, (image.width // divisor, image.height // divisor))
    loaded = _loaded(image, orientation)
    if not padded:
        return _rgb(loaded)
    if loaded.mode == "RGB" and not _transparency(loaded) and loaded.width * loaded.height <= _BLOCK:
        return _four(loaded)
    return cv2.cvtColor(_rgb(loaded), cv2.COLOR_RGB2RGBA)


def _divisor(size: tuple[int, int], orientation: int, enough: tuple[int, int] | None) -> int:
    """The largest of 1, 2, 4, 8 by which a JPEG of this (width, height) can be reduced while it is decoded and leave
    ``enough`` (height, width)."""
    if enough is None:
        return 1
    height, width = (max(1, side) for side in (enough if orientation not in _SWAPS_SIDES else enough[::-1]))
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


def _plain_jpeg(file: IO[bytes], enough: tuple[int, int] | None, padded: bool) -> NDArray[np.uint8] | None:
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
    return _turbo(data, (width, height), _divisor((width, height), 1, enough), padded)


#: Of a JPEG's segments: where the pixels begin; APP1, EXIF and XMP, which may say how the picture is to be turned;
#: APP2, which says (among much else) that more pictures follow.
_START_OF_SCAN, _EXIF_OR_XMP, _APP2 = b"\xda", b"\xe1", b"\xe2"


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


def _plain_png(file: IO[bytes]) -> NDArray[np.uint8] | None:
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


def _loaded(image: Image.Image, orientation: int) -> Image.Image:
    """The image with its pixels decoded and turned the right way up."""
    if image.format == "TIFF":
        with _quiet():  # some of a TIFF's tags are read with the pixels
            image.load()
    else:
        image.load()
    return image.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else image


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of a loaded image of any mode."""
    if image.mode in _SIXTEEN_BIT or image.mode == "I":
        return _grey_to_rgb(_eight_bits(image))
    if image.mode == "F":
        raise _Unusable("pixels are floating-point numbers of unknown range; export them as 8 or 16 bits")
    if image.mode in _WITH_ALPHA or _transparency(image):
        image = _on_white(image)
    if image.mode == "L":
        return _grey_to_rgb(np.asarray(image))
    return _pixels(image if image.mode == "RGB" else image.convert("RGB"))


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


def _grey_to_rgb(grey: np.ndarray) -> NDArray[np.uint8]:
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def _eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    values = np.asarray(image)
    if image.mode == "I" and (values.min() < 0 or values.max() > 65535):
        raise _Unusable("pixels are 32-bit numbers beyond 0..65535; export them as 8 or 16 bits")
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
