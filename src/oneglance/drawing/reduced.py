"""Pictures made smaller before anything is drawn into them, so that lines and text are not reduced later."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from oneglance.annotations import Annotation
from oneglance.data.geometry import Frame
from oneglance.data.warp import unwarp
from oneglance.drawing.picture import Picture


def reduced(
    image: Picture, annotations: Mapping[str, Annotation], most_hw: tuple[int, int], source_wh: tuple[int, int]
) -> tuple[Picture, dict[str, Annotation]]:
    """The image fitted into a height and width, and its annotations in pixels of what comes out; nothing is enlarged.

    Args:
        image: uint8 [H, W, 3]; it may have been decoded at a reduced size.
        annotations: in pixels of the original, masks decoded. Labels and predictions alike: nothing is marked as cut
            off or too small.
        most_hw: largest height and width.
        source_wh: width and height of the original.
    """
    width, height = source_wh
    scale = min(1.0, most_hw[0] / height, most_hw[1] / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # The frame in which the small picture is the original, seen enlarged: the way back leads into it.
    frame = Frame(np.diag([width / size[0], height / size[1], 1.0]), width, height, *size)
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, {name: unwarp(one, frame) for name, one in annotations.items()}
