"""LabelMe JSON (github.com/wkentaro/labelme), one file an image, coordinates continuous and 0-based.

Shapes of one ``group_id`` are one object: its rectangle is the box, its polygons the parts, its points (named
by their label) the keypoints. An image without a JSON was not labelled; a JSON without shapes says that
nothing is there.
"""

from __future__ import annotations

import base64
import binascii
import math
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from oneglance.annotations import HIDDEN, UNLABELLED, VISIBLE, FloatArray, Instance, Points, Record, Tags
from oneglance.decode import ImageError, decode_bytes
from oneglance.errors import OneglanceError, Problems, nearest
from oneglance.formats import rle as runs
from oneglance.formats.base import SourceSettings, Suggestion, WriteOptions
from oneglance.formats.files import LARGEST_LABEL, Refused, inside, read_json, walk, walk_images
from oneglance.formats.image_folders import ImageFolders
from oneglance.formats.labelme_write import HOLDS, write
from oneglance.formats.reading import Annotations, Found, Reading, folder_of, passed_over
from oneglance.formats.recognition import entries, folders, points_task, relative_to
from oneglance.formats.shapes import Bad, box_of_shape, checked_box, checked_polygon, numbers
from oneglance.manifest import Columns

CIRCLE_CORNERS = 64
#: Shapes that are objects by themselves.
_SOLID = ("rectangle", "polygon", "circle", "mask")


