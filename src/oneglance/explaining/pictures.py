"""An image with what each task looked at, side by side."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from oneglance.data.geometry import invert, warp_boxes
from oneglance.drawing import Picture, sheet
from oneglance.explaining.attribution import Heat, Question, View, in_content

#: Largest height and width of one picture.
SIDE = 320
#: The share of the highest heats that get the full colour, so that one hot pixel does not hide all others.
_TOP = 0.995
#: How strongly a full colour covers the image.
_COVER = 0.65


def side_by_side(view: View, questions: Mapping[str, Question | None], heats: Mapping[str, Heat]) -> Picture:
    """The image, then the image under each task's heat map, what was traced above it, uint8 [H, W, 3]; a task that says
    nothing has the bare image, and its title says so. Each map is coloured by its own highest heat."""
    height, width = view.picture.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = np.asarray(cv2.resize(view.picture, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    pictures, titles = [small], ["the image"]
    for name, question in questions.items():
        if question is None:
            pictures.append(small)
            titles.append(f"{name}: says nothing")
            continue
        drawn = over(small, in_content(heats[name], view.frame, size))
        if question.box is not None:
            box = warp_boxes(np.asarray(question.box)[None], invert(view.frame.matrix))[0] * scale
            x1, y1, x2, y2 = (round(float(one)) for one in box)
            cv2.rectangle(drawn, (x1, y1), (x2, y2), (255, 255, 255), 2)
            cv2.rectangle(drawn, (x1, y1), (x2, y2), (20, 20, 20), 1)
        pictures.append(drawn)
        titles.append(question.text if heats[name].any() else f"{question.text} (nothing speaks for it there)")
    return sheet(pictures, columns=min(4, len(pictures)), cell=(SIDE, SIDE), titles=titles)


def over(image: Picture, heat: Heat) -> NDArray[np.uint8]:
    """The image uint8 [H, W, 3] under a heat map of its size: the hotter, the more it is covered, from violet to
    yellow (inferno), so that the order is seen without colours as well. No heat, no cover."""
    import matplotlib

    top = float(np.quantile(heat[heat > 0], _TOP)) if (heat > 0).any() else 1.0
    share = np.clip(heat / top, 0, 1) if top > 0 else np.zeros_like(heat)
    colours = matplotlib.colormaps["inferno"](share)[..., :3] * 255
    cover = (_COVER * np.sqrt(share))[..., None]
    return np.asarray(np.round((1 - cover) * image + cover * colours), np.uint8)
