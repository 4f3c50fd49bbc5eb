"""Colour varied from one look at an image to the next.

Brightness, contrast, saturation and hue are one 3x3 matrix and an offset, applied in a single pass: hue as a
rotation in the YIQ space, as colour television does it: torchvision's kernels, one after the other, take far
longer. Nothing is clipped between the steps, so their order hardly matters.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from oneglance.data.augment import AugmentSettings

Image = NDArray[np.uint8]

#: Brightness as the eye weighs red, green and blue (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114])
_TO_YIQ = np.array([LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)
# A change of saturation and hue is a sum of these: brightness stays, the two coordinates of colour are scaled, turned.
_STAYS = _FROM_YIQ[:, :1] @ _TO_YIQ[:1]
_SCALED = _FROM_YIQ[:, 1:] @ _TO_YIQ[1:]
_TURNED = _FROM_YIQ[:, 1:] @ np.array([[0, 1], [-1, 0]]) @ _TO_YIQ[1:]


def jitter(image: Image, rng: np.random.Generator, settings: AugmentSettings, *, into: Image | None = None) -> Image:
    """An image uint8 [H, W, 3] with its colours changed as drawn from ``rng``, uint8 [H, W, 3].

    Brightness and contrast are factors 1 +- strength, contrast about the image's mean brightness; saturation
    is a factor 1 +- strength on the distance from grey; hue is an angle. ``into``: write into this array (the image
    itself, if need be) instead of a new one.
    """
    *varied, grey, blur, sigma, noise = rng.random(8).tolist()
    strengths = (settings.brightness, settings.contrast, settings.saturation, settings.hue)
    brightness, contrast, saturation, hue = (s * (2 * v - 1) for s, v in zip(strengths, varied, strict=True))
    brightness, contrast, saturation = 1 + brightness, 1 + contrast, 1 + saturation
    turn = 2 * math.pi * hue
    if grey < settings.grey:
        saturation = 0.0
    out = image.copy() if into is None else into
    if (brightness, contrast, saturation, turn) != (1, 1, 1, 0):
        change = np.empty((3, 4), np.float32)
        change[:, :3] = brightness * contrast * colour_matrix(saturation, turn)
        change[:, 3] = 0 if contrast == 1 else (1 - contrast) * brightness * _brightness(image)
        cv2.transform(image, change, dst=out)
    elif out is not image:
        out[:] = image
    if blur < settings.blur:
        cv2.GaussianBlur(out, (0, 0), 0.4 + 1.1 * sigma, dst=out)
    if settings.noise:
        deviation = 255 * settings.noise * noise
        drawn = rng.standard_normal(out.shape, np.float32)
        drawn *= deviation
        cv2.add(out, drawn, dst=out, dtype=cv2.CV_8U)  # rounded, and cut off at 0 and 255
    return out


def _brightness(image: Image) -> float:
    """The image's mean brightness."""
    red, green, blue, _ = cv2.mean(image)
    return float(LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)


def colour_matrix(saturation: float, turn: float) -> NDArray[np.float64]:
    """The matrix [3, 3] on RGB that multiplies the distance from grey and turns the hue (radians).

    A positive angle turns red towards yellow. Brightness (luma) stays, and so does every grey.
    """
    if saturation == 1 and turn == 0:
        return np.eye(3)
    c, s = saturation * math.cos(turn), saturation * math.sin(turn)
    return _STAYS + c * _SCALED + s * _TURNED
