"""One trunk for all tasks (Caruana, Multitask learning, 1997)."""

from __future__ import annotations

from torch import Tensor, nn

from oneglance.network.cut import Cut
from oneglance.network.sharing.base import Sharing, Start, Wanted
from oneglance.tasks.base import Features


class Hard(Sharing):
    """Every image goes through the whole trunk, whatever it is labelled for; the heads part."""

    shared = ("backbone", "neck")

    def build(self, start: Start) -> dict[str, nn.Module]:
        self.backbone, self.neck = start.backbone, start.neck
        self.specs = dict.fromkeys(self.groups, start.spec(start.neck))
        return {"backbone": self.backbone, "neck": self.neck}

    def look(
        self, images: Tensor, wanted: Wanted, content: Tensor | None, cut: Cut | None, deep: bool
    ) -> dict[str, Features]:
        maps = self.backbone(images)
        pyramid = self.neck(maps)
        if cut is None:
            return dict.fromkeys(wanted, Features(maps[-1], pyramid, content=content, backbone=maps))
        cut.compare_at(maps if deep else list(pyramid.values()))
        levels = {stride: cut(level) for stride, level in pyramid.items()}
        parted = Features(cut(maps[-1]), levels, content=content, backbone=maps)
        return dict.fromkeys(wanted, parted)
