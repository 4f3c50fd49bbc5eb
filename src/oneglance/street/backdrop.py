"""What stands behind everything: sky, ground with its markings, houses."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from oneglance.street import textures
from oneglance.street.buildings import choose_houses, draw_houses
from oneglance.street.camera import NEAR, Camera
from oneglance.street.canvas import Array, Colour, Picture, Sprite, Stage, blend, mix, scaled
from oneglance.street.layout import LANE, PARKING, Layout
from oneglance.street.light import Light
from oneglance.street.palette import WALLS

#: The classes of the ground; lamp posts and signs are none of them and void.
CLASSES = ("sky", "building", "road", "pavement", "tree", "car", "person")
SKY, BUILDING, ROAD, PAVEMENT, TREE, CAR, PERSON = range(7)
VOID = 255
_FAR = 400.0


def draw_backdrop(
    rng: np.random.Generator, layout: Layout, camera: Camera, light: Light, size: tuple[int, int]
) -> Stage:
    """Everything that does not move, as a stage of this size (width, height)."""
    width, height = size
    sky = draw_sky(rng, light, size, camera.centre[1])
    sprite = Sprite((0, 0, width, height), 2, classes=True)
    _ground(rng, sprite, layout, camera, light)
    _skyline(rng, sprite, layout, camera, light)
    draw_houses(rng, sprite, choose_houses(rng, layout), camera, light, BUILDING)
    colours, coverage = sprite.reduced()
    classes = sprite.reduced_classes()
    _structure(rng, colours, classes, layout, camera, light)
    _haze(colours, coverage, classes, layout, camera, light)
    blend(sky, colours, coverage)
    if light.wet:
        _mirror(rng, sky, classes, camera)
    return Stage(sky, classes)


def draw_sky(rng: np.random.Generator, light: Light, size: tuple[int, int], horizon: float) -> Picture:
    """The sky, uint8 [H, W, 3]; below ``horizon`` its colour at the horizon."""
    width, height = size
    rows = min(height, max(2, int(horizon) + 2))
    share = np.clip(np.arange(rows) / max(horizon, 1.0), 0, 1)[:, None] ** 1.3
    column = np.array(light.zenith) * (1 - share) + np.array(light.horizon) * share
    made = np.repeat(column[:, None].astype(np.float32), width, 1)
    if light.night:
        count = int(rng.integers(20, 90))
        y, x = rng.integers(0, max(1, rows - 4), count), rng.integers(0, width, count)
        made[y, x] += rng.uniform(30, 190, (count, 1))
        if rng.random() < 0.5:
            _disc(
                made,
                (rng.uniform(0.05, 0.95) * width, rng.uniform(0.08, 0.6) * horizon),
                0.028 * height,
                (238, 234, 214),
                2.6,
            )
    elif light.weather == "clear" and rng.random() < 0.45:
        at = (
            width * (0.5 + 0.45 * float(np.sign(light.sun[0])) * rng.uniform(0.2, 1)),
            horizon * rng.uniform(0.1, 0.75),
        )
        _disc(made, at, 0.03 * height, (255, 246, 214), 7.0)
    cover, colour = light.clouds
    if cover > 0.05:
        noise = textures.clouds()
        left, top = int(rng.integers(0, 512 - 300)), int(rng.integers(0, 512 - 170))
        piece = cv2.resize(noise[top : top + 160, left : left + 290], (width, rows), interpolation=cv2.INTER_LINEAR)
        alpha = np.clip((piece - (0.78 - 0.5 * cover)) * 3.2, 0, 1)[..., None]
        below = np.clip(1.12 - 0.34 * piece, 0.7, 1.05)[..., None]
        made += (np.array(colour, np.float32) * below - made) * (alpha * 0.92)
    sky = np.empty((height, width, 3), np.uint8)
    sky[:rows] = np.clip(made, 0, 255)
    sky[rows:] = np.clip(column[-1], 0, 255)
    return sky


def _disc(made: NDArray[np.float32], at: tuple[float, float], radius: float, colour: Colour, reach: float) -> None:
    """Sun or moon with its glow."""
    yy, xx = np.ogrid[: made.shape[0], : made.shape[1]]
    away = np.sqrt((xx + 0.5 - at[0]) ** 2 + (yy + 0.5 - at[1]) ** 2) / radius
    share = np.clip((1.08 - away) * 8, 0, 1) + 0.45 * np.clip(1 - away / reach, 0, 1) ** 2
    made += (np.array(colour) - made) * np.minimum(share, 1)[..., None].astype(np.float32)


def _quads(camera: Camera, rects: Array) -> Array:
    """Rectangles on the ground [N, 4] (x1, x2, z1, z2) in the image, [N, 4, 2]."""
    x1, x2, z1, z2 = np.asarray(rects, np.float64).reshape(-1, 4).T
    zero = np.zeros_like(x1)
    corners = [np.stack([x, zero, z], -1) for x, z in ((x1, z1), (x2, z1), (x2, z2), (x1, z2))]
    return camera.project(np.stack(corners, 1))


def _ground(rng: np.random.Generator, sprite: Sprite, layout: Layout, camera: Camera, light: Light) -> None:
    up = light.facing((0, 1, 0))
    grey = float(rng.uniform(84, 112))
    tar = light.on((grey, grey, grey * rng.uniform(1.0, 1.06)), up)
    slab = light.on(((176, 170, 160), (160, 158, 156), (186, 174, 154), (150, 144, 142))[int(rng.integers(4))], up)
    if light.wet:
        tar, slab = scaled(tar, 0.72), scaled(slab, 0.78)
    if light.snow:
        slab = mix(slab, light.on((242, 245, 250), up), 0.82)
    kerb = mix(slab, light.on((250, 250, 250)), 0.25)

    def lay(rects: list[tuple[float, float, float, float]], colour: Colour, kind: int) -> None:
        for quad in _quads(camera, np.array(rects)):
            sprite.poly(quad, colour, kind)

    lay([(-_FAR, _FAR, NEAR, _FAR * 5)], slab, PAVEMENT)
    road, end = layout.road, layout.end + 20
    if layout.crossing is not None:
        near, far = layout.crossing
        lay([(-70, 70, near - 0.15, far + 0.15)], kerb, PAVEMENT)
        lay([(-70, 70, near, far)], tar, ROAD)
    lay([(-road - 0.18, -road, NEAR, end), (road, road + 0.18, NEAR, end)], kerb, PAVEMENT)
    lay([(-road, road, NEAR, end)], tar, ROAD)
    if layout.crossing is not None:
        lay([(-road - 0.3, road + 0.3, *layout.crossing)], tar, ROAD)
    _markings(rng, sprite, layout, camera, light, tar, up)


def _markings(
    rng: np.random.Generator, sprite: Sprite, layout: Layout, camera: Camera, light: Light, tar: Colour, up: float
) -> None:
    paint = mix(tar, light.on((238, 236, 228), up), float(rng.uniform(0.55, 0.9)) * (0.35 if light.snow else 1))
    middle = mix(tar, light.on((226, 176, 60), up), 0.85) if rng.random() < 0.25 else paint
    rects: list[tuple[float, float, float, float]] = []
    spans = [(NEAR, layout.end)]
    if layout.crossing is not None:
        near, far = layout.crossing
        spans = [(NEAR, near - 3.6), (far + 3.6, layout.end)]
    centre: list[tuple[float, float, float, float]] = []
    for start, end in spans:
        if end <= start:
            continue
        solid = rng.random() < 0.3
        dash, pitch = (float(rng.uniform(2, 3)), float(rng.uniform(5, 7)))
        z = np.arange(start - float(rng.uniform(0, pitch)) * (start < 1), min(end, 90), pitch)
        dashes = [(max(a, NEAR), min(a + dash, end)) for a in z.tolist() if a + dash > NEAR]
        centre += [(-0.07, 0.07, start, end)] if solid else [(-0.07, 0.07, a, b) for a, b in dashes]
        for lane in range(1, layout.lanes):
            rects += [(s * lane * LANE - 0.06, s * lane * LANE + 0.06, a, b) for a, b in dashes for s in (-1, 1)]
        for side, parked in zip((-1, 1), layout.parking, strict=True):
            edge = side * layout.edge(side)
            if parked:
                rects.append((edge - 0.05, edge + 0.05, start, end))
                rects += [
                    (min(edge, edge + side * PARKING), max(edge, edge + side * PARKING), a, a + 0.1)
                    for a in np.arange(start, min(end, 40), 6.2).tolist()
                ]
            elif layout.road - layout.edge(side) > 0.2:
                rects.append((edge - 0.06, edge + 0.06, start, end))
    zebras = []
    if layout.crossing is not None:
        zebras = [
            (layout.crossing[0] - 3.2, layout.crossing[0] - 0.6),
            (layout.crossing[1] + 0.6, layout.crossing[1] + 3.2),
        ]
    elif rng.random() < 0.25:
        start = float(rng.uniform(5, 14))
        zebras = [(start, start + 3.0)]
    for a, b in zebras:
        rects += [(x, x + 0.5, a, b) for x in np.arange(-layout.road + 0.4, layout.road - 0.5, 1.0).tolist()]
    if centre:
        sprite.polys(_quads(camera, np.array(centre)), middle)
    for quad in _quads(camera, np.array(rects)) if rects else ():
        sprite.poly(quad, paint)


def _skyline(rng: np.random.Generator, sprite: Sprite, layout: Layout, camera: Camera, light: Light) -> None:
    """Where the street ends: houses across it, or hills of trees."""
    z = layout.end + 25
    wall = WALLS[int(rng.integers(len(WALLS)))]
    x = -160.0
    wooded = rng.random() < 0.35
    if wooded:
        steps = np.linspace(-170, 170, 60)
        tops = 7 + 3 * np.sin(steps * 0.11 + rng.uniform(0, 6)) + rng.uniform(-1.4, 1.4, 60) + rng.uniform(0, 6)
        ridge = np.stack([steps, tops, np.full(60, z + 10)], 1)
        ends = np.array([[170, 0, z + 10], [-170, 0, z + 10]])
        leaf = light.on((74, 98, 66), 0.9)
        if light.snow:
            leaf = mix(leaf, light.on((225, 230, 238)), 0.45)
        sprite.poly(camera.project(np.concatenate([ridge, ends])), leaf, TREE)
    while x < 160:
        width = float(rng.uniform(9, 24))
        left, right = (camera.centre[0] + camera.scale(z) * (at - camera.x) for at in (x, x + width))
        if (not wooded or abs(x) > 60) and right > 0 and left < sprite.window[2]:
            tall = float(rng.uniform(7, 24))
            quad = np.array([[x, 0, z], [x + width, 0, z], [x + width, tall, z], [x, tall, z]])
            shade = float(rng.uniform(0.72, 1.0))
            sprite.poly(
                camera.project(quad), light.on(mix(wall, WALLS[int(rng.integers(len(WALLS)))], 0.5), shade), BUILDING
            )
            columns, rows = np.arange(x + 1.2, x + width - 1.5, 3.0), np.arange(1.5, tall - 1.8, 3.2)
            if len(columns) and len(rows):
                u, v = (grid.ravel() for grid in np.meshgrid(columns, rows))
                lit = rng.random(len(u)) < (0.45 if light.night else 0.0)
                panes = np.stack([
                    np.stack([u + dx, v + dy, np.full(len(u), z)], 1)
                    for dx, dy in ((0, 0), (1.3, 0), (1.3, 1.5), (0, 1.5))
                ], 1)  # fmt: skip
                dark = (14, 17, 28) if light.night else mix(light.on((60, 70, 80)), light.zenith, 0.3)
                flat = camera.project(panes)
                sprite.polys(flat[~lit], dark)
                sprite.polys(flat[lit], (226, 186, 120))
        x += width + (0.0 if rng.random() < 0.8 else float(rng.uniform(2, 8)))


def _structure(
    rng: np.random.Generator, colours: Picture, classes: NDArray[np.uint8], layout: Layout, camera: Camera, light: Light
) -> None:
    """Grain of the tar, slabs of the pavement, unevenness of walls, snow on the road; in place."""
    height, width = classes.shape
    top = int(np.clip(camera.centre[1] + 1.5, 0, height - 2))
    factor = np.full((height, width), 128, np.uint8)
    bricks = textures.bricks()
    x, y = rng.integers(0, 250, 2)
    wall = bricks[y : y + 256, x : x + 256]
    wall = cv2.resize(wall, (width, height)) if (height, width) != wall.shape else wall
    factor = np.where(classes == BUILDING, wall, factor)
    across, along = _on_ground(camera, top, height, width)
    shift = rng.uniform(0, 512, 2).astype(np.float32)
    u, v = np.mod(across * 32 + shift[0], 512), np.mod(along * 32 + shift[1], 512)
    v = np.broadcast_to(v, u.shape).astype(np.float32)
    fade = (1 / (1 + (along / 9) ** 2)).astype(np.float32)
    sight = classes[top:]
    tar = cv2.remap(textures.asphalt(), u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    slab = cv2.remap(textures.paving(), u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    flat = np.where(sight == ROAD, tar, np.where(sight == PAVEMENT, slab, np.uint8(128))).astype(np.float32)
    near = 128 + (flat - 128) * fade * (0.45 if light.snow else 1)
    factor[top:] = np.where((sight == ROAD) | (sight == PAVEMENT), near, factor[top:])
    colours[:] = cv2.multiply(colours, cv2.cvtColor(factor, cv2.COLOR_GRAY2RGB), scale=1 / 128)
    if light.snow:
        drift = cv2.remap(textures.drifts(), u * 0.5, v * 0.25, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        tracks = np.minimum.reduce([
            np.abs(across - side * ((lane + 0.5) * LANE + wheel))
            for side in (-1, 1) for lane in range(layout.lanes) for wheel in (-0.75, 0.75)
        ])  # fmt: skip
        cover = np.clip(drift.astype(np.float32) / 255 * 0.8 + 0.32, 0, 0.92) * np.clip((tracks - 0.12) * 2.4, 0.2, 1)
        cover = np.where(sight == ROAD, cover, 0).astype(np.float32)[..., None]
        white = np.array(light.on((240, 243, 250), light.facing((0, 1, 0))), np.float32)
        colours[top:] = np.clip(colours[top:] * (1 - cover) + white * cover, 0, 255).astype(np.uint8)


def _on_ground(camera: Camera, top: int, height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Metres across [h, w] and along [h, 1] at the pixels from row ``top`` on."""
    rows = np.arange(top, height, dtype=np.float32)[:, None] + 0.5
    along = camera.focal * camera.height / np.maximum(rows - camera.centre[1], 0.3)
    columns = np.arange(width, dtype=np.float32)[None] + 0.5
    across = (columns - camera.centre[0]) / camera.focal * along + camera.x
    return across.astype(np.float32), along.astype(np.float32)


