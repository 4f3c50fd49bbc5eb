"""Worst and best images, the truth beside the prediction, small enough to be many on one page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from oneglance.annotations import Annotation, Segments
from oneglance.data.files import load_segments
from oneglance.decode import decode
from oneglance.drawing import Picture, draw, reduced
from oneglance.errors import OneglanceError, Problems
from oneglance.evaluation.ranking import Ranked
from oneglance.manifest import Manifest
from oneglance.tasks.base import Task

#: Largest height and width of a drawn image, without the strip below it.
SIZE = (400, 440)
QUALITIES = (84, 72, 60, 45, 30)


@dataclass(frozen=True)
class Pair:
    """One image of a ranking: its file's name, its quality, and its two pictures as JPEG."""

    name: str
    quality: float
    truth: bytes
    predicted: bytes
    size: tuple[int, int]


def draw_pairs(
    ranked: Sequence[Ranked], name: str, task: Task[Any], manifest: Manifest, problems: Problems, most_bytes: int
) -> list[Pair]:
    """Pictures of these images, of one task's labels and answers alone; each JPEG of about ``most_bytes`` at most.

    An image that can't be read any more is noted in ``problems`` and left out.
    """
    pairs = []
    for one in ranked:
        record = manifest.record(one.row)
        source = (record.width, record.height)
        try:
            truth = record.annotations[name]
            if isinstance(truth, Segments):
                truth = load_segments(truth, task.classes, source)
            image = decode(record.path, enough=(min(SIZE[0], source[1]), min(SIZE[1], source[0])))
        except OneglanceError as error:
            problems.add(record.path, f"not drawn into the report: {error}")
            continue
        assert truth is not None  # only labelled images have a rank
        pictures = [_drawn(image, {name: said}, {name: task}, source) for said in (truth, one.predicted)]
        jpegs = [jpeg(picture, most_bytes) for picture in pictures]
        height, width = pictures[0].shape[:2]
        pairs.append(Pair(record.path.name, one.quality, jpegs[0], jpegs[1], (width, height)))
    return pairs


def _drawn(
    image: Picture, said: Mapping[str, Annotation], tasks: Mapping[str, Task[Any]], source: tuple[int, int]
) -> Picture:
    return draw(*reduced(image, said, SIZE, source), tasks)


def jpeg(picture: Picture, most_bytes: int) -> bytes:
    """A picture as JPEG, of the best of a few qualities that keeps it below ``most_bytes``; else of the lowest."""
    data = b""
    for quality in QUALITIES:
        with io.BytesIO() as file:
            Image.fromarray(picture).save(file, "JPEG", quality=quality, optimize=True)
            data = file.getvalue()
        if len(data) <= most_bytes:
            break
    return data


def data_url(jpeg_bytes: bytes) -> str:
    """The picture as an address that holds the picture itself."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_bytes).decode("ascii")
