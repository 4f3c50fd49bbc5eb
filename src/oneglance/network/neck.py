"""The neck: a pyramid in which every level knows both detail and context (PANet, Liu et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, momentum=0.03, eps=1e-3),
        nn.SiLU(inplace=True),
    )


class Fuse(nn.Module):
    """Two maps of one size into one: concatenated, split in halves, one of which is refined (cross-stage partial)."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.plain, self.deep = _conv(inputs, half), _conv(inputs, half)
        self.refine = nn.Sequential(_conv(half, half, 3), _conv(half, half, 3))
        self.out = _conv(channels, channels)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Float [B, channels, H, W]."""
        both = torch.cat([one, other], 1)
        deep = self.deep(both)
        fused: Tensor = self.out(torch.cat([self.plain(both), deep + self.refine(deep)], 1))
        return fused


class Neck(nn.Module):
    """Top-down, then bottom-up, over strides 8, 16 and 32; with ``finest=4``, stride 4 is added by one lateral step.

    ``channels`` [(stride, channels)] of the levels it gives, finest first.
    """

    def __init__(self, reductions: list[int], channels: list[int], width: int, finest: int) -> None:
        super().__init__()
        self.reductions = reductions
        self.finest = finest if 4 in reductions else 8
        self.laterals = nn.ModuleDict(
            {str(r): _conv(c, width) for r, c in zip(reductions, channels, strict=True) if r >= 8}
        )
        self.down16, self.down8 = Fuse(2 * width, width), Fuse(2 * width, width)
        self.pool8, self.pool16 = _conv(width, width, 3, 2, groups=width), _conv(width, width, 3, 2, groups=width)
        self.up16, self.up32 = Fuse(2 * width, width), Fuse(2 * width, width)
        fine = max(width // 2, 16)
        if self.finest == 4:
            self.lateral4 = _conv(dict(zip(reductions, channels, strict=True))[4], fine)
            self.reduce8 = _conv(width, fine)
            self.out4 = _conv(fine, fine, 3)
        self.channels = (((4, fine),) if self.finest == 4 else ()) + ((8, width), (16, width), (32, width))

    def forward(self, maps: list[Tensor]) -> dict[int, Tensor]:
        """The pyramid by stride, finest first, from the backbone's maps."""
        by = dict(zip(self.reductions, maps, strict=True))
        c8, c16, c32 = (self.laterals[str(r)](by[r]) for r in (8, 16, 32))
        p16 = self.down16(_up(c32, c16), c16)
        p8 = self.down8(_up(p16, c8), c8)
        n16 = self.up16(self.pool8(p8), p16)
        n32 = self.up32(self.pool16(n16), c32)
        pyramid = {8: p8, 16: n16, 32: n32}
        if self.finest == 4:
            p4 = self.lateral4(by[4])
            pyramid = {4: self.out4(p4 + _up(self.reduce8(p8), p4)), **pyramid}
        return pyramid


def _up(coarse: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(coarse, like.shape[-2:], mode="nearest")
