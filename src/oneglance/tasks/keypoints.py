"""Keypoints: where are the named points? A heat map a point, read to a fraction of a cell, and its visibility."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from oneglance.annotations import HIDDEN, UNLABELLED, VISIBLE, Annotation, Instance, Points, changed, enclosing_box
from oneglance.data.geometry import Frame
from oneglance.manifest import Column
from oneglance.tasks.base import Features, FeatureSpec, Outputs, Statement, Targets, Task, TaskSettings, masked_mean
from oneglance.tasks.charts import Bars, Chart, Curves, Series, Table, share, thinned, weighted_mean
from oneglance.tasks.object_metric import ObjectPrecision
from oneglance.tasks.pyramid import PyramidMerge, grid_of
from oneglance.tasks.region_heads import RegionLinear, RegionMaps

#: Factor on the loss: a cross-entropy over thousands of cells and an offset in cells are large numbers, and would drown
#: the gradients of other tasks in the shared trunk.
SCALE = 0.1


class KeypointsSettings(TaskSettings):
    """`kind: keypoints`: where are the named points?"""

    kind: Literal["keypoints"] = "keypoints"
    points: tuple[str, ...] = Field(
        description="Names of the points; or how many there are (then `0`, `1`, ...).", min_length=1
    )
    flip: tuple[tuple[str, str], ...] | None = Field(
        None,
        description="Pairs of points that change places in a mirror (`[[left_eye, right_eye]]`); `[]`: none does. "
        "Left out: the images of this task are never mirrored.",
    )
    normaliser: Literal["diagonal", "box"] | tuple[str, str] = Field(
        "diagonal",
        description="What the error is divided by: the `diagonal` of the box round the true points, `box`: the root of "
        "its area, or the distance between two points (`[left_eye_outer, right_eye_outer]`).",
    )
    skeleton: tuple[tuple[str, str], ...] = Field((), description="Pairs of points to be joined in drawings.")
    sigmas: tuple[float, ...] | None = Field(
        None,
        description="On objects: how exactly each point can be set, for COCO's similarity (OKS). Default: COCO's own "
        "for the 17 points of a person, else 0.05 for each.",
    )
    sigma: float = Field(1.0, gt=0, description="Spread of the target's bell, in cells of the heat map (4 pixels).")
    width: int = Field(64, ge=8, multiple_of=8, description="Channels of the head.")

    @field_validator("points", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return tuple(str(k) for k in range(value)) if isinstance(value, int) else value

    @field_validator("points", "flip", "skeleton", "normaliser", mode="before")
    @classmethod
    def _strings(cls, value: object) -> object:
        if isinstance(value, (list, tuple)):
            return tuple(tuple(map(str, v)) if isinstance(v, (list, tuple)) else str(v) for v in value)
        return value

    @model_validator(mode="after")
    def _known(self) -> KeypointsSettings:
        normaliser = () if isinstance(self.normaliser, str) else self.normaliser
        for name in (n for pair in (*(self.flip or ()), *self.skeleton, normaliser) for n in pair):
            if name not in self.points:
                raise ValueError(f"{name!r} is not one of the points ({', '.join(self.points[:8])} ...)")
        if self.sigmas is not None and (len(self.sigmas) != len(self.points) or min(self.sigmas) <= 0):
            raise ValueError(f"sigmas: {len(self.points)} numbers above 0 are needed, one for each point")
        if len(set(self.points)) != len(self.points):
            raise ValueError("two points have the same name")
        paired = [name for pair in self.flip or () for name in pair]
        if len(set(paired)) != len(paired):
            raise ValueError("flip: a point stands in two pairs")
        return self


class HeatmapHead(nn.Module):
    """Heat maps from the merged pyramid, visibility from the backbone's last map."""

    def __init__(self, spec: FeatureSpec, points: int, width: int) -> None:
        super().__init__()
        self.merge = PyramidMerge(spec, width)
        self.maps = nn.Conv2d(width, points, 1)
        self.visible = nn.Linear(spec.deep, points)

    def forward(self, features: Features) -> Outputs:
        """``{"heat": logits float [n, K, H/4, W/4], "visible": logits float [n, K]}``."""
        return {
            "heat": self.maps(self.merge(features)),
            "visible": self.visible(features.deep.mean((2, 3))),
        }


