"""What the tests of formats share: tiny images, and a reader in one call."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from oneglance.annotations import Instance, Record
from oneglance.errors import Problems
from oneglance.formats import FORMATS
from oneglance.manifest import Column, Columns

W, H = 40, 30
OBJECTS: Columns = {"objects": Column("instances", ("cat", "dog"))}


def image(path: Path, width: int = W, height: int = H, **save: Any) -> Path:
    """A tiny image file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (90, 120, 30)).save(path, **save)
    return path


def mask(path: Path, values: Any) -> Path:
    """A grey PNG of class numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)
    return path


def read(source: dict[str, Any], columns: Columns, base: Path) -> tuple[list[Record], list[str]]:
    """All records of a source, and its problems as text."""
    problems = Problems()
    settings = FORMATS[source["format"]].model_validate(source)
    records = list(settings.read(columns, problems, base))
    return records, [str(problem) for problem in problems]


def boxes(record: Record, task: str = "objects") -> list[tuple[str, list[float]]]:
    """Class and box of each object."""
    return [(item.label, np.asarray(item.box).tolist()) for item in items(record, task)]


def items(record: Record, task: str = "objects") -> Iterable[Instance]:
    """The objects of a record."""
    annotation = record.annotations[task]
    assert annotation is not None, f"{record.path} is unlabelled for {task}"
    return annotation.items  # type: ignore[union-attr]


def f32(*values: float) -> np.ndarray:
    """A float32 array."""
    return np.array(values, np.float32)
