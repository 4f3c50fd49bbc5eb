"""The contract of a task: what one question needs, from its labels to its score.

A kind of task is one file (or folder) here and one line in :mod:`oneglance.tasks`. The rest of the system knows only
this contract: it hands a task the images that are labelled for it, and never a guess for those that are not.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from oneglance.annotations import Annotation, Instance, type_name
from oneglance.data.geometry import Frame
from oneglance.data.warp import FlipPairs, FlipPairsByClass, unwarp
from oneglance.errors import OneglanceError, nearest
from oneglance.manifest import Column, Manifest
from oneglance.tasks.charts import Chart

Outputs = dict[str, Tensor]
Targets = dict[str, Tensor]


class TaskSettings(BaseModel):
    """What every kind of task can be told in the YAML."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: The terms of the loss by part, where a kind's loss answers several questions: parts may be balanced against each
    #: other, and may look through branches of the trunk of their own.
    parts: ClassVar[dict[str, tuple[str, ...]]] = {}

    kind: str
    on: str = Field(
        "image",
        description="What the question is asked about: `image`, the objects that a detection task finds (`objects`, "
        "its name), or those of one class (`objects.face`).",
    )
    weight: float = Field(1.0, ge=0, description="Weight of the task's loss in the sum.")
    freeze: bool = Field(
        False, description="Keep the task's head as it is: no gradient, no BatchNorm statistics, no loss."
    )

    @property
    def parent(self) -> str | None:
        """The detection task about whose objects this one asks; None where it asks about the image."""
        return None if self.on == "image" else self.on.split(".", 1)[0]

    @property
    def parent_class(self) -> str | None:
        """The one class of objects that it asks about; None: all."""
        return self.on.split(".", 1)[1] if "." in self.on else None

    @property
    def points_from(self) -> str | None:
        """The keypoints task at whose points it looks, on the same image or objects; None where it looks everywhere."""
        return None

    @property
    def needs(self) -> tuple[str, ...]:
        """The tasks without whose answers it can't be asked."""
        return tuple(name for name in (self.parent, self.points_from) if name is not None)

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        for key in ("classes", "targets"):
            names = getattr(self, key, ())
            twice = [name for k, name in enumerate(names) if name in names[:k]]
            if twice:
                raise ValueError(f"{key}: {twice[0]!r} stands there twice")
        return self


@dataclass(frozen=True)
class Statement:
    """One thing that an answer says, as a number that can be traced back to the image: ``text``, it in words;
    ``score``, which gives from the outputs for n images (or objects) how strongly they say it, float [n]. ``box``: of
    an object that it is about, x1 y1 x2 y2 in input pixels."""

    text: str
    score: Callable[[Outputs], Tensor]
    box: np.ndarray | None = None


@dataclass(frozen=True)
class FeatureSpec:
    """What a head may count on: channels of the backbone's last map, and (stride, channels) of each pyramid level."""

    deep: int
    pyramid: tuple[tuple[int, int], ...]

    def channels(self, stride: int) -> int:
        """Channels of the pyramid's level of this stride."""
        return dict(self.pyramid)[stride]


