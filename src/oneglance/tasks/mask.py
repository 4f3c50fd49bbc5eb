"""Masks: which pixels belong to the object?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from oneglance.annotations import FloatArray, Instance, Rle, Segments, changed
from oneglance.data.geometry import Frame
from oneglance.errors import OneglanceError
from oneglance.formats import rle as runs
from oneglance.tasks.base import FeatureSpec, Outputs, Statement, Targets, Task, TaskSettings
from oneglance.tasks.object_metric import ObjectPrecision
from oneglance.tasks.region_heads import RegionMaps

#: Cells of the drawn target, to each side, and how much of the box's side it shows beyond each edge of the box.
TARGET, MARGIN = 64, 0.25
#: Fractional bits of a polygon's coordinates when it is drawn.
_SHIFT = 8


class MaskSettings(TaskSettings):
    """`kind: mask`: which pixels belong to the object? Of a detection task's objects only."""

    kind: Literal["mask"] = "mask"


class RegionMask(nn.Module):
    """One map an object, whatever its class."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.maps = RegionMaps(channels, 1)

    def forward(self, features: Tensor) -> Outputs:
        """``{"logits": float [R, 2 S, 2 S]}``."""
        return {"logits": self.maps(features)[:, 0]}


class Mask(Task[MaskSettings]):
    """A mask for each object, in its box (He et al. 2017); scored by COCO's AP over the overlap of masks."""

    kind = "mask"
    annotation = Segments
    carrier = "shape"
    on_image = False
    finest_stride = 4
    score = "map"
    score_means = "COCO's mean average precision: how far all objects are found, and nothing else, by masks that fit"

    def of_object(self, item: Instance) -> Any:
        return item if item.polygons or item.rle is not None else None

    def with_answer(self, item: Instance, answer: Rle) -> Instance:
        return changed(item, {"rle": answer, "polygons": None})

    def encode(self, annotation: Instance, frame: Frame) -> dict[str, np.ndarray]:
        """``mask`` uint8 [64, 64], 255 on the object, of the ``window`` float32 [4] (shares of the input) round its
        box."""
        box = annotation.box
        if box is None:
            raise ValueError("an object without a box has no window for its mask")
        margin = MARGIN * np.maximum(box[2:] - box[:2], 1)
        window = np.concatenate([box[:2] - margin, box[2:] + margin]).astype(np.float32)
        size = np.array([frame.width, frame.height] * 2, np.float32)
        return {"mask": _drawn(annotation, window), "window": window / size}

    def head(self, spec: FeatureSpec) -> nn.Module:
        raise NotImplementedError("a mask is asked of objects")

    def region_head(self, channels: int) -> nn.Module:
        return RegionMask(channels)

    def cut_targets(self, targets: Targets, boxes: Tensor) -> Targets:
        """``{"mask": float [R, 28, 28]}``: the share of each cell of the boxes that is the object's."""
        low, high = targets["window"][:, :2], targets["window"][:, 2:]
        scale = TARGET / (high - low).clamp(min=1e-6)
        cells = torch.cat([(boxes[:, :2] - low) * scale, (boxes[:, 2:] - low) * scale], 1)
        number = torch.arange(len(cells), device=cells.device, dtype=cells.dtype)
        drawn = targets["mask"][:, None].float() / 255
        return {"mask": roi_align(drawn, torch.cat([number[:, None], cells], 1), 28, 1.0, 2, aligned=True)[:, 0]}

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        logits, truth = outputs["logits"].float(), targets["mask"]
        each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((1, 2))
        chances = logits.sigmoid()
        both, either = (chances * truth).sum((1, 2)), (chances + truth).sum((1, 2))
        return {"pixel": each.mean(), "dice": (1 - (2 * both + 1) / (either + 1)).mean()}

    def decode(self, outputs: Outputs, frames: Sequence[Frame]) -> list[Any]:
        """Run lengths in original pixels; ``frames``: how each object's box lies in its image."""
        chances = outputs["logits"].float().sigmoid().cpu().numpy()
        return [pasted(one, frame) for one, frame in zip(chances, frames, strict=True)]

    def statement(self, outputs: Outputs, empty: Outputs, about: str | None, number: int) -> Statement | None:
        """The mean logit over the mask; None where it is empty."""
        if about is not None:
            raise OneglanceError(f"task {self.name!r} has no names to be explained: leave {about!r} out")
        mask = (outputs["logits"][0] > 0).float()
        if not mask.any():
            return None
        return Statement("its mask", lambda outputs: (outputs["logits"] * mask).sum((1, 2)) / mask.sum())

    def metric(self) -> ObjectPrecision:
        return ObjectPrecision(self.asked_classes, "segm")

    def quality(self, predicted: Rle, truth: Instance) -> float:
        """The overlap (IoU) of the masks."""
        if predicted is None or predicted.size == (0, 0):
            return float("nan")
        one = runs.decode(predicted)
        other = runs.decode(truth.rle) if truth.rle is not None else _filled(truth, predicted.size)
        union = np.count_nonzero(one | other)
        return float(np.count_nonzero(one & other) / union) if union else float("nan")


