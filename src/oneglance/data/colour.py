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


def jitter(image: Image, rng: np.random.Generator, settings: AugmentSettings) -> Image:
    """An image uint8 [H, W, 3] with its colours changed as drawn from ``rng``, uint8 [H, W, 3].

    Brightness and contrast are factors 1 +- strength, contrast about the image's mean brightness; saturation
    is a factor 1 +- strength on the distance from grey; hue is an angle.
    """
    brightness, contrast, saturation = (
        1 + strength * rng.uniform(-1, 1) for strength in (settings.brightness, settings.contrast, settings.saturation)
    )
    turn = 2 * math.pi * settings.hue * rng.uniform(-1, 1)
    grey, blur, sigma, noise = rng.random(4)
    if grey < settings.grey:
        saturation = 0.0
    matrix = brightness * contrast * colour_matrix(saturation, turn)
    offset = 0.0
    if contrast != 1:
        offset = (1 - contrast) * brightness * float(LUMA @ cv2.mean(image)[:3])
    if (brightness, contrast, saturation, turn) != (1, 1, 1, 0):
        image = cv2.transform(image, np.column_stack([matrix, np.full(3, offset)]).astype(np.float32))
    if blur < settings.blur:
        image = cv2.GaussianBlur(image, (0, 0), 0.4 + 1.1 * sigma)
    if settings.noise:
        deviation = 255 * settings.noise * noise
        drawn = rng.standard_normal(image.shape, np.float32)
        drawn *= deviation
        image = cv2.add(image, drawn, dtype=cv2.CV_8U)  # rounded, and cut off at 0 and 255
    return image


def colour_matrix(saturation: float, turn: float) -> NDArray[np.float64]:
    """The matrix [3, 3] on RGB that multiplies the distance from grey and turns the hue (radians).

    A positive angle turns red towards yellow. Brightness (luma) stays, and so does every grey.
    """
    if saturation == 1 and turn == 0:
        return np.eye(3)
    c, s = saturation * math.cos(turn), saturation * math.sin(turn)
    return _FROM_YIQ @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]]) @ _TO_YIQ
