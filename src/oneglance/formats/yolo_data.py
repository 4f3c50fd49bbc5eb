"""What a YOLO data set's data.yaml says, its classes apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneglance.errors import OneglanceError
from oneglance.formats.files import absolute, exists, read_text

#: The keys of data.yaml that name images, and the split that they are.
SPLIT_KEYS = {"train": "train", "val": "val", "valid": "val", "test": "test", "all": None}


@dataclass(frozen=True)
class Part:
    """Images of one split: all below ``folder``, or those that ``names`` lists (relative to it)."""

    split: str | None
    folder: Path
    names: list[tuple[str, str]] | None


def points_of_shape(value: Any, path: Path) -> tuple[int, int] | None:
    """How many points ``kpt_shape`` says, and numbers a point; raises OneglanceError where it can't be read."""
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or type(value[0]) is not int or value[1] not in (2, 3):
        raise OneglanceError(f"{path}: `kpt_shape` is {str(value)[:40]}; [points, 2 or 3] is expected")
    return value[0], value[1]


def point_names(value: Any, shape: tuple[int, int] | None) -> list[str] | None:
    """The points' names by ``kpt_names``, None where it has not as many."""
    names = next(iter(value.values()), None) if isinstance(value, dict) else value
    return [str(n) for n in names] if shape and isinstance(names, list) and len(names) == shape[0] else None


def image_parts(data: dict[str, Any], path: Path, root: Path) -> Iterator[Part]:
    """Where data.yaml says that the images are; nothing outside the source's ``root`` is looked at.

    Raises OneglanceError where it says nothing, or what is not there.
    """
    given = data.get("path")
    tops = [path.parent / str(given), path.parent] if given is not None else [path.parent]
    found = False
    for key, split in SPLIT_KEYS.items():
        values = data.get(key)
        for value in values if isinstance(values, list) else [values] if values else []:
            # Roboflow writes ../train/images for what stands in train/images.
            texts = [str(value), str(value).removeprefix("../")]
            places = [absolute(top / text) for text in texts for top in tops]
            place = next((p for p in places if exists(p)), None)
            if place is None:
                raise OneglanceError(f"{path}: `{key}`: there is no {places[0]}")
            if not place.is_relative_to(root):
                raise OneglanceError(
                    f"{path}: `{key}` is {place}, outside the source's root {root}; set `root` to a folder "
                    "that holds "
                    "both, or give `images` and `labels`"
                )
            found = True
            if place.is_dir():
                yield Part(split, place, None)
            else:
                lines = enumerate(read_text(place).splitlines(), 1)
                yield Part(
                    split,
                    root,
                    [(f"{place} line {n}", _inside(t, place, root)) for n, t in lines if t.strip()],
                )
    if not found:
        raise OneglanceError(f"{path}: none of the keys {', '.join(SPLIT_KEYS)} says where the images are")


def _inside(text: str, listed_in: Path, root: Path) -> str:
    """A line of a list of images, relative to ``root`` where it can be; anything else is refused later on."""
    text = text.strip().replace("\\", "/")
    for top in (listed_in.parent, root):
        place = absolute(top / text)
        if place.is_relative_to(root) and exists(place):
            return place.relative_to(root).as_posix()
    return text
