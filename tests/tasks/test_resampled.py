"""A score on resampled images is what the metric says when it is shown each image so many times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oneglance.annotations import Identity, Instance, Instances, Label, Numbers, Points, Rle, Segments, Tags
from oneglance.formats import rle as runs
from oneglance.formats.lfw_files import Pair
from oneglance.tasks import create_tasks
from oneglance.tasks.base import Resampling
from oneglance.tasks.embedding.metric import EmbeddingMetric
from oneglance.tasks.object_metric import ObjectPrecision

Shown = list[tuple[Any, Any]]
NAMES = ("a", "b", "c")
N = 24


def metric_of(kind: str, **settings: Any) -> Callable[[], Any]:
    from oneglance.tasks import KINDS

    made = create_tasks({"t": KINDS[kind][0](kind=kind, **settings)})["t"]
    return made.metric


def labels(rng: np.random.Generator) -> Shown:
    return [(Label(NAMES[rng.integers(3)]), Label(NAMES[rng.integers(2)])) for _ in range(N)]


def tags(rng: np.random.Generator) -> Shown:
    """Scores with ties; a tag that is unknown in half of the images; one that never holds."""
    shown = []
    for k in range(N):
        scores = np.round(rng.random(3), 1).astype(np.float32)
        held = tuple(name for name in NAMES[:2] if rng.random() < 0.4)
        shown.append((Tags((), scores=scores), Tags(held, None if k % 2 else ("a", "c"))))
    return [(one, replace(two, names=tuple(n for n in two.names if two.annotated is None or n in two.annotated)))
            for one, two in shown]  # fmt: skip


def numbers(rng: np.random.Generator) -> Shown:
    shown = []
    for k in range(N):
        truth = np.float32([1e4 + rng.normal(), 5.0, rng.normal() if k % 3 else np.nan])
        shown.append((Numbers(truth + rng.normal(size=3).astype(np.float32)), Numbers(truth)))
    return shown


def points(rng: np.random.Generator) -> Shown:
    """One image without a labelled point, one whose points coincide."""
    shown = []
    for k in range(N):
        xy = rng.uniform(0, 50, (3, 2)).astype(np.float32)
        xy = np.ones_like(xy) if k == 3 else xy
        seen = np.int8([0, 0, 0] if k == 5 else [2, 1, 0])
        moved = xy + rng.normal(size=(3, 2)).astype(np.float32)
        shown.append((Points(moved, np.int8([2, 2, 2])), Points(xy, seen)))
    return shown


def masks(rng: np.random.Generator) -> Shown:
    shown = []
    for _ in range(N):
        truth = rng.integers(0, 2, (6, 7)).astype(np.uint8)
        truth[0] = 255
        guess = np.where(rng.random((6, 7)) < 0.3, rng.integers(0, 3, (6, 7)), truth % 255).astype(np.uint8)
        shown.append((Segments(indices=guess), Segments(indices=truth)))
    return shown


def objects(rng: np.random.Generator) -> Shown:
    """Boxes of three classes: found, missed, false, of the wrong class, at crowds; scores that are equal in different
    images; a class that was not looked for in some images; images with nothing in them."""
    shown = []
    for k in range(N):
        truth, found = [], []
        for _ in range(rng.integers(0, 5)):
            x, y, w, h = rng.uniform((0, 0, 8, 8), (80, 80, 60, 60))
            name = NAMES[rng.integers(3)]
            mask = np.zeros((150, 150), bool)
            mask[int(y) : int(y + h), int(x) : int(x + w)] = True
            box = np.float32([x, y, x + w, y + h])
            xy = np.float32([[x + w / 3, y + h / 2], [x + w / 2, y + h / 4]])
            own = Points(xy, np.int8([2, rng.integers(3)]))
            crowd = rng.random() < 0.15
            truth.append(Instance(name, box=box, rle=runs.encode(mask), points=own, crowd=bool(crowd)))
            for _ in range(rng.integers(0, 3)):
                near = box + rng.normal(scale=3, size=4).astype(np.float32)
                said = name if rng.random() < 0.8 else NAMES[rng.integers(3)]
                score = float(np.round(rng.random(), 1)) + 0.001 * len(found)
                moved = Points(xy + rng.normal(scale=2, size=(2, 2)).astype(np.float32), np.int8([2, 2]))
                shifted = np.roll(mask, rng.integers(-4, 4), axis=1)
                found.append(Instance(said, box=near, rle=runs.encode(shifted), points=moved, score=score))
        for _ in range(rng.integers(0, 3)):
            x, y, w, h = rng.uniform((0, 0, 8, 8), (80, 80, 60, 60))
            empty = Rle((150, 150), (150 * 150,))
            nowhere = Points(np.float32([[x, y], [x, y]]), np.int8([2, 2]))
            box = np.float32([x, y, x + w, y + h])
            found.append(Instance(NAMES[rng.integers(3)], box=box, rle=empty, points=nowhere, score=rng.random()))
        shown.append((Instances(tuple(found)), Instances(tuple(truth), ("a", "b") if k % 4 == 0 else None)))
    return [(one, replace(two, items=tuple(i for i in two.items if two.annotated is None or i.label in two.annotated)))
            for one, two in shown]  # fmt: skip


CASES: dict[str, tuple[Callable[[], Any], Callable[[np.random.Generator], Shown], str]] = {
    "classification": (metric_of("classification", classes=NAMES), labels, "accuracy"),
    "tagging": (metric_of("tagging", classes=NAMES), tags, "map"),
    "regression": (metric_of("regression", targets=NAMES), numbers, "relative_mae"),
    "keypoints": (metric_of("keypoints", points=NAMES), points, "nme"),
    "segmentation": (metric_of("segmentation", classes=NAMES), masks, "miou"),
    "detection": (metric_of("detection", classes=NAMES), objects, "map"),
    "object masks": (lambda: ObjectPrecision(NAMES, "segm"), objects, "map"),
    "object points": (lambda: ObjectPrecision(NAMES, "keypoints", (0.1, 0.2)), objects, "map"),
}


def shown_to(make: Callable[[], Any], shown: Shown, times: np.ndarray) -> Any:
    metric = make()
    for (predicted, truth), count in zip(shown, times, strict=True):
        for _ in range(count):
            metric.update(predicted, truth)
    return metric


@pytest.mark.parametrize("name", CASES)
def test_each_resample_is_scored_as_if_it_were_shown(name: str) -> None:
    make, draw, score = CASES[name]
    rng = np.random.default_rng(3)
    shown = draw(rng)
    metric = shown_to(make, shown, np.ones(N, int))
    assert isinstance(metric, Resampling)
    counts = np.concatenate([np.ones((1, N)), rng.poisson(1.0, (12, N))]).astype(np.uint8)
    truly = [shown_to(make, shown, of).compute()[score] for of in counts]
    assert 0 < truly[0] < 5
    assert np.isfinite(truly).all()
    assert metric.resampled(counts) == pytest.approx(np.array(truly), abs=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_nothing_left_is_no_score(name: str) -> None:
    make, draw, _ = CASES[name]
    metric = shown_to(make, draw(np.random.default_rng(3)), np.ones(N, int))
    assert np.isnan(metric.resampled(np.zeros((2, N), np.uint8))).all()


@pytest.mark.parametrize("name", ["detection", "object masks", "object points"])
def test_nothing_found_scores_nothing(name: str) -> None:
    make, draw, score = CASES[name]
    shown = [(Instances(), truth) for _, truth in draw(np.random.default_rng(3))]
    metric = shown_to(make, shown, np.ones(N, int))
    assert metric.compute()[score] == 0
    assert metric.resampled(np.ones((2, N), np.uint8)).tolist() == [0, 0]


def faces(rng: np.random.Generator) -> tuple[Shown, list[Pair]]:
    """Twelve people with three images each, in three folds."""
    centres = rng.normal(size=(12, 4))
    shown: Shown = []
    for k in range(36):
        vector = centres[k // 3] + 0.8 * rng.normal(size=4)
        path = Path(f"p{k // 3}/p{k // 3}_{k % 3 + 1:04}.jpg")
        truth = Identity(f"p{k // 3}", image=path)
        shown.append((Identity(vector=(vector / np.linalg.norm(vector)).astype(np.float32)), truth))
    return shown, []


def test_verification_counts_people() -> None:
    """A person who counts twice brings his pairs twice, and those with another who counts twice four times."""
    shown, pairs = faces(np.random.default_rng(0))
    metric = EmbeddingMetric(pairs)
    for predicted, truth in shown:
        metric.update(predicted, truth)
    assert metric.units() == [f"person p{k // 3}" for k in range(36)]
    once = metric.resampled(np.ones((1, 36), np.uint8))
    assert once[0] == metric.compute()["accuracy"]
    # Counting everybody twice changes nothing: all pairs of one person count 2, of two people 4, in every fold.
    people = np.random.default_rng(1).poisson(1.0, (60, 12)).repeat(3, axis=1).astype(np.uint8)
    scores = metric.resampled(people)
    assert np.isfinite(scores).mean() > 0.9
    assert 0.01 < np.nanstd(scores) < 0.3
    assert abs(np.nanmean(scores) - once[0]) < 0.1
