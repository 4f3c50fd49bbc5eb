"""The paired bootstrap over test images: the same resamples for every network, whatever it was trained on.

A resample counts each image (or group of images that belong together) a number of times that is drawn from Poisson(1),
by a generator that the image's name alone determines. So two networks that are tested on the same images meet the same
resamples without knowing of each other, and what one of them scored can be kept. (The Poisson bootstrap: Hanley &
MacGibbon 2006; Chamandy et al. 2012. It differs from drawing m of m images by terms of the order 1 / m.)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oneglance.manifest import BATCH_ROWS, Manifest
from oneglance.tasks.base import Metric, Resampling

#: Resamples. The standard error that comes of them is off by 2% itself.
RESAMPLES = 1000
#: Numbers that a metric is given at a time: resamples x images.
_MOST_COUNTS = 1 << 24


def units_of(manifest: Manifest, rows: NDArray[np.int64]) -> list[str]:
    """What is independent of the rest, for each of the rows: the image's group (a person, a film), or else its path."""
    groups, paths = (manifest.table[name].take(pa.array(rows)).to_pylist() for name in ("group", "path"))
    return [f"group {group}" if group else f"image {path}" for group, path in zip(groups, paths, strict=True)]


def draw_counts(units: Sequence[str], resamples: int = RESAMPLES) -> NDArray[np.uint8]:
    """How often each unit counts in each resample, uint8 [B, n]; equal units count equally."""
    places: dict[str, int] = {}
    at = np.array([places.setdefault(unit, len(places)) for unit in units], np.int64)
    drawn = np.empty((len(places), resamples), np.uint8)
    for unit, place in places.items():
        seed = int.from_bytes(hashlib.blake2b(unit.encode(), digest_size=8).digest())
        drawn[place] = np.random.Generator(np.random.PCG64(seed)).poisson(1.0, resamples)
    return drawn[at].T if len(at) else np.zeros((resamples, 0), np.uint8)


def resampled_scores(metric: Metric, counts: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """The score on each resample, float64 [B]; None where the metric can't say it."""
    if not isinstance(metric, Resampling) or not counts.shape[1]:
        return None
    some = max(1, _MOST_COUNTS // counts.shape[1])
    parts = [metric.resampled(counts[start : start + some]) for start in range(0, len(counts), some)]
    return np.concatenate(parts)


def fingerprint_of_labels(manifest: Manifest, task: str, rows: NDArray[np.int64]) -> str:
    """A hash of the labelled images among ``rows`` and of what they are labelled with: networks whose hashes are equal
    were tested on the same."""
    column = manifest.columns[task]
    names = [task] if column.of is None else [task, column.of.column]
    kept = rows[manifest.labelled(task)[rows]]
    digest = hashlib.sha256()
    for start in range(0, len(kept), BATCH_ROWS):
        part = manifest.table.select(["path", *names]).take(pa.array(kept[start : start + BATCH_ROWS]))
        for row in part.to_pylist():
            digest.update(json.dumps(row, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]
