"""Trees: crowns that are drawn once in a process, leaf by leaf, and then only coloured and reduced."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from oneglance.street.camera import Camera
from oneglance.street.canvas import Colour, Drawn, Picture, Sprite, mix, window_of
from oneglance.street.light import Light
from oneglance.street.palette import LEAVES

CROWNS = 12
_SIDE = 192


@dataclass(frozen=True)
class Tree:
    """One tree: where (x, z), how high in metres, which crown, which leaves; ``hedge``: no trunk."""

    at: tuple[float, float]
    tall: float
    crown: int
    flipped: bool
    leaves: Colour
    hedge: bool = False


def choose_tree(rng: np.random.Generator, at: tuple[float, float], light: Light, family: int) -> Tree:
    """Some tree of a street's kind (``family``)."""
    kind = family % 4
    if kind == 3 and not light.snow:  # trees are bare in winter only
        kind = 0
    crown = kind * 3 + int(rng.integers(3))
    if crown // 3 == 2:  # spruces are green all the year
        return Tree(
            at, float(rng.uniform(4.2, 8.0)), crown, bool(rng.random() < 0.5), (50, 88 + int(rng.integers(14)), 58)
        )
    leaves = mix(LEAVES[family % len(LEAVES)], LEAVES[int(rng.integers(len(LEAVES)))], 0.25)
    return Tree(at, float(rng.uniform(4.2, 8.0)), crown, bool(rng.random() < 0.5), leaves)


