"""What is between the street and the picture: shadows, lamps' glow, reflections, rain and snow, the camera."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from oneglance.street import textures
from oneglance.street.backdrop import PAVEMENT, ROAD
from oneglance.street.camera import Camera
from oneglance.street.canvas import Array, Colour, Picture, Sprite, Stage, window_of
from oneglance.street.light import Light


def cast_shadow(stage: Stage, camera: Camera, outline: Array, light: Light, tall: float) -> None:
    """Darken the ground below a thing whose outline on the ground is [N, 3], and where its shadow falls."""
    height, width = stage.classes.shape
    sunny = light.strength if light.weather in ("clear", "snow") else 0.0
    reach = tall / max(0.45, float(light.sun[1])) * 0.55 * sunny
    moved = outline - np.array([light.sun[0], 0, light.sun[2]]) * reach
    hull = cv2.convexHull(np.concatenate([outline, moved])[:, [0, 2]].astype(np.float32))[:, 0]
    flat = camera.project(
        np.stack([hull[:, 0], np.zeros(len(hull)), np.maximum(hull[:, 1], 0.8)], 1).astype(np.float64)
    )
    window = window_of(flat, (width, height), 4)
    if window is None:
        return
    x1, y1, x2, y2 = window
    depth = np.zeros((y2 - y1, x2 - x1), np.uint8)
    strength = 0.30 + 0.28 * light.strength if not light.night else 0.45
    points = np.clip((flat - (x1, y1) - 0.5) * 16, -30000, 30000).astype(np.int32)
    cv2.fillPoly(depth, [points], int(255 * strength), cv2.LINE_AA, 4)
    blur = max(3, int((x2 - x1) * (0.05 if sunny > 0.5 else 0.12))) | 1
    depth = cv2.blur(depth, (blur, max(3, blur // 3) | 1))
    kinds = stage.classes[y1:y2, x1:x2]
    depth[(kinds != ROAD) & (kinds != PAVEMENT)] = 0
    part = stage.image[y1:y2, x1:x2]
    part[:] = cv2.multiply(part, cv2.cvtColor(cv2.bitwise_not(depth), cv2.COLOR_GRAY2RGB), scale=1 / 255)


def reflect(stage: Stage, sprite: Sprite, ground: float, share: float) -> None:
    """Mirror a sprite in the wet ground below it; ``ground``: the row where it stands."""
    colours, coverage = sprite.reduced()
    height = stage.classes.shape[0]
    x1, y1, x2, y2 = sprite.window
    bottom = min(y2, round(ground))
    top = bottom - min(bottom - y1, int((y2 - y1) * 0.8))
    rows = min(height - bottom, bottom - top)
    if rows < 2:
        return
    flipped = colours[bottom - y1 - rows : bottom - y1][::-1]
    cover = coverage[bottom - y1 - rows : bottom - y1][::-1]
    place, kinds = stage.image[bottom : bottom + rows, x1:x2], stage.classes[bottom : bottom + rows, x1:x2]
    fade = np.linspace(share, share * 0.25, rows, dtype=np.float32)[:, None]
    weight = cv2.blur(cover.astype(np.float32) / 255, (1, 5)) * fade * ((kinds == ROAD) | (kinds == PAVEMENT))
    smeared = cv2.blur(flipped, (1, 5)).astype(np.float32)
    solid = np.maximum(cv2.blur(cover, (1, 5)), 1)[..., None].astype(np.float32) / 255
    place[:] = np.clip(place * (1 - weight[..., None]) + smeared / solid * weight[..., None], 0, 255).astype(np.uint8)


def shine(
    image: Picture, at: tuple[float, float], radius: float, colour: Colour, strength: float, tall: float = 1.0
) -> None:
    """Add a lamp's glow, in place; ``tall``: how much higher than wide it is."""
    rx, ry = max(2.0, radius), max(2.0, radius * tall)
    height, width = image.shape[:2]
    x1, y1 = int(np.floor(at[0] - rx)), int(np.floor(at[1] - ry))
    side_x, side_y = int(2 * rx) + 1, int(2 * ry) + 1
    left, top, right, bottom = max(0, x1), max(0, y1), min(width, x1 + side_x), min(height, y1 + side_y)
    if right <= left or bottom <= top or side_x > 3 * width:
        return
    glow = cv2.resize(textures.glow(), (side_x, side_y), interpolation=cv2.INTER_AREA)
    glow = glow[top - y1 : bottom - y1, left - x1 : right - x1]
    added = cv2.merge([glow * (value * strength) for value in colour])
    place = image[top:bottom, left:right]
    place[:] = cv2.add(place, cv2.convertScaleAbs(added))


