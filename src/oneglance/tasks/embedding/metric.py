"""What embeddings are scored by, once all images of a split have been seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oneglance.annotations import Identity
from oneglance.formats.lfw_files import Face, Pair, face_of
from oneglance.recognition.draw import EACH, FOLDS, all_pairs, draw_pairs, draw_people, open_set
from oneglance.recognition.protocol import (
    Ints,
    Scores,
    Vectors,
    Verification,
    auc,
    nearness,
    recall_at,
    roc,
    tar_at_far,
    view2,
)
from oneglance.tasks.charts import Chart, Curves, Series, Table, thinned

#: The false-accept rate that figures are given at.
FAR = 0.01
_BINS = 40


@dataclass(frozen=True)
class _Pairs:
    """Pairs with their similarities, and the numbers of their images; ``given``: by a file, with so many ``missing``
    because an image was not seen."""

    scores: Scores
    same: np.ndarray
    fold: Ints
    first: Ints
    second: Ints
    given: bool
    missing: int = 0


class EmbeddingMetric:
    """LFW's View 2 on given pairs, or on pairs drawn by its recipe; TAR at FAR 1%, ROC AUC, recall@K, DIR at FAR 1%.

    ``pairs``: those of a pairs file. Without them, or where not one of their images was seen (another split), ten folds
    of up to 300 + 300 pairs are drawn, always the same for the same images, and are counted as ``pairs_drawn``. TAR and
    AUC are over the given pairs, or else over all pairs of at most 2,000 images (whole people, drawn). Recall and DIR
    are over all images. Images of unknown people have no part in anything. Memory: a vector an image.
    """

    def __init__(self, pairs: Sequence[Pair] | None = None) -> None:
        self._given = pairs or ()
        self._counts: list[bool] = []
        self._vectors: list[np.ndarray] = []
        self._names: list[str] = []
        self._faces: dict[Face, int] = {}

    def update(self, predicted: Identity, truth: Identity) -> None:
        self._counts.append(truth.name is not None and predicted.vector is not None)
        if truth.name is None or predicted.vector is None:
            return
        face = None if truth.image is None else face_of(truth.image)
        if face is not None:
            self._faces[face] = len(self._names)
        self._names.append(truth.name)
        self._vectors.append(predicted.vector)

    def compute(self) -> dict[str, float]:
        vectors, people = self.seen()
        pairs = self._pairs(vectors, people)
        verified = view2(pairs.scores, pairs.same, pairs.fold)
        scores, same = self._curve(pairs, vectors, people)
        recall = recall_at(vectors, people, (1, 5))
        counted = {"pairs": len(pairs.same)} if pairs.given else {"pairs_drawn": len(pairs.same)}
        return {
            "accuracy": verified.mean,
            "standard_error": verified.standard_error,
            "auc": auc(scores, same),
            f"tar/far_{FAR:g}": tar_at_far(scores, same, FAR),
            "recall/1": recall[1],
            "recall/5": recall[5],
            f"dir/far_{FAR:g}": open_set(vectors, people, FAR),
            **counted,
            **({"pairs_missing": pairs.missing} if pairs.missing else {}),
        }

    def resampled(self, counts: np.ndarray) -> np.ndarray:
        """As :class:`oneglance.tasks.base.Resampling`, where all images of a person count alike (see :meth:`units`): a
        pair of one person counts as often as the person, one of two people as often as both multiplied.

        The thresholds are chosen anew. That two people are drawn independently makes the spread rather too large than
        too small (the pigeonhole bootstrap, Owen 2007).
        """
        vectors, people = self.seen()
        pairs = self._pairs(vectors, people)
        mine = counts[:, np.array(self._counts, bool)].astype(np.int64)
        times = np.where(pairs.same, mine[:, pairs.first], mine[:, pairs.first] * mine[:, pairs.second])
        scores = np.empty(len(counts))
        for b, of in enumerate(times):
            at = np.repeat(np.arange(len(of)), of)
            scores[b] = view2(pairs.scores[at], pairs.same[at], pairs.fold[at]).mean
        return scores

    def units(self) -> list[str]:
        """What is independent of the rest, for each image shown: its person."""
        names = iter(self._names)
        return [f"person {next(names)}" if counts else f"nobody {k}" for k, counts in enumerate(self._counts)]

    def qualities(self) -> list[float]:
        """For each image shown, in that order: how much nearer the nearest other image of the same person is than the
        nearest of anybody else, in [0, 1], 0.5 where they are equally near; NaN where there are no two to compare."""
        vectors, people = self.seen()
        mate, other = nearness(vectors, people)
        with np.errstate(invalid="ignore"):
            near = np.where(np.isfinite(mate) & np.isfinite(other), (1 + mate - other) / 2, np.nan)
        shown = np.full(len(self._counts), np.nan)
        shown[np.array(self._counts, bool)] = np.clip(near, 0, 1)
        return [float(one) for one in shown]

    def charts(self) -> list[Chart]:
        vectors, people = self.seen()
        pairs = self._pairs(vectors, people)
        verified = view2(pairs.scores, pairs.same, pairs.fold)
        scores, same = self._curve(pairs, vectors, people)
        charts: list[Chart] = []
        if same.any() and not same.all():
            what = f"{len(same):,} pairs of images, {int(same.sum()):,} of them of one person."
            charts += [_roc_curve(scores, same, what), _histogram(scores, same, verified, what)]
        if len(verified.accuracies):
            charts.append(_folds(pairs, verified))
        return charts

    def seen(self) -> tuple[Vectors, Ints]:
        """The vectors of all images of known people, float32 [N, D], and who they are, as numbers, int64 [N]."""
        numbers = {name: k for k, name in enumerate(sorted(set(self._names)))}
        vectors = np.stack(self._vectors).astype(np.float32) if self._vectors else np.zeros((0, 1), np.float32)
        return vectors, np.array([numbers[name] for name in self._names], np.int64)

    def _pairs(self, vectors: Vectors, people: Ints) -> _Pairs:
        seen = [pair for pair in self._given if pair.first in self._faces and pair.second in self._faces]
        if not seen:
            drawn = draw_pairs(people)
            scores = (vectors[drawn.first] * vectors[drawn.second]).sum(1).astype(np.float64)
            return _Pairs(scores, drawn.same, drawn.fold, drawn.first, drawn.second, given=False)
        first, second = (np.array([self._faces[face] for face in of], np.int64) for of in (
            [pair.first for pair in seen], [pair.second for pair in seen]
        ))  # fmt: skip
        scores = (vectors[first] * vectors[second]).sum(1).astype(np.float64)
        same, fold = np.array([pair.same for pair in seen]), np.array([pair.fold for pair in seen])
        return _Pairs(scores, same, fold, first, second, True, len(self._given) - len(seen))

    def _curve(self, pairs: _Pairs, vectors: Vectors, people: Ints) -> tuple[Scores, np.ndarray]:
        """The scores that TAR and AUC are over."""
        if pairs.given:
            return pairs.scores, pairs.same
        at = draw_people(people)
        return all_pairs(vectors[at], people[at])


def _roc_curve(scores: Scores, same: np.ndarray, what: str) -> Curves:
    far, tar = thinned_roc(*roc(scores, same))
    return Curves(
        "roc", "The same person or not: ROC",
        "True accept rate (of pairs of one person, the share that is taken for one) against false accept rate (of "
        f"pairs of two people, likewise), for every threshold. Up and to the left is better. {what}",
        "false accept rate", "true accept rate", (Series("ROC", far, tar, main=True),), (0.0, 1.0), (0.0, 1.0),
    )  # fmt: skip


def thinned_roc(far: Scores, tar: Scores) -> tuple[Scores, Scores]:
    """A curve with few points, more of them where false accepts are rare, since that is where thresholds are set."""
    wanted = np.concatenate([[0], np.geomspace(1e-4, 1, 120), np.linspace(0, 1, 60)])
    at = np.unique(np.clip(np.searchsorted(far, wanted, "right") - 1, 0, len(far) - 1))
    return far[at], tar[at]


def _histogram(scores: Scores, same: np.ndarray, verified: Verification, what: str) -> Curves:
    edges = np.linspace(min(-0.2, float(scores.min())), max(1.0, float(scores.max())), _BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    lines = []
    for name, mask in (("one person", same), ("two people", ~same)):
        shares = np.histogram(scores[mask], edges)[0] / mask.sum()
        lines.append(Series(name, *thinned(middles, shares), main=name == "one person"))
    at = float(np.mean(verified.thresholds)) if len(verified.thresholds) else float("nan")
    where = f" The threshold is {at:.3f} (the mean over folds)." if np.isfinite(at) else ""
    return Curves(
        "similarities", "Similarities of one person and of two",
        "How similar two images are (the inner product of their vectors), for pairs of one person and for pairs of "
        f"two: the less the hills overlap, the better. {what}{where}",
        "similarity", "share of the pairs", tuple(lines),
    )  # fmt: skip


def _folds(pairs: _Pairs, verified: Verification) -> Table:
    drawn = (
        "The pairs are those of the pairs file." if pairs.given
        else f"The pairs were drawn: up to {FOLDS} folds of up to {EACH} pairs of one person and as many of two, no "
        "person in two folds."
    )  # fmt: skip
    missing = (
        f" {pairs.missing} more can't be scored: an image of theirs is not in this split." if pairs.missing else ""
    )
    folds = np.unique(pairs.fold)
    rows = tuple(
        (int(k) + 1, int((pairs.fold == k).sum()), float(accuracy), float(threshold))
        for k, accuracy, threshold in zip(folds, verified.accuracies, verified.thresholds, strict=True)
    )
    return Table(
        "folds", "Folds (LFW's View 2)",
        f"Accuracy in each fold, at the threshold that is best on all the others. {drawn}{missing}",
        ("fold", "pairs", "accuracy", "threshold"), rows,
    )  # fmt: skip
