"""How a car is drawn: a body of a few dozen faces, seen in true perspective from every side.

The lower body is a profile drawn out across the car's width and narrowed at both ends; the cabin stands on it. Both are
convex as seen from above the belt, so that leaving out what faces away and drawing body, then cabin, needs no depth
buffer.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from oneglance.street.camera import Camera
from oneglance.street.canvas import Array, Colour, Drawn, Sprite, mix, scaled, unit_circle, window_of
from oneglance.street.car import Car, eye_of, footprint, plate_corners, turned
from oneglance.street.light import Light
from oneglance.street.plate import put_plate

#: In the car's own axes: x to its right, y up, z ahead.
Point: TypeAlias = tuple[float, float, float]


def draw_car(car: Car, camera: Camera, size: tuple[int, int], light: Light, fine: int | None = None) -> Drawn | None:
    """Draw a car; None where it is not in the image (width, height).

    ``points`` of what comes back: the corners of the plate that is seen, [4, 2], where one is.
    """
    shape = car.shape
    low = footprint(car)
    bounds = np.concatenate([low, low + np.array([0, shape.height, 0])])
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


class _Pen:
    """Collects a car's faces in its own axes, projects them all at once and fills them in order."""

    def __init__(self, car: Car, camera: Camera, sprite: Sprite, light: Light) -> None:
        self.car, self.camera, self.sprite, self.light = car, camera, sprite, light
        self.shape = car.shape
        self.cos, self.sin = float(np.cos(car.heading)), float(np.sin(car.heading))
        self.corners: list[Point] = []
        self.faces: list[tuple[int, Colour]] = []
        self.lamps: list[tuple[tuple[float, float], float, Colour]] = []
        self.plate: Array | None = None
        self.eye = eye_of(car, camera)
        self.large = (sprite.window[2] - sprite.window[0]) > 22

    def lit(self, colour: Colour, normal: Point, gloss: bool = False) -> Colour:
        """A colour on a surface with this normal (own axes)."""
        x, y, z = normal
        turned = (x * self.cos + z * self.sin, y, z * self.cos - x * self.sin)
        made = self.light.on(colour, self.light.facing(turned))
        if gloss and y > 0.3:  # paint that looks up mirrors the sky
            made = mix(made, self.light.zenith if not self.light.night else (30, 34, 56), 0.16 * y)
        if self.light.snow and y > 0.8:
            made = mix(made, self.light.on((244, 247, 252)), 0.86)
        return made

    def add(self, points: list[Point], colour: Colour) -> None:
        self.corners += points
        self.faces.append((len(points), colour))

    def bar(self, z: float, low: tuple[float, float], high: tuple[float, float], colour: Colour) -> None:
        """A piece of an end, as wide to the left as to the right: (half its width, y) at its lower and upper edge."""
        (a, y1), (b, y2) = low, high
        self.add([(-a, y1, z), (a, y1, z), (b, y2, z), (-b, y2, z)], colour)

    def panel(self, x: float, y: tuple[float, float], z: tuple[float, float], colour: Colour) -> None:
        """A rectangle on a side, between two heights and two places along the car."""
        self.add([(x, y[0], z[0]), (x, y[1], z[0]), (x, y[1], z[1]), (x, y[0], z[1])], colour)

    def gleam(self, pane: list[Point], low: tuple[float, float], high: tuple[float, float], colour: Colour) -> None:
        """Sky in a pane: a slanting piece of it, from share to share of its lower and its upper edge."""
        a, b, c, d = pane
        self.add([_lerp(a, b, low[0]), _lerp(a, b, low[1]), _lerp(d, c, high[1]), _lerp(d, c, high[0])], colour)

    def flush(self) -> None:
        """Project and fill what was collected."""
        if not self.faces:
            return
        every = self.sprite.fixed(self.camera.project(turned(self.car, np.array(self.corners))))
        at = 0
        for count, colour in self.faces:
            self.sprite.fill(every[at : at + count], colour)
            at += count
        self.corners.clear()
        self.faces.clear()

    def seen(self, point: Point, normal: Point) -> bool:
        """Whether a surface through the point looks towards the eye."""
        return sum((e - p) * n for e, p, n in zip(self.eye, point, normal, strict=True)) > 0

    def place(self, point: Point) -> tuple[float, float]:
        """Where a point of the car is seen."""
        x, y = self.camera.project(turned(self.car, np.array([point], np.float64)))[0].tolist()
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
        for (z1, y1), (z2, y2) in pairwise(profile):
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
        if self.seen((0, 0.5, half), (0, 0, 1)):
            self.front(low)
        if self.seen((0, 0.5, -half), (0, 0, -1)):
            self.back(low)
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
        shape = self.shape
        paint = self.lit(self.car.colour, (side, 0.0, 0.0))
        self.add([(side * self.half_width(z, y), y, z) for z, y in profile], paint)
        half, x, belt = shape.length / 2, side * (shape.width / 2 + 0.001), shape.belt
        ends = (belt - 0.13, half * 0.80), (belt - 0.12, -half * 0.86)
        shoulder = [ends[0], (belt - 0.02, shape.screen), (belt, shape.rear), ends[1]]
        self.add([(x, y, z) for y, z in shoulder], mix(paint, self.light.on((255, 255, 255)), 0.17))
        self.panel(x, (low, low + 0.14), (-half * 0.8, half * 0.8), scaled(paint, 0.55))
        if not self.large:
            return
        self.panel(x, (low + 0.14, low + 0.30), (-half * 0.8, half * 0.8), scaled(paint, 0.84))
        doors = (shape.screen - 0.05, (shape.screen + shape.roof[1]) / 2 + 0.08, shape.roof[1] - 0.12)
        for z in doors[: 3 if shape.name not in ("coupe", "compact") else 2]:
            self.panel(x, (low + 0.16, belt), (z - 0.03, z), scaled(paint, 0.62))
            self.panel(x, (belt - 0.21, belt - 0.17), (z - 0.84, z - 0.62), scaled(paint, 0.5))

    def front(self, low: float) -> None:
        """Grille, bumper and headlights."""
        light, hood = self.light, self.shape.bonnet
        half = self.shape.length / 2
        z, w = half + 0.012, self.half_width(half, 0.5)
        dark = light.on((26, 27, 30))
        self.bar(z, (w * 0.6, hood - 0.34), (w * 0.66, hood - 0.14), dark)
        if self.large:
            for y in (hood - 0.20, hood - 0.27):
                self.bar(z + 0.005, (w * 0.6, y), (w * 0.6, y + 0.018), light.on((150, 153, 158)))
        self.bar(z, (w * 0.72, low + 0.02), (w * 0.66, low + 0.14), dark)
        shining: Colour = (255, 250, 226) if light.night else light.on((232, 238, 242), 1.05)
        frame = [
            (0.66, hood - 0.31, z), (0.99, hood - 0.27, z - 0.06),
            (1.03, hood - 0.11, z - 0.16), (0.68, hood - 0.15, z),
        ]  # fmt: skip
        glass = [
            (0.71, hood - 0.28, z + 0.004), (0.96, hood - 0.255, z - 0.05),
            (0.98, hood - 0.14, z - 0.10), (0.72, hood - 0.17, z + 0.004),
        ]  # fmt: skip
        for side in (w, -w):
            if self.large:
                self.add([(side * u, y, at) for u, y, at in frame], light.on((46, 48, 52)))
            self.add([(side * u, y, at) for u, y, at in glass], shining)
            if light.night or light.weather in ("fog", "rain"):
                self.lamp((side * 0.84, hood - 0.21, z), 0.42, (255, 244, 214))

    def back(self, low: float) -> None:
        """Rear lights and bumper."""
        light, shape = self.light, self.shape
        half = shape.length / 2
        z, w = -half - 0.012, self.half_width(half, 0.6)
        foot = shape.boot - 0.32
        tall = 0.34 if shape.name in ("van", "suv", "estate") else 0.2
        strong = light.night or self.car.braking
        red: Colour = (250, 40, 30) if strong else light.on((168, 24, 26))
        lens = [
            (0.64, foot, z), (0.99, foot, z + 0.05),
            (1.02, foot + tall, z + 0.14), (0.68, foot + tall * 0.9, z + 0.01),
        ]  # fmt: skip
        white = [(0.70, foot + 0.03), (0.82, foot + 0.03), (0.82, foot + 0.08), (0.70, foot + 0.08)]
        for side in (w, -w):
            self.add([(side * u, y, at) for u, y, at in lens], red)
            if self.large:
                self.add([(side * u, y, z - 0.004) for u, y in white], mix(red, (255, 236, 214), 0.6))
            if strong or light.weather in ("fog", "rain"):
                self.lamp((side * 0.84, foot + 0.10, z), 0.30, (255, 40, 28))
        self.bar(z, (w * 0.9, 0.44), (w * 0.9, 0.475), scaled(self.lit(self.car.colour, (0, 0, -1)), 0.6))
        self.bar(z + 0.03, (w * 0.86, low), (w * 0.9, low + 0.13), light.on((34, 35, 38)))

    def lamp(self, point: Point, radius: float, colour: Colour) -> None:
        """Remember a light that shines."""
        depth = float(turned(self.car, np.array(point))[2])
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

        def across(z1: float, y1: float, z2: float, y2: float, inset: float) -> list[Point]:
            def w(y: float) -> float:
                return low + (high - low) * (y - belt) / (top - belt) - inset

            return [(-w(y1), y1, z1), (w(y1), y1, z1), (w(y2), y2, z2), (-w(y2), y2, z2)]

        slope = np.hypot(zs - zf, top - belt)
        if self.seen((0, belt, zs), (0.0, (zs - zf) / slope, (top - belt) / slope)):
            self.add(across(zs, belt, zf, top, 0.0), self.lit(paint, (0, 0.5, 0.8)))
            at = _between((belt, zs), (top, zf))
            self.add(across(*at(0.06), *at(0.92), 0.07), glass)
            pane = across(*at(0.06), *at(0.92), 0.07)
            self.gleam(pane, (0.12, 0.34), (0.4, 0.62), bright)
        slope = np.hypot(zr - ze, top - belt)
        if self.seen((0, belt, ze), (0.0, (zr - ze) / slope, -(top - belt) / slope)):
            self.add(across(ze, belt, zr, top, 0.0), self.lit(paint, (0, 0.4, -0.85)))
            at = _between((belt, ze), (top, zr))
            first, last = (0.45, 0.9) if shape.name == "van" else (0.12, 0.88)
            self.add(across(*at(first), *at(last), 0.10), glass)
            pane = across(*at(first), *at(last), 0.10)
            self.gleam(pane, (0.55, 0.8), (0.7, 0.95), bright)
        if self.seen((0, top, 0), (0, 1, 0)):
            self.add(across(zf, top, zr, top, 0.0), self.lit(paint, (0, 1, 0), gloss=True))
        if self.seen((side * low, belt, 0), (side, 0.25, 0)):
            self.windows(side, low, high, glass, bright)
        if self.car.taxi:
            colour: Colour = (255, 214, 90) if light.night else light.on((250, 206, 80))
            self.bar(zf - 0.4, (0.25, top), (0.22, top + 0.13), colour)
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

            def corner(z: float, y: float) -> Point:
                share = (y - belt) / (top - belt)
                ahead, behind = zs + (zf - zs) * share - 0.09, ze + (zr - ze) * share + 0.09
                return (side * (low + (high - low) * share + 0.004), y, min(max(z, behind), ahead))

            pane = [corner(a - 0.03, y1), corner(a - 0.03, y2), corner(b + 0.03, y2), corner(b + 0.03, y1)]
            self.add(pane, glass)
            if self.large:
                self.gleam([pane[0], pane[3], pane[2], pane[1]], (0.35, 0.55), (0.6, 0.8), bright)


def _between(start: tuple[float, float], end: tuple[float, float]) -> Callable[[float], tuple[float, float]]:
    """A function that gives (z, y) at a share of the way from (y, z) to (y, z)."""
    return lambda s: (start[1] + (end[1] - start[1]) * s, start[0] + (end[0] - start[0]) * s)


def _lerp(a: Point, b: Point, share: float) -> Point:
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)
