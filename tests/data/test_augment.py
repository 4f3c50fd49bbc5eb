"""augment: the settings, and what is drawn from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from oneglance.data.augment import AugmentSettings, draw_matrix, mosaic_frames
from oneglance.data.geometry import Frame, Matrix, bounds, clip_to, is_reflection, keeps_axes, letterbox, warp_boxes

SIZE = (320, 256)
SOURCE = (600, 400)


def drawn(n: int = 300, may_flip: bool = True, source: tuple[int, int] = SOURCE, **about: object) -> list[Matrix]:
    chosen = AugmentSettings(**(AugmentSettings.none().model_dump() | about))
    rng = np.random.default_rng(0)
    return [draw_matrix(rng, chosen, source, SIZE, may_flip) for _ in range(n)]


def areas(matrices: list[Matrix], source: tuple[int, int] = SOURCE) -> np.ndarray:
    """Where the images lie, x1 y1 x2 y2, [N, 4]."""
    return np.concatenate([warp_boxes([[0, 0, *source]], matrix) for matrix in matrices])


def test_every_setting_is_documented() -> None:
    assert all(field.description for field in AugmentSettings.model_fields.values())


@pytest.mark.parametrize(
    "wrong",
    [{"flips": 1}, {"flip": 2}, {"scale": (0, 1)}, {"scale": (2, 1)}, {"scale": (1, float("inf"))}, {"aspect": 0.5}],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AugmentSettings(**wrong)


def test_no_variation_is_the_letterbox() -> None:
    for matrix in drawn(5):
        np.testing.assert_allclose(matrix, letterbox(SOURCE, SIZE), atol=1e-4)


def test_the_generator_decides_everything() -> None:
    chosen = AugmentSettings(rotate=10, shear=5, aspect=1.2)
    one, two, other = (draw_matrix(np.random.default_rng([7, seed]), chosen, SOURCE, SIZE, True) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).max() > 1e-3


def test_one_setting_leaves_the_draws_of_the_others_alone() -> None:
    still = drawn(20, scale=(0.5, 2))
    turned = drawn(20, scale=(0.5, 2), rotate=30)
    sizes = [np.sqrt(np.linalg.det(m[:2, :2])) for m in still]
    np.testing.assert_allclose([np.sqrt(np.linalg.det(m[:2, :2])) for m in turned], sizes)


def test_flips_come_as_often_as_asked_and_only_where_allowed() -> None:
    assert np.mean([is_reflection(m) for m in drawn(1000, flip=0.3)]) == pytest.approx(0.3, abs=0.05)
    assert not any(is_reflection(m) for m in drawn(flip=1, may_flip=False))
    assert all(is_reflection(m) for m in drawn(flip=1))


def test_scale_is_relative_to_what_fits_and_even_on_a_log_scale() -> None:
    fits = letterbox(SOURCE, SIZE)[0, 0]
    scales = np.array([m[0, 0] / fits for m in drawn(2000, scale=(0.5, 2))])
    assert scales.min() >= 0.5
    assert scales.max() <= 2
    assert (scales < 1).mean() == pytest.approx(0.5, abs=0.05)


def test_aspect_changes_both_ways() -> None:
    ratios = np.array([m[0, 0] / m[1, 1] for m in drawn(aspect=1.5)])
    assert ratios.min() == pytest.approx(1 / 1.5, rel=0.02)
    assert ratios.max() == pytest.approx(1.5, rel=0.02)
    assert np.allclose([np.linalg.det(m) for m in drawn(aspect=1.5)], np.linalg.det(letterbox(SOURCE, SIZE)))


def test_rotation_and_shear_stay_within_their_limits() -> None:
    angles = np.degrees([np.arctan2(m[1, 0], m[0, 0]) for m in drawn(rotate=15)])
    assert np.abs(angles).max() <= 15
    assert angles.min() < -13
    assert angles.max() > 13
    slants = np.degrees(np.arctan([m[0, 1] / m[1, 1] for m in drawn(shear=15)]))
    assert np.abs(slants).max() <= 15.001
    assert slants.min() < -13
    assert slants.max() > 13
    assert all(keeps_axes(m) for m in drawn(20, scale=(0.5, 2), flip=0.5, aspect=2, translate=1))


def test_a_small_image_lies_anywhere_inside_and_a_large_one_covers() -> None:
    small = areas(drawn(500, scale=(0.5, 0.5), translate=1))
    assert (small[:, :2] >= -0.01).all()
    assert (small[:, 2:] <= np.float32([256.01, 320.01])).all()
    assert small[:, 0].min() < 5
    assert small[:, 2].max() > 251
    large = areas(drawn(500, scale=(3, 3), translate=1))
    assert (large[:, :2] <= 0.01).all()
    assert (large[:, 2:] >= np.float32([255.99, 319.99])).all()
    assert large[:, 0].max() > -10
    centred = areas(drawn(20, scale=(0.5, 2)))
    np.testing.assert_allclose((centred[:, :2] + centred[:, 2:]) / 2, [[128, 160]] * 20, atol=0.01)
    turned = areas(drawn(20, rotate=40, flip=0.5))
    np.testing.assert_allclose((turned[:, :2] + turned[:, 2:]) / 2, [[128, 160]] * 20, atol=0.01)
    half = areas(drawn(500, scale=(0.5, 0.5), translate=0.5))
    assert half[:, 0].min() == pytest.approx(32, abs=2)


@given(
    st.integers(0, 2**31),
    st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), min_size=4, max_size=4),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_a_mosaic_has_four_tiles_that_share_the_input(seed: int, sizes: list[tuple[int, int]], may_flip: bool) -> None:
    rng = np.random.default_rng(seed)
    frames = mosaic_frames(rng, AugmentSettings(rotate=10), sizes, SIZE, may_flip)
    covered = np.zeros(SIZE, int)
    for frame, (width, height) in zip(frames, sizes, strict=True):
        assert frame.clip is not None
        x1, y1, x2, y2 = frame.clip
        covered[y1:y2, x1:x2] += 1
        assert (frame.width, frame.height) == (SIZE[1], SIZE[0])
        assert (frame.source_width, frame.source_height) == (width, height)
        assert np.isfinite(frame.matrix).all()
        seen = shown_box(frame)
        assert (seen[2:] > seen[:2]).all()
        assert may_flip or not frame.reflects
    assert (covered == 1).all()


def shown_box(frame: Frame) -> np.ndarray:
    """Where the image lies in the input, as far as it is seen."""
    return clip_to([bounds((frame.source_width, frame.source_height), frame.matrix)], frame.window)[0]


def test_images_of_a_mosaic_fill_their_tiles() -> None:
    chosen = AugmentSettings.none()
    for seed in range(20):
        for frame in mosaic_frames(np.random.default_rng(seed), chosen, [SOURCE] * 4, SIZE, True):
            tile = np.float32(frame.clip)
            shown = np.prod(shown_box(frame)[2:] - shown_box(frame)[:2]) / np.prod(tile[2:] - tile[:2])
            assert shown > 0.5
            assert frame.matrix[0, 0] < 2 * letterbox(SOURCE, SIZE)[0, 0]


def test_a_mosaic_is_of_four() -> None:
    with pytest.raises(ValueError, match="4 images"):
        mosaic_frames(np.random.default_rng(0), AugmentSettings(), [SOURCE] * 3, SIZE, True)
