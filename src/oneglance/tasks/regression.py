"""Regression: how much? One or several numbers an image, each known or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from oneglance.annotations import Annotation, Instance, Numbers, changed
from oneglance.data.geometry import Frame
from oneglance.manifest import Column, Manifest
from oneglance.tasks.base import Features, FeatureSpec, Outputs, Statement, Targets, Task, TaskSettings, masked_mean
from oneglance.tasks.charts import Chart, Histogram, Scatter, Table, mean_of_known, weighted_mean
from oneglance.tasks.classification import PooledLinear
from oneglance.tasks.object_metric import AnswerMetric
from oneglance.tasks.region_heads import RegionLinear


class RegressionSettings(TaskSettings):
    """`kind: regression`: how much?"""

    kind: Literal["regression"] = "regression"
    targets: tuple[str, ...] = Field(description="Names of the numbers, in the order of the outputs.", min_length=1)
    mirrors: bool = Field(True, description="Whether the numbers stay true when the image is mirrored.")


class ScaledLinear(PooledLinear):
    """A pooled linear layer whose outputs are in units of the training labels' spread; ``mean``, ``std`` float [K]."""

    mean: Tensor
    std: Tensor

    def __init__(self, spec: FeatureSpec, outputs: int) -> None:
        super().__init__(spec, outputs, dropout=0.0)
        self.register_buffer("mean", torch.zeros(outputs))
        self.register_buffer("std", torch.ones(outputs))

    def forward(self, features: Features) -> Outputs:
        """``{"values": float [n, K]`` in the user's unit, ``"std": float [n, K]}``."""
        scaled = super().forward(features)["logits"].float()
        return {"values": scaled * self.std + self.mean, "std": self.std.expand_as(scaled)}


