"""Houses along a street: a front along z, an end wall that faces the camera, rows of windows, shops, roofs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from oneglance.street.camera import NEAR, Camera
from oneglance.street.canvas import Array, Colour, Sprite, mix, scaled
from oneglance.street.layout import Layout
from oneglance.street.light import Light
from oneglance.street.palette import LIT, ROOFS, SHOPS, WALLS

STYLES = ("plaster", "brick", "glass", "panel", "house", "plaster")


@dataclass(frozen=True)
class House:
    """One house: ``side`` -1 left, 1 right; from ``z1`` to ``z2`` along the street; metres."""

    side: int
    z1: float
    z2: float
    front: float
    height: float
    floor: float
    style: str
    wall: Colour
    trim: Colour
    shop: Colour | None
    roof: Colour


def choose_houses(rng: np.random.Generator, layout: Layout) -> list[House]:
    """The houses of both sides, far ones first."""
    houses: list[House] = []
    for side, park in zip((-1, 1), layout.park, strict=True):
        if park:
            continue
        z = -2.0
        family = WALLS[int(rng.integers(len(WALLS)))]
        while z < layout.end:
            width = float(rng.uniform(6, 15))
            end = z + width
            if layout.crossing is not None:
                near, far = layout.crossing[0] - layout.pavement * 0.8, layout.crossing[1] + layout.pavement * 0.8
                if near - 3 < z < far:
                    z = far
                    continue
                end = min(end, near) if z < near else end
            style = STYLES[int(rng.integers(len(STYLES)))]
            floors = int(rng.integers(2, 4)) if style == "house" else int(rng.integers(2, 7))
            floor = float(rng.uniform(2.8, 3.4))
            wall = mix(WALLS[int(rng.integers(len(WALLS)))], family, 0.35)
            if style == "glass":
                wall = mix((88, 106, 122), wall, 0.25)
            shop = SHOPS[int(rng.integers(len(SHOPS)))] if rng.random() < 0.45 else None
            houses.append(
                House(
                    side, z, end, layout.front + float(rng.choice([0.0, 0.0, 0.6])), floors * floor + 0.7, floor, style,
                    wall, mix(wall, (245, 242, 236), float(rng.uniform(0.35, 0.8))), shop,
                    ROOFS[int(rng.integers(len(ROOFS)))],
                )
            )  # fmt: skip
            z = end + (0.0 if rng.random() < 0.85 else float(rng.uniform(1.5, 4)))
    return sorted(houses, key=lambda house: -house.z1)


def draw_houses(
    rng: np.random.Generator, sprite: Sprite, houses: list[House], camera: Camera, light: Light, kind: int
) -> None:
    """Draw the houses into the backdrop, far ones first."""
    width = sprite.window[2]
    for house in houses:
        far = camera.centre[0] + camera.scale(house.z2) * (house.side * house.front - camera.x)
        if house.z2 < 1 or far * house.side > (width if house.side > 0 else 0):
            continue  # all of it lies beside the picture
        _House(rng, sprite, house, camera, light, kind).draw()


class _House:
    def __init__(
        self, rng: np.random.Generator, sprite: Sprite, house: House, camera: Camera, light: Light, kind: int
    ) -> None:
        self.rng, self.sprite, self.house, self.camera, self.light, self.kind = rng, sprite, house, camera, light, kind
        self.x = house.side * house.front
        self.close = True
        self.wall = light.on(house.wall, light.facing((-house.side, 0, 0)))
        self.trim = light.on(house.trim, light.facing((-house.side, 0, 0)))

    def rects(self, rects: Array, out: float = 0.0) -> Array:
        """Rectangles of the front [N, 4] (z1, z2, y1, y2) in the image, [N, 4, 2]; ``out``: metres before it."""
        eye = self.camera
        scale = eye.focal / np.maximum(rects[:, :2], NEAR)  # at z1, z2
        across = scale * (self.x - self.house.side * out - eye.x) + eye.centre[0]
        made = np.empty((len(rects), 4, 2))
        made[:, 0, 0] = made[:, 3, 0] = across[:, 0]
        made[:, 1, 0] = made[:, 2, 0] = across[:, 1]
        made[:, :2, 1] = scale * (eye.height - rects[:, 2:3]) + eye.centre[1]
        made[:, 3:1:-1, 1] = scale * (eye.height - rects[:, 3:4]) + eye.centre[1]
        return made

    def front(self, z1: float, z2: float, y1: float, y2: float, colour: Colour, out: float = 0.0) -> None:
        self.sprite.poly(self.rects(np.array([[z1, z2, y1, y2]]), out)[0], colour)

    def draw(self) -> None:
        house, light, sprite = self.house, self.light, self.sprite
        top, snow = house.height, light.on((240, 243, 250))
        if house.z1 > 1:
            depth = house.side * 11.0
            wall = light.on(house.wall, light.facing((0, 0, -1)) * 0.93)
            points = [(self.x, 0, house.z1), (self.x + depth, 0, house.z1), (self.x + depth, top, house.z1)]
            if house.style == "house":
                points += [(self.x + depth / 2, top + 3.2, house.z1)]
            quad = np.array([*points, (self.x, top, house.z1)])
            sprite.poly(self.camera.project(quad), wall, self.kind)
            count = max(1, int(top / house.floor))
            wide = house.side * 1.1
            panes = np.array([
                [[x, y, house.z1], [x + wide, y, house.z1], [x + wide, y + 1.4, house.z1], [x, y + 1.4, house.z1]]
                for x in (self.x + depth * 0.25, self.x + depth * 0.62)
                for y in (np.arange(1, count) * house.floor + 0.8).tolist()
            ])  # fmt: skip
            if len(panes) and house.style != "glass":
                sprite.polys(self.camera.project(panes), self.glass(0.9))
        if house.style == "house":
            roof = np.array([
                [self.x, top, house.z1], [self.x, top, house.z2], [self.x + house.side * 5.5, top + 3.2, house.z2],
                [self.x + house.side * 5.5, top + 3.2, house.z1],
            ])  # fmt: skip
            colour = light.on(house.roof, light.facing((-house.side * 0.5, 0.85, 0)))
            sprite.poly(self.camera.project(roof), mix(colour, snow, 0.85) if light.snow else colour, self.kind)
        sprite.poly(self.rects(np.array([[house.z1, house.z2, 0, top]]))[0], self.wall, self.kind)
        if self.camera.scale(max(house.z1, 2)) < 2.5:
            return
        base = house.floor if house.shop is not None else 0.5
        self.close = self.camera.scale(max(house.z1, 1.5)) > 7
        if house.style != "glass" and self.close:
            self.front(house.z1, house.z2, 0, 0.5, scaled(self.wall, 0.7))
            self.front(house.z1, house.z2, top - 0.45, top, snow if light.snow else self.trim)
            self.front(house.z1, house.z2, top - 0.60, top - 0.45, scaled(self.wall, 0.62))
            self.sprite.poly(
                self.rects(np.array([[house.z1, house.z1 + 0.22, 0, top - 0.6]]))[0], scaled(self.wall, 0.82)
            )
        self.upper(base)
        self.ground()

    def glass(self, shade: float = 1.0) -> Colour:
        """Unlit glass: dark, with some sky."""
        if self.light.night:
            return (14 * shade, 17 * shade, 28 * shade)
        return scaled(mix(self.light.on((44, 54, 64)), self.light.zenith, 0.28), shade)

    def upper(self, base: float) -> None:
        """Windows of the upper floors."""
        house, rng, light = self.house, self.rng, self.light
        wide, tall, gap = {"glass": (1.5, 2.5, 0.18), "panel": (2.2, 1.4, 0.25), "house": (1.1, 1.3, 1.3)}.get(
            house.style, (1.0, 1.6, float(rng.uniform(0.8, 1.5)))
        )
        length = house.z2 - house.z1
        columns = max(1, int((length - gap) / (wide + gap)))
        first = house.z1 + (length - columns * (wide + gap) + gap) / 2
        rows = int((house.height - base - 0.5) / house.floor)
        if rows < 1:
            return
        z = first + np.arange(columns) * (wide + gap)
        y = base + np.arange(rows) * house.floor + (house.floor - tall) * 0.55
        grid = np.stack(
            [np.tile(z, rows), np.tile(z + wide, rows), np.repeat(y, columns), np.repeat(y, columns) + tall], 1
        )
        grid = grid[grid[:, 1] > 1.0]
        if not len(grid):
            return
        near = self.close
        if near and house.style in ("plaster", "brick", "house"):
            self.sprite.polys(self.rects(grid + np.array([-0.12, 0.12, -0.16, 0.12])), self.trim)
        lit = rng.random(len(grid)) < (0.38 if light.night else 0.05 if light.weather != "clear" else 0.0)
        tone = rng.integers(0, 3, len(grid))
        for k in range(3) if near else ():
            self.sprite.polys(self.rects(grid[~lit & (tone == k)]), self.glass((0.82, 1.0, 1.22)[k]))
        if not near:
            self.sprite.polys(self.rects(grid[~lit]), self.glass())
        if lit.any():
            warm = rng.integers(0, len(LIT), len(grid))
            for k, colour in enumerate(LIT):
                chosen = grid[lit & (warm == k)]
                if not len(chosen):
                    continue
                self.sprite.polys(self.rects(chosen), colour if light.night else mix(colour, self.glass(), 0.4))
        if near and not light.night:  # sky in the upper panes
            top = grid.copy()
            top[:, 2] += tall * 0.62
            self.sprite.polys(self.rects(top[tone != 1]), mix(self.glass(), light.horizon, 0.35))
        if near and house.style != "glass":
            middle = (grid[:, 0] + grid[:, 1]) / 2
            bars = np.stack([middle - 0.035, middle + 0.035, grid[:, 2], grid[:, 3]], 1)
            self.sprite.polys(self.rects(bars), scaled(self.trim, 0.95))
            sills = np.stack([grid[:, 0] - 0.12, grid[:, 1] + 0.12, grid[:, 2] - 0.16, grid[:, 2] - 0.02], 1)
            self.sprite.polys(
                self.rects(sills, 0.1), light.on((240, 243, 250)) if light.snow else scaled(self.trim, 0.85)
            )
        if house.style == "plaster" and near and rng.random() < 0.4:
            shutter = light.on(SHOPS[int(rng.integers(len(SHOPS)))], 0.9)
            for a, b in ((-0.45, -0.08), (wide + 0.08, wide + 0.45)):
                wings = grid.copy()
                wings[:, 0], wings[:, 1] = grid[:, 0] + a, grid[:, 0] + b
                self.sprite.polys(self.rects(wings), shutter)
        if house.style == "panel":
            bands = np.array([[house.z1, house.z2, v - 0.35, v - 0.2] for v in y])
            self.sprite.polys(self.rects(bands), self.trim)
        if near and house.style in ("brick", "plaster") and rng.random() < 0.35:
            rail = light.on((48, 50, 54))
            floors = grid[rng.random(len(grid)) < 0.35]
            if len(floors):
                boxes = np.stack([floors[:, 0] - 0.3, floors[:, 1] + 0.3, floors[:, 2] - 0.25, floors[:, 2] + 0.65], 1)
                self.sprite.polys(self.rects(boxes, 0.35), mix(rail, self.wall, 0.45))
                boxes[:, 2] = boxes[:, 3] - 0.1
                self.sprite.polys(self.rects(boxes, 0.35), rail)

    def ground(self) -> None:
        """The ground floor: a shop with a sign and an awning, or a door and windows."""
        house, rng, light = self.house, self.rng, self.light
        z1, z2 = house.z1 + 0.4, house.z2 - 0.4
        lit: Colour = LIT[int(rng.integers(len(LIT)))]
        if house.shop is None:
            if house.style == "glass" or not self.close:
                return
            door = z1 + (z2 - z1) * float(rng.uniform(0.2, 0.7))
            self.front(door - 0.12, door + 1.22, 0, 2.35, self.trim)
            self.front(door, door + 1.1, 0, 2.25, light.on(SHOPS[int(rng.integers(len(SHOPS)))], 0.8))
            self.front(door + 0.15, door + 0.95, 1.7, 2.1, lit if light.night else self.glass())
            return
        colour = light.on(house.shop, light.facing((-house.side, 0, 0)))
        self.front(z1, z2, 0, house.floor - 0.05, scaled(colour, 0.8))
        panes = max(1, int((z2 - z1) / 2.4))
        pitch = (z2 - z1) / panes
        grid = np.array([[z1 + k * pitch + 0.15, z1 + (k + 1) * pitch - 0.15, 0.45, 2.35] for k in range(panes)])
        open_ = (light.night and rng.random() < 0.7) or (
            light.weather in ("rain", "snow", "fog") and rng.random() < 0.6
        )
        self.sprite.polys(
            self.rects(grid), lit if open_ and light.night else mix(lit, self.glass(), 0.35) if open_ else self.glass()
        )
        if open_:
            goods = np.array(
                [[a + 0.2, a + 0.2 + (b - a) * 0.3, 0.5, float(rng.uniform(1.0, 1.6))] for a, b, _, _ in grid]
            )
            self.sprite.polys(self.rects(goods), mix(lit, (60, 40, 40), 0.6))
        sign = scaled(house.shop, 1.1) if light.night else scaled(colour, 1.12)
        self.front(z1, z2, 2.5, house.floor - 0.1, sign, 0.08)
        if not self.close:
            return
        words = np.array(
            [
                [z1 + 0.9 + k * 0.42, z1 + 1.2 + k * 0.42, 2.62, 2.62 + float(rng.uniform(0.16, 0.28))]
                for k in range(int(rng.integers(4, 9)))
            ]
        )
        words = words[words[:, 1] < z2 - 0.3]
        if len(words):
            self.sprite.polys(self.rects(words, 0.1), (255, 246, 220) if light.night else light.on((242, 238, 226)))
        if rng.random() < 0.55:
            side, out = house.side, 1.2
            stripes = max(2, int((z2 - z1) / 0.7))
            edges = np.linspace(z1, z2, stripes + 1)
            cloth = light.on(house.shop, light.facing((-side * 0.4, 0.9, 0)) * 1.05)
            pale = light.on((240, 236, 226), light.facing((-side * 0.4, 0.9, 0)))
            if light.snow:
                cloth = pale
            for parity, colour in ((0, cloth), (1, pale)):
                hem = self.x - side * out
                quads = np.array([
                    [[self.x, 2.75, a], [self.x, 2.75, b], [hem, 2.25, b], [hem, 2.25, a]]
                    for a, b in list(pairwise(edges.tolist()))[parity::2] if b > 1
                ])  # fmt: skip
                if len(quads):
                    self.sprite.polys(self.camera.project(quads), colour)
