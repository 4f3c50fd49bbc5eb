"""One pass over one source: tasks and classes looked up, images found, everything passed over written
down.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from oneglance.annotations import (
    UNLABELLED,
    Annotation,
    Identity,
    Instance,
    Instances,
    Label,
    Points,
    Record,
    Tags,
)
from oneglance.decode import ImageError, read_size
from oneglance.errors import OneglanceError, Problems, nearest
from oneglance.formats.base import SourceSettings
from oneglance.formats.files import Refused, absolute, inside, need_folder
from oneglance.formats.shapes import TOLERANCE, Nothing
from oneglance.manifest import Column, Columns

Annotations = dict[str, Annotation | None]


@dataclass(frozen=True)
class Found:
    """An image that exists and can be opened: its path, its path relative to the image folder, its size in
    pixels.
    """

    path: Path
    relative: str
    width: int
    height: int


@dataclass
class Reading:
    """What a reader needs to know and what it will have to say.

    Things that happen once a row are counted, and said once by :meth:`finish`: a misspelt class is one
    sentence, not a million.
    """

    settings: SourceSettings
    columns: Columns
    problems: Problems
    base: Path
    tasks: dict[str, Column] = field(init=False)
    name: str = field(init=False)
    _left_out: Counter[str] = field(default_factory=Counter)
    _notes: Counter[tuple[str, str]] = field(default_factory=Counter)
    _outside: Counter[str] = field(default_factory=Counter)
    _seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        settings = self.settings
        # Absolute, but links kept: a path is the key by which sources of the same images are joined.
        self.base = absolute(self.base)
        self.name = settings.source_name(self.base)
        where = f"source {self.name!r} ({settings.format})"
        if not settings.task_names:
            raise OneglanceError(f"{where}: `tasks` is empty; name the tasks that its labels are for")
        self.tasks = {}
        for task in settings.task_names:
            if task not in self.columns:
                raise OneglanceError(f"{where}: there is no task {task!r}{nearest(task, self.columns)}")
            column = self.columns[task]
            if column.type not in settings.types:
                can = ", ".join(sorted(settings.types))
                raise OneglanceError(
                    f"{where}: task {task!r} keeps {column.type}; {settings.format} can give {can}: take "
                    f"{task!r} out "
                    "of `tasks`, or read its labels in another format"
                )
            wanted = settings.tasks[task] if isinstance(settings.tasks, dict) else None
            if settings.fields is not None and wanted is not None and wanted not in settings.fields:
                known = ", ".join(settings.fields)
                raise OneglanceError(f"{where}: task {task!r} asks for {wanted!r}; {settings.format} has: {known}")
            self.tasks[task] = column
        self._group = re.compile(settings.group) if settings.group else None

    @property
    def folder(self) -> Path:
        """The folder to which the settings' paths are relative."""
        return absolute(self.settings.folder(self.base))

    def at(self, path: Path | str) -> Path:
        """A path of the settings, absolute."""
        return absolute(self.folder / path)

    def problem(self, where: object, what: str) -> None:
        """Note something that is passed over."""
        self.problems.add(where, what)

    def note(self, where: object, what: str) -> None:
        """Count something that is said once for each file; ``what`` continues '12 times: '."""
        self._notes[str(where), what] += 1

    # -- images

    def image(self, folder: Path, name: Any, where: object) -> Found | None:
        """The image ``name`` inside ``folder``, or None and a problem at ``where``."""
        try:
            relative = inside(folder, name, self.settings.links)
        except Refused as error:
            self.problem(where, str(error))
            return None
        path = folder / relative
        try:
            width, height = read_size(path)
        except ImageError as error:
            self.problem(path, str(error).removeprefix(f"{path}: "))
            return None
        return Found(path, relative, width, height)

    def compare_size(self, image: Found, width: Any, height: Any, where: object) -> None:
        """Report a size in a label file that is not the image's; sizes that are missing or 0 say nothing."""
        if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
            return
        if (width, height) == (image.width, image.height):
            return
        hint = ""
        if (height, width) == (image.width, image.height):
            hint = (
                " (width and height changed places: the image is probably turned by its EXIF tag and the "
                "labels were "
                "drawn on it unturned; look at them)"
            )
        self.problem(
            where,
            f"the size is given as {width} x {height}, {image.relative} has {image.width} x {image.height}{hint}",
        )

    def record(
        self,
        image: Found,
        annotations: Annotations,
        split: str | None = None,
        group: str | None = None,
        **extra: Any,
    ) -> Record:
        """The row of an image; the settings' split and group go before those that the format gives."""
        if self._group is not None:
            match = self._group.search(image.relative)
            if match:
                group = match.group(1)
            else:
                self.note(
                    self.name,
                    f"an image's path is not matched by `group: {self._group.pattern}`; it has no group",
                )
        return Record(
            path=image.path,
            width=image.width,
            height=image.height,
            split=self.settings.split or split,
            source=self.name,
            group=group,
            annotations=annotations,
            extra={key: value for key, value in extra.items() if value not in (None, [], {})},
        )

    def unlabelled(self) -> Annotations:
        """What is said of an image that nobody labelled."""
        return dict.fromkeys(self.tasks)

    def first_time(self, image: Found, where: object) -> bool:
        """Whether this image had no row yet; a problem is noted where it had."""
        if image.relative in self._seen:
            self.problem(where, f"the image {image.relative!r} was already described; the first description is kept")
            return False
        self._seen.add(image.relative)
        return True

    # -- classes

    def class_of(self, task: str, name: str) -> str | None:
        """The task's class for the source's class ``name``, or None where the task has no such class."""
        name = self.settings.rename.get(name, name)
        classes = self.tasks[task].classes
        return name if not classes or name in classes else None

    def leave_out(self, name: str, count: int = 1) -> None:
        """Count objects of a class that no task has."""
        self._left_out[name] += count

    def looked_for(self, task: str, known: Iterable[str] | None) -> tuple[str, ...] | None:
        """The task's classes that were looked for; ``known``: the source's class names (None: all). None:
        all.
        """
        if self.settings.annotated is not None:
            known = self.settings.annotated
        if known is None:
            return None
        mapped = {self.settings.rename.get(name, name) for name in known}
        classes = self.tasks[task].classes
        if not classes:
            return None
        found = tuple(name for name in classes if name in mapped)
        return None if len(found) == len(classes) else found

    # -- objects

    def objects(
        self,
        items: Sequence[Instance],
        where: object,
        known: Iterable[str] | None = None,
        point_names: Mapping[str, Sequence[str]] | None = None,
        tasks: Iterable[str] | None = None,
        lost: Collection[str | None] = (),
    ) -> Annotations:
        """What an image's objects say to each task: a list of objects, which classes occur, the one object's
        points.

        ``items`` carry the source's class names; ``known``: the classes that were looked for (None: all);
        ``point_names``: the names of the points of each of the source's classes. ``lost``: the classes of objects that
        somebody labelled and that could not be read (None: not even their class): such an object is somewhere, so its
        class is not known in the rest of the image.
        """
        known = None if known is None else list(known)
        annotations: Annotations = {}
        used = [False] * len(items)
        for task in self.tasks if tasks is None else tasks:
            mine = []
            for index, item in enumerate(items):
                name = self.class_of(task, item.label)
                if name is None:
                    continue
                used[index] = True
                points = item.points
                if points is not None:
                    points = self.named_points(task, points, (point_names or {}).get(item.label), where, name)
                mine.append(replace(item, label=name, points=points))
            annotations[task] = self._of_type(task, mine, known, where, lost)
        for item, was_used in zip(items, used, strict=True):
            if not was_used:
                self.leave_out(item.label)
        return annotations

    def _of_type(
        self,
        task: str,
        items: list[Instance],
        known: list[str] | None,
        where: object,
        lost: Collection[str | None],
    ) -> Annotation | None:
        kind, classes = self.tasks[task].type, self.tasks[task].classes
        annotated = self.looked_for(task, known)
        if annotated == ():
            return None  # nothing of what the task asks for was looked for
        gone = {name for one in lost if one is not None and (name := self.class_of(task, one)) is not None}
        if kind == "instances":
            if classes and (gone or None in lost):
                left = () if None in lost else annotated or classes
                annotated = tuple(name for name in left if name not in gone)
                if not annotated and not items:
                    return None
            return Instances(tuple(items), annotated)
        names = list(dict.fromkeys([*(item.label for item in items), *sorted(gone)]))  # wherever it is, it is there
        if kind == "tags":
            return Tags(tuple(names), tuple(names) if None in lost else annotated)
        if None in lost or (gone and kind != "label"):
            return None
        if kind == "label":
            if len(names) > 1:
                self.problem(
                    where,
                    f"objects of {len(names)} classes ({', '.join(names[:4])}); task {task!r} needs one",
                )
            return Label(names[0]) if len(names) == 1 else None
        carried = [item.points if kind == "points" else item.identity for item in items]
        carried = [value for value in carried if value is not None]
        if len(carried) > 1:
            self.problem(
                where,
                f"{len(carried)} objects with {kind}; task {task!r} on the whole image needs one: unknown",
            )
        if len(carried) != 1:
            return None
        return carried[0] if isinstance(carried[0], Points) else Identity(carried[0])

    def named_points(
        self, task: str, points: Points, names: Sequence[str] | None, where: object, label: str | None = None
    ) -> Points | None:
        """Points in the order of the task's own (of those on objects of the class ``label``); those that the source
        doesn't have are unlabelled."""
        column = self.tasks[task]
        wanted = column.points_of.get(label, column.points) if label is not None else column.points
        if not wanted or (names is not None and tuple(names) == wanted):
            return points
        if names is None or len(names) != len(points.xy):
            if len(points.xy) == len(wanted):
                return points
            self.problem(where, f"{len(points.xy)} points without names; task {task!r} has {len(wanted)}: unknown")
            return None
        place = {name: index for index, name in enumerate(names)}
        xy = np.zeros((len(wanted), 2), np.float32)
        visibility = np.full(len(wanted), UNLABELLED, np.int8)
        for index, name in enumerate(wanted):
            if name in place:
                xy[index], visibility[index] = points.xy[place[name]], points.visibility[place[name]]
        missing = [name for name in wanted if name not in place]
        if missing and len(missing) < len(wanted):
            some = ", ".join(missing[:4]) + (", ..." if len(missing) > 4 else "")
            self.note(self.name, f"points that task {task!r} has and the source does not name ({some}): unknown there")
        if not set(names) & set(wanted):
            self.note(self.name, f"none of the points {', '.join(list(names)[:4])}, ... is a point of task {task!r}")
            return None
        return Points(xy, visibility)

    def outside(self, task: str, points: Points, width: int, height: int) -> None:
        """Count labelled points that lie outside their image: they are kept, since what is cut off is still
        known.
        """
        xy = points.xy[points.visibility != UNLABELLED]
        low, high = -TOLERANCE, np.array([width, height], np.float32) + TOLERANCE
        self._outside[task] += int(((xy < low) | (xy > high)).any(1).sum())

    # -- the end

    def finish(self) -> None:
        """Say what was only counted so far."""
        known = sorted({name for column in self.tasks.values() for name in column.classes})
        for name, count in self._left_out.items():
            renamed = self.settings.rename.get(name, name)
            shown = repr(name) if renamed == name else f"{name!r} (renamed to {renamed!r})"
            self.problems.add(
                f"source {self.name!r}",
                f"{count} of class {shown} left out: no task of this source has the class{nearest(renamed, known)}",
                is_note=True,
            )
        for (where, what), count in self._notes.items():
            self.problems.add(where, f"{count} times: {what}", is_note=True)
        for task, count in self._outside.items():
            if count:
                what = f"{count} points of task {task!r} lie outside their image (kept)"
                self.problems.add(f"source {self.name!r}", what, is_note=True)


def passed_over(error: object, label: str | None, lost: set[str | None]) -> str:
    """What is said of an object of this class (None: of an unknown one) that can't be read, with what that means for
    its image; the class is added to ``lost``, unless nothing is there to be lost."""
    if isinstance(error, Nothing):
        return f"{error}; passed over"
    lost.add(label)
    what = "what else" if label is None else f"where else {label}"
    return f"{error}; passed over, and {what} is in the image is unknown"


def folder_of(reading: Reading, path: Path | str | None, key: str) -> Path:
    """A folder of the settings, absolute; raises OneglanceError that names the setting ``key`` where there is
    none.
    """
    return need_folder(reading.folder if path is None else reading.at(path), key)
