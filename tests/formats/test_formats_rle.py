"""COCO's run lengths against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as oracle

from oneglance.formats import rle
from oneglance.formats.shapes import outlines, polygon_area

masks = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(masks)
@settings(max_examples=200, deadline=None)
def test_encoding_is_that_of_pycocotools(mask: np.ndarray) -> None:
    ours = rle.encode(mask)
    theirs = oracle.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert rle.string_from_counts(ours.counts) == theirs["counts"].decode()
    assert rle.counts_from_string(theirs["counts"].decode()) == list(ours.counts)
    assert np.array_equal(rle.decode(ours), mask)
    assert rle.area(ours) == oracle.area(theirs)


@given(masks)
@settings(max_examples=200, deadline=None)
def test_box_is_the_smallest_around_the_mask(mask: np.ndarray) -> None:
    box = rle.box(rle.encode(mask))
    if not mask.any():
        assert box is None
        return
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_large_runs_survive_the_string() -> None:
    counts = [0, 5_000_000, 3, 70_000, 1, 2, 9_999_999]
    assert rle.counts_from_string(rle.string_from_counts(counts)) == counts


@pytest.mark.parametrize(
    ("size", "counts", "says"),
    [
        ([2, 3], [-1, 7], "negative"),
        ([2, 3], [1, 2], "sum to 3"),
        ([3, 2], [6], "size"),
        ([10**9, 10**9], [10**18], "size"),
        ([2, 3], "\x01\x02", "not COCO's"),
        ([2, 3], "a" * 1000, "longer"),
        ([2, 3], [1.5, 4.5], "whole numbers"),
        (None, [6], "size"),
        ([2, 3], None, "neither"),
        ([2, 3], "PPP", "middle"),
    ],
)
def test_what_is_no_mask_of_the_image_is_refused(size: object, counts: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        rle.checked(size, counts, 2, 3)


def test_outlines_run_along_the_outside_of_the_pixels() -> None:
    mask = np.zeros((8, 9), bool)
    mask[2:5, 3:7] = True
    (outline,), holes = outlines(rle.encode(mask))
    assert not holes
    assert polygon_area(outline) == 12
    assert outline.min(0).tolist() == [3, 2]
    assert outline.max(0).tolist() == [7, 5]
    mask[3, 4] = False
    assert outlines(rle.encode(mask))[1]
