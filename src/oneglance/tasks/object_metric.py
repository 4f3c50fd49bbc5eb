"""Scores of what is said of objects that were found: COCO's average precision of masks and points, answers on boxes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from oneglance.annotations import UNLABELLED, Instance, Instances
from oneglance.formats import rle as runs
from oneglance.tasks.charts import Chart, Table
from oneglance.tasks.detection.matching import SAME, SURE, iou, match
from oneglance.tasks.detection.metric import looked_for
from oneglance.tasks.resampled import Matches, matches_of, nothing_found, resampled_ap

_NAMES = {"segm": ("map", "map50", "map75"), "keypoints": ("map", "map50", "map75")}


class ObjectPrecision:
    """COCO's AP with the overlap of masks (``segm``) or of points (``keypoints``: OKS) in place of that of boxes.

    An object whose mask nobody drew, or whose points nobody set, is ignored as a crowd is: what is found there is
    neither right nor wrong. Predictions and objects of a class that was not looked for are dropped.

    Args:
        classes: the classes of objects that the task asks about.
        what: which overlap.
        sigmas: of ``keypoints``: how exactly each point can be set (COCO's constants), float [K].
    """

    def __init__(
        self, classes: tuple[str, ...], what: Literal["segm", "keypoints"], sigmas: Sequence[float] = ()
    ) -> None:
        self.classes, self.what, self.sigmas = classes, what, list(sigmas)
        self._images: list[dict[str, Any]] = []
        self._truths: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []
        self._matches: list[Matches] | None = None

    def update(self, predicted: Instances, truth: Instances) -> None:
        size = next((item.rle.size for item in predicted.items if item.rle is not None), None) or _extent(truth)
        self._images.append({"id": len(self._images) + 1, "height": size[0], "width": size[1]})
        counted = looked_for(truth, self.classes)
        for item in truth.items:
            if item.label in counted and item.box is not None:
                self._truths.append(self._entry(item, size, len(self._truths) + 1) | {"iscrowd": self._ignored(item)})
        for item in predicted.items:
            if item.label in counted and item.box is not None and self._answered(item):
                entry = self._entry(item, size, len(self._found) + 1)
                self._found.append(entry | {"score": float(item.score or 0.0), "iscrowd": 0})

    def _answered(self, item: Instance) -> bool:
        return (item.rle if self.what == "segm" else item.points) is not None

    def _ignored(self, item: Instance) -> int:
        unknown = item.rle is None and not item.polygons if self.what == "segm" else False
        return int(item.crowd or item.difficult or unknown)

    def _entry(self, item: Instance, size: tuple[int, int], number: int) -> dict[str, Any]:
        assert item.box is not None
        x1, y1, x2, y2 = (float(v) for v in item.box)
        entry: dict[str, Any] = {
            "id": number, "image_id": len(self._images), "category_id": self.classes.index(item.label) + 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
        }  # fmt: skip
        if self.what == "segm":
            if item.rle is not None:
                counts = runs.string_from_counts(item.rle.counts)
                entry |= {"segmentation": {"size": list(item.rle.size), "counts": counts}}
                area = float(runs.area(item.rle))
            else:
                parts = item.polygons or (np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32),)
                entry |= {"segmentation": [part.ravel().tolist() for part in parts]}
                area = (x2 - x1) * (y2 - y1)
        else:
            points, seen = item.points, 0
            flat: list[float] = [0.0] * (3 * len(self.sigmas))
            if points is not None:
                labelled = points.visibility != UNLABELLED
                seen = int(labelled.sum())
                xy = np.where(labelled[:, None], points.xy, 0)
                flat = np.concatenate([xy, points.visibility[:, None]], 1).astype(float).ravel().tolist()
            entry |= {"keypoints": flat, "num_keypoints": seen}
            area = (x2 - x1) * (y2 - y1)
        return entry | {"area": float(item.area) if item.area is not None else area}

    def compute(self) -> dict[str, float]:
        names = _NAMES[self.what]
        counts = [t for t in self._truths if not t["iscrowd"] and (self.what == "segm" or t["num_keypoints"])]
        if not counts:
            return dict.fromkeys(names, float("nan"))
        if not self._found:
            return dict.fromkeys(names, 0.0)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = self._evaluator()
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return {
            name: float(value) if value >= 0 else float("nan")
            for name, value in zip(names, evaluation.stats, strict=False)
        }

    def resampled(self, counts: np.ndarray) -> np.ndarray:
        """As :class:`oneglance.tasks.base.Resampling`."""
        if not self._found:
            return resampled_ap([nothing_found(self._truths, len(self._images))], counts)
        if self._matches is None or len(self._matches[0].objects) != len(self._images):
            with contextlib.redirect_stdout(io.StringIO()):
                evaluation = self._evaluator(separate_eval=True)
                evaluation.evaluate()
            self._matches = matches_of(evaluation)
        return resampled_ap(self._matches, counts)

    def _evaluator(self, **options: Any) -> COCOeval_faster:
        categories = [{"id": k + 1, "name": name} for k, name in enumerate(self.classes)]
        truth = COCO({"images": self._images, "annotations": self._truths, "categories": categories})
        found = COCO({"images": self._images, "annotations": self._found, "categories": categories})
        if self.what == "keypoints":
            options["kpt_oks_sigmas"] = self.sigmas
        return COCOeval_faster(truth, found, self.what, print_function=_quiet, **options)

    def charts(self) -> list[Chart]:
        scores = self.compute()
        if not np.isfinite(scores["map"]):
            return []
        what = "masks" if self.what == "segm" else "points"
        known = sum(not t["iscrowd"] for t in self._truths)
        return [
            Table(
                "precision", "Average precision",
                f"Of {what}: the mean over overlaps 0.50 to 0.95, at 0.50 and at 0.75. Objects whose {what} nobody "
                "labelled count neither way.",
                ("objects", "AP", "AP50", "AP75"), ((known, *(scores[name] for name in ("map", "map50", "map75"))),),
            )
        ]  # fmt: skip


class Questioned(Protocol):
    """What :class:`AnswerMetric` must know of its task."""

    name: str

    def of_object(self, item: Instance) -> Any:
        """The label that the object carries, None where it has none."""

    def asks_about(self, item: Instance) -> bool:
        """Whether the task asks about this object."""


class AnswerMetric:
    """The kind's own metric, twice: of answers given on the true boxes (its names as they are), and of those on the
    boxes that were found and overlap a true one of the same class by a half (``found/...``); ``found/share``: of how
    many labelled objects such a box was found."""

    def __init__(self, task: Questioned, on_truth: Any, on_found: Any) -> None:
        self.task, self.on_truth, self.on_found = task, on_truth, on_found
        self._asked = self._matched = 0

    def update_on_truth(self, predicted: Any, truth: Any) -> None:
        """An answer given on a true box."""
        self.on_truth.update(predicted, truth)

    def update(self, predicted: Instances, truth: Instances) -> None:
        """An image's objects as they were found, with their answers."""
        asked = [(i, self.task.of_object(i)) for i in truth.items if self.task.asks_about(i)]
        asked = [(item, label) for item, label in asked if label is not None]
        self._asked += len(asked)
        sure = [i for i in predicted.items if (i.score or 0.0) >= SURE and i.box is not None]
        sure.sort(key=lambda item: -(item.score or 0.0))
        if not asked or not sure:
            return
        overlaps = iou(Instances(tuple(sure)).boxes(), Instances(tuple(item for item, _ in asked)).boxes())
        alike = np.array([[one.label == other.label for other, _ in asked] for one in sure])
        for k, j in match(np.where(alike & (overlaps >= SAME), overlaps, 0.0)):
            answer = sure[k].answers.get(self.task.name)
            if answer is not None:
                self._matched += 1
                self.on_found.update(answer, asked[j][1])

    def compute(self) -> dict[str, float]:
        scores = dict(self.on_truth.compute())
        if self._asked:
            scores |= {f"found/{name}": value for name, value in self.on_found.compute().items()}
            scores["found/share"] = self._matched / self._asked
        return scores

    def resampled(self, counts: np.ndarray) -> np.ndarray:
        """As :class:`Resampling`; what counts are the objects, in the order of :meth:`update_on_truth`."""
        scores: np.ndarray = self.on_truth.resampled(counts)
        return scores

    def units(self) -> list[str] | None:
        """What is independent of the rest, where that is not the image (see :class:`EmbeddingMetric`)."""
        return self.on_truth.units() if hasattr(self.on_truth, "units") else None

    def charts(self) -> list[Chart]:
        charts: list[Chart] = self.on_truth.charts()
        return charts


def _extent(truth: Instances) -> tuple[int, int]:
    """A size (H, W) that holds everything that is said of an image: its own, where a mask tells it."""
    sizes = [item.rle.size for item in truth.items if item.rle is not None]
    if sizes:
        return sizes[0]
    corners = [part.max(0) for item in truth.items for part in item.polygons or ()]
    corners += [item.box[2:] for item in truth.items if item.box is not None]
    width, height = np.ceil(np.max(corners, axis=0)).astype(int) if corners else (1, 1)
    return max(int(height), 1), max(int(width), 1)


def _quiet(*_: object) -> None:
    """Swallow the tables that the evaluator prints."""
