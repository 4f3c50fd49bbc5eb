"""The first layers shared, then a branch for each group of tasks."""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor, nn

from oneglance.errors import OneglanceError
from oneglance.network.cut import Cut
from oneglance.network.sharing.base import Sharing, Start, Wanted, features_of, narrowed, neck_in
from oneglance.network.stages import Stage, split
from oneglance.tasks.base import Features


class Layers(Sharing):
    """The backbone is shared up to the map of stride ``depth``; the stages after it and the neck are each group's own.

    A branch goes over the shared maps of its group's images alone. All branches begin as copies of the one trunk.
    """

    shared = ("backbone",)

    def build(self, start: Start) -> dict[str, nn.Module]:
        depth = self.settings.depth
        assert isinstance(depth, int)
        first: dict[str, Stage] = {}
        rest: dict[str, Stage] = {}
        self.whole = start.backbone if depth == start.backbone.reductions[-1] else None
        if self.whole is None:
            stages = split(start.backbone, self.settings.scheme)
            for stride, stage in zip(start.backbone.reductions, stages, strict=True):
                (first if stride <= depth else rest)[str(stride)] = stage
            if not first:
                raise OneglanceError(
                    f"sharing.depth: {start.trunk.backbone!r} has no map of stride {depth}; its maps: "
                    f"{', '.join(map(str, start.backbone.reductions))}"
                )
        self.backbone = nn.ModuleDict(first)
        self.trunks = nn.ModuleDict()
        for group in self.groups:
            neck = start.neck_for(group)
            self.trunks[group] = nn.ModuleDict({"backbone": nn.ModuleDict(deepcopy(rest)), "neck": neck})
            self.specs[group] = start.spec(neck)
        return {"backbone": self.whole or self.backbone, "trunks": self.trunks}

    def look(
        self, images: Tensor, wanted: Wanted, content: Tensor | None, cut: Cut | None, deep: bool
    ) -> dict[str, Features]:
        shared: list[Tensor] = []
        if self.whole is not None:
            shared = self.whole(images)
        else:
            at = images
            for stage in self.backbone.values():
                at = stage(at)
                shared.append(at)
        if cut is not None:
            cut.compare_at(shared)
            shared = [cut(one) for one in shared]
        found = {}
        for group, rows in wanted.items():
            own = self.own[group]
            branch = own["backbone"]
            assert isinstance(branch, nn.ModuleDict)
            maps = [narrowed(one, rows) for one in shared]
            for stage in branch.values():
                maps.append(stage(maps[-1]))
            found[group] = features_of(maps, neck_in(own), content, rows)
        return found