class ScaledRegionLinear(RegionLinear):
    """The same of objects."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__(channels, outputs, dropout=0.0)
        self.register_buffer("mean", torch.zeros(outputs))
        self.register_buffer("std", torch.ones(outputs))

    def forward(self, features: Tensor) -> Outputs:
        """``{"values": float [R, K]`` in the user's unit, ``"std": float [R, K]}``."""
        scaled = super().forward(features)["logits"].float()
        return {"values": scaled * self.std + self.mean, "std": self.std.expand_as(scaled)}


class Regression(Task[RegressionSettings]):
    """Smooth L1 on numbers in units of their spread; scored by the mean absolute error, relative to that spread."""

    kind = "regression"
    annotation = Numbers
    carrier = "attributes"
    score = "relative_mae"
    higher_is_better = False
    score_means = "the mean absolute error, in units of the spread (standard deviation) of the true numbers"

    @property
    def column(self) -> Column:
        return Column("numbers", targets=self.settings.targets)

    @property
    def flip_pairs(self) -> tuple[tuple[int, int], ...] | None:
        return () if self.settings.mirrors else None

    def learn_statistics(self, manifest: Manifest, rows: np.ndarray, head: nn.Module) -> None:
        if not len(rows) or not isinstance(head, (ScaledLinear, ScaledRegionLinear)):
            return
        # The column alone: a million whole records would take minutes.
        lists = [one for one in manifest.table[self.name].take(pa.array(rows)).to_pylist() if one is not None]
        for one, count in self.said_of_objects(manifest, rows):
            lists += [one.values] * count
        values = np.array(lists, np.float64).reshape(-1, len(self.settings.targets))
        known = np.isfinite(values)
        for k in range(values.shape[1]):
            column = values[known[:, k], k]
            if len(column):
                head.mean[k], head.std[k] = float(column.mean()), spread_of(column) or 1.0

    def encode(self, annotation: Numbers, frame: Frame) -> dict[str, np.ndarray]:
        return {"values": annotation.values}

    def head(self, spec: FeatureSpec) -> nn.Module:
        return ScaledLinear(spec, len(self.settings.targets))

    @property
    def attributes(self) -> tuple[str, ...]:
        return self.settings.targets

    def of_object(self, item: Instance) -> Numbers | None:
        values = np.array([_number(item.attributes.get(name)) for name in self.settings.targets], np.float32)
        return Numbers(values) if np.isfinite(values).any() else None

    def complaint(self, name: str, value: str | float) -> str:
        known = not isinstance(value, bool) and math.isfinite(_number(value))
        return "" if known else f"attribute {name!r} is {value!r}; a number is expected"

    def with_answer(self, item: Instance, answer: Numbers) -> Instance:
        said = {name: float(value) for name, value in zip(self.settings.targets, answer.values, strict=True)}
        return changed(item, {"attributes": {**item.attributes, **said}})

    def region_head(self, channels: int) -> nn.Module:
        return ScaledRegionLinear(channels, len(self.settings.targets))

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        known = torch.isfinite(targets["values"])
        truth = torch.where(known, targets["values"], torch.zeros_like(targets["values"]))
        error = (outputs["values"] - truth) / outputs["std"]
        each = F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none")
        return {"values": masked_mean(each, known)}

    def decode(self, outputs: Outputs, frames: Sequence[Frame]) -> list[Annotation]:
        both = (outputs[key].float().cpu().numpy() for key in ("values", "std"))
        return [Numbers(values, spread) for values, spread in zip(*both, strict=True)]

    def statement(self, outputs: Outputs, empty: Outputs, about: str | None, number: int) -> Statement:
        """A number: the one that is named, or the one that is farthest from what an empty image gives, in units of its
        spread."""
        names = self.settings.targets
        given = self.place_of(about, names, "target")
        apart = ((outputs["values"] - empty["values"]) / outputs["std"])[0].abs()
        k = int(apart.argmax()) if given is None else given
        text = f"{names[k]} {float(outputs['values'][0, k]):.3g}"
        return Statement(text, lambda outputs: outputs["values"][:, k])

    def metric(self) -> RegressionMetric | AnswerMetric:
        if self.on_objects:
            return AnswerMetric(self, self._metric(), self._metric())
        return self._metric()

    def _metric(self) -> RegressionMetric:
        return RegressionMetric(self.settings.targets)

    def quality(self, predicted: Numbers, truth: Numbers) -> float:
        """1 / (1 + e), e the mean over known numbers of the error in spreads of the training labels; NaN where no
        number is known."""
        known = np.isfinite(truth.values)
        if not known.any():
            return float("nan")
        spread = np.ones_like(truth.values) if predicted.spread is None else predicted.spread
        return float(1 / (1 + (np.abs(predicted.values - truth.values) / spread)[known].mean()))


def _number(value: str | float | None) -> float:
    """An attribute as a number; NaN where it is none."""
    try:
        return float("nan") if value is None else float(value)
    except (ValueError, OverflowError):
        return float("nan")


def spread_of(values: np.ndarray) -> float:
    """The standard deviation of float64 [N]; an exact 0 where all are the same (rounding leaves some 1e-17)."""
    return float(values.std()) if values.min() < values.max() else 0.0


#: So many numbers get charts of their own, and a chart so many points.
MOST_CHARTS, MOST_DOTS = 6, 1000


class RegressionMetric:
    """Mean absolute error of each number, R squared, and the mean over numbers of MAE / spread of the truth."""

    def __init__(self, targets: tuple[str, ...]) -> None:
        self.targets = targets
        self._predicted: list[np.ndarray] = []
        self._truth: list[np.ndarray] = []

    def update(self, predicted: Numbers, truth: Numbers) -> None:
        self._predicted.append(predicted.values)
        self._truth.append(truth.values)

    def compute(self) -> dict[str, float]:
        scores: dict[str, float] = {}
        relative = []
        predicted = np.array(self._predicted, np.float64).reshape(-1, len(self.targets))
        truth = np.array(self._truth, np.float64).reshape(-1, len(self.targets))
        for k, name in enumerate(self.targets):
            known = np.isfinite(truth[:, k])
            error = predicted[known, k] - truth[known, k]
            spread = spread_of(truth[known, k]) if known.any() else float("nan")
            mae = float(np.abs(error).mean()) if known.any() else float("nan")
            scores[f"mae/{name}"] = mae
            if spread > 0:
                scores[f"r2/{name}"] = 1 - float((error**2).mean()) / spread**2
                relative.append(mae / spread)
        return {"relative_mae": float(np.mean(relative)) if relative else float("nan"), **scores}

    def resampled(self, counts: np.ndarray) -> np.ndarray:
        predicted = np.array(self._predicted, np.float64).reshape(-1, len(self.targets))
        truth = np.array(self._truth, np.float64).reshape(-1, len(self.targets))
        relative = np.full((len(self.targets), len(counts)), np.nan)
        for k in range(len(self.targets)):
            known = np.isfinite(truth[:, k])
            if not known.any() or spread_of(truth[known, k]) == 0:
                continue
            centred = truth[:, k] - truth[known, k].mean()  # squares of large numbers would drown the spread
            mean, square = weighted_mean(centred, counts), weighted_mean(centred**2, counts)
            variance = square - mean**2
            # Where all that is left is one and the same number, the spread is 0 but for rounding.
            variance = np.where(variance > 1e-12 * square, variance, np.nan)
            relative[k] = weighted_mean(np.abs(predicted[:, k] - truth[:, k]), counts) / np.sqrt(variance)
        return mean_of_known(relative)

    def charts(self) -> list[Chart]:
        scores = self.compute()
        charts: list[Chart] = []
        rows = []
        for k, name in enumerate(self.targets):
            predicted = np.array([one[k] for one in self._predicted], np.float64)
            truth = np.array([one[k] for one in self._truth], np.float64)
            known = np.isfinite(truth)
            predicted, truth = predicted[known], truth[known]
            rows.append((name, len(truth), scores[f"mae/{name}"], scores.get(f"r2/{name}", float("nan"))))
            if len(truth) and k < MOST_CHARTS:
                charts += _charts_of(name, "" if len(self.targets) == 1 else f"_{k + 1}", predicted, truth)
        if not any(row[1] for row in rows):
            return []
        left_out = len(self.targets) - MOST_CHARTS
        more = f" The first {MOST_CHARTS} have charts." if left_out > 0 else ""
        return [
            *charts,
            Table(
                "numbers", "Numbers",
                "Known: images where the number is known; the others are left out. R squared: 1 is perfect, 0 is what "
                f"always answering the mean would give.{more}",
                ("number", "known", "mean absolute error", "R squared"), tuple(rows),
            ),
        ]  # fmt: skip


def _charts_of(name: str, suffix: str, predicted: np.ndarray, truth: np.ndarray) -> list[Chart]:
    """The charts of one number; both float64 [N], known images only. ``suffix`` tells its files from others'."""
    at = np.unique(np.linspace(0, len(truth) - 1, min(len(truth), MOST_DOTS)).round().astype(np.int64))
    some = f" {len(at):,} of {len(truth):,} images are shown." if len(at) < len(truth) else ""
    counts, edges = np.histogram(predicted - truth, bins=min(40, max(5, int(len(truth) ** 0.5))))
    return [
        Scatter(
            f"truth_against_prediction{suffix}", f"{name}: truth against prediction",
            f"A dot an image; on the line the prediction is the truth, above it the prediction is too large.{some}",
            "truth", "prediction", truth[at], predicted[at],
        ),
        Histogram(
            f"errors{suffix}", f"{name}: errors",
            "How many images have which error (prediction less truth). A hill beside 0 says that the network is "
            "biased.",
            "prediction less truth", "images", edges.astype(np.float64), counts.astype(np.int64),
        ),
    ]  # fmt: skip
