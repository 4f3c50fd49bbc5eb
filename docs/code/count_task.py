"""A kind of task: how many are there? One number an image, from a Poisson rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from oneglance.annotations import Annotation, Numbers
from oneglance.data.geometry import Frame
from oneglance.manifest import Column
from oneglance.tasks.base import FeatureSpec, Outputs, Targets, Task, TaskSettings, masked_mean
from oneglance.tasks.charts import Chart, Histogram
from oneglance.tasks.classification import PooledLinear


class CountSettings(TaskSettings):
    """`kind: count`: how many are there?"""

    kind: Literal["count"] = "count"
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout before the last layer.")


class Count(Task[CountSettings]):
    """The Poisson likelihood of the count; scored by the mean absolute error."""

    kind = "count"
    annotation = Numbers
    score = "mae"
    score_means = "by how much the count is off, on the average of the images that were counted"
    higher_is_better = False

    @property
    def column(self) -> Column:
        return Column("numbers", targets=("count",))

    def encode(self, annotation: Numbers, frame: Frame) -> dict[str, np.ndarray]:
        return {"count": annotation.values}

    def head(self, spec: FeatureSpec) -> nn.Module:
        return PooledLinear(spec, 1, self.settings.dropout)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        known = torch.isfinite(targets["count"])
        truth = torch.where(known, targets["count"], torch.zeros_like(targets["count"]))
        each = F.poisson_nll_loss(outputs["logits"].float(), truth, log_input=True, reduction="none")
        return {"count": masked_mean(each, known)}

    def decode(self, outputs: Outputs, frames: Sequence[Frame]) -> list[Annotation]:
        return [Numbers(row) for row in outputs["logits"].float().exp().cpu().numpy()]

    def metric(self) -> CountMetric:
        return CountMetric()

    def quality(self, predicted: Numbers, truth: Numbers) -> float:
        """1 / (1 + error), to rank images by; NaN where nobody counted."""
        return 1 / (1 + abs(float(predicted.values[0] - truth.values[0])))


class CountMetric:
    """The mean absolute error over the images whose count is known."""

    def __init__(self) -> None:
        self._errors: list[float] = []

    def update(self, predicted: Numbers, truth: Numbers) -> None:
        if np.isfinite(truth.values[0]):
            self._errors.append(abs(float(predicted.values[0] - truth.values[0])))

    def compute(self) -> dict[str, float]:
        return {"mae": float(np.mean(self._errors)) if self._errors else float("nan")}

    def charts(self) -> list[Chart]:
        if not self._errors:
            return []
        counts, edges = np.histogram(self._errors, bins=20)
        note = "How many images are off by how much."
        return [Histogram("error_histogram", "Error of the count", note, "error", "images", edges, counts)]
