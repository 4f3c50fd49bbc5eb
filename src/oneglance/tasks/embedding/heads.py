"""The heads of embeddings that are trained: from what is seen to a vector of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oneglance.recognition.neck import RowNorm, unit
from oneglance.tasks.base import Features, FeatureSpec, Outputs
from oneglance.tasks.pooling import pool_boxes
from oneglance.tasks.region_heads import RegionVector


class Vectors(nn.Module):
    """From pooled features, float [n, inputs], to vectors: one linear layer, a BNNeck, length 1.

    ``centres`` float [K, D], a row a person of the training split; K is 0 until :meth:`Embedding.learn_statistics` is
    told of the people. They are training state: a head that has none takes none over.
    """

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, dim, bias=False)
        self.norm = RowNorm(dim)
        self.centres = nn.Parameter(torch.zeros(0, dim))

    def embed(self, pooled: Tensor) -> Outputs:
        """``{"vector": float32 [n, D]}``, of length 1; in training also ``centres`` float [K, D]."""
        vector = unit(self.norm(self.linear(pooled)))
        return {"vector": vector, "centres": self.centres} if self.training else {"vector": vector}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if not len(self.centres):
            state_dict[f"{prefix}centres"] = self.centres.detach()
        super()._load_from_state_dict(state_dict, prefix, *args)


def read_at(maps: Tensor, points: Tensor) -> Tensor:
    """What maps [n, C, h, w] show at points float [n, K, 2], in shares of width and height, read between their cells:
    float32 [n, C, K]."""
    where = 2 * points[:, None] - 1
    return F.grid_sample(maps.float(), where, align_corners=False, padding_mode="border")[:, :, 0]


class EmbeddingHead(Vectors):
    """Of images: the last map under the image's content."""

    stride = 32

    def __init__(self, spec: FeatureSpec, dim: int) -> None:
        super().__init__(spec.deep, dim)

    def forward(self, features: Features) -> Outputs:
        """As :meth:`embed`."""
        maps = features.deep
        pooled = maps.mean((2, 3)) if features.content is None else pool_boxes(maps, features.content, self.stride)
        return self.embed(pooled)


class AtPoints(nn.Module):
    """What maps show at points: a few channels of each map, read between its cells, one point after another; brought to
    the mean and the spread of what was seen before."""

    def __init__(self, channels: Sequence[int], points: int) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(nn.Conv2d(c, _AT_POINT, 1) for c in channels)
        self.width = len(channels) * _AT_POINT * points
        self.norm = RowNorm(self.width)

    def forward(self, maps: Sequence[Tensor], points: Tensor) -> Tensor:
        """Float32 [n, width] from maps float [n, C, h, w] and points float [n, K, 2] in shares of width and height."""
        read = [read_at(reduce(one), points) for reduce, one in zip(self.reduce, maps, strict=True)]
        rows: Tensor = self.norm(torch.cat(read, 1).flatten(1))
        return rows


#: Channels of each map that are read at a point.
_AT_POINT = 16
#: The pyramid's levels that are read, beside the backbone's last map.
_LEVELS = (8, 16)


class PointEmbeddingHead(Vectors):
    """Of images: the pyramid and the last map at the points that another task finds (Chen et al., Blessing of
    dimensionality, 2013, describe faces by patches at landmarks)."""

    def __init__(self, spec: FeatureSpec, points: int, dim: int) -> None:
        read = AtPoints([*(spec.channels(stride) for stride in _LEVELS), spec.deep], points)
        super().__init__(read.width, dim)
        self.read = read

    def forward(self, features: Features, points: Tensor) -> Outputs:
        """As :meth:`embed`; ``points`` float [n, K, 2] in shares of the input."""
        return self.embed(self.read([*(features.level(stride) for stride in _LEVELS), features.deep], points))


class RegionPointEmbeddingHead(Vectors):
    """Of objects: their features at the points that another task finds on them."""

    def __init__(self, channels: int, points: int, dim: int) -> None:
        read = AtPoints([channels], points)
        super().__init__(read.width, dim)
        self.read = read

    def forward(self, features: Tensor, points: Tensor) -> Outputs:
        """As :meth:`embed`; ``points`` float [R, K, 2] in shares of the object's box."""
        return self.embed(self.read([features], points))


class RegionEmbeddingHead(Vectors):
    """Of objects, from their features float [R, channels, S, S]."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__(2 * channels, dim)
        self.pool = RegionVector(channels)

    def forward(self, features: Tensor) -> Outputs:
        """As :meth:`embed`."""
        return self.embed(self.pool(features))
