"""Pairs and galleries drawn from labelled images, where nobody wrote them down: the same ones for the same images.

``people`` is who each image shows, as numbers, int64 [N], throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from oneglance.recognition.protocol import Ints, Scores, Vectors, detection_rate

#: LFW's own numbers: folds, and pairs of each sort in a fold.
FOLDS, EACH = 10, 300
#: Of more images than this, whole people are drawn for the figures over all pairs: these are 2 million.
MOST_IMAGES = 2000
#: Images that somebody is enrolled with in the open-set figures, and how often people are divided anew for them.
SHOTS, DIVISIONS = 3, 10


@dataclass(frozen=True)
class Pairs:
    """Numbers of two images, whether they show one person, and the fold: int64, int64, bool, int64 [P]."""

    first: Ints
    second: Ints
    same: np.ndarray
    fold: Ints


def draw_pairs(people: Ints, folds: int = FOLDS, each: int = EACH, seed: int = 0) -> Pairs:
    """Pairs by LFW's recipe: in each fold as many of one person as of two, no person in two folds.

    There are fewer folds than asked for where people are few, and fewer pairs where a fold has no more; none at all
    where no two folds can be made.
    """
    rng = np.random.default_rng([seed, 0])
    members = _members(people)
    several = [m for m in members if len(m) > 1]
    folds = min(folds, len(several), len(members) // 2)
    parts: list[tuple[Ints, Ints, bool, int]] = []
    if folds >= 2:
        # Those with several images are dealt first, so that every fold has a pair of one person.
        several = [several[k] for k in rng.permutation(len(several))]
        alone = [m for m in members if len(m) == 1]
        dealt = [*several, *(alone[k] for k in rng.permutation(len(alone)))]
        for fold in range(folds):
            mine = dealt[fold::folds]
            sizes = np.array([len(m) for m in mine])
            of_one = int((sizes * (sizes - 1) // 2).sum())
            of_two = int(sizes.sum()) * (int(sizes.sum()) - 1) // 2 - of_one
            count = min(each, of_one, of_two)
            parts.append((*_of_one(mine, count, rng), True, fold))
            parts.append((*_of_two(mine, count, rng), False, fold))
    empty = np.zeros(0, np.int64)
    return Pairs(
        np.concatenate([empty, *(a for a, _, _, _ in parts)]),
        np.concatenate([empty, *(b for _, b, _, _ in parts)]),
        np.concatenate([np.zeros(0, bool), *(np.full(len(a), same) for a, _, same, _ in parts)]),
        np.concatenate([empty, *(np.full(len(a), fold) for a, _, _, fold in parts)]),
    )


def draw_people(people: Ints, most: int = MOST_IMAGES, seed: int = 0) -> Ints:
    """Numbers of the images to make all pairs of, int64 [<= most], rising: whole people, all of them where they fit."""
    if len(people) <= most:
        return np.arange(len(people))
    kept: list[Ints] = []
    members = _members(people)
    for k in np.random.default_rng([seed, 1]).permutation(len(members)):
        if sum(map(len, kept)) + len(members[k]) <= most:
            kept.append(members[k])
    return np.sort(np.concatenate([np.zeros(0, np.int64), *kept]))


def all_pairs(vectors: Vectors, people: Ints) -> tuple[Scores, np.ndarray]:
    """Similarity of every two of the images, float64 [N (N - 1) / 2], and whether they show one person, bool."""
    first, second = np.triu_indices(len(people), 1)
    return (vectors @ vectors.T).astype(np.float64)[first, second], people[first] == people[second]


def open_set(vectors: Vectors, people: Ints, far: float, seed: int = 0) -> float:
    """DIR@FAR of a gallery that is made of half of the people; the others are the unknown. NaN where that can't be.

    Somebody enrolled has ``SHOTS`` images in the gallery (fewer where one must be left to ask about), drawn at random,
    and is asked about in the others. The mean over ``DIVISIONS`` random divisions of the people.
    """
    members = _members(people)
    rates = []
    for division in range(DIVISIONS):
        rng = np.random.default_rng([seed, 2, division])
        shuffled = [rng.permutation(members[k]) for k in rng.permutation(len(members))]
        known = [m for m in shuffled[: len(shuffled) // 2] if len(m) > 1]
        unknown = shuffled[len(shuffled) // 2 :]
        if not known or not unknown:
            continue
        shots = [min(SHOTS, len(m) - 1) for m in known]
        gallery = np.stack([template(vectors[m[:n]]) for m, n in zip(known, shots, strict=True)])
        probes = np.concatenate([m[n:] for m, n in zip(known, shots, strict=True)])
        mate = np.repeat(np.arange(len(known)), [len(m) - n for m, n in zip(known, shots, strict=True)])
        rates.append(
            detection_rate(vectors[probes] @ gallery.T, mate, vectors[np.concatenate(unknown)] @ gallery.T, far)
        )
    return float(np.mean(rates)) if rates else math.nan


def impostor_scores(vectors: Vectors, people: Ints, seed: int = 0) -> Scores:
    """Similarity of images with people whom they don't show, float64 [M]: of each image with the template of each
    other person, made of up to ``SHOTS`` images drawn at random."""
    rng = np.random.default_rng([seed, 3])
    members = _members(people)
    if len(members) < 2:
        return np.zeros(0)
    gallery = np.stack([template(vectors[rng.permutation(m)[:SHOTS]]) for m in members])
    owner = np.empty(len(people), np.int64)
    for k, m in enumerate(members):
        owner[m] = k
    scores: Scores = (vectors @ gallery.T)[owner[:, None] != np.arange(len(members))].astype(np.float64)
    return scores


def template(vectors: Vectors) -> Vectors:
    """What stands for a person: the mean of the vectors of the person's images [n, D], as long as these are on average;
    float32 [D]."""
    mean = vectors.mean(0)
    length = np.linalg.norm(vectors, axis=1).mean()
    return (mean * (length / max(float(np.linalg.norm(mean)), 1e-12))).astype(np.float32)


def _members(people: Ints) -> list[Ints]:
    """The numbers of the images of each person."""
    order = np.argsort(people, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(people[order])) + 1) if len(people) else []


def _of_one(members: list[Ints], count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """``count`` different pairs of images of one person."""
    sizes = np.array([len(m) for m in members])
    ends = np.cumsum(sizes * (sizes - 1) // 2)
    chosen = np.sort(rng.choice(int(ends[-1]), count, replace=False))
    first, second = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for k, number in enumerate(chosen.tolist()):
        person = int(np.searchsorted(ends, number, "right"))
        i, j = number - (int(ends[person - 1]) if person else 0), len(members[person]) - 1
        row = 0
        while i >= j:  # row 0 of the triangle has n - 1 pairs, the next one less
            i, j, row = i - j, j - 1, row + 1
        first[k], second[k] = members[person][row], members[person][row + 1 + i]
    return first, second


def _of_two(members: list[Ints], count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """``count`` different pairs of images of two people."""
    images = np.concatenate(members)
    owner = np.repeat(np.arange(len(members)), [len(m) for m in members])
    found: dict[tuple[int, int], None] = {}
    if len(images) <= _FEW:
        i, j = np.triu_indices(len(images), 1)
        at = np.flatnonzero(owner[i] != owner[j])
        at = np.sort(rng.choice(at, count, replace=False))
        return images[i[at]], images[j[at]]
    while len(found) < count:
        for a, b in rng.integers(0, len(images), (2 * count, 2)).tolist():
            if owner[a] != owner[b] and len(found) < count:
                found.setdefault((min(a, b), max(a, b)))
    pairs = np.array(list(found), np.int64).reshape(-1, 2)
    return images[pairs[:, 0]], images[pairs[:, 1]]


#: Of so few images all pairs are written out and drawn from; of more, pairs are tried at random.
_FEW = 1000
