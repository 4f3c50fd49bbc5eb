"""Recognising YOLO data sets in a folder: a YAML with names, and text files beside the images or parallel to
them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from oneglance.errors import OneglanceError
from oneglance.formats.base import Suggestion
from oneglance.formats.files import absolute, exists, read_text, read_yaml
from oneglance.formats.image_folders import ImageFolders
from oneglance.formats.recognition import (
    SPLITS,
    entries,
    files,
    folders,
    images_in,
    points_task,
    relative_to,
)
from oneglance.formats.yolo_data import Part, image_parts

#: Lists of classes' names, one a line: LabelImg's and Label Studio's, and darknet's.
NAME_LISTS = ("classes.txt", "obj.names")
#: More points, and more classes, are a mistake, or something else than YOLO's.
MOST_POINTS, MOST_CLASSES = 1000, 10_000


def recognise(folder: Path) -> list[Suggestion]:
    """A source for each folder of text files whose lines look like YOLO's, with the names of the nearest
    YAML.
    """
    found: list[Suggestion] = []
    parts: dict[Path, list[Part]] = {}
    places = ImageFolders(folder)
    yamls = [path for suffix in (".yaml", ".yml") for path in files(folder, suffix, 2)]
    for labels in folders(folder, 3):
        texts = [Path(e.path) for e in entries(labels) if e.name.endswith(".txt") and e.name not in NAME_LISTS]
        stems = frozenset(path.stem for path in texts)
        images = places.of_stems(stems, labels, 0.3) if texts else None
        if images is None:
            continue
        shown = {Path(name).stem for name in images_in(images)}
        texts = [path for path in texts if path.stem in shown] or texts  # others may be notes of somebody
        widths, highest = _lines(texts[:500])
        if not widths or highest >= MOST_CLASSES:
            continue
        data = _names_near(labels, yamls)
        source: dict[str, Any] = {
            "format": "yolo",
            "images": relative_to(images, folder),
            "labels": relative_to(labels, folder),
        }
        if data is not None and data[0] not in parts:
            parts[data[0]] = _parts(*data, folder)
        said = parts[data[0]] if data is not None else []
        if data is not None and any(part.names is not None for part in said):  # lists say what is in which split
            if any(one.source.get("data") == relative_to(data[0], folder) for one in found):
                continue
            source = {"format": "yolo"}
        elif labels.name.lower() in SPLITS:
            source["split"] = SPLITS[labels.name.lower()]
        elif split := next((part.split for part in said if absolute(images).is_relative_to(part.folder)), None):
            source["split"] = split
        classes: list[str] = []
        points: list[str] = []
        notes: list[str] = []
        flip: list[tuple[str, str]] | None = None
        if data is not None:
            path, content = data
            source["data"] = relative_to(path, folder)
            names = content["names"]
            classes = list(dict.fromkeys(str(name) for name in (names.values() if isinstance(names, dict) else names)))
            points, flip = _points(content)
            if points and content.get("kpt_names") is not None:
                source["points"] = points
        elif listed := _listed_names(labels, folder):
            source["names"] = classes = listed
        else:
            source["names"] = classes = [f"class_{i}" for i in range(highest + 1)]
            notes.append("there is no YAML with the classes' names: put yours in place of class_0, class_1, ...")
        tasks: dict[str, dict[str, Any]] = {"objects": {"kind": "detection", "classes": classes}}
        if points:
            tasks["points"] = points_task(points, "objects", flip)
        elif any(width > 5 for width in widths):
            tasks["outline"] = {"kind": "mask", "on": "objects"}
        found.append(Suggestion({**source, "tasks": list(tasks)}, tasks, "; ".join(notes), stems))
    return found


def _parts(path: Path, content: dict[str, Any], folder: Path) -> list[Part]:
    """Where the YAML says that images are; nothing where it says what is not there."""
    try:
        return list(image_parts(content, path, absolute(folder)))
    except OneglanceError:
        return []


def _listed_names(labels: Path, folder: Path) -> list[str]:
    """The classes' names by a list beside the text files, or in a folder above them, as annotation tools leave one."""
    for place in (labels, *labels.parents):
        for name in NAME_LISTS:
            if exists(place / name):
                try:
                    return [line.strip() for line in read_text(place / name, 1 << 20).splitlines() if line.strip()]
                except OneglanceError:
                    continue
        if place == folder:
            break
    return []


def _points(content: dict[str, Any]) -> tuple[list[str], list[tuple[str, str]] | None]:
    """The names of the points of an object (none where it has none), and the pairs that change places in a mirror, None
    where the YAML doesn't say."""
    shape, swapped = content.get("kpt_shape"), content.get("flip_idx")
    if not isinstance(shape, list) or len(shape) != 2 or type(shape[0]) is not int or shape[1] not in (2, 3):
        return [], None
    if not 0 < shape[0] <= MOST_POINTS:
        return [], None
    count = shape[0]
    names = content.get("kpt_names")
    if isinstance(names, dict):  # by class; of classes that name them otherwise, there are no names for all
        first, *others = names.values() or [None]
        names = first if all(other == first for other in others) else None
    points = [str(name) for name in names] if isinstance(names, list) else []
    if not len(points) == len(set(points)) == count:
        points = [f"p{i}" for i in range(count)]
    places = swapped if isinstance(swapped, list) and all(type(i) is int and 0 <= i < count for i in swapped) else []
    if len(places) != count or any(places[other] != i for i, other in enumerate(places)):
        return points, None
    return points, [(points[i], points[other]) for i, other in enumerate(places) if i < other]


def _lines(texts: list[Path]) -> tuple[set[int], int]:
    """Numbers a line, and the highest class; no numbers where a line is not YOLO's."""
    widths: set[int] = set()
    highest = 0
    for path in texts:
        try:
            lines = read_text(path, 1 << 20).splitlines()
        except OneglanceError:
            return set(), 0
        for line in lines:
            cells = line.split()
            if not cells:
                continue
            try:
                values = [float(cell) for cell in cells]
            except ValueError:
                return set(), 0
            if len(values) < 5 or not all(map(math.isfinite, values)):
                return set(), 0
            if values[0] != int(values[0]) or values[0] < 0 or max(values[1:]) > 2:
                return set(), 0
            widths.add(len(values))
            highest = max(highest, int(values[0]))
    return widths, highest


def _names_near(labels: Path, yamls: list[Path]) -> tuple[Path, dict[str, Any]] | None:
    """The YAML with ``names`` that stands nearest above the text files."""
    for path in sorted(yamls, key=lambda path: -len(path.parts)):
        if not labels.is_relative_to(path.parent):
            continue
        try:
            content = read_yaml(path)
        except OneglanceError:
            continue
        if isinstance(content, dict) and isinstance(content.get("names"), (list, dict)) and content["names"]:
            return path, content
    return None
