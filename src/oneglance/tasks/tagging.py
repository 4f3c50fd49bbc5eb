"""Tagging: which of the tags hold? Any number of them may, and any of them may be unknown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from oneglance.annotations import Annotation, Tags
from oneglance.data.geometry import Frame
from oneglance.tasks.base import FeatureSpec, Outputs, Targets, Task, TaskSettings, known_mask, masked_mean
from oneglance.tasks.classification import PooledLinear


class TaggingSettings(TaskSettings):
    """`kind: tagging`: which of the tags hold?"""

    kind: Literal["tagging"] = "tagging"
    classes: tuple[str, ...] = Field(description="Names of the tags, in the order of the outputs.", min_length=1)
    threshold: float = Field(0.5, gt=0, lt=1, description="Probability from which a tag is said to hold.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout before the last layer.")


class Tagging(Task[TaggingSettings]):
    """A sigmoid a tag and binary cross-entropy over the known tags; scored by mean average precision."""

    kind = "tagging"
    annotation = Tags
    score = "map"

    def encode(self, annotation: Tags, frame: Frame) -> dict[str, np.ndarray]:
        return {
            "tags": np.array([name in annotation.names for name in self.classes], np.float32),
            "known": known_mask(annotation.annotated, self.classes),
        }

    def head(self, spec: FeatureSpec) -> nn.Module:
        return PooledLinear(spec, len(self.classes), self.settings.dropout)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        each = F.binary_cross_entropy_with_logits(outputs["logits"].float(), targets["tags"], reduction="none")
        return {"tags": masked_mean(each, targets["known"])}

    def decode(self, outputs: Outputs, frames: Sequence[Frame]) -> list[Annotation]:
        scores = outputs["logits"].float().sigmoid().cpu().numpy()
        held = scores >= self.settings.threshold
        return [
            Tags(tuple(np.array(self.classes)[on].tolist()), classes=self.classes, scores=row)
            for row, on in zip(scores, held, strict=True)
        ]

    def metric(self) -> TaggingMetric:
        return TaggingMetric(self.classes)


class TaggingMetric:
    """Mean over tags of average precision (area under the step curve, as scikit-learn's ``average_precision_score``).

    A tag counts only on images where it is known, and only if it holds on at least one and fails on at least one.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._scores: list[np.ndarray] = []
        self._truths: list[np.ndarray] = []
        self._known: list[np.ndarray] = []

    def update(self, predicted: Tags, truth: Tags) -> None:
        if predicted.scores is None:
            raise ValueError("a tagging prediction must carry its scores")
        self._scores.append(predicted.scores)
        self._truths.append(np.array([name in truth.names for name in self.classes]))
        self._known.append(known_mask(truth.annotated, self.classes))

    def compute(self) -> dict[str, float]:
        if not self._scores:
            return {"map": float("nan")}
        scores, truths, known = np.stack(self._scores), np.stack(self._truths), np.stack(self._known)
        each = [
            average_precision(scores[known[:, k], k], truths[known[:, k], k])
            for k in range(len(self.classes))
            if 0 < truths[known[:, k], k].sum() < known[:, k].sum()
        ]
        return {"map": float(np.mean(each)) if each else float("nan")}


def average_precision(scores: np.ndarray, truths: np.ndarray) -> float:
    """Sum over the distinct scores of (recall gained) x (precision there); ``truths`` bool [N] with a True in it."""
    order = np.argsort(-scores, kind="stable")
    hits = truths[order].cumsum()
    last = np.r_[np.flatnonzero(np.diff(scores[order])), len(order) - 1]
    precision, recall = hits[last] / (last + 1), hits[last] / hits[-1]
    return float((np.diff(np.r_[0.0, recall]) * precision).sum())
