"""Losses that draw the vectors of a person together and those of two apart. All vectors have length 1.

A label is the number of a person, int64 [n]; -1 says that nobody knows who it is, and gives no loss and no gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def arcface(cosine: Tensor, margin: float) -> Tensor:
    """ArcFace's margin (Deng et al. 2019): the angle with the right class counts as larger by ``margin`` radians.

    ``cosine`` float [n], with the right class. Beyond pi - margin, where the cosine would rise again, it goes on as
    cos - margin sin(margin), as in the authors' code.
    """
    # The clamp keeps the root's gradient finite where the angle is 0.
    sine = (1 - cosine**2).clamp(min=1e-7).sqrt()
    moved = cosine * math.cos(margin) - sine * math.sin(margin)
    return torch.where(cosine >= math.cos(math.pi - margin), moved, cosine - margin * math.sin(margin))


def cosface(cosine: Tensor, margin: float) -> Tensor:
    """CosFace's margin (Wang et al. 2018): the cosine with the right class counts as smaller by ``margin``."""
    return cosine - margin


#: By the name under which a configuration knows them.
MARGINS = {"arcface": arcface, "cosface": cosface}


def margin_softmax(
    vectors: Tensor,
    centres: Tensor,
    labels: Tensor,
    *,
    kind: str,
    margin: float,
    scale: float,
    sample: int | None = None,
) -> Tensor:
    """The mean cross-entropy of scaled cosines with every person's centre, that of the right one with a margin.

    Args:
        vectors: float [n, D].
        centres: a vector a person, of any length, float [K, D].
        labels: int64 [n].
        kind: a key of ``MARGINS``.
        margin: in radians (arcface) or as a cosine (cosface).
        scale: what cosines are multiplied by.
        sample: compare with so many centres only: those of the people in the batch, the others drawn at random
            (Partial FC, An et al. 2021); None: with all.

    An exact zero where no label is known.
    """
    known = labels >= 0
    if not known.any():
        return vectors.sum() * 0
    vectors, labels = vectors[known].float(), labels[known]
    if sample is not None and sample < len(centres):
        kept, labels = sample_classes(labels, len(centres), sample)
        centres = centres[kept]
    cosine = vectors @ F.normalize(centres.float()).T
    of_right = cosine.gather(1, labels[:, None])
    logits = cosine.scatter(1, labels[:, None], MARGINS[kind](of_right, margin))
    return F.cross_entropy(scale * logits, labels)


def sample_classes(labels: Tensor, classes: int, count: int) -> tuple[Tensor, Tensor]:
    """``count`` of the ``classes`` (more where the batch has more), all of the labels' among them, and the labels as
    numbers among these: int64 [S], rising, and int64 [n]. From torch's generator on the CPU, which a run's state
    keeps."""
    present = labels.unique()
    drawn = torch.rand(classes).to(labels.device)
    drawn[present] = 2.0  # above all others
    kept = drawn.topk(max(count, len(present))).indices.sort().values
    return kept, torch.searchsorted(kept, labels)


def batch_hard(vectors: Tensor, labels: Tensor, margin: float) -> Tensor:
    """The batch-hard triplet loss (Hermans et al. 2017) on Euclidean distances.

    For each image the farthest of its person must be nearer, by ``margin``, than the nearest of anybody else. Images
    without the one or the other in the batch have no part; an exact zero where none has both.
    """
    known = labels >= 0
    vectors, labels = vectors[known].float(), labels[known]
    distance = (2 - 2 * vectors @ vectors.T).clamp(min=1e-12).sqrt()
    same = labels[:, None] == labels[None]
    mates = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    asked = mates.any(1) & (~same).any(1)
    if not asked.any():
        return vectors.sum() * 0
    farthest = torch.where(mates, distance, -torch.inf).amax(1)[asked]
    nearest = torch.where(same, torch.inf, distance).amin(1)[asked]
    return F.relu(farthest - nearest + margin).mean()
