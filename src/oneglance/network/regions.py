"""Features of objects: what the shared pyramid shows in their boxes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from oneglance.tasks.base import Features, FeatureSpec

#: Cells of an object's features, to each side.
SIDE = 14
#: Points that are read in each cell, to each side.
SAMPLES = 2


class Regions(nn.Module):
    """Features of objects, shared by all tasks that ask about them (RoIAlign, He et al. 2017).

    Each object is read from the pyramid's level whose cells are nearest to a 14th of its side (Lin et al. 2017 choose
    alike), so that large and small ones are seen at one scale. The cost grows with the objects, not with the tasks.
    """

    def __init__(self, spec: FeatureSpec, channels: int) -> None:
        super().__init__()
        self.strides = tuple(stride for stride, _ in spec.pyramid)
        self.even = nn.ModuleDict(
            {str(stride): nn.Conv2d(c, channels, 1) for stride, c in spec.pyramid if c != channels}
        )
        self.channels = channels

    def forward(self, features: Features, rows: Tensor, boxes: Tensor) -> Tensor:
        """Float [R, channels, 14, 14] of objects in images ``rows`` int64 [R], whose ``boxes`` float [R, 4] are
        x1 y1 x2 y2 in shares of the input's width and height."""
        finest = features.level(self.strides[0])
        height, width = finest.shape[-2] * self.strides[0], finest.shape[-1] * self.strides[0]
        pixels = boxes.float() * boxes.new_tensor([width, height, width, height])
        level = levels_of(pixels, self.strides)
        out = finest.new_zeros((len(rows), self.channels, SIDE, SIDE))
        indexed = torch.cat([features.places(rows)[:, None].to(pixels.dtype), pixels], 1)
        for number, stride in enumerate(self.strides):
            mine = (level == number).nonzero()[:, 0]
            if not len(mine):
                continue
            seen = features.level(stride)
            if str(stride) in self.even:
                seen = self.even[str(stride)](seen)
            # In float32: half-precision coordinates would be off by pixels.
            cut = roi_align(seen.float(), indexed[mine], SIDE, 1 / stride, SAMPLES, aligned=True)
            out = out.index_copy(0, mine, cut.to(out.dtype))
        return out


def levels_of(boxes: Tensor, strides: tuple[int, ...]) -> Tensor:
    """The level that each of ``boxes`` float [R, 4], in pixels, is read from: int64 [R], 0 the finest."""
    side = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).clamp(min=1).sqrt()
    number = torch.log2(side / (SIDE * strides[0])).round().long()
    return number.clamp(0, len(strides) - 1)


def jittered(boxes: Tensor, amount: float) -> Tensor:
    """Boxes float [R, 4] moved and stretched at random: the centre by up to ``amount`` of the sides, the sides by up
    to twice that, so that heads learn to answer for boxes that are found."""
    centre, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    drawn = 2 * torch.rand(len(boxes), 4, device=boxes.device) - 1
    centre = centre + amount * drawn[:, :2] * sides
    half = sides * (1 + 2 * amount * drawn[:, 2:]) / 2
    return torch.cat([centre - half, centre + half], 1).clamp(0, 1)
