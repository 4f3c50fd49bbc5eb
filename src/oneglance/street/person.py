"""Pedestrians: a skeleton that walks, dressed, with a head on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from oneglance.street.camera import Camera
from oneglance.street.canvas import Array, Colour, Drawn, Sprite, capsule, ellipse, mix, scaled, window_of
from oneglance.street.face import Head, Looks, Pose, choose_pose, looks_of
from oneglance.street.light import Light
from oneglance.street.palette import BOTTOMS, TOPS

#: Half the width of a face, and the height of its middle, in heights of the person.
HEAD, HEAD_AT = 0.057, 0.922


@dataclass(frozen=True)
class Person:
    """One pedestrian: who (``identity``), where on the ground (x, z), how tall in metres, how dressed.

    ``turn``: 0 looks at the camera, pi away from it, in radians; ``stride``: the phase of the walk; ``pace``: how wide
    the steps are, 0 stands.
    """

    identity: int
    looks: Looks
    pose: Pose
    at: tuple[float, float]
    tall: float
    turn: float
    stride: float
    pace: float
    top: Colour
    bottom: Colour
    shoes: Colour
    outfit: str
    striped: bool
    carries: str
    umbrella: Colour | None
    stout: float


def choose_person(
    rng: np.random.Generator, at: tuple[float, float], turn: float, identity: int, light: Light
) -> Person:
    """Somebody, dressed for the weather."""
    cold = light.weather in ("snow", "fog") or rng.random() < 0.25
    outfits = ["coat", "jacket", "jacket"] if cold else ["shirt", "shirt", "jacket", "dress", "skirt", "shorts"]
    pose = choose_pose(rng, 0.3)
    if light.snow and pose.hat == "none" and rng.random() < 0.6:
        pose = replace(pose, hat="beanie")
    umbrella = TOPS[int(rng.integers(len(TOPS)))] if light.wet and rng.random() < 0.6 else None
    if umbrella is not None:
        pose = replace(pose, hat="none")
    child = rng.random() < 0.1
    return Person(
        identity, looks_of(identity), pose, at,
        float(rng.uniform(1.1, 1.4) if child else rng.uniform(1.56, 1.92)), turn,
        float(rng.uniform(0, 2 * np.pi)), float(rng.choice([0.15, 0.8, 1.0])), TOPS[int(rng.integers(len(TOPS)))],
        BOTTOMS[int(rng.integers(len(BOTTOMS)))], ((40, 36, 36), (220, 220, 220), (96, 58, 36))[int(rng.integers(3))],
        str(rng.choice(outfits)), bool(rng.random() < 0.18), str(rng.choice(["nothing", "nothing", "bag", "backpack"])),
        umbrella, float(rng.uniform(0.9, 1.2)),
    )  # fmt: skip


def draw_person(
    person: Person, camera: Camera, size: tuple[int, int], light: Light, fine: int | None = None
) -> Drawn | None:
    """Draw somebody; None where nothing of them is in the image (width, height).

    ``points`` of what comes back: the five points of the face, [5, 2], where the face is turned to the camera.
    """
    foot = camera.ground(*person.at)
    scale = camera.scale(person.at[1]) * person.tall
    wide, high = (0.36, 1.36) if person.umbrella is not None else (0.30, 1.06)
    corners = np.array(
        [[foot[0] - wide * scale, foot[1] - high * scale], [foot[0] + wide * scale, foot[1] + 0.05 * scale]]
    )
    window = window_of(corners, size)
    if window is None:
        return None
    big = max(window[2] - window[0], window[3] - window[1])
    sprite = Sprite(window, fine or (4 if big < 120 else 3 if big < 200 else 2))
    figure = _Figure(person, sprite, foot, scale, light)
    points = figure.draw()
    beyond = bool(
        foot[1] > size[1] or foot[1] - scale < 0 or foot[0] - 0.15 * scale < 0 or foot[0] + 0.15 * scale > size[0]
    )
    return Drawn(sprite, points, [], beyond, foot[1])


class _Figure:
    """A body on a sprite. Its unit is the person's height; x to the right in the image, y up from the foot."""

    def __init__(self, person: Person, sprite: Sprite, foot: tuple[float, float], scale: float, light: Light) -> None:
        self.person, self.sprite, self.foot, self.scale, self.light = person, sprite, foot, scale, light
        self.front = float(np.cos(person.turn))
        self.side = float(np.sin(person.turn))
        self.lean = float(np.sign(light.sun[0]) or 1.0)

    def at(self, x: float, y: float) -> tuple[float, float]:
        return self.foot[0] + x * self.scale, self.foot[1] - y * self.scale

    def area(self, points: list[tuple[float, float]]) -> Array:
        return np.array([self.at(x, y) for x, y in points])

    def box(self, low: tuple[float, float], high: tuple[float, float], colour: Colour) -> None:
        """A piece as wide to the left as to the right: (half its width, y) at its lower and upper edge."""
        (a, y1), (b, y2) = low, high
        self.sprite.poly(self.area([(-a, y1), (a, y1), (b, y2), (-b, y2)]), colour)

    def limb(self, a: tuple[float, float], b: tuple[float, float], ra: float, rb: float, colour: Colour) -> None:
        """A limb, darker on the side away from the light."""
        a, b = self.at(*a), self.at(*b)
        ra, rb = ra * self.scale, rb * self.scale
        if self.scale < 40:
            self.sprite.poly(capsule(a, b, ra, rb), scaled(colour, 0.92))
            return
        self.sprite.poly(capsule(a, b, ra, rb), scaled(colour, 0.74))
        move = self.lean * ra * 0.28
        self.sprite.poly(capsule((a[0] + move, a[1]), (b[0] + move, b[1]), ra * 0.72, rb * 0.72), colour)

    def draw(self) -> Array | None:
        """Draw everything, from behind to before; gives the points of the face."""
        person, light = self.person, self.light
        skin, top, bottom = light.on(person.looks.skin), light.on(person.top), light.on(person.bottom)
        faces = self.front > 0.2
        swing = np.sin(person.stride) * person.pace
        bob = 0.008 * abs(np.cos(person.stride)) * person.pace
        hip, shoulder = 0.50 + bob, 0.815 + bob
        broad = (0.110 * abs(self.front) + 0.070 * abs(self.side)) * person.stout
        yaw = float(np.clip(self.side * 1.1 + person.pose.yaw, -0.72, 0.72))
        head = Head(
            self.sprite, self.at(0.018 * self.side, HEAD_AT + bob), HEAD * self.scale, person.looks,
            replace(person.pose, yaw=yaw), light,
        )  # fmt: skip
        if faces:
            head.behind()
        near = 1 if self.side >= 0 else -1
        if not faces and person.carries == "backpack":
            near = -near
        self.leg(-near, -swing, hip, bottom)
        self.arm(-near, swing, shoulder, broad, top, skin)
        if faces and person.carries == "backpack":
            self.box((broad * 1.1, 0.58), (broad * 1.1, shoulder - 0.02), scaled(top, 0.5))
        self.leg(near, swing, hip, bottom)
        self.sprite.poly(
            self.area([(-0.028, 0.87 + bob), (0.028, 0.87 + bob), (0.036, 0.79 + bob), (-0.036, 0.79 + bob)]),
            scaled(skin, 0.8),
        )
        self.torso(hip, shoulder, broad, top, bottom)
        if person.umbrella is None:
            self.arm(near, -swing, shoulder, broad, top, skin)
        if person.carries == "bag":
            x = near * (broad + 0.035)
            self.sprite.poly(
                self.area([(x - 0.035, 0.50), (x + 0.035, 0.50), (x + 0.045, 0.40), (x - 0.045, 0.40)]),
                light.on((92, 58, 40)),
            )
            self.sprite.line(
                self.area([(x, 0.5), (-near * broad * 0.4, shoulder)]), light.on((62, 40, 30)), 0.012 * self.scale
            )
        if faces:
            head.face()
        else:
            head.behind()
            head.from_behind()
            if person.carries == "backpack":
                pack = light.on(mix(person.top, (40, 44, 52), 0.6))
                self.sprite.poly(
                    self.area(
                        [(-broad * 0.85, 0.80), (broad * 0.85, 0.80), (broad * 0.95, 0.57), (-broad * 0.95, 0.57)]
                    ),
                    scaled(pack, 0.8),
                )
                self.sprite.poly(
                    self.area([(-broad * 0.6, 0.70), (broad * 0.6, 0.70), (broad * 0.6, 0.60), (-broad * 0.6, 0.60)]),
                    pack,
                )
        if person.umbrella is not None:
            self.open_umbrella(near, broad, top, skin)
        return head.points() if faces else None

    def leg(self, side: int, swing: float, hip: float, bottom: Colour) -> None:
        """One leg with its shoe."""
        person, light = self.person, self.light
        reach = 0.155 * swing * (self.side if abs(self.side) > 0.3 else 0.15 * side)
        lift = max(0.0, -swing) * 0.045
        start = (side * 0.045 * abs(self.front), hip)
        knee = (start[0] + reach * 0.5 + 0.018 * abs(swing) * np.sign(self.side or 1) * abs(self.side), 0.27 + lift)
        ankle = (start[0] * 0.9 + reach, 0.045 + lift)
        bare = person.outfit in ("dress", "skirt", "shorts")
        skin = light.on(person.looks.skin)
        shoe = light.on(person.shoes)
        toe = 0.055 * self.side
        self.limb((ankle[0] - toe * 0.2, 0.018 + lift), (ankle[0] + toe, 0.016 + lift), 0.020, 0.017, shoe)
        self.limb(knee, ankle, 0.036 if not bare else 0.030, 0.024 if not bare else 0.019, skin if bare else bottom)
        self.limb(start, knee, 0.052, 0.038, bottom if person.outfit != "dress" else skin)

    def arm(self, side: int, swing: float, shoulder: float, broad: float, top: Colour, skin: Colour) -> None:
        """One arm with its hand."""
        reach = 0.14 * swing * (self.side if abs(self.side) > 0.3 else 0.1 * side)
        start = (side * broad * (0.92 if abs(self.front) > 0.5 else 0.35), shoulder - 0.028)
        elbow = (start[0] + side * 0.022 * abs(self.front) + reach * 0.55, 0.645)
        hand = (elbow[0] + reach * 0.6 + 0.015 * abs(swing) * np.sign(self.side or 1), 0.515 + 0.03 * abs(swing))
        short = self.person.outfit in ("shirt", "dress", "shorts") and not self.person.striped
        self.limb(elbow, hand, 0.024, 0.019, skin if short else scaled(top, 0.95))
        self.limb(start, elbow, 0.034, 0.027, scaled(top, 0.95))
        self.limb(hand, (hand[0], hand[1] - 0.02), 0.019, 0.016, skin)

    def torso(self, hip: float, shoulder: float, broad: float, top: Colour, bottom: Colour) -> None:
        """Chest and hips in what is worn."""
        person, light = self.person, self.light
        waist, hem = broad * 0.80, {"coat": 0.30, "dress": 0.32, "jacket": 0.47}.get(person.outfit, 0.50)
        flare = {"coat": 1.05, "dress": 1.30}.get(person.outfit, 0.90)
        if person.outfit == "skirt":
            self.sprite.poly(
                self.area([(-waist, 0.58), (waist, 0.58), (waist * 1.5, 0.33), (-waist * 1.5, 0.33)]), bottom
            )
        shape = [
            (-broad * 0.45, shoulder + 0.022), (broad * 0.45, shoulder + 0.022), (broad, shoulder - 0.014),
            (broad * 0.98, shoulder - 0.07), (waist, 0.63), (broad * flare, hem), (-broad * flare, hem), (-waist, 0.63),
            (-broad * 0.98, shoulder - 0.07), (-broad, shoulder - 0.014),
        ]  # fmt: skip
        self.sprite.poly(self.area(shape), scaled(top, 0.76))
        lit = [(x * 0.80 + self.lean * broad * 0.15, y) for x, y in shape]
        self.sprite.poly(self.area(lit), top)
        if person.striped and self.scale > 50:
            band = mix(top, light.on((250, 250, 250)), 0.75)
            for y in np.arange(hem + 0.03, shoulder - 0.04, 0.05):
                wide = broad * 0.86
                self.sprite.poly(self.area([(-wide, y), (wide, y), (wide, y + 0.02), (-wide, y + 0.02)]), band)
        if self.front > 0.3 and self.scale > 40:
            dark = scaled(top, 0.55)
            if person.outfit in ("coat", "jacket"):
                self.sprite.line(self.area([(0.0, shoulder), (0.0, hem)]), dark, 0.009 * self.scale)
                inner = light.on(mix(person.bottom, (240, 240, 240), 0.55))
                self.sprite.poly(
                    self.area([(-0.032, shoulder + 0.024), (0.032, shoulder + 0.024), (0.0, shoulder - 0.09)]), inner
                )
            else:
                skin = light.on(person.looks.skin, 0.92)
                self.sprite.poly(
                    self.area([(-0.034, shoulder + 0.024), (0.034, shoulder + 0.024), (0.0, shoulder - 0.03)]), skin
                )

    def open_umbrella(self, near: int, broad: float, top: Colour, skin: Colour) -> None:
        """An umbrella over the head, held with the near hand."""
        person, light = self.person, self.light
        if person.umbrella is None:
            return
        cloth = light.on(person.umbrella)
        x = near * broad * 0.75
        hand = (x, 0.70)
        self.sprite.line(self.area([(x, 0.68), (x * 0.6, 1.26)]), light.on((60, 60, 64)), 0.013 * self.scale)
        self.limb((near * broad, 0.785), (near * (broad + 0.03), 0.68), 0.034, 0.027, scaled(top, 0.95))
        self.limb((near * (broad + 0.03), 0.68), hand, 0.026, 0.020, scaled(top, 0.95))
        self.limb(hand, (x, 0.715), 0.02, 0.02, skin)
        middle = self.at(x * 0.6, 1.075)
        dome = ellipse(middle, 0.31 * self.scale, 0.22 * self.scale, corners=32)
        dome[:, 1] = np.minimum(dome[:, 1], middle[1] + 0.012 * self.scale)
        self.sprite.poly(dome, scaled(cloth, 0.8))
        for reach, tone in ((0.20, 0.95), (0.07, 1.1)):
            rib = ellipse(middle, reach * self.scale, 0.22 * self.scale, corners=32)
            rib[:, 1] = np.minimum(rib[:, 1], middle[1] + 0.012 * self.scale)
            self.sprite.poly(rib, scaled(cloth, tone))
