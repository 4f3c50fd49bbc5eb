"""A frozen backbone for all tasks, with small modules for each group (Rebuffi, Bilen, Vedaldi, NeurIPS 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oneglance.network.cut import Cut
from oneglance.network.sharing.base import Sharing, Start, Wanted, features_of, narrowed, neck_in
from oneglance.network.stages import split
from oneglance.tasks.base import Features

#: The fewest channels within an adapter.
LEAST = 8


class Adapter(nn.Module):
    """Adds to a map what a narrow path makes of it: nothing at first, since its last layer begins with zeros.

    There is no BatchNorm in it, so that an adapter says the same of an image whatever else is in the batch.
    """

    def __init__(self, channels: int, narrowing: int) -> None:
        super().__init__()
        inner = max(channels // narrowing, LEAST)
        self.down = nn.Conv2d(channels, inner, 1)
        self.around = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.up = nn.Conv2d(inner, channels, 1)
        nn.init.zeros_(self.up.weight)
        assert self.up.bias is not None
        nn.init.zeros_(self.up.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Float [B, C, H, W], of the same shape."""
        added: Tensor = self.up(nn.functional.silu(self.around(nn.functional.silu(self.down(maps)))))
        return maps + added


class Adapters(Sharing):
    """The backbone keeps its weights and its BatchNorm statistics; adapters and, by default, necks learn. Before they
    have learnt, it answers as one trunk for all tasks would: necks have all levels that one neck for all has.

    ``where: stages``: a group's adapter after a stage changes what the later stages see, so that the backbone runs once
    for each group, on its images. ``where: maps``: it runs once for all, and adapters are at its maps.
    """

    def build(self, start: Start) -> dict[str, nn.Module]:
        settings, backbone = self.settings, start.backbone
        assert settings.narrowing is not None
        frozen = backbone.settings.model_copy(update={"freeze": True})
        backbone.settings = frozen
        backbone.requires_grad_(False)
        self.stages = None
        if settings.where == "stages":
            stages = split(backbone, settings.scheme)
            self.stages = nn.ModuleDict({str(r): one for r, one in zip(backbone.reductions, stages, strict=True)})
        self.backbone = backbone if self.stages is None else self.stages
        parts: dict[str, nn.Module] = {"backbone": self.backbone}
        if settings.neck == "frozen":
            parts["neck"] = start.neck.requires_grad_(False)
            self.held.append(start.neck)
        self.trunks = nn.ModuleDict()
        for group in self.groups:
            neck = start.neck if settings.neck == "frozen" else start.neck_for()
            with torch.random.fork_rng(devices=()):
                adapters = nn.ModuleList(Adapter(width, settings.narrowing) for width in backbone.channels)
            own: dict[str, nn.Module] = {"adapters": adapters}
            self.trunks[group] = nn.ModuleDict(own if settings.neck == "frozen" else own | {"neck": neck})
            self.specs[group] = start.spec(neck)
        return {**parts, "trunks": self.trunks}

    def look(
        self, images: Tensor, wanted: Wanted, content: Tensor | None, cut: Cut | None, deep: bool
    ) -> dict[str, Features]:
        shared = self.backbone(images) if self.stages is None else []
        found = {}
        for group, rows in wanted.items():
            own = self.own[group]
            adapters = own["adapters"]
            assert isinstance(adapters, nn.ModuleList)
            if self.stages is None:
                maps = [adapter(narrowed(one, rows)) for adapter, one in zip(adapters, shared, strict=True)]
            else:
                maps, at = [], narrowed(images, rows)
                for adapter, stage in zip(adapters, self.stages.values(), strict=True):
                    at = adapter(stage(at))
                    maps.append(at)
            found[group] = features_of(maps, self.parts.get("neck", neck_in(own)), content, rows)
        return found