class Features:
    """What the trunk saw: the backbone's last map and the neck's pyramid, for some of the batch's images.

    ``deep`` float [B, C, H/32, W/32]; ``level(s)`` float [B, C_s, H/s, W/s]. :meth:`of` narrows to the rows that a task
    is labelled for; a map is indexed only when a head asks for it. ``content``: where in the input each image lies, x1
    y1 x2 y2, float [B, 4]; None: all of it shows the image. ``images``: which of the batch's images the maps are of,
    int64 [B] in ascending order; None: all. ``content`` is then of these alone. ``backbone``: the backbone's maps,
    finest first, the last of stride 32.
    """

    def __init__(
        self,
        deep: Tensor,
        pyramid: Mapping[int, Tensor],
        rows: Tensor | None = None,
        content: Tensor | None = None,
        images: Tensor | None = None,
        backbone: Sequence[Tensor] = (),
    ) -> None:
        self._deep, self._pyramid, self._rows, self._content, self._images = deep, pyramid, rows, content, images
        self._backbone = tuple(backbone)

    def of(self, rows: Tensor) -> Features:
        """The features of these images only; ``rows`` int64 [n], their places in the batch."""
        if len(rows) == len(self._deep):
            return self
        return Features(self._deep, self._pyramid, self.places(rows), self._content, backbone=self._backbone)

    def places(self, rows: Tensor) -> Tensor:
        """Where in the maps the batch's images ``rows`` int64 [n] are, all of which the maps must show."""
        return rows if self._images is None else torch.searchsorted(self._images, rows)

    def _narrow(self, maps: Tensor) -> Tensor:
        return maps if self._rows is None else maps.index_select(0, self._rows)

    def part(self, name: str) -> Features:
        """What this part of the task (see ``TaskSettings.parts``) sees."""
        return self

    @property
    def deep(self) -> Tensor:
        """The backbone's last map, float [n, C, H/32, W/32]."""
        return self._narrow(self._deep)

    @property
    def backbone(self) -> tuple[Tensor, ...]:
        """The backbone's own maps, finest first, the last of stride 32: float [n, C_s, H/s, W/s] each. They are
        for answering alone, not for learning: gradients that tasks are compared by don't go this way."""
        return tuple(self._narrow(one) for one in self._backbone)

    @property
    def content(self) -> Tensor | None:
        """Where in the input these images lie, x1 y1 x2 y2, float [n, 4]; None: all of it shows the image."""
        return None if self._content is None else self._narrow(self._content)

    @property
    def strides(self) -> tuple[int, ...]:
        """The pyramid's strides, finest first."""
        return tuple(self._pyramid)

    def level(self, stride: int) -> Tensor:
        """The pyramid's level of this stride, float [n, C, H/stride, W/stride]."""
        return self._narrow(self._pyramid[stride])


class PartedFeatures(Features):
    """What a task sees whose parts look through branches of their own; as a whole, what its first part sees."""

    def __init__(self, parts: Mapping[str, Features]) -> None:
        first = next(iter(parts.values()))
        super().__init__(first._deep, first._pyramid, first._rows, first._content, first._images, first._backbone)
        self._parts = dict(parts)

    def of(self, rows: Tensor) -> PartedFeatures:
        return PartedFeatures({name: part.of(rows) for name, part in self._parts.items()})

    def part(self, name: str) -> Features:
        return self._parts[name]


#: Where an object says the label of a task on objects.
Carrier = Literal["points", "shape", "identity", "attributes"]


class Metric(Protocol):
    """Counts what was predicted against what is true, image by image; only labelled images are ever shown to it."""

    def update(self, predicted: Any, truth: Any) -> None:
        """Take in one image: the prediction and the label, both in original pixels."""

    def compute(self) -> dict[str, float]:
        """The scores by name; NaN where nothing was labelled."""

    def charts(self) -> list[Chart]:
        """What the scores don't say, to be looked at; from what was counted, so unknown labels are in no chart. Empty
        where nothing was labelled."""


@runtime_checkable
class Resampling(Protocol):
    """A metric that says what its score would be on other images, by its own rule, without being shown them again."""

    def resampled(self, counts: np.ndarray) -> np.ndarray:
        """The task's score, float64 [B], where image k (in the order in which they were shown) counts
        ``counts[b, k]`` times, int [B, n]; NaN where nothing could be measured then."""


S = TypeVar("S", bound=TaskSettings)


