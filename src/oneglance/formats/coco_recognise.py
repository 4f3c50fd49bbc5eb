"""Recognising COCO JSONs in a folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, count, product
from pathlib import Path
from typing import Any

from oneglance.errors import OneglanceError
from oneglance.formats.base import Suggestion
from oneglance.formats.coco_file import as_key, skeleton_of, some
from oneglance.formats.files import MEGABYTE, read_json
from oneglance.formats.recognition import by_distance, folders, json_files, mirror_note, points_task, relative_to

#: So many annotations are looked at for outlines, and so many values an attribute that sorts objects may have.
OUTLINES, MOST_VALUES = 100, 200
#: Stands for values that are no text.
NO_TEXT = "\0"


def recognise(folder: Path) -> list[Suggestion]:
    """COCO JSONs in the folder (or one or two below), each with the image folder that holds its first
    image.
    """
    suggestions: dict[str, Suggestion] = {}
    candidates = folders(folder)
    for path in json_files(folder):
        try:
            data = read_json(path, 512 * MEGABYTE)
        except OneglanceError:
            continue
        if not isinstance(data, dict) or not all(
            isinstance(data.get(key), list) for key in ("images", "annotations", "categories")
        ):
            continue
        images = _image_folder(by_distance(candidates, path.parent), data["images"])
        tasks = _tasks(data["categories"], data["annotations"])
        if images is None or not tasks:
            continue
        split = _split_of(path.stem)
        key = f"{images} {split}"
        source = suggestions.get(key)
        labels = relative_to(path, folder)
        if source is None:
            entry: dict[str, Any] = {
                "format": "coco",
                "images": relative_to(images, folder),
                "labels": labels,
            }
            if split:
                entry["split"] = split
            suggestions[key] = Suggestion({**entry, "tasks": list(tasks)}, tasks, mirror_note(tasks))
            continue
        before = source.source["labels"]
        merged = {**tasks, **source.tasks}
        if len(tasks["objects"]["classes"]) > len(merged["objects"]["classes"]):
            merged["objects"] = tasks["objects"]
        entry = {**source.source, "labels": [*(before if isinstance(before, list) else [before]), labels]}
        suggestions[key] = Suggestion({**entry, "tasks": list(merged)}, merged, mirror_note(merged))
    return list(suggestions.values())


def _tasks(categories: list[Any], annotations: list[Any]) -> dict[str, dict[str, Any]]:
    """What can be asked: where the objects are, and of each what its annotations tell. Nothing without a category."""
    names = _class_names(categories, annotations)
    if not names:
        return {}
    tasks: dict[str, dict[str, Any]] = {"objects": {"kind": "detection", "classes": names}}
    if any(isinstance(a, dict) and _has_outline(a) for a in annotations[:OUTLINES]):
        tasks["outline"] = {"kind": "mask", "on": "objects"}
    for category in categories:
        if isinstance(category, dict) and category.get("name") in names and some(category.get("keypoints")):
            points = [str(name) for name in category["keypoints"]]
            if len(set(points)) == len(points):
                skeleton = skeleton_of(category.get("skeleton"), points)
                name = _free(f"{category['name']}_points", tasks)
                tasks[name] = points_task(points, f"objects.{category['name']}", skeleton=skeleton)
    of = {
        category["id"]: category["name"] for category in categories if isinstance(category, dict) and _named(category)
    }
    for attribute, values in _attributes(annotations, of).items():
        label, *others = values.classes
        tasks[_free(attribute, tasks)] = {
            "kind": "classification", "on": "objects" if others else f"objects.{label}", "attribute": attribute,
            "classes": sorted(values.counts),
        }  # fmt: skip
    return tasks


@dataclass
class _Attribute:
    """How often each value occurs, and the classes of the objects that have one."""

    counts: Counter[str] = field(default_factory=Counter)
    classes: dict[str, None] = field(default_factory=dict)


def _attributes(annotations: list[Any], of: dict[Any, str]) -> dict[str, _Attribute]:
    """The attributes that sort objects: texts of two or more values, each of which comes again and again."""
    found: dict[str, _Attribute] = {}
    for entry in annotations:
        given = entry.get("attributes") if isinstance(entry, dict) else None
        label = of.get(as_key(entry.get("category_id"))) if isinstance(given, dict) else None
        if given is None or label is None:
            continue
        for name, value in given.items():
            if value is None or value == "":  # nobody said it
                continue
            one = found.setdefault(str(name), _Attribute())
            one.classes[label] = None
            one.counts[value if isinstance(value, str) else NO_TEXT] += 1
    return {
        name: one for name, one in found.items()
        if NO_TEXT not in one.counts and 2 <= len(one.counts) <= min(MOST_VALUES, one.counts.total() / 5)
    }  # fmt: skip


def _has_outline(annotation: dict[str, Any]) -> bool:
    """Whether it has an outline that says more than its box: exporters of boxes write these as polygons too."""
    shape = annotation.get("segmentation")
    if isinstance(shape, dict):
        return True
    parts = [list(map(str, part)) for part in some(shape) if isinstance(part, list)]
    return any(not _is_rectangle(list(zip(part[::2], part[1::2], strict=False))) for part in parts)


def _is_rectangle(corners: list[tuple[str, str]]) -> bool:
    columns, rows = {x for x, _ in corners}, {y for _, y in corners}
    return len(columns) == len(rows) == 2 and set(corners) == set(product(columns, rows))


def _free(text: str, tasks: Mapping[str, Any]) -> str:
    """A name that a task may have, and no other one has."""
    name = re.sub(r"\W+", "_", text).strip("_") or "task"
    return next(one for one in chain([name], (f"{name}_{k}" for k in count(2))) if one not in tasks)


def _named(category: dict[str, Any]) -> bool:
    return isinstance(category.get("name"), str) and as_key(category.get("id")) is not None


def _class_names(categories: list[Any], annotations: list[Any]) -> list[str]:
    """The categories' names, without one that is only the heading of others and marks nothing (Roboflow's number 0)."""
    known = [c for c in categories if isinstance(c, dict) and isinstance(c.get("name"), str)]
    headings = {c.get("supercategory") for c in known if c.get("supercategory") != c["name"]}
    used = {as_key(a.get("category_id")) for a in annotations if isinstance(a, dict)}
    return [c["name"] for c in known if c["name"] not in headings or c.get("id") in used] or [c["name"] for c in known]


def _image_folder(candidates: list[Path], images: list[Any]) -> Path | None:
    names = [entry["file_name"] for entry in images[:20] if isinstance(entry, dict) and entry.get("file_name")]
    for candidate in candidates:
        if any((candidate / str(name)).is_file() for name in names[:20]):
            return candidate
    return None


def _split_of(stem: str) -> str | None:
    match = re.search(r"(?:^|_|-|\.)(train|val|valid|validation|test)(?=\d|_|-|$|\.)", stem)
    return None if match is None else {"valid": "val", "validation": "val"}.get(match[1], match[1])
