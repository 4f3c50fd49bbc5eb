"""Recognising COCO JSONs in a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from oneglance.errors import OneglanceError
from oneglance.formats.base import Suggestion
from oneglance.formats.files import MEGABYTE, read_json
from oneglance.formats.recognition import by_distance, flip_pairs, folders, json_files, relative_to


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
        names = _class_names(data["categories"], data["annotations"])
        if images is None or not names:
            continue
        split = _split_of(path.stem)
        key = f"{images} {split}"
        source = suggestions.get(key)
        tasks: dict[str, dict[str, Any]] = {"objects": {"kind": "detection", "classes": names}}
        if any(isinstance(a, dict) and a.get("segmentation") for a in data["annotations"][:100]):
            tasks["outline"] = {"kind": "mask", "on": "objects"}
        for category in data["categories"]:
            if isinstance(category, dict) and category.get("keypoints"):
                points = [str(name) for name in category["keypoints"]]
                tasks[f"{category['name']}_points"] = {
                    "kind": "keypoints", "on": f"objects.{category['name']}", "points": points,
                    "flip": flip_pairs(points),
                }  # fmt: skip
        labels = relative_to(path, folder)
        if source is None:
            entry: dict[str, Any] = {
                "format": "coco",
                "images": relative_to(images, folder),
                "labels": labels,
            }
            if split:
                entry["split"] = split
            suggestions[key] = Suggestion({**entry, "tasks": list(tasks)}, tasks)
            continue
        before = source.source["labels"]
        merged = {**tasks, **source.tasks}
        if len(tasks["objects"]["classes"]) > len(merged["objects"]["classes"]):
            merged["objects"] = tasks["objects"]
        entry = {**source.source, "labels": [*(before if isinstance(before, list) else [before]), labels]}
        suggestions[key] = Suggestion({**entry, "tasks": list(merged)}, merged)
    return list(suggestions.values())


def _class_names(categories: list[Any], annotations: list[Any]) -> list[str]:
    """The categories' names, without one that is only the heading of others and marks nothing (Roboflow's number 0)."""
    known = [c for c in categories if isinstance(c, dict) and isinstance(c.get("name"), str)]
    headings = {c.get("supercategory") for c in known if c.get("supercategory") != c["name"]}
    used = {a.get("category_id") for a in annotations if isinstance(a, dict)}
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
