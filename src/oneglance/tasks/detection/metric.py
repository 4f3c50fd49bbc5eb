"""COCO's average precision, by faster-coco-eval."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from oneglance.annotations import Instances

_SCORES = ("map", "map50", "map75", "map_small", "map_medium", "map_large")


class DetectionMetric:
    """mAP over IoU 0.50-0.95 (``map``), at 0.50 and 0.75, by COCO's sizes in original pixels, and of each class.

    Predictions and objects of a class that was not looked for in an image are dropped, neither right nor wrong. Objects
    that are ``crowd`` or ``difficult`` are ignored as COCO ignores crowds.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._images = 0
        self._truths: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []

    def update(self, predicted: Instances, truth: Instances) -> None:
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
        if not any(not truth["iscrowd"] for truth in self._truths):
            return dict.fromkeys(_SCORES, float("nan"))
        categories = [{"id": k + 1, "name": name} for k, name in enumerate(self.classes)]
        images = [{"id": k + 1} for k in range(self._images)]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO({"images": images, "annotations": self._truths, "categories": categories})
            if not self._found:
                return dict.fromkeys(_SCORES, 0.0)
            evaluation = COCOeval_faster(truth, truth.loadRes(self._found), "bbox", print_function=_quiet)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        scores = dict(zip(_SCORES, (float(v) if v >= 0 else float("nan") for v in evaluation.stats[:6]), strict=True))
        precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]
        for k, name in enumerate(self.classes):
            valid = precision[:, :, k][precision[:, :, k] > -1]
            if valid.size:
                scores[f"ap/{name}"] = float(valid.mean())
        return scores


def looked_for(truth: Instances, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The classes whose objects are all boxed in an image: one of which an object is known, but not where (it has
    points alone), is unknown there."""
    somewhere = {item.label for item in truth.items if item.box is None}
    annotated = classes if truth.annotated is None else truth.annotated
    return tuple(name for name in annotated if name not in somewhere)


def _xywh(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = (float(v) for v in box)
    return [x1, y1, x2 - x1, y2 - y1]


def _quiet(*_: object) -> None:
    """Swallow the tables that the evaluator prints."""
