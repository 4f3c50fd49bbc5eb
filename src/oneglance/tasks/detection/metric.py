"""COCO's average precision, by faster-coco-eval."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster
from torchvision.ops import box_iou

from oneglance.annotations import Instances
from oneglance.tasks.charts import Chart, Curves, Matrix, Series, Table
from oneglance.tasks.detection.matching import confusion, judge
from oneglance.tasks.resampled import Matches, matches_of, nothing_found, resampled_ap

_SCORES = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
#: Of these objects alone: those that overlap another true one by at least :data:`CROWDED` (IoU, of any class), and the
#: others.
_CROWDING = ("map_crowded", "map_apart")
CROWDED = 0.1
#: An area that is in none of COCO's ranges, so that objects which have it are ignored.
_OUTSIDE = 1e11
#: The recalls at which COCO reads its precisions.
RECALLS = np.linspace(0, 1, 101)
#: The scores at which F1 is measured.
THRESHOLDS = np.linspace(0, 1, 201)


class DetectionMetric:
    """mAP over IoU 0.50-0.95 (``map``), at 0.50 and 0.75, by COCO's sizes in original pixels, of each class, and of
    objects in a crowd (``map_crowded``) and apart from others (``map_apart``).

    By crowding, the other objects are ignored, and every box on nothing counts as wrong in both (as CityPersons does
    for occlusion, Zhang et al. 2017), so that the two are to be compared between networks and not with ``map``.

    Predictions and objects of a class that was not looked for in an image are dropped, neither right nor wrong. Objects
    that are ``crowd`` or ``difficult`` are ignored as COCO ignores crowds.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._images = 0
        self._truths: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []
        self._evaluated: dict[str, Any] | None = None
        self._crowding: dict[str, float] | None = None
        self._matches: list[Matches] | None = None

    def update(self, predicted: Instances, truth: Instances) -> None:
        self._evaluated = self._matches = self._crowding = None
        self._images += 1
        index = {name: k + 1 for k, name in enumerate(self.classes)}
        counted = looked_for(truth, self.classes)
        for item in truth.items:
            if item.box is None or item.label not in counted:
                continue
            box = _xywh(item.box)
            area = item.area if item.area is not None else box[2] * box[3]
            self._truths.append(
                # Annotation id 0 would count as a miss even where it is found.
                {"id": len(self._truths) + 1, "image_id": self._images, "category_id": index[item.label]}
                | {"bbox": box, "area": area, "iscrowd": int(item.crowd or item.difficult)}
            )
        for item in predicted.items:
            if item.label in counted and item.box is not None:
                self._found.append(
                    {"image_id": self._images, "category_id": index[item.label], "bbox": _xywh(item.box)}
                    | {"score": float(item.score or 0.0)}
                )

    def compute(self) -> dict[str, float]:
        if not self._anything_to_find():
            return dict.fromkeys((*_SCORES, *_CROWDING), float("nan"))
        if not self._found:
            return dict.fromkeys(_SCORES, 0.0) | self._by_crowding()
        evaluated = self._evaluate()
        scores = dict(zip(_SCORES, (float(v) if v >= 0 else float("nan") for v in evaluated["stats"][:6]), strict=True))
        precision = evaluated["precision"]
        for k, name in enumerate(self.classes):
            valid = precision[:, :, k][precision[:, :, k] > -1]
            if valid.size:
                scores[f"ap/{name}"] = float(valid.mean())
        return scores | self._by_crowding()

    def _by_crowding(self) -> dict[str, float]:
        """``map`` of the objects in a crowd, and of the others; NaN where there are none."""
        if self._crowding is not None:
            return self._crowding
        crowded = np.zeros(len(self._truths), bool)
        for items in _by_image(self._truths).values():
            boxes = torch.from_numpy(_arrays(items)[0])
            overlap = box_iou(boxes, boxes).fill_diagonal_(0).amax(1).numpy()
            crowded[[item["id"] - 1 for item in items]] = overlap >= CROWDED
        scores = {}
        for name, group in zip(_CROWDING, (crowded, ~crowded), strict=True):
            if not any(of and not item["iscrowd"] for of, item in zip(group, self._truths, strict=True)):
                scores[name] = float("nan")
                continue
            truths = [item | ({} if of else {"area": _OUTSIDE}) for of, item in zip(group, self._truths, strict=True)]
            scores[name] = float(self._summary(truths)["stats"][0]) if self._found else 0.0
        self._crowding = scores
        return scores

    def resampled(self, counts: np.ndarray) -> np.ndarray:
        if not self._anything_to_find():
            return np.full(len(counts), np.nan)
        if self._matches is None:
            if self._found:
                with contextlib.redirect_stdout(io.StringIO()):
                    evaluation = self._evaluator(self._truths, separate_eval=True)
                    evaluation.evaluate()
                self._matches = matches_of(evaluation)
            else:
                self._matches = [nothing_found(self._truths, self._images)]
        return resampled_ap(self._matches, counts)

    def charts(self) -> list[Chart]:
        if not self._anything_to_find():
            return []
        labels = [truth["category_id"] - 1 for truth in self._truths if not truth["iscrowd"]]
        objects = np.bincount(labels, minlength=len(self.classes))
        occurs = np.flatnonzero(objects)
        precision = self._precision()
        f1 = self._f1(objects)[:, occurs]
        mean = f1.mean(1)
        threshold = float(THRESHOLDS[mean.argmax()])
        aps = precision[:, occurs].mean(0)
        scores = self.compute()
        rows = []
        for k, name in enumerate(self.classes):
            nothing = (float("nan"),) * 4
            if objects[k]:
                own = f1[:, occurs.tolist().index(k)]
                ap50 = float(precision[:, k].mean())
                nothing = (scores.get(f"ap/{name}", 0.0), ap50, float(own.max()), float(THRESHOLDS[own.argmax()]))
            rows.append((name, int(objects[k]), *nothing))
        names = [self.classes[k] for k in occurs]
        pr = [
            Series(f"{self.classes[k]} {ap:.2f}", RECALLS, precision[:, k]) for k, ap in zip(occurs, aps, strict=True)
        ]
        by_score = [Series(name, THRESHOLDS, f1[:, k]) for k, name in enumerate(names)]
        if len(names) > 1:
            pr.append(Series(f"mean {aps.mean():.2f}", RECALLS, precision[:, occurs].mean(1), main=True))
            by_score.append(Series("mean", THRESHOLDS, mean, main=True))
        return [
            Curves(
                "PR_curve", "Precision and recall",
                "From left to right ever less sure boxes are counted. Recall: the share of objects that was found (a "
                "box of the class overlaps it by half, IoU 0.5); precision: the share of boxes that are right. The "
                "further up and to the right, the better; the number is the area below, AP50.",
                "recall", "precision", tuple(pr), (0.0, 1.0), (0.0, 1.02),
            ),
            Curves(
                "F1_curve", "F1 by score",
                "How good the boxes are together if only those of at least this score are kept: the harmonic mean of "
                f"precision and recall. The best on average is {mean.max():.2f}, at a score of {threshold:.2f}.",
                "lowest score that is kept", "F1", tuple(by_score), (0.0, 1.0), (0.0, 1.02),
            ),
            self._matrix(threshold),
            Table(
                "classes", "Classes",
                "AP: average precision, the mean over IoU 0.50 to 0.95; AP50: at IoU 0.50. Best F1, and the score from "
                "which boxes must be kept to reach it.",
                ("class", "objects", "AP", "AP50", "best F1", "at score"), tuple(rows),
            ),
        ]  # fmt: skip

    def _anything_to_find(self) -> bool:
        return any(not truth["iscrowd"] for truth in self._truths)

    def _evaluate(self) -> dict[str, Any]:
        """COCO's evaluation of what was seen so far: ``stats``, and ``precision`` by IoU, recall and class, float64
        [10, 101, C] (-1 for a class without objects)."""
        if self._evaluated is None:
            self._evaluated = self._summary(self._truths)
        return self._evaluated

    def _summary(self, truths: list[dict[str, Any]]) -> dict[str, Any]:
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = self._evaluator(truths)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]
        return {"stats": evaluation.stats, "precision": precision}

    def _evaluator(self, truths: list[dict[str, Any]], **options: Any) -> COCOeval_faster:
        categories = [{"id": k + 1, "name": name} for k, name in enumerate(self.classes)]
        images = [{"id": k + 1} for k in range(self._images)]
        truth = COCO({"images": images, "annotations": truths, "categories": categories})
        return COCOeval_faster(truth, truth.loadRes(self._found), "bbox", print_function=_quiet, **options)

    def _precision(self) -> np.ndarray:
        """COCO's precision at IoU 0.5, by recall and class, float64 [101, C]; 0 where the recall is not reached."""
        if not self._found:
            return np.zeros((len(RECALLS), len(self.classes)))
        precision: np.ndarray = self._evaluate()["precision"][0].clip(min=0)
        return precision

    def _f1(self, objects: np.ndarray) -> np.ndarray:
        """F1 at IoU 0.5 of the boxes that score at least as much, float64 [thresholds, C]; ``objects`` int64 [C].

        Counted, not read from COCO's curves: these know nothing of the false boxes below the last right one.
        """
        judged: list[tuple[np.ndarray, ...]] = [(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))]
        true = _by_image(self._truths)
        for image, found in _by_image(self._found).items():
            found = sorted(found, key=lambda one: -float(one["score"]))
            boxes, labels, _ = _arrays(found)
            right, counts = judge(boxes, labels, *_arrays(true.get(image, [])))
            judged.append((labels[counts], np.array([one["score"] for one in found])[counts], right[counts]))
        labels, scores, right = (np.concatenate(column) for column in zip(*judged, strict=True))
        f1 = np.zeros((len(THRESHOLDS), len(self.classes)))
        for k in range(len(self.classes)):
            mine = labels == k
            kept, hits = (_at_least(scores[mine & some], THRESHOLDS) for some in (np.ones_like(right), right))
            f1[:, k] = 2 * hits / np.maximum(kept + objects[k], 1)
        return f1

    def _matrix(self, threshold: float) -> Matrix:
        counts = np.zeros((len(self.classes) + 1,) * 2, np.int64)
        true, found = _by_image(self._truths), _by_image([f for f in self._found if f["score"] >= threshold])
        for image in true.keys() | found.keys():
            boxes, labels, _ = _arrays(found.get(image, []))
            counts += confusion(boxes, labels, *_arrays(true.get(image, [])), len(self.classes))
        return Matrix(
            "confusion_matrix", "Confusion matrix",
            "Each row is a true class, each column an answer: what was said of the objects (a box overlaps them by "
            "half), or that they were missed. The last row: boxes where nothing is that was labelled. Of boxes of at "
            f"least the score {threshold:.2f}, the best on average.",
            (*self.classes, "nothing there"), (*self.classes, "missed"), counts, "objects",
        )  # fmt: skip


def _at_least(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many scores [N] reach each of the thresholds [T], int64 [T]."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")


def _by_image(items: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    grouped: dict[int, list[dict[str, Any]]] = {}
    for item in items:
        grouped.setdefault(item["image_id"], []).append(item)
    return grouped


def _arrays(items: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes x1 y1 x2 y2 float64 [N, 4], classes int64 [N], ignored bool [N]."""
    boxes = np.array([item["bbox"] for item in items], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = np.array([item["category_id"] - 1 for item in items], np.int64)
    return boxes, labels, np.array([item.get("iscrowd", 0) for item in items], bool)


def looked_for(truth: Instances, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Of ``classes`` those whose objects are all boxed in an image: one of which an object is known, but not where (it
    has points alone), is unknown there."""
    somewhere = {item.label for item in truth.items if item.box is None}
    annotated = classes if truth.annotated is None else truth.annotated
    return tuple(name for name in classes if name in annotated and name not in somewhere)


def _xywh(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = (float(v) for v in box)
    return [x1, y1, x2 - x1, y2 - y1]


def _quiet(*_: object) -> None:
    """Swallow the tables that the evaluator prints."""
