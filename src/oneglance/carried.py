"""What the objects of a source carry for the tasks that are asked of them: what somebody vouches for, and what can be
used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from oneglance.annotations import UNLABELLED, Instance, Instances, Points
from oneglance.errors import Problems
from oneglance.formats.shapes import TOLERANCE
from oneglance.tasks.base import Task

#: So many different complaints of a source are said.
MOST = 20


class Carried:
    """The objects of a source's images with what its tasks ask of them, and nothing else.

    What is left out is unknown: what the source is not said to be for (outlines that nobody vouches for, say), and what
    can't be used, which :meth:`finish` reports. ``children``: the tasks on the objects that the source is for.
    """

    def __init__(self, source: str, children: Sequence[Task[Any]], problems: Problems) -> None:
        self._source, self._children, self._problems = source, children, problems
        self._complaints: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()

    def of(self, instances: Instances) -> Instances:
        """The objects of an image."""
        return replace(instances, items=tuple(self._object(item) for item in instances.items))

    def _object(self, item: Instance) -> Instance:
        children = [child for child in self._children if child.asks_about(item)]
        carriers = {child.carrier: child.name for child in children}
        return replace(
            item,
            points=self._points(item, carriers["points"]) if "points" in carriers else None,
            identity=item.identity if "identity" in carriers else None,
            polygons=item.polygons if "shape" in carriers else None,
            rle=item.rle if "shape" in carriers else None,
            attributes=self._attributes(item, children),
        )

    def _attributes(self, item: Instance, children: Sequence[Task[Any]]) -> dict[str, str | float]:
        kept = {}
        for child in children:
            for name in child.attributes:
                if item.attributes.get(name, "") == "":  # nobody said it
                    continue
                complaint = child.complaint(name, item.attributes[name])
                if complaint:
                    self._complaints[f"task {child.name!r}: {complaint}; unknown"] += 1
                else:
                    kept[name] = item.attributes[name]
        return kept

    def _points(self, item: Instance, task: str) -> Points | None:
        points, box = item.points, item.box
        if points is None or box is None:
            return points
        labelled = points.visibility != UNLABELLED
        if not labelled.any():
            return None
        beyond = (points.xy < box[:2] - TOLERANCE) | (points.xy > box[2:] + TOLERANCE)
        outside = int((labelled & beyond.any(1)).sum())
        if outside:
            what = f"points of task {task!r} lie outside their object's box: nothing is learnt from them"
            self._notes[what] += outside
        return points

    def finish(self) -> None:
        """Report what could not be used, each kind once with how often."""
        where = f"source {self._source!r}"
        for what, count in self._complaints.most_common(MOST):
            self._problems.add(where, f"{count} times: {what}")
        if len(self._complaints) > MOST:
            self._problems.add(where, f"and {len(self._complaints) - MOST} other values that can't be used")
        for what, count in self._notes.items():
            self._problems.add(where, f"{count} {what}", is_note=True)
