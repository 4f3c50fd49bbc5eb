"""Repeat factors: by LVIS' formula, over the images in which a class was looked for."""

from pathlib import Path

import numpy as np
import pytest

from oneglance.annotations import Instance, Instances, Label, Record
from oneglance.data.repeat import repeat_factors, repeated
from oneglance.manifest import Column, Manifest


def manifest_of(annotations):
    records = [Record(Path(f"{k}"), 8, 8, annotations=dict(one)) for k, one in enumerate(annotations)]
    columns = {"kind": Column("label", classes=("a", "b")), "objects": Column("instances", classes=("car", "bus"))}
    return Manifest.build(records, columns)


def box(label):
    return Instance(label, box=np.array([0, 0, 4, 4], np.float32))


def test_a_rare_class_repeats_its_images_and_an_unlabelled_image_is_no_example_against_it():
    labels = [{"kind": Label("b" if k == 0 else "a")} for k in range(16)]
    factors = repeat_factors(manifest_of(labels), np.arange(16), 0.25)
    assert factors[0] == pytest.approx(2.0)  # sqrt(0.25 / (1 / 16))
    assert (factors[1:] == 1).all()
    # As many images again that nobody labelled change nothing.
    more = repeat_factors(manifest_of(labels + [{}] * 16), np.arange(32), 0.25)
    np.testing.assert_allclose(more, np.r_[factors, np.ones(16)])


def test_an_image_counts_once_for_a_class_and_only_where_the_class_was_looked_for():
    searched = [{"objects": Instances((box("car"), box("car"), box("bus")))}]
    searched += [{"objects": Instances((box("car"),))} for _ in range(3)]
    searched += [{"objects": Instances((), annotated=("car",))} for _ in range(4)]  # nobody looked for a bus
    factors = repeat_factors(manifest_of(searched), np.arange(8), 1.0)
    assert factors[0] == pytest.approx(2.0)  # bus: 1 of 4
    np.testing.assert_allclose(factors[1:4], np.sqrt(2))  # car: 4 of 8
    np.testing.assert_allclose(factors[4:], 1)


def test_a_fraction_is_a_chance():
    rows = np.arange(2000)
    found = repeated(rows, np.full(2000, 1.5), 0)
    counts = np.bincount(found)
    assert set(counts) == {1, 2}
    assert 2900 < len(found) < 3100
    assert (repeated(rows, np.ones(2000), 0) == rows).all()
