"""Writing LabelMe JSON, one beside each image."""

from __future__ import annotations

import base64
import io
import json
import posixpath
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from oneglance.annotations import HIDDEN, UNLABELLED, Instance, Instances, Record, Rle, Tags, enclosing_box
from oneglance.errors import OneglanceError
from oneglance.formats import rle as runs
from oneglance.formats.base import WriteOptions
from oneglance.formats.writing import Images, Losses, new_folder, tasks_to_write
from oneglance.manifest import Column, Columns

#: The annotation types that it can write.
HOLDS = ("instances", "tags")


def write(records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
    """Write a task of objects and a task of tags; see :meth:`SourceSettings.write`."""
    losses = Losses("LabelMe")
    chosen = tasks_to_write(columns, options, HOLDS, "LabelMe")
    by_type = {kind: [t for t in chosen if columns[t].type == kind] for kind in ("instances", "tags")}
    for kind, tasks in by_type.items():
        if len(tasks) > 1:
            raise OneglanceError(f"LabelMe holds one task of {kind}, there are {', '.join(tasks)}: choose one")
    losses.left_tasks(columns, chosen)
    new_folder(out)
    images = Images(options, losses, by_stem=True)
    objects, flags = (next(iter(tasks), None) for tasks in by_type.values())
    for record in records:
        name = images.name(record.path)
        images.put(record.path, out / name)
        found = record.annotations.get(objects) if objects else None
        tags = record.annotations.get(flags) if flags else None
        if record.split is not None or record.group is not None:
            losses.add("it keeps neither splits nor groups; images that had one")
        if found is None and tags is None:
            continue
        if objects and found is None:
            losses.add("it can't say that an image has tags but was not looked at for objects; images that seem empty")
        shapes: list[dict[str, Any]] = []
        if isinstance(found, Instances):
            if found.annotated is not None:
                losses.add("it can't say which classes were looked for; images in which the others now seem absent")
            for number, item in enumerate(found.items, 1):
                shapes += _shapes(item, number, columns[objects or ""], losses)
        data = {
            "version": "5.5.0",
            "flags": _flags(tags, columns[flags]) if isinstance(tags, Tags) and flags else {},
            "shapes": shapes,
            "imagePath": posixpath.basename(name),
            "imageData": None,
            "imageHeight": record.height,
            "imageWidth": record.width,
        }
        path = out / f"{posixpath.splitext(name)[0]}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    return losses.sentences()


def _flags(tags: Tags, column: Column) -> dict[str, bool]:
    annotated = column.classes if tags.annotated is None else tags.annotated
    return {name: name in tags.names for name in dict.fromkeys((*annotated, *tags.names))}


def _shapes(item: Instance, number: int, column: Column, losses: Losses) -> list[dict[str, Any]]:
    flags = {name: True for name in ("crowd", "difficult", "truncated") if getattr(item, name)}
    flags |= {name: bool(value) for name, value in item.attributes.items() if value in (0.0, 1.0)}
    lost: dict[str, Any] = {
        "scores": item.score,
        "identities": item.identity,
        "ids": item.id,
        "attributes other than yes and no": [v for v in item.attributes.values() if v not in (0.0, 1.0)] or None,
    }
    for what, value in lost.items():
        losses.add(f"it keeps no {what}; objects that had one", int(value is not None))
    shapes = []
    around = None
    if item.rle is not None:
        around = runs.box(item.rle)
        if around is not None:
            shapes.append(_mask(item.rle, item.label))
    for part in item.polygons or ():
        shapes.append({"label": item.label, "points": part.astype(float).tolist(), "shape_type": "polygon"})
    if item.polygons:
        around = enclosing_box(item.polygons)
    if item.box is not None and (around is None or np.abs(around - item.box).max() > 1e-3):
        corners = item.box.astype(float).reshape(2, 2).tolist()
        shapes.append({"label": item.label, "points": corners, "shape_type": "rectangle"})
    for shape in shapes:
        shape["flags"] = flags
    if item.points is not None:
        if len(column.points) != len(item.points.xy):
            losses.add("it keeps points by name; objects whose points have none")
        else:
            for name, xy, seen in zip(column.points, item.points.xy, item.points.visibility, strict=True):
                if seen != UNLABELLED:
                    shapes.append({
                        "label": name, "points": [xy.astype(float).tolist()], "shape_type": "point",
                        "flags": {"occluded": True} if seen == HIDDEN else {},
                    })  # fmt: skip
    for shape in shapes:
        # A lone shape needs no group; LabelMe shows groups as such.
        shape["group_id"] = number if len(shapes) > 1 else None
    if not shapes:
        losses.add("objects without box, mask or labelled points are not written")
    return shapes


def _mask(mask: Rle, label: str) -> dict[str, Any]:
    pixels = runs.decode(mask)
    box = runs.box(mask)
    assert box is not None
    x1, y1, x2, y2 = (int(v) for v in box)
    file = io.BytesIO()
    Image.fromarray(pixels[y1:y2, x1:x2].astype(np.uint8) * 255).save(file, "PNG")
    return {
        "label": label,
        "points": [[float(x1), float(y1)], [float(x2 - 1), float(y2 - 1)]], "shape_type": "mask",
        "mask": base64.b64encode(file.getvalue()).decode("ascii"),
    }  # fmt: skip
