"""One backbone, and each group of tasks attends to its maps (MTAN: Liu, Johns, Davison, CVPR 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oneglance.network.cut import Cut
from oneglance.network.sharing.base import Sharing, Start, Wanted, features_of, narrowed, neck_in
from oneglance.tasks.base import Features

#: A mask is made through the map's channels divided by this, at least LEAST.
NARROWING, LEAST = 4, 16


class Attention(nn.Module):
    """A group's masks over the maps of a backbone.

    Each is made from the shared map and from what the group took of the map before, brought to its size. In the paper's
    networks a stage has an inner map beside its last; a backbone's stage here has the last alone. The convolutions
    between stages are depthwise with a pointwise one after, so that a group costs little on any backbone.
    """

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.masks, self.onward = nn.ModuleList(), nn.ModuleList()
        for number, width in enumerate(channels):
            inner = max(width // NARROWING, LEAST)
            inputs = width if number == 0 else 2 * width
            squeeze = [nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(inplace=True)]
            mask = [nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width), nn.Sigmoid()]
            self.masks.append(nn.Sequential(*squeeze, *mask))
            if number + 1 < len(channels):
                further = channels[number + 1]
                around = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
                across = nn.Conv2d(width, further, 1, bias=False)
                norm = nn.BatchNorm2d(further)
                self.onward.append(nn.Sequential(around, across, norm, nn.ReLU(inplace=True)))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """The group's maps, of the same shapes."""
        taken: list[Tensor] = []
        for number, one in enumerate(maps):
            at = one
            if taken:
                before = F.adaptive_max_pool2d(self.onward[number - 1](taken[-1]), one.shape[-2:])
                at = torch.cat([one, before], 1)
            taken.append(self.masks[number](at) * one)
        return taken


class Mtan(Sharing):
    """The whole backbone is shared; the attention and the neck are each group's own."""

    shared = ("backbone",)

    def build(self, start: Start) -> dict[str, nn.Module]:
        self.backbone = start.backbone
        self.trunks = nn.ModuleDict()
        with torch.random.fork_rng(devices=()):
            attention = Attention(start.backbone.channels)
            for group in self.groups:
                neck = start.neck_for(group)
                own = Attention(start.backbone.channels)
                own.load_state_dict(attention.state_dict())  # all groups begin alike, whatever their order
                self.trunks[group] = nn.ModuleDict({"attention": own, "neck": neck})
                self.specs[group] = start.spec(neck)
        return {"backbone": self.backbone, "trunks": self.trunks}

    def look(
        self, images: Tensor, wanted: Wanted, content: Tensor | None, cut: Cut | None, deep: bool
    ) -> dict[str, Features]:
        shared = self.backbone(images)
        if cut is not None:
            cut.compare_at(shared)
            shared = [cut(one) for one in shared]
        found = {}
        for group, rows in wanted.items():
            own = self.own[group]
            taken = own["attention"]([narrowed(one, rows) for one in shared])
            found[group] = features_of(taken, neck_in(own), content, rows)
        return found
