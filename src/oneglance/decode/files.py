"""Opening files, and what callers ask of them."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from oneglance.decode.limits import ImageError, Unusable, check_size
from oneglance.decode.pixels import SIXTEEN_BIT, TRANSPOSE, grey_to_rgb, loaded, quiet, rgb, rgbx
from oneglance.decode.plain import SWAPS_SIDES, plain_jpeg, plain_png, reduction, upright_jpeg

#: The only parsers that a file is shown to; PIL knows forty more formats, and each is a way in.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")


def read_size(path: str | Path) -> tuple[int, int]:
    """(width, height) as the image is looked at, EXIF rotation applied, from the header only.

    Raises ImageError by the limits of :func:`decode`; whether the pixels are whole only decoding can tell.
    """
    with _opened(path) as (image, orientation):
        width, height = image.size
        return (height, width) if orientation in SWAPS_SIDES else (width, height)


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
        plain = plain_png(file)
    if plain is not None:
        return plain
    with _opened(path) as (image, orientation):
        if image.format in ("JPEG", "MPO"):
            raise Unusable("a JPEG can't hold a mask: its compression changes the numbers; save it as PNG")
        if image.mode not in ("P", "L", "1", "I", *SIXTEEN_BIT):
            raise Unusable(
                f"a mask holds one class number a pixel (palette or grey), but this file is {image.mode}; "
                "map each colour to the number of its class and save the result as a palette or grey PNG"
            )
        values = np.asarray(loaded(image, orientation))
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
            check_size(image.size)
            with quiet():
                orientation = _orientation(image)
            return rgb(loaded(image, orientation))
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
        check_size((array.shape[1], array.shape[0]))
    array = np.ascontiguousarray(array)
    return array if array.ndim == 3 else grey_to_rgb(array)


# --- opening -----------------------------------------------------------------------------------------------


@contextmanager
def _opened(source: str | Path | IO[bytes], name: str | None = None) -> Iterator[tuple[ImageFile.ImageFile, int]]:
    """The image by its header, within the limits, and its EXIF orientation (1..8).

    All that goes wrong with it inside the ``with`` becomes an ImageError.
    """
    with _file_of(source, str(source) if name is None else name) as file:
        try:
            with quiet():
                image = Image.open(file, formats=FORMATS)
                orientation = _orientation(image)
        except UnidentifiedImageError:
            raise Unusable(_what_it_is(file)) from None
        with image:
            check_size(image.size)
            if image.format != "MPO" and getattr(image, "is_animated", False):
                # A camera's MPO holds the picture first and a preview (or the other eye's view) after it.
                with quiet():  # counting reads on in the file
                    n = getattr(image, "n_frames", 2)
                raise Unusable(
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
    except Unusable as error:
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


def _orientation(image: Image.Image) -> int:
    if getattr(image, "format", None) == "TIFF":
        return 1  # PIL turns a TIFF itself when it loads it, and its header says so
    try:
        # Of a PNG, the subclass's getexif would decode all pixels to look for EXIF after them.
        found = Image.Image.getexif(image).get(0x0112, 1)
    except Exception:  # broken EXIF raises what it likes, and is no reason to lose the picture
        return 1
    return found if found in TRANSPOSE else 1


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
        pixels = plain_jpeg(file, enough, padded)
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
        divisor = reduction(image.size, orientation, enough)
    if image.format == "JPEG" and image.mode == "RGB" and orientation == 1 and image.fp is not None:
        pixels = upright_jpeg(image.fp, image.size, divisor, padded)
        if pixels is not None:
            return pixels
    if divisor > 1:
        image.draft(image.mode, (image.width // divisor, image.height // divisor))
    image_of_pil = loaded(image, orientation)
    return rgbx(image_of_pil) if padded else rgb(image_of_pil)