def _drawn(item: Instance, window: FloatArray) -> np.ndarray:
    """What the window (input pixels) shows of an object, uint8 [64, 64]: drawn at twice the size, then averaged."""
    fine = 2 * TARGET
    scale = fine / np.maximum(window[2:] - window[:2], 1e-6)
    canvas = np.zeros((fine, fine), np.uint8)
    if item.polygons:
        for part in item.polygons:
            # OpenCV's coordinates name the centres of pixels.
            cells = ((part - window[:2]) * scale - 0.5) * (1 << _SHIFT)
            cv2.fillPoly(canvas, [np.round(cells).astype(np.int32)], 255, shift=_SHIFT)
    elif item.rle is not None:
        mask = np.ascontiguousarray(runs.decode(item.rle)).view(np.uint8) * np.uint8(255)
        x, y = window[:2]
        matrix = np.array([[1 / scale[0], 0, x + 0.5 / scale[0] - 0.5], [0, 1 / scale[1], y + 0.5 / scale[1] - 0.5]])
        canvas = cv2.warpAffine(mask, matrix, (fine, fine), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return cv2.resize(canvas, (TARGET, TARGET), interpolation=cv2.INTER_AREA)


def pasted(chances: np.ndarray, frame: Frame) -> Rle:
    """A mask in original pixels from the chances in its box, float32 [S, S].

    ``frame`` takes original pixels to the box, upright, as :func:`oneglance.data.regions.region_frame` makes it. A
    pixel belongs to the object where the chance at its centre, read between the cells' centres, is a half or more.
    """
    size = (frame.source_height, frame.source_width)
    sx, sy, x, y = frame.matrix[0, 0], frame.matrix[1, 1], frame.matrix[0, 2], frame.matrix[1, 2]
    cells_x, cells_y = chances.shape[1] / frame.width, chances.shape[0] / frame.height
    x1, x2 = -x / sx, (frame.width - x) / sx
    y1, y2 = -y / sy, (frame.height - y) / sy
    # The pixels whose centres lie in the box.
    left, right = (min(max(int(np.ceil(v - 0.5)), 0), size[1]) for v in (x1, x2))
    top, bottom = (min(max(int(np.ceil(v - 0.5)), 0), size[0]) for v in (y1, y2))
    if right <= left or bottom <= top:
        return Rle(size, (size[0] * size[1],))
    ax, ay = sx * cells_x, sy * cells_y
    matrix = np.array([[ax, 0, (left + 0.5) * ax + x * cells_x - 0.5], [0, ay, (top + 0.5) * ay + y * cells_y - 0.5]])
    read = cv2.warpAffine(
        chances, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return runs.encode_part(read >= 0.5, left, top, size)


def _filled(item: Instance, size: tuple[int, int]) -> np.ndarray:
    """The polygons of an object as a mask, bool [H, W]."""
    canvas = np.zeros(size, np.uint8)
    for part in item.polygons or ():
        cv2.fillPoly(canvas, [np.round((part - 0.5) * (1 << _SHIFT)).astype(np.int32)], 1, shift=_SHIFT)
    return canvas.view(bool)
