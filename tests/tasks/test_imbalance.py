"""Focal and class-balanced losses: what is easy counts less, what is rare more, and the mean stays."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from oneglance.annotations import Instance, Instances, Label, Record, Tags
from oneglance.manifest import Column, Manifest
from oneglance.tasks import (
    ClassificationSettings,
    DetectionSettings,
    SegmentationSettings,
    TaggingSettings,
    columns_of,
    create_tasks,
)
from oneglance.tasks.base import Features, FeatureSpec
from oneglance.tasks.imbalance import balanced_weights

SPEC = FeatureSpec(4, ((8, 4), (16, 4), (32, 4)))


def task_of(settings):
    return create_tasks({"t": settings})["t"]


def test_weights_go_with_the_inverse_of_the_effective_number_and_their_mean_is_1():
    counts = np.array([1000, 10, 0])
    weights = balanced_weights(counts, 0.99)
    assert weights[1] / weights[0] == pytest.approx((1 - 0.99**1000) / (1 - 0.99**10))
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1)
    assert weights[2] == 1
    np.testing.assert_allclose(balanced_weights(counts[:2], 1e-9), 1)


def test_focal_loss_of_two_classes_is_the_formula():
    logits, label = torch.randn(5, 2), torch.tensor([0, 1, 1, 0, 1])
    task = task_of(ClassificationSettings(classes=("a", "b"), smoothing=0.0, focal=2.0))
    p = logits.softmax(-1).gather(1, label[:, None])[:, 0]
    expected = -((1 - p) ** 2 * p.log()).mean()
    torch.testing.assert_close(task.loss({"logits": logits}, {"label": label})["class"], expected)


def test_without_either_the_loss_is_the_plain_one():
    logits, label = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    task = task_of(ClassificationSettings(classes=("a", "b", "c")))
    expected = F.cross_entropy(logits, label, label_smoothing=0.1)
    torch.testing.assert_close(task.loss({"logits": logits}, {"label": label})["class"], expected)


def test_class_weights_are_learned_from_the_training_labels_and_used_in_training_alone():
    task = task_of(ClassificationSettings(classes=("a", "b"), class_balanced=0.9))
    records = [Record(Path(f"{k}"), 8, 8, annotations={"t": Label("a" if k else "b")}) for k in range(10)]
    manifest = Manifest.build(records, {"t": Column("label", classes=("a", "b"))})
    head = task.head(SPEC)
    task.learn_statistics(manifest, np.arange(10), head)
    features = Features(torch.zeros(3, 4, 2, 2), {})
    found = head.train()(features)["class_weights"]
    assert found.shape == (3, 2)
    assert found[0, 1] > found[0, 0]
    assert "class_weights" not in head.eval()(features)
    assert torch.equal(head.state_dict()["class_weights"], found[0])


def test_tags_are_weighed_by_how_often_they_hold_where_they_are_known():
    task = task_of(TaggingSettings(classes=("wet", "old"), class_balanced=0.9, focal=1.0))
    records = [
        Record(Path(f"{k}"), 8, 8, annotations={"t": Tags(("wet",) if k == 0 else (), annotated=("wet",))})
        for k in range(9)
    ]
    manifest = Manifest.build(records, {"t": Column("tags", classes=("wet", "old"))})
    head = task.head(SPEC).train()
    task.learn_statistics(manifest, np.arange(9), head)
    assert head.class_weights[0, 1] > 1 > head.class_weights[0, 0]
    assert head.class_weights[1].tolist() == [1, 1]  # nobody looked for it
    outputs = head(Features(torch.zeros(2, 4, 2, 2), {}))
    targets = {"tags": torch.tensor([[1.0, 0.0], [0.0, 1.0]]), "known": torch.tensor([[True, False], [True, False]])}
    assert torch.isfinite(task.loss(outputs, targets)["tags"])


def on_cars(*said: dict[str, str | float] | None, label: str = "car") -> list[Record]:
    """An image for each of ``said``, with a car of these attributes (None: nobody looked), and one of another kind."""
    box = np.array([0, 0, 9, 9], np.float32)
    bus = Instance("bus", box, attributes={"t": "b", "wet": 1, "old": 1})
    return [
        Record(Path(f"{k}"), 8, 8, annotations={
            "objects": None if one is None else Instances((Instance(label, box, attributes=one), bus))
        })
        for k, one in enumerate(said)
    ]  # fmt: skip


def object_task(settings):
    tasks = create_tasks({"objects": DetectionSettings(classes=("car", "bus")), "t": settings})
    return tasks["t"], columns_of(tasks)


def test_classes_of_objects_are_weighed_by_the_objects_that_the_task_asks_about():
    settings = ClassificationSettings(on="objects.car", classes=("a", "b"), class_balanced=0.9)
    task, columns = object_task(settings)
    crop = Record(Path("crop"), 8, 8, annotations={"t": Label("b")})
    records = [*on_cars(*[{"t": "a"}] * 7, {"t": "b"}, {}, {"t": "?"}, None), crop, *on_cars({"t": "b"})]
    manifest = Manifest.build([replace(r, path=Path(f"{k}")) for k, r in enumerate(records)], columns)
    head = task.region_head(8).train()
    task.learn_statistics(manifest, np.arange(len(records) - 1), head)  # the last is not to be trained on
    np.testing.assert_allclose(head.class_weights, balanced_weights(np.array([7, 2]), 0.9), rtol=1e-6)
    assert head(torch.zeros(3, 8, 14, 14))["class_weights"].shape == (3, 2)
    assert "class_weights" not in head.eval()(torch.zeros(3, 8, 14, 14))


def test_tags_of_objects_are_weighed_where_they_are_known():
    settings = TaggingSettings(on="objects.car", classes=("wet", "old"), class_balanced=0.9)
    task, columns = object_task(settings)
    records = on_cars(*[{"wet": 0}] * 5, {"wet": 1, "old": "no"}, {"old": "perhaps"}, {})
    manifest = Manifest.build(records, columns)
    head = task.region_head(8)
    task.learn_statistics(manifest, np.arange(len(records)), head)
    expected = balanced_weights(np.array([[5, 1], [1, 0]]), 0.9)
    np.testing.assert_allclose(head.class_weights, expected, rtol=1e-6)


def test_easy_pixels_and_easy_cells_count_less_the_more_focal():
    easy = torch.zeros(1, 2, 4, 4)
    easy[:, 0] = 3.0
    targets = {"indices": torch.zeros(1, 4, 4, dtype=torch.uint8)}
    terms = [
        task_of(SegmentationSettings(classes=("a", "b"), focal=g)).loss({"logits": easy}, targets) for g in (0.0, 2.0)
    ]
    assert 0 < terms[1]["pixel"] < 0.01 * terms[0]["pixel"]
    assert DetectionSettings(classes=("a",), focal=2.0).focal == 2.0
