"""The worst and the best images of each task, however many there are."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from oneglance.annotations import Annotation


@dataclass(frozen=True, order=True)
class Ranked:
    """One image: how good its answer is, in [0, 1], its row in the manifest, and the answer in original pixels."""

    quality: float
    row: int
    predicted: Annotation = field(compare=False)


class Ranking:
    """Keeps the ``keep`` worst and the ``keep`` best images of each task, and forgets all others."""

    def __init__(self, keep: int = 6) -> None:
        self.keep = keep
        # Heaps: on top of each lies what is given up first. Python's heaps have the smallest on top, so the worst are
        # kept under their negated quality. The negated row decides between equals: the first seen stay.
        self._best: dict[str, list[tuple[float, int, Ranked]]] = {}
        self._worst: dict[str, list[tuple[float, int, Ranked]]] = {}

    def add(self, task: str, row: int, quality: float, predicted: Annotation) -> None:
        """Take in one image's answer; one of which the quality is NaN (nothing is labelled) has no rank."""
        if math.isnan(quality):
            return
        one = Ranked(quality, row, predicted)
        for heap, key in ((self._best, quality), (self._worst, -quality)):
            mine = heap.setdefault(task, [])
            if len(mine) < self.keep:
                heapq.heappush(mine, (key, -row, one))
            elif mine and (key, -row) > mine[0][:2]:
                heapq.heapreplace(mine, (key, -row, one))

    def revise(self, task: str, change: Callable[[Annotation], Annotation]) -> None:
        """Put ``change(answer)`` in place of each answer to a task that is kept: for what is known only afterwards."""
        for heaps in (self._best, self._worst):
            mine = heaps.get(task, [])
            mine[:] = [(key, row, replace(one, predicted=change(one.predicted))) for key, row, one in mine]

    def worst(self, task: str) -> list[Ranked]:
        """The worst images of a task, the worst first; of few images, no more than half of them."""
        kept = {one.row for heaps in (self._best, self._worst) for _, _, one in heaps.get(task, [])}
        return sorted(one for _, _, one in self._worst.get(task, []))[: (len(kept) + 1) // 2]

    def best(self, task: str) -> list[Ranked]:
        """The best images of a task, the best first; none that is among the worst."""
        worst = {one.row for one in self.worst(task)}
        best = sorted((one for _, _, one in self._best.get(task, [])), key=lambda one: (-one.quality, one.row))
        return [one for one in best if one.row not in worst]