def corner_houses(stage: Stage, layout: Layout, camera: Camera) -> NDArray[np.bool_] | None:
    """Where the houses on this side of the crossing street are seen, bool [H, W], None where no street crosses: they
    stand before what comes out of it."""
    if layout.crossing is None:
        return None
    start = layout.crossing[0] - layout.pavement * 0.8
    return np.asarray((stage.classes == BUILDING) & (_fronts(layout, camera, stage.classes.shape[1]) < start)[None])


def _fronts(layout: Layout, camera: Camera, width: int) -> Array:
    """How far off the house fronts are in each column, [W]."""
    columns = np.arange(width) + 0.5 - camera.centre[0]
    reach = np.where(columns > 0, layout.front - camera.x, layout.front + camera.x)
    return np.asarray(camera.focal * np.maximum(reach, 0.5) / np.maximum(np.abs(columns), 0.3))


def _haze(
    colours: Picture,
    coverage: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    layout: Layout,
    camera: Camera,
    light: Light,
) -> None:
    """Haze by distance: of the ground by the row, of the fronts by the column; in place."""
    height, width = classes.shape
    end = layout.end + 25
    rows = np.arange(height) + 0.5 - camera.centre[1]
    ground = np.minimum(camera.focal * camera.height / np.maximum(rows, 0.3), end)[:, None]
    fronts = np.minimum(_fronts(layout, camera, width), end)[None]
    depth = np.where((classes == BUILDING) | (classes == TREE), fronts, ground)
    tint, density = light.haze
    steps = np.arange(0, end + 2)
    table = (255.5 * (1 - np.exp(-density * np.maximum(steps - 2, 0)))).astype(np.uint8)
    share = table[depth.astype(np.uint8)]
    clear = cv2.multiply(colours, cv2.cvtColor(cv2.bitwise_not(share), cv2.COLOR_GRAY2RGB), scale=1 / 255)
    share = cv2.multiply(share, coverage, scale=1 / 255)
    cv2.add(clear, cv2.merge([cv2.multiply(share, value / 255) for value in tint]), dst=colours)


