"""The cells of a table's row, read as one task's annotation."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from itertools import count, takewhile
from typing import Any

import numpy as np

from oneglance.annotations import (
    HIDDEN,
    UNLABELLED,
    VISIBLE,
    Annotation,
    Identity,
    Instance,
    Label,
    Numbers,
    Points,
    Tags,
)
from oneglance.errors import OneglanceError, nearest
from oneglance.formats.csv_table import CsvField, Row, Table
from oneglance.formats.reading import Found, Reading, passed_over
from oneglance.formats.shapes import Bad, box_of_shape, checked_box, checked_polygon, number
from oneglance.manifest import Column

_NOTHING = frozenset({"", "nan", "na", "n/a", "null"})


class _Reader(ABC):
    """Reads one task's annotation from the rows of an image; ``many``: all rows are used, not only the
    first.
    """

    many = False

    def __init__(self, field: CsvField, task: str, column: Column, table: Table, reading: Reading) -> None:
        self.field, self.task, self.column, self.table, self.reading = field, task, column, table, reading
        self.values = {str(key): value for key, value in (field.values or {}).items()}

    def place(self, name: str | None, key: str) -> int:
        """The place of a column that must be given."""
        if name is None:
            raise OneglanceError(
                f"{self.table.path}: task {self.task!r} keeps {self.column.type} and needs `{key}` in `tasks`"
            )
        return self.table.need(name, f"task {self.task!r}")

    @abstractmethod
    def read(self, rows: list[Row], image: Found) -> Annotation | None:
        """The annotation, None where it is unknown; what can't be used is reported."""

    def known(self, cell: str) -> str:
        """The task's class for a cell; raises Bad where it has none."""
        name = self.values.get(cell, cell)
        if self.values and cell not in self.values:
            raise Bad(f"the value {cell[:60]!r} is not in `values`{nearest(cell, self.values)}")
        found = self.reading.class_of(self.task, name)
        if found is None:
            raise Bad(f"{name[:60]!r} is no class of it{nearest(name, self.column.classes)}")
        return found


class _RowReader(_Reader):
    """Reads the annotation from the image's first row."""

    def read(self, rows: list[Row], image: Found) -> Annotation | None:
        """The annotation, None where it is unknown; what can't be used is reported."""
        try:
            return self.of(rows[0], image)
        except Bad as error:
            self.reading.problem(rows[0].where, f"task {self.task!r}: {error}; unknown")
            return None

    @abstractmethod
    def of(self, row: Row, image: Found) -> Annotation | None:
        """The annotation that a row gives; raises Bad where it can't be used."""


class _LabelReader(_RowReader):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.at = self.place(self.field.column, "column")

    def of(self, row: Row, image: Found) -> Annotation | None:
        cell = row.cells[self.at]
        return Label(self.known(cell)) if cell else None


class _IdentityReader(_LabelReader):
    def of(self, row: Row, image: Found) -> Annotation | None:
        cell = row.cells[self.at]
        return Identity(self.values.get(cell, cell)) if cell else None


class _TagsReader(_RowReader):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if self.field.columns is None:
            self.at = [self.place(self.field.column, "column` or `columns")]
            return
        names = self.field.columns
        self.at = [self.place(name, "columns") for name in names]
        self.tags = []
        for name in names:
            try:
                self.tags.append(self.known(name))
            except Bad as error:
                raise OneglanceError(f"{self.table.path}: task {self.task!r}: column {error}") from error

    def of(self, row: Row, image: Found) -> Annotation | None:
        if self.field.columns is None:
            cell = row.cells[self.at[0]]
            if not cell:
                return None
            parts = [part.strip() for part in (cell.split(self.field.separator) if self.field.separator else [cell])]
            return Tags(tuple(dict.fromkeys(self.known(part) for part in parts if part)), self.looked_for())
        names, annotated = [], []
        for at, tag in zip(self.at, self.tags, strict=True):
            cell = row.cells[at].lower()
            if cell in _NOTHING:
                continue
            if cell not in ("0", "1", "0.0", "1.0", "true", "false", "yes", "no", "-1"):
                raise Bad(f"column {self.table.header[at]!r} holds {cell[:40]!r}; 1, 0 or nothing is expected")
            annotated.append(tag)
            if cell in ("1", "1.0", "true", "yes"):
                names.append(tag)
        if not annotated:
            return None
        everything = self.column.classes
        return Tags(tuple(names), None if set(annotated) == set(everything) else tuple(annotated))

    def looked_for(self) -> tuple[str, ...] | None:
        return self.reading.looked_for(self.task, None)


