"""The whole network: one trunk, a head for each task, each head run on what is labelled for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from oneglance.network.cut import Cut
from oneglance.network.depthwise import quicken_depthwise
from oneglance.network.neck import Neck
from oneglance.network.regions import Regions, jittered
from oneglance.network.trunk import Backbone, TrunkSettings
from oneglance.tasks.base import Features, FeatureSpec, Outputs, Task
from oneglance.tasks.detection.assign import box_iou

#: Heights and widths of the input are multiples of this.
STRIDE = 32
#: In training: how far the true box of an object is moved and stretched before its features are taken, how often a box
#: that the detector found is taken in its place, and how much such a box must overlap the true one.
JITTER, FOUND, OVERLAP = 0.1, 0.5, 0.5


class Network(nn.Module):
    """Trunk and heads. A frozen task's head keeps its weights and its BatchNorm statistics."""

    def __init__(self, tasks: Mapping[str, Task[Any]], trunk: TrunkSettings) -> None:
        super().__init__()
        self.tasks = dict(tasks)
        self.backbone = Backbone(trunk)
        finest = min((task.finest_stride for task in tasks.values()), default=8)
        self.neck = Neck(self.backbone.reductions, self.backbone.channels, trunk.channels, finest)
        spec = FeatureSpec(self.backbone.channels[-1], self.neck.channels)
        parents = dict.fromkeys(task.settings.parent for task in tasks.values() if task.settings.parent is not None)
        self.regions = nn.ModuleDict({name: Regions(spec, trunk.channels) for name in parents})
        self.heads = nn.ModuleDict(
            {
                name: task.region_head(trunk.channels) if task.on_objects else task.head(spec)
                for name, task in tasks.items()
            }
        )
        quicken_depthwise(self)
        # Convolutions are faster so, on CPUs and on GPUs: benchmarks/layout.py measures it.
        self.to(memory_format=torch.channels_last)
        self._frozen = [name for name, task in tasks.items() if task.settings.freeze]
        for name in self._frozen:
            self.heads[name].requires_grad_(False)

    def features(self, images: Tensor, content: Tensor | None = None, cut: Cut | None = None) -> Features:
        """What the trunk sees in images uint8 [B, 3, H, W], H and W multiples of 32.

        ``content``: the boxes x1 y1 x2 y2 in which the images lie, float [B, 4]; None: they fill the input.
        ``cut``: see :class:`Cut`.
        """
        maps = self.backbone(images)
        pyramid = self.neck(maps)
        if cut is None:
            return Features(maps[-1], pyramid, content=content)
        cut.compare_at(maps if self._looks_at_backbone else list(pyramid.values()))
        return Features(cut(maps[-1]), {stride: cut(level) for stride, level in pyramid.items()}, content=content)

    def forward(
        self,
        images: Tensor,
        rows: Mapping[str, Tensor] | None = None,
        boxes: Mapping[str, Tensor] | None = None,
        content: Tensor | None = None,
        cut: Cut | None = None,
    ) -> dict[str, Outputs]:
        """Raw outputs by task.

        Without ``rows``: of all tasks on images, on all of them. With ``rows``: of the tasks named there; of a task on
        images, int64 [n], on those images; of a task on objects, int64 [R], on the objects in those images whose
        ``boxes`` float [R, 4] (shares of the input) are given under its name. In training, objects are looked at in
        boxes like those that are found; the outputs' ``box`` float [R, 4] says in which.
        ``content``, ``cut``: as for :meth:`features`.
        """
        features = self.features(images, content, cut)
        if rows is None:
            return {name: head(features) for name, head in self.heads.items() if not self.tasks[name].on_objects}
        outputs = {
            name: self.heads[name](features.of(at)) for name, at in rows.items() if not self.tasks[name].on_objects
        }
        for name, at in rows.items():
            if self.tasks[name].on_objects:
                if boxes is None:
                    raise ValueError(f"task {name!r} asks about objects: their boxes are needed")
                seen = self._seen(name, at, boxes[name], rows, outputs, images.shape) if self.training else boxes[name]
                outputs[name] = {**self.of_objects(features, at, seen, (name,))[name], "box": seen}
        return {name: outputs[name] for name in rows}

    def of_objects(self, features: Features, rows: Tensor, boxes: Tensor, tasks: tuple[str, ...]) -> dict[str, Outputs]:
        """Raw outputs of some tasks, all on the objects of one detection task, for R objects: ``rows`` int64 [R], the
        images they are in; ``boxes`` float [R, 4] in shares of the input."""
        parent = self.tasks[tasks[0]].settings.parent
        assert parent is not None
        cut = self.regions[parent](features, rows, boxes)
        return {name: self.heads[name](cut) for name in tasks}

    @torch.no_grad()
    def _seen(
        self,
        name: str,
        at: Tensor,
        boxes: Tensor,
        rows: Mapping[str, Tensor],
        outputs: Mapping[str, Outputs],
        shape: torch.Size,
    ) -> Tensor:
        """The boxes in which objects are looked at in training: the true ones, moved a little, or in their place the
        surest box that the detector has for them (where it was run on their image and has one that fits)."""
        moved = jittered(boxes, JITTER)
        parent = self.tasks[name].settings.parent
        if parent is None or parent not in outputs or not len(at):
            return moved
        found, sure = self.tasks[parent].found_boxes(outputs[parent])
        images, batch = rows[parent], shape[0]
        size = boxes.new_tensor([shape[-1], shape[-2]] * 2)
        # Which of the detector's rows an object's image is; -1 for one that it was not run on.
        place = images.new_full((batch,), -1)
        place[images] = torch.arange(len(images), device=images.device)
        here = place[at]
        candidates = found.index_select(0, here.clamp(min=0)) / size
        fits = box_iou(boxes[:, None], candidates)[:, 0] >= OVERLAP
        fits &= (here >= 0)[:, None]
        best = torch.where(fits, sure.index_select(0, here.clamp(min=0)), -1.0).argmax(1)
        own = candidates.gather(1, best[:, None, None].expand(-1, 1, 4))[:, 0]
        take = fits.any(1) & (torch.rand(len(at), device=at.device) < FOUND)
        return torch.where(take[:, None], own.clamp(0, 1), moved)

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters of the trunk that learn."""
        for name, parameter in self.named_parameters():
            if not name.startswith(("heads.", "regions.")) and parameter.requires_grad:
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
                if name not in self._frozen and not self.tasks[name].on_objects:
                    head(features)
        self.train(training)
        return bool(looked)

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        for name in self._frozen:
            self.heads[name].eval()
        return self
