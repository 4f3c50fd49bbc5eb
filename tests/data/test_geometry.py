"""geometry: matrices, coordinates and pixels agree with one another and with what can be worked out by hand."""

from __future__ import annotations

import math
import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneglance.data.geometry import (
    Frame,
    Matrix,
    bounds,
    clip_polygon,
    clip_to,
    invert,
    is_reflection,
    keeps_axes,
    letterbox,
    reflection,
    rotation,
    scaling,
    shearing,
    translation,
    warp_boxes,
    warp_image,
    warp_mask,
    warp_points,
)

RNG = np.random.default_rng(0)
coordinate = st.floats(-500, 500)
size = st.floats(0.2, 5)


@st.composite
def upright(draw: st.DrawFn) -> Matrix:
    """Scale, shift and perhaps a mirror."""
    matrix = translation(draw(coordinate), draw(coordinate)) @ scaling(draw(size), draw(size))
    return matrix @ reflection(draw(st.floats(1, 500))) if draw(st.booleans()) else matrix


@st.composite
def affine(draw: st.DrawFn) -> Matrix:
    """Any affine matrix that training could meet."""
    turned = rotation(draw(st.floats(-180, 180)), (draw(coordinate), draw(coordinate)))
    return draw(upright()) @ turned @ shearing(draw(st.floats(-0.5, 0.5)))


@st.composite
def some_boxes(draw: st.DrawFn) -> np.ndarray:
    corners = draw(st.lists(st.tuples(coordinate, coordinate, st.floats(0, 300), st.floats(0, 300)), max_size=5))
    return np.array([[x, y, x + w, y + h] for x, y, w, h in corners], np.float32).reshape(-1, 4)


def disc(width: int, height: int, x: float, y: float, radius: float) -> np.ndarray:
    """A bright disc on black with soft edges, uint8 [H, W]; (x, y) is its centre in continuous coordinates."""
    xs, ys = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return (np.clip(radius - np.hypot(xs - x, ys - y) + 0.5, 0, 1) * 255).astype(np.uint8)


def centroid(grey: np.ndarray) -> np.ndarray:
    """The centre of brightness of a grey image in continuous coordinates, [2]."""
    weight = grey.astype(np.float64)
    ys, xs = np.mgrid[: grey.shape[0], : grey.shape[1]] + 0.5
    return np.array([(xs * weight).sum(), (ys * weight).sum()]) / weight.sum()


def rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, 2)


# --- matrices and coordinates ------------------------------------------------------------------------------


def test_builders_by_hand() -> None:
    def of(matrix: Matrix) -> list[float]:
        return warp_points([3, 4], matrix).tolist()

    assert of(scaling(2, 3)) == [6, 12]
    assert of(scaling(2)) == [6, 8]
    assert of(translation(10, 20)) == [13, 24]
    np.testing.assert_allclose(of(rotation(90)), [-4, 3], atol=1e-6)  # clockwise: what points right points down
    np.testing.assert_allclose(of(rotation(90, about=(3, 5))), [4, 5], atol=1e-6)
    assert of(shearing(0.5)) == [5, 4]
    assert of(shearing(0, 0.5)) == [3, 5.5]
    assert of(reflection(10)) == [7, 4]
    assert of(translation(1, 0) @ scaling(2)) == [7, 8]  # the right one first


def test_letterbox_by_hand() -> None:
    np.testing.assert_allclose(letterbox((200, 100), (320, 320)), [[1.6, 0, 0], [0, 1.6, 80], [0, 0, 1]])
    np.testing.assert_allclose(letterbox((100, 400), (320, 640)), [[0.8, 0, 280], [0, 0.8, 0], [0, 0, 1]])


def test_matrices_that_keep_the_axes() -> None:
    assert keeps_axes(translation(1, 2) @ scaling(-2, 3))
    assert not any(keeps_axes(matrix) for matrix in (shearing(0.1), shearing(0, 0.1), rotation(5)))


