"""Recognising tables of labels in a folder, by their header and the images that their first rows name."""

from __future__ import annotations

import csv
import re
from itertools import count, islice, takewhile
from pathlib import Path
from typing import Any

from oneglance.formats.base import Suggestion
from oneglance.formats.csv_table import BOXES
from oneglance.formats.files import is_image_name
from oneglance.formats.image_folders import ImageFolders
from oneglance.formats.recognition import (
    IDENTITIES,
    SPLITS,
    divided,
    files,
    images_in,
    points_task,
    relative_to,
    split_of,
)

_LOOK_ROWS = 5000
_SPLIT = frozenset({"split", "set", "subset", "partition"})
_LABEL = frozenset({"label", "class", "class_name", "category", "name", "species", "type"})
_GROUP = frozenset({"group", "video", "clip", "scene", "session", "sequence"})


def recognise(folder: Path) -> list[Suggestion]:
    """CSV and TSV files with a header, and tables of names and numbers without one."""
    found = []
    places = ImageFolders(folder)
    for path in [p for suffix in (".csv", ".tsv", ".txt") for p in files(folder, suffix, 1)[:50]]:
        suggestion = _look(path, folder, places)
        if suggestion is not None:
            found.append(suggestion)
    splits = [suggestion.source.get("split") for suggestion in found]
    for suggestion in found:
        if "split" in suggestion.source:
            suggestion.source["split"] = divided(suggestion.source["split"], splits)
            if suggestion.source["split"] is None:
                del suggestion.source["split"]
    # Where there are lists of splits, a list of everything adds nothing.
    with_split = {str(s.source["columns"]) for s in found if "split" in s.source and "columns" in s.source}
    return [s for s in found if "split" in s.source or str(s.source.get("columns")) not in with_split]


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [line for line in islice(file, _LOOK_ROWS) if line.strip() and not line.startswith("#")]
    except (OSError, UnicodeDecodeError):
        return []
    if not lines:
        return []
    counts = {c: lines[0].count(c) for c in (",", ";", "\t")}
    best = max(counts, key=lambda c: counts[c])
    try:
        return list(csv.reader(lines, delimiter=best)) if counts[best] else [line.split() for line in lines]
    except csv.Error:
        return []


def _look(path: Path, folder: Path, places: ImageFolders) -> Suggestion | None:
    rows = _rows(path)
    if len(rows) < 2 or len(rows[0]) < 2 or len(rows[0]) != len(rows[1]):
        return None
    header, body = [name.strip() for name in rows[0]], [row for row in rows[1:] if len(row) == len(rows[0])]
    at = next((i for i, cell in enumerate(body[0]) if is_image_name(cell.strip())), None)
    if at is None:
        return _headerless(path, folder, places, rows)
    names = [row[at].strip() for row in body]
    images = places.of_names(names, path)
    if images is None or not header[at]:
        return None
    entry: dict[str, Any] = {
        "format": "csv", "labels": relative_to(path, folder), "images": relative_to(images, folder),
        "image": header[at],
    }  # fmt: skip
    plan = _Plan(header, body, at)
    plan.look(re.sub(r"\W+", "_", path.stem))
    return plan.suggestion(path, entry, frozenset(Path(name).stem for name in names))


def _headerless(path: Path, folder: Path, places: ImageFolders, rows: list[list[str]]) -> Suggestion | None:
    """A list such as Oxford Pets': an image's name without suffix, then numbers."""
    rows = [row for row in rows if len(row) == len(rows[0])]
    if is_image_name(rows[0][0]) or not all(cell.strip().isdigit() for row in rows[:20] for cell in row[1:]):
        return None
    stems = frozenset(row[0].strip() for row in rows)
    images = places.of_stems(stems, path)
    suffix = next((Path(n).suffix for n in images_in(images) if Path(n).stem in stems), None) if images else None
    if images is None or suffix is None:
        return None
    columns = ["name", *(f"column_{i}" for i in range(1, len(rows[0])))]
    entry: dict[str, Any] = {
        "format": "csv", "labels": relative_to(path, folder), "images": relative_to(images, folder),
        "image": "{name}" + suffix, "columns": columns,
    }  # fmt: skip
    plan = _Plan(columns, rows, 0)
    plan.notes.append("the columns have no names in the file: put yours in place of column_1, column_2, ...")
    plan.look(path.stem)
    return plan.suggestion(path, entry, stems)


