"""Cars: low bodies of a few dozen faces, seen in true perspective from every side.

A car's own axes: x to its left... see ``_turned``; y up, z ahead. Its lower body is a profile drawn out across its
width and narrowed at both ends; its cabin stands on it. Both are convex as seen from above the belt, so that culling
what faces away and drawing body, cabin, in this order, needs no depth buffer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from oneglance.street.camera import Camera
from oneglance.street.canvas import Array, Colour, Sprite, mix, scaled, unit_circle, window_of
from oneglance.street.light import Light
from oneglance.street.palette import CAR_PAINTS
from oneglance.street.plate import Plate, choose_plate, put_plate


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


@dataclass
class Drawn:
    """What came of drawing a thing: its sprite, the image points that matter, lamps (place, radius, colour)."""

    sprite: Sprite
    points: Array | None = None
    lamps: list[tuple[tuple[float, float], float, Colour]] = field(default_factory=list)
    beyond: bool = False
    ground: float = 0.0


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
    return _turned(car, corners)


def nearest(car: Car) -> float:
    """Distance of the car's nearest point."""
    return float(footprint(car)[:, 2].min())


def draw_car(car: Car, camera: Camera, size: tuple[int, int], light: Light, fine: int | None = None) -> Drawn | None:
    """Draw a car; None where it is not in the image (width, height).

    ``points`` of what comes back: the corners of the plate that is seen, [4, 2], where one is.
    """
    shape = car.shape
    bounds = np.concatenate([footprint(car), footprint(car) + (0, shape.height, 0)])
    flat = camera.project(bounds)
    window = window_of(flat, size)
    if window is None:
        return None
    big = max(window[2] - window[0], window[3] - window[1])
    sprite = Sprite(window, fine or (4 if big < 40 else 3 if big < 110 else 2))
    pen = _Pen(car, camera, sprite, light)
    pen.body()
    (left, top), (right, bottom) = flat.min(0), flat.max(0)
    beyond = bool(left < 0 or top < 0 or right > size[0] or bottom > size[1])
    return Drawn(sprite, pen.plate, pen.lamps, beyond, float(bottom))


def _turned(car: Car, local: Array) -> Array:
    """Points of the car's own axes (x to its right, y up, z ahead) in the world."""
    cos, sin = math.cos(car.heading), math.sin(car.heading)
    turn = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
    return np.asarray(local @ turn + (car.at[0], 0.0, car.at[1]))


def _eye(car: Car, camera: Camera) -> tuple[float, float, float]:
    """Where the camera is in the car's own axes."""
    cos, sin = math.cos(car.heading), math.sin(car.heading)
    dx, dz = camera.x - car.at[0], -car.at[1]
    return dx * cos - dz * sin, camera.height, dx * sin + dz * cos


def plate_corners(car: Car, camera: Camera) -> Array | None:
    """Where the licence plate is seen, [4, 2] in the order of ``plate.CORNERS``, None where neither end is."""
    half, along = car.shape.length / 2, _eye(car, camera)[2]
    w, h = car.plate.metres[0] / 2, car.plate.metres[1] / 2
    if along > half:
        z, y, x = half + 0.02, 0.40, w
    elif along < -half:
        z, y, x = -half - 0.02, 0.60 if car.shape.boot > 0.9 else 0.36, -w
    else:
        return None
    local = np.array([[x, y + h, z], [-x, y + h, z], [-x, y - h, z], [x, y - h, z]])
    return camera.project(_turned(car, local))