class _NumbersReader(_RowReader):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        names = self.field.columns or ([self.field.column] if self.field.column else [])
        if self.column.targets and len(names) != len(self.column.targets):
            raise OneglanceError(
                f"{self.table.path}: task {self.task!r} has {len(self.column.targets)} targets, `columns` "
                f"names {len(names)}"
            )
        self.at = [self.place(name, "columns") for name in names]

    def of(self, row: Row, image: Found) -> Annotation | None:
        found = [_number(row.cells[at], self.table.header[at]) for at in self.at]
        if all(value is None for value in found):
            return None
        return Numbers(np.array([math.nan if value is None else value for value in found], np.float32))


class _PointsReader(_RowReader):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        field = self.field
        if field.x is None or field.y is None:
            self.place(None, "x` and `y")
        names = self.column.points or self._names(str(field.x))
        if not names:
            raise OneglanceError(f"{self.table.path}: task {self.task!r}: `x` {field.x!r} fits none of the columns")
        patterns = [field.x, field.y, *([field.visible] if field.visible else [])]
        self.at = [
            [self.place(str(pattern).replace("{i}", str(i)).replace("{name}", name), "x") for pattern in patterns]
            for i, name in enumerate(names)
        ]

    def _names(self, pattern: str) -> tuple[str, ...]:
        """The points that the table has: their numbers, or the names that stand in its header."""
        if "{name}" in pattern:
            named = re.compile(re.escape(pattern).replace(re.escape("{name}"), "(.+)", 1))
            return tuple(found[1] for one in self.table.header if (found := named.fullmatch(one)))
        numbers = map(str, count()) if "{i}" in pattern else ()
        return tuple(takewhile(lambda i: pattern.replace("{i}", i) in self.table.header, numbers))

    def of(self, row: Row, image: Found) -> Points | None:
        xy = np.zeros((len(self.at), 2), np.float32)
        visibility = np.full(len(self.at), UNLABELLED, np.int8)
        given = False
        for index, places in enumerate(self.at):
            x, y = (_number(row.cells[at], self.table.header[at]) for at in places[:2])
            seen = self._visibility(row.cells[places[2]]) if len(places) > 2 else VISIBLE
            given = given or x is not None or y is not None
            if x is None or y is None:
                continue
            xy[index], visibility[index] = (number(x), number(y)), seen
        if not given:
            return None
        points = Points(xy, visibility)
        self.reading.outside(self.task, points, image.width, image.height)
        return points

    def _visibility(self, cell: str) -> int:
        value = _number(cell, "visibility")
        if value is None or value == 0:
            return UNLABELLED
        if self.field.visibility == "binary":
            return VISIBLE
        if value not in (HIDDEN, VISIBLE):
            raise Bad(f"a point's visibility is {cell[:20]!r}; 0, 1 or 2 is expected")
        return int(value)


