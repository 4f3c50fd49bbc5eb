"""The whole network: one trunk, a head for each task, each head run on the images labelled for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from oneglance.network.depthwise import quicken_depthwise
from oneglance.network.neck import Neck
from oneglance.network.trunk import Backbone, TrunkSettings
from oneglance.tasks.base import Features, FeatureSpec, Outputs, Task

#: Heights and widths of the input are multiples of this.
STRIDE = 32


class Network(nn.Module):
    """Trunk and heads. A frozen task's head keeps its weights and its BatchNorm statistics."""

    def __init__(self, tasks: Mapping[str, Task[Any]], trunk: TrunkSettings) -> None:
        super().__init__()
        self.backbone = Backbone(trunk)
        finest = min((task.finest_stride for task in tasks.values()), default=8)
        self.neck = Neck(self.backbone.reductions, self.backbone.channels, trunk.channels, finest)
        spec = FeatureSpec(self.backbone.channels[-1], self.neck.channels)
        self.heads = nn.ModuleDict({name: task.head(spec) for name, task in tasks.items()})
        quicken_depthwise(self)
        # Convolutions are faster so, on CPUs and on GPUs: benchmarks/layout.py measures it.
        self.to(memory_format=torch.channels_last)
        self._frozen = [name for name, task in tasks.items() if task.settings.freeze]
        for name in self._frozen:
            self.heads[name].requires_grad_(False)

    def features(self, images: Tensor, content: Tensor | None = None) -> Features:
        """What the trunk sees in images uint8 [B, 3, H, W], H and W multiples of 32.

        ``content``: the boxes x1 y1 x2 y2 in which the images lie, float [B, 4]; None: they fill the input.
        """
        maps = self.backbone(images)
        return Features(maps[-1], self.neck(maps), content=content)

    def forward(
        self, images: Tensor, rows: Mapping[str, Tensor] | None = None, content: Tensor | None = None
    ) -> dict[str, Outputs]:
        """Raw outputs by task. With ``rows`` (int64 [n] by task): of the tasks named there, on those images only.

        ``content``: as for :meth:`features`.
        """
        features = self.features(images, content)
        if rows is None:
            return {name: head(features) for name, head in self.heads.items()}
        return {name: self.heads[name](features.of(at)) for name, at in rows.items()}

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        for name in self._frozen:
            self.heads[name].eval()
        return self
