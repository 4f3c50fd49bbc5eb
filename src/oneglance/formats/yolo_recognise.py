"""Recognising YOLO data sets in a folder: a YAML with names, and text files beside the images or parallel to
them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oneglance.errors import OneglanceError
from oneglance.formats.base import Suggestion
from oneglance.formats.files import read_text, read_yaml
from oneglance.formats.recognition import (
    SPLITS,
    by_distance,
    entries,
    files,
    folders,
    images_in,
    mirror_note,
    points_task,
    relative_to,
)

#: A `kpt_shape` of more points than that is a mistake.
MOST_POINTS = 1000


def recognise(folder: Path) -> list[Suggestion]:
    """A source for each folder of text files whose lines look like YOLO's, with the names of the nearest
    YAML.
    """
    found = []
    tops = folders(folder, 3)
    stems = {top: {Path(name).stem for name in images_in(top)} for top in tops}
    yamls = [path for suffix in (".yaml", ".yml") for path in files(folder, suffix, 2)]
    for labels in tops:
        texts = [Path(e.path) for e in entries(labels) if e.name.endswith(".txt")]
        mine = {path.stem for path in texts}
        images = [top for top in tops if len(stems[top] & mine) > 0.3 * len(mine)] if texts else []
        widths = _widths(texts[:200])
        if not images or not widths:
            continue
        data = _names_near(labels, yamls)
        source: dict[str, Any] = {
            "format": "yolo",
            "images": relative_to(by_distance(images, labels)[0], folder),
            "labels": relative_to(labels, folder),
        }
        if labels.name in SPLITS:
            source["split"] = SPLITS[labels.name]
        classes: list[str] = []
        points: list[str] = []
        notes: list[str] = []
        flip: list[tuple[str, str]] | None = None
        if data is not None:
            path, content = data
            source["data"] = relative_to(path, folder)
            names = content["names"]
            classes = [str(name) for name in (names.values() if isinstance(names, dict) else names)]
            points, flip = _points(content)
        else:
            highest = max(_classes(texts[:2000]), default=0)
            classes = [f"class_{i}" for i in range(highest + 1)]
            source["names"] = classes
            notes.append("there is no YAML with the classes' names: put yours in place of class_0, class_1, ...")
        tasks: dict[str, dict[str, Any]] = {"objects": {"kind": "detection", "classes": classes}}
        if points:
            tasks["points"] = points_task(points, "objects", flip)
            notes.append(mirror_note(tasks))
        elif any(width > 5 for width in widths):
            tasks["outline"] = {"kind": "mask", "on": "objects"}
        found.append(Suggestion({**source, "tasks": list(tasks)}, tasks, "; ".join(filter(None, notes))))
    return found


def _points(content: dict[str, Any]) -> tuple[list[str], list[tuple[str, str]] | None]:
    """The names of the points of an object (none where it has none), and the pairs that change places in a mirror, None
    where the YAML doesn't say."""
    shape, swapped = content.get("kpt_shape"), content.get("flip_idx")
    if not isinstance(shape, list) or not shape or type(shape[0]) is not int or not 0 < shape[0] <= MOST_POINTS:
        return [], None
    count = shape[0]
    names = content.get("kpt_names")
    if isinstance(names, dict):
        names = next(iter(names.values()), None)
    points = [str(name) for name in names] if isinstance(names, list) else []
    if not len(points) == len(set(points)) == count:
        points = [f"p{i}" for i in range(count)]
    if not isinstance(swapped, list) or sorted(map(str, swapped)) != sorted(map(str, range(count))):
        return points, None
    return points, [(points[i], points[other]) for i, other in enumerate(map(int, swapped)) if i < other]


def _widths(texts: list[Path]) -> set[int]:
    """Numbers a line; empty where a line is not YOLO's."""
    widths: set[int] = set()
    for path in texts:
        try:
            lines = read_text(path, 1 << 20).splitlines()
        except OneglanceError:
            return set()
        for line in lines:
            cells = line.split()
            if not cells:
                continue
            try:
                values = [float(cell) for cell in cells]
            except ValueError:
                return set()
            if len(values) < 5 or values[0] != int(values[0]) or values[0] < 0 or max(values[1:]) > 2:
                return set()
            widths.add(len(values))
    return widths


def _classes(texts: list[Path]) -> set[int]:
    return {int(float(line.split()[0])) for path in texts for line in read_text(path).splitlines() if line.split()}


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
