"""Weather and light: what they do to colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oneglance.street.canvas import Array, Colour, Veil, mix

#: The weathers that are drawn; night is one, though it rains at night too.
WEATHERS = ("clear", "rain", "fog", "snow", "night")
#: How often each of them is drawn where none is asked for.
_SHARES = (0.36, 0.18, 0.12, 0.16, 0.18)


@dataclass(frozen=True)
class Light:
    """The light of a scene.

    ``ambient``: factor on every colour that does not shine by itself; ``sun``: direction to the sun and its strength;
    ``haze``: its colour and its share a metre; ``zenith`` and ``horizon``: colours of the sky; ``clouds``: how much of
    the sky they cover and their colour.
    """

    weather: str
    ambient: Colour
    sun: Array
    strength: float
    haze: tuple[Colour, float]
    zenith: Colour
    horizon: Colour
    clouds: tuple[float, Colour]

    @property
    def night(self) -> bool:
        """Whether lamps are lit and the sky is dark."""
        return self.weather == "night"

    @property
    def snow(self) -> bool:
        """Whether snow lies on what looks up."""
        return self.weather == "snow"

    @property
    def wet(self) -> bool:
        """Whether the ground mirrors."""
        return self.weather == "rain"

    def on(self, colour: Sequence[float], shade: float = 1.0) -> Colour:
        """A colour under this light."""
        r, g, b = self.ambient
        return (colour[0] * r * shade, colour[1] * g * shade, colour[2] * b * shade)

    def facing(self, normal: Sequence[float]) -> float:
        """How bright a surface is that faces this way (a unit vector of the world), about 0.6 to 1.15."""
        sun = self.sun
        toward = normal[0] * sun[0] + normal[1] * sun[1] + normal[2] * sun[2]
        return 0.78 + 0.14 * normal[1] + self.strength * (0.34 * max(0.0, toward) - 0.06)

    def veil(self, z: float) -> Veil:
        """The haze before a thing at a distance."""
        colour, density = self.haze
        return Veil(colour, float(1 - np.exp(-density * max(0.0, z - 2))))


def choose_light(rng: np.random.Generator, weather: str | None = None) -> Light:
    """Some weather and some light; ``weather``: one of ``WEATHERS``, drawn where it is None."""
    weather = weather or WEATHERS[int(rng.choice(len(WEATHERS), p=_SHARES))]
    side = rng.choice([-1.0, 1.0])
    height = rng.uniform(0.35, 1.1)
    sun = np.array([side * np.cos(height) * rng.uniform(0.3, 1), np.sin(height), rng.uniform(-0.7, 0.5)])
    sun /= np.linalg.norm(sun)
    match weather:
        case "clear":
            return _clear(rng, sun)
        case "rain":
            grey = rng.uniform(118, 158)
            sky = (grey * 0.95, grey, grey * 1.06)
            ambient = rng.uniform(0.60, 0.74)
            return Light(
                weather, (ambient * 0.95, ambient, ambient * 1.05), sun, 0.12, (mix(sky, (150, 158, 168), 0.4), 0.009),
                mix(sky, (70, 78, 90), 0.5), sky, (0.9, mix(sky, (95, 102, 115), 0.7)),
            )  # fmt: skip
        case "fog":
            grey = rng.uniform(178, 216)
            sky = (grey * rng.uniform(0.98, 1.02), grey, grey * rng.uniform(1.0, 1.04))
            ambient = rng.uniform(0.78, 0.92)
            return Light(
                weather, (ambient, ambient, ambient), sun, 0.05, (sky, rng.uniform(0.03, 0.07)),
                mix(sky, (150, 155, 162), 0.25), sky, (0.0, sky),
            )  # fmt: skip
        case "snow":
            grey = rng.uniform(190, 222)
            sky = (grey * 0.97, grey, grey * 1.03)
            ambient = rng.uniform(0.80, 0.95)
            return Light(
                weather, (ambient * 0.97, ambient, ambient * 1.05), sun, 0.15, (sky, 0.016),
                mix(sky, (165, 175, 190), 0.6), sky, (0.5, mix(sky, (175, 182, 195), 0.6)),
            )  # fmt: skip
    dark = rng.uniform(0.40, 0.54)
    glow: Colour = [(62, 50, 62), (40, 46, 78), (74, 56, 50), (46, 40, 72)][int(rng.integers(4))]
    return Light(
        weather, (dark * 0.88, dark * 0.94, dark * 1.35), sun, 0.1, (mix(glow, (20, 22, 40), 0.4), 0.006),
        (7, 9, 24), mix(glow, (22, 26, 50), rng.uniform(0, 0.6)), (rng.uniform(0, 0.35), (40, 42, 62)),
    )  # fmt: skip


def _clear(rng: np.random.Generator, sun: Array) -> Light:
    """A fine day: morning, noon or a low golden sun."""
    hour = rng.uniform()
    if hour < 0.25:
        low = np.array([sun[0], 0.3, sun[2]])
        return Light(
            "clear", (1.06, 0.94, 0.80), low / np.linalg.norm(low), 1.0, ((244, 206, 160), 0.0045),
            (96, 140, 196), (250, rng.uniform(200, 220), rng.uniform(150, 178)),
            (rng.uniform(0, 0.5), (255, 226, 196)),
        )  # fmt: skip
    tint = rng.uniform(0.96, 1.04)
    return Light(
        "clear", (1.03 * tint, 1.01, 0.98 / tint), sun, 1.0, ((190, 210, 232), 0.0035),
        (rng.uniform(48, 92), rng.uniform(118, 150), rng.uniform(192, 222)),
        (rng.uniform(178, 205), rng.uniform(208, 222), rng.uniform(230, 242)),
        (rng.uniform(0, 0.75), (252, 252, 252)),
    )  # fmt: skip
