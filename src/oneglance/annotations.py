"""What is said of an image. Labels and predictions have the same types; a prediction also has scores.

Coordinates are pixels of the original image, continuous and 0-based: the first pixel covers [0, 1] x [0, 1], x to the
right, y downwards. Boxes are ``x1 y1 x2 y2``. **Unknown is not negative**: an annotation that is ``None`` was never
made; one that is empty says that nothing is there; ``annotated`` names the classes that were looked for (``None``: all
of the task's), so that the others are unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

#: Visibility of a point, as COCO writes it: nobody labelled it, labelled but hidden, labelled and visible.
UNLABELLED, HIDDEN, VISIBLE = 0, 1, 2


@dataclass(frozen=True)
class Label:
    """The one class of an image, or of an object. ``scores``: probability of each of ``classes``, float32 [C]."""

    name: str
    score: float | None = None
    classes: tuple[str, ...] | None = None
    scores: FloatArray | None = None


@dataclass(frozen=True)
class Tags:
    """The tags that hold; tags in ``annotated`` but not in ``names`` are known not to hold, all others are unknown.

    ``scores``: probability of each of ``classes``, float32 [C] (predictions only).
    """

    names: tuple[str, ...]
    annotated: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    scores: FloatArray | None = None


@dataclass(frozen=True)
class Numbers:
    """Numbers in the user's own unit, float32 [K] in the order of the task's ``targets``; NaN: unknown.

    ``spread`` float32 [K]: the standard deviation of the training labels, by which errors in different units become
    comparable (predictions only).
    """

    values: FloatArray
    spread: FloatArray | None = None


@dataclass(frozen=True)
class Identity:
    """Who (or which individual) it is; ``vector``: the embedding, float32 [D] (predictions only).

    ``image``: the file it was said of, by which pairs of images are told (set when labels are loaded; no part of what
    is said).
    """

    name: str | None = None
    vector: FloatArray | None = None
    image: Path | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Points:
    """Named points of one object, in the order of the task's ``points``.

    ``xy`` float32 [K, 2]; ``visibility`` int8 [K] (``UNLABELLED``, ``HIDDEN``, ``VISIBLE``); ``scores`` float32 [K]:
    how sure the network is that the point is where it says (predictions only).
    """

    xy: FloatArray
    visibility: NDArray[np.int8]
    scores: FloatArray | None = None


@dataclass(frozen=True)
class Segments:
    """A class for every pixel.

    Of a label, ``path`` is the mask file and ``values`` says which pixel value means which class; any other value is
    void, that is unknown. ``indices`` uint8 [H, W], set on predictions and on decoded labels: index into ``classes``,
    255 void.
    """

    path: Path | None = None
    values: tuple[tuple[int, str], ...] = ()
    indices: NDArray[np.uint8] | None = None
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Rle:
    """A mask as run lengths in COCO's (column-major) order, starting with the run of zeros; ``size`` is (H, W)."""

    size: tuple[int, int]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Instance:
    """One object. Everything but its class may be unknown (``None``).

    ``box`` float32 [4]; ``polygons``: parts, each float32 [P, 2], P >= 3 (a hole can't be said with them: use
    ``rle``); ``crowd``: a group that evaluation ignores; ``difficult``: too hard to be counted (VOC);
    ``attributes``: further facts by name; ``extra``: what only the source's own format knows. Of predictions only:
    ``answers``: in full what the tasks on objects said, by task; ``track``: the number, from 1, that the object keeps
    through a film; ``vector``: its embedding, float32 [D].
    """

    label: str
    box: FloatArray | None = None
    polygons: tuple[FloatArray, ...] | None = None
    rle: Rle | None = None
    points: Points | None = None
    identity: str | None = None
    attributes: dict[str, str | float] = field(default_factory=dict)
    id: int | None = None
    area: float | None = None
    crowd: bool = False
    difficult: bool = False
    truncated: bool = False
    score: float | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    track: int | None = None
    vector: FloatArray | None = None


def changed(item: Instance, changes: dict[str, object]) -> Instance:
    """The instance with some of its fields changed: as dataclasses.replace does, but quickly enough for the loader."""
    new = object.__new__(Instance)
    new.__dict__.update(item.__dict__)
    new.__dict__.update(changes)
    return new


@dataclass(frozen=True)
class Instances:
    """The objects of an image: an empty list says that nothing is there, of the ``annotated`` classes (None: all)."""

    items: tuple[Instance, ...] = ()
    annotated: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.items)

    def sure(self, min_score: float) -> tuple[Instance, ...]:
        """The objects to be shown: labels, what scores ``min_score`` or more, and what a track vouches for."""
        return tuple(i for i in self.items if i.score is None or i.score >= min_score or i.track is not None)

    def boxes(self) -> FloatArray:
        """All boxes, float32 [N, 4]; raises ValueError where an instance has none."""
        if any(item.box is None for item in self.items):
            raise ValueError("an instance has no box; use enclosing_box on its polygons or points first")
        return np.array([item.box for item in self.items], np.float32).reshape(-1, 4)


Annotation = Label | Tags | Numbers | Identity | Points | Segments | Instances

#: The annotation types by the name under which a manifest's column keeps them.
ANNOTATION_TYPES: dict[str, type] = {
    "label": Label,
    "tags": Tags,
    "numbers": Numbers,
    "identity": Identity,
    "points": Points,
    "segments": Segments,
    "instances": Instances,
}


def type_name(annotation_type: type) -> str:
    """The name under which a manifest keeps this type of annotation."""
    return next(name for name, known in ANNOTATION_TYPES.items() if known is annotation_type)


@dataclass(frozen=True)
class Record:
    """An image and what is said of it: ``annotations`` by task; a task that is absent or None is unknown here.

    ``width`` and ``height`` are those of the image as it is looked at (EXIF rotation applied), 0 where not yet read.
    ``group``: images of one group never straddle a split. ``extra``: what only the source's own format knows.
    """

    path: Path
    width: int = 0
    height: int = 0
    split: str | None = None
    source: str = ""
    group: str | None = None
    annotations: dict[str, Annotation | None] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


def enclosing_box(parts: Sequence[FloatArray]) -> FloatArray:
    """The smallest box around points, float32 [4]; parts are float [P, 2]."""
    stacked = np.concatenate([np.asarray(part, np.float32).reshape(-1, 2) for part in parts])
    return np.concatenate([stacked.min(0), stacked.max(0)]).astype(np.float32)


def same(one: object, other: object) -> bool:
    """Whether two annotations (or records) say the same, arrays compared by value and NaN equal to NaN."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)) or one.shape != other.shape:
            return False
        return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
    if type(one) is not type(other):
        return False
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (Label, Tags, Numbers, Identity, Points, Segments, Rle, Instance, Instances, Record)):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return one == other
