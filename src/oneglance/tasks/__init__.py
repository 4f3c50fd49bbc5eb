"""The kinds of task. A new kind is a file in this folder and a line in ``KINDS``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from oneglance.manifest import Column, OnObjects
from oneglance.tasks.base import Task, TaskSettings
from oneglance.tasks.classification import Classification, ClassificationSettings
from oneglance.tasks.detection import Detection, DetectionSettings
from oneglance.tasks.embedding import Embedding, EmbeddingSettings
from oneglance.tasks.keypoints import Keypoints, KeypointsSettings
from oneglance.tasks.mask import Mask, MaskSettings
from oneglance.tasks.regression import Regression, RegressionSettings
from oneglance.tasks.segmentation import Segmentation, SegmentationSettings
from oneglance.tasks.tagging import Tagging, TaggingSettings

#: kind -> (settings, task)
KINDS: dict[str, tuple[type[TaskSettings], type[Task[Any]]]] = {
    "classification": (ClassificationSettings, Classification),
    "tagging": (TaggingSettings, Tagging),
    "regression": (RegressionSettings, Regression),
    "keypoints": (KeypointsSettings, Keypoints),
    "segmentation": (SegmentationSettings, Segmentation),
    "detection": (DetectionSettings, Detection),
    "mask": (MaskSettings, Mask),
    "embedding": (EmbeddingSettings, Embedding),
}


def create_tasks(settings: Mapping[str, TaskSettings]) -> dict[str, Task[Any]]:
    """The tasks by name, in the order of the settings; each knows the tasks on its objects."""
    tasks = {name: KINDS[one.kind][1](name, one) for name, one in settings.items()}
    for name, task in tasks.items():
        task.children = tuple(other for other in tasks.values() if other.settings.parent == name)
        for child in task.children:
            child.parent_classes = task.classes
        read = tasks.get(task.settings.points_from or "")
        task.points_read = len(read.column.points) if read is not None else 0
    return tasks


def columns_of(tasks: Mapping[str, Task[Any]]) -> dict[str, Column]:
    """What the manifest keeps for each task."""
    columns = {name: task.column for name, task in tasks.items()}
    for name, task in tasks.items():
        if task.on_objects and task.settings.parent is not None and task.carrier is not None:
            where = OnObjects(task.settings.parent, task.settings.parent_class, task.carrier, task.attributes)
            columns[name] = replace(columns[name], of=where)
        points_of = {
            label: child.column.points
            for child in task.children
            if child.carrier == "points"
            for label in ((child.settings.parent_class,) if child.settings.parent_class else task.classes)
        }
        if points_of:
            columns[name] = replace(columns[name], points_of=points_of)
    return columns
