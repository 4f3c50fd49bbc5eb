"""Photos of one thing: of a person who looks at the camera, of a car from any side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from oneglance.street.light import Light, choose_light
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
    return _scene(image, light, stage, (person, face))


def draw_car_photo(seed: int, longer: int = 64) -> Scene:
    """A car, cut out as a detector would, its longer side ``longer`` pixels (at least 32). The same bytes on every
    call. What is said of it is what a scene says: the car with its colour, and its plate where one is seen."""
    rng = np.random.default_rng((seed, 0xCA2))
    headings = (0.0, np.pi, np.pi / 2, -np.pi / 2)
    return _draw_car(rng, longer, headings, 0.25, lambda: (1 + rng.uniform(0.0, 0.12, 2), np.zeros(2)))


def draw_parked_car(seed: int, longer: int = 96) -> Scene:
    """A car from the front or from behind with some of what is round it; as :func:`draw_car_photo` otherwise."""
    rng = np.random.default_rng((seed, 0xCA3))

    def room() -> tuple[np.ndarray, np.ndarray]:
        around = 1 + rng.uniform(0.05, 0.6, 2)
        return around, (around - 1) * rng.uniform(-0.4, 0.4, 2)

    return _draw_car(rng, longer, (0.0, np.pi), 0.35, room)


def _draw_car(
    rng: np.random.Generator,
    longer: int,
    headings: tuple[float, ...],
    spread: float,
    room: Callable[[], tuple[np.ndarray, np.ndarray]],
) -> Scene:
    """``room``: the picture's width and height in those of the car, and how far its middle is from the car's."""
    if longer < 32:
        raise OneglanceError(f"a photo of a car needs at least 32 pixels, not {longer}")
    light = choose_light(rng)
    layout = choose_layout(rng)
    heading = float(rng.choice(headings) + rng.normal(0, spread))
    car = choose_car(rng, (float(rng.uniform(-4, 4)), float(rng.uniform(9, 16))), heading)
    eye = Camera(longer * 8.0, float(rng.uniform(1.4, 2.6)), 0.0, (0.0, 0.0))
    corners = eye.project(
        turned(car, np.array([[x, y, z] for x in (-0.5, 0.5) for y in (0.0, 1.0) for z in (-0.5, 0.5)])
               * (car.shape.width, car.shape.height, car.shape.length))
    )  # fmt: skip
    around, beside = room()
    sides = np.ptp(corners, axis=0) * around
    zoom = longer / sides.max()
    width, height = (max(16, round(side * zoom)) for side in sides.tolist())
    middle = ((corners.min(0) + corners.max(0)) / 2 + beside * np.ptp(corners, axis=0)) * zoom
    camera = Camera(eye.focal * zoom, eye.height, 0.0, (width / 2 - middle[0], height / 2 - middle[1]))
    size = (width, height)
    stage = draw_backdrop(rng, layout, choose_camera(rng, layout, (longer, longer)), light, (longer, longer))
    image = np.asarray(cv2.GaussianBlur(stage.image, (0, 0), float(rng.uniform(0.6, 2.5))), np.uint8)
    stage = Stage(np.ascontiguousarray(image[longer - height :, :width]), stage.classes[longer - height :, :width])
    drawn = draw_car(car, camera, size, light)
    if drawn is None:
        raise RuntimeError("a car that the camera looks at was not drawn")  # can't be: it is in the middle
    things = [Thing("car", 1, drawn.beyond, attributes={"colour": car.paint, "body": car.shape.name})]
    if drawn.points is not None:
        things.append(Thing("plate", 2, drawn.beyond, whole=1, points=drawn.points))
    stage.place(drawn.sprite, CAR, 1, len(things) if len(things) > 1 else 0, light.veil(car.at[1]))
    made = effects.photograph(rng, effects.precipitate(rng, stage.image, light), light.night)
    return _scene(made, light, stage, things)


def _scene(image: Picture, light: Light, stage: Stage, things: Sequence[Thing]) -> Scene:
    found = [
        labelled(thing, stage, int(np.count_nonzero((stage.part if thing.whole else stage.owner) == thing.number)))
        for thing in things
    ]
    return Scene(
        np.ascontiguousarray(image), Label(light.weather), Instances(tuple(item for item in found if item is not None)),
        Segments(indices=stage.classes, classes=CLASSES),
    )  # fmt: skip
