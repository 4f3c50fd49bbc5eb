"""Detection as a task: settings, targets, decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torchvision.ops import batched_nms

from oneglance.annotations import Annotation, Instance, Instances
from oneglance.data.geometry import Frame
from oneglance.tasks.base import FeatureSpec, Outputs, Statement, Targets, Task, known_mask
from oneglance.tasks.detection.head import DetectionHead, boxes_xyxy, distances_of
from oneglance.tasks.detection.loss import detection_loss
from oneglance.tasks.detection.matching import matched_quality
from oneglance.tasks.detection.metric import DetectionMetric, looked_for
from oneglance.tasks.imbalance import FocalSettings

#: What scores less is said of no object that is to be explained.
SAID = 0.05


class DetectionSettings(FocalSettings):
    """`kind: detection`: what is where?"""

    parts = {"class": ("class", "single"), "box": ("box", "sides")}

    kind: Literal["detection"] = "detection"
    classes: tuple[str, ...] = Field(description="Names of the classes, in the order of the outputs.", min_length=1)
    width: int = Field(64, ge=8, multiple_of=8, description="Channels of the head's towers.")
    nms: bool = Field(
        True,
        description="Read the dense branch and suppress duplicates; false: read the one-to-one branch, which has none.",
    )
    nms_iou: float = Field(0.65, gt=0, le=1, description="Overlap from which the weaker of two boxes is a duplicate.")
    min_score: float = Field(0.001, ge=0, lt=1, description="Objects below this score are not returned at all.")
    max_objects: int = Field(300, ge=1, description="At most so many objects an image.")


class Detection(Task[DetectionSettings]):
    """A dense anchor-free detector: task-aligned assignment, CIoU, binned sides, and a branch without duplicates."""

    kind = "detection"
    annotation = Instances
    composes = True
    score = "map"
    score_means = "COCO's mean average precision: how far all objects are found, and nothing else, by boxes that fit"

    def encode(self, annotation: Instances, frame: Frame) -> dict[str, np.ndarray]:
        items = [item for item in annotation.items if item.box is not None]
        return {
            "boxes": Instances(tuple(items)).boxes(),
            "labels": np.array([self.classes.index(item.label) for item in items], np.int64),
            "state": np.array([2 if item.crowd or item.difficult else 1 for item in items], np.int64),
            "known": known_mask(looked_for(annotation, self.classes), self.classes),
        }

    def collate(self, targets: Sequence[dict[str, np.ndarray]]) -> Targets:
        most = max(len(one["labels"]) for one in targets)
        boxes = np.zeros((len(targets), most, 4), np.float32)
        labels, state = (np.zeros((len(targets), most), np.int64) for _ in range(2))
        for i, one in enumerate(targets):
            count = len(one["labels"])
            boxes[i, :count], labels[i, :count], state[i, :count] = one["boxes"], one["labels"], one["state"]
        arrays = {"boxes": boxes, "labels": labels, "state": state, "known": np.stack([t["known"] for t in targets])}
        return {key: torch.from_numpy(array) for key, array in arrays.items()}

    def head(self, spec: FeatureSpec) -> nn.Module:
        return DetectionHead(spec, len(self.classes), self.settings.width)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        return detection_loss(outputs, targets, self.settings.focal)

    def decode(self, outputs: Outputs, frames: Sequence[Frame]) -> list[Annotation]:
        boxes = boxes_xyxy(distances_of(outputs["sides"]), outputs["anchors"])
        branch = "classes" if self.settings.nms else "single"
        found = select(
            boxes,
            outputs[branch].float().sigmoid(),
            min_score=self.settings.min_score,
            most=self.settings.max_objects,
            nms_iou=self.settings.nms_iou if self.settings.nms else None,
        )
        annotations: list[Annotation] = []
        for frame, (one_boxes, scores, labels) in zip(frames, found, strict=True):
            items = tuple(
                Instance(self.classes[label], box=box, score=float(score))
                for box, score, label in zip(one_boxes, scores, labels, strict=True)
            )
            annotations.append(self.unwarp(Instances(items), frame))
        return annotations

    @property
    def flip_pairs(self) -> dict[str, tuple[tuple[int, int], ...]]:
        """Of the points on its objects, by class. (Tasks whose points may not be mirrored keep the images that are
        labelled for them from being.)"""
        pairs: dict[str, tuple[tuple[int, int], ...]] = {}
        for child in self.children:
            if isinstance(child.flip_pairs, tuple):
                pairs |= dict.fromkeys(child.asked_classes, child.flip_pairs) if child.carrier == "points" else {}
        return pairs

    def found_boxes(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """What every cell says: boxes float [n, A, 4] in input pixels, and how sure it is, float [n, A]."""
        boxes = boxes_xyxy(distances_of(outputs["sides"]), outputs["anchors"])
        return boxes, outputs["classes"].float().amax(-1).sigmoid()

    def statement(self, outputs: Outputs, empty: Outputs, about: str | None, number: int) -> Statement | None:
        """The logit with which a cell says an object: of the class that is named, or of any; ``number`` 1 is the
        surest. None where fewer than that were found. By the branch that has duplicates, suppressed here: the other
        one learns on features that it does not shape."""
        given = self.place_of(about, self.classes, "class")
        boxes = boxes_xyxy(distances_of(outputs["sides"]), outputs["anchors"])[0]
        scores, labels = outputs["classes"][0].float().sigmoid().max(-1)
        at = (scores >= SAID).nonzero()[:, 0]
        order = at[batched_nms(boxes[at], scores[at], labels[at], self.settings.nms_iou)]
        order = order if given is None else order[labels[order] == given]
        if len(order) < number:
            return None
        cell = int(order[number - 1])
        k = int(labels[cell])
        text = f"{self.classes[k]} {number}, {float(scores[cell]):.2f}"
        return Statement(text, lambda outputs: outputs["classes"][:, cell, k], boxes[cell].cpu().numpy())

    def metric(self) -> DetectionMetric:
        return DetectionMetric(self.classes)

    def quality(self, predicted: Instances, truth: Instances) -> float:
        """Panoptic quality of the image's boxes: the summed IoU of the right ones / (right + (false + missed) / 2),
        matched within a class from IoU 0.5 on (Kirillov et al. 2019), of predictions that score 0.25 or more.

        1 where nothing is there and nothing was found; NaN where no class was looked for.
        """
        counted = looked_for(truth, self.classes)
        return matched_quality(predicted, truth, counted) if counted else float("nan")


def select(
    boxes: Tensor, scores: Tensor, *, min_score: float, most: int, nms_iou: float | None, before: int = 1000
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The best objects of every image: boxes float32 [k, 4], scores float32 [k], classes int64 [k], best first.

    ``boxes`` float [n, A, 4], ``scores`` float [n, A, C]. A cell may answer with several classes. The whole batch goes
    through one suppression, with image and class as the category.
    """
    n, cells, classes = scores.shape
    top, flat = scores.flatten(1).topk(min(before if nms_iou else most, cells * classes), dim=1)
    cell, label = flat // classes, flat % classes
    chosen = boxes.gather(1, cell[..., None].expand(-1, -1, 4))
    keep = top > min_score
    if nms_iou is not None:
        image = torch.arange(n, device=boxes.device)[:, None].expand_as(label)
        index = keep.flatten().nonzero()[:, 0]
        survivors = batched_nms(
            chosen.flatten(0, 1)[index], top.flatten()[index], (image * classes + label).flatten()[index], nms_iou
        )
        keep = torch.zeros_like(keep).flatten().index_fill_(0, index[survivors], True).view_as(keep)
    found = []
    for one_boxes, one_scores, one_labels, one_keep in zip(
        *(t.cpu().numpy() for t in (chosen, top, label, keep)), strict=True
    ):
        at = np.flatnonzero(one_keep)[:most]
        found.append((one_boxes[at], one_scores[at], one_labels[at]))
    return found
