"""The kinds of task. A new kind is a file in this folder and a line in ``KINDS``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oneglance.tasks.base import Task, TaskSettings
from oneglance.tasks.classification import Classification, ClassificationSettings
from oneglance.tasks.detection import Detection, DetectionSettings
from oneglance.tasks.embedding import Embedding, EmbeddingSettings
from oneglance.tasks.keypoints import Keypoints, KeypointsSettings
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
    "embedding": (EmbeddingSettings, Embedding),
}


def create_tasks(settings: Mapping[str, TaskSettings]) -> dict[str, Task[Any]]:
    """The tasks by name, in the order of the settings."""
    return {name: KINDS[one.kind][1](name, one) for name, one in settings.items()}
