"""Classification: which one of the classes is it?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from oneglance.annotations import Annotation, Instance, Label, changed
from oneglance.data.geometry import Frame
from oneglance.errors import nearest
from oneglance.manifest import Manifest
from oneglance.tasks.base import Features, FeatureSpec, Outputs, Statement, Targets, Task
from oneglance.tasks.charts import Chart, Matrix, Table, per_class, weighted_mean
from oneglance.tasks.imbalance import ImbalanceSettings, WeighedLogits, balanced_weights, focal_factor
from oneglance.tasks.object_metric import AnswerMetric
from oneglance.tasks.region_heads import RegionLinear


class ClassificationSettings(ImbalanceSettings):
    """`kind: classification`: which one of the classes is it?"""

    kind: Literal["classification"] = "classification"
    classes: tuple[str, ...] = Field(description="Names of the classes, in the order of the outputs.", min_length=2)
    smoothing: float = Field(0.1, ge=0, lt=1, description="Label smoothing (Szegedy et al. 2016).")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout before the last layer.")
    attribute: str | None = Field(
        None, description="On objects: the attribute that is the label. Default: the one called as the task."
    )


class PooledLinear(WeighedLogits):
    """The backbone's last map, averaged over the image, through dropout and one linear layer."""

    def __init__(self, spec: FeatureSpec, outputs: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(spec.deep)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(spec.deep, outputs)

    def forward(self, features: Features) -> Outputs:
        """See :meth:`WeighedLogits.outputs`."""
        return self.outputs(self.linear(self.dropout(self.norm(features.deep.mean((2, 3))))))


class Classification(Task[ClassificationSettings]):
    """One class an image: softmax and cross-entropy; scored by accuracy, beside it the mean recall over classes."""

    kind = "classification"
    annotation = Label
    carrier = "attributes"
    score = "accuracy"
    score_means = "the share of images whose class is named rightly"

    def encode(self, annotation: Label, frame: Frame) -> dict[str, np.ndarray]:
        return {"label": np.array(self.classes.index(annotation.name), np.int64)}

    def head(self, spec: FeatureSpec) -> nn.Module:
        return self._weighed(PooledLinear(spec, len(self.classes), self.settings.dropout))

    def region_head(self, channels: int) -> nn.Module:
        return self._weighed(RegionLinear(channels, len(self.classes), self.settings.dropout))

    def _weighed(self, head: PooledLinear | RegionLinear) -> nn.Module:
        if self.settings.class_balanced:
            head.class_weights = torch.ones(len(self.classes))
        return head

    def learn_statistics(self, manifest: Manifest, rows: np.ndarray, head: nn.Module) -> None:
        """Weights float [C] of the classes, from the images and the objects of the training split."""
        if self.settings.class_balanced and isinstance(head, WeighedLogits):
            names = Counter(manifest.table[self.name].take(pa.array(rows)).to_pylist())
            for label, count in self.said_of_objects(manifest, rows):
                names[label.name] += count
            counts = np.array([names[name] for name in self.classes])
            weights = balanced_weights(counts, self.settings.class_balanced)
            head.class_weights = torch.from_numpy(weights).float().to(next(head.parameters()).device)

    @property
    def attributes(self) -> tuple[str, ...]:
        return (self.settings.attribute or self.name,)

    def of_object(self, item: Instance) -> Label | None:
        value = item.attributes.get(self.attributes[0])
        return Label(str(value)) if value is not None and str(value) in self.classes else None

    def complaint(self, name: str, value: str | float) -> str:
        return "" if str(value) in self.classes else f"{value!r} is no class of it{nearest(str(value), self.classes)}"

    def with_answer(self, item: Instance, answer: Label) -> Instance:
        return changed(item, {"attributes": {**item.attributes, self.attributes[0]: answer.name}})

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        logits, label = outputs["logits"].float(), targets["label"]
        each = F.cross_entropy(logits, label, label_smoothing=self.settings.smoothing, reduction="none")
        if self.settings.focal:
            chance = logits.softmax(-1).gather(1, label[:, None])[:, 0]
            each = each * focal_factor(chance, self.settings.focal)
        if "class_weights" in outputs:
            each = each * outputs["class_weights"].gather(1, label[:, None])[:, 0]
        return {"class": each.mean()}

    def decode(self, outputs: Outputs, frames: Sequence[Frame]) -> list[Annotation]:
        scores = outputs["logits"].float().softmax(-1).cpu().numpy()
        best = scores.argmax(-1)
        return [
            Label(self.classes[k], score=float(row[k]), classes=self.classes, scores=row)
            for row, k in zip(scores, best, strict=True)
        ]

    def statement(self, outputs: Outputs, empty: Outputs, about: str | None, number: int) -> Statement:
        """The logit of a class: the one that is named, or the answer."""
        given = self.place_of(about, self.classes, "class")
        k = int(outputs["logits"][0].argmax()) if given is None else given
        return Statement(self.classes[k], lambda outputs: outputs["logits"][:, k])

    def metric(self) -> ClassificationMetric | AnswerMetric:
        if self.on_objects:
            return AnswerMetric(self, self._metric(), self._metric())
        return self._metric()

    def _metric(self) -> ClassificationMetric:
        return ClassificationMetric(self.classes)

    def quality(self, predicted: Label, truth: Label) -> float:
        """The probability that was given to the true class."""
        if predicted.scores is None:
            return float(predicted.name == truth.name)
        return float(predicted.scores[self.classes.index(truth.name)])


class ClassificationMetric:
    """Accuracy, mean recall over the classes that occur (balanced accuracy), and the confusion matrix.

    ``confusion`` int64 [C, C]: rows are the truth, columns the prediction.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self.confusion = np.zeros((len(classes), len(classes)), np.int64)
        self._right: list[bool] = []

    def update(self, predicted: Label, truth: Label) -> None:
        self.confusion[self.classes.index(truth.name), self.classes.index(predicted.name)] += 1
        self._right.append(truth.name == predicted.name)

    def compute(self) -> dict[str, float]:
        seen = self.confusion.sum(1)
        if not seen.sum():
            return {"accuracy": float("nan"), "mean_recall": float("nan")}
        right = np.diag(self.confusion)
        recall = right[seen > 0] / seen[seen > 0]
        return {"accuracy": float(right.sum() / seen.sum()), "mean_recall": float(recall.mean())}

    def resampled(self, counts: np.ndarray) -> np.ndarray:
        return weighted_mean(np.array(self._right, np.float64), counts)

    def charts(self) -> list[Chart]:
        if not self.confusion.sum():
            return []
        rows = tuple(row[:4] for row in per_class(self.confusion, self.classes))
        return [
            Matrix(
                "confusion_matrix", "Confusion matrix",
                "Each row is a true class, each column an answer; a row adds up to all images of its class. What is "
                "off the diagonal was mistaken.",
                self.classes, self.classes, self.confusion,
            ),
            Table(
                "classes", "Classes",
                "Recall: of the images of the class, the share that was found. Precision: of the answers that named "
                "the class, the share that was right.",
                ("class", "images", "recall", "precision"), rows,
            ),
        ]  # fmt: skip
