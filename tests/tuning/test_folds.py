"""Parts that are alike, and groups that stay together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oneglance.annotations import Label, Record
from oneglance.errors import OneglanceError
from oneglance.manifest import Column, Manifest
from oneglance.tuning.folds import UNSEEN, Folds, divide

CLASSES = {"easy": Column("label", classes=("a", "b")), "rare": Column("label", classes=("a", "b"))}


def manifest(count: int = 120, groups: int = 30, rare: int = 12) -> Manifest:
    """Images of groups of unequal size; every tenth is of `test`; the last ``rare`` are labelled for both tasks."""
    rng = np.random.default_rng(0)

    def record(k: int) -> Record:
        labels = {"easy": Label("a"), "rare": Label("b") if k >= count - rare else None}
        split = "test" if k % 10 == 0 else ("train", "val")[k % 2]
        group = f"g{int(rng.integers(groups) ** 0.8)}"
        return Record(Path(f"/x/{k}.png"), 64, 64, split, "s", group, labels)

    return Manifest.build([record(k) for k in range(count)], CLASSES)


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_together_and_test_is_not_touched(seed: int) -> None:
    whole = manifest()
    folds = Folds(whole, ["easy", "rare"], 3, seed)
    last = folds.last()
    assert set(last.values("path")).isdisjoint(whole.select(whole.rows(split="test")).values("path"))
    assert len(last) == len(whole) - len(whole.rows(split="test"))
    sides: dict[str | None, set[int]] = {}
    for fold in range(3):
        made = folds.manifest(fold)
        assert set(made.values("split")) == {"train", "val"}
        # What is never seen is in no fold.
        assert set(made.values("path")).isdisjoint(last.select(last.rows(split=UNSEEN)).values("path"))
        for group, split in zip(made.values("group"), made.values("split"), strict=True):
            if split == "val":
                sides.setdefault(group, set()).add(fold)
    for group, split in zip(last.values("group"), last.values("split"), strict=True):
        if split == UNSEEN:
            sides.setdefault(group, set()).add(3)
    assert all(len(one) == 1 for one in sides.values())
    # Every image is scored on once.
    parts = [folds.manifest(fold) for fold in range(3)]
    scored = [path for one in parts for path in one.select(one.rows(split="val")).values("path")]
    assert len(scored) == len(set(scored)) == len(last.rows(split="train"))


def test_parts_are_alike_in_size_and_labels() -> None:
    labelled = np.zeros((100, 2), bool)
    labelled[:, 0] = True
    labelled[:9, 1] = True
    part = divide([f"image {k}" for k in range(100)], labelled, 4, 0)
    assert sorted(np.bincount(part)) == [25, 25, 25, 25]
    assert sorted(np.bincount(part[:9], minlength=4)) == [2, 2, 2, 3]
    other = divide([f"image {k}" for k in range(100)], labelled, 4, 1)
    assert (part != other).any()
    shuffled = np.random.default_rng(0).permutation(100)
    again = divide([f"image {k}" for k in shuffled], labelled[shuffled], 4, 0)
    assert (again == part[shuffled]).all()  # in whatever order they stand


def test_a_task_that_a_fold_would_lack_is_refused() -> None:
    with pytest.raises(OneglanceError, match=r"'rare': its 2 labelled images.*fewer --folds"):
        Folds(manifest(rare=2), ["easy", "rare"], 3, 0)
