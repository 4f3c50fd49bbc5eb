"""Writing COCO JSON.

A COCO file can't say that an image is unlabelled, or that a class was not looked for in one of its images. So
a file is written for each task, each split and each set of classes that were looked for, and lists only the
images it is true of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oneglance.annotations import UNLABELLED, Instance, Instances, Points, Record
from oneglance.formats import rle as runs
from oneglance.formats.base import WriteOptions
from oneglance.formats.shapes import box_of_shape, shape_area
from oneglance.formats.writing import Images, Losses, new_folder, tasks_to_write
from oneglance.manifest import Column, Columns

#: The annotation types that it can write.
HOLDS = ("instances",)


@dataclass
class _File:
    """One JSON in the making."""

    column: Column
    classes: tuple[str, ...] | None
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    captions: list[dict[str, Any]] = field(default_factory=list)
    licenses: dict[str, dict[str, Any]] = field(default_factory=dict)
    labels: dict[str, int | None] = field(default_factory=dict)
    points: dict[str, int] = field(default_factory=dict)
    skeleton: dict[str, list[list[str]]] = field(default_factory=dict)


def write(records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
    """Write ``images/`` and ``annotations/TASK_SPLIT.json``; see :meth:`SourceSettings.write`."""
    losses = Losses("COCO")
    chosen = tasks_to_write(columns, options, HOLDS, "COCO")
    losses.left_tasks(columns, chosen)
    new_folder(out)
    images = Images(options, losses)
    files: dict[tuple[str, str, tuple[str, ...] | None], _File] = {}
    for number, record in enumerate(records, 1):
        name = images.name(record.path)
        labelled = False
        for task in chosen:
            annotation = record.annotations.get(task)
            if not isinstance(annotation, Instances):
                losses.add(f"images unlabelled for {task!r} are not in its file", 1)
                continue
            labelled = True
            key = (task, record.split or "all", annotation.annotated)
            file = files.setdefault(key, _File(columns[task], annotation.annotated))
            _add(file, number, name, record, annotation, losses)
        if labelled:
            images.put(record.path, out / "images" / name)
        if record.group is not None:
            losses.add("it keeps no groups of images that must stay in one split", 1)
    (out / "annotations").mkdir()
    written: dict[str, int] = {}
    for (task, split, classes), file in files.items():
        stem = f"{task}_{split}"
        written[stem] = written.get(stem, 0) + 1
        if written[stem] > 1:
            stem += f".{written[stem]}"
        if classes is not None:
            shown = ", ".join(classes)
            losses.add(
                f"{stem}.json lists the images of task {task!r} in which only {shown} were looked for",
                len(file.images),
            )
        _finish(file, out / "annotations" / f"{stem}.json", out / "annotations" / f"captions_{stem}.json")
    return losses.sentences()


def _add(file: _File, number: int, name: str, record: Record, annotation: Instances, losses: Losses) -> None:
    # `number` stands for the image until _finish knows which ids can be given.
    extra = record.extra.get("coco")
    entry = {
        **(extra if isinstance(extra, dict) else {}),
        "id": record.extra.get("coco_id"),
        "file_name": name,
    }
    entry["number"] = number
    license_ = record.extra.get("license")
    if isinstance(license_, dict) and "id" in license_:
        file.licenses.setdefault(str(license_["id"]), license_)
        entry["license"] = license_["id"]
    file.images.append({**entry, "width": record.width, "height": record.height})
    for text in record.extra.get("captions", ()):
        file.captions.append({"number": number, "caption": text})
    file.skeleton.update(record.extra.get("skeleton", {}))
    for item in annotation.items:
        made = _annotation(file, item, record, losses)
        if made is not None:
            file.annotations.append({**made, "number": number})


def _annotation(file: _File, item: Instance, record: Record, losses: Losses) -> dict[str, Any] | None:
    box = item.box if item.box is not None else box_of_shape(item, record.width, record.height)
    if box is None:
        losses.add("objects without box, mask or labelled points are not written")
        return None
    known = item.extra.get("category_id")
    if file.labels.setdefault(item.label, known if type(known) is int else None) != known:
        file.labels[item.label] = None
    x1, y1, x2, y2 = (float(v) for v in box)
    made: dict[str, Any] = {
        **{key: value for key, value in item.extra.items() if key != "category_id"},
        "id": item.id,
        "label": item.label,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": shape_area(item),
        "iscrowd": int(item.crowd),
    }
    if item.rle is not None:
        made["segmentation"] = {
            "size": list(item.rle.size),
            "counts": runs.string_from_counts(item.rle.counts),
        }
    elif item.polygons is not None:
        made["segmentation"] = [[float(v) for v in part.ravel()] for part in item.polygons]
    if item.points is not None:
        file.points[item.label] = len(item.points.xy)
        made["keypoints"] = _flat(item.points)
        made["num_keypoints"] = int((item.points.visibility != UNLABELLED).sum())
    attributes = dict(item.attributes)
    if item.identity is not None:
        attributes["identity"] = item.identity  # where CocoSettings.identity looks for it
    for name in ("difficult", "truncated"):
        if value := getattr(item, name):
            losses.add(f"it has no place for `{name}`; written as an attribute")
            attributes[name] = value
    if attributes:
        made["attributes"] = attributes
    if item.score is not None:
        made["score"] = float(item.score)
    return made


def _flat(points: Points) -> list[float]:
    return [
        v for (x, y), seen in zip(points.xy.tolist(), points.visibility.tolist(), strict=True) for v in (x, y, seen)
    ]


def _finish(file: _File, path: Path, captions: Path) -> None:
    images = _ids([image["id"] for image in file.images], lowest=0)
    image_ids = {image.pop("number"): number for image, number in zip(file.images, images, strict=True)}
    for image, number in zip(file.images, images, strict=True):
        image["id"] = number
    categories = _categories(file)
    category_ids = {category["name"]: category["id"] for category in categories}
    # An annotation id of 0 counts as "no match" in COCO's evaluation.
    for annotation, number in zip(file.annotations, _ids([a["id"] for a in file.annotations], lowest=1), strict=True):
        annotation["id"] = number
        annotation["image_id"] = image_ids[annotation.pop("number")]
        annotation["category_id"] = category_ids[annotation.pop("label")]
    for caption in file.captions:
        caption["image_id"] = image_ids[caption.pop("number")]
    data = {"images": file.images, "annotations": file.annotations, "categories": categories}
    if file.licenses:
        data["licenses"] = list(file.licenses.values())
    path.write_text(json.dumps(data), encoding="utf-8")
    if file.captions:
        text = [{**caption, "id": number} for number, caption in enumerate(file.captions, 1)]
        captions.write_text(json.dumps({"images": file.images, "annotations": text}), encoding="utf-8")


def _ids(given: list[Any], lowest: int) -> list[int]:
    """The ids that things brought along, where all did and no two are the same; otherwise 1, 2, 3, ..."""
    if all(type(one) is int and one >= lowest for one in given) and len(set(given)) == len(given):
        return given
    return list(range(1, len(given) + 1))


def _categories(file: _File) -> list[dict[str, Any]]:
    names = list(file.classes or file.column.classes or ())
    names += [name for name in file.labels if name not in names]
    known = {name: file.labels.get(name) for name in names}
    given = [number for number in known.values() if number is not None]
    if len(set(given)) != len(given):
        known, given = dict.fromkeys(names), []
    free = (number for number in range(1, 2 * len(names) + 1) if number not in given)
    categories: list[dict[str, Any]] = []
    for name in names:
        number = known[name]
        category: dict[str, Any] = {
            "id": next(free) if number is None else number,
            "name": name,
            "supercategory": "",
        }
        if name in file.points:
            points = list(file.column.points_of.get(name, file.column.points))
            if len(points) != file.points[name]:
                points = [str(index) for index in range(file.points[name])]
            category["keypoints"] = points
            pairs = file.skeleton.get(name, [])
            category["skeleton"] = [
                [points.index(a) + 1, points.index(b) + 1] for a, b in pairs if a in points and b in points
            ]
        categories.append(category)
    return sorted(categories, key=lambda category: category["id"])
