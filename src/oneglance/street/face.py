"""Heads: who somebody is, and how that looks from where the camera is.

A head's unit is half the width of a face of average width. Features lie on an ellipsoid that turns (yaw) and nods
(pitch); the five points come from the same numbers as the drawing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oneglance.street.canvas import Array, Colour, Sprite, ellipse, mix, scaled, unit_circle
from oneglance.street.light import Light
from oneglance.street.palette import HAIRS, IRISES, SHOPS, SKINS, TOPS

#: The five points, in this order. Left and right are the image's, not the person's.
POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
#: How many people there are.
PEOPLE = 1000
_HAIRSTYLES = ("short", "long", "bald", "curly", "bob", "bun", "crop", "parted")
_DEPTH = 1.02
_TALL = 1.34


@dataclass(frozen=True)
class Looks:
    """Who somebody is: the small vector that a face is drawn from. Lengths are in half face widths."""

    skin: Colour
    hair: Colour
    style: str
    iris: Colour
    eyes: float
    eye_size: float
    width: float
    jaw: float
    nose: float
    mouth: float
    lips: float
    brows: float
    glasses: int
    beard: int
    frame: Colour


@dataclass(frozen=True)
class Pose:
    """How a head is held: radians; ``smile`` 0..1; ``hat``: none, cap, beanie."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    smile: float = 0.3
    hat: str = "none"
    cloth: Colour = TOPS[0]


def name_of(identity: int) -> str:
    """The name under which a person stands in labels."""
    return f"person_{identity:03d}"


def looks_of(identity: int) -> Looks:
    """How person number ``identity`` looks, always the same."""
    rng = np.random.default_rng((identity, 0xFACE))
    tone = float(rng.uniform(0, len(SKINS) - 1.001))
    skin = mix(SKINS[int(tone)], SKINS[int(tone) + 1], tone % 1)
    style = _HAIRSTYLES[int(rng.integers(len(_HAIRSTYLES)))]
    hair = HAIRS[int(rng.integers(len(HAIRS) if tone < 2.5 else 3))]
    man = style in ("short", "bald", "crop", "parted")
    return Looks(
        skin=skin, hair=hair, style=style, iris=IRISES[int(rng.integers(len(IRISES)))],
        eyes=rng.uniform(0.36, 0.47), eye_size=rng.uniform(0.155, 0.21), width=rng.uniform(0.90, 1.08),
        jaw=rng.uniform(0.62, 0.90), nose=rng.uniform(0.9, 1.2), mouth=rng.uniform(0.28, 0.40),
        lips=rng.uniform(0.07, 0.13), brows=rng.uniform(0.05, 0.10),
        glasses=int(rng.choice([0, 0, 0, 1, 1, 2])), beard=int(rng.choice([0, 0, 1, 2])) if man else 0,
        frame=((28, 28, 32), (110, 66, 40), (150, 30, 40), (150, 150, 156))[int(rng.integers(4))],
    )  # fmt: skip


