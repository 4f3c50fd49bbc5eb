"""Fewer labels of one task: unknown, not negative; the others whole; a smaller share is part of a larger one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oneglance.annotations import Instance, Instances, Label, Points, Record, same
from oneglance.config import parse_config
from oneglance.errors import OneglanceError
from oneglance.evidence.comparison import TaskComparison
from oneglance.evidence.labels import Curve, kept_rows, parse_shares, with_fewer_labels
from oneglance.evidence.statistics import difference
from oneglance.manifest import Manifest
from oneglance.tasks import columns_of, create_tasks

CONFIG = parse_config(
    {
        "tasks": {
            "weather": {"kind": "classification", "classes": ["a", "b"]},
            "objects": {"kind": "detection", "classes": ["face"]},
            "eyes": {"kind": "keypoints", "on": "objects.face", "points": ["l", "r"]},
        },
        "sources": [
            {"format": "coco", "root": "x", "images": "i", "labels": "l.json", "tasks": ["weather", "objects", "eyes"]}
        ],
    }
)


def manifest_of(count: int = 40) -> Manifest:
    """Weather on all but every fourth, frames of films of two; every tenth image is of the split val."""

    def records():
        for k in range(count):
            points = Points(np.float32([[1, 1], [2, 1]]), np.int8([2, 2]))
            face = Instance("face", box=np.float32([0, 0, 4, 4]), points=points)
            known = {"weather": None if k % 4 == 0 else Label("a"), "objects": Instances((face,))}
            split = "val" if k % 10 == 9 else "train"
            yield Record(Path(f"/x/{k:02}"), 8, 8, split, "s", group=f"film{k // 2}", annotations=known)

    return Manifest.build(records(), columns_of(create_tasks(CONFIG.tasks)))


def test_labels_are_unknown_and_all_else_stays() -> None:
    manifest = manifest_of()
    fewer = with_fewer_labels(manifest, CONFIG, "weather", 0.5, seed=0)
    before, after = manifest.labelled("weather"), fewer.labelled("weather")
    train = manifest.rows(split="train")
    assert not (after & ~before).any()
    assert after[train].sum() == pytest.approx(before[train].sum() / 2, abs=2)
    assert (after == before)[manifest.rows(split="val")].all()
    for one, other in zip(manifest, fewer, strict=True):
        assert same(one.annotations["objects"], other.annotations["objects"])
        assert other.annotations["weather"] in (None, one.annotations["weather"])


def test_shares_are_nested_whole_groups_and_differ_by_seed() -> None:
    manifest = manifest_of()
    shares = [set(kept_rows(manifest, "weather", share, 0).tolist()) for share in (0.01, 0.25, 0.5, 1.0)]
    assert shares[0]
    assert shares[0] < shares[1] < shares[2] < shares[3]
    labelled = manifest.labelled("weather")
    for row in shares[1]:
        twin = row ^ 1  # the other frame of the film
        assert twin in shares[1] or not labelled[twin] or manifest.record(twin).split != "train"
    assert shares[2] != set(kept_rows(manifest, "weather", 0.5, 1).tolist())


def test_labels_on_objects_go_and_the_objects_stay() -> None:
    manifest = manifest_of()
    fewer = with_fewer_labels(manifest, CONFIG, "eyes", 0.25, seed=0)
    lost = manifest.labelled("eyes") & ~fewer.labelled("eyes")
    assert 20 < lost.sum() < 30
    for row in np.flatnonzero(lost):
        objects = fewer.record(int(row)).annotations["objects"]
        assert isinstance(objects, Instances)
        assert len(objects) == 1
        assert objects.items[0].box is not None
        assert objects.items[0].points is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("weather", "write it as"),
        ("wether=0.5", "did you mean 'weather'"),
        ("weather=a", "shares are numbers"),
        ("weather=0,0.5", "above 0"),
        ("weather=1", "less than 1"),
        ("weather=1.5", "at most 1"),
        ("objects=0.5", "eyes stand on the objects"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(OneglanceError, match=said):
        parse_shares(text, CONFIG)


def test_the_whole_is_always_among_the_shares() -> None:
    assert parse_shares("weather=0.5,0.1", CONFIG).shares == (0.1, 0.5, 1.0)


def point(shared: float, alone: float, *, higher: bool = True) -> TaskComparison:
    ours, theirs = np.array([shared, shared + 0.02]), np.array([alone, alone])
    found = difference(ours, theirs)
    return TaskComparison("t", "score", higher, ours, theirs, True, found, found.p, 1, "")


def test_how_many_labels_the_task_alone_would_need() -> None:
    """Alone: 0.5, 0.6, 0.7 at 100, 200, 400 labels; shared is better by 0.1 at each."""
    curve = Curve("t", (0.25, 0.5, 1.0), (100, 200, 400), [point(a + 0.09, a) for a in (0.5, 0.6, 0.7)])
    worth, low, high = curve.worth(0, 0.95)
    assert worth == pytest.approx(200)
    assert low == 0  # the interval of two seeds is wide
    assert high > worth
    assert curve.worth(2, 0.95)[0] == np.inf
    assert "what t alone reaches with 200" in curve.in_words(0.95)[0]
    assert "more than 400" in curve.in_words(0.95)[1]
    # The same with an error, where lower is better.
    points = [point(a - 0.11, a, higher=False) for a in (0.7, 0.6, 0.5)]
    assert Curve("t", (0.25, 0.5, 1.0), (100, 200, 400), points).worth(0, 0.95)[0] == pytest.approx(200)
