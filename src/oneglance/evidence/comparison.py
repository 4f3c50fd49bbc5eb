"""Two sides of trainings side by side, task by task."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oneglance.errors import OneglanceError
from oneglance.evidence.measure import Measured, TaskScore
from oneglance.evidence.statistics import NEXT_TO_NOTHING, Difference, difference, holm, relative_gain

Floats = NDArray[np.float64]

#: Trainings of one configuration by seed.
Trainings = Mapping[int, Measured]


@dataclass(frozen=True)
class TaskComparison:
    """One task on both sides. ``ours``, ``theirs``: the scores by seed, float64 [n], [k]; ``paired``: seed by seed.

    ``difference``: ours less theirs. ``adjusted``: its p-value after Holm's correction for the ``family`` of tasks that
    were compared. ``left_out``: why an interval over images is not there; empty where it is.
    """

    task: str
    score: str
    higher: bool
    ours: Floats
    theirs: Floats
    paired: bool
    difference: Difference
    adjusted: float
    family: int
    left_out: str

    @property
    def from_nothing(self) -> bool:
        """Whether theirs have learnt next to nothing."""
        return self.higher and float(self.theirs.mean()) < NEXT_TO_NOTHING

    @property
    def gain(self) -> float:
        """The difference, its sign such that more is better."""
        return self.difference.mean if self.higher else -self.difference.mean


@dataclass(frozen=True)
class Cost:
    """What one side takes: see :class:`Measured`; sums where it is several networks. Means over seeds."""

    networks: int
    parameters: float
    flops: float
    answer_s: float
    train_s: float
    train_images: float


@dataclass(frozen=True)
class Comparison:
    """``ours`` against ``theirs``, two names; ``gain``: delta-m in percent (None where it can't be had)."""

    ours: str
    theirs: str
    tasks: list[TaskComparison]
    gain: Difference | None
    cost_ours: Cost
    cost_theirs: Cost


def compare_sides(
    ours: str, theirs: str, tasks: Sequence[str], side: Trainings, others: Mapping[str, Trainings]
) -> Comparison:
    """One side of trainings against another. ``others``: by task, the trainings that the side is compared with.

    Raises OneglanceError where the two were not tested on the same labelled images.
    """
    found = _corrected([_task(name, side, others[name]) for name in tasks])
    networks = list({id(one): one for one in others.values()}.values())
    return Comparison(ours, theirs, found, _gain(found, side, others), cost([side]), cost(networks))


def compare_points(task: str, sides: Sequence[tuple[Trainings, Trainings]]) -> list[TaskComparison]:
    """One task on several pairs of sides, as one family."""
    return _corrected([_task(task, side, other) for side, other in sides])


def _corrected(found: Sequence[TaskComparison]) -> list[TaskComparison]:
    adjusted = holm([one.difference.p for one in found])
    family = sum(math.isfinite(p) for p in adjusted)
    return [replace(one, adjusted=p, family=family) for one, p in zip(found, adjusted, strict=True)]


def _task(name: str, side: Trainings, other: Trainings) -> TaskComparison:
    seeds = sorted(set(side) & set(other))
    paired = len(seeds) == max(len(side), len(other)) or len(seeds) > 1
    mine, yours = ([one[seed].tasks[name] for seed in (seeds if paired else sorted(one))] for one in (side, other))
    tests = {one.test for one in (*mine, *yours)}
    if len(tests) > 1:
        raise OneglanceError(
            f"task {name!r}: the two were not tested on the same labelled images, so their scores can't be compared; "
            "score both on the same split of the same data"
        )
    ours, theirs = (np.array([one.value for one in of], np.float64) for of in (mine, yours))
    resampled, left_out = _resampled(mine, yours)
    images = mine[0].images
    if not left_out and images < 2:
        resampled, left_out = None, "one test image (or group of images) alone says nothing of others"
    found = difference(ours, theirs, resampled, images, paired=paired)
    if not left_out and math.isnan(found.images_error):
        left_out = "too many resamples of the test images have no score"
    return TaskComparison(
        name, mine[0].name, mine[0].higher, ours, theirs, paired, found, math.nan, 0, left_out
    )  # fmt: skip


def _resampled(mine: Sequence[TaskScore], yours: Sequence[TaskScore]) -> tuple[tuple[Floats, Floats] | None, str]:
    sides = [[one.resampled for one in of if one.resampled is not None] for of in (mine, yours)]
    if len(sides[0]) < len(mine) or len(sides[1]) < len(yours):
        return None, f"{mine[0].name} can't be had of resampled test images"
    return (np.array(sides[0], np.float64), np.array(sides[1], np.float64)), ""


def _gain(found: Sequence[TaskComparison], side: Trainings, others: Mapping[str, Trainings]) -> Difference | None:
    scored = [one for one in found if np.isfinite(one.difference.mean)]
    if not scored or not all(one.paired and len(one.ours) == len(scored[0].ours) for one in scored):
        return None
    if any(one.from_nothing for one in scored):
        return None
    higher = [one.higher for one in scored]
    gains = relative_gain(np.stack([one.ours for one in scored]), np.stack([one.theirs for one in scored]), higher)
    if not np.isfinite(gains).all():
        return None
    seeds = sorted(set(side).intersection(*(others[one.task] for one in scored)))
    drawn = [
        _resampled([side[s].tasks[one.task] for s in seeds], [others[one.task][s].tasks[one.task] for s in seeds])[0]
        for one in scored
    ]
    images = min(one.difference.images for one in scored)
    both = [one for one in drawn if one is not None]
    if len(both) < len(scored) or len(seeds) != len(gains):
        return difference(gains, np.zeros_like(gains), None, images)
    resampled = relative_gain(np.stack([a for a, _ in both]), np.stack([b for _, b in both]), higher)
    return difference(gains, np.zeros_like(gains), (resampled, np.zeros_like(resampled)), images)


def cost(networks: Sequence[Trainings]) -> Cost:
    """What these networks take together."""

    def total(key: str) -> float:
        return math.fsum(statistics.fmean(getattr(one, key) for one in of.values()) for of in networks)

    return Cost(
        len(networks), *(total(key) for key in ("parameters", "flops", "answer_s", "train_s", "train_images"))
    )  # fmt: skip