@given(affine())
def test_mirrors_are_known(matrix: Matrix) -> None:
    assert is_reflection(matrix) == (np.linalg.det(matrix) < 0)
    assert is_reflection(matrix @ reflection(7)) != is_reflection(matrix)


@given(affine(), st.lists(st.tuples(coordinate, coordinate), max_size=6))
def test_points_come_back(matrix: Matrix, points: list[tuple[float, float]]) -> None:
    xy = np.array(points, np.float32).reshape(-1, 2)
    there = warp_points(xy, matrix)
    assert there.dtype == np.float32
    assert there.shape == xy.shape
    np.testing.assert_allclose(warp_points(there, invert(matrix)), xy, atol=0.02)


@given(upright(), some_boxes())
def test_boxes_come_back_exactly_where_axes_are_kept(matrix: Matrix, boxes: np.ndarray) -> None:
    assert keeps_axes(matrix)
    there = warp_boxes(boxes, matrix)
    assert (there[:, 2:] >= there[:, :2]).all()
    np.testing.assert_allclose(warp_boxes(there, invert(matrix)), boxes, atol=0.02)


@given(affine(), some_boxes())
def test_boxes_are_those_of_the_four_corners(matrix: Matrix, boxes: np.ndarray) -> None:
    corners = warp_points(boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2), matrix)
    expected = np.concatenate([corners.min(1), corners.max(1)], 1)
    there = warp_boxes(boxes, matrix)
    assert there.dtype == np.float32
    np.testing.assert_allclose(there, expected, rtol=1e-5, atol=1e-3)
    back = warp_boxes(there, invert(matrix))
    assert (back[:, :2] <= boxes[:, :2] + 0.02).all()
    assert (back[:, 2:] >= boxes[:, 2:] - 0.02).all()


@given(affine())
def test_bounds_are_the_box_of_the_whole(matrix: Matrix) -> None:
    np.testing.assert_allclose(
        bounds((200, 100), matrix), warp_boxes([[0, 0, 200, 100]], matrix)[0], rtol=1e-5, atol=1e-3
    )


def test_no_boxes() -> None:
    assert warp_boxes(np.zeros((0, 4)), scaling(2)).shape == (0, 4)
    assert clip_to([], (0, 0, 10, 10)).shape == (0, 4)


def test_boxes_are_cut_off_at_the_edges() -> None:
    found = clip_to([[-5, 2, 50, 30], [1, 2, 3, 4], [30, 2, 40, 4]], (0, 0, 20, 10))
    assert found.tolist() == [[0, 2, 20, 10], [1, 2, 3, 4], [20, 2, 20, 4]]


@given(st.lists(st.tuples(st.floats(-30, 60), st.floats(-30, 60)), min_size=3, max_size=8))
@settings(max_examples=60)
def test_a_clipped_polygon_covers_what_of_it_is_inside(corners: list[tuple[float, float]]) -> None:
    def drawn(polygon: np.ndarray) -> np.ndarray:
        # Even-odd at the centres of a fine grid, by hand.
        xs, ys = np.meshgrid(np.arange(0.25, 20, 0.5) + 0.0123, np.arange(0.25, 12, 0.5) + 0.0321)
        inside = np.zeros(xs.shape, bool)
        for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
            if ay != by:
                inside ^= ((ay > ys) != (by > ys)) & (xs < (bx - ax) * (ys - ay) / (by - ay) + ax)
        return inside

    polygon = np.float32(corners)
    clipped = clip_polygon(polygon, (0, 0, 20, 12))
    assert clipped.dtype == np.float32
    if len(clipped):
        assert clipped.min() >= 0
        assert (clipped.max(0) <= [20, 12]).all()
    differs = drawn(clipped.astype(float)) != drawn(polygon.astype(float))
    assert differs.mean() < 0.01