class Head:
    """A head at a place of a sprite; ``centre``: its middle in the image, ``unit``: pixels a head's unit."""

    def __init__(
        self, sprite: Sprite, centre: tuple[float, float], unit: float, looks: Looks, pose: Pose, light: Light
    ) -> None:
        self.sprite, self.centre, self.unit, self.looks, self.pose, self.light = (
            sprite,
            centre,
            unit,
            looks,
            pose,
            light,
        )
        self.sin, self.cos = float(np.sin(pose.yaw)), float(np.cos(pose.yaw))
        self.dip, self.level = float(np.sin(pose.pitch)), float(np.cos(pose.pitch))
        self.tilt, self.upright = float(np.sin(pose.roll)), float(np.cos(pose.roll))
        # From the front plane, y upwards, to the image, as one matrix: a face is drawn by hundreds of small polygons.
        self._turn = unit * np.array([[self.upright, -self.tilt], [-self.tilt, -self.upright]])
        self._middle = np.array(centre)
        side = float(np.clip(light.sun[0], -1, 1)) * light.strength
        self.skin = light.on(looks.skin, 1.0)
        self.bright = mix(self.skin, light.on((255, 246, 232)), 0.16)
        self.dark = mix(self.skin, light.on((86, 36, 26)), 0.26)
        self.sunward = 0.16 * side
        self.fine = unit * sprite.fine

    def on(self, points: Array, lift: float = 1.0) -> Array:
        """Points (u, v) of the face, [N, 2], v upwards, in the image. ``lift``: distance from the middle, 1: skin."""
        u, v = points[:, 0] * self.looks.width, points[:, 1]
        depth = np.sqrt(np.maximum(0.04, 1 - (u / 1.08) ** 2 - (v / 1.5) ** 2)) * _DEPTH * lift
        flat = np.empty((len(points), 2))
        flat[:, 0] = u * self.cos + depth * self.sin
        flat[:, 1] = v * self.level - (depth * self.cos - u * self.sin) * self.dip
        return self.at(flat)

    def at(self, points: Array) -> Array:
        """Points [N, 2] of the head's front plane, y upwards, in the image."""
        placed: Array = points @ self._turn + self._middle
        return placed

    def points(self) -> Array:
        """The five points in the image, [5, 2]."""
        look = self.looks
        mouth = -0.66
        up = 0.04 * self.pose.smile
        flat = np.array([
            [-look.eyes, 0.14], [look.eyes, 0.14], [0, -0.26 * look.nose],
            [-look.mouth, mouth + up], [look.mouth, mouth + up],
        ])  # fmt: skip
        made = self.on(flat)
        made[2] = self.on(flat[2:3], 1.16)[0]
        return made

    def outline(self, grow: float = 0.0) -> Array:
        """The face's outline, from forehead to chin, [24, 2] in the image."""
        circle = unit_circle(28)
        x, y = circle[:, 0] * (self.looks.width + grow), circle[:, 1] * (_TALL + grow)
        chin = np.clip(-circle[:, 1], 0, 1)
        x = x * (1 - chin**2 * (1 - self.looks.jaw) * 0.62)
        lean = self.sin * (0.10 + 0.16 * chin)
        return self.at(np.stack([x * (1 - 0.06 * abs(self.sin)) + lean, y - self.dip * 0.2], 1))

    # -- drawing ----------------------------------------------------------------------------------------------------

    def behind(self) -> None:
        """What hangs down behind the neck: draw it before the body."""
        hair = self.light.on(self.looks.hair, 0.8)
        reach = {"long": 2.5, "bob": 1.45}.get(self.looks.style)
        if reach:
            lean = -0.25 * self.sin
            w = self.looks.width
            self.sprite.poly(
                self.at(np.array([
                    [-w * 1.12 + lean, 0.6], [w * 1.12 + lean, 0.6], [w * 1.22 + lean, -reach * 0.6],
                    [w * 0.95 + lean, -reach], [-w * 0.95 + lean, -reach], [-w * 1.22 + lean, -reach * 0.6],
                ])), hair,
            )  # fmt: skip
        if self.looks.style == "bun":
            self.sprite.poly(self.ball((-0.5 * self.sin, 1.5), 0.46), hair)

    def ball(self, centre: tuple[float, float], radius: float, flat: float = 1.0) -> Array:
        """An ellipse round a point of the head's front plane."""
        x, y = self.at(np.array([centre]))[0].tolist()
        return ellipse((x, y), radius * self.unit, radius * flat * self.unit, -self.pose.roll)

    def from_behind(self) -> None:
        """The back of a head: hair or skin, ears."""
        for side in (-1, 1):
            self.sprite.poly(self.ball((side * self.looks.width, -0.05), 0.16, 1.5), self.dark)
        bald = self.looks.style == "bald"
        colour = self.skin if bald else self.light.on(self.looks.hair)
        self.sprite.poly(
            self.ball((0, 0.1), self.looks.width * 1.07, 1.22), self.dark if bald else scaled(colour, 0.75)
        )
        self.sprite.poly(self.ball((self.sunward, 0.2), self.looks.width * 0.92, 1.2), colour)
        self.hat()

    def face(self) -> None:
        """The face with everything on it, its outline marked as the sprite's part."""
        look, sprite = self.looks, self.sprite
        hair = self.light.on(look.hair)
        if look.style != "bald":
            full = {"curly": 1.26, "crop": 1.04, "short": 1.09}.get(look.style, 1.13)
            lean = -0.16 * self.sin
            sprite.poly(self.ball((lean, 0.28), look.width * full, 1.22), scaled(hair, 0.82))
            if look.style == "curly":
                for turn in np.linspace(-0.3, np.pi + 0.3, 11):
                    x, y = np.cos(turn) * look.width * 1.16 + lean, 0.35 + np.sin(turn) * 1.2
                    sprite.poly(self.ball((float(x), float(y)), 0.36), scaled(hair, 0.82 + 0.1 * (int(turn * 7) % 2)))
        for side in (-1, 1):
            if side * self.sin < 0.55:
                x = side * look.width * (1.0 if side * self.sin < 0 else 0.98) - 0.16 * self.sin
                sprite.poly(self.ball((x, -0.08), 0.17, 1.6), self.dark if side * self.sunward < 0 else self.skin)
        outline = self.outline()
        sprite.poly(outline, self.dark)
        sprite.mark(outline)
        middle = outline.mean(0)
        if self.fine < 6:
            sprite.poly((outline - middle) * 0.92 + middle, self.skin)
        for share, colour in (
            ()
            if self.fine < 6
            else (
                (0.95, mix(self.dark, self.skin, 0.6)),
                (0.88, self.skin),
                (0.60, mix(self.skin, self.bright, 0.6)),
            )
        ):
            toward = np.array(
                [self.sunward * self.unit * (1 - share) * 4 + self.sin * self.unit * 0.1, -self.unit * 0.02]
            )
            sprite.poly((outline - middle) * share + middle + toward * (share < 0.95), colour)
        if self.fine > 6:
            self.features()
        self.fringe(hair)
        if look.glasses and self.fine > 5:
            self.spectacles()
        self.hat()

    def features(self) -> None:
        """Eyes, brows, nose, mouth, beard."""
        look, sprite, light = self.looks, self.sprite, self.light
        circle = unit_circle(16)
        smile = self.pose.smile
        ink = light.on(mix(look.hair, (40, 28, 24), 0.5), 0.8)
        if look.beard:
            stubble = light.on(mix(look.hair, look.skin, 0.10 if look.beard == 2 else 0.55), 0.95)
            chin = np.array([
                [-0.90, -0.25], [-0.78, -0.35], [-0.52, -0.46], [0, -0.42], [0.52, -0.46], [0.78, -0.35], [0.90, -0.25],
                [0.82 * look.jaw, -0.95], [0.45 * look.jaw, -1.24], [0, -1.32], [-0.45 * look.jaw, -1.24],
                [-0.82 * look.jaw, -0.95],
            ])  # fmt: skip
            sprite.poly(self.on(chin, 0.98), stubble)
        if self.fine > 9:
            blush = mix(self.skin, light.on((226, 110, 96)), 0.22)
            for side in (-1, 1):
                sprite.poly(self.on(circle * (0.20, 0.13) + (side * 0.56, -0.32)), blush)
        for side in (-1, 1):
            at = np.array([side * look.eyes, 0.14])
            size = look.eye_size
            lid = np.stack([circle[:, 0] * size, circle[:, 1] * size * np.where(circle[:, 1] > 0, 0.62, 0.48)], 1)
            if self.fine > 9:
                sprite.poly(self.on(lid * 1.32 + at + (0, 0.02)), self.dark)
            sprite.poly(self.on(lid + at), light.on((244, 242, 238)))
            sprite.poly(self.on(circle * size * 0.56 + at), light.on(look.iris))
            if self.fine > 9:
                sprite.poly(self.on(circle * size * 0.27 + at), light.on((14, 12, 12)))
                sprite.poly(self.on(circle * size * 0.14 + at + (0.04, 0.05)), light.on((255, 255, 255)))
            arc = np.linspace(-1, 1, 7)
            upper = np.stack([arc * size * 1.12, np.sqrt(1 - arc**2 * 0.98) * size * 0.62], 1)
            sprite.line(self.on(upper + at), light.on((42, 28, 24)), 0.055 * self.unit)
            brow = np.stack([arc * size * 1.45, 0.30 - 0.07 * arc**2 + 0.02 * side * arc], 1)
            sprite.line(self.on(brow + at), ink, look.brows * self.unit * 1.3)
        tip = -0.26 * look.nose
        lean = 0.5 * self.sin if abs(self.sin) > 0.12 else -np.sign(self.sunward or 1) * 0.1
        shade = mix(self.skin, self.dark, 0.75)
        ridge = np.array([[0.02 * np.sign(lean), 0.10], [-0.13, tip], [0.0, tip - 0.09], [0.13, tip]])
        sprite.poly(np.concatenate([self.on(ridge[:1], 1.02), self.on(ridge[1:], 1.12)]), shade)
        light_side = np.array([[0.0, 0.12], [-0.09, tip + 0.02], [0.06, tip + 0.04]]) * (
            np.sign(self.sunward or 1) * -1,
            1,
        )
        sprite.poly(np.concatenate([self.on(light_side[:1], 1.02), self.on(light_side[1:], 1.15)]), self.bright)
        if self.fine > 9:
            for side in (-1, 1):
                sprite.poly(self.on(circle * (0.045, 0.03) + (side * 0.075, tip - 0.055), 1.08), scaled(shade, 0.6))
        arc = np.linspace(-1, 1, 9)
        curve = -0.66 + 0.04 * smile - (1 - arc**2) * 0.13 * smile
        lips = mix(self.skin, light.on((170, 50, 56)), 0.62)
        bow = (1 - arc**2) * (1 - 0.25 * np.exp(-((arc / 0.22) ** 2)))
        upper = np.stack([arc * look.mouth, curve + bow * look.lips * 0.9], 1)
        lower = np.stack([arc[::-1] * look.mouth, curve[::-1] - (1 - arc**2) * look.lips * 1.25], 1)
        sprite.poly(self.on(np.concatenate([upper, lower]), 1.02), lips)
        line = np.stack([arc * look.mouth, curve], 1)
        if smile > 0.6 and self.fine > 7:
            gap = (1 - arc**2) * 0.10 * smile
            teeth = np.concatenate(
                [line + np.stack([0 * arc, gap * 0.4], 1), (line - np.stack([0 * arc, gap], 1))[::-1]]
            )
            sprite.poly(self.on(teeth * (0.9, 1), 1.02), light.on((246, 243, 236)))
        else:
            sprite.line(self.on(line, 1.02), scaled(lips, 0.5), 0.045 * self.unit)

    def fringe(self, hair: Colour) -> None:
        """Hair before the forehead and along the temples."""
        look, sprite = self.looks, self.sprite
        if look.style == "bald":
            if self.fine > 8:
                sprite.poly(
                    self.on(unit_circle(16) * (0.32, 0.16) + (0.25 * np.sign(self.sunward or 1), 0.95)), self.bright
                )
            return
        top = np.array([[np.cos(t) * 1.03 * look.width, 0.42 + 0.95 * np.sin(t)] for t in np.linspace(0, np.pi, 13)])
        edge = {
            "short": [
                [-0.98, 0.35],
                [-0.82, 0.55],
                [-0.45, 0.82],
                [0.1, 0.78],
                [0.6, 0.84],
                [0.85, 0.55],
                [0.98, 0.35],
            ],
            "crop": [[-0.98, 0.4], [-0.8, 0.72], [-0.4, 0.96], [0.4, 0.96], [0.8, 0.72], [0.98, 0.4]],
            "parted": [[-0.98, 0.3], [-0.86, 0.5], [-0.55, 0.95], [-0.3, 0.9], [0.4, 0.62], [0.85, 0.5], [0.98, 0.25]],
            "long": [[-1.0, -0.4], [-0.88, 0.1], [-0.7, 0.62], [0.0, 0.98], [0.7, 0.62], [0.88, 0.1], [1.0, -0.4]],
            "bob": [[-1.0, -0.55], [-0.84, 0.0], [-0.8, 0.48], [0.8, 0.44], [0.84, 0.0], [1.0, -0.55]],
            "curly": [[-1.0, 0.1], [-0.84, 0.5], [-0.5, 0.74], [0.0, 0.68], [0.5, 0.76], [0.84, 0.5], [1.0, 0.1]],
            "bun": [[-0.98, 0.2], [-0.84, 0.62], [-0.3, 0.98], [0.4, 0.98], [0.84, 0.62], [0.98, 0.2]],
        }[look.style]
        rim = self.at(top * (1, 1) + (-0.10 * self.sin, -0.15 * self.dip))
        front = self.on(np.array(edge, np.float64) * (0.98, 1), 1.0)
        sprite.poly(np.concatenate([rim, front]), hair)
        if self.fine > 10:
            shine = np.array([[np.cos(t) * 0.8, 0.62 + 0.6 * np.sin(t)] for t in np.linspace(0.9, 2.0, 7)])
            shine = shine * (np.sign(self.sunward or 1), 1) + (-0.05, 0)
            sprite.line(self.at(shine), mix(hair, self.light.on((255, 240, 220)), 0.2), 0.07 * self.unit)

    def spectacles(self) -> None:
        """Glasses: two rims, a bridge; dark ones hide the eyes."""
        look, sprite = self.looks, self.sprite
        frame = self.light.on(look.frame)
        circle = unit_circle(18)
        for side in (-1, 1):
            rim = self.on(circle * (0.30, 0.25) + (side * look.eyes * 1.02, 0.10), 1.10)
            if look.glasses == 2:
                sprite.poly(rim, self.light.on((30, 28, 34)))
                if self.fine > 9:
                    sprite.poly(
                        self.on(circle * (0.10, 0.06) + (side * look.eyes + 0.1, 0.18), 1.1),
                        self.light.on((110, 116, 130)),
                    )
            sprite.line(rim, frame, 0.055 * self.unit, closed=True)
        bridge = np.array([[-look.eyes + 0.30, 0.14], [0, 0.18], [look.eyes - 0.30, 0.14]])
        sprite.line(self.on(bridge, 1.12), frame, 0.055 * self.unit)

    def hat(self) -> None:
        """A cap or a beanie, where one is worn."""
        if self.pose.hat == "none":
            return
        cloth = self.light.on(self.pose.cloth)
        w = self.looks.width * 1.10
        lean = -0.12 * self.sin
        dome = np.array([[np.cos(t) * w + lean, 0.62 + 0.98 * np.sin(t)] for t in np.linspace(0, np.pi, 15)])
        self.sprite.poly(self.at(dome), cloth)
        if self.pose.hat == "beanie":
            band = np.array([[-w * 1.02, 0.50], [w * 1.02, 0.50], [w * 1.0, 0.86], [-w * 1.0, 0.86]]) + np.array(
                [lean, 0]
            )
            self.sprite.poly(self.at(band), scaled(cloth, 0.78))
            self.sprite.poly(self.ball((lean, 1.68), 0.24), mix(cloth, self.light.on((255, 255, 255)), 0.5))
        elif self.cos > 0:
            x = self.sin * 0.75
            peak = np.array([[-w * 0.86, 0.62], [w * 0.86, 0.62], [w * 0.62 + x, 0.44], [-w * 0.62 + x, 0.44]])
            self.sprite.poly(self.at(peak), scaled(cloth, 0.66))


def choose_pose(rng: np.random.Generator, turn: float = 0.5) -> Pose:
    """Some way to hold a head; ``turn``: the largest yaw."""
    hat = str(rng.choice(["none", "none", "none", "none", "cap", "beanie"]))
    return Pose(
        float(rng.uniform(-turn, turn)), float(rng.uniform(-0.18, 0.22)), float(rng.normal(0, 0.07)),
        float(rng.uniform(0, 1)), hat, (*SHOPS, *TOPS)[int(rng.integers(len(SHOPS) + len(TOPS)))],
    )  # fmt: skip