class LabelmeSettings(SourceSettings):
    """Images with a LabelMe JSON beside each, or in a folder of their own."""

    types: ClassVar[frozenset[str]] = frozenset({"instances", "tags", "label", "points"})
    writes: ClassVar[tuple[str, ...] | None] = HOLDS
    fields: ClassVar[tuple[str, ...] | None] = ("objects", "flags")

    format: Literal["labelme"] = "labelme"
    images: Path | None = Field(default=None, description="The folder of the images. Default: `root`.")
    labels: Path | None = Field(default=None, description="The folder of the JSON files. Default: beside the images.")

    def read(self, columns: Columns, problems: Problems, base: Path) -> Iterator[Record]:
        """See :meth:`SourceSettings.read`."""
        reading = Reading(self, columns, problems, base)
        folder = folder_of(reading, self.images, "images")
        labels = folder if self.labels is None else folder_of(reading, self.labels, "labels")
        return _Reader(reading, folder, labels, self).records()

    @classmethod
    def write(cls, records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
        """See :meth:`SourceSettings.write`."""
        return write(records, columns, out, options)

    @classmethod
    def recognise(cls, folder: Path) -> list[Suggestion]:
        """See :meth:`SourceSettings.recognise`."""
        return _recognise(folder)


@dataclass
class _Object:
    """The shapes of one object, as they come in."""

    label: str | None = None
    box: FloatArray | None = None
    polygons: list[FloatArray] = field(default_factory=list)
    rle: Any = None
    points: dict[str, tuple[float, float, int]] = field(default_factory=dict)
    flags: dict[str, Any] = field(default_factory=dict)


class _Reader:
    def __init__(self, reading: Reading, folder: Path, labels: Path, settings: LabelmeSettings) -> None:
        self.reading, self.folder, self.labels = reading, folder, labels
        self.point_names = tuple(dict.fromkeys(name for c in reading.tasks.values() for name in c.points))
        self.classes = {name for column in reading.tasks.values() for name in column.classes}
        given = settings.tasks if isinstance(settings.tasks, dict) else {}
        self.of_flags = [
            task
            for task, column in reading.tasks.items()
            if given.get(task, "flags" if column.type == "tags" else "objects") == "flags"
        ]
        for task in self.of_flags:
            if reading.tasks[task].type != "tags":
                raise OneglanceError(f"task {task!r} keeps {reading.tasks[task].type}; LabelMe's flags are tags")

    def records(self) -> Iterator[Record]:
        done: set[str] = set()
        for name in walk(self.labels):
            if not name.lower().endswith(".json"):
                continue
            path = self.labels / name
            try:
                data = read_json(path, LARGEST_LABEL)
            except OneglanceError as error:
                self.reading.problem(path, f"{str(error).removeprefix(f'{path}: ')}; passed over")
                continue
            if not isinstance(data, dict) or not isinstance(data.get("shapes"), list):
                self.reading.problem(path, "not a LabelMe file: an object with a list `shapes` is expected")
                continue
            image = self.reading.image(self.folder, self._image_name(data.get("imagePath"), name), path)
            if image is not None and self.reading.first_time(image, path):
                done.add(image.relative)
                yield self._record(data, image, path)
        for name in walk_images(self.folder):
            if name not in done:
                image = self.reading.image(self.folder, name, self.folder / name)
                if image is not None:
                    self.reading.note(self.folder, "no JSON for an image: it is unlabelled")
                    yield self.reading.record(image, self.reading.unlabelled())
        self.reading.finish()

    def _image_name(self, given: Any, json_name: str) -> Any:
        """The image's path relative to the image folder; LabelMe gives it relative to the JSON."""
        if not isinstance(given, str) or not given:
            return given
        given = given.replace("\\", "/")
        if given.startswith("/") or given[1:2] == ":":
            return given
        place = posixpath.normpath(posixpath.join((self.labels / json_name).parent.as_posix(), given))
        top = self.folder.as_posix().rstrip("/") + "/"
        if place.startswith(top):
            return place.removeprefix(top)
        beside = posixpath.join(posixpath.dirname(json_name), given)
        # JSONs in a folder of their own usually still name the image as if it stood beside them.
        return beside if not beside.startswith("..") else given

    def _record(self, data: dict[str, Any], image: Found, path: Path) -> Record:
        self.reading.compare_size(image, data.get("imageWidth"), data.get("imageHeight"), path)
        objects: dict[Any, _Object] = {}
        lost: set[str | None] = set()
        for index, shape in enumerate(data["shapes"]):
            where = f"{path} shapes[{index}]"
            if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
                self.reading.problem(where, passed_over("a shape with a `label` is expected", None, lost))
                continue
            where += f" ({shape['label']})"
            try:
                self._take(shape, objects, index, image, where)
            except (Bad, ImageError, ValueError) as error:
                of_object = shape.get("shape_type") not in ("point", "points")
                what = passed_over(error, shape["label"], lost) if of_object else f"{error}; passed over"
                self.reading.problem(where, what)
        items = []
        for made in objects.values():
            item = self._instance(made, image, path, lost)
            if item is not None:
                items.append(item)
        named = {item.label: self.point_names for item in items}
        others = [task for task in self.reading.tasks if task not in self.of_flags]
        annotations: Annotations = self.reading.objects(items, path, None, named, others, lost) if others else {}
        for task in self.of_flags:
            annotations[task] = self._flags(task, data.get("flags"), path)
        return self.reading.record(image, annotations)

    def _flags(self, task: str, flags: Any, path: Path) -> Tags | None:
        if not isinstance(flags, dict) or not flags:
            return None
        known = {self.reading.class_of(task, str(name)): bool(value) for name, value in flags.items()}
        for name in flags:
            if self.reading.class_of(task, str(name)) is None:
                self.reading.leave_out(str(name))
        known.pop(None, None)
        classes = self.reading.tasks[task].classes
        annotated = tuple(name for name in known if name is not None)
        names = tuple(name for name in annotated if known[name])
        return Tags(names, None if classes and set(annotated) == set(classes) else annotated) if annotated else None

    def _take(self, shape: dict[str, Any], objects: dict[Any, _Object], index: int, image: Found, where: str) -> None:
        kind, label = shape.get("shape_type", "polygon"), shape["label"]
        group = shape.get("group_id")
        is_point = kind in ("point", "points") and label in self.point_names
        # Named points without a group belong together: they are the points of the image's one object.
        key: Any = ("group", group) if isinstance(group, (int, str)) else "points" if is_point else index
        if kind in ("line", "linestrip"):
            self.reading.note(self.labels, f"a {kind} is no object here; left out")
            return
        corners = [tuple(numbers(pair, 2)) for pair in _pairs(shape.get("points"))]
        if kind in ("point", "points"):
            if label not in self.point_names:
                if self.point_names:
                    raise Bad(f"{label!r} is no point of the tasks{nearest(label, self.point_names)}")
                self.reading.note(self.labels, "a point, but no task of this source has points; left out")
                return
            flags = shape.get("flags") if isinstance(shape.get("flags"), dict) else {}
            hidden = any((flags or {}).get(name) for name in ("occluded", "hidden"))
            x, y = corners[0]
            objects.setdefault(key, _Object()).points[label] = (x, y, HIDDEN if hidden else VISIBLE)
            return
        made = objects.get(key, _Object())
        if made.label not in (None, label):
            self.reading.problem(where, f"group {group} is {made.label!r} already; taken as an object of its own")
            made, key = _Object(), index
        complaint = self._shape(made, kind, corners, shape, image)
        made.label = label
        made.flags.update(shape["flags"] if isinstance(shape.get("flags"), dict) else {})
        objects[key] = made
        if complaint:
            self.reading.problem(where, complaint)

    def _shape(
        self, made: _Object, kind: Any, corners: list[tuple[float, ...]], shape: dict[str, Any], image: Found
    ) -> str:
        """Put a shape's geometry into its object; returns a complaint or ""."""
        complaint = ""
        if kind == "rectangle":
            (x1, y1), (x2, y2) = _two(corners, kind)
            corners_in_order = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
            made.box, complaint = checked_box(corners_in_order, image.width, image.height)
        elif kind == "polygon":
            flat = [value for corner in corners for value in corner]
            polygon, complaint = checked_polygon(flat, image.width, image.height)
            made.polygons.append(polygon)
        elif kind == "circle":
            (x, y), edge = _two(corners, kind)
            radius = math.dist((x, y), edge)
            if radius <= 0:
                raise Bad("a circle of radius 0")
            turns = [2 * math.pi * step / CIRCLE_CORNERS for step in range(CIRCLE_CORNERS)]
            flat = [value for t in turns for value in (x + radius * math.cos(t), y + radius * math.sin(t))]
            polygon, complaint = checked_polygon(flat, image.width, image.height)
            made.polygons.append(polygon)
            self.reading.note(self.labels, f"a circle is read as a polygon of {CIRCLE_CORNERS} corners")
        elif kind == "mask":
            made.rle = _mask(shape.get("mask"), _two(corners, kind), image)
        else:
            raise Bad(f"the shape type {str(kind)[:40]!r} is not known")
        return complaint

    def _instance(self, made: _Object, image: Found, path: Path, lost: set[str | None]) -> Instance | None:
        points = None
        if made.points:
            xy = np.zeros((len(self.point_names), 2), np.float32)
            seen = np.full(len(self.point_names), UNLABELLED, np.int8)
            for index, name in enumerate(self.point_names):
                if name in made.points:
                    x, y, visibility = made.points[name]
                    xy[index], seen[index] = (x, y), visibility
            points = Points(xy, seen)
            self.reading.outside(next(iter(self.reading.tasks)), points, image.width, image.height)
        label = made.label
        if label is None:
            if len(self.classes) > 1:
                error = "points without a box or polygon of the same group_id: no class"
                self.reading.problem(path, passed_over(error, None, lost))
                return None
            label = next(iter(self.classes), "object")
        item = Instance(
            label,
            made.box,
            tuple(made.polygons) or None,
            made.rle,
            points,
            crowd=bool(made.flags.get("crowd")),
            difficult=bool(made.flags.get("difficult")),
            truncated=bool(made.flags.get("truncated")),
            attributes={
                str(name): float(value)
                for name, value in made.flags.items()
                if isinstance(value, bool) and name not in ("crowd", "difficult", "truncated")
            },
        )
        if item.box is None:
            item = replace(item, box=box_of_shape(item, image.width, image.height))
        if item.box is None and points is None:
            self.reading.problem(path, passed_over(f"a {label!r} has no area inside the image", label, lost))
            return None
        return item


def _pairs(value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise Bad("it has no `points`")
    return value


def _two(corners: list[tuple[float, ...]], kind: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if len(corners) != 2:
        raise Bad(f"a {kind} of {len(corners)} points; 2 are expected")
    return corners[0], corners[1]


def _mask(value: Any, corners: tuple[tuple[float, ...], tuple[float, ...]], image: Found) -> Any:
    """A mask shape: a PNG of the crop between two corners, both inside, as base64."""
    (x1, y1), (x2, y2) = (tuple(int(v) for v in corner) for corner in corners)
    if not (0 <= x1 <= x2 < image.width and 0 <= y1 <= y2 < image.height):
        raise Bad(f"its mask's corners [{x1}, {y1}, {x2}, {y2}] are not inside the image")
    try:
        data = base64.b64decode(value if isinstance(value, str) else "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Bad("its mask is not base64") from error
    crop = decode_bytes(data, "its mask")[:, :, 0] > 0
    if crop.shape != (y2 - y1 + 1, x2 - x1 + 1):
        raise Bad(
            f"its mask has {crop.shape[1]} x {crop.shape[0]} pixels, its corners hold {x2 - x1 + 1} x {y2 - y1 + 1}"
        )
    if not crop.any():
        raise Bad("its mask is empty")
    whole = np.zeros((image.height, image.width), bool)
    whole[y1 : y2 + 1, x1 : x2 + 1] = crop
    return runs.encode(whole)


def _recognise(folder: Path) -> list[Suggestion]:
    found = []
    places = ImageFolders(folder)
    for top in folders(folder):
        jsons = []
        for entry in [e for e in entries(top) if e.name.endswith(".json")][:500]:
            try:
                data = read_json(Path(entry.path), LARGEST_LABEL)
            except OneglanceError:
                continue
            if isinstance(data, dict) and isinstance(data.get("shapes"), list) and "imagePath" in data:
                jsons.append((posixpath.splitext(entry.name)[0], data))
        tasks = _tasks([data for _, data in jsons])
        if not tasks:
            continue
        stems = frozenset(stem for stem, _ in jsons)
        names = [str(data["imagePath"]) for _, data in jsons]
        images = places.of_stems(stems, top) or places.of_stems({Path(name).stem for name in names}, top)
        source: dict[str, Any] = {"format": "labelme", "root": relative_to(top, folder)}
        if any(_is_there(top, name) for name in names[:20]):
            images = top
        if images is None:
            where = f"{source['root']}: LabelMe's files, whose images ({names[0][:60]!r}, ...) are in no folder here"
            found.append(Suggestion({**source, "tasks": []}, {}, where))
            continue
        if images != top:
            source = {
                "format": "labelme", "images": relative_to(images, folder), "labels": relative_to(top, folder),
            }  # fmt: skip
        found.append(Suggestion({**source, "tasks": list(tasks)}, tasks, stems=stems))
    return found


def _is_there(folder: Path, name: str) -> bool:
    try:
        return bool(inside(folder, name))
    except Refused:
        return False


def _tasks(jsons: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What can be asked, by the shapes and the flags of some images."""
    shapes = [
        shape for data in jsons for shape in data["shapes"]
        if isinstance(shape, dict) and isinstance(shape.get("label"), str)
    ]  # fmt: skip
    solid = [shape for shape in shapes if shape.get("shape_type", "polygon") in _SOLID]
    points = [shape for shape in shapes if shape.get("shape_type") == "point"]
    flags = {str(name) for data in jsons if isinstance(data.get("flags"), dict) for name in data["flags"]}
    tasks: dict[str, dict[str, Any]] = {}
    if solid:
        tasks["objects"] = {"kind": "detection", "classes": sorted({shape["label"] for shape in solid})}
    if any(shape.get("shape_type", "polygon") != "rectangle" for shape in solid):
        tasks["outline"] = {"kind": "mask", "on": "objects"}
    if points and not solid:
        tasks["points"] = points_task(sorted({shape["label"] for shape in points}))
    elif grouped := sorted({shape["label"] for shape in points if shape.get("group_id") is not None}):
        tasks["points"] = points_task(grouped, "objects")
    if flags:
        tasks["tags"] = {"kind": "tagging", "classes": sorted(flags)}
    return tasks
