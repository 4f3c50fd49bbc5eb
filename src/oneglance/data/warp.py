"""Annotations taken through a frame: labels into the network's input, predictions back from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from oneglance.annotations import (
    UNLABELLED,
    Annotation,
    FloatArray,
    Instance,
    Instances,
    Points,
    Rle,
    Segments,
    changed,
)
from oneglance.data.geometry import (
    Frame,
    Matrix,
    Rectangle,
    Window,
    clip_polygon,
    clip_to,
    is_reflection,
    keeps_axes,
    warp_boxes,
    warp_mask,
    warp_points,
)
from oneglance.formats import rle as run_lengths

FlipPairs = Sequence[tuple[int, int]]
#: Of points on objects: the pairs by the objects' class.
FlipPairsByClass = Mapping[str, FlipPairs]
A = TypeVar("A", bound=Annotation)

# A box of which less of its area, or a shorter side, is left in the window neither counts as an object nor as
# background.
_LEAST_AREA = 0.1
_LEAST_SIDE = 2.0


def warp(annotation: A, frame: Frame, *, flip_pairs: FlipPairs | FlipPairsByClass = ()) -> A:
    """A label from original pixels to input pixels, for training.

    Points, instances and (decoded) segments go through the frame's matrix; labels, tags, numbers and
    identities stay as they are. In a mirror, the points of each of ``flip_pairs`` (indices; of points on
    objects by their class) change places.

    What leaves the frame's window: points keep their coordinates and become UNLABELLED; boxes and polygons
    are cut off at its edges. An object of whose box less than a tenth, or less than 2 pixels of a side,
    remains becomes ``difficult`` (neither object nor background); one of which nothing remains is left out.
    Under rotation, the box of an object with polygons is the box around them.
    """
    source = (frame.source_width, frame.source_height)
    way = _Way(frame.matrix, frame.window, (frame.height, frame.width), source, frame.clip, flip_pairs, True)
    return cast(A, way.take(annotation))


def unwarp(annotation: A, frame: Frame, *, flip_pairs: FlipPairs | FlipPairsByClass = ()) -> A:
    """A prediction from input pixels back to original pixels: :func:`warp` by the inverse matrix.

    Boxes are cut off at the edges of the original, and left out where nothing of them lies in it; points keep
    their visibility wherever they are; segments get the original's size.
    """
    size = (frame.source_height, frame.source_width)
    window = (0, 0, frame.source_width, frame.source_height)
    way = _Way(frame.inverse, window, size, (frame.width, frame.height), None, flip_pairs, False)
    return cast(A, way.take(annotation))


@dataclass(frozen=True, eq=False)
class _Way:
    """What :func:`warp` and :func:`unwarp` have in common; ``training``: mark what is cut off."""

    matrix: Matrix
    window: Window
    size: tuple[int, int]
    source_wh: tuple[int, int]
    clip: Rectangle | None
    flip_pairs: FlipPairs | FlipPairsByClass
    training: bool

    def take(self, annotation: Annotation) -> Annotation:
        if isinstance(annotation, Instances):
            return replace(annotation, items=self._instances(annotation.items)) if annotation.items else annotation
        if isinstance(annotation, Points):
            return self._points(annotation, warp_points(annotation.xy, self.matrix), self._pairs_of(None))
        if isinstance(annotation, Segments):
            if annotation.indices is None:
                raise ValueError(f"decode the mask first: {annotation.path}")
            return replace(annotation, indices=self._mask(annotation.indices, 255))
        return annotation

    def _mask(self, mask: NDArray[np.uint8], void: int) -> NDArray[np.uint8]:
        return warp_mask(mask, self.matrix, self.size, source_wh=self.source_wh, void=void, clip=self.clip)

    def _rle(self, rle: Rle) -> Rle:
        mask = np.ascontiguousarray(run_lengths.decode(rle)).view(np.uint8)
        return run_lengths.encode(self._mask(mask, 0).view(np.bool_))

    def _pairs_of(self, label: str | None) -> FlipPairs:
        if isinstance(self.flip_pairs, Mapping):
            return self.flip_pairs.get(label or "", ())
        return self.flip_pairs

    def _points(self, points: Points, xy: FloatArray, flip_pairs: FlipPairs) -> Points:
        """The points with their new coordinates, in their new order."""
        visibility, scores = points.visibility, points.scores
        if flip_pairs and is_reflection(self.matrix):
            order = np.arange(len(xy))
            for a, b in flip_pairs:
                order[a], order[b] = b, a
            xy, visibility = xy[order], visibility[order]
            scores = None if scores is None else scores[order]
        if self.training:
            x1, y1, x2, y2 = self.window
            inside = (xy[:, 0] >= x1) & (xy[:, 0] <= x2) & (xy[:, 1] >= y1) & (xy[:, 1] <= y2)
            visibility = np.where(inside, visibility, np.int8(UNLABELLED))
        return Points(xy, visibility, scores)

    def _instances(self, items: tuple[Instance, ...]) -> tuple[Instance, ...]:
        # Coordinates of all objects go through the matrix together; only then is each object put together
        # again.
        row_of = {k: row for row, k in enumerate(k for k, item in enumerate(items) if item.box is not None)}
        known = [item.box for item in items if item.box is not None]
        boxes = warp_boxes(np.array(known, np.float32).reshape(-1, 4), self.matrix)
        loose = [item.points.xy for item in items if item.points is not None]
        points = _split(warp_points(np.concatenate(loose), self.matrix), loose) if loose else []
        outlines = self._polygons(items)
        if not keeps_axes(self.matrix):
            for k, at in row_of.items():
                if outlines.get(k):
                    corners = np.concatenate(outlines[k])
                    boxes[at] = [*corners.min(0), *corners.max(0)]
        cut = clip_to(boxes, self.window)
        sides, whole = cut[:, 2:] - cut[:, :2], boxes[:, 2:] - boxes[:, :2]
        gone = np.any(sides <= 0, axis=1)
        if self.training:
            gone |= np.all(sides < 1, axis=1)
        little = np.any(sides < _LEAST_SIDE, axis=1) | (sides.prod(1) < _LEAST_AREA * whole.prod(1))
        growth = abs(float(np.linalg.det(self.matrix[:2, :2])))
        next_points = iter(points)
        out = []
        for k, item in enumerate(items):
            changes: dict[str, object] = {}
            if item.points is not None:
                changes["points"] = self._points(item.points, next(next_points), self._pairs_of(item.label))
            row = row_of.get(k)
            if row is not None:
                if gone[row]:
                    continue
                changes["box"] = cut[row]
                if self.training and little[row]:
                    changes["difficult"] = True
            if item.polygons is not None:
                changes["polygons"] = kept = tuple(self._inside(outlines[k]))
                if row is None and item.polygons and not kept and item.points is None:
                    continue
            if item.rle is not None:
                changes["rle"] = self._rle(item.rle)
            if item.area is not None:
                changes["area"] = item.area * growth
            out.append(changed(item, changes))
        return tuple(out)

    def _polygons(self, items: tuple[Instance, ...]) -> dict[int, list[FloatArray]]:
        """The warped polygons of those objects that have any, by the object's place."""
        parts = [part for item in items for part in item.polygons or ()]
        if not parts:
            return {k: [] for k, item in enumerate(items) if item.polygons is not None}
        warped = iter(_split(warp_points(np.concatenate(parts), self.matrix), parts))
        return {k: [next(warped) for _ in item.polygons] for k, item in enumerate(items) if item.polygons is not None}

    def _inside(self, parts: list[FloatArray]) -> list[FloatArray]:
        """The parts of an outline as far as they lie in the window."""
        x1, y1, x2, y2 = self.window
        kept = []
        for part in parts:
            (left, top), (right, bottom) = part.min(0), part.max(0)
            if left < x1 or top < y1 or right > x2 or bottom > y2:
                part = clip_polygon(part, self.window)
            if len(part) >= 3:
                kept.append(part)
        return kept


def _split(stacked: FloatArray, like: Sequence[np.ndarray]) -> list[FloatArray]:
    """Rows stacked from ``like`` taken apart again."""
    out, start = [], 0
    for one in like:
        out.append(stacked[start : start + len(one)])
        start += len(one)
    return out
