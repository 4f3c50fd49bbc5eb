"""Writing tables: ``labels.csv`` with a row an image, and ``TASK.csv`` with a row an object for tasks of
objects.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from oneglance.annotations import (
    Annotation,
    Identity,
    Instance,
    Instances,
    Label,
    Numbers,
    Points,
    Record,
    Tags,
)
from oneglance.formats.base import WriteOptions
from oneglance.formats.shapes import box_of_shape
from oneglance.formats.writing import Images, Losses, new_folder, tasks_to_write
from oneglance.manifest import Column, Columns

#: The annotation types that it can write.
HOLDS = ("label", "tags", "numbers", "identity", "points", "instances")

_BOX = ["x1", "y1", "x2", "y2"]


def write(records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
    """Write the tables, the images and ``sources.yaml``, which says how to read them; see
    SourceSettings.write.
    """
    losses = Losses("CSV")
    chosen = tasks_to_write(columns, options, HOLDS, "CSV")
    losses.left_tasks(columns, chosen)
    new_folder(out)
    images = Images(options, losses)
    plain = [task for task in chosen if columns[task].type != "instances"]
    objects = [task for task in chosen if columns[task].type == "instances"]
    heads = {task: _head(task, columns[task]) for task in plain}
    open_files = {}
    try:
        for name in (["labels"] if plain else []) + objects:
            open_files[name] = (out / f"{name}.csv").open("w", encoding="utf-8", newline="")
        tables = {name: csv.writer(file) for name, file in open_files.items()}
        if plain:
            tables["labels"].writerow(["image", "split", "group", *(name for head in heads.values() for name in head)])
        for task in objects:
            tables[task].writerow(_object_head(columns[task]))
        for record in records:
            name = images.name(record.path)
            images.put(record.path, out / "images" / name)
            start = [name, record.split or "", record.group or ""]
            if plain:
                cells = [cell for task in plain for cell in _cells(record.annotations.get(task), columns[task], losses)]
                tables["labels"].writerow([*start, *cells])
            for task in objects:
                annotation = record.annotations.get(task)
                if not isinstance(annotation, Instances):
                    losses.add(f"images unlabelled for {task!r} are not in {task}.csv")
                    continue
                if annotation.annotated is not None:
                    losses.add("it can't say which classes were looked for; images in which the others now seem absent")
                for row in _object_rows(annotation, record, columns[task], losses):
                    tables[task].writerow([*start, *row])
    finally:
        for file in open_files.values():
            file.close()
    sources: list[dict[str, Any]] = []
    common = {"format": "csv", "images": "images", "split_column": "split", "group_column": "group"}
    if plain:
        sources.append(
            {**common, "labels": "labels.csv", "tasks": {task: _field(task, columns[task]) for task in plain}}
        )
    sources += [{**common, "labels": f"{t}.csv", "tasks": {t: _object_field(columns[t])}} for t in objects]
    (out / "sources.yaml").write_text(yaml.safe_dump({"sources": sources}, sort_keys=False), encoding="utf-8")
    (out / "images").mkdir(exist_ok=True)
    return losses.sentences()


def _head(task: str, column: Column) -> list[str]:
    match column.type:
        case "tags":
            return [f"{task}/{name}" for name in column.classes]
        case "numbers":
            return [f"{task}/{name}" for name in column.targets] or [task]
        case "points":
            return [f"{task}/{name}_{axis}" for name in column.points for axis in ("x", "y", "v")]
    return [task]


def _field(task: str, column: Column) -> Any:
    match column.type:
        case "tags":
            return {
                "columns": _head(task, column),
                "values": {f"{task}/{name}": name for name in column.classes},
            }
        case "numbers":
            return {"columns": _head(task, column)}
        case "points":
            return {
                "x": f"{task}/{{name}}_x", "y": f"{task}/{{name}}_y", "visible": f"{task}/{{name}}_v",
                "visibility": "coco",
            }  # fmt: skip
    return task


def _cells(annotation: Annotation | None, column: Column, losses: Losses) -> list[str]:
    width = len(_head("", column))
    if getattr(annotation, "score", None) is not None or getattr(annotation, "scores", None) is not None:
        losses.add("it keeps no scores of labels; labels that had one")
    match annotation:
        case Label(name):
            return [name]
        case Identity(name):
            return [name or ""]
        case Tags(names, annotated):
            known = column.classes if annotated is None else annotated
            return [str(int(tag in names)) if tag in known or tag in names else "" for tag in column.classes]
        case Numbers(values):
            return ["" if math.isnan(v) else repr(v) for v in values.astype(float).tolist()]
        case Points():
            return _points(annotation)
    return [""] * width


def _points(points: Points) -> list[str]:
    rows = zip(points.xy.astype(float).tolist(), points.visibility.tolist(), strict=True)
    return [text for (x, y), seen in rows for text in (repr(x), repr(y), str(seen))]


def _object_head(column: Column) -> list[str]:
    points = [f"{name}_{axis}" for name in column.points for axis in ("x", "y", "v")]
    return ["image", "split", "group", "label", *_BOX, "score", "identity", *points]


def _object_field(column: Column) -> dict[str, Any]:
    field: dict[str, Any] = {"box": _BOX, "label": "label", "score": "score", "identity": "identity"}
    if column.points:
        field |= {"x": "{name}_x", "y": "{name}_y", "visible": "{name}_v", "visibility": "coco"}
    return field


def _object_rows(annotation: Instances, record: Record, column: Column, losses: Losses) -> list[list[str]]:
    points_width = 3 * len(column.points)
    rows = []
    for item in annotation.items:
        box = item.box if item.box is not None else box_of_shape(item, record.width, record.height)
        if box is None:
            losses.add("objects without box, mask or labelled points are not written")
            continue
        _count_losses(item, column, losses)
        rows.append([
            item.label, *(repr(v) for v in box.astype(float).tolist()),
            "" if item.score is None else repr(float(item.score)),
            item.identity or "",
            *(_points(item.points) if item.points is not None and column.points else [""] * points_width),
        ])  # fmt: skip
    # A row without a box says that the image was looked at and has no object.
    return rows or [[""] * (7 + points_width)]


def _count_losses(item: Instance, column: Column, losses: Losses) -> None:
    for what, value in (
        ("masks", item.polygons or item.rle),
        ("keypoints without names", item.points if not column.points else None),
        ("marks (crowd, difficult, truncated)", item.crowd or item.difficult or item.truncated or None),
        ("ids", item.id), ("attributes", item.attributes or None),
    ):  # fmt: skip
        losses.add(f"it keeps no {what}; objects that had one", int(value is not None))
