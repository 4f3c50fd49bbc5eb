"""One fine map from the whole pyramid: what tasks on pixels and points look at."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oneglance.tasks.base import Features, FeatureSpec


def conv_norm(inputs: int, outputs: int, kernel: int = 3, groups: int = 1, stride: int = 1) -> nn.Sequential:
    """Convolution, GroupNorm, SiLU. GroupNorm, since a step may hold a handful of a task's images or objects."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.GroupNorm(8, outputs),
        nn.SiLU(inplace=True),
    )


class PyramidMerge(nn.Module):
    """Each level through a convolution, brought to the finest stride, summed (Panoptic FPN, Kirillov et al. 2019)."""

    def __init__(self, spec: FeatureSpec, width: int) -> None:
        super().__init__()
        self.strides = tuple(stride for stride, _ in spec.pyramid)
        self.laterals = nn.ModuleDict({str(s): conv_norm(c, width) for s, c in spec.pyramid})
        self.refine = conv_norm(width, width)

    def forward(self, features: Features) -> Tensor:
        """Float [n, width, H/s, W/s] at the finest stride s."""
        finest, *coarser = self.strides
        merged: Tensor = self.laterals[str(finest)](features.level(finest))
        for stride in coarser:
            level = self.laterals[str(stride)](features.level(stride))
            merged = merged + F.interpolate(level, merged.shape[-2:], mode="bilinear", align_corners=False)
        refined: Tensor = self.refine(merged)
        return refined


def grid_of(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Centres of cells in cells, x float [W] and y float [H]."""
    xs = torch.arange(width, device=device, dtype=torch.float32) + 0.5
    ys = torch.arange(height, device=device, dtype=torch.float32) + 0.5
    return xs, ys