class _Pen:
    """Collects a car's faces in its own axes, projects them all at once and fills them in order."""

    def __init__(self, car: Car, camera: Camera, sprite: Sprite, light: Light) -> None:
        self.car, self.camera, self.sprite, self.light = car, camera, sprite, light
        self.shape = car.shape
        self.cos, self.sin = float(np.cos(car.heading)), float(np.sin(car.heading))
        self.corners: list[tuple[float, float, float]] = []
        self.faces: list[tuple[int, Colour]] = []
        self.lamps: list[tuple[tuple[float, float], float, Colour]] = []
        self.plate: Array | None = None
        self.eye = _eye(car, camera)
        self.large = (sprite.window[2] - sprite.window[0]) > 22

    def lit(self, colour: Colour, normal: tuple[float, float, float], gloss: bool = False) -> Colour:
        """A colour on a surface with this normal (own axes)."""
        x, y, z = normal
        turned = (x * self.cos + z * self.sin, y, z * self.cos - x * self.sin)
        made = self.light.on(colour, self.light.facing(turned))
        if gloss and y > 0.3:  # paint that looks up mirrors the sky
            made = mix(made, self.light.zenith if not self.light.night else (30, 34, 56), 0.16 * y)
        if self.light.snow and y > 0.8:
            made = mix(made, self.light.on((244, 247, 252)), 0.86)
        return made

    def add(self, points: list[tuple[float, float, float]], colour: Colour) -> None:
        self.corners += points
        self.faces.append((len(points), colour))

    def flush(self) -> None:
        """Project and fill what was collected."""
        if not self.faces:
            return
        every = self.sprite.fixed(self.camera.project(_turned(self.car, np.array(self.corners))))
        at = 0
        for count, colour in self.faces:
            self.sprite.fill(every[at : at + count], colour)
            at += count
        self.corners.clear()
        self.faces.clear()

    def seen(self, point: tuple[float, float, float], normal: tuple[float, float, float]) -> bool:
        """Whether a surface through the point looks towards the eye."""
        return sum((e - p) * n for e, p, n in zip(self.eye, point, normal, strict=True)) > 0

    def place(self, point: tuple[float, float, float]) -> tuple[float, float]:
        """Where a point of the car is seen."""
        x, y = self.camera.project(_turned(self.car, np.array([point], np.float64)))[0].tolist()
        return x, y

    # -- the parts --------------------------------------------------------------------------------------------------

    def half_width(self, z: float, y: float) -> float:
        """Half the lower body's width: narrower at the ends and a little at the sill."""
        end = abs(z) / (self.shape.length / 2)
        return self.shape.width / 2 * (1 - 0.16 * end**8 - (0.03 if y < 0.35 else 0.0))

    def body(self) -> None:
        shape = self.shape
        half = shape.length / 2
        low = 0.22 if shape.name != "suv" else 0.30
        front = [
            (half - 0.06, low),
            (half, 0.42),
            (half - 0.01, shape.bonnet - 0.16),
            (half - 0.10, shape.bonnet - 0.03),
        ]
        top = [(half - 0.26, shape.bonnet), (shape.screen, shape.belt)]
        back = [
            (shape.rear, shape.belt + 0.02), (-half + 0.12, shape.boot), (-half + 0.02, shape.boot - 0.10),
            (-half, 0.44), (-half + 0.08, low),
        ]  # fmt: skip
        profile = front + top + back
        self.wheels(far=True)
        self.under(low)
        for (z1, y1), (z2, y2) in zip(profile, profile[1:], strict=False):
            length = float(np.hypot(z2 - z1, y2 - y1))
            normal = (0.0, (z1 - z2) / length, (y2 - y1) / length)
            if not self.seen((0.0, y1, z1), normal):
                continue
            a, b = self.half_width(z1, y1), self.half_width(z2, y2)
            face = [(-a, y1, z1), (a, y1, z1), (b, y2, z2), (-b, y2, z2)]
            self.add(face, self.lit(self.car.colour, normal, gloss=True))
        side = 1.0 if self.eye[0] > 0 else -1.0
        shows_side = abs(self.eye[0]) > shape.width / 2
        if shows_side:
            self.flank(profile, side, low)
        self.ends(half, low)
        self.flush()
        self.badge()
        if shows_side:
            self.wheels(far=False)
        self.cabin(side)
        self.flush()

    def under(self, low: float) -> None:
        """The dark below the body, between the wheels."""
        half, width = self.shape.length * 0.36, self.shape.width / 2 - 0.12
        dark = self.light.on((18, 18, 20))
        for z in (half, -half):
            if self.seen((0, 0, z), (0, 0, np.sign(z))):
                self.add([(-width, 0.06, z), (width, 0.06, z), (width, low + 0.1, z), (-width, low + 0.1, z)], dark)
        x = width if self.eye[0] > 0 else -width
        self.add([(x, 0.14, half), (x, low + 0.1, half), (x, low + 0.1, -half), (x, 0.14, -half)], dark)
        self.flush()

    def wheels(self, far: bool) -> None:
        """The tyres of the side away from the eye (and all treads), or the wheels of the side that is seen."""
        shape = self.shape
        side = 1.0 if self.eye[0] > 0 else -1.0
        circle = unit_circle(18).tolist()
        tyre = self.light.on((26, 26, 28))
        for z in (shape.length * 0.305, -shape.length * 0.295):
            outer = side * (shape.width / 2 - 0.005)
            if far:
                for x in (-side * shape.width / 2 * 0.96, side * shape.width / 2 * 0.98):
                    inner = x - np.sign(x) * 0.2
                    r = shape.wheel * 0.98
                    for end in (1.0, -1.0):
                        if self.seen((x, 0, z + r * end * 0.6), (0, 0, end)):
                            at = z + r * 0.7 * end
                            self.add([(x, 0.01, at * 1.0), (inner, 0.01, at), (inner, r, at), (x, r, at)], tyre)
                continue
            ring = [(outer, shape.wheel + c[1] * shape.wheel, z + c[0] * shape.wheel) for c in circle]
            arch = [
                (outer, shape.wheel * 1.1 + c[1] * shape.wheel * 1.17, z + c[0] * shape.wheel * 1.17) for c in circle
            ]
            self.add([p for p in arch if p[1] > shape.wheel * 0.6], self.light.on((20, 20, 23)))
            self.add(ring, tyre)
            rim = self.light.on((168, 171, 176), 0.95)
            hub = [(outer, shape.wheel + c[1] * shape.wheel * 0.64, z + c[0] * shape.wheel * 0.64) for c in circle]
            self.add(hub, rim)
            if self.large:
                dark = self.light.on((84, 86, 90))
                for k in range(5):
                    turn = 2 * np.pi * (k + 0.3) / 5
                    spoke = [
                        (
                            outer,
                            shape.wheel * (1 + 0.56 * np.sin(turn + d) * r),
                            z + shape.wheel * 0.56 * np.cos(turn + d) * r,
                        )
                        for d, r in ((-0.34, 0.98), (0.34, 0.98), (0.0, 0.35))
                    ]
                    self.add(spoke, dark)
        self.flush()

    def flank(self, profile: list[tuple[float, float]], side: float, low: float) -> None:
        """The side of the lower body: paint, a bright shoulder, a dark sill, doors."""
        shape, normal = self.shape, (side, 0.0, 0.0)
        paint = self.lit(self.car.colour, normal)
        self.add([(side * self.half_width(z, y), y, z) for z, y in profile], paint)
        half, x = shape.length / 2, side * (shape.width / 2 + 0.001)
        belt = shape.belt
        self.add(
            [
                (x, belt - 0.13, half * 0.80),
                (x, belt - 0.02, shape.screen),
                (x, belt, shape.rear),
                (x, belt - 0.12, -half * 0.86),
            ],
            mix(paint, self.light.on((255, 255, 255)), 0.17),
        )
        self.add([(x, low, half * 0.8), (x, low + 0.14, half * 0.8), (x, low + 0.14, -half * 0.8), (x, low, -half * 0.8)],
                 scaled(paint, 0.55))  # fmt: skip
        self.add(
            [
                (x, low + 0.14, half * 0.78),
                (x, low + 0.30, half * 0.80),
                (x, low + 0.30, -half * 0.80),
                (x, low + 0.14, -half * 0.78),
            ],
            scaled(paint, 0.84),
        )
        if self.large:
            line = scaled(paint, 0.62)
            doors = (shape.screen - 0.05, (shape.screen + shape.roof[1]) / 2 + 0.08, shape.roof[1] - 0.12)
            for z in doors[: 3 if shape.name not in ("coupe", "compact") else 2]:
                self.add([(x, low + 0.16, z), (x, belt, z), (x, belt, z - 0.03), (x, low + 0.16, z - 0.03)], line)
                self.add([(x, belt - 0.17, z - 0.62), (x, belt - 0.17, z - 0.84), (x, belt - 0.21, z - 0.84), (x, belt - 0.21, z - 0.62)],
                         scaled(paint, 0.5))  # fmt: skip

    def ends(self, half: float, low: float) -> None:
        """Lights, grille and bumper of the end that is seen."""
        shape, light = self.shape, self.light
        hood = shape.bonnet
        if self.seen((0, 0.5, half), (0, 0, 1)):
            z = half + 0.012
            w = self.half_width(half, 0.5)
            dark = light.on((26, 27, 30))
            self.add(
                [
                    (-w * 0.6, hood - 0.34, z),
                    (w * 0.6, hood - 0.34, z),
                    (w * 0.66, hood - 0.14, z),
                    (-w * 0.66, hood - 0.14, z),
                ],
                dark,
            )
            if self.large:
                chrome = light.on((150, 153, 158))
                for y in (hood - 0.20, hood - 0.27):
                    self.add(
                        [
                            (-w * 0.6, y, z + 0.005),
                            (w * 0.6, y, z + 0.005),
                            (w * 0.6, y + 0.018, z + 0.005),
                            (-w * 0.6, y + 0.018, z + 0.005),
                        ],
                        chrome,
                    )
            self.add(
                [
                    (-w * 0.72, low + 0.02, z),
                    (w * 0.72, low + 0.02, z),
                    (w * 0.66, low + 0.14, z),
                    (-w * 0.66, low + 0.14, z),
                ],
                dark,
            )
            lamp: Colour = (255, 250, 226) if light.night else light.on((232, 238, 242), 1.05)
            for side in (1.0, -1.0):
                self.add([
                    (side * w * 0.66, hood - 0.31, z), (side * w * 0.99, hood - 0.27, z - 0.06),
                    (side * w * 1.03, hood - 0.11, z - 0.16), (side * w * 0.68, hood - 0.15, z),
                ], light.on((46, 48, 52)))  # fmt: skip
                self.add([
                    (side * w * 0.71, hood - 0.28, z + 0.004), (side * w * 0.96, hood - 0.255, z - 0.05),
                    (side * w * 0.98, hood - 0.14, z - 0.10), (side * w * 0.72, hood - 0.17, z + 0.004),
                ], lamp)  # fmt: skip
                if light.night or light.weather in ("fog", "rain"):
                    self.lamp((side * w * 0.84, hood - 0.21, z), 0.42, (255, 244, 214))
        if self.seen((0, 0.5, -half), (0, 0, -1)):
            z = -half - 0.012
            w = self.half_width(half, 0.6)
            boot = shape.boot
            strong = light.night or self.car.braking
            red: Colour = (250, 40, 30) if strong else light.on((168, 24, 26))
            for side in (1.0, -1.0):
                tall = 0.34 if shape.name in ("van", "suv", "estate") else 0.2
                self.add([
                    (side * w * 0.64, boot - 0.32, z), (side * w * 0.99, boot - 0.32, z + 0.05),
                    (side * w * 1.02, boot - 0.32 + tall, z + 0.14), (side * w * 0.68, boot - 0.32 + tall * 0.9, z + 0.01),
                ], red)  # fmt: skip
                if self.large:
                    self.add([
                        (side * w * 0.70, boot - 0.29, z - 0.004), (side * w * 0.82, boot - 0.29, z - 0.004),
                        (side * w * 0.82, boot - 0.24, z - 0.004), (side * w * 0.70, boot - 0.24, z - 0.004),
                    ], mix(red, (255, 236, 214), 0.6))  # fmt: skip
                if strong or light.weather in ("fog", "rain"):
                    self.lamp((side * w * 0.84, boot - 0.22, z), 0.30, (255, 40, 28))
            paint = self.lit(self.car.colour, (0, 0, -1))
            self.add(
                [(-w * 0.9, 0.44, z), (w * 0.9, 0.44, z), (w * 0.9, 0.475, z), (-w * 0.9, 0.475, z)], scaled(paint, 0.6)
            )
            self.add([(-w * 0.86, low, z + 0.05), (w * 0.86, low, z + 0.05), (w * 0.9, low + 0.13, z), (-w * 0.9, low + 0.13, z)],
                     light.on((34, 35, 38)))  # fmt: skip

    def lamp(self, point: tuple[float, float, float], radius: float, colour: Colour) -> None:
        """Remember a light that shines."""
        depth = float(_turned(self.car, np.array(point))[2])
        if depth > 1:
            self.lamps.append((self.place(point), radius * self.camera.scale(depth), colour))

    def badge(self) -> None:
        """The licence plate of the end that is seen."""
        light = self.light
        corners = plate_corners(self.car, self.camera)
        if corners is None:
            return
        rear = self.eye[2] < 0
        glare = light.facing((0, 0, -1)) + (1.3 if light.night and rear else 0.35 if light.night else 0.1)
        tint = (light.ambient[0] * glare, light.ambient[1] * glare, light.ambient[2] * glare)
        put_plate(self.sprite, self.car.plate, corners, tint)
        self.plate = corners

    def cabin(self, side: float) -> None:
        """Glass, pillars and roof."""
        shape, light = self.shape, self.light
        beside = abs(self.eye[0]) > shape.width / 2
        self.mirror(-side)
        if not beside:
            self.mirror(side)
        low = shape.width / 2 * 0.95
        high = shape.width / 2 * (0.80 if shape.name != "van" else 0.88)
        belt, top = shape.belt - 0.01, shape.height
        zs, (zf, zr), ze = shape.screen, shape.roof, shape.rear
        glass = mix(light.on((34, 42, 50)), light.zenith, 0.16 if not light.night else 0.05)
        bright = mix(glass, light.horizon, 0.34 if not light.night else 0.1)
        paint = self.car.colour

        def across(z1: float, y1: float, z2: float, y2: float, inset: float) -> list[tuple[float, float, float]]:
            def w(y: float) -> float:
                return low + (high - low) * (y - belt) / (top - belt) - inset

            return [(-w(y1), y1, z1), (w(y1), y1, z1), (w(y2), y2, z2), (-w(y2), y2, z2)]

        slope = np.hypot(zs - zf, top - belt)
        if self.seen((0, belt, zs), (0.0, (zs - zf) / slope, (top - belt) / slope)):
            self.add(across(zs, belt, zf, top, 0.0), self.lit(paint, (0, 0.5, 0.8)))
            at = self.between((belt, zs), (top, zf))
            self.add(across(*at(0.06), *at(0.92), 0.07), glass)
            pane = across(*at(0.06), *at(0.92), 0.07)
            self.add(
                [
                    _lerp(pane[0], pane[1], 0.12),
                    _lerp(pane[0], pane[1], 0.34),
                    _lerp(pane[3], pane[2], 0.62),
                    _lerp(pane[3], pane[2], 0.4),
                ],
                bright,
            )
        slope = np.hypot(zr - ze, top - belt)
        if self.seen((0, belt, ze), (0.0, (zr - ze) / slope, -(top - belt) / slope)):
            self.add(across(ze, belt, zr, top, 0.0), self.lit(paint, (0, 0.4, -0.85)))
            at = self.between((belt, ze), (top, zr))
            first, last = (0.45, 0.9) if shape.name == "van" else (0.12, 0.88)
            self.add(across(*at(first), *at(last), 0.10), glass)
            pane = across(*at(first), *at(last), 0.10)
            self.add(
                [
                    _lerp(pane[0], pane[1], 0.55),
                    _lerp(pane[0], pane[1], 0.8),
                    _lerp(pane[3], pane[2], 0.95),
                    _lerp(pane[3], pane[2], 0.7),
                ],
                bright,
            )
        if self.seen((0, top, 0), (0, 1, 0)):
            self.add(across(zf, top, zr, top, 0.0), self.lit(paint, (0, 1, 0), gloss=True))
        if self.seen((side * low, belt, 0), (side, 0.25, 0)):
            self.windows(side, low, high, glass, bright)
        if self.car.taxi:
            self.add([(-0.25, top, zf - 0.4), (0.25, top, zf - 0.4), (0.22, top + 0.13, zf - 0.4), (-0.22, top + 0.13, zf - 0.4)],
                     (255, 214, 90) if light.night else light.on((250, 206, 80)))  # fmt: skip
        if beside:
            self.mirror(side)

    def mirror(self, side: float) -> None:
        """The mirror of one side."""
        if not self.large:
            return
        belt, z = self.shape.belt, self.shape.screen - 0.28
        x = side * self.shape.width / 2
        face = [(x, belt, z), (x + side * 0.17, belt + 0.02, z), (x + side * 0.17, belt + 0.14, z), (x, belt + 0.13, z)]
        self.add(face, self.lit(scaled(self.car.colour, 0.8), (0, 0, 1 if self.eye[2] > 0 else -1)))

    def windows(self, side: float, low: float, high: float, glass: Colour, bright: Colour) -> None:
        """The cabin's side: pillars in paint, panes of glass between them."""
        shape = self.shape
        belt, top = shape.belt - 0.01, shape.height
        zs, (zf, zr), ze = shape.screen, shape.roof, shape.rear
        paint = self.lit(self.car.colour, (side * 0.95, 0.25, 0))
        self.add(
            [(side * low, belt, zs), (side * high, top, zf), (side * high, top, zr), (side * low, belt, ze)], paint
        )
        count = shape.panes
        first, last = zs - 0.22, (ze + 0.24 if shape.name != "van" else 0.35)
        y1, y2 = belt + 0.05, top - 0.09
        for k in range(count):
            a, b = first + (last - first) * k / count, first + (last - first) * (k + 1) / count

            def corner(z: float, y: float) -> tuple[float, float, float]:
                share = (y - belt) / (top - belt)
                ahead, behind = zs + (zf - zs) * share - 0.09, ze + (zr - ze) * share + 0.09
                return (side * (low + (high - low) * share + 0.004), y, min(max(z, behind), ahead))

            pane = [corner(a - 0.03, y1), corner(a - 0.03, y2), corner(b + 0.03, y2), corner(b + 0.03, y1)]
            self.add(pane, glass)
            if self.large:
                self.add(
                    [
                        _lerp(pane[0], pane[3], 0.35),
                        _lerp(pane[1], pane[2], 0.6),
                        _lerp(pane[1], pane[2], 0.8),
                        _lerp(pane[0], pane[3], 0.55),
                    ],
                    bright,
                )

    @staticmethod
    def between(start: tuple[float, float], end: tuple[float, float]) -> Callable[[float], tuple[float, float]]:
        """A function that gives (z, y) at a share of the way."""
        return lambda s: (start[1] + (end[1] - start[1]) * s, start[0] + (end[0] - start[0]) * s)


def _lerp(a: tuple[float, float, float], b: tuple[float, float, float], share: float) -> tuple[float, float, float]:
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)
