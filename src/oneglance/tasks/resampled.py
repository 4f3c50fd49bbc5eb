"""COCO's average precision on resampled images: objects and boxes are matched once, image by image, and only counted
anew. What it says is what the evaluator would say of the resampled data set (but for predictions of one image that
score exactly the same, whose order among copies of the image is nobody's)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneglance.tasks.charts import mean_of_known

Floats = NDArray[np.float64]

#: Numbers (resamples x predictions) that are counted at a time.
_MOST = 1 << 22
#: The recalls at which COCO reads its precisions.
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Matches:
    """The predictions of one class, surest first, and its objects.

    ``image`` int64 [D], of each prediction; ``right`` and ``ignored`` bool [T, D], whether it found an object,
    and whether it counts neither way, at each of T overlaps. ``objects`` int64 [n], how many each image has that count.
    """

    image: NDArray[np.int64]
    right: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    objects: NDArray[np.int64]


def matches_of(evaluation: Any) -> list[Matches]:
    """By class, from a ``COCOeval_faster`` with ``separate_eval`` that has evaluated; objects of all sizes."""
    found = []
    settings = evaluation.params
    images, sizes, overlaps = len(settings.imgIds), len(settings.areaRng), len(settings.iouThrs)
    for k in range(len(settings.catIds)):
        start = k * sizes * images
        states = [one.__getstate__() for one in evaluation._evalImgs_cpp[start : start + images]]
        counts = [len(scores) for _, _, scores, *_ in states]
        scores = np.concatenate([np.array(state[2], np.float64) for state in states])
        right, ignored = (
            np.concatenate([np.array(state[at]).astype(bool).reshape(overlaps, -1) for state in states], axis=1)
            for at in (0, 4)
        )
        order = np.argsort(-scores, kind="stable")
        objects = np.array([np.count_nonzero(~np.array(state[3], bool)) for state in states], np.int64)
        image = np.repeat(np.arange(images), counts)[order]
        found.append(Matches(image, right[:, order], ignored[:, order], objects))
    return found


def nothing_found(truths: Sequence[Mapping[str, Any]], images: int) -> Matches:
    """Where not one prediction was made: COCO's ``truths`` (of all classes together), of images 1 to ``images``."""
    real = [one["image_id"] - 1 for one in truths if not one["iscrowd"] and one.get("num_keypoints", 1)]
    nothing = np.zeros((1, 0), bool)
    return Matches(np.zeros(0, np.int64), nothing, nothing, np.bincount(real, minlength=images).astype(np.int64))


def resampled_ap(classes: list[Matches], counts: np.ndarray) -> Floats:
    """The mean over classes, overlaps and recalls of the precision, float64 [B], where image k counts ``counts[b, k]``
    times, int [B, n]; NaN where no object is left."""
    each = np.full((len(classes), len(counts)), np.nan)
    for k, one in enumerate(classes):
        step = max(1, _MOST // max(1, len(one.image)))
        for start in range(0, len(counts), step):
            each[k, start : start + step] = _of_class(one, counts[start : start + step])
    return mean_of_known(each)


def _of_class(one: Matches, counts: np.ndarray) -> Floats:
    objects = counts @ one.objects
    weights = counts[:, one.image].astype(np.float64)
    said: dict[bytes, Floats] = {}
    total = np.zeros(len(counts))
    for right, ignored in zip(one.right, one.ignored, strict=True):
        # Predictions so far that count, at each prediction; mostly the same at all overlaps.
        key = ignored.tobytes()
        if key not in said:
            said[key] = np.cumsum(np.where(ignored, 0.0, weights), axis=1)
        hits = np.flatnonzero(right & ~ignored)
        true = np.cumsum(weights[:, hits], axis=1)
        # Between two hits precision falls, so only at hits can it be the highest from there on.
        precision = true / (said[key][:, hits] + np.spacing(1))
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        for b in np.flatnonzero(objects):
            at = np.searchsorted(true[b] / objects[b], _RECALLS, side="left")
            total[b] += best[b, at[at < len(hits)]].sum()
    mean: Floats = np.where(objects > 0, total / (len(one.right) * len(_RECALLS)), np.nan)
    return mean
