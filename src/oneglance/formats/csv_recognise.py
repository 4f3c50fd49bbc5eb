"""Recognising tables of labels in a folder, by their header and the images that their first rows name."""

from __future__ import annotations

import csv
import re
from itertools import islice
from pathlib import Path
from typing import Any

from oneglance.formats.base import Suggestion
from oneglance.formats.files import is_image_name
from oneglance.formats.recognition import SPLITS, files, folders, images_in, mirror_note, points_task, relative_to

_LOOK_ROWS = 5000
_IDENTITY = frozenset({"identity", "person", "person_id", "who", "subject", "individual"})
_SPLIT = frozenset({"split", "set", "subset", "partition"})
_GROUP = frozenset({"group", "video", "clip", "scene", "session", "sequence"})


def recognise(folder: Path) -> list[Suggestion]:
    """CSV and TSV files with a header, and tables of names and numbers without one."""
    found = []
    for path in [p for suffix in (".csv", ".tsv", ".txt") for p in files(folder, suffix, 1)[:50]]:
        suggestion = _look(path, folder)
        if suggestion is not None:
            found.append(suggestion)
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


def _look(path: Path, folder: Path) -> Suggestion | None:
    rows = _rows(path)
    if len(rows) < 2 or len(rows[0]) < 2 or len(rows[0]) != len(rows[1]):
        return None
    header, body = [name.strip() for name in rows[0]], [row for row in rows[1:] if len(row) == len(rows[0])]
    at = next((i for i, cell in enumerate(body[0]) if is_image_name(cell.strip())), None)
    if at is None:
        return _headerless(path, folder, rows)
    images = _folder_of([row[at].strip() for row in body[:20]], folder)
    if images is None:
        return None
    entry: dict[str, Any] = {
        "format": "csv", "labels": relative_to(path, folder), "images": relative_to(images, folder),
        "image": header[at],
    }  # fmt: skip
    fields, tasks = _tasks(header, body, at, path, entry)
    return Suggestion({**entry, "tasks": fields}, tasks, mirror_note(tasks)) if tasks else None


def _headerless(path: Path, folder: Path, rows: list[list[str]]) -> Suggestion | None:
    """A list such as Oxford Pets': an image's name without suffix, then numbers."""
    rows = [row for row in rows if len(row) == len(rows[0])]
    if is_image_name(rows[0][0]) or not all(cell.strip().isdigit() for row in rows[:20] for cell in row[1:]):
        return None
    for images in folders(folder):
        names = images_in(images)
        suffix = next((Path(n).suffix for n in names if Path(n).stem == rows[0][0]), None)
        if suffix is None or suffix == ".png":
            continue
        columns = ["name", *(f"column_{i}" for i in range(1, len(rows[0])))]
        entry: dict[str, Any] = {
            "format": "csv", "labels": relative_to(path, folder), "images": relative_to(images, folder),
            "image": "{name}" + suffix, "columns": columns,
        }  # fmt: skip
        if path.stem in SPLITS:
            entry["split"] = SPLITS[path.stem]
        fields, tasks = _tasks(columns, rows, 0, path, entry)
        if not tasks:
            return None
        note = "the columns have no names in the file: put yours in place of column_1, column_2, ..."
        return Suggestion({**entry, "tasks": fields}, tasks, note)
    return None


def _folder_of(names: list[str], folder: Path) -> Path | None:
    for candidate in folders(folder):
        if any((candidate / name).is_file() for name in names):
            return candidate
    return None


def _tasks(
    header: list[str], body: list[list[str]], image: int, path: Path, entry: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields and the tasks that a table's columns suggest; marks split and group columns in ``entry``."""
    fields: dict[str, Any] = {}
    tasks: dict[str, Any] = {}
    used = {header[image]}
    points = _points(header)
    if points is not None:
        name, spec, names = path.stem, *points
        used |= {spec[key].replace("{i}", str(i)).replace("{name}", one)
                 for key in spec for i, one in enumerate(names)}  # fmt: skip
        if "visible" in spec:
            place = header.index(spec["visible"].replace("{i}", "0").replace("{name}", names[0]))
            if any(row[place].strip() in ("2", "2.0") for row in body):
                spec["visibility"] = "coco"
        if len({row[image] for row in body}) < len(body):
            # Several rows of one image: each is an object, and its points, where they are few, go round it.
            fields[name] = {**spec, "outline": 3 <= len(names) <= 8 and "visible" not in spec}
            tasks[name] = {"kind": "detection", "classes": [name]}
            fields[f"{name}_points"] = {}  # read with the objects
            tasks[f"{name}_points"] = points_task(names, name)
        else:
            fields[name] = spec
            tasks[name] = points_task(names)
    for place, name in enumerate(header):
        values = [row[place].strip() for row in body]
        distinct = sorted({value for value in values if value})
        if name in used or not distinct:
            continue
        if name.lower() in _SPLIT:
            entry["split_column"] = name
        elif name.lower() in _GROUP:
            entry["group_column"] = name
        elif name.lower() in _IDENTITY:
            fields[name], tasks[name] = name, {"kind": "embedding"}
        elif len(distinct) <= max(2, min(200, len(values) // 5)) and len(distinct) > 1:
            if all(value.lstrip("-").isdigit() for value in distinct):
                named = {value: f"{name}_{value}" for value in sorted(distinct, key=int)}
                fields[name] = {"column": name, "values": named}
                tasks[name] = {"kind": "classification", "classes": list(named.values())}
            else:
                fields[name], tasks[name] = name, {"kind": "classification", "classes": distinct}
        elif _are_numbers(distinct):
            fields[name], tasks[name] = name, {"kind": "regression", "targets": [name]}
    return fields, tasks


def _points(header: list[str]) -> tuple[dict[str, str], list[str]] | None:
    """Columns such as x0 y0 x1 y1 ... or nose_x nose_y nose_vis ..."""
    known = set(header)
    for x, y, visible in (("x{i}", "y{i}", ("vis{i}", "v{i}")), ("x_{i}", "y_{i}", ("vis_{i}", "v_{i}"))):
        count = 0
        while {x.replace("{i}", str(count)), y.replace("{i}", str(count))} <= known:
            count += 1
        if count:
            names = [f"p{i}" for i in range(count)]
            return _spec(x, y, visible, known, "0", "{i}"), names
    names = [m[1] for name in header if (m := re.fullmatch(r"(.+)_x", name)) and f"{m[1]}_y" in known]
    if names:
        return _spec("{name}_x", "{name}_y", ("{name}_vis", "{name}_v"), known, names[0], "{name}"), names
    return None


def _spec(x: str, y: str, visible: tuple[str, str], known: set[str], first: str, slot: str) -> dict[str, str]:
    spec = {"x": x, "y": y}
    for pattern in visible:
        if pattern.replace(slot, first) in known:
            spec["visible"] = pattern
    return spec


def _are_numbers(values: list[str]) -> bool:
    try:
        return all(abs(float(value)) < 1e30 for value in values)
    except ValueError:
        return False