def light_pool(
    stage: Stage, camera: Camera, x: float, z: float, radius: float, colour: Colour, strength: float
) -> None:
    """A lamp's light on the ground: what lies there becomes brighter, in place."""
    circle = np.array([[x + np.cos(t) * radius, 0, max(0.8, z + np.sin(t) * radius)] for t in np.linspace(0, 6.1, 12)])
    height, width = stage.classes.shape
    flat = camera.project(circle)
    (x1, y1), (x2, y2) = flat.min(0), flat.max(0)
    left, top, right, bottom = max(0, int(x1)), max(0, int(y1)), min(width, int(x2) + 1), min(height, int(y2) + 1)
    if right - left < 2 or bottom - top < 2 or x2 - x1 > 20 * width:
        return
    # The glow is looked up where each pixel lies within the box of the lit circle.
    u = ((np.arange(left, right) + 0.5 - x1) / (x2 - x1) * 127).astype(np.float32)[None].repeat(bottom - top, 0)
    v = ((np.arange(top, bottom) + 0.5 - y1) / (y2 - y1) * 127).astype(np.float32)[:, None].repeat(right - left, 1)
    glow = cv2.remap(textures.glow(), u, v, cv2.INTER_LINEAR)
    kinds = stage.classes[top:bottom, left:right]
    glow = (glow * strength * ((kinds == ROAD) | (kinds == PAVEMENT)))[..., None]
    place = stage.image[top:bottom, left:right]
    tint = np.array(colour, np.float32) / 255
    place[:] = np.clip(place * (1 + 3.2 * glow * tint) + 26 * glow * tint, 0, 255).astype(np.uint8)


def precipitate(rng: np.random.Generator, image: Picture, light: Light) -> Picture:
    """Rain or snow in the air."""
    height, width = image.shape[:2]
    if light.weather == "rain":
        fall = _cut(rng, textures.streaks(int(rng.integers(4))), width, height)
        grey = cv2.convertScaleAbs(fall, alpha=rng.uniform(0.5, 0.95))
        image = cv2.add(image, cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))
        return np.asarray(cv2.addWeighted(image, 0.93, cv2.blur(image, (5, 9)), 0.07, 0), np.uint8)
    if light.snow:
        white = cv2.cvtColor(_cut(rng, textures.flakes(int(rng.integers(3))), width, height), cv2.COLOR_GRAY2RGB)
        rest = cv2.multiply(image, cv2.bitwise_not(white), scale=1 / 255)
        return np.asarray(cv2.add(rest, cv2.convertScaleAbs(white, alpha=0.98)), np.uint8)
    return image


def _cut(rng: np.random.Generator, texture: Picture, width: int, height: int) -> Picture:
    """A random piece of a texture, enlarged where the picture is larger than it."""
    side = texture.shape[0]
    if width > side or height > side:
        factor = max(width, height) / side
        texture = cv2.resize(texture, None, fx=factor, fy=factor)
    x, y = int(rng.integers(texture.shape[1] - width + 1)), int(rng.integers(texture.shape[0] - height + 1))
    piece = texture[y : y + height, x : x + width]
    return np.ascontiguousarray(piece[:, ::-1]) if rng.random() < 0.5 else np.ascontiguousarray(piece)


def photograph(rng: np.random.Generator, image: Picture, night: bool, blur: float = 0.35) -> Picture:
    """What a camera makes of it: focus, exposure, white balance, vignette, noise. ``blur``: its likelihood."""
    if rng.random() < blur:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.35, 0.8))), np.uint8)
    gain = float(np.exp(rng.normal(0.02, 0.07)))
    gamma = float(np.exp(rng.normal(0, 0.07)))
    steps = np.arange(256) / 255
    tint = 1 + rng.normal(0, 0.018, 3)
    table = 255 * np.clip(gain * tint * steps[:, None] ** gamma, 0, 1)
    image = cv2.LUT(image, table.astype(np.uint8)[None])
    height, width = image.shape[:2]
    yy, xx = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    falling = 1 - float(rng.uniform(0.03, 0.14)) * (yy[:, None] ** 2 + xx[None] ** 2)
    image = cv2.multiply(image, cv2.merge([falling] * 3), dtype=cv2.CV_8U)
    level = float(rng.uniform(0.6, 2.6)) * (1.7 if night else 1)
    return add_noise(rng, image, level)


def add_noise(rng: np.random.Generator, image: Picture, level: float) -> Picture:
    """Noise of a standard deviation, from the stored grain."""
    height, width = image.shape[:2]
    grain = textures.grain()
    if height > 1024 or width > 1024:
        grain = np.tile(grain, (-(-height // 1024), -(-width // 1024), 1))
    y, x = int(rng.integers(grain.shape[0] - height + 1)), int(rng.integers(grain.shape[1] - width + 1))
    noise: NDArray[np.int16] = np.ascontiguousarray(grain[y : y + height, x : x + width])
    return np.asarray(cv2.addWeighted(image.astype(np.int16), 1.0, noise, level / 64, 0).clip(0, 255), np.uint8)
