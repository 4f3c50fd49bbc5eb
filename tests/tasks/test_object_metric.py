"""Scores of what is said of objects, against pycocotools and by hand."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from oneglance.annotations import UNLABELLED, VISIBLE, Instance, Instances, Label, Points
from oneglance.formats import rle
from oneglance.tasks import ClassificationSettings, DetectionSettings, create_tasks
from oneglance.tasks.object_metric import ObjectPrecision

SIZE = (60, 80)


def blob(rng, shift=0.0) -> np.ndarray:
    y, x = np.mgrid[:60, :80]
    cx, cy, r = rng.uniform(15, 65), rng.uniform(15, 45), rng.uniform(6, 14)
    return (x - cx - shift) ** 2 + (y - cy) ** 2 < r * r


def masked(label, mask, score=None, **more) -> Instance:
    encoded = rle.encode(mask)
    return Instance(label, rle.box(encoded), rle=encoded, score=score, **more)


def official(images: int, truths: list, found: list, what: str, classes: int, sigmas=None) -> list[float]:
    categories = [{"id": k + 1, "name": str(k)} for k in range(classes)]
    truth = COCO()
    truth.dataset = {
        "images": [{"id": k + 1, "height": SIZE[0], "width": SIZE[1]} for k in range(images)],
        "annotations": truths,
        "categories": categories,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), what)
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:3].tolist()


def test_masks_score_as_pycocotools_scores_them():
    rng = np.random.default_rng(3)
    metric = ObjectPrecision(("a", "b"), "segm")
    truths, found = [], []
    for image in range(1, 13):
        true_items, found_items = [], []
        for _ in range(rng.integers(1, 4)):
            state = rng.integers(0, 2**31)
            label = "ab"[rng.integers(2)]
            mask = blob(np.random.default_rng(state))
            crowd = bool(rng.random() < 0.15)
            true_items.append(masked(label, mask, crowd=crowd))
            rle_of = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
            truths.append(
                {"id": len(truths) + 1, "image_id": image, "category_id": 1 + "ab".index(label), "segmentation": rle_of}
                | {"area": float(mask.sum()), "iscrowd": int(crowd), "bbox": coco_mask.toBbox(rle_of).tolist()}
            )
            if rng.random() < 0.8:
                moved = blob(np.random.default_rng(state), shift=rng.uniform(-6, 6))
                score = float(rng.random())
                found_items.append(masked(label, moved, score))
                found.append(
                    {"image_id": image, "category_id": 1 + "ab".index(label), "score": score}
                    | {"segmentation": coco_mask.encode(np.asfortranarray(moved.astype(np.uint8)))}
                )
        metric.update(Instances(tuple(found_items)), Instances(tuple(true_items)))
    ours = metric.compute()
    assert [ours["map"], ours["map50"], ours["map75"]] == pytest.approx(
        official(12, truths, found, "segm", 2), abs=1e-9
    )
    assert 0.1 < ours["map"] < 0.95


def test_points_score_as_pycocotools_scores_them():
    rng = np.random.default_rng(5)
    sigmas = [0.03, 0.05, 0.1]
    metric = ObjectPrecision(("a",), "keypoints", sigmas)
    truths, found = [], []
    for image in range(1, 13):
        true_items, found_items = [], []
        for _ in range(rng.integers(1, 4)):
            box = np.float32([*rng.uniform(0, 30, 2), *rng.uniform(40, 60, 2)])
            xy = rng.uniform(box[:2], box[2:], (3, 2)).astype(np.float32)
            seen = rng.integers(0, 3, 3).astype(np.int8)
            true_items.append(Instance("a", box, points=Points(xy, seen), area=400.0))
            flat = np.concatenate([np.where(seen[:, None] > 0, xy, 0), seen[:, None]], 1).ravel().tolist()
            wh = (box[2:] - box[:2]).tolist()
            truths.append(
                {"id": len(truths) + 1, "image_id": image, "category_id": 1, "keypoints": flat, "iscrowd": 0}
                | {"num_keypoints": int((seen > 0).sum()), "area": 400.0, "bbox": [*box[:2].tolist(), *wh]}
            )
            moved = xy + rng.normal(0, 2, (3, 2)).astype(np.float32)
            score = float(rng.random())
            answer = Points(moved, np.full(3, VISIBLE, np.int8))
            found_items.append(Instance("a", box, points=answer, score=score))
            flat = np.concatenate([moved, np.full((3, 1), 2)], 1).ravel().tolist()
            found.append({"image_id": image, "category_id": 1, "score": score, "keypoints": flat})
        metric.update(Instances(tuple(found_items)), Instances(tuple(true_items)))
    ours = metric.compute()
    expected = official(12, truths, found, "keypoints", 1, sigmas)
    assert [ours["map"], ours["map50"], ours["map75"]] == pytest.approx(expected, abs=1e-6)
    assert 0.05 < ours["map"] < 0.95


def test_an_object_whose_mask_nobody_drew_counts_neither_way():
    drawn, other = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    drawn[5:20, 5:20], other[30:50, 40:70] = True, True
    unknown = Instance("a", np.float32([40, 30, 70, 50]))
    metric = ObjectPrecision(("a",), "segm")
    # Found at both; the surer one lies where nobody drew.
    metric.update(
        Instances((masked("a", other, 0.9), masked("a", drawn, 0.5))), Instances((masked("a", drawn), unknown))
    )
    assert metric.compute()["map"] == pytest.approx(1.0)


def test_classes_that_were_looked_for_and_are_not_asked_about_are_left_out():
    """Of a task on objects.b: an image in which a and b were looked for, one of b alone, one of neither."""
    rng = np.random.default_rng(0)
    metric = ObjectPrecision(("b",), "segm")
    mask = blob(rng)
    for annotated in (("a", "b"), ("b",), None):
        metric.update(
            Instances((masked("b", mask, 0.9),)), Instances((masked("a", mask), masked("b", mask)), annotated)
        )
    metric.update(Instances((masked("b", mask, 0.95),)), Instances((masked("a", mask),), ("a",)))
    assert metric.compute()["map"] == pytest.approx(1.0)


def test_nothing_known_is_no_score_and_nothing_found_is_zero():
    metric = ObjectPrecision(("a",), "segm")
    metric.update(Instances(()), Instances((Instance("a", np.float32([1, 1, 9, 9])),)))
    assert np.isnan(metric.compute()["map"])
    mask = np.zeros(SIZE, bool)
    mask[5:20, 5:20] = True
    metric.update(Instances(()), Instances((masked("a", mask),)))
    assert metric.compute()["map"] == 0


def test_points_that_nobody_labelled_have_no_say():
    metric = ObjectPrecision(("a",), "keypoints", (0.05,))
    box = np.float32([10, 10, 30, 30])
    nobody = Points(np.float32([[np.nan, np.nan]]), np.int8([UNLABELLED]))
    metric.update(Instances(()), Instances((Instance("a", box, points=nobody),)))
    assert np.isnan(metric.compute()["map"])


def colour_task():
    return create_tasks(
        {
            "objects": DetectionSettings(classes=("car", "bus")),
            "colour": ClassificationSettings(on="objects.car", classes=("red", "blue")),
        }
    )["colour"]


def car(x, colour=None, score=None, answer=None) -> Instance:
    attributes = {} if colour is None else {"colour": colour}
    box = np.float32([x, 0, x + 10, 10])
    answers = {} if answer is None else {"colour": Label(answer)}
    return Instance("car", box, attributes=attributes, score=score, answers=answers)


def test_answers_count_on_boxes_that_were_found_and_on_true_ones_apart():
    metric = colour_task().metric()
    truth = Instances((car(0, "red"), car(20, "blue"), car(40, "red"), car(60)))
    found = Instances(
        (
            car(1, score=0.9, answer="red"),
            car(21, score=0.8, answer="red"),
            car(60, score=0.9, answer="red"),  # nobody said its colour
            car(80, score=0.9, answer="red"),  # nothing is there
            car(40, score=0.1, answer="red"),  # not sure enough to be an answer
        )
    )
    metric.update(found, truth)
    for said in ("red", "blue", "blue"):
        metric.update_on_truth(Label(said), Label("red"))
    scores = metric.compute()
    assert scores["accuracy"] == pytest.approx(1 / 3)
    assert scores["found/accuracy"] == pytest.approx(1 / 2)
    assert scores["found/share"] == pytest.approx(2 / 3)
