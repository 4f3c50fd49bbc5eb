"""warp: labels into the network's input, predictions back, for every type of annotation."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneglance.annotations import (
    HIDDEN,
    UNLABELLED,
    VISIBLE,
    Annotation,
    Identity,
    Instance,
    Instances,
    Label,
    Numbers,
    Points,
    Segments,
    Tags,
    enclosing_box,
    same,
)
from oneglance.data.geometry import Frame, Matrix, letterbox, reflection, rotation, scaling, translation
from oneglance.data.warp import unwarp, warp
from oneglance.formats import rle

RNG = np.random.default_rng(0)


def frame(matrix: Matrix | None = None, size: int = 100, clip: tuple[int, int, int, int] | None = None) -> Frame:
    """An input of size x size for an original of 100 x 80."""
    return Frame(np.eye(3) if matrix is None else matrix, size, size, 100, 80, clip)


def one(**about: object) -> Instances:
    """A single object."""
    return Instances((Instance("cat", **about),))  # type: ignore[arg-type]


def box(*corners: float) -> np.ndarray:
    return np.float32(corners)


def points(*xyv: tuple[float, float, int]) -> Points:
    return Points(np.float32([p[:2] for p in xyv]), np.int8([p[2] for p in xyv]))


@pytest.mark.parametrize(
    "annotation",
    [
        Label("cat"),
        Tags(("red",), ("red", "big")),
        Numbers(np.float32([1, np.nan])),
        Identity("ada"),
        Instances(),
        Instances((), ("cat",)),
    ],
)
def test_what_has_no_place_stays(annotation: Annotation) -> None:
    for way in (warp, unwarp):
        assert same(way(annotation, frame(scaling(2) @ reflection(100)), flip_pairs=((0, 1),)), annotation)


# --- points ------------------------------------------------------------------------------------------------


def test_a_mirror_moves_points_and_swaps_the_pairs() -> None:
    labelled = points((10, 20, VISIBLE), (70, 30, HIDDEN), (50, 60, VISIBLE))
    found = warp(labelled, frame(reflection(100)), flip_pairs=((0, 1),))
    assert found.xy.tolist() == [[30, 30], [90, 20], [50, 60]]
    assert found.visibility.tolist() == [HIDDEN, VISIBLE, VISIBLE]
    assert found.xy.dtype == np.float32
    assert found.visibility.dtype == np.int8


def test_without_a_mirror_nothing_is_swapped() -> None:
    labelled = points((10, 20, VISIBLE), (70, 30, HIDDEN))
    for matrix in (translation(3, 0), rotation(180, (50, 40)), reflection(100) @ reflection(100)):
        found = warp(labelled, frame(matrix), flip_pairs=((0, 1),))
        assert found.visibility.tolist() == [VISIBLE, HIDDEN]


def test_mirrored_twice_is_the_same() -> None:
    labelled = points((10, 20, VISIBLE), (70, 30, HIDDEN), (50, 60, VISIBLE))
    mirror = frame(reflection(100))
    assert same(warp(warp(labelled, mirror, flip_pairs=((0, 1),)), mirror, flip_pairs=((0, 1),)), labelled)


def test_points_that_leave_the_input_are_no_longer_labelled() -> None:
    labelled = points((10, 20, VISIBLE), (90, 20, VISIBLE), (50, 79, HIDDEN))
    found = warp(labelled, frame(translation(20, 0)))
    assert found.visibility.tolist() == [VISIBLE, UNLABELLED, HIDDEN]
    assert found.xy.tolist() == [[30, 20], [110, 20], [70, 79]]
    tile = warp(labelled, frame(clip=(0, 0, 60, 50)))
    assert tile.visibility.tolist() == [VISIBLE, UNLABELLED, UNLABELLED]
    assert labelled.visibility.tolist() == [VISIBLE, VISIBLE, HIDDEN]


def test_predicted_points_come_back_with_their_scores() -> None:
    predicted = Points(np.float32([[20, 40], [180, 40]]), np.int8([VISIBLE, HIDDEN]), np.float32([0.9, 0.3]))
    there = Frame(scaling(2) @ reflection(100), 200, 160, 100, 80)
    found = unwarp(predicted, there, flip_pairs=((0, 1),))
    assert found.xy.tolist() == [[10, 20], [90, 20]]
    assert found.visibility.tolist() == [HIDDEN, VISIBLE]
    assert found.scores is not None
    np.testing.assert_array_equal(found.scores, np.float32([0.3, 0.9]))


def test_predicted_points_outside_keep_their_visibility() -> None:
    assert unwarp(points((150, 20, VISIBLE)), frame()).visibility.tolist() == [VISIBLE]


# --- boxes -------------------------------------------------------------------------------------------------


def test_boxes_are_cut_at_the_edges() -> None:
    (found,) = warp(one(box=box(60, 10, 90, 40)), frame(translation(20, 0))).items
    assert found.box is not None
    assert found.box.tolist() == [80, 10, 100, 40]
    assert not found.difficult


@pytest.mark.parametrize(
    ("corners", "difficult"),
    [
        ((10, 10, 30, 30), False),
        ((91, 10, 191, 30), True),  # 9 of 100 columns are left
        ((89, 10, 189, 30), False),
        ((98.5, 10, 99.9, 30), True),  # a side of 1.4 pixels
        ((10, 10, 50, 10.5), True),  # thin, but long
    ],
)
def test_boxes_of_which_little_remains_are_ignored(corners: tuple[float, ...], difficult: bool) -> None:
    (found,) = warp(one(box=box(*corners)), frame()).items
    assert found.difficult == difficult


@pytest.mark.parametrize("corners", [(100, 10, 130, 30), (-50, 10, 0, 30), (10, 120, 20, 130), (5, 5, 5.6, 5.8)])
def test_boxes_of_which_nothing_remains_are_left_out(corners: tuple[float, ...]) -> None:
    assert len(warp(one(box=box(*corners)), frame())) == 0


def test_difficult_stays_difficult() -> None:
    assert warp(one(box=box(10, 10, 30, 30), difficult=True), frame()).items[0].difficult


def test_only_the_tile_of_a_mosaic_counts() -> None:
    tile = frame(clip=(20, 20, 60, 60))
    found = warp(Instances((Instance("a", box(30, 30, 80, 50)), Instance("b", box(70, 70, 90, 90)))), tile)
    assert [item.label for item in found.items] == ["a"]
    assert same(found.items[0].box, box(30, 30, 60, 50))


def test_everything_else_about_an_object_stays() -> None:
    about = {"identity": "tom", "attributes": {"fur": "red"}, "id": 7, "crowd": True, "extra": {"x": 1}, "score": 0.5}
    found = warp(Instances(one(box=box(1, 2, 30, 40), area=100.0, **about).items, ("cat",)), frame(scaling(2), 200))
    assert found.annotated == ("cat",)
    item = found.items[0]
    assert {name: getattr(item, name) for name in about} == about
    assert item.area == pytest.approx(400)
    assert item.polygons is None
    assert item.points is None


@pytest.mark.parametrize("mirror", [False, True])
def test_predicted_boxes_come_back(mirror: bool) -> None:
    matrix = letterbox((100, 80), (320, 320)) @ (reflection(100) if mirror else np.eye(3))
    there = Frame(matrix, 320, 320, 100, 80)
    boxes = [box(1, 2, 30, 40), box(50, 10, 99, 80), box(0, 0, 100, 80)]
    labelled = Instances(tuple(Instance("cat", b) for b in boxes))
    back = unwarp(warp(labelled, there), there)
    np.testing.assert_allclose(back.boxes(), boxes, atol=1e-4)
    assert not any(item.difficult for item in back.items)


def test_predicted_boxes_end_at_the_edge_of_the_original() -> None:
    there = Frame(letterbox((100, 80), (200, 200)), 200, 200, 100, 80)
    predicted = Instances((Instance("cat", box(-5, 22, 2, 24)), Instance("cat", box(0, 0, 200, 15))))
    found = unwarp(predicted, there)
    assert len(found) == 1  # the other lies in the letterbox's margin
    assert same(found.items[0].box, box(0, 1, 1, 2))
    assert not found.items[0].difficult


# --- polygons, masks, points of objects --------------------------------------------------------------------


def test_under_rotation_the_box_is_that_of_the_outline() -> None:
    square = np.float32([[50, 20], [70, 40], [50, 60], [30, 40]])  # on its corner
    turn = frame(rotation(45, (50, 40)))
    half = 10 * np.sqrt(2)
    outlined = warp(one(box=enclosing_box([square]), polygons=(square,)), turn).items[0]
    assert outlined.box is not None
    np.testing.assert_allclose(outlined.box, [50 - half, 40 - half, 50 + half, 40 + half], atol=1e-4)
    plain = warp(one(box=enclosing_box([square])), turn).items[0]
    assert plain.box is not None
    np.testing.assert_allclose(plain.box, [50 - 2 * half, 40 - 2 * half, 50 + 2 * half, 40 + 2 * half], atol=1e-4)


def test_without_rotation_the_labelled_box_counts() -> None:
    """A box may be larger than what is seen of the object."""
    square = np.float32([[50, 20], [70, 40], [50, 60]])
    found = warp(one(box=box(10, 10, 80, 70), polygons=(square,)), frame(scaling(0.5))).items[0]
    assert same(found.box, box(5, 5, 40, 35))


def test_outlines_are_cut_at_the_tile() -> None:
    parts = (
        np.float32([[10, 10], [50, 10], [50, 30], [10, 30]]),
        np.float32([[80, 10], [90, 10], [90, 30]]),
        np.float32([[12, 40], [18, 40], [18, 50]]),
    )
    (found,) = warp(one(polygons=parts), frame(clip=(0, 0, 30, 100))).items
    assert found.polygons is not None
    assert len(found.polygons) == 2
    assert same(enclosing_box([found.polygons[0]]), box(10, 10, 30, 30))
    assert same(found.polygons[1], parts[2])


def test_objects_without_boxes_stay_while_anything_of_them_is_seen() -> None:
    triangle = np.float32([[80, 10], [90, 10], [90, 30]])
    seen, outside = frame(), frame(clip=(0, 0, 30, 30))
    assert len(warp(one(polygons=(triangle,)), seen)) == 1
    assert len(warp(one(polygons=(triangle,)), outside)) == 0
    (found,) = warp(one(points=points((80, 10, VISIBLE))), outside).items
    assert found.points is not None
    assert found.points.visibility.tolist() == [UNLABELLED]
    assert len(warp(one(), outside)) == 1


def test_masks_of_objects() -> None:
    mask = np.zeros((80, 100), bool)
    mask[10:30, 20:60] = True
    labelled = one(box=box(20, 10, 60, 30), rle=rle.encode(mask))
    found = warp(labelled, frame(reflection(100) @ scaling(1), clip=(0, 0, 60, 100))).items[0].rle
    assert found is not None
    expected = np.zeros((100, 100), bool)
    expected[10:30, 40:60] = True
    np.testing.assert_array_equal(rle.decode(found), expected)
    there = Frame(letterbox((100, 80), (200, 200)), 200, 200, 100, 80)
    back = unwarp(warp(labelled, there), there).items[0].rle
    assert back is not None
    np.testing.assert_array_equal(rle.decode(back), mask)


@given(st.integers(0, 2**31), st.floats(-180, 180), st.floats(0.5, 2), st.booleans())
@settings(max_examples=50, deadline=None)
def test_mixed_objects_are_each_what_they_are_alone(seed: int, degrees: float, scale: float, mirror: bool) -> None:
    """All coordinates go through the matrix in one heap; every object gets its own back."""
    rng = np.random.default_rng(seed)
    items = []
    for k in range(rng.integers(1, 7)):
        x, y = rng.uniform(-20, 90, 2)
        outline = rng.uniform(0, 30, (rng.integers(3, 6), 2)).astype(np.float32) + np.float32([x, y])
        has = rng.random(3) < 0.6
        items.append(
            Instance(
                str(k),
                box(x, y, x + 30, y + 25) if has[0] else None,
                tuple(outline + np.float32(3 * j) for j in range(rng.integers(0, 3))) if has[1] else None,
                points=points((x, y, 2), (x + 5, y + 9, 1)) if has[2] else None,
                id=k,
            )
        )
    matrix = translation(60, 60) @ rotation(degrees) @ scaling(scale) @ translation(-50, -40)
    there = frame(matrix @ reflection(100) if mirror else matrix, 120, clip=(5, 0, 110, 120))
    together = warp(Instances(tuple(items)), there, flip_pairs=((0, 1),))
    alone = [warp(Instances((item,)), there, flip_pairs=((0, 1),)).items for item in items]
    expected = [item for found in alone for item in found]
    assert [item.id for item in together.items] == [item.id for item in expected]
    for a, b in zip(together.items, expected, strict=True):
        for x, y in ((a.box, b.box), *zip(a.polygons or (), b.polygons or (), strict=True)):
            if x is not None:
                np.testing.assert_allclose(x, y, atol=1e-4)
        assert (a.points is None) == (b.points is None)
        if a.points is not None and b.points is not None:
            np.testing.assert_allclose(a.points.xy, b.points.xy, atol=1e-4)
            np.testing.assert_array_equal(a.points.visibility, b.points.visibility)


def test_points_of_objects_swap_in_a_mirror() -> None:
    labelled = one(points=points((10, 20, VISIBLE), (70, 30, HIDDEN)))
    (found,) = warp(labelled, frame(reflection(100)), flip_pairs=((0, 1),)).items
    assert found.points is not None
    assert found.points.xy.tolist() == [[30, 30], [90, 20]]


# --- segments ----------------------------------------------------------------------------------------------


def test_segments_go_with_the_image_and_come_back() -> None:
    indices = RNG.integers(0, 4, (80, 100), np.uint8)
    there = Frame(letterbox((100, 80), (200, 200)), 200, 200, 100, 80)
    labelled = Segments(indices=indices, classes=("a", "b", "c", "d"))
    found = warp(labelled, there)
    assert found.indices is not None
    assert found.indices.shape == (200, 200)
    assert (found.indices[:20] == 255).all()
    np.testing.assert_array_equal(found.indices[20:180], indices.repeat(2, 0).repeat(2, 1))
    assert same(unwarp(found, there), labelled)


def test_segments_of_a_tile_are_void_elsewhere() -> None:
    labelled = Segments(indices=np.ones((80, 100), np.uint8), classes=("a", "b"))
    found = warp(labelled, frame(clip=(10, 20, 50, 60))).indices
    assert found is not None
    assert (found == 1).sum() == 40 * 40
    assert (found[20:60, 10:50] == 1).all()


def test_coarse_predicted_segments_come_back_in_full_size() -> None:
    """Predictions at a quarter of the input's size are fitted to it."""
    coarse = RNG.integers(0, 4, (50, 50), np.uint8)
    there = Frame(letterbox((100, 80), (200, 200)), 200, 200, 100, 80)
    found = unwarp(Segments(indices=coarse, classes=("a", "b", "c", "d")), there).indices
    assert found is not None
    np.testing.assert_array_equal(found, coarse[5:45].repeat(2, 0).repeat(2, 1))


def test_segments_must_be_decoded_first() -> None:
    with pytest.raises(ValueError, match="decode"):
        warp(Segments(), frame())


def test_it_is_fast_enough_for_every_training_image() -> None:
    items = tuple(Instance("a", box(x, x, x + 20, x + 20)) for x in range(20))
    there = frame(scaling(1.1))
    best = 1.0
    for _ in range(20):
        start = time.perf_counter()
        warp(Instances(items), there)
        best = min(best, time.perf_counter() - start)
    assert best < 1e-3  # measured 0.2 ms; the rest is for a busy machine
