"""Lamps and signs at the kerb. No class of the ground is theirs: in the truth they are void."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oneglance.street.camera import Camera
from oneglance.street.canvas import Colour, Drawn, Sprite, unit_circle, window_of
from oneglance.street.light import Light

#: Rim, field and bar of the signs.
_SIGNS: tuple[tuple[Colour, Colour, Colour], ...] = (
    ((190, 30, 36), (244, 242, 238), (28, 28, 30)), ((30, 76, 160), (30, 76, 160), (244, 244, 244)),
    ((190, 30, 36), (190, 30, 36), (246, 246, 244)),
)  # fmt: skip


@dataclass(frozen=True)
class Post:
    """A post: ``what``: lamp, sign or lights; ``side``: -1 left, 1 right of the road."""

    what: str
    at: tuple[float, float]
    side: int
    tall: float
    number: int


def draw_post(post: Post, camera: Camera, size: tuple[int, int], light: Light) -> Drawn | None:
    """Draw a post; None where it is not in the image (width, height)."""
    x, z = post.at
    arm = -post.side * (1.5 if post.what == "lamp" else 0.35)
    bounds = camera.project(np.array([[min(x, x + arm) - 0.4, 0, z], [max(x, x + arm) + 0.4, post.tall + 0.3, z]]))
    window = window_of(bounds, size)
    if window is None:
        return None
    sprite = Sprite(window, 3)
    scale = camera.scale(z)

    def at(dx: float, y: float) -> tuple[float, float]:
        px, py = camera.project(np.array([x + dx, y, z])).tolist()
        return px, py

    metal = light.on((86, 90, 94))
    lamps: list[tuple[tuple[float, float], float, Colour]] = []
    sprite.line(np.array([at(0, 0), at(0, post.tall - 0.1)]), metal, max(0.7, 0.11 * scale))
    if post.what == "lamp":
        sprite.line(
            np.array([at(0, post.tall - 0.5), at(arm * 0.25, post.tall - 0.05), at(arm, post.tall)]),
            metal,
            max(0.6, 0.08 * scale),
        )
        head = [
            at(arm * 0.72, post.tall + 0.1),
            at(arm * 1.12, post.tall + 0.08),
            at(arm * 1.1, post.tall - 0.08),
            at(arm * 0.75, post.tall - 0.08),
        ]
        warm: Colour = (255, 226, 168)
        sprite.poly(np.array(head), warm if light.night else light.on((206, 208, 204)))
        if light.night:
            lamps.append((at(arm * 0.92, post.tall - 0.05), 1.15 * scale, warm))
    elif post.what == "sign":
        centre, radius = at(0, post.tall - 0.3), 0.33 * scale
        ring, field, bar = _SIGNS[post.number % 3]
        circle = unit_circle(20) if post.number % 4 else unit_circle(8)
        bright = 1.6 if light.night else 1.0
        sprite.poly(circle * radius + centre, light.on(ring, bright))
        sprite.poly(circle * radius * 0.78 + centre, light.on(field, bright))
        sprite.poly(
            np.array([(-0.5, -0.16), (0.5, -0.16), (0.5, 0.16), (-0.5, 0.16)]) * radius + centre, light.on(bar, bright)
        )
    else:
        box = [at(-0.17, post.tall), at(0.17, post.tall), at(0.17, post.tall - 0.95), at(-0.17, post.tall - 0.95)]
        sprite.poly(np.array(box), light.on((30, 32, 34)))
        shining = post.number % 3
        for k, colour in enumerate(((240, 50, 40), (250, 190, 50), (60, 220, 120))):
            centre = at(0, post.tall - 0.18 - 0.29 * k)
            sprite.disc(centre, 0.11 * scale, colour if k == shining else light.on((52, 50, 48)))
            if k == shining and light.weather != "clear":
                lamps.append((centre, 0.45 * scale, colour))
    return Drawn(sprite, None, lamps, False, at(0, 0)[1])
