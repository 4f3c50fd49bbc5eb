"""Heads of tasks on objects: what they make of an object's features."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from oneglance.tasks.base import Outputs
from oneglance.tasks.imbalance import WeighedLogits
from oneglance.tasks.pyramid import conv_norm


class RegionVector(nn.Module):
    """One vector an object: two strided convolutions, the mean over what is left; float [R, 2 * channels]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(conv_norm(channels, 2 * channels, stride=2), conv_norm(2 * channels, 2 * channels))

    def forward(self, features: Tensor) -> Tensor:
        """Of features float [R, channels, S, S]."""
        pooled: Tensor = self.reduce(features).mean((2, 3))
        return pooled


class RegionLinear(WeighedLogits):
    """One row of logits an object."""

    def __init__(self, channels: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.pool = RegionVector(channels)
        self.norm = nn.LayerNorm(2 * channels)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(2 * channels, outputs)

    def forward(self, features: Tensor) -> Outputs:
        """See :meth:`WeighedLogits.outputs`."""
        return self.outputs(self.linear(self.dropout(self.norm(self.pool(features)))))


class RegionMaps(nn.Module):
    """Maps of twice the side of an object's features."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.refine = nn.Sequential(conv_norm(channels, channels), conv_norm(channels, channels))
        self.finish = conv_norm(channels, channels)
        self.maps = nn.Conv2d(channels, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Float [R, outputs, 2 S, 2 S]."""
        fine = F.interpolate(self.refine(features), scale_factor=2.0, mode="bilinear", align_corners=False)
        maps: Tensor = self.maps(self.finish(fine))
        return maps
