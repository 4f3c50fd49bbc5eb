"""Recognising COCO JSONs in a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from oneglance.errors import OneglanceError
from oneglance.formats.base import Suggestion
from oneglance.formats.coco_file import as_key, skeleton_of, some
from oneglance.formats.files import MEGABYTE, read_json
from oneglance.formats.image_folders import ImageFolders
from oneglance.formats.recognition import IDENTITIES, divided, free_key, json_files, points_task, relative_to, split_of

#: So many values an attribute that sorts objects may have, and so often most of them occur.
MOST_VALUES, OFTEN = 200, 5
#: Attributes by which tools keep their books.
_BOOKS = frozenset({"occluded", "truncated", "difficult", "outside", "keyframe", "iscrowd", "is_crowd", "rotation"})
#: Values by which tools say that nothing was said.
_UNSAID = frozenset({"", "__undefined__", "undefined", "unknown", "n/a", "na", "nan", "null"})


@dataclass
class _Attribute:
    """How often each text occurs, how many values are true or false or numbers, and the classes that have it."""

    texts: Counter[str] = field(default_factory=Counter)
    flags: Counter[bool] = field(default_factory=Counter)
    numbers: int = 0
    classes: dict[str, None] = field(default_factory=dict)

    def add(self, value: Any, label: str) -> None:
        """Another object's value."""
        if value is None or (isinstance(value, str) and value.strip().lower() in _UNSAID):
            return
        self.classes[label] = None
        if isinstance(value, bool):
            self.flags[value] += 1
        elif isinstance(value, str):
            self.texts[value] += 1
        else:
            self.numbers += 1

    def join(self, other: _Attribute) -> None:
        """Take in what another file has of it."""
        self.texts += other.texts
        self.flags += other.flags
        self.numbers += other.numbers
        self.classes |= other.classes

    @property
    def sorts(self) -> bool:
        """Whether it is a text by which objects are sorted: of a few values, most of which come again and again."""
        often = sum(count for count in self.texts.values() if count >= OFTEN)
        few = 2 <= len(self.texts) <= MOST_VALUES and often >= 0.9 * self.texts.total()
        return few and self.texts.total() > 10 * (self.numbers + self.flags.total())

    @property
    def holds_or_not(self) -> bool:
        """Whether it is true of some objects and false of others."""
        return len(self.flags) == 2 and not self.texts and not self.numbers


@dataclass(eq=False)
class _File:
    """What a JSON has, its annotations apart: their classes, and what they tell of objects.

    ``points``: by class, the names of its points and its skeleton, where an annotation has some.
    """

    path: Path
    images: dict[Any, str]
    classes: list[str]
    outlined: bool
    points: dict[str, tuple[list[str], list[list[str]]]]
    attributes: dict[str, _Attribute]

    @property
    def facts(self) -> set[tuple[str, str]]:
        """What it has, by name."""
        told = [("class", name) for name in self.classes] + [("points", name) for name in self.points]
        told += [("attribute", name) for name, one in self.attributes.items() if one.classes]
        return {*told, *([("outline", "")] if self.outlined else [])}


@dataclass(eq=False)
class _Source:
    """JSONs that speak of the images of one folder and are of one split."""

    folder: Path
    split: str | None
    files: list[_File] = field(default_factory=list)

    def takes(self, other: _File) -> bool:
        """Whether its annotations can be put together with those that are here: one number is one image."""
        return all(
            len(shared) == len(set(one.images.values()) & set(other.images.values()))
            and all(one.images[key] == other.images[key] for key in shared)
            for one in self.files for shared in [one.images.keys() & other.images.keys()]
        )  # fmt: skip

    def says_more(self, others: Sequence[_Source]) -> bool:
        """Whether it speaks of other images than these sources, or tells more of objects."""
        theirs = [file for one in others for file in one.files]
        names = {name for file in theirs for name in file.images.values()}
        told = {fact for file in theirs for fact in file.facts}
        mine = {name for file in self.files for name in file.images.values()}
        return not mine <= names or not {fact for file in self.files for fact in file.facts} <= told