class Task(ABC, Generic[S]):
    """One question, as configured: ``name`` and ``settings``.

    Class attributes: ``annotation``, the type of its labels and predictions; ``composes``, whether a mosaic of four
    labelled images is itself labelled; ``finest_stride``, the finest pyramid level its head looks at; ``score`` and
    ``higher_is_better``, the one figure by which runs are compared; ``score_means``, that figure in one plain sentence
    (a task on objects may have others than its kind); ``carrier``, where an object says this task's label, None for
    kinds that can't be asked of objects; ``on_image``, whether the kind can be asked of images.

    ``children``: the tasks that ask about the objects that this one finds; ``parent_classes``: of a task on objects,
    the classes of the one that finds them.
    """

    kind: ClassVar[str]
    annotation: ClassVar[type]
    composes: ClassVar[bool] = False
    finest_stride: ClassVar[int] = 8
    score: str
    higher_is_better: bool = True
    score_means: str
    carrier: ClassVar[Carrier | None] = None
    on_image: ClassVar[bool] = True

    def __init__(self, name: str, settings: S) -> None:
        self.name = name
        self.settings = settings
        self.children: tuple[Task[Any], ...] = ()
        #: How many points the task has at whose points this one looks.
        self.points_read = 0
        self.parent_classes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes, in the order of its outputs; empty where it has none."""
        return tuple(getattr(self.settings, "classes", ()))

    @property
    def column(self) -> Column:
        """What the manifest keeps for this task."""
        return Column(type_name(self.annotation), classes=self.classes)

    @property
    def on_objects(self) -> bool:
        """Whether it asks about objects, not about the image."""
        return self.settings.parent is not None

    @property
    def flip_pairs(self) -> FlipPairs | FlipPairsByClass | None:
        """Points that change places in a mirror (of objects: by their class); None where the labels have no meaning in
        a mirror."""
        return ()

    def learn_statistics(self, manifest: Manifest, rows: np.ndarray, head: nn.Module) -> None:
        """Put into the new head's buffers what it must know of the training labels (means, frequencies)."""

    def said_of_objects(self, manifest: Manifest, rows: np.ndarray) -> Iterator[tuple[Any, int]]:
        """For a task on objects whose labels are attributes: those of these rows' objects, and how many have each."""
        where = manifest.columns[self.name].of
        if where is None or where.field != "attributes":
            return
        for text, count in manifest.attributes(where, rows).items():
            label = self.of_object(Instance(where.label or "", attributes=json.loads(text)))
            if label is not None:
                yield label, count

    @property
    def mirrors(self) -> bool:
        """Whether it is asked about an image's mirror image as well: the trunk then runs twice."""
        return False

    def merged(self, outputs: Outputs, mirrored: Outputs) -> Outputs:
        """What its head says of n images and of their mirror images, as one."""
        raise NotImplementedError(f"{self.kind} does not look at mirror images")

    def doubts(self, manifest: Manifest) -> list[str]:
        """What is allowed and seldom meant in its labels, in sentences. Raises OneglanceError where it can't be."""
        return []

    @property
    def fits(self) -> bool:
        """Whether its answers are fitted to training images each time that the trunk is to be scored or kept."""
        return False

    def learner(self, head: nn.Module) -> nn.Module:
        """The part of its head that learns by steps."""
        return head

    def fitted_on(self, manifest: Manifest, rows: np.ndarray, most: int) -> np.ndarray:
        """The rows that it is fitted on, of those that are labelled for it: at most ``most``, which memory holds."""
        return rows[:most]

    def fit(self, head: nn.Module, described: Outputs, labels: Sequence[Any]) -> None:
        """Fit the head to what it described of n images, a row each in every tensor, with these labels."""
        raise NotImplementedError(f"{self.kind} is not fitted")

    @abstractmethod
    def encode(self, annotation: Any, frame: Frame) -> dict[str, np.ndarray]:
        """Targets of one labelled image, from its annotation in input pixels. Runs in the loader's workers."""

    def collate(self, targets: Sequence[dict[str, np.ndarray]]) -> Targets:
        """Targets of the n labelled images of a batch, stacked."""
        return {key: torch.from_numpy(np.stack([one[key] for one in targets])) for key in targets[0]}

    @abstractmethod
    def head(self, spec: FeatureSpec) -> nn.Module:
        """A new head: a module that maps :class:`Features` of n images to named outputs."""

    @abstractmethod
    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Named loss terms, each a scalar of its own weight; unknown labels add nothing to value or gradient."""

    @abstractmethod
    def decode(self, outputs: Outputs, frames: Sequence[Frame]) -> list[Annotation]:
        """Predictions of n images in original pixels."""

    @abstractmethod
    def metric(self) -> Metric:
        """A new metric by the field's rule."""

    @abstractmethod
    def quality(self, predicted: Any, truth: Any) -> float:
        """How good one image's answer is, in [0, 1], higher is better; NaN where it can't be said (nothing labelled).

        It ranks images as worst and best, and nothing else: it is no score.
        """

    def unwarp(self, annotation: Annotation, frame: Frame) -> Annotation:
        """A prediction from input pixels to original pixels."""
        return unwarp(annotation, frame, flip_pairs=self.flip_pairs or ())

    def terms(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        """:meth:`loss`, of objects against their targets as seen from the boxes that were looked at."""
        return self.loss(outputs, self.cut_targets(targets, outputs["box"]) if self.on_objects else targets)

    def places(self, outputs: Outputs) -> Tensor:
        """Of a task that finds points: where they are, float [n, K, 2], x and y in shares of what was looked at."""
        raise NotImplementedError(f"{self.kind} finds no points")

    def statement(self, outputs: Outputs, empty: Outputs, about: str | None, number: int) -> Statement | None:
        """What an answer says, to be explained; None where it says nothing (no object was found).

        Args:
            outputs: of one image, or of one object (n = 1).
            empty: of an empty image, or of the same place in it.
            about: a class, a tag, a point, a target; None: what the answer says most strongly.
            number: which object, of a task that finds objects, from 1, the surest first.

        Raises OneglanceError where ``about`` is none of the task's names.
        """
        raise OneglanceError(f"task {self.name!r}: answers of `kind: {self.kind}` can't be explained")

    def place_of(self, about: str | None, names: Sequence[str], what: str) -> int | None:
        """The place of a name that an explanation was asked about; None where none was.

        Raises OneglanceError where there is none of that name.
        """
        if about is None:
            return None
        if about not in names:
            raise OneglanceError(
                f"task {self.name!r} has no {what} {about!r}{nearest(about, names)}; known: {', '.join(names)}"
            )
        return list(names).index(about)

    def found_boxes(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Of a task that finds objects: boxes float [n, A, 4] in input pixels, and how sure it is, float [n, A]."""
        raise NotImplementedError(f"{self.kind} finds no objects")

    # --- of a task on objects ---------------------------------------------------------------------------------------

    @property
    def asked_classes(self) -> tuple[str, ...]:
        """The classes of objects that it asks about; empty before it is known whose."""
        parent = self.settings.parent_class
        return (parent,) if parent is not None else self.parent_classes

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes of an object that are this task's labels; empty where its label is something else."""
        return ()

    def asks_about(self, item: Instance) -> bool:
        """Whether the object is one that this task asks about (crowds are many, so nothing can be asked of them)."""
        return item.box is not None and not item.crowd and self.settings.parent_class in (None, item.label)

    def of_object(self, item: Instance) -> Annotation | None:
        """What the object's label says to this task; None where nobody said it."""
        raise NotImplementedError(f"{self.kind} can't be asked of objects")

    def complaint(self, name: str, value: str | float) -> str:
        """Why an object's attribute ``name``, one of :attr:`attributes`, can't be its label; "" where it can."""
        return ""

    def with_answer(self, item: Instance, answer: Any) -> Instance:
        """The object with this task's answer put in."""
        raise NotImplementedError(f"{self.kind} can't be asked of objects")

    def cut_targets(self, targets: Targets, boxes: Tensor) -> Targets:
        """Targets of R objects as seen from ``boxes`` float [R, 4] in shares of the input's width and height."""
        return targets

    def region_head(self, channels: int) -> nn.Module:
        """A new head: a module that maps features of R objects, float [R, channels, S, S], to named outputs."""
        raise NotImplementedError(f"{self.kind} can't be asked of objects")


def known_mask(annotated: tuple[str, ...] | None, classes: tuple[str, ...]) -> np.ndarray:
    """Which of the task's classes were looked for, bool [C]; None: all of them."""
    if annotated is None:
        return np.ones(len(classes), bool)
    return np.array([name in annotated for name in classes], bool)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of ``values`` where ``mask`` (same shape, bool); an exact zero, with zero gradient, where it is empty.

    A ``where`` rather than a product, so that a NaN at an unknown place can't leak into the gradient.
    """
    kept = torch.where(mask, values, torch.zeros_like(values))
    return kept.sum() / mask.sum().clamp(min=1)
