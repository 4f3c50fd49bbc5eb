"""Tagging: which of the tags hold? Any number of them may, and any of them may be unknown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from oneglance.annotations import Annotation, Instance, Tags, changed
from oneglance.data.geometry import Frame
from oneglance.manifest import Manifest
from oneglance.tasks.base import FeatureSpec, Outputs, Statement, Targets, Task, known_mask, masked_mean
from oneglance.tasks.charts import Chart, Curves, Series, Table, mean_of_known, share, thinned
from oneglance.tasks.classification import PooledLinear
from oneglance.tasks.imbalance import ImbalanceSettings, WeighedLogits, balanced_weights, focal_factor
from oneglance.tasks.object_metric import AnswerMetric
from oneglance.tasks.region_heads import RegionLinear


class TaggingSettings(ImbalanceSettings):
    """`kind: tagging`: which of the tags hold?"""

    kind: Literal["tagging"] = "tagging"
    classes: tuple[str, ...] = Field(description="Names of the tags, in the order of the outputs.", min_length=1)
    threshold: float = Field(0.5, gt=0, lt=1, description="Probability from which a tag is said to hold.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout before the last layer.")


#: Values of an attribute that say that the tag does not hold, and that it does.
_NOT = {"0", "0.0", "false", "no"}
_YES = {"1", "1.0", "true", "yes"}


class Tagging(Task[TaggingSettings]):
    """A sigmoid a tag and binary cross-entropy over the known tags; scored by mean average precision."""

    kind = "tagging"
    annotation = Tags
    carrier = "attributes"
    score = "map"
    score_means = "how well images with a tag are ranked before those without: average precision, the mean over tags"

    def encode(self, annotation: Tags, frame: Frame) -> dict[str, np.ndarray]:
        return {
            "tags": np.array([name in annotation.names for name in self.classes], np.float32),
            "known": known_mask(annotation.annotated, self.classes),
        }

    def head(self, spec: FeatureSpec) -> nn.Module:
        return self._weighed(PooledLinear(spec, len(self.classes), self.settings.dropout))

    def region_head(self, channels: int) -> nn.Module:
        return self._weighed(RegionLinear(channels, len(self.classes), self.settings.dropout))

    def _weighed(self, head: PooledLinear | RegionLinear) -> nn.Module:
        if self.settings.class_balanced:
            head.class_weights = torch.ones(len(self.classes), 2)
        return head

    def learn_statistics(self, manifest: Manifest, rows: np.ndarray, head: nn.Module) -> None:
        """Weights float [C, 2] of a tag that fails and that holds, from the images and objects where it is known."""
        if self.settings.class_balanced and isinstance(head, WeighedLogits):
            counts = np.zeros((len(self.classes), 2), np.int64)
            images = (one for one in manifest.table[self.name].take(pa.array(rows)).to_pylist() if one is not None)
            said = [(one["names"], one["annotated"], 1) for one in images]
            said += [(one.names, one.annotated, count) for one, count in self.said_of_objects(manifest, rows)]
            for names, annotated, count in said:
                known = known_mask(annotated, self.classes)
                held = np.array([name in names for name in self.classes])
                counts[:, 1] += count * (known & held)
                counts[:, 0] += count * (known & ~held)
            weights = balanced_weights(counts, self.settings.class_balanced)
            head.class_weights = torch.from_numpy(weights).float().to(next(head.parameters()).device)

    @property
    def attributes(self) -> tuple[str, ...]:
        return self.classes

    def of_object(self, item: Instance) -> Tags | None:
        """An object's tags are its attributes of their names: 0, false and no do not hold; one that is missing, or
        says neither yes nor no, is unknown."""
        said = {name: str(item.attributes[name]).lower() for name in self.classes if name in item.attributes}
        known = tuple(name for name, value in said.items() if value in _NOT or value in _YES)
        held = tuple(name for name in known if said[name] in _YES)
        return Tags(held, None if len(known) == len(self.classes) else known) if known else None

    def complaint(self, name: str, value: str | float) -> str:
        said = str(value).lower()
        return "" if said in _NOT or said in _YES else f"attribute {name!r} is {value!r}; 1 or 0 is expected"

    def with_answer(self, item: Instance, answer: Tags) -> Instance:
        said = {name: float(name in answer.names) for name in self.classes}
        return changed(item, {"attributes": {**item.attributes, **said}})

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        logits, tags = outputs["logits"].float(), targets["tags"]
        each = F.binary_cross_entropy_with_logits(logits, tags, reduction="none")
        if self.settings.focal:
            each = each * focal_factor(
                torch.where(tags > 0, logits.sigmoid(), (-logits).sigmoid()), self.settings.focal
            )
        if "class_weights" in outputs:
            weights = outputs["class_weights"]
            each = each * torch.where(tags > 0, weights[..., 1], weights[..., 0])
        return {"tags": masked_mean(each, targets["known"])}

    def decode(self, outputs: Outputs, frames: Sequence[Frame]) -> list[Annotation]:
        scores = outputs["logits"].float().sigmoid().cpu().numpy()
        held = scores >= self.settings.threshold
        return [
            Tags(tuple(np.array(self.classes)[on].tolist()), classes=self.classes, scores=row)
            for row, on in zip(scores, held, strict=True)
        ]

    def statement(self, outputs: Outputs, empty: Outputs, about: str | None, number: int) -> Statement:
        """The logit of a tag: the one that is named, or the surest."""
        given = self.place_of(about, self.classes, "tag")
        k = int(outputs["logits"][0].argmax()) if given is None else given
        return Statement(self.classes[k], lambda outputs: outputs["logits"][:, k])

    def metric(self) -> TaggingMetric | AnswerMetric:
        if self.on_objects:
            return AnswerMetric(self, self._metric(), self._metric())
        return self._metric()

    def _metric(self) -> TaggingMetric:
        return TaggingMetric(self.classes, self.settings.threshold)

    def quality(self, predicted: Tags, truth: Tags) -> float:
        """The mean over the known tags of the probability that was given to the truth; NaN where no tag is known."""
        if predicted.scores is None:
            raise ValueError("a tagging prediction must carry its scores")
        known = known_mask(truth.annotated, self.classes)
        held = np.array([name in truth.names for name in self.classes])
        given = np.where(held, predicted.scores, 1 - predicted.scores)[known]
        return float(given.mean()) if len(given) else float("nan")


class TaggingMetric:
    """Mean over tags of average precision (area under the step curve, as scikit-learn's ``average_precision_score``).

    A tag counts only on images where it is known, and only if it holds on at least one and fails on at least one.
    """

    def __init__(self, classes: tuple[str, ...], threshold: float = 0.5) -> None:
        self.classes, self.threshold = classes, threshold
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
        each = [
            average_precision(scores, truths) for _, scores, truths in self._known_of_tags() if _can_be_ranked(truths)
        ]
        return {"map": float(np.mean(each)) if each else float("nan")}

    def resampled(self, counts: np.ndarray) -> np.ndarray:
        if not self._scores:
            return np.full(len(counts), np.nan)
        known = np.stack(self._known)
        each = [
            resampled_precision(scores, truths, counts[:, known[:, k]])
            for k, (_, scores, truths) in enumerate(self._known_of_tags())
        ]
        return mean_of_known(np.stack(each))

    def charts(self) -> list[Chart]:
        series, rows = [], []
        for name, scores, truths in self._known_of_tags():
            ranked = _can_be_ranked(truths)
            precision = average_precision(scores, truths) if ranked else float("nan")
            said = scores >= self.threshold
            right = int((said & truths).sum())
            row = (name, len(truths), int(truths.sum()), precision)
            rows.append((*row, share(right, int(truths.sum())), share(right, int(said.sum()))))
            if ranked:
                x, y = precision_recall(scores, truths)
                series.append(Series(f"{name} {precision:.2f}", *thinned(np.r_[0.0, x], np.r_[y[0], y])))
        if not any(len(truths) for _, _, truths in self._known_of_tags()):
            return []
        curves = Curves(
            "PR_curve", "Precision and recall",
            "From left to right the network says yes to more and more images. Recall: of the images with the tag, "
            "the share it said yes to; precision: of those it said yes to, the share that has the tag. The further "
            "up and to the right, the better; the number is the area below. Only images where the tag is known.",
            "recall", "precision", tuple(series), (0.0, 1.0), (0.0, 1.02),
        )  # fmt: skip
        table = Table(
            "tags", "Tags",
            "Known: images where somebody said whether the tag holds; the others are left out. Recall and precision: "
            f"at the probability {self.threshold:g}, from which a tag is said to hold.",
            ("tag", "known", "hold", "AP", "recall", "precision"), tuple(rows),
        )  # fmt: skip
        return [curves, table] if series else [table]

    def _known_of_tags(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Each tag's name, and of the images where it is known, scores float32 [n] and truths bool [n]."""
        if not self._scores:
            return
        scores, truths, known = np.stack(self._scores), np.stack(self._truths), np.stack(self._known)
        for k, name in enumerate(self.classes):
            yield name, scores[known[:, k], k], truths[known[:, k], k]


def _can_be_ranked(truths: np.ndarray) -> bool:
    return bool(0 < truths.sum() < len(truths))


def average_precision(scores: np.ndarray, truths: np.ndarray) -> float:
    """Sum over the distinct scores of (recall gained) x (precision there); ``truths`` bool [N] with a True in it."""
    recall, precision = precision_recall(scores, truths)
    return float((np.diff(np.r_[0.0, recall]) * precision).sum())


def resampled_precision(scores: np.ndarray, truths: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """:func:`average_precision` where image k counts ``counts[b, k]`` times, int [B, N]: float64 [B], NaN where all
    that is left holds, or all fails."""
    if not _can_be_ranked(truths):
        return np.full(len(counts), np.nan)
    order = np.argsort(-scores, kind="stable")
    last = np.r_[np.flatnonzero(np.diff(scores[order])), len(order) - 1]
    weights = counts[:, order].astype(np.float64)
    said = weights.cumsum(1)[:, last]
    hits = (weights * truths[order]).cumsum(1)[:, last]
    gained = np.diff(hits, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore"):
        precision = np.where(said > 0, hits / said, 0.0)
        found: np.ndarray = (gained * precision).sum(1) / hits[:, -1]
    found[(hits[:, -1] == 0) | (hits[:, -1] == said[:, -1])] = np.nan
    return found


def precision_recall(scores: np.ndarray, truths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision, float64 [D], at each of the D distinct scores taken as the threshold, highest first;
    ``truths`` bool [N] with a True in it."""
    order = np.argsort(-scores, kind="stable")
    hits = truths[order].cumsum()
    last = np.r_[np.flatnonzero(np.diff(scores[order])), len(order) - 1]
    return hits[last] / hits[-1], hits[last] / (last + 1)
