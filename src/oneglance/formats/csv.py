"""Tables: CSV, TSV, semicolons or blanks, with or without a header; a row an image (or, for objects, an
object).

An empty cell is unknown. For a task of objects every row is one object, and a row whose box cells are all
empty says that the image was looked at and has none.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from oneglance.annotations import Record
from oneglance.errors import OneglanceError, Problems
from oneglance.formats.base import SourceSettings, Suggestion, WriteOptions
from oneglance.formats.csv_fields import reader_of
from oneglance.formats.csv_recognise import recognise
from oneglance.formats.csv_table import CsvField, Row, Table, default_field
from oneglance.formats.csv_write import HOLDS, write
from oneglance.formats.files import LARGEST_TABLE, read_text
from oneglance.formats.reading import Annotations, Reading, folder_of
from oneglance.formats.recognition import SPLITS
from oneglance.manifest import Columns

_NAMES_IN_BRACES = re.compile(r"\{([^{}]+)\}")


class CsvSettings(SourceSettings):
    """A table that names an image and its labels in each row."""

    types: ClassVar[frozenset[str]] = frozenset({"label", "tags", "numbers", "identity", "points", "instances"})
    writes: ClassVar[tuple[str, ...] | None] = HOLDS
    fields: ClassVar[tuple[str, ...] | None] = None

    format: Literal["csv"] = "csv"
    labels: Path = Field(description="The table.")
    images: Path | None = Field(
        default=None, description="The folder that the image names are relative to. Default: `root`."
    )
    image: str = Field(
        default="image",
        description="The column with the image's file name, or a pattern of columns such as `{name}.jpg`.",
    )
    tasks: list[str] | dict[str, str | list[str] | CsvField] = Field(
        description="The tasks, and for each its column (`breed: breed_name`), columns (`[red, round]`) or "
        "the long form "
        "with the keys below. As a list: columns that are called as the task, its classes, targets or points."
    )
    delimiter: str | None = Field(
        default=None,
        description="What separates cells: one character or `whitespace`. Default: found in the first line.",
    )
    columns: list[str] | None = Field(
        default=None, description="The columns' names, for a table without a header line."
    )
    comment: str = Field(default="#", description="Lines that begin with this are passed over; empty: none.")
    split_column: str | None = Field(
        default=None,
        description="The column that names the row's split (`Train`, `valid` and the like are understood).",
    )
    group_column: str | None = Field(
        default=None,
        description="The column that names the row's group: images of a group never straddle a split.",
    )

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        value = {"tab": "\t", "\\t": "\t", " ": "whitespace"}.get(value or "", value)
        if value is not None and value != "whitespace" and len(value) != 1:
            raise ValueError("must be one character, or `whitespace`")
        return value

    def read(self, columns: Columns, problems: Problems, base: Path) -> Iterator[Record]:
        """See :meth:`SourceSettings.read`."""
        reading = Reading(self, columns, problems, base)
        path = reading.at(self.labels)
        table = self._table(path)
        self._check_columns(table)
        readers = {}
        for task, column in reading.tasks.items():
            given = self.tasks.get(task) if isinstance(self.tasks, dict) else None
            field = default_field(given, task, column, table)
            readers[task] = reader_of(field, task, column, table, reading)
        return self._records(reading, table, folder_of(reading, self.images, "images"), readers)

    def _table(self, path: Path) -> Table:
        text = read_text(path, LARGEST_TABLE)
        lines = text.splitlines(keepends=True)
        first = next((n for n, line in enumerate(lines) if line.strip() and not self._is_comment(line)), None)
        if first is None:
            raise OneglanceError(f"{path}: there is no row in it")
        delimiter = self.delimiter or _delimiter(lines[first])
        header = self.columns
        start = first
        if header is None:
            header, start = _cells(lines[first], delimiter), first + 1
        header = [name.strip() for name in header]
        twice = [name for name in header if header.count(name) > 1 and name]
        if twice:
            raise OneglanceError(f"{path}: column {twice[0]!r} is there twice; name the columns with `columns: [...]`")
        return Table(path, header, lines, start, delimiter)

    def _is_comment(self, line: str) -> bool:
        return bool(self.comment) and line.startswith(self.comment)

    def _check_columns(self, table: Table) -> None:
        if self.image not in table.header and "{" in self.image:
            wanted = _NAMES_IN_BRACES.findall(self.image)
        else:
            wanted = [self.image]
        wanted += [name for name in (self.split_column, self.group_column) if name is not None]
        for name in wanted:
            table.need(name, "image, split_column or group_column")

    def _rows(self, reading: Reading, table: Table) -> Iterator[Row]:
        """The table's rows; those with too few or too many cells are reported."""
        at = table.start

        def lines() -> Iterator[str]:
            nonlocal at
            for number, line in enumerate(table.lines[table.start :], table.start + 1):
                at = number
                yield "\n" if self._is_comment(line) else line

        if table.delimiter == "whitespace":
            cells_of: Iterator[list[str]] = (line.split() for line in lines())
        else:
            cells_of = csv.reader(lines(), delimiter=table.delimiter, strict=True, skipinitialspace=True)
        try:
            for cells in cells_of:
                if not any(cell.strip() for cell in cells):
                    continue
                while len(cells) > len(table.header) and not cells[-1].strip():
                    cells.pop()
                if len(cells) != len(table.header):
                    reading.problem(
                        f"{table.path} line {at}",
                        f"{len(cells)} cells, the table has {len(table.header)} columns",
                    )
                    continue
                yield Row(f"{table.path} line {at}", tuple(cell.strip() for cell in cells))
        except csv.Error as error:
            raise OneglanceError(
                f"{table.path} line {at}: not readable as a table ({error}); is a quote left open, or the "
                "delimiter "
                f"another than {table.delimiter!r}?"
            ) from error

    def _records(self, reading: Reading, table: Table, folder: Path, readers: dict[str, Any]) -> Iterator[Record]:
        by_image: dict[str, list[Row]] = {}
        for row in self._rows(reading, table):
            by_image.setdefault(self._image_name(table, row), []).append(row)
        while by_image:
            name = next(iter(by_image))
            rows = by_image.pop(name)
            image = reading.image(folder, name, rows[0].where)
            if image is None or not reading.first_time(image, rows[0].where):
                continue
            annotations: Annotations = {}
            for task, reader in readers.items():
                annotations[task] = reader.read(rows, image)
            split, group = (self._same_in_all(table, rows, name) for name in (self.split_column, self.group_column))
            if len(rows) > 1 and not all(reader.many for reader in readers.values()):
                reading.problem(rows[1].where, f"the image {name!r} has {len(rows)} rows; the first is kept")
            yield reading.record(image, annotations, SPLITS.get(str(split).lower(), split), group)
        reading.finish()

    def _image_name(self, table: Table, row: Row) -> str:
        if self.image in table.header:
            return row.cells[table.header.index(self.image)]
        return _NAMES_IN_BRACES.sub(lambda match: row.cells[table.header.index(match[1])], self.image)

    def _same_in_all(self, table: Table, rows: list[Row], column: str | None) -> str | None:
        return None if column is None else rows[0].cells[table.header.index(column)] or None

    @classmethod
    def write(cls, records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
        """See :meth:`SourceSettings.write`."""
        return write(records, columns, out, options)

    @classmethod
    def recognise(cls, folder: Path) -> list[Suggestion]:
        """See :meth:`SourceSettings.recognise`."""
        return recognise(folder)


def _delimiter(line: str) -> str:
    """The most frequent of the usual delimiters outside quotes, else blanks."""
    bare = re.sub(r'"[^"]*"', "", line)
    counts = {character: bare.count(character) for character in (",", ";", "\t", "|")}
    best = max(counts, key=lambda character: counts[character])
    if counts[best]:
        return best
    return "whitespace" if len(bare.split()) > 1 else ","


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == "whitespace":
        return line.split()
    return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