#: How exactly people can set the points of a person (cocodataset.org/#keypoints-eval).
COCO_SIGMAS = {
    "nose": 0.026, "left_eye": 0.025, "right_eye": 0.025, "left_ear": 0.035, "right_ear": 0.035,
    "left_shoulder": 0.079, "right_shoulder": 0.079, "left_elbow": 0.072, "right_elbow": 0.072,
    "left_wrist": 0.062, "right_wrist": 0.062, "left_hip": 0.107, "right_hip": 0.107,
    "left_knee": 0.087, "right_knee": 0.087, "left_ankle": 0.089, "right_ankle": 0.089,
}  # fmt: skip


class RegionHeatmaps(nn.Module):
    """Heat maps and visibility of the points of one object."""

    def __init__(self, channels: int, points: int) -> None:
        super().__init__()
        self.maps = RegionMaps(channels, points)
        self.visible = RegionLinear(channels, points, dropout=0.0)

    def forward(self, features: Tensor) -> Outputs:
        """``{"heat": logits float [R, K, 2 S, 2 S], "visible": logits float [R, K]}``."""
        return {"heat": self.maps(features), "visible": self.visible(features)["logits"]}


class Keypoints(Task[KeypointsSettings]):
    """A softmax over the heat map's cells against a bell round the point, and an L1 on its mean (DSNT, Nibali 2018)."""

    kind = "keypoints"
    annotation = Points
    carrier = "points"
    finest_stride = 4
    score = "nme"
    higher_is_better = False
    score_means = "the mean distance between predicted and true points, as a share of the normalising length"
    _window = 3  # cells to each side of the peak that take part in the reading

    def __init__(self, name: str, settings: KeypointsSettings) -> None:
        super().__init__(name, settings)
        if self.on_objects:
            self.score, self.higher_is_better = "map", True
            self.score_means = "how surely and exactly objects' points are found: COCO's average precision by OKS"

    @property
    def column(self) -> Column:
        return Column("points", points=self.settings.points)

    @cached_property
    def flip_pairs(self) -> tuple[tuple[int, int], ...] | None:
        if self.settings.flip is None:
            return None
        index = self.settings.points.index
        return tuple((index(a), index(b)) for a, b in self.settings.flip)

    def encode(self, annotation: Points, frame: Frame) -> dict[str, np.ndarray]:
        return {
            "xy": annotation.xy / np.array([frame.width, frame.height], np.float32),
            "visibility": annotation.visibility.astype(np.int64),
        }

    def head(self, spec: FeatureSpec) -> nn.Module:
        return HeatmapHead(spec, len(self.settings.points), self.settings.width)

    def of_object(self, item: Instance) -> Points | None:
        known = item.points is not None and bool((item.points.visibility != UNLABELLED).any())
        return item.points if known else None

    def with_answer(self, item: Instance, answer: Points) -> Instance:
        return changed(item, {"points": answer})

    def cut_targets(self, targets: Targets, boxes: Tensor) -> Targets:
        """Points in shares of their object's box; one outside has no place in its heat map, so it is not labelled."""
        low, high = boxes[:, None, :2], boxes[:, None, 2:]
        xy = (targets["xy"] - low) / (high - low).clamp(min=1e-6)
        inside = ((xy >= 0) & (xy < 1)).all(-1)
        visibility = torch.where(inside, targets["visibility"], torch.full_like(targets["visibility"], UNLABELLED))
        return {"xy": xy, "visibility": visibility}

    def region_head(self, channels: int) -> nn.Module:
        return RegionHeatmaps(channels, len(self.settings.points))

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        heat = outputs["heat"].float()
        n, k, h, w = heat.shape
        labelled = targets["visibility"] != UNLABELLED
        # An unlabelled point's coordinates may be anything, NaN too: they must not reach the arithmetic.
        xy = torch.where(labelled[..., None], targets["xy"], torch.full_like(targets["xy"], 0.5))
        xy = xy * torch.tensor([w, h], device=heat.device)
        logs = heat.flatten(2).log_softmax(-1).view(n, k, h, w)
        xs, ys = grid_of(h, w, heat.device)
        bell_x = _bell(xs - xy[..., 0:1], self.settings.sigma)
        bell_y = _bell(ys - xy[..., 1:2], self.settings.sigma)
        crossed = -torch.einsum("nkh,nkw,nkhw->nk", bell_y, bell_x, logs)
        chances = logs.exp()
        mean_x, mean_y = (chances.sum(2) * xs).sum(-1), (chances.sum(3) * ys).sum(-1)
        off = (mean_x - xy[..., 0]).abs() + (mean_y - xy[..., 1]).abs()
        seen = (targets["visibility"] == VISIBLE).float()
        visible = F.binary_cross_entropy_with_logits(outputs["visible"].float(), seen, reduction="none")
        return {
            "heat": SCALE * masked_mean(crossed, labelled),
            "offset": SCALE * masked_mean(off, labelled),
            "visible": SCALE * masked_mean(visible, labelled),
        }

    def places(self, outputs: Outputs) -> Tensor:
        return self._read(outputs)[0]

    def _read(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """The points, float [n, K, 2] in shares of the map, and how much of the map's mass is there, float [n, K]: the
        mean over the cells round the peak."""
        heat = outputs["heat"].float()
        n, k, h, w = heat.shape
        xs, ys = grid_of(h, w, heat.device)
        peak = heat.flatten(2).argmax(-1)
        near_x = (xs - (peak % w)[..., None] - 0.5).abs() <= self._window
        near_y = (ys - (peak // w)[..., None] - 0.5).abs() <= self._window
        chances = heat.flatten(2).softmax(-1).view(n, k, h, w) * (near_y[..., None] & near_x[..., None, :])
        mass = chances.sum((2, 3))
        x = (chances.sum(2) * xs).sum(-1) / mass
        y = (chances.sum(3) * ys).sum(-1) / mass
        return torch.stack([x / w, y / h], -1), mass.clamp(max=1)

    def decode(self, outputs: Outputs, frames: Sequence[Frame]) -> list[Annotation]:
        xy, scores = (read.cpu().numpy() for read in self._read(outputs))
        seen = np.where(outputs["visible"].float().cpu().numpy() > 0, VISIBLE, HIDDEN).astype(np.int8)
        return [
            self.unwarp(Points(xy[i] * np.array([frame.width, frame.height], np.float32), seen[i], scores[i]), frame)
            for i, frame in enumerate(frames)
        ]

    def statement(self, outputs: Outputs, empty: Outputs, about: str | None, number: int) -> Statement:
        """The heat where a point is said to be: of the one that is named, or the mean over all."""
        names = self.settings.points
        given = self.place_of(about, names, "point")
        chosen = range(len(names)) if given is None else [given]
        peaks = outputs["heat"][0].flatten(1).argmax(-1)
        text = "all points" if given is None else names[given]
        return Statement(
            text, lambda outputs: torch.stack([outputs["heat"].flatten(2)[:, k, peaks[k]] for k in chosen]).mean(0)
        )

    def metric(self) -> KeypointsMetric | ObjectPrecision:
        if self.on_objects:
            return ObjectPrecision(self.asked_classes, "keypoints", self.sigmas)
        return KeypointsMetric(self.settings)

    @property
    def sigmas(self) -> tuple[float, ...]:
        """COCO's constants of the points."""
        names = self.settings.points
        person = set(names) == set(COCO_SIGMAS)
        return self.settings.sigmas or tuple(COCO_SIGMAS[name] if person else 0.05 for name in names)

    def quality(self, predicted: Points, truth: Points) -> float:
        """1 / (1 + NME / 0.1): a half where the points are off by a tenth of the normaliser on average; NaN where no
        point is labelled or the normaliser can't be measured."""
        labelled = truth.visibility != UNLABELLED
        size = normaliser_of(truth, self.settings) if labelled.any() else 0.0
        if not size > 0:
            return float("nan")
        error = np.linalg.norm(predicted.xy[labelled] - truth.xy[labelled], axis=-1).mean() / size
        return float(1 / (1 + error / NEAR))


def _bell(offsets: Tensor, sigma: float) -> Tensor:
    """A normal density over the last axis, made to sum to one."""
    return (-(offsets**2) / (2 * sigma**2)).softmax(-1)


#: A point this near to the truth, in normalisers, counts as found.
NEAR = 0.1


class KeypointsMetric:
    """NME: mean over images of the mean distance over labelled points / the normaliser, in original pixels.

    ``nme_median``: the median over images, which a few that went wholly wrong leave alone. ``pck``: the share of
    labelled points nearer than a tenth of the normaliser. An image whose normaliser is zero or whose normalising
    points are not labelled is left out of all three, and counted in ``unnormalised``.
    """

    def __init__(self, settings: KeypointsSettings) -> None:
        self.settings = settings
        self.errors: list[float] = []
        self._of_images: list[float] = []  # NaN where the image has no part in the score
        self._left_out = 0
        # Of each point: in how many images it is labelled, in how many it was found, and the sum of its errors.
        self._labelled, self._near = (np.zeros(len(settings.points), np.int64) for _ in range(2))
        self._sums = np.zeros(len(settings.points), np.float64)

    def update(self, predicted: Points, truth: Points) -> None:
        labelled = truth.visibility != UNLABELLED
        self._of_images.append(float("nan"))
        if not labelled.any():
            return
        size = normaliser_of(truth, self.settings)
        if not size > 0:
            self._left_out += 1
            return
        distances = np.linalg.norm(predicted.xy[labelled] - truth.xy[labelled], axis=-1) / size
        self.errors.append(float(distances.mean()))
        self._of_images[-1] = self.errors[-1]
        self._labelled += labelled
        self._near[labelled] += distances < NEAR
        self._sums[labelled] += distances

    def compute(self) -> dict[str, float]:
        scores = dict.fromkeys(("nme", "nme_median", "pck"), float("nan"))
        if self.errors:
            scores["nme"], scores["nme_median"] = float(np.mean(self.errors)), float(np.median(self.errors))
            scores["pck"] = float(self._near.sum() / self._labelled.sum())
        return scores | ({"unnormalised": float(self._left_out)} if self._left_out else {})

    def resampled(self, counts: np.ndarray) -> np.ndarray:
        return weighted_mean(np.array(self._of_images, np.float64), counts)

    def charts(self) -> list[Chart]:
        if not self.errors:
            return []
        names = self.settings.points
        errors = [share(total, n) for total, n in zip(self._sums.tolist(), self._labelled.tolist(), strict=True)]
        normaliser = self.settings.normaliser
        length = f"{normaliser[0]} to {normaliser[1]}" if isinstance(normaliser, tuple) else _LENGTHS[normaliser]
        rows = [
            (name, int(self._labelled[k]), errors[k], share(int(self._near[k]), int(self._labelled[k])))
            for k, name in enumerate(names)
        ]
        return [
            self._cumulative(),
            Bars(
                "error_per_point", "Error of each point",
                f"The mean distance to the truth, as a share of {length}; shorter is better. No bar: nobody labelled "
                "the point.",
                "error", names, np.array(errors),
            ),
            Table(
                "points", "Points",
                "Labelled: images where the point is labelled; the others are left out. Error: as a share of "
                f"{length}. Found: nearer than {NEAR:g} of it.",
                ("point", "labelled", "error", "found"), tuple(rows),
            ),
        ]  # fmt: skip

    def _cumulative(self) -> Curves:
        """The share of images with an NME of at most x: the first step reaches 1/N at the smallest error."""
        errors = np.sort(np.array(self.errors, np.float64))
        end = float(max(errors[min(len(errors) - 1, int(0.95 * len(errors)))] * 1.2, 1e-6))
        inside = errors[errors <= end]
        x = np.repeat(inside, 2)
        y = np.repeat(np.arange(len(inside) + 1), 2)[1:-1] / len(errors)
        x, y = np.r_[0.0, x, end], np.r_[0.0, y, len(inside) / len(errors)]
        return Curves(
            "error_curve", "Cumulative error",
            "How many of the images have an error of at most x: the sooner the line rises, the better. The worst "
            "twentieth of the images may lie beyond the right edge.",
            "error of the image (NME)", "share of images",
            (Series("images", *thinned(x, y, 401), main=True),), (0.0, end), (0.0, 1.02),
        )  # fmt: skip


#: The normalisers in words.
_LENGTHS = {
    "diagonal": "the diagonal of the box round the true points",
    "box": "the root of the area of the box round the true points",
}


def normaliser_of(truth: Points, settings: KeypointsSettings) -> float:
    """The length, in pixels, that an image's errors are divided by; NaN where it can't be measured."""
    labelled = truth.visibility != UNLABELLED
    if isinstance(settings.normaliser, tuple):
        a, b = (settings.points.index(name) for name in settings.normaliser)
        return float(np.linalg.norm(truth.xy[a] - truth.xy[b])) if labelled[a] and labelled[b] else float("nan")
    x1, y1, x2, y2 = enclosing_box([truth.xy[labelled]])
    return float(np.hypot(x2 - x1, y2 - y1) if settings.normaliser == "diagonal" else np.sqrt((x2 - x1) * (y2 - y1)))
