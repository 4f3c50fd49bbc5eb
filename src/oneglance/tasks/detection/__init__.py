"""Detection: what is where? A dense, anchor-free detector on the shared pyramid."""

from oneglance.tasks.detection.task import Detection, DetectionSettings

__all__ = ["Detection", "DetectionSettings"]
