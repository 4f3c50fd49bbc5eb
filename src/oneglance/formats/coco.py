"""COCO JSON: instances, crowds, keypoints and captions (cocodataset.org/#format-data).

``bbox`` is x y w h, continuous and 0-based, so nothing is shifted. Category ids are sparse; annotation ids
are 64-bit. A keypoint's visibility is 0 unlabelled (and x = y = 0), 1 hidden, 2 visible. An image listed
without annotations is labelled and empty; an image that no JSON lists was not labelled by anybody, and is no
row unless ``unlabelled`` is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from oneglance.annotations import FloatArray, Instance, Points, Record
from oneglance.errors import OneglanceError, Problems
from oneglance.formats import rle as runs
from oneglance.formats.base import SourceSettings, Suggestion, WriteOptions
from oneglance.formats.coco_file import as_key, as_list, need_list, read_top, skeleton_of, some
from oneglance.formats.coco_recognise import recognise
from oneglance.formats.coco_write import HOLDS, write
from oneglance.formats.files import walk_images
from oneglance.formats.reading import Found, Reading, folder_of, passed_over
from oneglance.formats.shapes import (
    Bad,
    box_of_shape,
    checked_box,
    checked_points,
    checked_polygon,
    number,
    numbers,
)
from oneglance.manifest import Columns

_USED = {
    "id", "image_id", "category_id", "bbox", "segmentation", "area", "iscrowd", "keypoints",
    "num_keypoints", "score",
    "attributes",
}  # fmt: skip


class CocoSettings(SourceSettings):
    """A COCO data set: a folder of images and one or more JSON files."""

    types: ClassVar[frozenset[str]] = frozenset({"instances", "tags", "label", "points"})
    writes: ClassVar[tuple[str, ...] | None] = HOLDS
    fields: ClassVar[tuple[str, ...] | None] = ("objects",)

    format: Literal["coco"] = "coco"
    images: Path | None = Field(default=None, description="The folder that the JSON's file names are relative to.")
    labels: Path | list[Path] = Field(
        description="The instances or person_keypoints JSON, or a list of them: annotations of one id are put together."
    )
    captions: Path | list[Path] | None = Field(
        default=None, description="A captions JSON, or a list; kept beside the labels."
    )
    identity: str | None = Field(
        default="identity",
        description="The attribute (of an annotation's `attributes`) that says which individual an object is.",
    )
    unlabelled: bool = Field(
        default=False,
        description="Also give a row, with unknown labels, to the folder's images that no JSON lists.",
    )

    def read(self, columns: Columns, problems: Problems, base: Path) -> Iterator[Record]:
        """See :meth:`SourceSettings.read`."""
        reading = Reading(self, columns, problems, base)
        folder = folder_of(reading, self.images, "images")
        return _Reader(reading, folder, self).records()

    @classmethod
    def write(cls, records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
        """See :meth:`SourceSettings.write`."""
        return write(records, columns, out, options)

    @classmethod
    def recognise(cls, folder: Path) -> list[Suggestion]:
        """See :meth:`SourceSettings.recognise`."""
        return recognise(folder)


@dataclass
class _Category:
    name: str
    points: tuple[str, ...]
    skeleton: list[list[str]]


@dataclass
class _Image:
    """An image as listed: where it stands, its entry, the classes looked for, its objects and their point names; the
    classes of objects that could not be read.
    """

    where: str
    entry: dict[str, Any]
    known: set[str] = field(default_factory=set)
    raw: list[tuple[str, dict[str, Any], _Category]] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    lost: set[str | None] = field(default_factory=set)


class _Reader:
    def __init__(self, reading: Reading, folder: Path, settings: CocoSettings) -> None:
        self.reading, self.folder, self.settings = reading, folder, settings
        self.images: dict[Any, _Image] = {}
        self.licenses: dict[Any, dict[str, Any]] = {}
        #: Ids of categories that can't be read; None: that of annotations without one.
        self.refused: set[Any] = {None}

    def records(self) -> Iterator[Record]:
        for path in as_list(self.settings.labels):
            self._take_in(self.reading.at(path))
        for path in as_list(self.settings.captions):
            self._take_captions(self.reading.at(path))
        while self.images:
            # Taken out one by one, so that the parsed JSON shrinks while the manifest grows.
            image_id = next(iter(self.images))
            listed = self.images.pop(image_id)
            image = self.reading.image(self.folder, listed.entry.get("file_name"), listed.where)
            if image is not None and self.reading.first_time(image, listed.where):
                yield self._record(image_id, listed, image)
        if self.settings.unlabelled:
            yield from self._rest()
        self.reading.finish()

    def _take_in(self, path: Path) -> None:
        data = read_top(path, "labels")
        categories = self._categories(data, path)
        names = [category.name for category in categories.values()]
        self._take_licenses(data)
        listed = self._list_images(data, path, names)
        ids: dict[Any, dict[str, Any]] = {}
        for index, entry in enumerate(data["annotations"]):
            where = f"{path} annotations[{index}]"
            if not isinstance(entry, dict):
                self.reading.problem(where, f"{str(entry)[:40]!r} is not an annotation (an object is expected)")
                continue
            where += f" (id {entry.get('id')})"
            category = categories.get(as_key(entry.get("category_id")))
            if as_key(entry.get("image_id")) not in listed:
                self.reading.problem(where, f"image_id {entry.get('image_id')!r} is not in the file's images")
            elif category is None:
                error = f"category_id {entry.get('category_id')!r} is not in the file's categories"
                # A number that no category has is of none of the classes; without one, it may be of any.
                named = as_key(entry.get("category_id")) not in self.refused
                lost = self.images[as_key(entry["image_id"])].lost
                self.reading.problem(where, error if named else passed_over(error, None, lost))
            elif self._is_new(ids, entry, where):
                self._place(self.images[as_key(entry["image_id"])], where, entry, category)

    def _categories(self, data: dict[str, Any], path: Path) -> dict[Any, _Category]:
        categories: dict[Any, _Category] = {}
        for index, entry in enumerate(need_list(data, "categories", path)):
            where = f"{path} categories[{index}]"
            if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or "id" not in entry:
                self.reading.problem(where, f"{str(entry)[:60]} is not a category: `id` and `name` are expected")
                self.refused.add(as_key(entry.get("id")) if isinstance(entry, dict) else None)
                continue
            if as_key(entry["id"]) in categories:
                self.reading.problem(where, f"category id {entry['id']!r} was already given; the first is kept")
                continue
            given = entry.get("keypoints")
            names = tuple(str(name) for name in given) if isinstance(given, list) else ()
            if (given is not None and not isinstance(given, list)) or len(set(names)) < len(names):
                wrong = "names a point twice" if names else f"{str(given)[:40]!r} is not a list of names"
                self.reading.problem(where, f"its `keypoints`: {wrong}; the points of {entry['name']} are unknown")
                names = ()
            skeleton = skeleton_of(entry.get("skeleton"), names)
            categories[as_key(entry["id"])] = _Category(entry["name"], names, skeleton)
        return categories

    def _list_images(self, data: dict[str, Any], path: Path, names: list[str]) -> set[Any]:
        listed: set[Any] = set()
        for index, entry in enumerate(data["images"]):
            where = f"{path} images[{index}]"
            if not isinstance(entry, dict) or "id" not in entry or "file_name" not in entry:
                self.reading.problem(where, f"{str(entry)[:60]} is not an image: `id` and `file_name` are expected")
                continue
            key = as_key(entry["id"])
            if key is None:
                self.reading.problem(where, f"its id {str(entry['id'])[:40]!r} is neither a number nor a text")
                continue
            if key in listed:
                self.reading.problem(where, f"image id {entry['id']!r} was already given; the first is kept")
                continue
            before = self.images.setdefault(key, _Image(where, entry))
            if before.entry["file_name"] != entry["file_name"]:
                raise OneglanceError(
                    f"{where}: image id {entry['id']} is {entry['file_name']!r} here and "
                    f"{before.entry['file_name']!r} "
                    f"in {before.where}; such files can't be put together, make a source of each"
                )
            before.known.update(names)
            listed.add(key)
        return listed

    def _is_new(self, ids: dict[Any, dict[str, Any]], entry: dict[str, Any], where: str) -> bool:
        """False for a second copy of an annotation; a different one of the same id is kept, without its
        id.
        """
        key = as_key(entry.get("id"))
        if key is None:
            return True
        first = ids.setdefault(key, entry)
        if first is entry:
            return True
        if all(first.get(name) == entry.get(name) for name in ("image_id", "category_id", "bbox", "segmentation")):
            self.reading.problem(
                where, f"annotation id {entry['id']} was already given, with the same box; passed over"
            )
            return False
        self.reading.problem(where, f"annotation id {entry['id']} was already given to another object; kept without id")
        entry["id"] = None
        return True

    def _place(self, image: _Image, where: str, entry: dict[str, Any], category: _Category) -> None:
        # The same object in another file (instances, then keypoints): what this file adds is put to the
        # first.
        if entry.get("id") is not None and len(as_list(self.settings.labels)) > 1:
            for index, (first_where, first, of) in enumerate(image.raw):
                if first.get("id") == entry["id"] and of.name == category.name:
                    image.raw[index] = (first_where, {**entry, **first}, category if category.points else of)
                    return
        image.raw.append((where, entry, category))

    def _take_licenses(self, data: dict[str, Any]) -> None:
        for entry in some(data.get("licenses")):
            if isinstance(entry, dict) and "id" in entry:
                self.licenses.setdefault(as_key(entry["id"]), entry)

    def _take_captions(self, path: Path) -> None:
        data = read_top(path, "captions")
        for index, entry in enumerate(data["annotations"]):
            image = self.images.get(as_key(entry.get("image_id"))) if isinstance(entry, dict) else None
            if image is None or not isinstance(entry.get("caption"), str):
                self.reading.problem(
                    f"{path} annotations[{index}]", "a caption without text, or of an image not in `labels`"
                )
            else:
                image.captions.append(entry["caption"])

    def _record(self, image_id: Any, listed: _Image, image: Found) -> Record:
        entry = listed.entry
        self.reading.compare_size(image, entry.get("width"), entry.get("height"), listed.where)
        items, points, skeleton = [], {}, {}
        for where, raw, category in listed.raw:
            item = self._instance(raw, category, image, where, listed.lost)
            if item is None:
                continue
            items.append(item)
            if category.points:
                points[category.name] = category.points
            if category.skeleton:
                skeleton[category.name] = category.skeleton
        known = {name: entry[name] for name in entry if name not in ("id", "file_name", "width", "height", "license")}
        return self.reading.record(
            image,
            self.reading.objects(items, listed.where, sorted(listed.known), points, lost=listed.lost),
            coco_id=image_id,
            file_name=entry["file_name"] if entry["file_name"] != image.relative else None,
            license=self.licenses.get(as_key(entry.get("license"))),
            captions=listed.captions,
            skeleton=skeleton,
            coco=known,
        )

    def _instance(
        self, raw: dict[str, Any], category: _Category, image: Found, where: str, lost: set[str | None]
    ) -> Instance | None:
        problem = self.reading.problem
        extra = {key: value for key, value in raw.items() if key not in _USED}
        attributes = self._attributes(raw.get("attributes"), where)
        who = attributes.get(self.settings.identity or "")
        item = Instance(
            label=category.name,
            identity=None if who in (None, "") else str(who),
            id=raw["id"] if type(raw.get("id")) is int and abs(raw["id"]) < 1 << 63 else None,
            crowd=raw.get("iscrowd") in (1, True),
            attributes=attributes,
            extra={"category_id": raw["category_id"], **extra},
        )
        try:
            item = self._with_shape(item, raw.get("segmentation"), image, where)
            item = replace(item, points=self._points(raw, category, where))
            if item.points is not None and item.points.visibility.any():
                self.reading.outside(self.reading.settings.task_names[0], item.points, image.width, image.height)
            if raw.get("bbox"):
                x, y, w, h = numbers(raw["bbox"], 4)
                box, complaint = checked_box((x, y, x + w, y + h), image.width, image.height)
                if complaint:
                    problem(where, complaint)
            else:
                found = box_of_shape(item, image.width, image.height)
                if found is None:
                    raise Bad("it has no `bbox`, and no mask or points from which one could be taken")
                box = found
            item = self._with_pixels(item, box, image, where)
            if raw.get("area") is None:
                self.reading.note(where.split(" annotations[")[0], "an annotation has no `area`; its shape's is used")
            score = None if raw.get("score") is None else number(raw["score"])
            return replace(item, box=box, area=self._area(raw.get("area"), where), score=score)
        except Bad as error:
            problem(where, passed_over(error, category.name, lost))
            return None

    def _attributes(self, given: Any, where: str) -> dict[str, str | float]:
        if given is None:
            return {}
        if not isinstance(given, dict):
            self.reading.problem(where, f"its attributes {str(given)[:40]!r} are no object with names; left out")
            return {}
        for key, value in given.items():
            if value is not None and not isinstance(value, (str, int, float)):
                what = f"its attribute {key!r} is {str(value)[:40]!r}, a text or a number is expected; unknown"
                self.reading.problem(where, what)
        return {str(key): value for key, value in given.items() if isinstance(value, (str, int, float))}

    def _area(self, value: Any, where: str) -> float | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e14:
            self.reading.problem(where, f"its area is {str(value)[:40]}; its shape's is used")
            return None
        return float(value)

    def _with_shape(self, item: Instance, value: Any, image: Found, where: str) -> Instance:
        """The instance with its mask; a mask that can't be used is reported and left away, the box
        remains.
        """
        if value is None or value == []:
            return item
        try:
            if isinstance(value, dict):
                return replace(
                    item, rle=runs.checked(value.get("size"), value.get("counts"), image.height, image.width)
                )
            if not isinstance(value, list):
                raise Bad(f"its segmentation {str(value)[:40]!r} is neither polygons nor run lengths")
        except ValueError as error:
            self.reading.problem(where, f"{error}; its mask is left out")
            return item
        parts = []
        for part in value:
            try:
                numbers(part)  # a part of which nobody knows where it is may be anywhere
            except Bad as error:
                self.reading.problem(where, f"a polygon of its mask can't be read: {error}; its mask is left out")
                return item
            try:
                polygon, complaint = checked_polygon(part, image.width, image.height)
                parts.append(polygon)
            except Bad as error:
                complaint = f"{error}; this part is left out"
            if complaint:
                self.reading.problem(where, complaint)
        return replace(item, polygons=tuple(parts) or None)

    def _with_pixels(self, item: Instance, box: FloatArray, image: Found, where: str) -> Instance:
        """The instance, without a mask that has nothing in its box: which pixels are the object's is unknown then."""
        if item.rle is None and not item.polygons:
            return item
        found = box_of_shape(replace(item, points=None), image.width, image.height)
        if found is None:
            self.reading.problem(where, "its mask has no pixel inside the image; its mask is left out")
        elif (np.maximum(found[:2], box[:2]) >= np.minimum(found[2:], box[2:])).any():
            x1, y1, x2, y2 = box.tolist()
            what = f"its mask lies outside its box [{x1:g}, {y1:g}, {x2:g}, {y2:g}]; its mask is left out"
            self.reading.problem(where, what)
        else:
            return item
        return replace(item, rle=None, polygons=None)

    def _points(self, raw: dict[str, Any], category: _Category, where: str) -> Points | None:
        if raw.get("keypoints") is None:
            return None
        if not category.points:
            if any(some(raw["keypoints"])):
                self.reading.note(
                    where.split(" annotations[")[0],
                    f"an annotation has points, and the category {category.name!r} names none (`keypoints`): left out",
                )
            return None
        try:
            return checked_points(raw["keypoints"], len(category.points))
        except Bad as error:
            self.reading.problem(where, f"{error}; its points are unknown")
            return None

    def _rest(self) -> Iterator[Record]:
        for name in walk_images(self.folder):
            if name not in self.reading._seen:
                image = self.reading.image(self.folder, name, self.folder / name)
                if image is not None:
                    yield self.reading.record(image, self.reading.unlabelled())
