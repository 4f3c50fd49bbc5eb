"""A trunk for each group of tasks: single-task networks that are trained side by side."""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor, nn

from oneglance.network.cut import Cut
from oneglance.network.sharing.base import Sharing, Start, Wanted, features_of, narrowed, neck_in
from oneglance.tasks.base import Features


class Separate(Sharing):
    """An image goes through the trunks of those tasks alone that it is labelled for."""

    def build(self, start: Start) -> dict[str, nn.Module]:
        self.trunks = nn.ModuleDict()
        for group in self.groups:
            neck = start.neck_for(group)
            self.trunks[group] = nn.ModuleDict({"backbone": deepcopy(start.backbone), "neck": neck})
            self.specs[group] = start.spec(neck)
        return {"trunks": self.trunks}

    def look(
        self, images: Tensor, wanted: Wanted, content: Tensor | None, cut: Cut | None, deep: bool
    ) -> dict[str, Features]:
        found = {}
        for group, rows in wanted.items():
            own = self.own[group]
            found[group] = features_of(own["backbone"](narrowed(images, rows)), neck_in(own), content, rows)
        return found
