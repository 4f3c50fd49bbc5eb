"""Resamples: the same for all networks that are tested on the same images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oneglance.annotations import Label, Record
from oneglance.evidence.resampling import draw_counts, fingerprint_of_labels, resampled_scores, units_of
from oneglance.manifest import Column, Manifest
from oneglance.tasks.classification import ClassificationMetric

COLUMNS = {"kind": Column("label", ("a", "b"))}


def manifest_of(labels: list[str | None], groups: list[str | None] | None = None) -> Manifest:
    return Manifest.build(
        (
            Record(Path(f"/x/{k}.png"), 8, 8, "test", "s", group=groups[k] if groups else None,
                   annotations={"kind": None if label is None else Label(label)})
            for k, label in enumerate(labels)
        ),
        COLUMNS,
    )  # fmt: skip


def test_an_image_counts_alike_wherever_it_stands() -> None:
    one, other = draw_counts(["a", "b", "c"]), draw_counts(["c", "x", "a"])
    assert (one[:, 0] == other[:, 2]).all()
    assert (one[:, 2] == other[:, 0]).all()
    assert (one[:, 0] != one[:, 1]).any()


def test_counts_are_poisson() -> None:
    counts = draw_counts([str(k) for k in range(200)], 500)
    assert counts.shape == (500, 200)
    assert abs(counts.mean() - 1) < 0.02
    assert abs(counts.var() - 1) < 0.03


def test_images_of_a_group_count_together() -> None:
    manifest = manifest_of(["a", "b", "a", "b"], ["film", "film", None, None])
    units = units_of(manifest, np.arange(4))
    assert units[0] == units[1]
    assert len(set(units)) == 3
    counts = draw_counts(units)
    assert (counts[:, 0] == counts[:, 1]).all()


def test_unknown_labels_are_no_part_of_what_was_tested_on() -> None:
    rows = np.arange(4)
    known = fingerprint_of_labels(manifest_of(["a", "b", None, "b"]), "kind", rows)
    assert known == fingerprint_of_labels(manifest_of(["a", "b", None, "b"]), "kind", rows)
    assert known != fingerprint_of_labels(manifest_of(["a", "b", "a", "b"]), "kind", rows)
    assert known != fingerprint_of_labels(manifest_of(["a", "b", None, "a"]), "kind", rows)


def test_parts_are_scored_like_the_whole(monkeypatch) -> None:
    metric = ClassificationMetric(("a", "b"))
    for k in range(10):
        metric.update(Label("a"), Label("ab"[k % 3 == 0]))
    counts = draw_counts([str(k) for k in range(10)])
    whole = resampled_scores(metric, counts)
    monkeypatch.setattr("oneglance.evidence.resampling._MOST_COUNTS", 70)
    assert whole is not None
    np.testing.assert_array_equal(resampled_scores(metric, counts), whole)
    assert resampled_scores(object(), counts) is None  # type: ignore[arg-type]
