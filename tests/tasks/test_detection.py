"""The detector against brute force and against torchvision."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchvision import ops

from oneglance.annotations import Instance, Instances, Points
from oneglance.data.geometry import Frame
from oneglance.tasks import DetectionSettings, create_tasks
from oneglance.tasks.detection.assign import ALPHA, BETA, FLOOR, assign, box_iou
from oneglance.tasks.detection.head import BINS, anchors_of, boxes_xyxy, distances_of, distribution_loss
from oneglance.tasks.detection.loss import detection_loss
from oneglance.tasks.detection.metric import DetectionMetric
from oneglance.tasks.detection.task import select


def random_boxes(rng: np.random.Generator, *shape: int, size: float = 64) -> torch.Tensor:
    corner = rng.uniform(0, size * 0.7, (*shape, 2))
    return torch.tensor(
        np.concatenate([corner, corner + rng.uniform(4, size * 0.3, (*shape, 2))], -1), dtype=torch.float32
    )


def grid(size: int = 64, stride: int = 8) -> torch.Tensor:
    return anchors_of([torch.zeros(1, 1, size // s, size // s) for s in (8, 16, 32)])


def test_iou_is_torchvisions():
    rng = np.random.default_rng(0)
    one, other = random_boxes(rng, 2, 5), random_boxes(rng, 2, 7)
    expected = torch.stack([ops.box_iou(a, b) for a, b in zip(one, other, strict=True)])
    torch.testing.assert_close(box_iou(one, other), expected)


def brute_force(scores, predicted, anchors, boxes, labels, real, top):
    """The definition, one object and one cell at a time."""
    n, m = labels.shape
    cells = len(anchors)
    owner = [[-1] * cells for _ in range(n)]
    quality = [[0.0] * cells for _ in range(n)]
    for b in range(n):
        overlap = ops.box_iou(boxes[b], predicted[b])
        aligned = torch.zeros(m, cells)
        wanted: list[set[int]] = []
        for i in range(m):
            mine = []
            x1, y1, x2, y2 = boxes[b, i].tolist()
            cx, cy, w, h = (x1 + x2) / 2, (y1 + y2) / 2, max((x2 - x1) / 2, 8), max((y2 - y1) / 2, 8)
            for a in range(cells):
                x, y = anchors[a, :2].tolist()
                aligned[i, a] = scores[b, a, labels[b, i]] ** ALPHA * max(overlap[i, a], FLOOR) ** BETA
                if real[b, i] and cx - w < x < cx + w and cy - h < y < cy + h:
                    mine.append(a)
            wanted.append(set(sorted(mine, key=lambda a: -float(aligned[i, a]))[:top]))
        for a in range(cells):
            rivals = [i for i in range(m) if a in wanted[i]]
            if rivals:
                owner[b][a] = max(rivals, key=lambda i: float(overlap[i, a]))
        for i in range(m):
            own = [a for a in range(cells) if owner[b][a] == i]
            if own:
                most = max(float(aligned[i, a]) for a in own)
                reached = max(float(overlap[i, a]) for a in own)
                for a in own:
                    quality[b][a] = float(aligned[i, a]) / most * reached
    return torch.tensor(owner), torch.tensor(quality)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from([1, 3, 10]))
def test_assignment_is_its_definition(seed, objects, top):
    rng = np.random.default_rng(seed)
    anchors = grid()
    scores = torch.tensor(rng.uniform(0.01, 1, (2, len(anchors), 3)), dtype=torch.float32)
    predicted = random_boxes(rng, 2, len(anchors))
    boxes = random_boxes(rng, 2, objects)
    labels = torch.tensor(rng.integers(0, 3, (2, objects)))
    real = torch.tensor(rng.random((2, objects)) > 0.2)
    found = assign(scores, predicted, anchors, boxes, labels, real, top)
    owner, quality = brute_force(scores, predicted, anchors, boxes, labels, real, top)
    assert (found.positive == (owner >= 0)).all()
    assert (found.instance[found.positive] == owner[found.positive]).all()
    torch.testing.assert_close(found.quality, quality, rtol=1e-4, atol=1e-6)


def test_the_order_of_objects_and_the_padding_change_nothing():
    rng = np.random.default_rng(3)
    anchors = grid()
    scores = torch.tensor(rng.uniform(0.01, 1, (1, len(anchors), 2)), dtype=torch.float32)
    predicted, boxes = random_boxes(rng, 1, len(anchors)), random_boxes(rng, 1, 4)
    labels, real = torch.tensor([[0, 1, 0, 1]]), torch.ones(1, 4, dtype=torch.bool)
    plain = assign(scores, predicted, anchors, boxes, labels, real, 10)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = assign(scores, predicted, anchors, boxes[:, order], labels[:, order], real, 10)
    torch.testing.assert_close(plain.quality, shuffled.quality)
    sure = plain.quality > 1e-3  # where a cell's box overlaps nothing, any owner is as good
    assert (order[shuffled.instance[sure]] == plain.instance[sure]).all()
    padded = assign(
        scores, predicted, anchors, torch.cat([boxes, torch.zeros(1, 3, 4)], 1),
        torch.cat([labels, torch.zeros(1, 3, dtype=torch.long)], 1),
        torch.cat([real, torch.zeros(1, 3, dtype=torch.bool)], 1), 10,
    )  # fmt: skip
    torch.testing.assert_close(plain.quality, padded.quality)


def test_a_tiny_object_between_the_cells_is_not_forgotten():
    anchors = grid()
    scores = torch.full((1, len(anchors), 1), 0.5)
    predicted = boxes_xyxy(torch.full((1, len(anchors), 4), 0.5), anchors)
    tiny = torch.tensor([[[15.0, 15.0, 17.0, 17.0]]])  # no cell's centre lies in it
    found = assign(scores, predicted, anchors, tiny, torch.zeros(1, 1).long(), torch.ones(1, 1).bool(), 10)
    assert found.positive.any()


@given(st.lists(st.floats(0, BINS - 1.1), min_size=4, max_size=4))
def test_sides_that_put_all_weight_on_the_neighbouring_bins_read_back_the_distance(distances):
    target = torch.tensor([distances])
    lower = target.floor().long()
    chance = torch.zeros(1, 4, BINS).scatter_(-1, lower[..., None], (1 - (target - lower))[..., None])
    chance.scatter_(-1, lower[..., None] + 1, (target - lower)[..., None])
    logits = (chance + 1e-12).log().flatten(1)
    torch.testing.assert_close(distances_of(logits), target, atol=1e-3, rtol=1e-4)
    away = distribution_loss(torch.zeros_like(logits), target)
    assert (distribution_loss(logits, target) <= away + 1e-6).all()


def test_suppression_of_a_whole_batch_is_torchvisions_image_by_image():
    rng = np.random.default_rng(5)
    boxes, scores = random_boxes(rng, 3, 60), torch.tensor(rng.uniform(0, 1, (3, 60, 2)), dtype=torch.float32)
    found = select(boxes, scores, min_score=0.3, most=300, nms_iou=0.5)
    for b, (got, got_scores, got_labels) in enumerate(found):
        flat = scores[b].flatten()
        keep = flat > 0.3
        index = keep.nonzero()[:, 0]
        chosen = ops.batched_nms(boxes[b][index // 2], flat[index], index % 2, 0.5)
        np.testing.assert_allclose(got_scores, flat[index][chosen].numpy())
        np.testing.assert_allclose(got, boxes[b][index // 2][chosen].numpy())
        assert (got_labels == (index % 2)[chosen].numpy()).all()


def test_without_suppression_every_object_above_the_threshold_is_returned_best_first():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 10], [20, 20, 30, 30]]])
    scores = torch.tensor([[[0.9], [0.8], [0.1]]])
    ((_, got, _),) = select(boxes, scores, min_score=0.2, most=10, nms_iou=None)
    np.testing.assert_allclose(got, [0.9, 0.8])


def random_objects(rng: np.random.Generator, count: int, names: tuple[str, ...]) -> list[Instance]:
    return [
        Instance(str(rng.choice(names)), box=box.numpy(), score=float(rng.uniform()))
        for box in random_boxes(rng, count, size=200)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_map_is_pycocotools(seed, capsys):
    rng = np.random.default_rng(seed)
    names = ("a", "b", "c")
    metric = DetectionMetric(names)
    truths, found = [], []
    for image in range(12):
        truth = random_objects(rng, int(rng.integers(0, 8)), names)
        truth = [Instance(t.label, box=t.box, crowd=bool(rng.random() < 0.1)) for t in truth]
        guess = [
            Instance(t.label, box=t.box + rng.normal(0, 3, 4).astype(np.float32), score=float(rng.uniform()))
            for t in truth
        ] + random_objects(rng, 3, names)
        metric.update(Instances(tuple(guess)), Instances(tuple(truth)))
        for item in truth:
            x1, y1, x2, y2 = map(float, item.box)
            truths.append(
                {"id": len(truths) + 1, "image_id": image + 1, "category_id": names.index(item.label) + 1}
                | {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": int(item.crowd)}
            )
        for item in guess:
            x1, y1, x2, y2 = map(float, item.box)
            found.append(
                {"image_id": image + 1, "category_id": names.index(item.label) + 1, "score": item.score}
                | {"bbox": [x1, y1, x2 - x1, y2 - y1]}
            )
    coco = COCO()
    coco.dataset = {
        "images": [{"id": k + 1} for k in range(12)],
        "annotations": truths,
        "categories": [{"id": k + 1, "name": n} for k, n in enumerate(names)],
    }
    coco.createIndex()
    oracle = COCOeval(coco, coco.loadRes(found), "bbox")
    oracle.evaluate()
    oracle.accumulate()
    oracle.summarize()
    scores = metric.compute()
    for name, expected in zip(("map", "map50", "map75"), oracle.stats[:3], strict=True):
        assert scores[name] == pytest.approx(expected, abs=1e-9)


def test_a_prediction_of_a_class_that_was_not_looked_for_is_not_wrong():
    box = np.array([0, 0, 10, 10], np.float32)
    partly, fully = DetectionMetric(("a", "b")), DetectionMetric(("a", "b"))
    guess = Instances((Instance("a", box=box, score=0.9), Instance("b", box=box, score=0.9)))
    for metric, annotated in ((partly, ("a",)), (fully, None)):
        metric.update(guess, Instances((Instance("a", box=box),), annotated))
        metric.update(guess, Instances((Instance("a", box=box), Instance("b", box=box))))
        metric.update(Instances(), Instances((Instance("b", box=box),)))
    assert partly.compute()["ap/b"] > fully.compute()["ap/b"]
    assert partly.compute()["ap/a"] == pytest.approx(1)


def boxed(*boxes: tuple[float, ...], score: float | None = None, label: str = "a") -> Instances:
    return Instances(tuple(Instance(label, box=np.array(box, np.float32), score=score) for box in boxes))


def test_objects_in_a_crowd_and_apart_are_scored_by_themselves():
    near, far = [(0, 0, 10, 10), (5, 0, 15, 10)], [(40, 40, 60, 60)]
    for found, crowded, apart in ((near, 1, 0), (far, 0, 1), (near + far, 1, 1), (near[:1], 0.504950, 0)):
        metric = DetectionMetric(("a",))
        metric.update(boxed(*found, score=0.9), boxed(*near, *far))
        scores = metric.compute()
        assert scores["map_crowded"] == pytest.approx(crowded, abs=1e-5)
        assert scores["map_apart"] == pytest.approx(apart, abs=1e-5)
    # A box on nothing is wrong in both.
    metric = DetectionMetric(("a",))
    metric.update(
        Instances(boxed((80, 80, 90, 90), score=0.95).items + boxed(*near, *far, score=0.9).items), boxed(*near, *far)
    )
    scores = metric.compute()
    assert scores["map_crowded"] == pytest.approx(2 / 3, abs=1e-5)
    assert scores["map_apart"] == pytest.approx(1 / 2, abs=1e-5)


def test_what_overlaps_is_a_crowd_whatever_its_class_and_nobody_in_one_is_no_score():
    metric = DetectionMetric(("a", "b"))
    truth = Instances(boxed((0, 0, 10, 10)).items + boxed((5, 0, 15, 10), label="b").items)
    metric.update(boxed((0, 0, 10, 10), score=0.9), truth)
    scores = metric.compute()
    assert scores["map_crowded"] == pytest.approx(0.5, abs=1e-5)
    assert math.isnan(scores["map_apart"])
    # Objects of a class that was not looked for are unknown, so they make no crowd.
    partly = DetectionMetric(("a", "b"))
    partly.update(boxed((0, 0, 10, 10), score=0.9), Instances(truth.items, annotated=("a",)))
    assert partly.compute()["map_apart"] == pytest.approx(1, abs=1e-5)
    assert math.isnan(partly.compute()["map_crowded"])


def test_the_first_object_of_all_counts_as_found():
    metric = DetectionMetric(("a",))
    box = np.array([0, 0, 10, 10], np.float32)
    metric.update(Instances((Instance("a", box=box, score=0.5),)), Instances((Instance("a", box=box),)))
    assert metric.compute()["map"] == pytest.approx(1)


def test_nothing_labelled_is_no_score_and_nothing_found_is_zero():
    metric = DetectionMetric(("a",))
    metric.update(Instances(), Instances())
    assert np.isnan(metric.compute()["map"])
    metric.update(Instances(), Instances((Instance("a", box=np.array([0, 0, 5, 5], np.float32)),)))
    assert metric.compute()["map"] == 0


def test_an_object_that_is_known_but_not_where_makes_its_class_unknown():
    """Points alone say that a face is there: neither may it be background, nor its boxes be misses or hits."""
    at = Points(np.float32([[5, 5]]), np.int8([2]))
    truth = Instances((Instance("face", points=at), Instance("car", np.float32([2, 2, 20, 20]))))
    task = create_tasks({"t": DetectionSettings(classes=("car", "face"))})["t"]
    targets = task.encode(truth, Frame(np.eye(3), 64, 64, 64, 64))
    assert targets["known"].tolist() == [True, False]
    assert targets["labels"].tolist() == [0]
    metric = DetectionMetric(("car", "face"))
    found = Instances(
        tuple(Instance(name, np.float32([2, 2, 20, 20]), score=s) for name, s in (("face", 0.9), ("car", 0.8)))
    )
    metric.update(found, truth)
    assert metric.compute()["map"] == pytest.approx(1)


def test_an_object_of_a_class_that_was_not_looked_for_is_no_miss():
    box = np.float32([2, 2, 20, 20])
    metric = DetectionMetric(("car", "face"))
    metric.update(Instances((Instance("car", box, score=0.9),)), Instances((Instance("car", box),)))
    metric.update(Instances(), Instances((Instance("car", box),), annotated=("face",)))
    assert metric.compute()["map"] == pytest.approx(1)


def test_predicted_boxes_without_area_cost_no_nan():
    anchors = anchors_of([torch.zeros(1, 1, size, size) for size in (8, 4, 2)])
    cells = len(anchors)
    sides = torch.zeros(1, cells, 4, BINS)
    sides[..., 0] = 50.0  # all distances are zero to the last bit
    leaves = {"sides": sides.flatten(2), "classes": torch.zeros(1, cells, 1), "single": torch.zeros(1, cells, 1)}
    leaves = {name: value.requires_grad_() for name, value in leaves.items()}
    targets = {"boxes": torch.tensor([[[4.0, 4.0, 40.0, 40.0]]]), "labels": torch.zeros(1, 1, dtype=torch.int64)}
    targets |= {"state": torch.ones(1, 1, dtype=torch.int64), "known": torch.ones(1, 1, dtype=torch.bool)}
    terms = detection_loss({**leaves, "anchors": anchors}, targets)
    torch.stack(list(terms.values())).sum().backward()
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves.values())