def test_frame() -> None:
    frame = Frame(letterbox((200, 100), (320, 320)), 320, 320, 200, 100)
    assert bounds((200, 100), frame.matrix) == (0, 80, 320, 240)
    assert not frame.reflects
    np.testing.assert_allclose(frame.inverse @ frame.matrix, np.eye(3), atol=1e-12)
    tile = Frame(scaling(2) @ reflection(200), 320, 320, 200, 100, clip=(10, 20, 100, 300))
    assert tile.reflects
    assert tile.window == (10, 20, 100, 300)
    assert pickle.loads(pickle.dumps(tile)).clip == tile.clip


# --- pixels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, 2), (-4, 1), (5, -7), (100, 0)])
def test_whole_pixel_shifts_are_exact(dx: int, dy: int) -> None:
    image = RNG.integers(0, 256, (20, 30, 3), np.uint8)
    found = warp_image(image, translation(dx, dy), (24, 28), fill=(1, 2, 3))
    expected = np.full((24, 28, 3), (1, 2, 3), np.uint8)
    for y in range(24):
        for x in range(28):
            if 0 <= y - dy < 20 and 0 <= x - dx < 30:
                expected[y, x] = image[y - dy, x - dx]
    np.testing.assert_array_equal(found, expected)
    mask = warp_mask(image[:, :, 0], translation(dx, dy), (24, 28), void=1)
    np.testing.assert_array_equal(mask, expected[:, :, 0])


def test_mirror_and_quarter_turn_are_exact() -> None:
    image = RNG.integers(0, 256, (20, 30, 3), np.uint8)
    np.testing.assert_array_equal(warp_image(image, reflection(30), (20, 30)), image[:, ::-1])
    np.testing.assert_array_equal(warp_mask(image[:, :, 0], reflection(30), (20, 30)), image[:, ::-1, 0])
    turn = translation(20, 0) @ rotation(90)
    np.testing.assert_array_equal(warp_image(image, turn, (30, 20)), np.rot90(image, -1))
    np.testing.assert_array_equal(warp_mask(image[:, :, 0], turn, (30, 20)), np.rot90(image[:, :, 0], -1))


@pytest.mark.parametrize("factor", [2, 3, 8])
def test_shrinking_by_a_whole_number_averages_blocks(factor: int) -> None:
    image = RNG.integers(0, 256, (16 * factor, 20 * factor, 3), np.uint8)
    found = warp_image(image, scaling(1 / factor), (16, 20))
    expected = image.reshape(16, factor, 20, factor, 3).astype(float).mean((1, 3))
    assert np.abs(found - expected).max() <= 1


def test_enlarging_twice_is_bilinear_without_a_dark_edge() -> None:
    image = RNG.integers(0, 256, (10, 12, 3), np.uint8)
    found = warp_image(image, scaling(2), (20, 24), fill=(0, 0, 0))
    expected = cv2.resize(image, (24, 20), interpolation=cv2.INTER_LINEAR)
    assert np.abs(found.astype(int) - expected).max() <= 3
    np.testing.assert_array_equal(
        warp_mask(image[:, :, 0], scaling(2), (20, 24)), image[:, :, 0].repeat(2, 0).repeat(2, 1)
    )


def test_the_letterbox_is_filled_to_its_edges() -> None:
    image = np.full((100, 200, 3), 200, np.uint8)
    found = warp_image(image, letterbox((200, 100), (64, 64)), (64, 64))
    assert (found[16:48] == 200).all()
    assert (found[:16] == 114).all()
    assert (found[48:] == 114).all()


@pytest.mark.parametrize(("dx", "first"), [(0.3, 0), (0.7, 1), (-0.3, 0), (2.5, 2)])
def test_an_image_fills_the_pixels_whose_centres_it_covers(dx: float, first: int) -> None:
    found = warp_image(np.full((4, 10, 3), 200, np.uint8), translation(dx, 0), (4, 20))[0, :, 0]
    last = math.ceil(10 + dx - 0.5)
    assert np.flatnonzero(found == 200).tolist() == list(range(first, last))
    assert np.flatnonzero(found == 114).tolist() == [*range(first), *range(last, 20)]