class _Plan:
    """What a table's columns suggest: the fields and the tasks, and which columns say split and group.

    ``image``: the place of the column that names the images.
    """

    def __init__(self, header: list[str], body: list[list[str]], image: int) -> None:
        self.header, self.body = header, body
        self.many = len({row[image] for row in body}) < len(body)
        self.used = {header[image], ""}
        self.fields: dict[str, Any] = {}
        self.tasks: dict[str, dict[str, Any]] = {}
        self.says: dict[str, str] = {}
        self.notes: list[str] = []

    def suggestion(self, path: Path, entry: dict[str, Any], stems: frozenset[str]) -> Suggestion | None:
        """What it comes to; None where nothing can be asked."""
        if not self.tasks:
            return None
        named = None if "split_column" in self.says else split_of(path.stem)
        split = {} if named is None else {"split": named}
        source = {**entry, **self.says, **split, "tasks": self.fields}
        return Suggestion(source, self.tasks, "; ".join(self.notes), stems)

    def look(self, stem: str) -> None:
        """Look at all columns; ``stem``: what objects or points are called that have no name."""
        self._look_for_splits()
        box = next((one for one in BOXES.items() if set(one[0]) <= set(self.header)), None)
        points = None if box and not {"x0", "x3"} & set(self.header) else _points(self.header)
        if points is not None:
            box = None
            self._use(points)
        if box is not None:
            columns, form = box
            self._look_for_objects("objects", {"box": list(columns), "box_format": form})
        elif points is not None and self.many:
            # Several rows of one image: each is an object, and its points, where they are few, go round it.
            spec, names = points
            self._look_for_objects(stem, {**spec, "outline": 3 <= len(names) <= 8 and "visible" not in spec})
            self.fields[f"{stem}_points"] = {}  # read with the objects
            self.tasks[f"{stem}_points"] = points_task(names, stem)
        else:
            if points is not None:
                self.fields[stem], self.tasks[stem] = points[0], points_task(points[1])
            for name in self.header:
                if name not in self.used:
                    self._look_at(name, self._values(name))

    def _values(self, name: str) -> list[str]:
        """The cells of a column that are not empty."""
        place = self.header.index(name)
        return [cell for row in self.body if (cell := row[place].strip())]

    def _look_for_splits(self) -> None:
        for name in self.header:
            if name.lower() in _SPLIT:
                self.used.add(name)
                if any(value.lower() in SPLITS for value in self._values(name)):
                    self.says["split_column"] = name
                elif self._values(name):
                    self.notes.append(f"the values of the column {name} are no names of splits: it is not used")
            elif name.lower() in _GROUP and self._values(name):
                self.used.add(name)
                self.says["group_column"] = name

    def _use(self, points: tuple[dict[str, str], list[str]]) -> None:
        spec, names = points
        filled = [
            {key: spec[key].replace("{i}", str(i)).replace("{name}", one) for key in spec}
            for i, one in enumerate(names)
        ]
        self.used |= {column for one in filled for column in one.values()}
        if "visible" in spec and {"2", "2.0"} & set(self._values(filled[0]["visible"])):
            spec["visibility"] = "coco"

    def _look_for_objects(self, task: str, field: dict[str, Any]) -> None:
        """A row an object; what a row says else, it says of that object."""
        classes = [task]
        for label in [name for name in self.header if name.lower() in _LABEL and name not in self.used]:
            values = sorted(set(self._values(label)))
            if not 0 < len(values) <= max(20, len(self.body) // 5):
                continue  # no class: a name that each object has by itself
            field["label"], classes = label, values
            if _are_digits(values):
                field["values"] = {value: f"{label}_{value}" for value in sorted(values, key=int)}
                classes = list(field["values"].values())
            break
        self.tasks[task], self.fields[task] = {"kind": "detection", "classes": classes}, field
        who = next((name for name in self.header if name.lower() in IDENTITIES and name not in self.used), None)
        if who is not None and self._values(who):
            field["identity"] = who
            self.tasks[f"{task}_who"], self.fields[f"{task}_who"] = {"kind": "embedding", "on": task}, {}

    def _look_at(self, name: str, values: list[str]) -> None:
        """Something that is said of the whole image."""
        distinct = sorted(set(values))
        if not distinct:
            return
        separator = next((one for one in "|;" if sum(one in value for value in values) > len(values) / 4), None)
        tags = sorted({tag.strip() for value in values for tag in value.split(separator)} - {""}) if separator else []
        if name.lower() in IDENTITIES:
            self.fields[name], self.tasks[name] = name, {"kind": "embedding"}
        elif separator is not None and len(tags) <= 200:
            self.fields[name] = {"column": name, "separator": separator}
            self.tasks[name] = {"kind": "tagging", "classes": tags}
        elif 1 < len(distinct) <= max(2, min(200, len(self.body) // 5)):
            self.fields[name], classes = name, distinct
            if _are_digits(distinct):
                named = {value: f"{name}_{value}" for value in sorted(distinct, key=int)}
                self.fields[name], classes = {"column": name, "values": named}, list(named.values())
            self.tasks[name] = {"kind": "classification", "classes": classes}
        elif _are_numbers(distinct):
            self.fields[name], self.tasks[name] = name, {"kind": "regression", "targets": [name]}


def _points(header: list[str]) -> tuple[dict[str, str], list[str]] | None:
    """Columns such as x0 y0 x1 y1 ... or nose_x nose_y nose_vis ..., and the names of the points."""
    known = set(header)
    for x, y, *seen in (("x{}", "y{}", "vis{}", "v{}"), ("x_{}", "y_{}", "vis_{}", "v_{}")):
        for first, slot in ((0, "{i}"), (1, "{name}")):  # counted from 1, the numbers are the points' names
            numbers = _counted(x, y, first, known)
            if numbers:
                vis, v = (one.format(slot) for one in seen)
                spec = _spec(x.format(slot), y.format(slot), (vis, v), known, str(first), slot)
                return spec, [str(i) if first else f"p{i}" for i in numbers]
    names = [m[1] for name in header if (m := re.fullmatch(r"(.+)_x", name)) and f"{m[1]}_y" in known]
    if names:
        return _spec("{name}_x", "{name}_y", ("{name}_vis", "{name}_v"), known, names[0], "{name}"), names
    return None


def _counted(x: str, y: str, first: int, known: set[str]) -> list[int]:
    """The numbers from ``first`` on for which there are columns of both."""
    return list(takewhile(lambda i: {x.format(i), y.format(i)} <= known, count(first)))


def _spec(x: str, y: str, visible: tuple[str, str], known: set[str], first: str, slot: str) -> dict[str, str]:
    spec = {"x": x, "y": y}
    for pattern in visible:
        if pattern.replace(slot, first) in known:
            spec["visible"] = pattern
    return spec


def _are_digits(values: list[str]) -> bool:
    return all(re.fullmatch("-?[0-9]{1,18}", value) for value in values)


def _are_numbers(values: list[str]) -> bool:
    try:
        return all(abs(float(value)) < 1e30 for value in values)
    except ValueError:
        return False
