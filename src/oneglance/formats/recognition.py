"""What the formats share when they look at a folder: bounded listings, and names that tell."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain, count
from pathlib import Path
from typing import Any

from oneglance.formats.base import Suggestion
from oneglance.formats.files import is_image_name

#: No look at a folder keeps more entries of a suffix than this, and of no more suffixes than that.
LOOK, KINDS = 5000, 100
#: Folder names that hold images, and names of splits, as data sets use them.
SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test", "train2017": "train", "val2017": "val", "trainval": "train",
}  # fmt: skip


#: Sides in the names of points, and those across.
_SIDES = {
    one: other
    for pair in (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"), ("l", "r"), ("L", "R"))
    for one, other in (pair, pair[::-1])
}
#: What columns and attributes are called that say who somebody is.
IDENTITIES = frozenset({"identity", "person", "person_id", "who", "subject", "individual"})
#: Keys by which a source says itself which of its images are in which split.
_SAYS_SPLITS = ("split", "splits", "split_column")


def with_split(suggestion: Suggestion) -> Suggestion:
    """The suggestion with the split that a folder on the way to its images is named after, if it names none itself.

    Divided anew, images that somebody kept apart for testing would be trained on.
    """
    place = suggestion.source.get("images", suggestion.source.get("root"))
    if not isinstance(place, str) or any(key in suggestion.source for key in _SAYS_SPLITS):
        return suggestion
    splits = [SPLITS[part.lower()] for part in reversed(place.split("/")) if part.lower() in SPLITS]
    if not splits:
        return suggestion
    source = dict(suggestion.source)
    tasks = source.pop("tasks", None)  # kept last, as every format has it
    source["split"] = splits[0]
    return replace(suggestion, source=source if tasks is None else {**source, "tasks": tasks})


def split_of(stem: str) -> str | None:
    """The split that a file's name speaks of, or ``trainval`` (see :func:`divided`)."""
    words = [word for word in re.findall("[a-z]+", stem.lower()) if word in SPLITS]
    return None if not words else words[0] if words[0] == "trainval" else SPLITS[words[0]]


def divided(split: str | None, others: Collection[str | None]) -> str | None:
    """``trainval`` is `train` where no other file is called `train` or `val`, and else no split: those divide it."""
    return split if split != "trainval" else None if {"train", "val"} & set(others) else "train"


def entries(folder: Path, limit: int = LOOK) -> list[os.DirEntry[str]]:
    """The entries of a folder by name, hidden ones left out: of each suffix (and of folders) the first ``limit``; none
    where it can't be read."""
    try:
        found = _scan(folder, folder.stat().st_mtime_ns)
    except OSError:
        return []
    return sorted((e for kind in found.values() for e in kind[:limit]), key=lambda e: e.name)


@lru_cache(maxsize=1024)  # each format looks at the same folders
def _scan(folder: Path, changed: int) -> dict[str, list[os.DirEntry[str]]]:
    """By suffix ("/" for folders) the first entries by name. A folder of a million files is gone through, not held."""
    found: dict[str, list[os.DirEntry[str]]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            kind = "/" if entry.is_dir() else posixpath.splitext(entry.name)[1].lower()
            mine = found.setdefault(kind, []) if kind in found or len(found) < KINDS else []
            mine.append(entry)
            if len(mine) >= 2 * LOOK:
                mine.sort(key=lambda e: e.name)
                del mine[LOOK:]
    for mine in found.values():
        mine.sort(key=lambda e: e.name)
        del mine[LOOK:]
    return found


def forget_folders() -> None:
    """Forget what folders hold: with thousands of them, their entries take memory."""
    _scan.cache_clear()


def folders(folder: Path, depth: int = 2) -> list[Path]:
    """The folder and those below it, down to ``depth`` levels, at most a few hundred."""
    found = [folder]
    level = [folder]
    for _ in range(depth):
        level = [Path(e.path) for top in level for e in entries(top) if e.is_dir(follow_symlinks=False)]
        found += level[:200]
    return found[:400]


def files(folder: Path, suffix: str, depth: int = 2) -> list[Path]:
    """Files that end on ``suffix`` in the folder and below, at most some hundred."""
    found = [Path(e.path) for top in folders(folder, depth) for e in entries(top) if e.name.lower().endswith(suffix)]
    return [path for path in found if path.is_file()][:500]


def json_files(folder: Path) -> list[Path]:
    """JSON files that may be COCO's: in the folder and two levels below."""
    return files(folder, ".json")


def images_in(folder: Path, limit: int = LOOK) -> list[str]:
    """Names of image files that stand directly in a folder."""
    return [e.name for e in entries(folder, limit) if is_image_name(e.name)]


def relative_to(path: Path, folder: Path) -> str:
    """``path`` as a YAML in ``folder`` would give it."""
    return os.path.relpath(path, folder).replace(os.sep, "/")


def free_key(name: str, taken: Mapping[str, Any]) -> str:
    """The name, or with a number after it, so that it is not taken."""
    return next(one for one in chain([name], (f"{name}_{k}" for k in count(2))) if one not in taken)


def points_task(
    points: Sequence[str],
    on: str | None = None,
    flip: Sequence[Sequence[str]] | None = None,
    skeleton: Sequence[Sequence[str]] = (),
) -> dict[str, Any]:
    """A task that asks for named points, of the image or ``on`` objects.

    ``flip``: the pairs that change places in a mirror, where the data say it; else the names may. Where neither does,
    nothing is said of mirrors: that no points change places is not known, and the images are never mirrored.
    """
    task: dict[str, Any] = {"kind": "keypoints", **({"on": on} if on else {}), "points": list(points)}
    pairs = flip_pairs(points) or None if flip is None else flip
    if pairs is not None:
        task["flip"] = [list(pair) for pair in pairs]
    if skeleton:
        task["skeleton"] = [list(pair) for pair in skeleton]
    return task


def mirror_note(tasks: Mapping[str, Mapping[str, Any]]) -> str:
    """What is to be said of tasks whose points may change places in a mirror; "" where that is known."""
    unknown = [name for name, task in tasks.items() if task["kind"] == "keypoints" and "flip" not in task]
    if not unknown:
        return ""
    return (
        f"{', '.join(unknown)}: which points change places in a mirror is not known, so these images are never "
        "mirrored: give the pairs as `flip`, or `flip: []` if there are none"
    )


def flip_pairs(points: Sequence[str]) -> list[list[str]]:
    """Pairs that change places in a mirror, by their names: left_eye with right_eye, l_hip with r_hip. Not a single one
    where a point that is said to be on one side has no partner: then the names are not understood."""
    known = set(points)
    pairs = []
    for name in points:
        other = _other_side(name)
        if other not in known:
            return []
        if points.index(name) < points.index(other):
            pairs.append([name, other])
    return pairs


def _other_side(name: str) -> str:
    """The name with all its sides swapped; the name itself where it has none."""
    swapped = re.sub("left|right|Left|Right|LEFT|RIGHT", lambda m: _SIDES[m[0]], name)
    return re.sub(r"^[lrLR](?=_)|(?<=_)[lrLR]$", lambda m: _SIDES[m[0]], name) if swapped == name else swapped