class _InstancesReader(_Reader):
    many = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        field, only = self.field, self.column.classes
        self.label = None if field.label is None and len(only) == 1 else self.place(field.label, "label")
        self.box = [self.place(name, "box") for name in field.box or ()]
        if field.box is not None and len(field.box) != 4:
            raise OneglanceError(f"{self.table.path}: task {self.task!r}: `box` names {len(field.box)} columns, not 4")
        if field.box is None and field.x is None:
            self.place(None, "box` (or `x` and `y")
        self.points = _PointsReader(*_of_points(args)) if field.x is not None else None
        self.identity = None if field.identity is None else self.place(field.identity, "identity")
        self.score = None if field.score is None else self.place(field.score, "score")

    def read(self, rows: list[Row], image: Found) -> Annotation | None:
        items = []
        lost: set[str | None] = set()
        for row in rows:
            try:
                item = self._instance(row, image)
            except Bad as error:
                self.reading.problem(row.where, f"task {self.task!r}: {self._lose(error, row, lost)}")
                continue
            if item is not None:
                items.append(item)
        return self.reading.objects(items, rows[0].where, self._known(), tasks=[self.task], lost=lost)[self.task]

    def _lose(self, error: Bad, row: Row, lost: set[str | None]) -> str:
        """See :func:`passed_over`; what has another value in its column was not looked for."""
        cell = None if self.label is None else row.cells[self.label]
        if cell and self.values and cell not in self.values:
            return f"{error}; passed over"
        label = self.column.classes[0] if cell is None else self.values.get(cell, cell) or None
        return passed_over(error, label, lost)

    def _known(self) -> Sequence[str] | None:
        return list(self.values.values()) if self.values else None

    def _instance(self, row: Row, image: Found) -> Instance | None:
        cells = [row.cells[at] for at in self.box]
        points = self.points.of(row, image) if self.points is not None else None
        if all(cell.lower() in _NOTHING for cell in cells) and points is None:
            return None  # the image was looked at, and has no object
        name = self.column.classes[0] if self.label is None else self._class(row.cells[self.label])
        item = Instance(name, identity=row.cells[self.identity] or None if self.identity is not None else None)
        box = None
        if self.points is not None and points is not None:
            if self.field.outline:
                polygon, complaint = checked_polygon(points.xy.ravel().tolist(), image.width, image.height)
                if complaint:
                    self.reading.problem(row.where, complaint)
                item = replace(item, polygons=(polygon,))
            item = replace(item, points=points)
            box = box_of_shape(item, image.width, image.height)
        if self.box:
            values = [_number(cell, self.table.header[at]) for cell, at in zip(cells, self.box, strict=True)]
            if any(value is None for value in values):
                raise Bad("a box with empty cells")
            x1, y1, x2, y2 = (number(value) for value in values)
            if self.field.box_format == "xywh":
                x2, y2 = x1 + x2, y1 + y2
            box, complaint = checked_box((x1, y1, x2, y2), image.width, image.height)
            if complaint:
                self.reading.problem(row.where, complaint)
        elif box is None:
            raise Bad("its points give no box inside the image")
        score = None if self.score is None else _number(row.cells[self.score], "score")
        return Instance(name, box, item.polygons, points=item.points, identity=item.identity, score=score)

    def _class(self, cell: str) -> str:
        if not cell:
            raise Bad("an object without a class")
        if self.values and cell not in self.values:
            raise Bad(f"the value {cell[:60]!r} is not in `values`{nearest(cell, self.values)}")
        return self.values.get(cell, cell)


def _of_points(args: Any) -> Any:
    """The reader's arguments with a column of the points that tasks ask for of its objects; where none does (corners of
    an outline, say), all that the table has."""
    field, task, column, table, reading = args
    asked = next(iter(column.points_of.values()), () if field.outline else column.points)
    return (field, task, Column("points", points=asked), table, reading)


def _number(cell: str, name: str) -> float | None:
    """A cell's number, None where it is empty; raises Bad for text and infinities."""
    if cell.lower() in _NOTHING:
        return None
    try:
        value = float(cell)
    except ValueError as error:
        raise Bad(f"column {name!r} holds {cell[:40]!r}, a number is expected") from error
    if not abs(value) < 3e38:
        raise Bad(f"column {name!r} holds {cell[:40]!r}, a finite number is expected")
    return value


_READERS: dict[str, type[_Reader]] = {
    "label": _LabelReader,
    "identity": _IdentityReader,
    "tags": _TagsReader,
    "numbers": _NumbersReader,
    "points": _PointsReader,
    "instances": _InstancesReader,
}


def reader_of(field: CsvField, task: str, column: Column, table: Table, reading: Reading) -> _Reader:
    """The reader of a task's cells; raises OneglanceError where columns that it needs are not there."""
    return _READERS[column.type](field, task, column, table, reading)