def recognise(folder: Path) -> list[Suggestion]:
    """COCO JSONs in the folder (or one or two below), each with the image folder that holds its images."""
    places = ImageFolders(folder)
    sources: list[_Source] = []
    found: list[Suggestion] = []
    for path in json_files(folder):
        try:
            data = read_json(path, 512 * MEGABYTE)
        except OneglanceError:
            continue
        keys = ("images", "annotations", "categories")
        if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in keys):
            continue
        if any(isinstance(one, dict) and "segments_info" in one for one in data["annotations"]):
            continue  # panoptic: its annotations are no objects
        name = relative_to(path, folder)
        file = _read(path, data)
        images = places.of_names(file.images.values(), path)
        wrong = ""
        if images is None:
            shown = next(iter(file.images.values()), "none")
            wrong = f"its images ({shown[:60]!r}, ...) are in no folder here"
        elif not file.classes or not data["annotations"]:
            wrong = "it has no annotations, and whether somebody looked for objects is not known"
        if wrong or images is None:
            found.append(Suggestion({"format": "coco", "labels": name, "tasks": []}, {}, f"{name}: {wrong}"))
            continue
        split = split_of(path.stem)
        at = next((s for s in sources if (s.folder, s.split) == (images, split) and s.takes(file)), None)
        if at is None:
            sources.append(at := _Source(images, split))
        at.files.append(file)
    for source in sources:
        source.split = divided(source.split, [one.split for one in sources if one.folder == source.folder])
    for whole in [one for one in sources if one.split is None]:
        parts = [one for one in sources if one.split is not None and one.folder == whole.folder]
        if parts and not whole.says_more(parts):
            sources.remove(whole)
            names = [relative_to(file.path, folder) for file in whole.files]
            says = f"{', '.join(names)}: the files of the splits say the same of the same images"
            found.append(Suggestion({"format": "coco", "labels": names[0], "tasks": []}, {}, says))
    for together in _data_sets(sources):
        found += _suggestions(folder, together)
    return found


def _read(path: Path, data: dict[str, Any]) -> _File:
    images = {
        as_key(one.get("id")): one["file_name"]
        for one in data["images"] if isinstance(one, dict) and isinstance(one.get("file_name"), str)
    }  # fmt: skip
    annotations = [one for one in data["annotations"] if isinstance(one, dict)]
    known = [one for one in data["categories"] if isinstance(one, dict) and isinstance(one.get("name"), str)]
    of: dict[Any, str] = {}
    for one in known:
        of.setdefault(as_key(one.get("id")), one["name"])
    alone = [one for one in annotations if one.get("iscrowd") not in (1, True)]
    attributes: dict[str, _Attribute] = {}
    shown: set[str] = set()
    for one in alone:
        label = of.get(as_key(one.get("category_id")))
        if label is None:
            continue
        if any(value for value in some(one.get("keypoints"))[2::3]):
            shown.add(label)
        given = one.get("attributes")
        for name, value in given.items() if isinstance(given, dict) else ():
            attributes.setdefault(name, _Attribute()).add(value, label)
    points: dict[str, tuple[list[str], list[list[str]]]] = {}
    for one in known:
        names = [str(name) for name in some(one.get("keypoints"))]
        if one["name"] in shown and len(set(names)) == len(names) > 0:
            points.setdefault(one["name"], (names, skeleton_of(one.get("skeleton"), names)))
    return _File(path, images, _classes(known, annotations), any(map(_has_outline, alone)), points, attributes)


