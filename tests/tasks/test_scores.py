"""Every kind's score against a known table or a peer, and its decoding against hand-made outputs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from oneglance.annotations import Label, Numbers, Points, Record, Segments, Tags
from oneglance.data.geometry import Frame, letterbox
from oneglance.manifest import Manifest
from oneglance.tasks import (
    ClassificationSettings,
    KeypointsSettings,
    RegressionSettings,
    SegmentationSettings,
    TaggingSettings,
    create_tasks,
    segmentation,
)
from oneglance.tasks.base import FeatureSpec
from oneglance.tasks.segmentation import SegmentationMetric

ABC = ("a", "b", "c")


def task(settings):
    return create_tasks({"t": settings})["t"]


def frame_of(source_wh, size_hw) -> Frame:
    return Frame(letterbox(source_wh, size_hw), size_hw[1], size_hw[0], *source_wh)


def test_accuracy_and_mean_recall_are_scikit_learns():
    rng = np.random.default_rng(0)
    truth, guess = rng.choice(ABC, 60), rng.choice(ABC, 60)
    metric = task(ClassificationSettings(classes=ABC)).metric()
    for t, g in zip(truth, guess, strict=True):
        metric.update(Label(str(g)), Label(str(t)))
    scores = metric.compute()
    assert scores["accuracy"] == pytest.approx(sk.accuracy_score(truth, guess))
    assert scores["mean_recall"] == pytest.approx(sk.balanced_accuracy_score(truth, guess))
    assert (metric.confusion == sk.confusion_matrix(truth, guess, labels=ABC)).all()


def test_a_class_that_never_occurs_has_no_recall():
    metric = task(ClassificationSettings(classes=ABC)).metric()
    metric.update(Label("c"), Label("a"))
    metric.update(Label("b"), Label("b"))
    assert metric.compute()["mean_recall"] == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_tagging_map_is_scikit_learns_over_the_known_labels(seed):
    rng = np.random.default_rng(seed)
    metric = task(TaggingSettings(classes=ABC)).metric()
    scores = rng.integers(0, 6, (40, 3)).astype(np.float32) / 5  # with ties
    truth, known = rng.random((40, 3)) < 0.4, rng.random((40, 3)) < 0.7
    for s, t, k in zip(scores, truth, known, strict=True):
        names, looked_for = (tuple(np.array(ABC)[m].tolist()) for m in (t & k, k))
        metric.update(Tags((), scores=s), Tags(names, annotated=looked_for))
    expected = np.mean([sk.average_precision_score(truth[known[:, k], k], scores[known[:, k], k]) for k in range(3)])
    assert metric.compute()["map"] == pytest.approx(expected)


def test_a_tag_that_is_never_known_to_hold_has_no_say():
    metric = task(TaggingSettings(classes=ABC)).metric()
    for held, score in ((True, 0.9), (False, 0.1)):
        metric.update(Tags((), scores=np.float32([score, 1, 1])), Tags(("a",) if held else (), annotated=("a", "b")))
    assert metric.compute()["map"] == 1


def test_regression_scores_are_scikit_learns_over_the_known_numbers():
    rng = np.random.default_rng(0)
    truth, guess = rng.normal(5, 3, (30, 2)), rng.normal(5, 3, (30, 2))
    truth[::3, 0] = np.nan
    metric = task(RegressionSettings(targets=("age", "size"))).metric()
    for t, g in zip(truth, guess, strict=True):
        metric.update(Numbers(g.astype(np.float32)), Numbers(t.astype(np.float32)))
    scores, known = metric.compute(), ~np.isnan(truth[:, 0])
    assert scores["mae/age"] == pytest.approx(sk.mean_absolute_error(truth[known, 0], guess[known, 0]), rel=1e-5)
    assert scores["r2/size"] == pytest.approx(sk.r2_score(truth[:, 1], guess[:, 1]), rel=1e-4)


def test_miou_is_the_known_table():
    truth = np.array([[0, 0, 1, 1], [2, 2, 255, 1]], np.uint8)
    guess = np.array([[0, 1, 1, 1], [2, 0, 0, 0]], np.uint8)
    metric = SegmentationMetric(ABC)
    metric.update(Segments(indices=guess), Segments(indices=truth))
    scores = metric.compute()
    # class a: 1 of 4 (the union of 2 true and 3 guessed), b: 2 of 4, c: 1 of 2; the void pixel is not counted
    assert [scores[f"iou/{c}"] for c in ABC] == pytest.approx([1 / 4, 2 / 4, 1 / 2])
    assert scores["miou"] == pytest.approx((1 / 4 + 2 / 4 + 1 / 2) / 3)
    assert scores["pixel_accuracy"] == pytest.approx(4 / 7)


def test_miou_of_many_images_is_that_of_their_union():
    rng = np.random.default_rng(1)
    truth, guess = (rng.integers(0, 3, (6, 5, 5)).astype(np.uint8) for _ in range(2))
    truth[0, 0] = 255
    metric = SegmentationMetric(ABC)
    for t, g in zip(truth, guess, strict=True):
        metric.update(Segments(indices=g), Segments(indices=t))
    known = truth != 255
    expected = sk.jaccard_score(truth[known], guess[known], average="macro")
    assert metric.compute()["miou"] == pytest.approx(expected)


def test_a_segmentation_reads_back_what_its_logits_say_at_the_original_size():
    settings = task(SegmentationSettings(classes=ABC))
    frame = frame_of((60, 40), (64, 64))
    truth = np.zeros((40, 60), np.uint8)
    truth[10:30, 15:45] = 1
    truth[:, 50:] = 2
    from oneglance.data.geometry import warp_mask

    small = warp_mask(truth, frame.matrix, (64, 64), source_wh=(60, 40))
    logits = (
        torch.nn.functional.one_hot(torch.tensor(np.where(small == 255, 0, small)).long(), 3).permute(2, 0, 1).float()
    )
    (found,) = settings.decode({"logits": logits[None]}, [frame])
    assert found.indices.shape == truth.shape
    assert (found.indices == truth).mean() > 0.98


def segmentation_loss(logits: torch.Tensor, indices: torch.Tensor, **settings: float) -> dict[str, torch.Tensor]:
    (task,) = create_tasks({"s": SegmentationSettings(classes=("a", "b", "c"), **settings)}).values()
    return task.loss({"logits": logits}, {"indices": indices})


def test_dice_is_zero_for_a_perfect_and_near_one_for_a_wrong_answer():
    indices = torch.tensor([[[0, 1], [2, 255]]])
    right = torch.nn.functional.one_hot(indices.clamp(max=2), 3).permute(0, 3, 1, 2) * 100.0
    assert segmentation_loss(right, indices, dice=1)["dice"] == pytest.approx(0, abs=1e-3)
    assert segmentation_loss(right.roll(1, dims=1), indices, dice=1)["dice"] > 0.4


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_pixels_losses_are_the_formulas_of_the_papers(gamma):
    """By one-hot maps and torch's own cross-entropy, void pixels cut out by hand; class c does not occur."""
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 6, 5, requires_grad=True)
    indices = torch.randint(0, 2, (2, 6, 5))
    known = torch.rand(2, 6, 5) < 0.7
    flat, truth = logits.permute(0, 2, 3, 1)[known], indices[known]
    each = torch.nn.functional.cross_entropy(flat, truth, reduction="none")
    pixel = (each * (1 - (-each).exp()) ** gamma).mean()
    one_hot, chances = torch.nn.functional.one_hot(truth, 3).float(), flat.softmax(-1)
    dice = (1 - (2 * (one_hot * chances).sum(0) + 1) / ((one_hot + chances).sum(0) + 1))[:2].mean()
    found = segmentation_loss(logits, torch.where(known, indices, 255), dice=0.5, focal=gamma)
    torch.testing.assert_close(found["pixel"], pixel)
    torch.testing.assert_close(found["dice"], 0.5 * dice)
    torch.testing.assert_close(
        torch.autograd.grad(found["pixel"] + found["dice"], logits, retain_graph=True)[0],
        torch.autograd.grad(pixel + 0.5 * dice, logits)[0],
    )


