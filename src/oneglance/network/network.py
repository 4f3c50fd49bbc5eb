"""The whole network: one trunk, a head for each task, each head run on the images labelled for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from oneglance.network.cut import Cut
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

    def features(self, images: Tensor, cut: Cut | None = None) -> Features:
        """What the trunk sees in images uint8 [B, 3, H, W], H and W multiples of 32; ``cut``: see :class:`Cut`."""
        maps = self.backbone(images)
        pyramid = self.neck(maps)
        if cut is None:
            return Features(maps[-1], pyramid)
        cut.compare_at(maps if self._looks_at_backbone else list(pyramid.values()))
        return Features(cut(maps[-1]), {stride: cut(level) for stride, level in pyramid.items()})

    def forward(
        self, images: Tensor, rows: Mapping[str, Tensor] | None = None, cut: Cut | None = None
    ) -> dict[str, Outputs]:
        """Raw outputs by task. With ``rows`` (int64 [n] by task): of the tasks named there, on those images only."""
        features = self.features(images, cut)
        if rows is None:
            return {name: head(features) for name, head in self.heads.items()}
        return {name: self.heads[name](features.of(at)) for name, at in rows.items()}

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters of the trunk that learn."""
        for name, parameter in self.named_parameters():
            if not name.startswith("heads.") and parameter.requires_grad:
                yield parameter

    @cached_property
    def _looks_at_backbone(self) -> bool:
        """Whether a head looks at the backbone's last map: then the pyramid is not all that tasks have in common."""
        training = self.training
        self.eval()
        looked: list[bool] = []

        class Watched(Features):
            @property
            def deep(self) -> Tensor:
                looked.append(True)
                return super().deep

        with torch.no_grad():
            device = next(self.parameters()).device
            maps = self.backbone(torch.zeros(1, 3, 64, 64, device=device))
            features = Watched(maps[-1], self.neck(maps))
            for name, head in self.heads.items():
                if name not in self._frozen:
                    head(features)
        self.train(training)
        return bool(looked)

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        for name in self._frozen:
            self.heads[name].eval()
        return self
