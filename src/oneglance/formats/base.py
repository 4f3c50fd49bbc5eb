"""The contract of a format: settings that read themselves, a writer, and a look at a folder.

A format is one file here and one line in :mod:`oneglance.formats`. Formats convert at their door: what they
yield is in continuous, 0-based pixels of the image as it is looked at (EXIF rotation applied), and *unknown
is never negative*.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from oneglance.annotations import Record
from oneglance.errors import Problems
from oneglance.manifest import Columns


class SourceSettings(BaseModel, ABC):
    """What every source can be told in the YAML. Paths are relative to ``root``, and that to the YAML's
    folder.

    ``types``: the annotation types that the format can give; ``writes``: those that it can be written with (None: its
    writer says it, once it has all of them); ``fields``: what a task may ask for in the dict
    form of ``tasks`` (None: the format checks it itself).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    types: ClassVar[frozenset[str]] = frozenset()
    writes: ClassVar[tuple[str, ...] | None] = None
    fields: ClassVar[tuple[str, ...] | None] = ()

    format: str = Field(description="The format's name.")
    name: str | None = Field(
        default=None,
        description="The source's name in reports. Default: the last folder of `root`, or of `images`.",
    )
    root: Path | None = Field(default=None, description="The data set's folder; the other paths are relative to it.")
    tasks: list[str] | dict[str, Any] = Field(
        description="The tasks that this source's labels are for; as a dict it says which of the source's fields."
    )
    split: str | None = Field(default=None, description="The split of all rows (`train`, `val`, `test`).")
    group: str | None = Field(
        default=None,
        description="A regular expression with one pair of brackets, searched in the image's path relative "
        "to the "
        "image folder; images for which the brackets hold the same text never straddle a split.",
    )
    rename: dict[str, str] = Field(default={}, description="The source's class names to the tasks' class names.")
    annotated: list[str] | None = Field(
        default=None,
        description="The classes that this source looked for; all others are unknown in its images, never "
        "negative. "
        "Default: what the format says (COCO's categories, YOLO's names), otherwise all.",
    )
    links: bool = Field(
        default=False,
        description="Follow symbolic links that lead out of the image folder; otherwise such images are refused.",
    )

    @field_validator("group")
    @classmethod
    def _one_bracket(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                found = re.compile(value).groups
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
            if found != 1:
                raise ValueError(f"must have exactly one pair of brackets, has {found}")
        return value

    @property
    def task_names(self) -> list[str]:
        """The tasks that this source's labels are for."""
        return list(self.tasks)

    def folder(self, base: Path) -> Path:
        """The folder to which the paths of this source's settings are relative."""
        return base / self.root if self.root is not None else base

    def image_folder(self, base: Path) -> Path:
        """The folder that holds all of the source's images."""
        images = getattr(self, "images", None)
        return self.folder(base) / images if isinstance(images, Path) else self.folder(base)

    def source_name(self, base: Path) -> str:
        """The source's name in reports."""
        top = self.folder(base) if self.root is not None else self.image_folder(base)
        return self.name or top.resolve().name or self.format

    @abstractmethod
    def read(self, columns: Columns, problems: Problems, base: Path) -> Iterator[Record]:
        """Yield a record an image, in a fixed order; bad rows are added to ``problems`` and passed over.

        Raises OneglanceError where the source as a whole can't be read.
        """

    @classmethod
    @abstractmethod
    def write(cls, records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
        """Write a data set into the new folder ``out``; returns sentences that say what could not be held,
        with counts.

        Raises OneglanceError where ``out`` holds something already.
        """

    @classmethod
    @abstractmethod
    def recognise(cls, folder: Path) -> list[Suggestion]:
        """The data sets of this format in a folder, their paths relative to it; looks at some thousand files
        at most.
        """


class WriteOptions(BaseModel):
    """How a data set is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: Literal["copy", "link", "none"] = Field(
        default="link",
        description="Copy the images, hard-link them (copied where the disk can't), or write labels only.",
    )
    tasks: list[str] | None = Field(
        default=None, description="The tasks to write. Default: all that the format can hold."
    )
    root: Path | None = Field(
        default=None,
        description="Image names are kept relative to this folder. Default: the bare file name where it is unique.",
    )


@dataclass(frozen=True)
class Suggestion:
    """A data set found in a folder: a ``source`` entry for the YAML, the ``tasks`` it can serve, and a ``note``.

    Without tasks, the note says why nothing can be asked of what was found. ``stems``: names without suffix of images
    that the labels speak of, as many as were looked at.
    """

    source: dict[str, Any]
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    note: str = ""
    stems: frozenset[str] = frozenset()