def bells(xy: np.ndarray, size: int, sigma: float = 1.0) -> torch.Tensor:
    grid = np.arange(size) + 0.5
    gx = -((grid[None] - xy[:, :1]) ** 2) / (2 * sigma**2)
    gy = -((grid[None] - xy[:, 1:]) ** 2) / (2 * sigma**2)
    return torch.tensor(gy[:, :, None] + gx[:, None, :], dtype=torch.float32)


def test_a_heat_map_is_read_to_a_tenth_of_a_cell():
    rng = np.random.default_rng(0)
    cells = rng.uniform(3, 13, (40, 2))
    settings = task(KeypointsSettings(points=40))
    frame = frame_of((64, 64), (64, 64))
    outputs = {"heat": bells(cells, 16)[None], "visible": torch.linspace(-1, 1, 40)[None]}
    (found,) = settings.decode(outputs, [frame])
    assert np.abs(found.xy - cells * 4).max() < 0.4  # a cell is four pixels
    assert (found.visibility == np.where(np.linspace(-1, 1, 40) > 0, 2, 1)).all()


def test_the_loss_of_a_perfect_heat_map_is_lower_than_of_one_a_cell_off():
    settings = task(KeypointsSettings(points=1))
    targets = {"xy": torch.tensor([[[0.5, 0.5]]]), "visibility": torch.tensor([[2]])}

    def loss(x: float) -> float:
        heat = bells(np.array([[x, 8.0]]), 16)[None]
        return float(sum(settings.loss({"heat": heat, "visible": torch.full((1, 1), 9.0)}, targets).values()))

    assert loss(8.0) < loss(8.5) < loss(9.0)


