"""Faces and plates close up."""

import cv2
import numpy as np
import pytest

from oneglance.annotations import VISIBLE
from oneglance.errors import OneglanceError
from oneglance.street import draw_face, draw_plate
from oneglance.street.face import looks_of


def test_the_same_seed_gives_the_same_crop() -> None:
    for draw in (draw_face, draw_plate):
        one, two, other = draw(5), draw(5), draw(6)
        assert np.array_equal(one.image, two.image)
        assert np.array_equal(one.points.xy, two.points.xy)
        assert not np.array_equal(one.image, other.image)


def test_points_lie_inside_and_in_order() -> None:
    for seed in range(30):
        face, plate = draw_face(seed), draw_plate(seed)
        assert face.image.shape == (64, 64, 3)
        assert plate.image.shape == (64, 96, 3)
        for crop, (width, height) in ((face, (64, 64)), (plate, (96, 64))):
            assert (crop.points.visibility == VISIBLE).all()
            assert (crop.points.xy > 0).all()
            assert (crop.points.xy < (width, height)).all()
        left, right, nose, mouth, _ = face.points.xy
        assert left[0] < right[0]
        assert max(left[1], right[1]) < nose[1] < mouth[1]
        assert float(cv2.contourArea(plate.points.xy, True)) > 60  # clockwise as seen, y downwards


def test_a_plate_is_where_its_corners_say() -> None:
    """By daylight, what the corners span is not what lies round it."""
    differ = []
    for seed in range(30):
        crop = draw_plate(seed)
        inside = np.zeros(crop.image.shape[:2], np.uint8)
        cv2.fillPoly(inside, [np.round(crop.points.xy - 0.5).astype(np.int32)], 1)
        rim = cv2.erode(inside, np.ones((3, 3))) == 0
        ring = (cv2.dilate(inside, np.ones((7, 7))) > 0) & (cv2.dilate(inside, np.ones((3, 3))) == 0) & rim
        differ.append(np.abs(np.median(crop.image[inside > 0], 0) - np.median(crop.image[ring], 0)).max())
    assert np.median(differ) > 50


def test_an_identity_decides_the_looks() -> None:
    assert looks_of(3) == looks_of(3) != looks_of(4)
    assert draw_face(0, identity=3).name == draw_face(1, identity=3).name == "person_003"
    with pytest.raises(OneglanceError, match="5000"):
        draw_face(0, identity=5000)
    with pytest.raises(OneglanceError, match="24"):
        draw_plate(0, (96, 8))