def _mirror(rng: np.random.Generator, image: Picture, classes: NDArray[np.uint8], camera: Camera) -> None:
    """Wet ground: what stands behind it, upside down, smeared downwards, most of it in puddles; in place."""
    height, width = classes.shape
    top = int(np.clip(camera.centre[1] + 1.5, 0, height - 2))
    rows = np.clip(2 * camera.centre[1] - np.arange(top, height) - 1, 0, height - 1).astype(int)
    seen = cv2.blur(image[rows], (3, max(3, height // 18) | 1))
    across, along = _on_ground(camera, top, height, width)
    shift = rng.uniform(0, 512, 2).astype(np.float32)
    u = np.mod(across * 36 + shift[0], 512).astype(np.float32)
    v = np.broadcast_to(np.mod(along * 22 + shift[1], 512), u.shape).astype(np.float32)
    puddle = cv2.remap(textures.drifts(), u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP).astype(np.float32) / 255
    share = 0.18 + 0.5 * np.clip((puddle - 0.48) * 6, 0, 1)
    wet = np.where((classes[top:] == ROAD) | (classes[top:] == PAVEMENT), share, 0)
    wet = (wet * np.where(classes[top:] == PAVEMENT, 0.5, 1)).astype(np.float32)[..., None]
    image[top:] = np.clip(image[top:] * (1 - wet) + seen * wet, 0, 255).astype(np.uint8)