@pytest.mark.parametrize(("normaliser", "length"), [("diagonal", 5.0), ("box", 12**0.5), (("0", "1"), 4.0)])
def test_nme_names_its_normaliser(normaliser, length):
    truth = Points(np.float32([[0, 0], [4, 0], [4, 3], [100, 100]]), np.int8([2, 1, 2, 0]))
    guess = Points(truth.xy + np.float32([[1, 0], [1, 0], [1, 0], [50, 50]]), truth.visibility)
    metric = task(KeypointsSettings(points=4, normaliser=normaliser)).metric()
    metric.update(guess, truth)
    assert metric.compute()["nme"] == pytest.approx(1 / length)


def test_an_image_that_cannot_be_normalised_is_counted_not_scored():
    metric = task(KeypointsSettings(points=2, normaliser=("0", "1"))).metric()
    metric.update(
        Points(np.zeros((2, 2), np.float32), np.int8([2, 2])), Points(np.ones((2, 2), np.float32), np.int8([2, 0]))
    )
    assert metric.compute()["unnormalised"] == 1
    assert np.isnan(metric.compute()["nme"])


def test_flip_pairs_are_indices_and_none_where_nothing_is_said():
    points = ("left", "nose", "right")
    assert task(KeypointsSettings(points=points, flip=(("left", "right"),))).flip_pairs == ((0, 2),)
    assert task(KeypointsSettings(points=points)).flip_pairs is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"points": ("a", "b"), "flip": (("a", "c"),)}, "'c' is not one of the points"),
        ({"points": ("a", "a")}, "same name"),
        ({"points": ("a", "b"), "flip": (("a", "b"), ("b", "a"))}, "two pairs"),
        ({"points": ("a", "b"), "normaliser": ("a", "z")}, "'z' is not one of the points"),
    ],
)
def test_wrong_keypoint_settings_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        KeypointsSettings(**given)


def test_large_images_are_read_in_strips_to_the_very_same_classes(monkeypatch):
    logits = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
    frame = Frame(letterbox((45, 31), (32, 32)), 32, 32, 45, 31)
    whole = segmentation.sample_classes(logits, frame)
    monkeypatch.setattr(segmentation, "STRIP", 3 * 45 * 4)
    assert whole.shape == (31, 45)
    np.testing.assert_array_equal(segmentation.sample_classes(logits, frame), whole)


def test_numbers_that_are_all_the_same_have_no_spread_to_be_divided_by():
    same = np.float32([0.1])
    rows = [Record(Path(f"{k}.jpg"), 4, 4, annotations={"n": Numbers(same)}) for k in range(3)]
    task = create_tasks({"n": RegressionSettings(targets=("size",))})["n"]
    head = task.head(FeatureSpec(8, ()))
    task.learn_statistics(Manifest.build(rows, {"n": task.column}), np.arange(3), head)
    assert head.std.tolist() == [1.0]
    metric = task.metric()
    for _ in range(3):
        metric.update(Numbers(np.float32([0.2])), Numbers(same))
    assert np.isnan(metric.compute()["relative_mae"])


def test_statistics_are_of_the_known_numbers_of_the_rows_asked_for():
    values = ([1, np.nan], [3, 8], [np.nan, 9], [99, 99])
    rows = [Record(Path(f"{k}.jpg"), 4, 4, annotations={"n": Numbers(np.float32(v))}) for k, v in enumerate(values)]
    task = create_tasks({"n": RegressionSettings(targets=("a", "b"))})["n"]
    head = task.head(FeatureSpec(8, ()))
    task.learn_statistics(Manifest.build(rows, {"n": task.column}), np.arange(3), head)
    assert head.mean.tolist() == [2.0, 8.5]
    assert head.std.tolist() == [1.0, 0.5]
