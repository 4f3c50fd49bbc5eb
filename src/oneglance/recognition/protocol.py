"""The rules by which recognition is scored. Each function states its own; NaN where nothing can be computed.

A *score* is a similarity: higher means more alike. Two images (or an image and a person) are taken for the same where
their score is **greater** than a threshold, never where it is equal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Scores = NDArray[np.float64]
Vectors = NDArray[np.float32]
Ints = NDArray[np.int64]

#: Queries whose neighbours are looked for at a time.
_CHUNK = 1024


# --- verification: the same or not? ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Verification:
    """Accuracy over folds: its ``mean`` and ``standard_error``; by fold ``accuracies`` float64 [F], and ``thresholds``
    float64 [F] that the other folds chose."""

    mean: float
    standard_error: float
    accuracies: Scores
    thresholds: Scores


def view2(scores: ArrayLike, same: ArrayLike, fold: ArrayLike) -> Verification:
    """Labelled Faces in the Wild's View 2 (Huang et al. 2007): the threshold for a fold is chosen on all the others.

    The accuracy of a fold is the share of its pairs that the threshold decides rightly. The result is the mean over the
    F folds and its standard error s / sqrt(F), s the standard deviation with F - 1 degrees of freedom (LFW: F = 10).

    Args:
        scores: similarity of each pair, float [N]. Distances must be negated.
        same: whether it is a pair of one person, bool [N].
        fold: the pair's fold, any numbers, int [N].

    NaN with fewer than two folds.
    """
    scores, same, fold = np.asarray(scores, np.float64), np.asarray(same, bool), np.asarray(fold)
    folds = np.unique(fold)
    if len(folds) < 2:
        return Verification(math.nan, math.nan, np.zeros(0), np.zeros(0))
    thresholds = np.array([best_threshold(scores[fold != k], same[fold != k]) for k in folds])
    accuracies = np.array(
        [((scores[fold == k] > t) == same[fold == k]).mean() for k, t in zip(folds, thresholds, strict=True)]
    )
    error = accuracies.std(ddof=1) / math.sqrt(len(folds))
    return Verification(float(accuracies.mean()), float(error), accuracies, thresholds)


def best_threshold(scores: ArrayLike, same: ArrayLike) -> float:
    """The threshold that decides most pairs rightly, halfway between two scores; of several that do, the middle one.

    -inf where it is best to take all for the same, the highest score where it is best to take none. NaN without pairs.
    """
    scores, same = np.asarray(scores, np.float64), np.asarray(same, bool)
    if not len(scores):
        return math.nan
    order = np.argsort(scores, kind="stable")
    ordered, same = scores[order], same[order]
    # Cut k takes the k lowest scores for different people, the others for the same.
    different_below = np.concatenate([[0], np.cumsum(~same)])
    same_below = np.concatenate([[0], np.cumsum(same)])
    right = different_below + same_below[-1] - same_below
    # No threshold lies between equal scores.
    right[1:-1][ordered[1:] == ordered[:-1]] = -1
    cuts = np.flatnonzero(right == right.max())
    k = int(cuts[(len(cuts) - 1) // 2])
    if k == 0:
        return -math.inf
    if k == len(ordered):
        return float(ordered[-1])
    middle = ordered[k - 1] + (ordered[k] - ordered[k - 1]) / 2
    return float(middle if middle < ordered[k] else ordered[k - 1])


def threshold_at(impostors: ArrayLike, far: float) -> float:
    """The lowest threshold at which no more than a share ``far`` of the impostors' scores are accepted.

    Of N scores of different people floor(far x N) may lie above it: it is the highest of the others. -inf where all
    may; NaN where there are none.
    """
    impostors = np.asarray(impostors, np.float64)
    if not len(impostors):
        return math.nan
    # The addition lets a product be whole that should be, after rounding errors.
    allowed = math.floor(far * len(impostors) + 1e-9)
    if allowed >= len(impostors):
        return -math.inf
    return float(-np.partition(-impostors, allowed)[allowed])


def tar_at_far(scores: ArrayLike, same: ArrayLike, far: float) -> float:
    """The share of pairs of one person that are accepted (TAR) at the threshold of :func:`threshold_at` (FAR).

    Fewer than 1 / ``far`` impostors: at the threshold that accepts none of them. NaN without either sort of pairs.
    """
    scores, same = np.asarray(scores, np.float64), np.asarray(same, bool)
    if not same.any() or same.all():
        return math.nan
    return float((scores[same] > threshold_at(scores[~same], far)).mean())


def auc(scores: ArrayLike, same: ArrayLike) -> float:
    """The chance that a pair of one person scores higher than a pair of two, equal scores counting half: the area
    under the ROC curve. NaN without either sort of pairs."""
    scores, same = np.asarray(scores, np.float64), np.asarray(same, bool)
    if not same.any() or same.all():
        return math.nan
    impostors = np.sort(scores[~same])
    below = np.searchsorted(impostors, scores[same], "left")
    up_to = np.searchsorted(impostors, scores[same], "right")
    return float((below + up_to).mean() / 2 / len(impostors))


def roc(scores: ArrayLike, same: ArrayLike) -> tuple[Scores, Scores]:
    """False and true accept rates, float64 [T] each, from (0, 0) to (1, 1): a point for each different score.

    Empty without either sort of pairs.
    """
    scores, same = np.asarray(scores, np.float64), np.asarray(same, bool)
    if not same.any() or same.all():
        return np.zeros(0), np.zeros(0)
    order = np.argsort(-scores, kind="stable")
    ordered, same = scores[order], same[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    true, false = np.cumsum(same)[last], np.cumsum(~same)[last]
    return np.concatenate([[0], false / false[-1]]), np.concatenate([[0], true / true[-1]])


# --- retrieval: who of all these is it? -----------------------------------------------------------------------


def recall_at(vectors: Vectors, people: Ints, ks: Sequence[int]) -> dict[int, float]:
    """Recall@K (also called HitRate@K): the share of images with another one of the same person among the K most
    similar of all other images.

    The image asked about is left out of what is searched. An image whose person has no other is not asked about. Where
    somebody else's image is exactly as similar, it goes first.

    Args:
        vectors: float32 [N, D]; their inner products say how alike two images are.
        people: who it is, as numbers, int64 [N].
        ks: the K.

    NaN where no person has two images.
    """
    ranks = np.zeros(0, np.int64)
    for scores, own, _ in _compared(vectors, people):
        best = np.where(own, scores, -np.inf).max(1)
        before = (np.where(own, -np.inf, scores) >= best[:, None]).sum(1)
        ranks = np.append(ranks, before[best > -np.inf])
    return {k: float((ranks < k).mean()) if len(ranks) else math.nan for k in ks}


def nearness(vectors: Vectors, people: Ints) -> tuple[Scores, Scores]:
    """Similarity of each image with the most similar other one of its person, and of anybody else; float64 [N] each,
    -inf where there is none."""
    mate, other = np.full(len(people), -np.inf), np.full(len(people), -np.inf)
    for scores, own, rows in _compared(vectors, people):
        mate[rows] = np.where(own, scores, -np.inf).max(1)
        other[rows] = np.where(own, -np.inf, scores).max(1)
    return mate, other


def _compared(vectors: Vectors, people: Ints) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_], Ints]]:
    """Some images at a time: similarity with all images [R, N], -inf with itself; whether it is the same person
    [R, N]; the images' numbers [R]."""
    for start in range(0, len(people), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(people)))
        scores = vectors[rows] @ vectors.T
        scores[np.arange(len(rows)), rows] = -np.inf
        yield scores, people[rows, None] == people[None], rows


# --- open-set identification: who is it, if anybody we know? --------------------------------------------------


def detection_rate(known: ArrayLike, mate: ArrayLike, unknown: ArrayLike, far: float) -> float:
    """DIR@FAR, detection and identification rate at rank 1 (Phillips, Grother & Micheals 2011).

    The threshold is that of :func:`threshold_at` on the highest score of each image of somebody who is *not* enrolled:
    at most a share ``far`` of them gets a name. Of the images of enrolled people, the share is counted whose highest
    score is above it and belongs to the right person.

    Args:
        known: scores of images of enrolled people with each of the G people, float [P, G].
        mate: which of the G it is, int [P].
        unknown: scores of images of others with each of the G people, float [U, G].

    NaN where there is none of either.
    """
    known, mate, unknown = np.asarray(known, np.float64), np.asarray(mate), np.asarray(unknown, np.float64)
    if not known.size or not unknown.size:
        return math.nan
    threshold = threshold_at(unknown.max(1), far)
    return float(((known.argmax(1) == mate) & (known.max(1) > threshold)).mean())
