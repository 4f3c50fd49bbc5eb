"""Masks of objects: drawn targets, what a box sees of them, and the way back into the image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oneglance.annotations import Instance
from oneglance.data.geometry import Frame, letterbox
from oneglance.data.regions import region_frame, shares
from oneglance.formats import rle
from oneglance.tasks import MaskSettings, create_tasks
from oneglance.tasks.mask import pasted


def mask_task():
    return create_tasks({"outline": MaskSettings(on="objects")})["outline"]


def plain(width: int, height: int) -> Frame:
    return Frame(np.eye(3), width, height, width, height)


def square(x1, y1, x2, y2) -> Instance:
    polygon = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    return Instance("a", np.array([x1, y1, x2, y2], np.float32), polygons=(polygon,))


def cut(item: Instance, box, size=(100, 80)) -> torch.Tensor:
    task, frame = mask_task(), plain(*size)
    targets = {key: torch.from_numpy(value)[None] for key, value in task.encode(item, frame).items()}
    return task.cut_targets(targets, torch.from_numpy(shares(np.float32(box), frame))[None])["mask"][0]


def fills(seen: torch.Tensor) -> bool:
    """Whether the object covers all cells; those at its edge are read half a cell of the drawing beyond it."""
    return bool(seen[1:-1, 1:-1].min() > 0.95 and seen.min() > 0.7)


def test_an_object_fills_its_own_box():
    assert fills(cut(square(20, 10, 60, 50), (20, 10, 60, 50)))


def test_a_wider_box_sees_where_the_object_ends():
    seen = cut(square(30, 20, 50, 40), (20, 20, 60, 40))
    # The object covers the middle half of the box: cells 7 to 20 of 28.
    assert fills(seen[:, 7:21])
    assert seen[:, :6].max() < 0.05
    assert seen[:, 22:].max() < 0.05
    assert seen.mean() == pytest.approx(0.5, abs=0.02)


def test_a_box_far_beyond_the_object_sees_nothing_there():
    seen = cut(square(30, 20, 50, 40), (0, 20, 50, 40))
    assert seen[:, :15].max() < 0.05
    assert fills(seen[:, 17:])


def test_polygons_that_overlap_leave_no_hole():
    one, other = square(20, 10, 50, 50).polygons[0], square(40, 10, 60, 50).polygons[0]
    both = Instance("a", np.array([20, 10, 60, 50], np.float32), polygons=(one, other))
    assert fills(cut(both, (20, 10, 60, 50)))


def test_run_lengths_and_polygons_give_the_same_target():
    filled = np.zeros((80, 100), bool)
    filled[10:50, 20:60] = True
    filled[20:30, 30:40] = False  # a hole
    item = Instance("a", np.array([20, 10, 60, 50], np.float32), rle=rle.encode(filled))
    seen = cut(item, (20, 10, 60, 50))
    assert seen[8:13, 8:13].max() < 0.05
    assert fills(seen[15:])
    assert seen.mean() == pytest.approx(1 - 100 / 1600, abs=0.03)


@pytest.mark.parametrize("scale", [1.0, 0.37, 2.5])
def test_a_mask_comes_back_within_half_a_pixel(scale):
    """The left half of a box, as cells say it, in an image that was letterboxed."""
    width, height = 300, 200
    side = int(32 * round(300 * scale / 32 + 1))
    frame = Frame(letterbox((width, height), (side, side)), side, side, width, height)
    box = np.array([37.3, 51.8, 161.3, 140.2])
    inside = frame.matrix[:2, :2] @ box.reshape(2, 2).T + frame.matrix[:2, 2:]
    chances = np.zeros((28, 28), np.float32)
    chances[:, :14] = 1
    mask = rle.decode(pasted(chances, region_frame(frame, inside.T.ravel().astype(np.float32))))
    assert mask.shape == (height, width)
    rows, columns = np.nonzero(mask)
    middle = (box[0] + box[2]) / 2
    # A pixel k covers [k, k + 1]: the mask's edges lie where the box's do, to half a pixel.
    assert columns.min() == pytest.approx(box[0], abs=0.5)
    assert columns.max() + 1 == pytest.approx(middle, abs=0.5)
    assert rows.min() == pytest.approx(box[1], abs=0.5)
    assert rows.max() + 1 == pytest.approx(box[3], abs=0.5)


def test_a_box_beyond_the_image_gives_what_is_inside():
    mask = rle.decode(
        pasted(np.ones((28, 28), np.float32), region_frame(plain(40, 30), np.float32([-10, -5, 20, 100])))
    )
    assert mask[:, :20].all()
    assert not mask[:, 20:].any()
    outside = pasted(np.ones((28, 28), np.float32), region_frame(plain(40, 30), np.float32([50, 5, 60, 10])))
    assert not rle.decode(outside).any()


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2**30))
def test_a_part_is_encoded_as_the_whole_image_would_be(height, width, left, top, seed):
    part = np.random.default_rng(seed).random((height, width)) < 0.6
    size = (top + height + seed % 2, left + width + seed // 2 % 2)
    whole = np.zeros(size, bool)
    whole[top : top + height, left : left + width] = part
    assert rle.encode_part(part, left, top, size) == rle.encode(whole)


def test_a_part_must_lie_in_its_image():
    with pytest.raises(ValueError, match="beyond"):
        rle.encode_part(np.ones((3, 3), bool), 2, 0, (4, 4))


def test_the_loss_is_smallest_at_the_truth():
    task = mask_task()
    truth = (torch.rand(3, 28, 28, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    right = task.loss({"logits": 20 * (2 * truth - 1)}, {"mask": truth})
    wrong = task.loss({"logits": 20 * (1 - 2 * truth)}, {"mask": truth})
    assert right["pixel"] < 1e-3
    assert right["dice"] < 1e-3
    assert wrong["pixel"] > 10
    assert wrong["dice"] > 0.9
