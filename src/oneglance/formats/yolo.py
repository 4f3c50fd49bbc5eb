"""YOLO text files: one line an object, coordinates divided by the image's width and height, 0-based.

A line is ``class cx cy w h``, ``class x y x y ...`` (one polygon) or ``class cx cy w h x y v x y v ...``
(points, where ``kpt_shape`` says so). An empty file says that nothing is there. What a missing file means the
format does not say: Ultralytics takes it as nothing there, here it is unlabelled unless ``missing: empty`` is
set.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from oneglance.annotations import UNLABELLED, VISIBLE, Instance, Points, Record
from oneglance.errors import OneglanceError, Problems
from oneglance.formats.base import SourceSettings, Suggestion, WriteOptions
from oneglance.formats.files import need_folder, read_text, read_yaml, walk, walk_images
from oneglance.formats.reading import Found, Reading, passed_over
from oneglance.formats.shapes import Bad, box_of_shape, checked_box, checked_points, checked_polygon, number
from oneglance.formats.yolo_data import Part, image_parts, point_names, points_of_shape
from oneglance.formats.yolo_recognise import NAME_LISTS, recognise
from oneglance.formats.yolo_write import HOLDS, write
from oneglance.manifest import Columns


class YoloSettings(SourceSettings):
    """A YOLO data set: a data.yaml, or a folder of images and a folder of text files with the classes'
    names.
    """

    types: ClassVar[frozenset[str]] = frozenset({"instances", "tags", "label", "points"})
    writes: ClassVar[tuple[str, ...] | None] = HOLDS
    fields: ClassVar[tuple[str, ...] | None] = ("objects",)

    format: Literal["yolo"] = "yolo"
    data: Path | None = Field(
        default=None,
        description="The data.yaml: names, and where the images are unless `images` says so. Default: "
        "`root`/data.yaml.",
    )
    images: Path | None = Field(default=None, description="The folder of the images.")
    labels: Path | None = Field(
        default=None,
        description="The folder of the text files. Default: the images' path with its last `images` made `labels`.",
    )
    names: list[str] | dict[int, str] | None = Field(
        default=None,
        description="The classes' names, in the order of their numbers or by number. Default: data.yaml's.",
    )
    points: list[str] | None = Field(default=None, description="The points' names, in the order of the numbers.")
    kpt_shape: tuple[int, Literal[2, 3]] | None = Field(
        default=None,
        description="How many points an object has, and whether each is x y (2) or x y visibility (3). "
        "Default: "
        "data.yaml's.",
    )
    missing: Literal["unlabelled", "empty"] = Field(
        default="unlabelled", description="What it means that an image has no text file."
    )

    def read(self, columns: Columns, problems: Problems, base: Path) -> Iterator[Record]:
        """See :meth:`SourceSettings.read`."""
        reading = Reading(self, columns, problems, base)
        path, data = self._data(reading)
        names = self._names(data, path)
        shape = self.kpt_shape or points_of_shape(data.get("kpt_shape"), path)
        points = self.points or point_names(data.get("kpt_names"), shape)
        if shape and points and len(points) != shape[0]:
            raise OneglanceError(f"{path}: `kpt_shape` says {shape[0]} points, {len(points)} names are given")
        if self.images is not None:
            folder = need_folder(reading.at(self.images), "images")
            labels = None if self.labels is None else need_folder(reading.at(self.labels), "labels")
            parts = [Part(None, folder, None)]
        else:
            parts, labels = list(image_parts(data, path, reading.folder)), None
        return _Reader(reading, names, shape, points, labels, self.missing).records(parts)

    def _data(self, reading: Reading) -> tuple[Path, dict[str, Any]]:
        path = reading.at(self.data if self.data is not None else "data.yaml")
        if self.data is None and self.images is not None and self.names is not None:
            return path, {}
        if self.data is None and not path.is_file():
            missing = "`names`" if self.images is not None else "`images`, `labels` and `names`"
            raise OneglanceError(f"{path}: no such file; name the data.yaml with `data`, or give {missing}")
        data = read_yaml(path)
        if not isinstance(data, dict):
            raise OneglanceError(f"{path}: a mapping with `names`, `train` and `val` is expected")
        return path, data

    def _names(self, data: dict[str, Any], path: Path) -> dict[int, str]:
        names: Any = self.names if self.names is not None else data.get("names")
        if isinstance(names, list):
            names = dict(enumerate(names))
        if not isinstance(names, dict) or not all(
            type(key) is int and isinstance(name, (str, int)) for key, name in names.items()
        ):
            raise OneglanceError(f"{path}: `names` must be a list of class names, or class names by number")
        return {key: str(name) for key, name in names.items()}

    @classmethod
    def write(cls, records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
        """See :meth:`SourceSettings.write`."""
        return write(records, columns, out, options)

    @classmethod
    def recognise(cls, folder: Path) -> list[Suggestion]:
        """See :meth:`SourceSettings.recognise`."""
        return recognise(folder)


@dataclass
class _Reader:
    reading: Reading
    names: dict[int, str]
    shape: tuple[int, int] | None
    points: list[str] | None
    labels: Path | None
    missing: str
    _used: set[str] = field(default_factory=set)

    def records(self, parts: list[Part]) -> Iterator[Record]:
        for part in parts:
            names = part.names
            if names is None:
                names = [(str(part.folder / name), name) for name in walk_images(part.folder)]
            for where, name in names:
                image = self.reading.image(part.folder, name, where)
                if image is not None and (part.names is None or self.reading.first_time(image, where)):
                    yield self._record(image, part.split)
        if self.labels is not None:
            for name in walk(self.labels):
                if name.endswith(".txt") and posixpath.splitext(name)[0] not in self._used and name not in NAME_LISTS:
                    self.reading.problem(self.labels / name, "there is no image for this file")
        self.reading.finish()

    def _record(self, image: Found, split: str | None) -> Record:
        stem = posixpath.splitext(image.relative)[0]
        self._used.add(stem)
        path = self.labels / f"{stem}.txt" if self.labels is not None else _parallel(image.path)
        if not path.is_file():
            self.reading.note(
                self.labels or self.reading.folder,
                f"no text file for an image: taken as {self.missing} (`missing`)",
            )
            if self.missing == "unlabelled":
                return self.reading.record(image, self.reading.unlabelled(), split)
            return self.reading.record(image, self.reading.objects([], path, self.names.values()), split)
        try:
            lines = read_text(path).splitlines()
        except OneglanceError as error:
            self.reading.problem(path, f"{str(error).removeprefix(f'{path}: ')}; the image is unlabelled")
            return self.reading.record(image, self.reading.unlabelled(), split)
        items, seen, lost = [], set(), set[str | None]()
        for line, text in enumerate(lines, 1):
            if not text.strip():
                continue
            where = f"{path} line {line}"
            if text.strip() in seen:
                self.reading.problem(where, "the same line stands above; passed over")
                continue
            seen.add(text.strip())
            try:
                items.append(self._instance(text.split(), image, where))
            except Bad as error:
                self.reading.problem(where, self._lose(error, text.split()[0], lost))
        named = dict.fromkeys(self.names.values(), self.points) if self.points else {}
        annotations = self.reading.objects(items, path, self.names.values(), named, lost=lost)
        return self.reading.record(image, annotations, split)

    def _lose(self, error: Bad, cell: str, lost: set[str | None]) -> str:
        """See :func:`passed_over`; a number without a name is of none of the classes."""
        try:
            value = _float(cell)
            label = self.names.get(int(value), "") if value == int(value) else None
        except Bad:
            label = None
        if label == "":
            return f"{error}; passed over"
        return passed_over(error, label, lost)

    def _instance(self, cells: list[str], image: Found, where: str) -> Instance:
        expected = 4 + self.shape[0] * self.shape[1] if self.shape else None
        of_points = cells[5:] if len(cells) - 1 == expected else []
        values = [_float(cell) for cell in cells[: len(cells) - len(of_points)]]
        label = self.names.get(int(values[0])) if values[0] == int(values[0]) else None
        if label is None:
            raise Bad(f"class {cells[0]!r} is not one of the {len(self.names)} in `names`")
        scale = [image.width, image.height]
        rest = [value * scale[i % 2] for i, value in enumerate(values[1:])]
        if len(rest) == 4:
            x, y, w, h = rest
            box, complaint = checked_box((x - w / 2, y - h / 2, x + w / 2, y + h / 2), image.width, image.height)
            points = None
            try:
                points = self._points([_float(cell) for cell in of_points], image) if of_points else None
            except Bad as error:
                self.reading.problem(where, f"{error}; its points are unknown")
            item = Instance(label, box, points=points)
        elif expected is None and len(rest) >= 6 and len(rest) % 2 == 0:
            polygon, complaint = checked_polygon(rest, image.width, image.height)
            item = Instance(label, polygons=(polygon,))
            item = Instance(label, box_of_shape(item, image.width, image.height), (polygon,))
            if item.box is None:
                raise Bad("its polygon has no area inside the image")
        else:
            pose = f", or {expected} for its points" if expected else " or an even number of at least 6 (a polygon)"
            hint = "; for points give `kpt_shape`" if expected is None else ""
            raise Bad(f"{len(rest)} numbers after the class; 4 (a box){pose} are expected{hint}")
        if complaint:
            self.reading.problem(where, complaint)
        return item

    def _points(self, values: list[float], image: Found) -> Points:
        assert self.shape is not None
        if self.shape[1] == 3:
            points = checked_points(values, self.shape[0])
        else:
            # Without a visibility, the origin (and what is left or above of it) stands for a point nobody
            # labelled.
            xy = np.array(values, np.float32).reshape(-1, 2)
            seen = np.where((xy < 0).any(1) | (xy == 0).all(1), UNLABELLED, VISIBLE).astype(np.int8)
            points = Points(xy, seen)
        xy = points.xy * np.array([image.width, image.height], np.float32)
        points = Points(xy, points.visibility)
        self.reading.outside(self.reading.settings.task_names[0], points, image.width, image.height)
        return points


def _float(cell: str) -> float:
    try:
        return number(float(cell))
    except ValueError as error:
        raise Bad(f"{cell[:40]!r} is not a number") from error


def _parallel(path: Path) -> Path:
    """The text file of an image: ``images`` becomes ``labels`` where it stands last; otherwise beside the
    image.
    """
    parts = list(path.parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return Path(*parts).with_suffix(".txt")
