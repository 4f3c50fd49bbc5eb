"""Where things of the world are seen: metres into pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oneglance.street.canvas import Array

NEAR = 0.35


@dataclass(frozen=True)
class Camera:
    """A camera that looks straight along the street.

    The world: metres; x to the right of the middle of the road, y up from the ground, z ahead of the camera. ``focal``
    in pixels; ``height`` above the ground and ``x`` beside the middle of the road in metres; ``centre``: the vanishing
    point in pixels.
    """

    focal: float
    height: float
    x: float
    centre: tuple[float, float]

    def project(self, points: Array) -> Array:
        """World points [..., 3] as image points [..., 2]; what is nearer than ``NEAR`` is taken at that distance."""
        scale = self.focal / np.maximum(points[..., 2], NEAR)
        made = np.empty((*points.shape[:-1], 2))
        made[..., 0] = scale * (points[..., 0] - self.x) + self.centre[0]
        made[..., 1] = scale * (self.height - points[..., 1]) + self.centre[1]
        return made

    def ground(self, x: float, z: float) -> tuple[float, float]:
        """Where a point on the ground is seen."""
        scale = self.focal / max(z, NEAR)
        return self.centre[0] + scale * (x - self.x), self.centre[1] + scale * self.height

    def scale(self, z: float) -> float:
        """Pixels a metre at a distance."""
        return self.focal / max(z, NEAR)
