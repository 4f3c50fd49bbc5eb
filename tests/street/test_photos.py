"""Photos of one person, and of one car."""

import numpy as np
import pytest

from oneglance.annotations import VISIBLE
from oneglance.errors import OneglanceError
from oneglance.formats import rle
from oneglance.street.bodywork import draw_car
from oneglance.street.camera import Camera
from oneglance.street.car import choose_car
from oneglance.street.light import Light
from oneglance.street.objects import COLOURS
from oneglance.street.palette import CAR_PAINTS
from oneglance.street.photos import UNIT, draw_car_photo, draw_parked_car, draw_portrait


def test_the_same_seed_gives_the_same_photo() -> None:
    assert np.array_equal(draw_portrait(3, (64, 64), 5).image, draw_portrait(3, (64, 64), 5).image)
    assert not np.array_equal(draw_portrait(3, (64, 64), 5).image, draw_portrait(4, (64, 64), 5).image)
    for draw in (draw_car_photo, draw_parked_car):
        assert np.array_equal(draw(3).image, draw(3).image)
        assert not np.array_equal(draw(3).image, draw(4).image)


def test_a_portrait_shows_one_person_and_says_where_the_face_is() -> None:
    for seed in range(30):
        for size in ((64, 64), (192, 256)):
            scene = draw_portrait(seed, size, seed)
            assert scene.image.shape == (size[1], size[0], 3)
            person, face = scene.objects.items
            assert (person.label, face.label) == ("person", "face")
            assert person.identity == face.identity == f"person_{seed:03d}"
            assert person.rle is not None
            assert face.rle is not None
            assert face.points is not None
            assert face.box is not None
            whole, part = rle.decode(person.rle), rle.decode(face.rle)
            assert not (part & ~whole).any()
            rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
            assert face.box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            assert (face.points.visibility == VISIBLE).mean() > 0.5
            # Every size shows faces as large as scenes do.
            assert 1.5 * UNIT[0] < face.box[2] - face.box[0] < 2.5 * UNIT[1]


def test_a_person_looks_the_same_in_all_photos() -> None:
    """By the hue of the face: of one person's photos it differs less than between people."""
    people = (0, 3, 8, 11)
    hues = np.zeros((len(people), 6, 2))
    for k, who in enumerate(people):
        for n in range(6):
            scene = draw_portrait(100 * who + n, (96, 96), who)
            face = scene.objects.items[1]
            assert face.rle is not None
            skin = np.median(scene.image[rle.decode(face.rle)].astype(float), 0)
            hues[k, n] = skin[:2] / skin.sum()
    within = np.linalg.norm(hues - hues.mean(1, keepdims=True), axis=-1).mean()
    between = np.linalg.norm(hues.mean(1) - hues.mean((0, 1)), axis=-1).mean()
    assert between > within / 2  # the light differs from photo to photo as well
    assert draw_portrait(7, (64, 64), 3).objects.items[1].identity == "person_003"


def test_the_colour_of_a_car_is_that_of_its_paint() -> None:
    """What is said is the colour of the palette that is nearest to the painted pixels, by neutral light."""
    neutral = Light(
        "clear", (1.0, 1.0, 1.0), np.array([0.0, 1.0, 0.0]), 0.0, ((0, 0, 0), 0.0), (90, 130, 200), (200, 210, 230),
        (0.0, (255, 255, 255)),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    right = []
    for _ in range(80):
        car = choose_car(rng, (0.0, 8.0), float(rng.choice([0.6, 1.2, 2.2, -0.7])))
        drawn = draw_car(car, Camera(300.0, 1.6, 0.0, (64.0, 40.0)), (128, 128), neutral)
        assert drawn is not None
        colours, coverage = drawn.sprite.reduced()
        painted = colours[coverage == 255].astype(float)
        # Sides face the light by so much: see Light.facing.
        names = [
            CAR_PAINTS[int(np.linalg.norm(np.array([paint for _, paint in CAR_PAINTS]) - colour, axis=1).argmin())][0]
            for colour in _most_frequent(painted) / 0.78
        ]
        assert car.paint in COLOURS
        right.append(car.paint in names)
    assert np.mean(right) > 0.95  # a dull white is a silver


def _most_frequent(pixels: np.ndarray) -> np.ndarray:
    values, counts = np.unique(pixels.round(), axis=0, return_counts=True)
    return np.asarray(values[np.argsort(-counts)[:3]])


def test_a_photo_of_a_car_is_as_large_as_asked() -> None:
    for seed in range(30):
        photo = draw_car_photo(seed, 48)
        assert max(photo.image.shape[:2]) == 48
        assert min(photo.image.shape[:2]) >= 16
        car = photo.objects.items[0]
        assert car.label == "car"
        assert car.attributes["colour"] in COLOURS


def test_a_parked_car_shows_its_plate_and_lies_within_the_picture() -> None:
    plates = 0
    for seed in range(40):
        photo = draw_parked_car(seed, 96)
        assert max(photo.image.shape[:2]) == 96
        car, *rest = photo.objects.items
        assert car.label == "car"
        assert not car.truncated or car.box is not None
        for plate in rest:
            assert plate.label == "plate"
            assert plate.points is not None
            assert (plate.box[:2] >= car.box[:2] - 1).all()
            assert (plate.box[2:] <= car.box[2:] + 1).all()
            plates += bool(plate.box[2] - plate.box[0] >= 12)
    assert plates >= 25


def test_what_can_not_be_drawn_is_refused() -> None:
    with pytest.raises(OneglanceError, match="64"):
        draw_portrait(0, (64, 32), 0)
    with pytest.raises(OneglanceError, match="nobody is number 5000"):
        draw_portrait(0, (64, 64), 5000)
    with pytest.raises(OneglanceError, match="32"):
        draw_car_photo(0, 8)
