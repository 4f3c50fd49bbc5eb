"""Which cell answers for which object: task-aligned assignment (TOOD, Feng et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ALPHA, BETA, FLOOR = 0.5, 6.0, 0.01


@dataclass(frozen=True)
class Assignment:
    """For every cell: whether it answers for an object (bool [n, A]), for which (int64 [n, A], 0 where for none), and
    how good an answer is expected of it (float [n, A], 0..1, 0 where for none)."""

    positive: Tensor
    instance: Tensor
    quality: Tensor


def box_iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of every pair, float [n, M, A], of boxes x1 y1 x2 y2 float [n, M, 4] and [n, A, 4]."""
    low = torch.maximum(one[:, :, None, :2], other[:, None, :, :2])
    high = torch.minimum(one[:, :, None, 2:], other[:, None, :, 2:])
    both = (high - low).clamp(min=0).prod(-1)
    area = (one[..., 2:] - one[..., :2]).clamp(min=0).prod(-1)
    other_area = (other[..., 2:] - other[..., :2]).clamp(min=0).prod(-1)
    return both / (area[:, :, None] + other_area[:, None] - both).clamp(min=1e-7)


def inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Whether each point lies strictly in each box: bool [n, M, A] of points float [A, 2], boxes float [n, M, 4]."""
    low, high = boxes[:, :, None, :2], boxes[:, :, None, 2:]
    return ((points > low) & (points < high)).all(-1)


@torch.no_grad()
def assign(
    scores: Tensor, predicted: Tensor, anchors: Tensor, boxes: Tensor, labels: Tensor, real: Tensor, top: int
) -> Assignment:
    """Give each object its ``top`` best cells by ``score^alpha * IoU^beta``, among those whose centre lies in its box.

    ``scores`` float [n, A, C] (probabilities), ``predicted`` float [n, A, 4], ``anchors`` float [A, 3]; objects padded
    to M: ``boxes`` float [n, M, 4], ``labels`` int64 [n, M], ``real`` bool [n, M]. A cell wanted by several objects
    goes to the one it overlaps most. An object smaller than two cells still gets the cells next to its centre.
    """
    n, m = labels.shape
    cells = anchors.shape[0]
    if m == 0:
        none = torch.zeros(n, cells, device=scores.device)
        return Assignment(none.bool(), none.long(), none)
    centre, half = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]) / 2
    reach = torch.maximum(half, anchors[:, 2].min().expand_as(half))
    candidate = inside(anchors[:, :2], torch.cat([centre - reach, centre + reach], -1)) & real[..., None]
    overlap = box_iou(boxes, predicted.float())
    own = scores.float().mT.gather(1, labels[..., None].expand(-1, -1, cells))
    # The floor leaves an order by score at the start, when no box overlaps anything yet.
    aligned = own**ALPHA * overlap.clamp(min=FLOOR) ** BETA * candidate
    best = aligned.topk(min(top, cells), dim=-1)
    chosen = torch.zeros_like(aligned, dtype=torch.bool).scatter_(2, best.indices, best.values > 0)
    # Cells that several objects chose: the object with the largest overlap keeps them.
    several = chosen.sum(1) > 1
    winner = torch.where(chosen, overlap, torch.full_like(overlap, -1.0)).argmax(1)
    only = torch.zeros_like(chosen).scatter_(1, winner[:, None], True)
    chosen = torch.where(several[:, None], only & chosen, chosen)
    positive = chosen.any(1)
    instance = chosen.to(torch.uint8).argmax(1)
    # The best cell of an object is expected to reach its best overlap; the others in proportion.
    kept = aligned * chosen
    most = kept.amax(-1, keepdim=True)
    reached = (overlap * chosen).amax(-1, keepdim=True)
    quality = (kept / most.clamp(min=1e-30) * reached).amax(1)
    return Assignment(positive, instance, quality * positive)
