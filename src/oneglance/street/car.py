"""Cars: which there are, and where they stand. A car's own axes: x to its right, y up, z ahead."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from oneglance.street.camera import Camera
from oneglance.street.canvas import Array, Colour
from oneglance.street.palette import CAR_PAINTS
from oneglance.street.plate import Plate, choose_plate


@dataclass(frozen=True)
class Shape:
    """A body: metres. ``screen``, ``roof`` (front, rear) and ``rear``: where, along the length from the middle, the
    windscreen starts, the roof lies and the rear window ends."""

    name: str
    length: float
    width: float
    height: float
    belt: float
    bonnet: float
    screen: float
    roof: tuple[float, float]
    rear: float
    boot: float
    wheel: float
    panes: int = 2


SHAPES = (
    Shape("sedan", 4.6, 1.80, 1.46, 0.93, 0.80, 1.05, (0.35, -0.95), -1.60, 0.95, 0.32),
    Shape("hatchback", 4.0, 1.74, 1.50, 0.93, 0.82, 1.10, (0.40, -1.45), -1.88, 0.93, 0.31),
    Shape("suv", 4.6, 1.90, 1.72, 1.06, 0.98, 1.20, (0.55, -1.85), -2.18, 1.05, 0.37),
    Shape("van", 4.9, 1.94, 2.05, 1.10, 1.02, 1.75, (1.10, -2.35), -2.42, 1.10, 0.34, 1),
    Shape("compact", 3.5, 1.64, 1.52, 0.92, 0.84, 1.15, (0.50, -1.30), -1.66, 0.92, 0.29),
    Shape("coupe", 4.4, 1.84, 1.33, 0.86, 0.76, 0.85, (0.10, -0.65), -1.60, 0.88, 0.33),
    Shape("estate", 4.7, 1.80, 1.49, 0.93, 0.81, 1.10, (0.42, -1.85), -2.20, 0.93, 0.32, 3),
)


@dataclass(frozen=True)
class Car:
    """One car and where it stands: ``at`` (x, z) of its middle on the ground, ``heading``: 0 drives away from the
    camera, pi towards it, in radians, turning to the right."""

    shape: Shape
    paint: str
    colour: Colour
    plate: Plate
    at: tuple[float, float]
    heading: float
    taxi: bool = False
    braking: bool = False


def choose_car(rng: np.random.Generator, at: tuple[float, float], heading: float) -> Car:
    """Some car, to stand there."""
    shape = SHAPES[int(rng.integers(len(SHAPES)))]
    paint, colour = CAR_PAINTS[int(rng.integers(len(CAR_PAINTS)))]
    tone = rng.uniform(0.88, 1.08)
    colour = (colour[0] * tone, colour[1] * tone * rng.uniform(0.97, 1.03), colour[2] * tone)
    taxi = bool(rng.random() < 0.06) and shape.name in ("sedan", "estate")
    return Car(shape, paint, colour, choose_plate(rng), at, heading, taxi, bool(rng.random() < 0.35))


def footprint(car: Car, margin: float = 0.0) -> Array:
    """The car's corners on the ground, world [4, 3]."""
    length, width = car.shape.length / 2 + margin, car.shape.width / 2 + margin
    corners = np.array([[-width, 0, length], [width, 0, length], [width, 0, -length], [-width, 0, -length]])
    return turned(car, corners)


def nearest(car: Car) -> float:
    """Distance of the car's nearest point."""
    return float(footprint(car)[:, 2].min())


def turned(car: Car, local: Array) -> Array:
    """Points of the car's own axes in the world, [N, 3]."""
    cos, sin = math.cos(car.heading), math.sin(car.heading)
    turn = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
    return np.asarray(local @ turn + (car.at[0], 0.0, car.at[1]))


def eye_of(car: Car, camera: Camera) -> tuple[float, float, float]:
    """Where the camera is in the car's own axes."""
    cos, sin = math.cos(car.heading), math.sin(car.heading)
    dx, dz = camera.x - car.at[0], -car.at[1]
    return dx * cos - dz * sin, camera.height, dx * sin + dz * cos


def plate_corners(car: Car, camera: Camera) -> Array | None:
    """Where the licence plate is seen, [4, 2] in the order of ``plate.CORNERS``, None where neither end is."""
    half, along = car.shape.length / 2, eye_of(car, camera)[2]
    w, h = car.plate.metres[0] / 2, car.plate.metres[1] / 2
    if along > half:
        z, y, x = half + 0.02, 0.40, w
    elif along < -half:
        z, y, x = -half - 0.02, 0.60 if car.shape.boot > 0.9 else 0.36, -w
    else:
        return None
    local = np.array([[x, y + h, z], [-x, y + h, z], [-x, y - h, z], [x, y - h, z]])
    return camera.project(turned(car, local))
