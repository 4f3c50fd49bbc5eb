"""Which predicted box speaks of which true one, where COCO's evaluator does not say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneglance.annotations import Instances

#: Boxes that overlap this much speak of the same object.
SAME = 0.5
#: What scores less is not drawn into pictures, and not counted when images are ranked.
SURE = 0.25

Boxes = NDArray[np.floating[Any]]
Overlaps = NDArray[np.float64]
Labels = NDArray[np.int64]


def matched_quality(predicted: Instances, truth: Instances, counted: Sequence[str]) -> float:
    """Panoptic quality of the boxes of the ``counted`` classes, in [0, 1]; 1 where nothing is there and nothing was
    found. Objects that are crowd or difficult, and what was found at them, do not count."""
    index = {name: k for k, name in enumerate(counted)}
    sure = [i for i in predicted.items if i.label in index and i.box is not None and (i.score or 0.0) >= SURE]
    sure = sorted(sure, key=lambda item: -(item.score or 0.0))
    true = [i for i in truth.items if i.label in index and i.box is not None]
    real = [i for i in true if not (i.crowd or i.difficult)]
    ignored = [i for i in true if i.crowd or i.difficult]
    boxes, labels = Instances(tuple(sure)).boxes(), np.array([index[i.label] for i in sure], np.int64)
    of_real, of_ignored = (np.array([index[i.label] for i in some], np.int64) for some in (real, ignored))
    overlaps = iou(boxes, Instances(tuple(real)).boxes())
    pairs = match(np.where(labels[:, None] == of_real, overlaps, 0.0))
    false = np.setdiff1d(np.arange(len(sure)), [i for i, _ in pairs])
    hidden = at_ignored(boxes[false], labels[false], Instances(tuple(ignored)).boxes(), of_ignored)
    wrong = int((~hidden).sum()) + len(real) - len(pairs)
    if not pairs:
        return 0.0 if wrong else 1.0
    return float(sum(overlaps[i, j] for i, j in pairs) / (len(pairs) + wrong / 2))


def confusion(
    boxes: Boxes, labels: Labels, true_boxes: Boxes, true_labels: Labels, ignored: NDArray[np.bool_], classes: int
) -> NDArray[np.int64]:
    """What was said of one image's objects, int64 [C + 1, C + 1]: rows the truth, columns the prediction.

    Boxes x1 y1 x2 y2, float [N, 4] and [M, 4]; ``ignored`` bool [M]: true objects that do not count. The last column:
    missed; the last row: nothing is there. A box is first matched with the object of its own class that it overlaps
    most, and only what is left over with one of another class, so that a second box of a wrong class is a false one,
    not a confusion.
    """
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    real = np.flatnonzero(~ignored)
    overlaps = iou(boxes, true_boxes[real])
    of_real = true_labels[real]
    same = match(np.where(labels[:, None] == of_real, overlaps, 0.0))
    rest = overlaps.copy()
    for i, j in same:
        rest[i], rest[:, j] = 0.0, 0.0
    pairs = same + match(rest)
    for i, j in pairs:
        counts[of_real[j], labels[i]] += 1
    missed = np.setdiff1d(np.arange(len(real)), [j for _, j in pairs])
    np.add.at(counts, (of_real[missed], classes), 1)
    false = np.setdiff1d(np.arange(len(boxes)), [i for i, _ in pairs])
    false = false[~at_ignored(boxes[false], labels[false], true_boxes[ignored], true_labels[ignored])]
    np.add.at(counts, (classes, labels[false]), 1)
    return counts


def judge(
    boxes: Boxes, labels: Labels, true_boxes: Boxes, true_labels: Labels, ignored: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which boxes of one image are right, and which count at all (not those at ignored objects): both bool [N].

    As COCO judges them at IoU 0.5: the boxes, surest first, each take the object of their class that they overlap most
    of those that are left.
    """
    real = np.flatnonzero(~ignored)
    overlaps = np.where(labels[:, None] == true_labels[real], iou(boxes, true_boxes[real]), 0.0)
    right = np.zeros(len(boxes), bool)
    for i in np.flatnonzero((overlaps >= SAME).any(1)):
        j = int(overlaps[i].argmax())
        if overlaps[i, j] >= SAME:
            right[i] = True
            overlaps[:, j] = 0.0
    counts = right | ~at_ignored(boxes, labels, true_boxes[ignored], true_labels[ignored])
    return right, counts


def match(overlaps: Overlaps) -> list[tuple[int, int]]:
    """Pairs (row, column) of float [N, M] from SAME on, largest first, each row and each column once."""
    rows, columns = np.nonzero(overlaps >= SAME)
    order = np.argsort(-overlaps[rows, columns], kind="stable")
    taken_rows, taken_columns, pairs = set(), set(), []
    for i, j in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if i not in taken_rows and j not in taken_columns:
            taken_rows.add(i)
            taken_columns.add(j)
            pairs.append((i, j))
    return pairs


def at_ignored(boxes: Boxes, labels: Labels, ignored: Boxes, of_ignored: Labels) -> NDArray[np.bool_]:
    """Which boxes lie by half or more on an ignored object of their class, bool [N], as COCO treats crowds."""
    if not len(boxes) or not len(ignored):
        return np.zeros(len(boxes), bool)
    inside = _intersection(boxes, ignored) / np.maximum(_area(boxes)[:, None], 1e-9)
    lies: NDArray[np.bool_] = ((inside >= SAME) & (labels[:, None] == of_ignored)).any(1)
    return lies


def iou(one: Boxes, other: Boxes) -> Overlaps:
    """Intersection over union, float64 [N, M], of boxes x1 y1 x2 y2."""
    both = _intersection(one, other)
    union = _area(one)[:, None] + _area(other)[None] - both
    return both / np.maximum(union, 1e-9)


def _intersection(one: Boxes, other: Boxes) -> Overlaps:
    one, other = np.asarray(one, np.float64).reshape(-1, 4), np.asarray(other, np.float64).reshape(-1, 4)
    low, high = np.maximum(one[:, None, :2], other[None, :, :2]), np.minimum(one[:, None, 2:], other[None, :, 2:])
    sides = (high - low).clip(min=0)
    return sides[..., 0] * sides[..., 1]


def _area(boxes: Boxes) -> Overlaps:
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
