"""All geometry is one matrix, 3x3, float64, affine: from original pixels to pixels of the network's input.

Coordinates are continuous and 0-based, the first pixel covers [0, 1] x [0, 1], x to the right, y downwards,
here as everywhere. Matrices compose with ``@``, the right one first. The inverse takes predictions back to
the original's pixels. A negative determinant is a reflection, in which left and right points change places.

Here: matrices, coordinates and pixels taken through them, and the frame in which an image lies. Annotations
are taken through a frame by :mod:`oneglance.data.warp`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from oneglance.annotations import FloatArray

Matrix = NDArray[np.float64]
Window = tuple[float, float, float, float]
Rectangle = tuple[int, int, int, int]

# OpenCV 4 can't warp images with longer sides (5 can); such an image is reduced first, whatever the matrix.
_LONGEST = 32_000


# --- matrices -----------------------------------------------------------------------------------------------


def scaling(sx: float, sy: float | None = None) -> Matrix:
    """Multiply x by ``sx`` and y by ``sy`` (default: as x)."""
    return np.array([[sx, 0, 0], [0, sx if sy is None else sy, 0], [0, 0, 1]], np.float64)


def translation(dx: float, dy: float) -> Matrix:
    """Move by (dx, dy)."""
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]], np.float64)


def rotation(degrees: float, about: tuple[float, float] = (0, 0)) -> Matrix:
    """Turn about a point; positive angles turn clockwise as seen on the screen (y runs downwards)."""
    x, y = about
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, x - c * x + s * y], [s, c, y - s * x - c * y], [0, 0, 1]], np.float64)


def shearing(x: float, y: float = 0) -> Matrix:
    """Add ``x`` times y to x, and ``y`` times x to y."""
    return np.array([[1, x, 0], [y, 1, 0], [0, 0, 1]], np.float64)


def reflection(width: float) -> Matrix:
    """Mirror left and right within a width: x becomes width - x."""
    return np.array([[-1, 0, width], [0, 1, 0], [0, 0, 1]], np.float64)


def letterbox(source_wh: tuple[int, int], size_hw: tuple[int, int]) -> Matrix:
    """Fit an image of (width, height) into an input of (height, width): aspect kept, centred."""
    (w, h), (height, width) = source_wh, size_hw
    scale = min(width / w, height / h)
    return translation((width - w * scale) / 2, (height - h * scale) / 2) @ scaling(scale)


def is_reflection(matrix: Matrix) -> bool:
    """Whether left and right change places."""
    return bool(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0] < 0)


def invert(matrix: Matrix) -> Matrix:
    """The way back; raises numpy.linalg.LinAlgError where there is none."""
    (a, b, x), (c, d, y) = matrix[:2].tolist()
    det = a * d - b * c
    if det == 0:
        raise np.linalg.LinAlgError("the matrix can't be inverted: it takes a plane to a line")
    p, q, r, s = d / det, -b / det, -c / det, a / det
    return np.array([[p, q, -p * x - q * y], [r, s, -r * x - s * y], [0, 0, 1]], np.float64)


def largest_scale(matrix: Matrix) -> float:
    """The factor by which the matrix stretches what it stretches most: the largest singular value of its 2x2 part."""
    (a, b, _), (c, d, _) = matrix[:2].tolist()
    return (math.hypot(a + d, c - b) + math.hypot(a - d, c + b)) / 2


def keeps_axes(matrix: Matrix) -> bool:
    """Whether upright boxes stay upright without growing: scale, shift and mirror only."""
    return bool(matrix[0, 1] == 0 and matrix[1, 0] == 0)


# --- coordinates --------------------------------------------------------------------------------------------


def warp_points(xy: ArrayLike, matrix: Matrix) -> FloatArray:
    """Points [..., 2] through the matrix, float32 (computed in float64)."""
    points = np.asarray(xy, np.float64)
    return (points @ matrix[:2, :2].T + matrix[:2, 2]).astype(np.float32)


def bounds(source_wh: tuple[int, int], matrix: Matrix) -> Window:
    """The upright box x1 y1 x2 y2 around a whole image of (width, height) taken through the matrix."""
    (a, b, x), (c, d, y) = matrix[:2].tolist()
    w, h = source_wh
    right, down, along, below = a * w, b * h, c * w, d * h
    return (
        x + min(right, 0) + min(down, 0),
        y + min(along, 0) + min(below, 0),
        x + max(right, 0) + max(down, 0),
        y + max(along, 0) + max(below, 0),
    )


def warp_boxes(boxes: ArrayLike, matrix: Matrix) -> FloatArray:
    """The upright boxes around boxes x1 y1 x2 y2, [N, 4], taken through the matrix, float32 [N, 4].

    Exact for scale, shift and mirror; under rotation and shear it is the box around the four corners, which
    is larger than the object.
    """
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    # The sum of two intervals is spanned by the sums of their ends: half the work of warping four corners.
    x1, x2 = corners[:, 0::2].min(1, keepdims=True), corners[:, 0::2].max(1, keepdims=True)
    y1, y2 = corners[:, 1::2].min(1, keepdims=True), corners[:, 1::2].max(1, keepdims=True)
    ax, ay = matrix[:2, 0], matrix[:2, 1]
    low = np.minimum(x1 * ax, x2 * ax) + np.minimum(y1 * ay, y2 * ay) + matrix[:2, 2]
    high = np.maximum(x1 * ax, x2 * ax) + np.maximum(y1 * ay, y2 * ay) + matrix[:2, 2]
    return np.concatenate([low, high], 1).astype(np.float32)


def clip_to(boxes: ArrayLike, window: Window) -> FloatArray:
    """Boxes [N, 4] cut off at the edges of a window x1 y1 x2 y2, float32 [N, 4]."""
    low, high = np.array([*window[:2], *window[:2]], np.float32), np.array([*window[2:], *window[2:]], np.float32)
    clipped: FloatArray = np.clip(np.asarray(boxes, np.float32).reshape(-1, 4), low, high)
    return clipped


def clip_polygon(polygon: FloatArray, window: Window) -> FloatArray:
    """The part of a polygon [P, 2] inside a window x1 y1 x2 y2, float32 [Q, 2], Q = 0 where nothing remains.

    Sutherland-Hodgman: the parts of a concave polygon that the window separates stay joined by edges along
    its border, which enclose no area.
    """
    points = np.asarray(polygon, np.float64)
    for axis, sign, edge in ((0, 1, window[0]), (0, -1, window[2]), (1, 1, window[1]), (1, -1, window[3])):
        if not len(points):
            break
        inside = sign * (points[:, axis] - edge)
        following, inside_next = np.roll(points, -1, 0), np.roll(inside, -1)
        crosses = (inside >= 0) != (inside_next >= 0)
        part = inside / np.where(crosses, inside - inside_next, 1)
        meeting = points + part[:, None] * (following - points)
        meeting[:, axis] = edge
        both = np.stack([points, meeting], 1)
        points = both[np.stack([inside >= 0, crosses], 1)]
    return points.astype(np.float32)


# --- pixels -------------------------------------------------------------------------------------------------


def warp_image(
    image: NDArray[np.uint8],
    matrix: Matrix,
    size_hw: tuple[int, int],
    *,
    fill: tuple[int, int, int] = (114, 114, 114),
    source_wh: tuple[int, int] | None = None,
    into: NDArray[np.uint8] | None = None,
    clip: Rectangle | None = None,
) -> NDArray[np.uint8]:
    """An image uint8 [H, W, 3] through the matrix, resampled once (bilinear), uint8 [h, w, 3].

    Args:
        image: a fourth byte a pixel is allowed and left out; OpenCV warps four bytes faster than three.
        matrix: from the original's pixels to the output's.
        size_hw: (h, w) of the output.
        fill: colour where no image is.
        source_wh: (width, height) of the original, if ``image`` was decoded at a reduced size.
        into: write into this output instead of a new one.
        clip: only the pixels in this rectangle x1 y1 x2 y2 of the output are written (a tile of a mosaic);
            without ``into``, the others are ``fill``.

    What shrinks by two or more is first averaged over blocks of pixels: sampled alone, fine detail would
    flicker.
    """
    out = np.empty((*size_hw, 3), np.uint8) if into is None else into
    if into is None and clip is not None:
        _fill(out, fill)
    x1, y1, x2, y2 = clip or (0, 0, size_hw[1], size_hw[0])
    unit = _to_original(image.shape, source_wh)
    here = matrix if unit is None else matrix @ unit
    left, top, right, bottom = _covered(image.shape, here)
    image, here = _reduced(image, here)
    rows, columns = slice(y1, y2), slice(x1, x2)
    border = cv2.BORDER_CONSTANT
    if keeps_axes(here):
        # The image has straight edges here: it fills the pixels whose centres it covers, up to its very edge.
        columns = slice(max(x1, left), min(x2, right))
        rows = slice(max(y1, top), min(y2, bottom))
        border = cv2.BORDER_REPLICATE
        if (columns, rows) != (slice(x1, x2), slice(y1, y2)):
            _fill(out[y1:y2, x1:x2], fill)
    width, height = columns.stop - columns.start, rows.stop - rows.start
    if width <= 0 or height <= 0:
        return out
    back = _to_opencv(invert(here), columns.start, rows.start)
    warped = cv2.warpAffine(
        image, back, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=border, borderValue=(*fill, 0),
    )  # fmt: skip
    if warped.shape[2] == 4:
        cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB, dst=out[rows, columns])
    else:
        out[rows, columns] = warped
    return out


def _to_opencv(back: Matrix, left: int, top: int) -> NDArray[np.float64]:
    """A matrix [2, 3] from the pixels right of ``left`` and below ``top`` of the output, as OpenCV counts: the centre
    of the first pixel is at 0 there, at 0.5 here."""
    (a, b, x), (c, d, y) = back[:2].tolist()
    u, v = left + 0.5, top + 0.5
    return np.array([[a, b, a * u + b * v + x - 0.5], [c, d, c * u + d * v + y - 0.5]], np.float64)


def _fill(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> None:
    """Paint an image [h, w, 3] in one colour; a grey, numpy writes faster."""
    image[:] = colour[0] if len(set(colour)) == 1 else colour


def warp_mask(
    mask: NDArray[np.uint8],
    matrix: Matrix,
    size_hw: tuple[int, int],
    *,
    source_wh: tuple[int, int] | None = None,
    void: int = 255,
    clip: Rectangle | None = None,
) -> NDArray[np.uint8]:
    """A mask of numbers, uint8 [H, W], through the matrix, uint8 [h, w]: each pixel takes what lies under its
    centre.

    ``void`` stands where no image is, and outside ``clip``. ``source_wh``: (width, height) of the original,
    if the mask has another size.
    """
    out = np.full(size_hw, void, np.uint8)
    x1, y1, x2, y2 = clip or (0, 0, size_hw[1], size_hw[0])
    unit = _to_original(mask.shape, source_wh)
    back = invert(matrix if unit is None else matrix @ unit)
    if not keeps_axes(back):
        shifted = _to_opencv(back, x1, y1)
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        out[y1:y2, x1:x2] = cv2.warpAffine(mask, shifted, (x2 - x1, y2 - y1), flags=flags, borderValue=void)
        return out
    # Centres that fall between two pixels take the right one, whatever the rounding errors are.
    columns = np.floor(back[0, 0] * (np.arange(x1, x2) + 0.5) + back[0, 2] + 1e-6).astype(np.int64)
    rows = np.floor(back[1, 1] * (np.arange(y1, y2) + 0.5) + back[1, 2] + 1e-6).astype(np.int64)
    in_x = np.flatnonzero((columns >= 0) & (columns < mask.shape[1]))
    in_y = np.flatnonzero((rows >= 0) & (rows < mask.shape[0]))
    if len(in_x) and len(in_y):
        # What lies inside is one rectangle: the coordinates only grow, or only shrink.
        part = out[y1 + in_y[0] : y1 + in_y[-1] + 1, x1 + in_x[0] : x1 + in_x[-1] + 1]
        # Rows are copied as a whole, columns byte by byte: turned over, columns are rows.
        cv2.transpose(np.take(cv2.transpose(mask[rows[in_y]]), columns[in_x], axis=0), dst=part)
    return out


def _to_original(shape: tuple[int, ...], source_wh: tuple[int, int] | None) -> Matrix | None:
    """From pixels of what was decoded to those of the original; None where they are the same."""
    height, width = shape[:2]
    if source_wh is None or source_wh == (width, height):
        return None
    w, h = source_wh
    for s in (2, 4, 8):
        # A JPEG decoded at 1/s: its last pixels may reach over the edge of the original (see decode).
        if (-(-w // s), -(-h // s)) == (width, height):
            return scaling(s)
    return scaling(w / width, h / height)


def _reduced(image: NDArray[np.uint8], matrix: Matrix) -> tuple[NDArray[np.uint8], Matrix]:
    """The image averaged over blocks of pixels where the matrix shrinks it, and what remains to be done."""
    height, width = image.shape[:2]
    (a, b, _), (c, d, _) = matrix[:2].tolist()
    # The small addition lets a scale that should be 1/2 be 1/2 after rounding errors.
    fx = max(min(int(1 / max(math.hypot(a, c), 1e-9) + 1e-6), width), -(-width // _LONGEST))
    fy = max(min(int(1 / max(math.hypot(b, d), 1e-9) + 1e-6), height), -(-height // _LONGEST))
    if fx < 2 and fy < 2:
        return image, matrix
    fx, fy = max(fx, 1), max(fy, 1)
    w, h = width // fx, height // fy
    if w >= 16 and h >= 16:
        # Whole blocks are averaged twenty times faster; less than one output pixel is lost at the far edges.
        image, width, height = image[: h * fy, : w * fx], w * fx, h * fy
    return cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA), matrix @ scaling(width / w, height / h)


def _covered(shape: tuple[int, ...], matrix: Matrix) -> Rectangle:
    """The pixels x1 y1 x2 y2 whose centres an image of this shape covers, if the matrix keeps the axes."""
    (a, _, x), (_, d, y) = matrix[:2].tolist()
    xs, ys = (x, x + a * shape[1]), (y, y + d * shape[0])
    # The tolerance gives a centre on the edge to the same side whatever the rounding errors are.
    left, top, right, bottom = (math.ceil(edge - 0.5 - 1e-6) for edge in (min(xs), min(ys), max(xs), max(ys)))
    return left, top, right, bottom


# --- frames -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Frame:
    """How an image lies in the network's input.

    ``matrix`` takes original pixels to input pixels; ``width``, ``height``: of the input; ``source_width``,
    ``source_height``: of the original; ``clip``: the rectangle x1 y1 x2 y2 of the input that shows this image
    and no other (a tile of a mosaic), None: all of it.
    """

    matrix: Matrix
    width: int
    height: int
    source_width: int
    source_height: int
    clip: Rectangle | None = None

    @cached_property
    def inverse(self) -> Matrix:
        """From input pixels to original pixels."""
        return invert(self.matrix)

    @property
    def reflects(self) -> bool:
        """Whether the image is seen in a mirror."""
        return is_reflection(self.matrix)

    @property
    def window(self) -> Rectangle:
        """The part of the input that shows this image (if it reaches so far): the clip, or all."""
        return self.clip or (0, 0, self.width, self.height)

    @property
    def content(self) -> Window:
        """The upright box x1 y1 x2 y2 around what the input shows of the image: its padding is left out."""
        x1, y1, x2, y2 = bounds((self.source_width, self.source_height), self.matrix)
        left, top, right, bottom = self.window
        return max(x1, left), max(y1, top), min(x2, right), min(y2, bottom)
