"""What the writers share: a new folder, the images' names in it, and the list of what was lost."""

from __future__ import annotations

import os
import posixpath
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from oneglance.errors import OneglanceError, nearest
from oneglance.formats.base import WriteOptions
from oneglance.formats.files import absolute
from oneglance.manifest import Columns


def new_folder(out: Path) -> Path:
    """Make ``out``, which must not exist or be empty: nothing is ever written over."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OneglanceError(f"{out}: exists already and is not empty; give a new folder, nothing is written over")
    out.mkdir(parents=True, exist_ok=True)
    return out


def tasks_to_write(columns: Columns, options: WriteOptions, types: Iterable[str], target: str) -> list[str]:
    """The tasks that the target can hold, or those of the options; raises OneglanceError where there is
    none.
    """
    can = list(types)
    for task in options.tasks or ():
        if task not in columns:
            raise OneglanceError(f"there is no task {task!r} to write{nearest(task, columns)}")
        if columns[task].type not in can:
            raise OneglanceError(f"{target} can't hold task {task!r} ({columns[task].type}); it holds {', '.join(can)}")
    chosen = [task for task in (options.tasks or columns) if columns[task].type in can]
    if not chosen:
        raise OneglanceError(f"{target} holds {', '.join(can)}; none of the tasks keeps that: {', '.join(columns)}")
    return chosen


def one_task(chosen: list[str], target: str) -> str:
    """The only task to write; raises OneglanceError where there are several."""
    if len(chosen) > 1:
        raise OneglanceError(
            f"{target} holds one task in a folder, there are {', '.join(chosen)}: choose one (tasks: [{chosen[0]}])"
        )
    return chosen[0]


@dataclass
class Losses:
    """What the target could not hold, counted, to be said in sentences."""

    target: str
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, count: int = 1) -> None:
        """Count one more loss; ``what`` follows "NAME keeps no scores: 12 "."""
        if count:
            self.counts[what] += count

    def left_tasks(self, columns: Columns, chosen: list[str]) -> None:
        """Count the tasks that are not written."""
        for task, column in columns.items():
            if task not in chosen:
                self.counts[f"task {task!r} ({column.type}) is not written"] += 0

    def sentences(self) -> list[str]:
        """A sentence for each loss, in the order in which they came up."""
        return [f"{self.target}: {what}" + (f" ({count})" if count else "") for what, count in self.counts.items()]


@dataclass
class Images:
    """Puts images into the new folder, each under a name that no other has.

    Names are kept, with as many of their folders as it takes to tell them apart: ``a/b.jpg`` stays apart from
    ``a_b.jpg``. ``by_stem``: names that differ only in their suffix count as the same, since their label
    files would.
    """

    options: WriteOptions
    losses: Losses
    by_stem: bool = False
    _taken: dict[str, Path] = field(default_factory=dict)
    _names: dict[Path, str] = field(default_factory=dict)

    def name(self, path: Path) -> str:
        """The relative POSIX path of an image in the new data set."""
        if path in self._names:
            return self._names[path]
        parts = [part for part in path.parts if part != path.anchor and part != ".."]
        start = 1
        if self.options.root is not None:
            root = absolute(self.options.root)
            if path.is_relative_to(root):
                start = max(1, len(path.relative_to(root).parts))
        for length in range(start, len(parts) + 1):
            name = "/".join(parts[-length:])
            # Lower case, since on many disks A.jpg and a.jpg are one file.
            key = (posixpath.splitext(name)[0] if self.by_stem else name).lower()
            if self._taken.setdefault(key, path) == path:
                self._names[path] = name
                return name
        name = f"{len(self._taken)}_{path.name}"
        self._taken[name], self._names[path] = path, name
        return name

    def put(self, path: Path, target: Path) -> None:
        """Link or copy an image to ``target``, as the options say."""
        if self.options.images == "none":
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if self.options.images == "link":
                try:
                    # A hard link: a symbolic one would lead out of the folder, which readers rightly refuse.
                    os.link(path.resolve(), target)
                    return
                except OSError:
                    pass
            shutil.copyfile(path, target)
        except OSError as error:
            raise OneglanceError(f"{path}: the image can't be copied to {target} ({error.strerror})") from error