def draw_tree(tree: Tree, camera: Camera, size: tuple[int, int], light: Light) -> Drawn | None:
    """Draw a tree; None where it is not in the image (width, height)."""
    foot = camera.ground(*tree.at)
    scale = camera.scale(tree.at[1]) * tree.tall
    spread = 0.34 if tree.crown // 3 != 1 else 0.20
    if tree.crown // 3 == 2:
        spread = 0.27
    left, right = foot[0] - spread * scale, foot[0] + spread * scale
    top, low = foot[1] - scale, foot[1] - (0.0 if tree.hedge else 0.22 if tree.crown // 3 != 3 else 0.2) * scale
    window = window_of(np.array([[left, top], [right, foot[1]]]), size)
    if window is None:
        return None
    sprite = Sprite(window, 2)
    if not tree.hedge:
        bark = light.on((92, 74, 60))
        w = 0.022 * scale
        trunk = [
            (foot[0] - w * 1.3, foot[1]),
            (foot[0] + w * 1.3, foot[1]),
            (foot[0] + w * 0.8, foot[1] - 0.45 * scale),
            (foot[0] - w * 0.8, foot[1] - 0.45 * scale),
        ]
        sprite.poly(np.array(trunk), bark)
        dark = [
            (foot[0] + w * 0.2, foot[1]),
            (foot[0] + w * 1.3, foot[1]),
            (foot[0] + w * 0.8, foot[1] - 0.45 * scale),
            (foot[0] + w * 0.1, foot[1] - 0.45 * scale),
        ]
        sprite.poly(np.array(dark), light.on((66, 52, 44)))
    _paste(
        sprite, crown_of(tree.crown, tree.flipped != (light.sun[0] > 0)), _colours(tree, light), (left, top, right, low)
    )
    return Drawn(sprite, None, [], False, foot[1])


def _paste(sprite: Sprite, crown: Picture, colours: Picture, box: tuple[float, float, float, float]) -> None:
    """Put a crown (brightness, leaves) into a box of the image, coloured by a table, uint8 [256, 4]."""
    x1, y1 = ((np.array(box[:2]) - sprite.origin) * sprite.fine).round().astype(int).tolist()
    x2, y2 = ((np.array(box[2:]) - sprite.origin) * sprite.fine).round().astype(int).tolist()
    height, width = sprite.pixels.shape[:2]
    left, top, right, bottom = max(0, x1), max(0, y1), min(width, x2), min(height, y2)
    if x2 - x1 < 2 or y2 - y1 < 2 or right <= left or bottom <= top:
        return
    side_x, side_y = crown.shape[1] / (x2 - x1), crown.shape[0] / (y2 - y1)
    if side_x > 1 and side_y > 1:
        seen = cv2.resize(crown, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
        seen = seen[top - y1 : bottom - y1, left - x1 : right - x1]
    else:
        matrix = np.array([[side_x, 0, (left - x1 + 0.5) * side_x - 0.5], [0, side_y, (top - y1 + 0.5) * side_y - 0.5]])
        seen = cv2.warpAffine(
            crown, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
    # Four channels at once, as one number: many times as fast as by channel.
    made = colours.view(np.uint32)[:, 0][seen[..., 0]]
    np.copyto(sprite.pixels[top:bottom, left:right].view(np.uint32)[..., 0], made, where=seen[..., 1] > 110)


def _colours(tree: Tree, light: Light) -> Picture:
    """The colour of each brightness of a crown in this light, uint8 [256, 4]."""
    steps = np.arange(256)[:, None] / 255
    dark, bright = (
        np.array(light.on(tree.leaves, 0.42)),
        np.array(light.on(mix(tree.leaves, (236, 232, 140), 0.22), 1.18)),
    )
    if tree.crown // 3 == 3:
        dark, bright = np.array(light.on((58, 46, 40))), np.array(light.on((120, 104, 92)))
    table = dark + steps * (bright - dark)
    if light.snow:
        white = np.clip((steps - 0.45) * 2.6, 0, 1)
        table = table * (1 - white) + np.array(light.on((240, 243, 250))) * white
    return np.concatenate([np.clip(table, 0, 255), np.full((256, 1), 255.0)], 1).astype(np.uint8)


@lru_cache(None)
def crown_of(number: int, flipped: bool = False) -> Picture:
    """A crown lit from the upper left (``flipped``: right), uint8 [192, 192, 2]: brightness, 255 where leaves are.

    Three each of: round, slender, spruce, bare.
    """
    if flipped:
        return np.ascontiguousarray(crown_of(number)[:, ::-1])
    rng = np.random.default_rng(300 + number)
    shade, there = np.zeros((2, _SIDE, _SIDE), np.uint8)
    kind = number // 3
    if kind == 3:
        _branch(rng, shade, there, np.array([_SIDE / 2, _SIDE - 1.0]), -np.pi / 2, _SIDE * 0.26, 7.0)
        return np.stack([shade, there], -1)
    if kind == 2:
        _spruce(rng, shade, there)
        return np.stack([shade, there], -1)
    lumps = []
    for _ in range(17 if kind == 0 else 13):
        turn, out = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform()) * 0.30
        lumps.append((0.5 + np.cos(turn) * out, 0.48 + np.sin(turn) * out * 0.95, rng.uniform(0.11, 0.19)))
    lumps.sort(key=lambda lump: lump[1], reverse=True)
    for x, y, radius in lumps:
        depth = 0.35 + 0.5 * (1 - y) + 0.15 * (0.5 - x)
        for _ in range(90):
            turn, out = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform()) * radius
            u, v = x + np.cos(turn) * out, y + np.sin(turn) * out
            lit = depth + 0.34 * (-np.cos(turn) * 0.5 - np.sin(turn)) * out / radius + rng.normal(0, 0.09)
            size = max(1, int(_SIDE * rng.uniform(0.008, 0.024)))
            at = (int(u * _SIDE), int(v * _SIDE))
            cv2.circle(shade, at, size, int(np.clip(lit, 0, 1) * 255), -1)
            cv2.circle(there, at, size, 255, -1)
    return np.stack([shade, there], -1)


def _spruce(rng: np.random.Generator, shade: Picture, there: Picture) -> None:
    """Tiers of hanging twigs, the upper ones over the lower ones."""
    for tier in np.linspace(0.94, 0.04, 13).tolist():
        reach = 0.05 + 0.42 * tier
        for _ in range(int(40 + 90 * tier)):
            x = float(rng.uniform(-1, 1))
            top = tier - 0.05 + 0.03 * abs(x)
            ends = np.array([[0.5 + x * reach * 0.7, top], [0.5 + x * reach, top + float(rng.uniform(0.05, 0.11))]])
            lit = 0.72 - 0.28 * x - 0.2 * tier + float(rng.normal(0, 0.13))
            a, b = ((int(u * _SIDE), int(min(v, 0.99) * _SIDE)) for u, v in ends.tolist())
            cv2.line(shade, a, b, int(np.clip(lit, 0.05, 1) * 255), 3)
            cv2.line(there, a, b, 255, 3)


def _branch(
    rng: np.random.Generator,
    shade: Picture,
    there: Picture,
    start: np.ndarray,
    turn: float,
    length: float,
    width: float,
) -> None:
    end = start + length * np.array([np.cos(turn), np.sin(turn)])
    a, b = (int(start[0]), int(start[1])), (int(end[0]), int(end[1]))
    cv2.line(shade, a, b, int(rng.uniform(90, 200)), max(1, round(width)))
    cv2.line(there, a, b, 255, max(1, round(width)))
    if width < 1.1:
        return
    for spread in (-0.45, 0.1, 0.5):
        _branch(
            rng, shade, there, end, turn + spread + rng.normal(0, 0.14), length * rng.uniform(0.66, 0.82), width * 0.62
        )
