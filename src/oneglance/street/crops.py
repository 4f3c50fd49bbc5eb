"""Faces and plates close up, as a detector would cut them out: the scenes' own people and cars, drawn large."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from oneglance.annotations import VISIBLE, Points
from oneglance.errors import OneglanceError
from oneglance.street import effects
from oneglance.street.backdrop import draw_backdrop
from oneglance.street.bodywork import draw_car
from oneglance.street.camera import Camera
from oneglance.street.canvas import Array, Picture, Stage
from oneglance.street.car import choose_car, plate_corners
from oneglance.street.face import PEOPLE, choose_pose, name_of
from oneglance.street.layout import choose_camera, choose_layout
from oneglance.street.light import Light, choose_light
from oneglance.street.person import HEAD, HEAD_AT, choose_person, draw_person


@dataclass(frozen=True)
class Crop:
    """A face or a plate close up: ``image`` uint8 [H, W, 3] RGB, its points in its pixels, all of them inside; whose
    face or which car's colour (``name``)."""

    image: Picture
    points: Points
    name: str


def draw_face(seed: int, size: tuple[int, int] = (64, 64), identity: int | None = None) -> Crop:
    """A face: the same bytes on every call.

    Args:
        seed: which picture.
        size: width and height, at least 24 each.
        identity: who, from 0 to ``PEOPLE`` - 1; drawn by the seed where it is None.

    The points are ``face.POINTS``; left and right are the image's. All count as visible, behind glasses too.
    """
    _check(size)
    if identity is not None and not 0 <= identity < PEOPLE:
        raise OneglanceError(f"there are {PEOPLE} people, from 0 on; nobody is number {identity}")
    rng = np.random.default_rng((seed, 0xFACE5))
    who = int(rng.integers(PEOPLE)) if identity is None else identity
    width, height = size
    light = _daylight(choose_light(rng), 0.5)
    stage = _background(rng, light, size)
    somebody = choose_person(rng, (0.0, 5.0), 0.0, who, light)
    pose = replace(choose_pose(rng, 0.62), hat=somebody.pose.hat)
    somebody = replace(somebody, pose=pose, umbrella=None, carries="nothing", tall=1.7, turn=float(rng.normal(0, 0.1)))
    unit = min(width, height) * float(rng.uniform(0.25, 0.34))
    middle = (width * (0.5 + rng.normal(0, 0.035)), height * (0.52 + rng.normal(0, 0.035)))
    # The camera that sees this head in this place, five metres away.
    tall = unit / HEAD
    focal = tall / 1.7 * 5
    foot = middle[1] + HEAD_AT * tall
    camera = Camera(focal, 1.6, 0.0, (middle[0], foot - focal / 5 * 1.6))
    drawn = draw_person(somebody, camera, size, light, fine=4 if max(size) <= 96 else 2)
    if drawn is None or drawn.points is None:
        raise RuntimeError("a face that looks at the camera was not drawn")  # can't be: turn is near 0
    stage.place(drawn.sprite, 0)
    return Crop(_photographed(rng, stage.image, light), _points(drawn.points), name_of(who))


def draw_plate(seed: int, size: tuple[int, int] = (96, 64)) -> Crop:
    """A licence plate on its car: the same bytes on every call.

    Args:
        seed: which picture.
        size: width and height, at least 24 each.

    The points are ``plate.CORNERS``, as one who reads the plate sees them.
    """
    _check(size)
    rng = np.random.default_rng((seed, 0x91A7E))
    width, height = size
    light = _daylight(choose_light(rng), 0.6)
    while True:
        heading = float(rng.choice([0.0, np.pi]) + rng.uniform(-0.75, 0.75))
        car = choose_car(rng, (float(rng.uniform(-2.5, 2.5)), 12.0), heading)
        side = max(width, height) * 3 // 2
        eye = Camera(1000.0, float(rng.uniform(1.2, 3.4)), 0.0, (0.0, 0.0))
        corners = plate_corners(car, eye)
        if corners is None:
            continue
        wide = float(np.ptp(corners[:, 0]))
        zoom = min(width * rng.uniform(0.5, 0.82) / wide, height * 0.62 / float(np.ptp(corners[:, 1])))
        middle = corners.mean(0) * zoom
        camera = Camera(1000.0 * zoom, eye.height, 0.0, (side / 2 - middle[0], side / 2 - middle[1]))
        drawn = draw_car(car, camera, (side, side), light, fine=3)
        if drawn is None or drawn.points is None:
            continue
        turn = float(rng.normal(0, 4.0))
        matrix = cv2.getRotationMatrix2D((side / 2 - 0.5, side / 2 - 0.5), turn, 1.0)
        shift = (np.array(size) - side) / 2 + rng.normal(0, 0.03, 2) * size
        matrix[:, 2] += shift
        # Pixel centres lie at halves in our coordinates, at whole numbers in OpenCV's.
        points = (drawn.points - 0.5) @ matrix[:, :2].T + matrix[:, 2] + 0.5
        if (points > 1).all() and (points < np.array(size) - 1).all():
            break
    stage = _background(rng, light, (side, side))
    stage.place(drawn.sprite, 0)
    image = cv2.warpAffine(stage.image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return Crop(_photographed(rng, np.asarray(image, np.uint8), light), _points(points), car.paint)


def _check(size: tuple[int, int]) -> None:
    if min(size) < 24:
        raise OneglanceError(f"a crop needs at least 24 x 24 pixels, not {size[0]} x {size[1]}")


def _daylight(light: Light, least: float) -> Light:
    """The light, but bright enough to see a face by: a lamp is near."""
    r, g, b = light.ambient
    mean = (r + g + b) / 3
    if mean >= least:
        return light
    up = least / mean
    return replace(light, ambient=(r * up * 1.08, g * up, b * up * 0.9))


def _background(rng: np.random.Generator, light: Light, size: tuple[int, int]) -> Stage:
    """A street out of focus."""
    layout = choose_layout(rng)
    stage = draw_backdrop(rng, layout, choose_camera(rng, layout, size), light, size)
    stage.image = np.asarray(
        cv2.GaussianBlur(stage.image, (0, 0), min(size) * float(rng.uniform(0.025, 0.06))), np.uint8
    )
    return stage


def _photographed(rng: np.random.Generator, image: Picture, light: Light) -> Picture:
    """Weather, focus, and now and then few pixels, as of something far away."""
    if light.weather in ("rain", "snow") and rng.random() < 0.5:
        image = effects.precipitate(rng, image, light)
    if rng.random() < 0.2:
        height, width = image.shape[:2]
        factor = float(rng.uniform(0.4, 0.75))
        small = cv2.resize(
            image, (max(8, round(width * factor)), max(8, round(height * factor))), interpolation=cv2.INTER_AREA
        )
        image = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.ascontiguousarray(effects.photograph(rng, image, light.night, 0.4))


def _points(xy: Array) -> Points:
    return Points(xy.astype(np.float32), np.full(len(xy), VISIBLE, np.int8))
