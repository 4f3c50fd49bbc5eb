"""Where the labels stand in a table: the settings of a task, the table's columns, and what names suggest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from oneglance.errors import OneglanceError, nearest
from oneglance.manifest import Column


class CsvField(BaseModel):
    """Where a task's labels stand in a table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str | None = Field(
        default=None, description="The column of a class, an identity, a number or a list of tags."
    )
    columns: list[str] | None = Field(default=None, description="The columns of tags (1, 0 or empty) or of numbers.")
    values: dict[str | int, str] | None = Field(
        default=None, description="Cell values and what they mean: class names."
    )
    separator: str | None = Field(default=None, description="What separates the tags in one column, such as `|`.")
    x: str | None = Field(
        default=None,
        description="The columns of points' x: a pattern with `{i}` (0, 1, ...) or `{name}` (the point's name).",
    )
    y: str | None = Field(default=None, description="The columns of points' y, as `x`.")
    visible: str | None = Field(
        default=None, description="The columns of points' visibility, as `x`. Default: all are visible."
    )
    visibility: Literal["binary", "coco"] = Field(
        default="binary",
        description="`binary`: 0 is unlabelled, all else visible; `coco`: 0 unlabelled, 1 hidden, 2 visible.",
    )
    box: list[str] | None = Field(default=None, description="The four columns of a box, for a task of objects.")
    box_format: Literal["xyxy", "xywh"] = Field(default="xyxy", description="What the four columns are.")
    label: str | None = Field(
        default=None, description="The column of an object's class. Default: the task's only class."
    )
    outline: bool = Field(
        default=False, description="The points `x`, `y` are also the corners of the object's outline."
    )
    identity: str | None = Field(default=None, description="The column of an object's identity.")
    score: str | None = Field(default=None, description="The column of an object's score.")


#: Columns of a box, and what they hold.
BOXES: dict[tuple[str, ...], Literal["xyxy", "xywh"]] = {
    ("x1", "y1", "x2", "y2"): "xyxy",
    ("xmin", "ymin", "xmax", "ymax"): "xyxy",
    ("left", "top", "right", "bottom"): "xyxy",
    ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"): "xyxy",
    ("bbox_xmin", "bbox_ymin", "bbox_xmax", "bbox_ymax"): "xyxy",
    ("x", "y", "w", "h"): "xywh",
    ("x", "y", "width", "height"): "xywh",
    ("left", "top", "width", "height"): "xywh",
    ("bbox_x", "bbox_y", "bbox_w", "bbox_h"): "xywh",
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"): "xywh",
}


@dataclass(frozen=True)
class Row:
    """A row: where it stands, and its cells without surrounding blanks."""

    where: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table as found: its columns, its lines, the first row's line (from 0), and the delimiter."""

    path: Path
    header: list[str]
    lines: list[str]
    start: int
    delimiter: str

    def need(self, name: str, setting: str) -> int:
        """The place of a column; raises OneglanceError that names the nearest one."""
        if name not in self.header:
            shown = ", ".join(self.header[:12]) + (", ..." if len(self.header) > 12 else "")
            raise OneglanceError(
                f"{self.path}: there is no column {name!r} (for {setting}){nearest(name, self.header)}; "
                "the columns are "
                f"{shown}. If the first line is no header, name them with `columns: [...]`"
            )
        return self.header.index(name)


def default_field(given: Any, task: str, column: Column, table: Table) -> CsvField:
    """The long form of what ``tasks`` says of a task; ``None`` (the list form): columns by the task's own
    names.
    """
    if isinstance(given, CsvField):
        return given
    if isinstance(given, str):
        return CsvField(columns=[given]) if column.type == "numbers" else CsvField(column=given)
    if isinstance(given, list):
        return CsvField(columns=given)
    if column.type == "numbers" and all(name in table.header for name in column.targets):
        return CsvField(columns=list(column.targets))
    if column.type == "tags" and task not in table.header:
        return CsvField(columns=[name for name in column.classes if name in table.header])
    if column.type == "points":
        return _points_by_name(task, column, table)
    if column.type == "instances":
        for names, form in BOXES.items():
            if all(name in table.header for name in names):
                label = next((n for n in ("label", "class", "name", "category") if n in table.header), None)
                return CsvField(box=list(names), box_format=form, label=label)
        raise OneglanceError(f"{table.path}: task {task!r} keeps objects; say where their boxes are: "
                             f"`tasks: {{{task}: {{box: [x1, y1, x2, y2], label: class}}}}`")  # fmt: skip
    return CsvField(columns=[task]) if column.type == "numbers" else CsvField(column=task)


def _points_by_name(task: str, column: Column, table: Table) -> CsvField:
    first = column.points[0] if column.points else "0"
    for x, y, visible in (("{name}_x", "{name}_y", "{name}_vis"), ("{name}_x", "{name}_y", "{name}_v"),
                          ("x{i}", "y{i}", "vis{i}"), ("x_{i}", "y_{i}", "v_{i}")):  # fmt: skip
        if x.replace("{name}", first).replace("{i}", "0") in table.header:
            has_visible = visible.replace("{name}", first).replace("{i}", "0") in table.header
            return CsvField(x=x, y=y, visible=visible if has_visible else None)
    raise OneglanceError(
        f"{table.path}: task {task!r} keeps points; say where they are: `tasks: "
        f"{{{task}: {{x: 'x{{i}}', y: 'y{{i}}'}}}}`"
    )
