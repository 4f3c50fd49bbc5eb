"""Unknown is not negative: what nobody labelled gives exactly no gradient, by row, class, pixel and point."""

import torch
from torch import Tensor

from oneglance.network.network import Network
from oneglance.network.trunk import TrunkSettings
from oneglance.tasks import (
    ClassificationSettings,
    DetectionSettings,
    KeypointsSettings,
    RegressionSettings,
    SegmentationSettings,
    TaggingSettings,
    create_tasks,
)


def gradient(task_settings, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
    """The gradient of the task's whole loss with respect to each of its raw outputs."""
    task = create_tasks({"t": task_settings})["t"]
    leaves = {
        k: v.clone().requires_grad_() if v.is_floating_point() and k not in ("anchors", "std") else v
        for k, v in outputs.items()
    }
    terms = task.loss(leaves, targets)
    total = sum(terms.values())
    assert torch.isfinite(total)
    total.backward()
    return {k: v.grad if v.grad is not None else torch.zeros_like(v) for k, v in leaves.items() if v.requires_grad}


def test_unknown_tags_give_no_gradient_and_absent_ones_do():
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    targets = {"tags": torch.tensor([[1.0, 0, 0], [0, 0, 0]]), "known": torch.tensor([[True, True, False]] * 2)}
    grad = gradient(TaggingSettings(classes=("a", "b", "c")), {"logits": logits}, targets)["logits"]
    assert (grad[:, 2] == 0).all()
    assert (grad[:, :2] != 0).all()


def test_a_batch_of_nothing_but_unknown_tags_is_an_exact_zero():
    logits = torch.randn(2, 3)
    targets = {"tags": torch.zeros(2, 3), "known": torch.zeros(2, 3, dtype=torch.bool)}
    assert (gradient(TaggingSettings(classes=("a", "b", "c")), {"logits": logits}, targets)["logits"] == 0).all()


def test_unknown_numbers_give_no_gradient():
    outputs = {"values": torch.randn(2, 2), "std": torch.ones(2, 2)}
    targets = {"values": torch.tensor([[1.0, float("nan")], [float("nan"), 3.0]])}
    grad = gradient(RegressionSettings(targets=("age", "size")), outputs, targets)["values"]
    assert grad[0, 1] == 0
    assert grad[1, 0] == 0
    assert grad[0, 0] != 0
    assert grad[1, 1] != 0


def test_unlabelled_points_give_no_gradient_whatever_stands_in_their_place():
    outputs = {"heat": torch.randn(2, 3, 8, 8), "visible": torch.randn(2, 3)}
    xy = torch.rand(2, 3, 2)
    xy[0, 1] = float("nan")
    visibility = torch.tensor([[2, 0, 1], [2, 2, 0]])
    grads = gradient(KeypointsSettings(points=3), outputs, {"xy": xy, "visibility": visibility})
    for k, i in ((0, 1), (1, 2)):
        assert (grads["heat"][k, i] == 0).all()
        assert grads["visible"][k, i] == 0
    assert (grads["heat"][0, 0] != 0).any()
    assert grads["visible"][0, 2] != 0


def test_void_pixels_give_no_gradient():
    logits = torch.randn(1, 3, 8, 8)
    indices = torch.full((1, 8, 8), 255, dtype=torch.uint8)
    indices[:, :, :4] = 1
    grad = gradient(SegmentationSettings(classes=("a", "b", "c")), {"logits": logits}, {"indices": indices})["logits"]
    assert (grad[..., 4:] == 0).all()
    assert (grad[..., :4] != 0).all()


def test_a_mask_of_void_alone_is_an_exact_zero():
    logits = torch.randn(1, 3, 8, 8)
    targets = {"indices": torch.full((1, 8, 8), 255, dtype=torch.uint8)}
    assert (gradient(SegmentationSettings(classes=("a", "b", "c")), {"logits": logits}, targets)["logits"] == 0).all()


def detector(n: int = 2, classes: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    y, x = torch.meshgrid(torch.arange(8) * 8 + 4.0, torch.arange(8) * 8 + 4.0, indexing="ij")
    anchors = torch.stack([x, y, torch.full_like(x, 8)], -1).flatten(0, 1)
    return {
        "classes": torch.randn(n, 64, classes, generator=generator),
        "single": torch.randn(n, 64, classes, generator=generator),
        "sides": torch.randn(n, 64, 64, generator=generator),
        "anchors": anchors,
    }


def boxes_target(boxes, labels, state, known) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(len(boxes), -1, 4),
        "labels": torch.tensor(labels).reshape(len(boxes), -1).long(),
        "state": torch.tensor(state).reshape(len(boxes), -1).long(),
        "known": torch.tensor(known),
    }


def test_classes_that_were_not_looked_for_give_no_gradient():
    settings = DetectionSettings(classes=("a", "b", "c"))
    targets = boxes_target(
        [[[8, 8, 40, 40]], [[0, 0, 0, 0]]], [[0], [0]], [[1], [0]], [[True, True, False], [False, True, True]]
    )
    grads = gradient(settings, detector(), targets)
    for branch in ("classes", "single"):
        assert (grads[branch][0, :, 2] == 0).all()
        assert (grads[branch][1, :, 0] == 0).all()
        assert (grads[branch][0, :, :2] != 0).all()
        assert (grads[branch][1, :, 1:] != 0).all()


def test_an_empty_image_is_negative_everywhere_and_teaches_no_box():
    settings = DetectionSettings(classes=("a", "b", "c"))
    targets = boxes_target([[], []], [[], []], [[], []], [[True] * 3] * 2)
    grads = gradient(settings, detector(), targets)
    assert (grads["classes"] > 0).all()
    assert (grads["sides"] == 0).all()


def test_an_ignored_object_is_neither_positive_nor_negative_for_its_class_alone():
    settings = DetectionSettings(classes=("a", "b", "c"))
    targets = boxes_target([[[0, 0, 32, 32]]], [[1]], [[2]], [[True] * 3])
    grads = gradient(settings, detector(1), targets)
    inside = (detector()["anchors"][:, :2] < 32).all(-1)
    assert (grads["classes"][0, inside, 1] == 0).all()
    assert (grads["classes"][0, ~inside, 1] > 0).all()
    assert (grads["classes"][0, inside, 0] > 0).all()
    assert (grads["sides"] == 0).all()


def test_rows_without_a_label_do_not_reach_the_head_nor_the_trunk_through_it():
    tasks = create_tasks(
        {
            "kind": ClassificationSettings(classes=("a", "b"), dropout=0.0),
            "parts": SegmentationSettings(classes=("x", "y")),
            "tags": TaggingSettings(classes=("p",)),
        }
    )
    torch.manual_seed(0)
    network = Network(tasks, TrunkSettings(backbone="mobilenetv4_conv_small", pretrained=False)).eval()
    images = torch.rand(4, 3, 64, 64) * 255
    images.requires_grad_()
    rows = {"kind": torch.tensor([0, 2]), "parts": torch.tensor([1])}
    outputs = network(images, rows)
    assert set(outputs) == {"kind", "parts"}
    assert outputs["kind"]["logits"].shape == (2, 2)
    kind = tasks["kind"].loss(outputs["kind"], {"label": torch.tensor([0, 1])})["class"]
    parts = tasks["parts"].loss(outputs["parts"], {"indices": torch.zeros(1, 64, 64, dtype=torch.uint8)})
    (kind + sum(parts.values())).backward()
    assert (images.grad[3] == 0).all()
    assert all((images.grad[k] != 0).any() for k in (0, 1, 2))
    assert all(p.grad is None for p in network.heads["tags"].parameters())


def test_a_row_selection_gives_what_the_whole_batch_gives():
    tasks = create_tasks(
        {"kind": ClassificationSettings(classes=("a", "b")), "objects": DetectionSettings(classes=("z",))}
    )
    torch.manual_seed(0)
    network = Network(tasks, TrunkSettings(pretrained=False)).eval()
    images = torch.rand(3, 3, 64, 64) * 255
    with torch.inference_mode():
        whole = network(images)
        some = network(images, {"kind": torch.tensor([2, 0]), "objects": torch.tensor([1])})
    torch.testing.assert_close(some["kind"]["logits"], whole["kind"]["logits"][[2, 0]])
    torch.testing.assert_close(some["objects"]["sides"], whole["objects"]["sides"][[1]], rtol=1e-4, atol=1e-5)
