"""Segmentation: which class is each pixel?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from oneglance.annotations import Annotation, Segments
from oneglance.data.geometry import Frame
from oneglance.tasks.base import Features, FeatureSpec, Outputs, Statement, Targets, Task
from oneglance.tasks.charts import Bars, Chart, Matrix, Table, mean_of_known, per_class
from oneglance.tasks.imbalance import FocalSettings, focal_factor
from oneglance.tasks.pyramid import PyramidMerge, grid_of

VOID = 255
#: Numbers (classes x pixels) that are resampled at a time.
STRIP = 1 << 24
#: Pixels of one image that its quality is measured on.
ENOUGH = 1 << 18


class SegmentationSettings(FocalSettings):
    """`kind: segmentation`: which class is each pixel?"""

    kind: Literal["segmentation"] = "segmentation"
    classes: tuple[str, ...] = Field(description="Names of the classes.", min_length=2, max_length=254)
    dice: float = Field(0.5, ge=0, description="Weight of the Dice term (Milletari et al. 2016) beside cross-entropy.")
    width: int = Field(96, ge=8, multiple_of=8, description="Channels of the head.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Share of the head's channels that are left out in training.")


class SegmentationHead(nn.Module):
    """Class logits at the pyramid's finest stride."""

    def __init__(self, spec: FeatureSpec, classes: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.merge = PyramidMerge(spec, width)
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, features: Features) -> Outputs:
        """``{"logits": float [n, C, H/4, W/4]}``."""
        return {"logits": self.classify(self.dropout(self.merge(features)))}


