"""The mean under boxes: by hand, against RoIAlign, and blind to padding."""

import numpy as np
import pytest
import torch
from torchvision.ops import roi_align

from oneglance.data.geometry import Frame, letterbox, reflection, translation
from oneglance.tasks.pooling import pool_boxes


def test_cells_at_the_border_weigh_what_is_covered_of_them():
    maps = torch.arange(12.0).reshape(1, 1, 3, 4)
    # Cells of 10 pixels. x from 5 to 20: half of column 0, all of column 1; y from 10 to 30: rows 1 and 2.
    got = pool_boxes(maps, torch.tensor([[5.0, 10, 20, 30]]), 10)
    expected = np.mean([(4 * 0.5 + 5) / 1.5, (8 * 0.5 + 9) / 1.5])
    assert got.item() == pytest.approx(expected)


def test_a_whole_image_is_the_plain_mean_and_what_lies_outside_does_not_count():
    maps = torch.randn(2, 5, 4, 6)
    for box in ([0.0, 0, 192, 128], [-50.0, -9, 400, 300]):
        got = pool_boxes(maps, torch.tensor([box, box]), 32)
        torch.testing.assert_close(got, maps.mean((2, 3)))


def test_a_box_of_whole_cells_is_what_roi_align_sees_there():
    maps = torch.randn(1, 3, 8, 8)
    box = torch.tensor([[2.0, 3, 6, 7]]) * 32
    # One sample in the middle of each cell.
    rois = torch.cat([torch.zeros(1, 1), box], 1)
    cells = roi_align(maps, rois, (4, 4), spatial_scale=1 / 32, sampling_ratio=1, aligned=True)
    torch.testing.assert_close(pool_boxes(maps, box, 32), cells.mean((2, 3)))


def test_several_boxes_in_one_map():
    maps = torch.randn(2, 3, 4, 4)
    boxes = torch.tensor([[0.0, 0, 64, 64], [64.0, 64, 128, 128], [0.0, 0, 128, 128]])
    got = pool_boxes(maps, boxes, 32, torch.tensor([1, 1, 0]))
    torch.testing.assert_close(got[0], maps[1, :, :2, :2].mean((1, 2)))
    torch.testing.assert_close(got[1], maps[1, :, 2:, 2:].mean((1, 2)))
    torch.testing.assert_close(got[2], maps[0].mean((1, 2)))


def test_boxes_of_no_size_take_the_nearest_cell():
    maps = torch.arange(16.0).reshape(1, 1, 4, 4).requires_grad_()
    for box, cell in (([40.0, 40, 40, 40], 5), ([-90.0, 10, -80, 20], 0), ([500.0, 500, 600, 600], 15)):
        assert pool_boxes(maps, torch.tensor([box]), 32).item() == pytest.approx(cell)
    pool_boxes(maps, torch.tensor([[9.0, 9, 9, 9]]), 32).sum().backward()
    assert torch.isfinite(maps.grad).all()


def test_padding_is_not_looked_at():
    frame = Frame(letterbox((100, 50), (128, 128)), 128, 128, 100, 50)
    assert frame.content == (0, 32, 128, 96)
    maps = torch.randn(1, 3, 4, 4)
    other = maps.clone()
    other[:, :, [0, 3]] = 9.0  # the rows of padding
    box = torch.tensor([frame.content])
    torch.testing.assert_close(pool_boxes(maps, box, 32), pool_boxes(other, box, 32))


def test_the_content_of_a_frame_is_cut_off_at_its_window():
    matrix = translation(-10, 20) @ reflection(100)
    assert Frame(matrix, 64, 64, 100, 30).content == (0, 20, 64, 50)
    assert Frame(matrix, 64, 64, 100, 30, clip=(8, 0, 32, 32)).content == (8, 20, 32, 32)
