"""The top of a COCO file: its lists, and ids as they come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oneglance.errors import OneglanceError, nearest
from oneglance.formats.files import read_json


def as_list(value: Path | list[Path] | None) -> list[Path]:
    """A setting that may be left out, one path or several, as a list."""
    return [] if value is None else value if isinstance(value, list) else [value]


def as_key(value: Any) -> Any:
    """An id as a dictionary's key; None for what can't be one."""
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def some(value: Any) -> list[Any]:
    """A list that may be missing, or be no list."""
    return value if isinstance(value, list) else []


def skeleton_of(value: Any, names: Sequence[str]) -> list[list[str]]:
    """A category's skeleton by the points' names, which outlive another order of points; COCO counts them from 1."""
    known = range(1, len(names) + 1)
    pairs = [pair for pair in some(value) if isinstance(pair, list) and len(pair) == 2]
    return [[names[a - 1], names[b - 1]] for a, b in pairs if type(a) is type(b) is int and a in known and b in known]


def need_list(data: dict[str, Any], key: str, path: Path) -> list[Any]:
    """A list of the file; raises OneglanceError where there is none."""
    value = data.get(key)
    if not isinstance(value, list):
        found = "there is none" if key not in data else f"it is a {type(value).__name__}"
        raise OneglanceError(f"{path}: COCO's list {key!r} is expected, {found}{nearest(key, data)}")
    return value


def read_top(path: Path, key: str) -> dict[str, Any]:
    """A COCO file with images and annotations; ``key``: the setting that names it. Raises OneglanceError."""
    data = read_json(path)
    if not isinstance(data, dict):
        hint = " (a list of results? they are predictions, not labels)" if isinstance(data, list) else ""
        raise OneglanceError(f"{path}: COCO's `{key}` is an object with images and annotations{hint}")
    need_list(data, "images", path)
    if "annotations" not in data:
        raise OneglanceError(
            f"{path}: it has no 'annotations', so its images are unlabelled, not empty; "
            "give the file with the annotations, or read the folder with `unlabelled: true` beside another "
            "JSON"
        )
    need_list(data, "annotations", path)
    return data
