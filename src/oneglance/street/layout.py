"""What stands where on a street, in metres: roads, pavements, cars in their lanes, people on their feet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from oneglance.street.camera import Camera
from oneglance.street.car import Car, choose_car, nearest
from oneglance.street.face import PEOPLE, looks_of
from oneglance.street.light import Light
from oneglance.street.person import Person, choose_person

#: Width of a lane, and of the row of parked cars.
LANE, PARKING = 3.1, 2.2


@dataclass(frozen=True)
class Layout:
    """A street: half the width of its road and how much of it is for parking (left, right); the pavements' width; where
    the fronts of the houses stand; a crossing street (start, end along z) or none; a park on the left or right; where
    the street ends."""

    lanes: int
    road: float
    parking: tuple[bool, bool]
    pavement: float
    crossing: tuple[float, float] | None
    park: tuple[bool, bool]
    end: float

    @property
    def front(self) -> float:
        """Distance of the house fronts from the middle of the road."""
        return self.road + self.pavement

    def edge(self, side: int) -> float:
        """Where the driven part of the road ends on a side (-1 left, 1 right), as a distance from the middle."""
        return self.lanes * LANE


def choose_layout(rng: np.random.Generator) -> Layout:
    """Some street."""
    lanes = 1 if rng.random() < 0.8 else 2
    parking = (bool(rng.random() < 0.5), bool(rng.random() < 0.5))
    road = lanes * LANE + (PARKING if any(parking) else 0.4)
    start = rng.uniform(9, 26)
    crossing = (start, start + rng.uniform(6, 9)) if rng.random() < 0.45 else None
    park = (False, False)
    if rng.random() < 0.3:
        park = (True, False) if rng.random() < 0.5 else (False, True)
    return Layout(lanes, road, parking, rng.uniform(2.4, 4.6), crossing, park, rng.uniform(60, 130))


def choose_camera(rng: np.random.Generator, layout: Layout, size: tuple[int, int]) -> Camera:
    """Where the picture is taken from: a car in the right lane, the pavement, or somewhat higher."""
    width, height = size
    unit = float(np.sqrt(width * height))
    kind = rng.random()
    if kind < 0.52:  # a car's
        x, tall = LANE / 2 + rng.uniform(-0.6, 0.6), rng.uniform(1.45, 2.3)
    elif kind < 0.85:  # somebody's who stands at the kerb
        x, tall = rng.choice([-1, 1]) * (layout.road + rng.uniform(-0.4, 0.45) * layout.pavement), rng.uniform(1.5, 1.9)
    else:  # a mast's
        x, tall = rng.uniform(-1, 1) * layout.road, rng.uniform(2.8, 4.2)
    aim = -float(x) / (layout.road + 4) * 0.12
    centre = (width * (0.5 + aim + rng.uniform(-0.12, 0.12)), height * rng.uniform(0.40, 0.53))
    return Camera(unit * rng.uniform(1.35, 2.0), float(tall), float(x), centre)


def place_cars(rng: np.random.Generator, layout: Layout, camera: Camera) -> list[Car]:
    """Cars in their lanes, parked at the kerb, and on the crossing street; none into another."""
    cars: list[Car] = []
    first = 3.0 + camera.height * 0.9
    if rng.random() < 0.06:
        return cars
    for lane in range(layout.lanes):
        for side, heading in ((1, 0.0), (-1, np.pi)):
            x = side * (lane + 0.5) * LANE
            z = first + rng.exponential(7.0) + 1.5
            while z < 40:
                if rng.random() < 0.72 and not _in_crossing(layout, z, 3):
                    sway = (x + rng.uniform(-0.35, 0.35), z)
                    cars.append(choose_car(rng, sway, float(heading + rng.normal(0, 0.03))))
                z += rng.uniform(7, 11) + rng.exponential(11.0)
    for side, there in zip((-1, 1), layout.parking, strict=True):
        if not there:
            continue
        z = rng.uniform(1, 7)
        while z < 30:
            if rng.random() < 0.6 and not _in_crossing(layout, z, 5):
                heading = rng.normal(0, 0.03) + (0.0 if side > 0 or rng.random() < 0.3 else np.pi)
                cars.append(
                    choose_car(rng, (side * (layout.road - PARKING / 2 + rng.uniform(-0.1, 0.1)), z), float(heading))
                )
            z += rng.uniform(5.6, 7.2)
    if layout.crossing is not None:
        near, far = layout.crossing
        for z, heading in ((near + (far - near) * 0.28, np.pi / 2), (near + (far - near) * 0.76, -np.pi / 2)):
            x = rng.uniform(-14, -6)
            while x < 16:
                if rng.random() < 0.45:
                    cars.append(choose_car(rng, (x, float(z)), float(heading + rng.normal(0, 0.04))))
                x += rng.uniform(6.5, 12)
    return [
        car for car in cars if nearest(car) > first * 0.55 or (abs(car.at[0] - camera.x) > 2.6 and nearest(car) > 1.2)
    ]


def place_people(
    rng: np.random.Generator, layout: Layout, camera: Camera, light: Light, cars: list[Car]
) -> list[Person]:
    """People on the pavements, some close by, some before the camera where no car stands."""
    people: list[Person] = []
    reach = 0.92 * camera.centre[0]
    if rng.random() < 0.08:
        return people
    for _ in range(int(rng.integers(2, 6))):
        side = int(rng.choice([-1, 1]))
        x = side * (layout.road + rng.uniform(0.18, 0.85) * layout.pavement)
        z = float(np.exp(rng.uniform(np.log(2.4), np.log(10))))
        # As near as can be seen; farther off where the pavement would be beside the picture.
        z = max(z, abs(x - camera.x) * camera.focal / reach * float(rng.uniform(1.0, 1.4)))
        turn = float(rng.choice([0.0, 0.0, 0.0, np.pi]) + rng.normal(0, 0.35))
        people.append(choose_person(rng, (float(x), z), turn, int(rng.integers(PEOPLE)), light))
    for _ in range(int(rng.integers(1, 5))):
        z = rng.uniform(4.2, 9)
        if layout.crossing is not None and rng.random() < 0.3:
            z = layout.crossing[0] - rng.uniform(1.2, 2.6)
        widest = layout.road + 0.85 * layout.pavement
        x = float(np.clip(camera.x + rng.uniform(-1, 1) * z * reach / camera.focal, -widest, widest))
        if any(abs(car.at[0] - x) < 1.6 and abs(car.at[1] - z) < 3.2 for car in cars):
            continue
        turn = float(rng.choice([-1, 1]) * rng.uniform(0.5, 1.25))
        people.append(choose_person(rng, (float(x), float(z)), turn, int(rng.integers(PEOPLE)), light))
    return people


def played_by(people: list[Person], cast: Sequence[int]) -> list[Person]:
    """The same people in the same places, but for who they are: members of a cast, none twice while there are others.

    Whoever a person was decides who of the cast it is, so that nothing is drawn at random.
    """
    free: list[int] = []
    played = []
    for person in people:
        free = free or list(cast)
        who = free.pop(person.identity % len(free))
        played.append(replace(person, identity=who, looks=looks_of(who)))
    return played


def _in_crossing(layout: Layout, z: float, margin: float) -> bool:
    return layout.crossing is not None and layout.crossing[0] - margin < z < layout.crossing[1] + margin
