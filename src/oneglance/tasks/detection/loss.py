"""What the detector's answers cost: classes by binary cross-entropy, boxes by CIoU and by the bins of their sides."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import complete_box_iou_loss

from oneglance.tasks.base import Outputs, Targets
from oneglance.tasks.detection.assign import Assignment, assign, inside
from oneglance.tasks.detection.head import boxes_xyxy, distances_of, distribution_loss
from oneglance.tasks.imbalance import focal_factor

TOP_MANY, TOP_ONE = 10, 1
#: What the terms are multiplied by: the proportions of YOLOv8, brought down to a fifth. As they are there, a detector's
#: gradient at the shared maps is five to ten times as long as that of a classification or a segmentation beside it
#: (`gradient` in history.csv), which then hardly learn.
GAINS = {"class": 0.1, "box": 1.5, "sides": 0.3, "single": 0.1}


def detection_loss(outputs: Outputs, targets: Targets, focal: float = 0.0) -> dict[str, Tensor]:
    """The terms ``class``, ``box``, ``sides`` and ``single``, each normalised by the summed quality of its cells.

    Outputs as :class:`DetectionHead` gives them. Targets: ``boxes`` float [n, M, 4] input pixels, ``labels`` int64
    [n, M], ``state`` int64 [n, M] (0 padding, 1 object, 2 to be ignored), ``known`` bool [n, C]. A class that was not
    looked for in an image, and a cell in the box of an ignored object (for its class), cost nothing. ``focal``: class
    losses go with the power of how far off the answer is (quality focal loss, Li et al. 2020).
    """
    anchors = outputs["anchors"]
    distances = distances_of(outputs["sides"])
    predicted = boxes_xyxy(distances, anchors)
    boxes, labels = targets["boxes"], targets["labels"]
    real = targets["state"] == 1
    matters = _matters(targets, anchors)

    many = assign(outputs["classes"].sigmoid(), predicted.detach(), anchors, boxes, labels, real, TOP_MANY)
    one = assign(outputs["single"].sigmoid(), predicted.detach(), anchors, boxes, labels, real, TOP_ONE)
    weight = many.quality
    total = weight.sum().clamp(min=1)
    if boxes.shape[1]:
        truth = boxes.gather(1, many.instance[..., None].expand(-1, -1, 4))
    else:
        truth = torch.zeros_like(predicted)
    # Cells of no weight get a valid box as truth and as prediction: a NaN (of a predicted box without area) times zero
    # would still be one.
    own = boxes_xyxy(torch.ones_like(anchors[:, :1]).expand(-1, 4), anchors)
    counts = (weight > 0)[..., None]
    safe = torch.where(counts, truth, own)
    overlap = complete_box_iou_loss(torch.where(counts, predicted, own), safe, reduction="none")
    sides = (torch.cat([anchors[:, :2] - safe[..., :2], safe[..., 2:] - anchors[:, :2]], -1)) / anchors[:, 2:]
    binned = distribution_loss(outputs["sides"], sides)
    terms = {
        "class": _class_loss(outputs["classes"], many, labels, matters, focal),
        "box": (overlap * weight).sum() / total,
        "sides": (binned * weight).sum() / total,
        "single": _class_loss(outputs["single"], one, labels, matters, focal),
    }
    return {name: GAINS[name] * term for name, term in terms.items()}


def _class_loss(logits: Tensor, assignment: Assignment, labels: Tensor, matters: Tensor, focal: float) -> Tensor:
    logits = logits.float()
    target = torch.zeros_like(logits)
    if labels.shape[1]:
        chosen = labels.gather(1, assignment.instance)
        target.scatter_(2, chosen[..., None], assignment.quality[..., None])
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    if focal:
        each = each * focal_factor(1 - (logits.sigmoid() - target).abs(), focal)
    each = torch.where(matters | (target > 0), each, torch.zeros_like(each))
    return each.sum() / assignment.quality.sum().clamp(min=1)


def _matters(targets: Targets, anchors: Tensor) -> Tensor:
    """Whether a class score counts, bool [n, A, C]: its class was looked for, and no ignored object of it is here."""
    known = targets["known"]
    ignored = targets["state"] == 2
    if not ignored.shape[1]:
        return known[:, None].expand(-1, len(anchors), -1)
    covered = inside(anchors[:, :2], targets["boxes"]) & ignored[..., None]
    of_class = F.one_hot(targets["labels"], known.shape[1]).to(torch.float32)
    hidden = torch.einsum("nma,nmc->nac", covered.to(torch.float32), of_class) > 0
    return known[:, None] & ~hidden