def _classes(categories: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> list[str]:
    """The categories' names, without one that is only the heading of others and marks nothing (Roboflow's number 0)."""
    headings = {str(c.get("supercategory")) for c in categories if c.get("supercategory") not in (None, c["name"])}
    used = {as_key(a.get("category_id")) for a in annotations}
    names = [c["name"] for c in categories if c["name"] not in headings or as_key(c.get("id")) in used]
    return list(dict.fromkeys(names or [c["name"] for c in categories]))


def _has_outline(annotation: dict[str, Any]) -> bool:
    """Whether it has an outline that says more than its box: exporters of boxes write these as polygons too."""
    shape = annotation.get("segmentation")
    if isinstance(shape, dict):
        return True
    parts = [list(map(str, part)) for part in some(shape) if isinstance(part, list) and part]
    return any(not _is_rectangle(list(zip(part[::2], part[1::2], strict=False))) for part in parts)


def _is_rectangle(corners: list[tuple[str, str]]) -> bool:
    columns, rows = {x for x, _ in corners}, {y for _, y in corners}
    return len(columns) == len(rows) == 2 and set(corners) == set(product(columns, rows))


def _data_sets(sources: Sequence[_Source]) -> list[list[_Source]]:
    """Sources that have a class in common are parts of one data set; where they name splits, they are anyway."""
    parts: list[tuple[set[str], list[_Source]]] = []
    for source in sources:
        classes = {name for file in source.files for name in file.classes}
        same = [part for part in parts if part[0] & classes or _are_splits([*part[1], source])]
        joined = (classes.union(*(part[0] for part in same)), [one for part in same for one in part[1]] + [source])
        parts = [part for part in parts if part not in same] + [joined]
    return [part[1] for part in parts]


def _are_splits(sources: Sequence[_Source]) -> bool:
    """Whether these are different splits, of one folder of annotations."""
    splits = [source.split for source in sources]
    folders = {file.path.parent for source in sources for file in source.files}
    return None not in splits and len(set(splits)) == len(splits) and len(folders) == 1


def _suggestions(folder: Path, sources: Sequence[_Source]) -> list[Suggestion]:
    """A suggestion a source of one data set; the tasks are those of all of it."""
    files = [file for source in sources for file in source.files]
    classes = list(dict.fromkeys(name for file in files for name in file.classes))
    tasks: dict[str, dict[str, Any]] = {"objects": {"kind": "detection", "classes": classes}}
    #: By task, the files that have labels for it.
    having: dict[str, list[_File]] = {"objects": files}

    def add(name: str, task: dict[str, Any], of: Iterable[_File]) -> None:
        key = free_key(name, tasks)
        tasks[key], having[key] = task, list(of)

    if outlined := [file for file in files if file.outlined]:
        add("outline", {"kind": "mask", "on": "objects"}, outlined)
    for label in dict.fromkeys(label for file in files for label in file.points):
        mine = [file for file in files if label in file.points]
        names = mine[0].points[label][0]
        alike = [file for file in mine if set(file.points[label][0]) == set(names)]
        skeleton = next((found for file in alike if (found := file.points[label][1])), [])
        add(f"{label}_points", points_task(names, f"objects.{label}", skeleton=skeleton), alike)
    unasked, tags = [], []
    says: dict[str, str] = {}
    attributes: dict[str, _Attribute] = {}
    for file in files:
        for name, attribute in file.attributes.items():
            attributes.setdefault(name, _Attribute()).join(attribute)
    for name, one in attributes.items():
        mine = [file for file in files if name in file.attributes and file.attributes[name].classes]
        on = "objects" if len(one.classes) > 1 else f"objects.{next(iter(one.classes), '')}"
        if not name.strip() or name.lower() in _BOOKS or not one.classes:
            continue
        if name.lower() in IDENTITIES and 2 <= len(one.texts) < one.texts.total():
            add("who", {"kind": "embedding", "on": on}, mine)
            says["identity"] = name
        elif one.sorts:
            task = {"kind": "classification", "on": on, "attribute": name, "classes": sorted(one.texts)}
            add(name, task, mine)
        elif one.holds_or_not:
            tags.append(name)
        else:
            unasked.append(name)
    if tags:
        mine = [file for file in files if any(name in file.attributes for name in tags)]
        add("tags", {"kind": "tagging", "on": "objects", "classes": tags}, mine)
    note = f"attributes that are numbers or many texts are not asked for: {', '.join(unasked)}" if unasked else ""
    return [_suggestion(folder, source, tasks, having, note, says) for source in sources]


def _suggestion(
    folder: Path,
    source: _Source,
    tasks: dict[str, dict[str, Any]],
    having: dict[str, list[_File]],
    note: str,
    says: dict[str, str],
) -> Suggestion:
    labels = [relative_to(file.path, folder) for file in source.files]
    entry: dict[str, Any] = {
        "format": "coco",
        "images": relative_to(source.folder, folder),
        "labels": labels if len(labels) > 1 else labels[0],
    }
    if source.split:
        entry["split"] = source.split
    own = [name for name, files in having.items() if any(file in files for file in source.files)]
    stems = frozenset(Path(name).stem for file in source.files for name in file.images.values())
    if "who" in own:
        entry |= says
    return Suggestion({**entry, "tasks": own}, {name: tasks[name] for name in own}, note, stems)