def test_no_part_of_a_small_image_is_lost_when_it_shrinks() -> None:
    image = np.zeros((29, 29, 3), np.uint8)
    image[:, 20:] = 255
    assert warp_image(image, scaling(0.1), (3, 3))[0, 2, 0] > 100


@pytest.mark.parametrize("matrix", [scaling(2), scaling(0.5), scaling(0.31, 0.47), translation(3.3, -2.6)])
def test_a_bright_spot_goes_where_its_point_goes(matrix: Matrix) -> None:
    image = disc(150, 120, 70.3, 55.8, 9)
    out = (260, 320)
    expected = warp_points([70.3, 55.8], matrix)
    found = centroid(warp_image(rgb(image), matrix, out, fill=(0, 0, 0))[:, :, 0])
    assert np.abs(found - expected).max() < 0.05


@given(
    st.floats(-180, 180), st.floats(0.15, 3), st.floats(0.8, 1.25), st.floats(-0.3, 0.3), st.booleans(),
    st.floats(0, 1), st.floats(0, 1),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_image_mask_and_points_stay_together(
    degrees: float, scale: float, aspect: float, slant: float, mirror: bool, dx: float, dy: float
) -> None:
    centre = np.float32([80.4, 62.7])
    image = disc(160, 130, *centre, 20)
    matrix = rotation(degrees) @ shearing(slant) @ scaling(scale * aspect, scale / aspect)
    matrix = matrix @ reflection(160) if mirror else matrix
    matrix = translation(*(np.array([150 + dx, 140 + dy]) - warp_points(centre, matrix))) @ matrix
    point = warp_points(centre, matrix)
    seen = centroid(warp_image(rgb(image), matrix, (280, 300), fill=(0, 0, 0))[:, :, 1])
    mask = warp_mask((image > 127).astype(np.uint8), matrix, (280, 300), void=0)
    assert np.abs(seen - point).max() < 0.08
    # A mask is made of whole pixels, each of which may be half a pixel off; on the average they aren't (below).
    assert np.abs(centroid(mask) - point).max() < 0.7
    # The two outlines are the same: the centroid alone would not see a wrong scale.
    area = np.pi * 400 * abs(np.linalg.det(matrix))
    assert abs(mask.sum() - area) < 0.08 * area + 8


@pytest.mark.parametrize("turned", [False, True])
def test_masks_are_not_shifted_on_the_average(turned: bool) -> None:
    rng = np.random.default_rng(2)
    mask = (disc(160, 130, 80.4, 62.7, 20) > 127).astype(np.uint8)
    errors = []
    for _ in range(150):
        matrix = rotation(rng.uniform(-180, 180) if turned else 0) @ scaling(rng.uniform(0.5, 2))
        point = warp_points(centroid(mask), matrix)
        matrix = translation(*(rng.uniform(150, 151, 2) - point)) @ matrix
        found = centroid(warp_mask(mask, matrix, (300, 300), void=0))
        errors.append(found - warp_points(centroid(mask), matrix))
    assert np.abs(np.mean(errors, 0)).max() < 0.07


@given(st.floats(-60, 60), st.floats(0.5, 2))
@settings(max_examples=30, deadline=None)
def test_masks_come_back(degrees: float, scale: float) -> None:
    mask = cv2.GaussianBlur(RNG.random((100, 120)), (0, 0), 8)
    classes = (mask > mask.mean()).astype(np.uint8)
    matrix = translation(150, 150) @ rotation(degrees) @ scaling(scale) @ translation(-60, -50)
    there = warp_mask(classes, matrix, (320, 320))
    back = warp_mask(there, invert(matrix), (100, 120))
    assert set(np.unique(there)) <= {0, 1, 255}
    inner = (slice(2, -2), slice(2, -2))
    assert (back == 255)[inner].sum() == 0
    assert (back == classes)[inner].mean() > 0.93


@pytest.mark.parametrize("divisor", [2, 4, 8])
@pytest.mark.parametrize("source", [(160, 120), (157, 121)])
def test_an_image_decoded_smaller_lands_in_the_same_place(divisor: int, source: tuple[int, int]) -> None:
    """``source_wh`` folds in the reduction: whole blocks, of which the last may reach over the edge."""
    width, height = -(-source[0] // divisor), -(-source[1] // divisor)
    whole = disc(width * divisor, height * divisor, 83.3, 61.7, 40)
    reduced = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    matrix = translation(4.3, -2.7) @ scaling(1.5 / divisor)
    found = warp_image(rgb(reduced), matrix, (300, 300), fill=(0, 0, 0), source_wh=source)[:, :, 0]
    assert np.abs(centroid(found) - warp_points([83.3, 61.7], matrix)).max() < 0.05


def test_a_mask_of_another_size_than_its_image_is_fitted() -> None:
    mask = RNG.integers(0, 5, (10, 15), np.uint8)
    found = warp_mask(mask, np.eye(3), (50, 75), source_wh=(75, 50))
    np.testing.assert_array_equal(found, mask.repeat(5, 0).repeat(5, 1))


@pytest.mark.parametrize("turned", [0.0, 20.0])
def test_a_tile_of_a_canvas(turned: float) -> None:
    """Only the pixels inside the rectangle are written, and they are those of the whole warped image."""
    image = RNG.integers(0, 256, (60, 80, 3), np.uint8)
    matrix = translation(10, -5) @ rotation(turned) @ scaling(1.3)
    whole = warp_image(image, matrix, (90, 100), fill=(9, 9, 9))
    canvas = np.full((90, 100, 3), 7, np.uint8)
    back = warp_image(image, matrix, (90, 100), fill=(9, 9, 9), into=canvas, clip=(20, 30, 75, 88))
    assert back is canvas
    expected = np.full((90, 100, 3), 7, np.uint8)
    expected[30:88, 20:75] = whole[30:88, 20:75]
    # A tile starts counting at its own corner: the last bit may fall otherwise.
    assert np.abs(canvas.astype(int) - expected).max() <= 6
    assert (canvas != 7).any(2).sum() == pytest.approx(58 * 55, rel=0.01)
    untouched = np.ones((90, 100), bool)
    untouched[30:88, 20:75] = False
    assert (canvas[untouched] == 7).all()
    mask = warp_mask(image[:, :, 0], matrix, (90, 100), clip=(20, 30, 75, 88))
    assert (mask[untouched] == 255).all()
    whole_mask = warp_mask(image[:, :, 0], matrix, (90, 100))
    assert (mask == whole_mask)[~untouched].mean() > 0.99


@pytest.mark.parametrize("turned", [0.0, 30.0])
def test_an_image_that_lies_outside_leaves_the_fill(turned: float) -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    matrix = translation(500, 500) @ rotation(turned)
    assert (warp_image(image, matrix, (20, 20)) == 114).all()
    assert (warp_mask(image[:, :, 0], matrix, (20, 20)) == 255).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 40_000)])
def test_thin_images(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 200, np.uint8)
    source = (shape[1], shape[0])
    fills = scaling(32 / source[0], 32 / source[1])
    found = warp_image(image, fills, (32, 32))
    assert (found == 200).all()
    assert warp_image(image, letterbox(source, (32, 32)), (32, 32)).shape == (32, 32, 3)
    assert warp_image(image, rotation(3) @ letterbox(source, (32, 32)), (32, 32)).shape == (32, 32, 3)
    assert (warp_mask(image[:, :, 0], fills, (32, 32)) == 200).all()


def test_fine_detail_is_averaged_when_turned_and_shrunk() -> None:
    """A chequerboard of single pixels becomes grey; sampled without averaging it would stay black and white."""
    board = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    matrix = translation(20, 5) @ rotation(12) @ scaling(0.25)
    found = warp_image(rgb(board), matrix, (60, 60))[20:40, 20:40]
    assert np.abs(found.astype(int) - 127).max() <= 3
    assert math.isclose(found.mean(), 127, abs_tol=2)
