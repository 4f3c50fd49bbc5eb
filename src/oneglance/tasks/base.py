"""The contract of a task: what one question needs, from its labels to its score.

A kind of task is one file (or folder) here and one line in :mod:`oneglance.tasks`. The rest of the system knows only
this contract: it hands a task the images that are labelled for it, and never a guess for those that are not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from oneglance.annotations import Annotation, type_name
from oneglance.data.geometry import Frame
from oneglance.data.warp import unwarp
from oneglance.manifest import Column, Manifest
from oneglance.tasks.charts import Chart

Outputs = dict[str, Tensor]
Targets = dict[str, Tensor]


class TaskSettings(BaseModel):
    """What every kind of task can be told in the YAML."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    on: str = Field("image", description="What the question is asked about: `image`.")
    weight: float = Field(1.0, ge=0, description="Weight of the task's loss in the sum.")
    freeze: bool = Field(
        False, description="Keep the task's head as it is: no gradient, no BatchNorm statistics, no loss."
    )

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        for key in ("classes", "targets"):
            names = getattr(self, key, ())
            twice = [name for k, name in enumerate(names) if name in names[:k]]
            if twice:
                raise ValueError(f"{key}: {twice[0]!r} stands there twice")
        return self


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
    is labelled for; a map is indexed only when a head asks for it.
    """

    def __init__(self, deep: Tensor, pyramid: dict[int, Tensor], rows: Tensor | None = None) -> None:
        self._deep, self._pyramid, self._rows = deep, pyramid, rows

    def of(self, rows: Tensor) -> Features:
        """The features of these images only; ``rows`` int64 [n]."""
        if len(rows) == len(self._deep):
            return self
        return Features(self._deep, self._pyramid, rows)

    def _narrow(self, maps: Tensor) -> Tensor:
        return maps if self._rows is None else maps.index_select(0, self._rows)

    @property
    def deep(self) -> Tensor:
        """The backbone's last map, float [n, C, H/32, W/32]."""
        return self._narrow(self._deep)

    @property
    def strides(self) -> tuple[int, ...]:
        """The pyramid's strides, finest first."""
        return tuple(self._pyramid)

    def level(self, stride: int) -> Tensor:
        """The pyramid's level of this stride, float [n, C, H/stride, W/stride]."""
        return self._narrow(self._pyramid[stride])


class Metric(Protocol):
    """Counts what was predicted against what is true, image by image; only labelled images are ever shown to it."""

    def update(self, predicted: Any, truth: Any) -> None:
        """Take in one image: the prediction and the label, both in original pixels."""

    def compute(self) -> dict[str, float]:
        """The scores by name; NaN where nothing was labelled."""

    def charts(self) -> list[Chart]:
        """What the scores don't say, to be looked at; from what was counted, so unknown labels are in no chart. Empty
        where nothing was labelled."""


S = TypeVar("S", bound=TaskSettings)


class Task(ABC, Generic[S]):
    """One question, as configured: ``name`` and ``settings``.

    Class attributes: ``annotation``, the type of its labels and predictions; ``composes``, whether a mosaic of four
    labelled images is itself labelled; ``parts``, the terms of its loss by part, where the loss answers several
    questions that may be balanced against each other; ``finest_stride``, the finest pyramid level its head looks at;
    ``score`` and ``higher_is_better``, the one figure by which runs are compared; ``score_means``, that figure in one
    plain sentence.
    """

    kind: ClassVar[str]
    annotation: ClassVar[type]
    composes: ClassVar[bool] = False
    parts: ClassVar[dict[str, tuple[str, ...]]] = {}
    finest_stride: ClassVar[int] = 8
    score: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    score_means: ClassVar[str]

    def __init__(self, name: str, settings: S) -> None:
        self.name = name
        self.settings = settings

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes, in the order of its outputs; empty where it has none."""
        return tuple(getattr(self.settings, "classes", ()))

    @property
    def column(self) -> Column:
        """What the manifest keeps for this task."""
        return Column(type_name(self.annotation), classes=self.classes)

    @property
    def flip_pairs(self) -> tuple[tuple[int, int], ...] | None:
        """Points that change places in a mirror; None where the labels have no meaning in a mirror."""
        return ()

    def learn_statistics(self, manifest: Manifest, rows: np.ndarray, head: nn.Module) -> None:
        """Put into the new head's buffers what it must know of the training labels (means, frequencies)."""

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
