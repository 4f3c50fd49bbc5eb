"""Trunks that take a learned share of each other's maps (Misra, Shrivastava, Gupta, Hebert, CVPR 2016)."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from oneglance.network.cut import Cut
from oneglance.network.sharing.base import Sharing, Start, Wanted, features_of, narrowed, neck_in
from oneglance.network.stages import split
from oneglance.tasks.base import Features


class Stitch(nn.Module):
    """What each of K trunks takes of all trunks' maps of one stride: row i says what trunk i takes.

    ``shares`` float [K, K, 1], or [K, K, C] with a share for each channel. It does not decay: 0 would be no map at all.
    """

    def __init__(self, trunks: int, channels: int, own_share: float) -> None:
        super().__init__()
        shares = torch.full((trunks, trunks), (1 - own_share) / max(trunks - 1, 1))
        shares.fill_diagonal_(own_share if trunks > 1 else 1.0)
        self.shares = nn.Parameter(shares[:, :, None].repeat(1, 1, channels))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """K maps float [B, C, H, W] from as many."""
        shares = self.shares[..., None, None].to(maps[0].dtype)
        mixed = []
        for of_trunk in shares:
            taken = of_trunk[0] * maps[0]
            for share, one in zip(of_trunk[1:], maps[1:], strict=True):
                taken = torch.addcmul(taken, share, one)
            mixed.append(taken)
        return mixed

    @torch.no_grad()
    def matrix(self) -> Tensor:
        """The shares, float [K, K], the mean over channels."""
        return self.shares.mean(2)


class CrossStitch(Sharing):
    """Every image goes through all trunks, since each looks at the others' maps; necks see their group's alone."""

    def build(self, start: Start) -> dict[str, nn.Module]:
        settings = self.settings
        assert settings.own_share is not None
        strides, channels = start.backbone.reductions, start.backbone.channels
        stages = nn.ModuleDict(
            {str(r): stage for r, stage in zip(strides, split(start.backbone, settings.scheme), strict=True)}
        )
        self.trunks = nn.ModuleDict()
        for group in self.groups:
            neck = start.neck_for(group)
            self.trunks[group] = nn.ModuleDict({"backbone": deepcopy(stages), "neck": neck})
            self.specs[group] = start.spec(neck)
        count = len(self.groups)
        self.stitches = nn.ModuleDict(
            {
                str(stride): Stitch(count, width if settings.per_channel else 1, settings.own_share)
                for stride, width in zip(strides, channels, strict=True)
            }
        )
        return {"trunks": self.trunks, "stitch": self.stitches}

    def matrices(self) -> dict[int, Tensor]:
        """What each trunk takes of all, float [K, K], by the stride of the maps."""
        return {int(stride): one.matrix() for stride, one in self.stitches.items() if isinstance(one, Stitch)}

    def look(
        self, images: Tensor, wanted: Wanted, content: Tensor | None, cut: Cut | None, deep: bool
    ) -> dict[str, Features]:
        maps = [images] * len(self.groups)
        so_far: list[list[Tensor]] = [[] for _ in self.groups]
        for stride, stitch in self.stitches.items():
            stages = [own["backbone"].get_submodule(stride) for own in self.own.values()]
            maps = stitch([stage(one) for stage, one in zip(stages, maps, strict=True)])
            for of_trunk, one in zip(so_far, maps, strict=True):
                of_trunk.append(one)
        by_group = dict(zip(self.own, so_far, strict=True))
        return {
            group: features_of(
                [narrowed(one, rows) for one in by_group[group]], neck_in(self.own[group]), content, rows
            )
            for group, rows in wanted.items()
        }
