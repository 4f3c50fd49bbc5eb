"""A film's answers, frame after frame: objects get the numbers of their tracks, points are smoothed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from oneglance.annotations import UNLABELLED, Annotation, FloatArray, Instance, Instances, Points, changed
from oneglance.tracking.one_euro import OneEuro
from oneglance.tracking.settings import TrackSettings
from oneglance.tracking.tracker import NONE, Tracker


class Follower:
    """Shown the answers for a film's frames in their order, gives them back with tracks and with smooth points.

    Each task's objects are numbered for themselves, from 1. Points of objects are smoothed while their track is seen
    without a break, points of the whole image while they are sure; what is unlabelled, unsure or was not found stays
    as it is, and nothing is ever added. Memory does not grow with the film.
    """

    def __init__(self, settings: TrackSettings | None = None) -> None:
        self.settings = settings or TrackSettings()
        self._trackers: dict[str, Tracker] = {}
        self._filters: dict[tuple[str, int], OneEuro] = {}

    def __call__(
        self, answers: Mapping[str, Annotation], seconds: float, size: tuple[int, int]
    ) -> dict[str, Annotation]:
        """One frame's answers, followed.

        Args:
            answers: by task, in pixels of the frame.
            seconds: the frame's time; never before that of the frame before it.
            size: (width, height) of the frame.
        """
        before, self._filters = self._filters, {}
        followed: dict[str, Annotation] = {}
        for task, answer in answers.items():
            match answer:
                case Instances():
                    followed[task] = self._tracked(task, answer, seconds, before)
                case Points() if self.settings.smooth:
                    followed[task] = self._smoothed((task, NONE), answer, seconds, float(max(size)), before)
                case _:
                    followed[task] = answer
        return followed

    def _tracked(
        self, task: str, answer: Instances, seconds: float, before: Mapping[tuple[str, int], OneEuro]
    ) -> Instances:
        tracker = self._trackers.setdefault(task, Tracker(self.settings))
        boxed = [k for k, item in enumerate(answer.items) if item.box is not None]
        some = [answer.items[k] for k in boxed]
        boxes = np.array([item.box for item in some], np.float32).reshape(-1, 4)
        scores = np.array([1.0 if item.score is None else item.score for item in some], np.float32)
        numbers = tracker.update(seconds, boxes, scores, [item.label for item in some], _vectors(some))
        items = [changed(item, {"track": None}) for item in answer.items]
        for k, box, number in zip(boxed, boxes, numbers.tolist(), strict=True):
            if number == NONE:
                continue
            changes: dict[str, object] = {"track": number}
            points = answer.items[k].points
            if points is not None and self.settings.smooth:
                unit = max(1.0, float((box[2:] - box[:2]).mean()))
                changes["points"] = self._smoothed((task, number), points, seconds, unit, before)
            items[k] = changed(items[k], changes)
        return replace(answer, items=tuple(items))

    def _smoothed(
        self,
        key: tuple[str, int],
        points: Points,
        seconds: float,
        unit: float,
        before: Mapping[tuple[str, int], OneEuro],
    ) -> Points:
        """Points smoothed by the filter of the last frame, or by a new one where there was none."""
        known = _sure(points, self.settings.sure)[:, None]
        smooth = before.get(key) or OneEuro(self.settings.min_cutoff, self.settings.beta)
        self._filters[key] = smooth
        values = smooth(seconds, np.where(known, points.xy.astype(np.float64), np.nan), unit)
        return replace(points, xy=np.where(known, values, points.xy).astype(np.float32))


def _sure(points: Points, score: float) -> NDArray[np.bool_]:
    sure = (points.visibility != UNLABELLED) & np.isfinite(points.xy).all(1)
    return sure if points.scores is None else sure & (points.scores >= score)


def _vectors(items: list[Instance]) -> FloatArray | None:
    """The objects' embeddings, float32 [N, D], NaN where one has none; None where no object has one."""
    width = next((len(item.vector) for item in items if item.vector is not None), None)
    if width is None:
        return None
    unknown = np.full(width, np.nan, np.float32)
    return np.array([unknown if item.vector is None else item.vector for item in items], np.float32)
