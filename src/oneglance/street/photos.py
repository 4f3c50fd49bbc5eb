"""Photos of one thing: of a person who looks at the camera, of a car from any side."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from oneglance.annotations import Instances, Label, Segments
from oneglance.errors import OneglanceError
from oneglance.street import effects
from oneglance.street.backdrop import CAR, CLASSES, PERSON, draw_backdrop
from oneglance.street.bodywork import draw_car
from oneglance.street.camera import Camera
from oneglance.street.canvas import Picture, Stage
from oneglance.street.car import choose_car, turned
from oneglance.street.face import PEOPLE, choose_pose, name_of
from oneglance.street.layout import choose_camera, choose_layout
from oneglance.street.light import choose_light
from oneglance.street.person import HEAD, HEAD_AT, choose_person, draw_person
from oneglance.street.scene import Scene, Thing, labelled

#: Half a face's width in pixels: as in scenes of 256 px drawn with a zoom of 2.
UNIT = (8.0, 16.0)


def draw_portrait(seed: int, size: tuple[int, int], identity: int) -> Scene:
    """A photo of one person on a street out of focus: the same bytes on every call.

    Args:
        seed: which photo.
        size: width and height, at least 64 each: a small one shows head and shoulders, a high one the whole person,
            the face as large in both.
        identity: who, from 0 to ``PEOPLE`` - 1.

    What is said of it is what a scene says: the person and the face, with mask, points and identity.
    """
    if min(size) < 64:
        raise OneglanceError(f"a portrait needs at least 64 x 64 pixels, not {size[0]} x {size[1]}")
    if not 0 <= identity < PEOPLE:
        raise OneglanceError(f"there are {PEOPLE} people, from 0 on; nobody is number {identity}")
    rng = np.random.default_rng((seed, 0x90972A17))
    width, height = size
    light = choose_light(rng)
    layout = choose_layout(rng)
    stage = draw_backdrop(rng, layout, choose_camera(rng, layout, size), light, size)
    stage.image = np.asarray(cv2.GaussianBlur(stage.image, (0, 0), float(rng.uniform(0.6, 2.5))), np.uint8)
    somebody = choose_person(rng, (0.0, 5.0), 0.0, identity, light)
    pose = replace(choose_pose(rng, 0.45), hat=somebody.pose.hat, cloth=somebody.pose.cloth)
    somebody = replace(somebody, pose=pose, umbrella=None, tall=1.7, turn=float(rng.normal(0, 0.3)))
    unit = float(rng.uniform(*UNIT))
    # The camera that sees this head in this place, five metres away.
    tall = unit / HEAD
    middle = (width * (0.5 + rng.normal(0, 0.05)), max(unit * 1.9, min(height * 0.42, 40.0) + rng.normal(0, 2.0)))
    focal = tall / 1.7 * 5
    camera = Camera(focal, 1.6, 0.0, (middle[0], middle[1] + HEAD_AT * tall - focal / 5 * 1.6))
    drawn = draw_person(somebody, camera, size, light)
    if drawn is None or drawn.points is None:
        raise RuntimeError("a face that looks at the camera was not drawn")  # can't be: turn is near 0
    stage.place(drawn.sprite, PERSON, 1, 2, light.veil(5.0))
    image = effects.photograph(rng, effects.precipitate(rng, stage.image, light), light.night)
    name = name_of(identity)
    person = Thing("person", 1, drawn.beyond, identity=name)
    face = Thing("face", 2, drawn.beyond, whole=1, points=drawn.points, identity=name)
    found = [
        labelled(thing, stage, int(np.count_nonzero(numbers == thing.number)))
        for thing, numbers in ((person, stage.owner), (face, stage.part))
    ]
    return Scene(
        np.ascontiguousarray(image), Label(light.weather), Instances(tuple(item for item in found if item is not None)),
        Segments(indices=stage.classes, classes=CLASSES),
    )  # fmt: skip


def draw_car_photo(seed: int, longer: int = 64) -> tuple[Picture, str]:
    """A car, cut out as a detector would: the image, uint8 [H, W, 3], its longer side ``longer`` pixels (at least 32),
    and the name of its colour. The same bytes on every call."""
    if longer < 32:
        raise OneglanceError(f"a photo of a car needs at least 32 pixels, not {longer}")
    rng = np.random.default_rng((seed, 0xCA2))
    light = choose_light(rng)
    layout = choose_layout(rng)
    heading = float(rng.choice([0.0, np.pi, np.pi / 2, -np.pi / 2]) + rng.normal(0, 0.25))
    car = choose_car(rng, (float(rng.uniform(-4, 4)), float(rng.uniform(9, 16))), heading)
    eye = Camera(longer * 8.0, float(rng.uniform(1.4, 2.6)), 0.0, (0.0, 0.0))
    corners = eye.project(
        turned(car, np.array([[x, y, z] for x in (-0.5, 0.5) for y in (0.0, 1.0) for z in (-0.5, 0.5)])
               * (car.shape.width, car.shape.height, car.shape.length))
    )  # fmt: skip
    sides = np.ptp(corners, axis=0) * (1 + rng.uniform(0.0, 0.12, 2))
    zoom = longer / sides.max()
    width, height = (max(16, round(side * zoom)) for side in sides.tolist())
    middle = (corners.min(0) + corners.max(0)) / 2 * zoom
    camera = Camera(eye.focal * zoom, eye.height, 0.0, (width / 2 - middle[0], height / 2 - middle[1]))
    size = (width, height)
    stage = draw_backdrop(rng, layout, choose_camera(rng, layout, (longer, longer)), light, (longer, longer))
    image = np.asarray(cv2.GaussianBlur(stage.image, (0, 0), float(rng.uniform(0.6, 2.5))), np.uint8)
    stage = Stage(np.ascontiguousarray(image[longer - height :, :width]), stage.classes[longer - height :, :width])
    drawn = draw_car(car, camera, size, light)
    if drawn is None:
        raise RuntimeError("a car that the camera looks at was not drawn")  # can't be: it is in the middle
    stage.place(drawn.sprite, CAR, 1, 0, light.veil(car.at[1]))
    made = effects.photograph(rng, effects.precipitate(rng, stage.image, light), light.night)
    return np.ascontiguousarray(made), car.paint