class Segmentation(Task[SegmentationSettings]):
    """Cross-entropy and Dice over the pixels that are not void; scored by mIoU of one confusion matrix."""

    kind = "segmentation"
    annotation = Segments
    composes = True
    finest_stride = 4
    score = "miou"
    score_means = "how far predicted and true regions coincide: intersection over union, the mean over classes"

    def encode(self, annotation: Segments, frame: Frame) -> dict[str, np.ndarray]:
        if annotation.indices is None:
            raise ValueError("a segmentation mask must be decoded before it is encoded")
        return {"indices": annotation.indices}

    def head(self, spec: FeatureSpec) -> nn.Module:
        return SegmentationHead(spec, len(self.classes), self.settings.width, self.settings.dropout)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        indices = targets["indices"].long()
        logits = F.interpolate(outputs["logits"].float(), indices.shape[-2:], mode="bilinear", align_corners=False)
        logs = logits.log_softmax(1)
        known = indices != VOID
        indices = torch.where(known, indices, 0)
        right = logs.gather(1, indices[:, None])[:, 0]
        each = right if not self.settings.focal else right * focal_factor(right.exp(), self.settings.focal)
        terms = {"pixel": -torch.where(known, each, 0.0).sum() / known.sum().clamp(min=1)}
        if self.settings.dice:
            terms["dice"] = self.settings.dice * dice_loss(logs, right, indices, known)
        return terms

    def decode(self, outputs: Outputs, frames: Sequence[Frame]) -> list[Annotation]:
        logits = outputs["logits"].float()
        return [
            Segments(indices=sample_classes(logits[i], frame), classes=self.classes) for i, frame in enumerate(frames)
        ]

    def statement(self, outputs: Outputs, empty: Outputs, about: str | None, number: int) -> Statement | None:
        """The mean logit of a class over the region that it is given: of the class that is named, or the first of the
        task's classes that is given a hundredth of the map or more. None where it is given none."""
        region = outputs["logits"][0].argmax(0)
        shares = [float((region == k).float().mean()) for k in range(len(self.classes))]
        given = self.place_of(about, self.classes, "class")
        k = next(k for k, share in enumerate(shares) if share >= min(0.01, max(shares))) if given is None else given
        if not shares[k]:
            return None
        mask = (region == k).float()
        text = f"{self.classes[k]}, {100 * shares[k]:.0f}% of the map"
        return Statement(text, lambda outputs: (outputs["logits"][:, k] * mask).sum((1, 2)) / mask.sum())

    def metric(self) -> SegmentationMetric:
        return SegmentationMetric(self.classes)

    def quality(self, predicted: Segments, truth: Segments) -> float:
        """The mean IoU of this image, over the classes that it shows or is said to show, on a grid of its known pixels;
        NaN where all are void."""
        if predicted.indices is None or truth.indices is None:
            raise ValueError("masks must be decoded before they are compared")
        step = max(1, math.isqrt(truth.indices.size // ENOUGH))
        confusion = count_pairs(predicted.indices[::step, ::step], truth.indices[::step, ::step], len(self.classes))
        right = np.diag(confusion)
        union = confusion.sum(0) + confusion.sum(1) - right
        return float((right[union > 0] / union[union > 0]).mean()) if union.any() else float("nan")


def dice_loss(logs: Tensor, right: Tensor, indices: Tensor, known: Tensor) -> Tensor:
    """1 - soft Dice, over the classes that occur in the batch; pixels that are not ``known`` take no part.

    ``logs`` float [n, C, H, W]: logarithms of the classes' chances; ``right`` float [n, H, W]: those of the true class,
    ``indices`` int64 [n, H, W].
    """
    counted = known.to(logs.dtype)
    classes, zeros = indices.flatten(), logs.new_zeros(logs.shape[1])
    truth = zeros.scatter_add(0, classes, counted.flatten())
    both = zeros.scatter_add(0, classes, (right.exp() * counted).flatten())
    either = (logs.exp() * counted[:, None]).sum((0, 2, 3)) + truth
    occurs = truth > 0
    each = 1 - (2 * both + 1) / (either + 1)
    return torch.where(occurs, each, 0.0).sum() / occurs.sum().clamp(min=1)


def sample_classes(logits: Tensor, frame: Frame) -> np.ndarray:
    """The best class at every original pixel: logits float [C, h, w] sampled bilinearly through the frame's matrix."""
    xs, all_ys = grid_of(frame.source_height, frame.source_width, logits.device)
    m = frame.matrix
    strips = []
    # Strip by strip: all classes at every pixel of a large photograph would take gigabytes.
    for ys in all_ys.split(max(1, STRIP // (len(logits) * len(xs)))):
        x = (m[0, 0] * xs[None] + m[0, 1] * ys[:, None] + m[0, 2]) * (2 / frame.width) - 1
        y = (m[1, 0] * xs[None] + m[1, 1] * ys[:, None] + m[1, 2]) * (2 / frame.height) - 1
        grid = torch.stack([x, y], -1)[None]
        sampled = F.grid_sample(logits[None], grid, mode="bilinear", padding_mode="border", align_corners=False)
        strips.append(sampled[0].argmax(0).to(torch.uint8))
    best: np.ndarray = torch.cat(strips).cpu().numpy()
    return best


class SegmentationMetric:
    """mIoU from one confusion matrix over all images, void pixels dropped; the mean is over the classes that occur.

    ``confusion`` int64 [C, C]: rows are the truth, columns the prediction.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self.confusion = np.zeros((len(classes), len(classes)), np.int64)
        # Of each image, by class: pixels that are of the class on both sides, and on either.
        self._both: list[np.ndarray] = []
        self._either: list[np.ndarray] = []

    def update(self, predicted: Segments, truth: Segments) -> None:
        if predicted.indices is None or truth.indices is None:
            raise ValueError("masks must be decoded before they are compared")
        pairs = count_pairs(predicted.indices, truth.indices, len(self.classes))
        self.confusion += pairs
        self._both.append(np.diag(pairs).copy())
        self._either.append(pairs.sum(0) + pairs.sum(1) - np.diag(pairs))

    def compute(self) -> dict[str, float]:
        total = self.confusion.sum()
        if not total:
            return {"miou": float("nan"), "pixel_accuracy": float("nan")}
        right = np.diag(self.confusion)
        union = self.confusion.sum(0) + self.confusion.sum(1) - right
        iou = right[union > 0] / union[union > 0]
        scores = {"miou": float(iou.mean()), "pixel_accuracy": float(right.sum() / total)}
        names = np.array(self.classes)[union > 0]
        return scores | {f"iou/{name}": float(value) for name, value in zip(names, iou, strict=True)}

    def resampled(self, counts: np.ndarray) -> np.ndarray:
        both, either = (
            counts.astype(np.float64) @ np.array(of, np.float64).reshape(-1, len(self.classes))
            for of in (self._both, self._either)
        )
        with np.errstate(invalid="ignore"):
            return mean_of_known((both / either).T)

    def charts(self) -> list[Chart]:
        if not self.confusion.sum():
            return []
        rows = per_class(self.confusion, self.classes)
        total = int(self.confusion.sum())
        return [
            Matrix(
                "confusion_matrix", "Confusion matrix of pixels",
                "Each row is a true class, each column an answer; a row adds up to all pixels of its class. Void "
                "pixels, which nobody labelled, are left out.",
                self.classes, self.classes, self.confusion, "pixels",
            ),
            Bars(
                "iou", "Intersection over union",
                "1: predicted and true region of the class coincide; 0: they do not touch. No bar: the class does not "
                "occur.",
                "IoU", self.classes, np.array([row[4] for row in rows]), (0.0, 1.0),
            ),
            Table(
                "classes", "Classes",
                "Share: of all labelled pixels, those of the class. Recall: of its pixels, the share that was found. "
                "Precision: of the pixels said to be of the class, the share that is.",
                ("class", "pixels", "share", "IoU", "recall", "precision"),
                tuple((name, n, n / total, iou, recall, precision) for name, n, recall, precision, iou in rows),
            ),
        ]  # fmt: skip


def count_pairs(predicted: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """How many pixels of each true class (row) got each answer (column), int64 [C, C]; void pixels are left out.

    Both uint8 [H, W]: indices of classes, 255 void.
    """
    known = truth != VOID
    pairs = truth[known].astype(np.int64) * classes + predicted[known]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
