"""What the looks of one or several trainings say of each pair of tasks: a mean, and how sure it is."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from oneglance.errors import OneglanceError
from oneglance.evidence.affinity.lookahead import AFFINITY, COSINE, TAKEN

Floats = NDArray[np.float64]

#: Resamples of the looks.
RESAMPLES = 200


@dataclass(frozen=True)
class Looks:
    """The n looks of one training at K tasks, in their order; NaN where a pair was not seen.

    ``affinity`` float64 [n, K, K]: what a step for task i did to the loss of task j; ``cosine`` float64 [n, K, K]: of
    their gradients, 1 on the diagonal; ``seconds``: what all looks took.
    """

    affinity: Floats
    cosine: Floats
    seconds: float


@dataclass(frozen=True)
class Pairs:
    """A figure for each pair of K tasks, float64 [K, K] each, NaN: unknown. ``mean``; ``error``, its standard error;
    ``freedom`` of it; ``seen`` int64 [K, K]: in how many looks; ``resampled`` float64 [B, K, K]: means on resamples."""

    mean: Floats
    error: Floats
    freedom: float
    seen: NDArray[np.int64]
    resampled: Floats

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Both ends, float64 [K, K]; NaN where there is none."""
        margin = float(stats.t.ppf((1 + level) / 2, self.freedom)) if self.freedom > 0 else math.nan
        return self.mean - margin * self.error, self.mean + margin * self.error


def read_looks(folder: Path, tasks: Sequence[str]) -> Looks:
    """The looks that a run's history holds. Raises OneglanceError where there is none."""
    place = {name: k for k, name in enumerate(tasks)}
    kinds: dict[str, dict[int, Floats]] = {AFFINITY: {}, COSINE: {}}
    seconds, steps = 0.0, set()
    path = folder / "history.csv"
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            step, kind, task, name = int(row["step"]), row["kind"], row["task"], row["name"]
            if kind == TAKEN:
                steps.add(step)
                seconds += float(row["value"])
            elif kind in kinds and task in place and name in place:
                found = kinds[kind].setdefault(step, np.full((len(tasks), len(tasks)), np.nan))
                found[place[task], place[name]] = float(row["value"])
                if kind == COSINE:
                    found[place[name], place[task]] = float(row["value"])
    if not steps:
        raise OneglanceError(
            f"{path}: nobody looked ahead in this training, which `oneglance compare` may have made; choose another "
            "--out"
        )
    nothing = np.full((len(tasks), len(tasks)), np.nan)
    affinity, cosine = (np.stack([of.get(step, nothing) for step in sorted(steps)]) for of in kinds.values())
    own = np.isfinite(affinity).any(2)
    for k in range(len(tasks)):
        cosine[own[:, k], k, k] = 1.0
    return Looks(affinity, cosine, seconds)


def pairs_of(looks: Sequence[Floats], seed: int = 0) -> Pairs:
    """Mean and standard error over the looks float64 [n, K, K] of each training.

    Of one training, the error is over its looks: a bootstrap of blocks of successive looks (circular; Politis & Romano
    1992), whose length grows as the cube root of their number, since neighbours are alike. Of several, it is over them
    (Student's t), each with the mean over its looks. Resamples draw trainings, then blocks of their looks.
    """
    means = np.stack([mean_of_known(one) for one in looks])
    generator = np.random.default_rng(seed)
    resampled = np.stack([_resampled(one, generator) for one in looks])
    seen = np.stack([np.isfinite(one).sum(0) for one in looks]).sum(0)
    count = len(looks)
    if count == 1:
        number = len(looks[0])
        error = np.std(resampled[0], axis=0, ddof=1) if number > 1 else np.full(means.shape[1:], np.nan)
        return Pairs(means[0], error, number / block_length(number) - 1, seen, resampled[0])
    drawn = generator.integers(0, count, (RESAMPLES, count))
    mixed = mean_of_known(np.moveaxis(resampled[drawn, np.arange(RESAMPLES)[:, None]], 1, 0))
    # What a training did not see is left out: the others say what is known.
    known = np.isfinite(means).sum(0)
    mean = mean_of_known(means)
    squares = np.where(np.isfinite(means), (means - mean) ** 2, 0).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(squares / (known - 1) / known)
    return Pairs(mean, np.where(known > 1, error, np.nan), count - 1.0, seen, mixed)


def block_length(count: int) -> int:
    """How many successive looks are drawn together, of so many."""
    return max(1, round(count ** (1 / 3)))


def mean_of_known(values: Floats) -> Floats:
    """The mean over the first axis, what is unknown left out; NaN where nothing is known."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(known, values, 0.0).sum(0) / known.sum(0)
    return mean


def _resampled(looks: Floats, generator: np.random.Generator) -> Floats:
    """The mean over resampled looks, float64 [B, K, K]."""
    count = len(looks)
    length = block_length(count)
    starts = generator.integers(0, count, (RESAMPLES, -(-count // length)))
    at = (starts[:, :, None] + np.arange(length)).reshape(RESAMPLES, -1)[:, :count] % count
    times = np.stack([np.bincount(one, minlength=count) for one in at]).astype(np.float64)
    known = np.isfinite(looks).reshape(count, -1)
    flat = np.where(known, looks.reshape(count, -1), 0.0)
    with np.errstate(invalid="ignore"):
        means: Floats = (times @ flat) / (times @ known)
    return means.reshape(RESAMPLES, *looks.shape[1:])
