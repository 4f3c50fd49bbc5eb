"""What a row's files hold: its image and its masks, decoded; kept in memory where asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from oneglance.annotations import Record, Segments
from oneglance.data.kept import Kept
from oneglance.decode import ImageError, decode_mask, decode_padded, reduction
from oneglance.manifest import Manifest
from oneglance.memory import affordable

if TYPE_CHECKING:
    from oneglance.tasks.base import Task

VOID = 255


class Files:
    """The images and masks of a manifest's rows."""

    def __init__(self, manifest: Manifest, tasks: Mapping[str, Task[Any]]) -> None:
        self.manifest, self.tasks = manifest, tasks
        self._images: Kept | None = None
        self._masks: dict[str, Kept] = {}

    def keep(self, rows: np.ndarray, gigabytes: float) -> None:
        """From now on, keep what these rows' files hold once it was decoded, as far as so much memory goes (less where
        the machine has little left). To be called before loading processes are started.
        """
        area = np.zeros(len(self.manifest), np.int64)
        width, height = (self.manifest.table[name].to_numpy()[rows] for name in ("width", "height"))
        area[rows] = width.astype(np.int64) * height
        masked = [name for name, task in self.tasks.items() if task.column.type == "segments"]
        masks = {name: np.where(self.manifest.labelled(name), area, 0) for name in masked}
        total = sum((int(sizes.sum()) for sizes in masks.values()), 4 * int(area.sum()))
        share = min(1.0, affordable(gigabytes) / max(1, total))
        self._images = Kept.shared(4 * area, int(share * 4 * int(area.sum())))
        kept = {name: Kept.shared(sizes, int(share * int(sizes.sum()))) for name, sizes in masks.items()}
        self._masks = {name: one for name, one in kept.items() if one is not None}

    def image(self, row: int, record: Record, enough: tuple[int, int]) -> NDArray[np.uint8]:
        """As :func:`~oneglance.decode.decode_padded` gives it; ``enough``: (height, width) that will do."""
        if self._images is None:
            return decode_padded(record.path, enough=enough)
        kind = reduction((record.width, record.height), 1, enough)
        return self._images.get(row, kind, lambda: decode_padded(record.path, enough=enough))

    def segments(self, row: int, record: Record, name: str, annotation: Segments) -> Segments:
        """The task's mask, loaded; see :func:`load_segments`."""
        classes, size = self.tasks[name].classes, (record.width, record.height)
        kept = self._masks.get(name)
        if kept is None or annotation.indices is not None or annotation.path is None:
            return load_segments(annotation, classes, size)
        indices = kept.get(row, 1, lambda: _read(annotation, classes, size))
        return Segments(annotation.path, annotation.values, indices, classes)


def load_segments(annotation: Segments, classes: tuple[str, ...], source_wh: tuple[int, int]) -> Segments:
    """Read a mask file: class indices uint8 [H, W], 255 where the value means nothing known.

    Raises ImageError where the file can't be read or is not of the image's size.
    """
    if annotation.indices is not None or annotation.path is None:
        return annotation
    return Segments(annotation.path, annotation.values, _read(annotation, classes, source_wh), classes)


def _read(annotation: Segments, classes: tuple[str, ...], source_wh: tuple[int, int]) -> NDArray[np.uint8]:
    assert annotation.path is not None
    values = decode_mask(annotation.path)
    if values.shape != (source_wh[1], source_wh[0]):
        h, w = values.shape
        raise ImageError(f"{annotation.path}: the mask is {w}x{h}, its image {source_wh[0]}x{source_wh[1]}")
    table = _indices_of(annotation.values, classes)
    if values.dtype == np.uint8:
        indices = cv2.LUT(values, table[:256])
    else:
        indices = np.where((values >= 0) & (values < len(table)), table[np.clip(values, 0, len(table) - 1)], VOID)
    return indices.astype(np.uint8, copy=False)


@lru_cache(maxsize=16)  # one for each source
def _indices_of(values: tuple[tuple[int, str], ...], classes: tuple[str, ...]) -> np.ndarray:
    """The class index for each number that a mask may hold, uint8 [65536], 255 where it means nothing known."""
    table = np.full(65536, VOID, np.uint8)
    for value, name in values:
        if 0 <= value < len(table):
            table[value] = classes.index(name)
    table.flags.writeable = False
    return table
