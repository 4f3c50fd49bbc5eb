"""Drawings made into image files, by several processes at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol, TypeVar

import cv2

from oneglance.annotations import Annotation, Record
from oneglance.errors import OneglanceError
from oneglance.street.canvas import Picture

QUALITY = 92
_IN_PROCESS = 48


class Drawable(Protocol):
    """One image of a data set: its source and split, its file's name, and how it is drawn."""

    @property
    def source(self) -> str: ...

    @property
    def split(self) -> str: ...

    @property
    def name(self) -> str: ...

    def draw(self, size: tuple[int, int]) -> tuple[Picture, Mapping[str, Annotation | None]]:
        """The image, uint8 [H, W, 3], and what its source says of it, by task; ``size``: a scene's width, height."""


D = TypeVar("D", bound=Drawable)


def processes(count: int, workers: int | None) -> int:
    """How many processes draw ``count`` images: ``workers``, or else one a core, and none of their own for few."""
    if workers is not None:
        return workers
    return 1 if count <= _IN_PROCESS else min(os.cpu_count() or 1, 16)


def drawn(drawings: Sequence[D], folder: Path, size: tuple[int, int], workers: int) -> Iterator[tuple[D, Record]]:
    """Each drawing with its record, in order, its image in ``folder``; the files are the same whatever ``workers``."""
    if workers <= 1:
        for drawing in drawings:
            yield drawing, _make(drawing, folder, size)
        return
    # Not forked: OpenCV's threads would not come along.
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        many = [folder] * len(drawings), [size] * len(drawings)
        yield from zip(drawings, pool.map(_make, drawings, *many, chunksize=8), strict=True)


def _make(drawing: Drawable, folder: Path, size: tuple[int, int]) -> Record:
    """Draw one image, write it, and give its record."""
    image, annotations = drawing.draw(size)
    path = folder / drawing.name
    good, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not good:
        raise OneglanceError(f"{path}: the image can't be encoded as a JPEG")
    path.write_bytes(data.tobytes())
    height, width = image.shape[:2]
    record = Record(path, width, height, drawing.split, drawing.source)
    return replace(record, annotations=dict(annotations))
