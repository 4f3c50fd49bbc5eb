"""Objects as small images of their own: their boxes, their targets, and the way from a box to the original's pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oneglance.annotations import Annotation, FloatArray, Instances
from oneglance.data.geometry import Frame, scaling, translation

if TYPE_CHECKING:
    from oneglance.tasks.base import Task

#: The side of an object seen as an image, in its own pixels: any number does, answers are scaled by it and back.
UNIT = 1024


def object_targets(task: Task[Any], objects: Instances, frame: Frame) -> dict[str, np.ndarray] | None:
    """Targets of those objects of a warped label that say something to the task, stacked, with their ``box`` float32
    [R, 4] in shares of the input; None where none does. A crowd, and an object of which little is left, is not asked.
    """
    found = []
    for item in objects.items:
        label = None if item.difficult or not task.asks_about(item) else task.of_object(item)
        if label is not None and item.box is not None:
            found.append({"box": shares(item.box, frame), **task.encode(label, frame)})
    return {key: np.stack([one[key] for one in found]) for key in found[0]} if found else None


def whole_targets(task: Task[Any], label: Annotation, frame: Frame) -> dict[str, np.ndarray]:
    """Targets of an image that shows one object and nothing else: the image, without its padding, is the box."""
    one = {"box": shares(np.array(frame.content, np.float32), frame), **task.encode(label, frame)}
    return {key: value[None] for key, value in one.items()}


def shares(box: FloatArray, frame: Frame) -> FloatArray:
    """A box in input pixels as shares of the input's width and height."""
    width, height = np.float32(frame.width), np.float32(frame.height)
    return np.asarray(box, np.float32) / np.array([width, height, width, height])


def region_frame(frame: Frame, box: FloatArray) -> Frame:
    """How an object's ``box`` (input pixels), seen as an image of ``UNIT`` x ``UNIT`` pixels, lies in the original."""
    x1, y1, x2, y2 = (float(v) for v in box)
    cut = scaling(UNIT / max(x2 - x1, 1e-6), UNIT / max(y2 - y1, 1e-6)) @ translation(-x1, -y1)
    return Frame(cut @ frame.matrix, UNIT, UNIT, frame.source_width, frame.source_height)
