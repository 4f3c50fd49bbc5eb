"""The whole network: the trunk, as the tasks share it, and a head for each task, run on what is labelled for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from oneglance.network.cut import Cut
from oneglance.network.depthwise import quicken_depthwise
from oneglance.network.norm import SizeStatistics, with_group_norm
from oneglance.network.regions import Regions, jittered
from oneglance.network.sharing import SharingSettings, Tie, create_sharing, task_of
from oneglance.network.sharing.cross_stitch import Stitch
from oneglance.network.sharing.soft import Soft
from oneglance.network.stages import Stage
from oneglance.network.trunk import Backbone, TrunkSettings
from oneglance.tasks.base import Features, Outputs, PartedFeatures, Task
from oneglance.tasks.detection.assign import box_iou

#: Heights and widths of the input are multiples of this.
STRIDE = 32
#: In training: how far the true box of an object is moved and stretched before its features are taken, how often a box
#: that the detector found is taken in its place, and how much such a box must overlap the true one.
JITTER, FOUND, OVERLAP = 0.1, 0.5, 0.5


class Network(nn.Module):
    """Trunk and heads. A frozen task's head keeps its weights and its BatchNorm statistics, and so does what of the
    trunk only frozen tasks look through.

    ``sharing``: the scheme, whose parts are the network's own modules. ``sizes``: the (height, width) that inputs have
    in training, and ``scored``: those that they have afterwards, with their own in training; for `trunk.statistics:
    by_size`.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task[Any]],
        trunk: TrunkSettings,
        sharing: SharingSettings | None = None,
        sizes: Sequence[tuple[int, int]] = (),
        scored: Mapping[tuple[int, int], tuple[int, int]] | None = None,
    ) -> None:
        super().__init__()
        self.tasks, self.trunk = dict(tasks), trunk
        self.sharing = create_sharing(sharing or SharingSettings.model_validate({}), tasks, trunk)
        #: By task, the group in which it looks (where its parts look in several: the first of them), and by its parts.
        self.group_of: dict[str, str] = {}
        self.parts_of: dict[str, dict[str, str]] = {}
        ways = {way: group for group, names in self.sharing.groups.items() for way in names}
        for name, task in tasks.items():
            if name not in ways:
                self.parts_of[name] = {part: ways[f"{name}.{part}"] for part in task.settings.parts}
            self.group_of[name] = ways.get(name) or next(iter(self.parts_of[name].values()))
        for name, part in self.sharing.parts.items():
            self.add_module(name, part)
        specs = self.sharing.specs
        parents = dict.fromkeys(task.settings.parent for task in tasks.values() if task.settings.parent is not None)
        self.regions = nn.ModuleDict({name: Regions(specs[self.group_of[name]], trunk.channels) for name in parents})
        self.heads = nn.ModuleDict(
            {
                name: task.region_head(trunk.channels) if task.on_objects else task.head(specs[self.group_of[name]])
                for name, task in tasks.items()
            }
        )
        self._held: list[nn.Module] = []
        for group, own in self.sharing.own.items():
            of_group = [tasks[task_of(name)] for name in self.sharing.groups[group]]
            looked = any(task.on_objects or "pyramid" in self._looked_at[task.name] for task in of_group)
            if not looked and "neck" in own:
                own.pop("neck")
        if trunk.norm == "group":
            with_group_norm(self)
        #: BatchNorm's statistics by the input's size, where they are kept so.
        self.statistics: SizeStatistics | None = None
        if trunk.statistics == "by_size" and len(set(sizes)) > 1:
            super().train()  # the backbone's norms do not follow where it is to keep its statistics
            norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d) and module.training]
            self.statistics = SizeStatistics(norms, list(dict.fromkeys(sizes)), scored) if norms else None
        quicken_depthwise(self)
        # Convolutions are faster so, on CPUs and on GPUs: benchmarks/layout.py measures it.
        self.to(memory_format=torch.channels_last)
        frozen = {name for name, task in tasks.items() if task.settings.freeze}
        held = [self.heads[name] for name in tasks if name in frozen]
        held += [own for group, own in self.sharing.own.items() if frozen.issuperset(self._asked_in(group))]
        for module in held:
            module.requires_grad_(False)
        #: What stays as it is in training.
        self._held = [*held, *self.sharing.held]
        if self.tie is not None:
            self.tie.begin()

    def features(
        self,
        images: Tensor,
        content: Tensor | None = None,
        cut: Cut | None = None,
        rows: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Features]:
        """What each task sees in images uint8 [B, 3, H, W], H and W multiples of 32; tasks that go one way see alike.

        ``content``: the boxes x1 y1 x2 y2 in which the images lie, float [B, 4]; None: they fill the input.
        ``cut``: see :class:`Cut`.
        ``rows``: by task the images that it is asked about, int64 [n], in ascending order of tasks on images; only
        tasks named there get features, and only their images go through what they don't share. None: all.
        """
        if self.statistics is not None:
            self.statistics.select((images.shape[-2], images.shape[-1]))
        wanted = dict.fromkeys(self.sharing.groups) if rows is None else self._wanted(rows, len(images))
        deep = cut is not None and self._looks_at_backbone
        found = self.sharing.look(images, wanted, content, cut, deep)
        seen = {name: found[group] for name, group in self.group_of.items() if group in found}
        for name, parts in self.parts_of.items():
            if name in seen:
                seen[name] = PartedFeatures({part: found[group] for part, group in parts.items()})
        return seen

    def _asked_in(self, group: str) -> list[str]:
        """The tasks that look in a group, with all of their parts or some."""
        return list(dict.fromkeys(task_of(name) for name in self.sharing.groups[group]))

    def _wanted(self, rows: Mapping[str, Tensor], count: int) -> dict[str, Tensor | None]:
        """By group the images that one of its tasks is asked about, int64 [n] in ascending order; None: all."""
        found: dict[str, Tensor | None] = {}
        for group in self.sharing.groups:
            names = self._asked_in(group)
            asked = [rows[name] for name in names if name in rows]
            if not asked or not self.sharing.own:
                found |= dict.fromkeys([group] if asked else [])
                continue
            on_images = [rows[name] for name in names if name in rows and not self.tasks[name].on_objects]
            if any(len(one) == count for one in on_images):
                found[group] = None
                continue
            # One task's images are known already; else this is one of the few places where the host waits for a GPU.
            images = asked[0] if len(asked) == 1 and on_images else torch.cat(asked).unique()
            found[group] = None if len(images) == count else images
        return found

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
        features = self.features(images, content, cut, rows)
        if rows is None:
            return {name: self.ask(name, features[name]) for name, task in self.tasks.items() if not task.on_objects}
        outputs = {
            name: self.ask(name, features[name].of(at)) for name, at in rows.items() if not self.tasks[name].on_objects
        }
        for name, at in rows.items():
            if self.tasks[name].on_objects:
                if boxes is None:
                    raise ValueError(f"task {name!r} asks about objects: their boxes are needed")
                seen = self._seen(name, at, boxes[name], rows, outputs, images.shape) if self.training else boxes[name]
                outputs[name] = {**self.of_objects(features[name], at, seen, (name,))[name], "box": seen}
        return {name: outputs[name] for name in rows}

    def ask(self, name: str, seen: Features | Tensor) -> Outputs:
        """A task's raw outputs from features of n images, or of R objects float [R, channels, S, S].

        A task that looks at another's points is told where they are, as that one finds them; it does not teach it.
        """
        return self._said(name, self.heads[name], seen)

    def _said(self, name: str, head: nn.Module, seen: Features | Tensor) -> Outputs:
        read = self.tasks[name].settings.points_from
        points: tuple[Tensor, ...] = ()
        if read is not None:
            with torch.no_grad():
                points = (self.tasks[read].places(self.heads[read](seen)),)
        outputs: Outputs = head(seen, *points)
        return outputs

    def of_objects(self, features: Features, rows: Tensor, boxes: Tensor, tasks: tuple[str, ...]) -> dict[str, Outputs]:
        """Raw outputs of some tasks, all on the objects of one detection task, for R objects, from that one's features:
        ``rows`` int64 [R], the images they are in; ``boxes`` float [R, 4] in shares of the input."""
        parent = self.tasks[tasks[0]].settings.parent
        assert parent is not None
        cut = self.regions[parent](features, rows, boxes)
        return {name: self.ask(name, cut) for name in tasks}

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
        """The parameters that all tasks learn."""
        for name in self.sharing.shared:
            yield from (one for one in self.sharing.parts[name].parameters() if one.requires_grad)

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters of all backbones, and of their stages: those that may be pretrained."""
        for module in self.modules():
            if isinstance(module, (Backbone, Stage)):
                yield from module.parameters()

    def undecayed(self) -> Iterator[nn.Parameter]:
        """Parameters that are no weights in spite of their shape: shares that trunks take of each other."""
        for module in self.modules():
            if isinstance(module, Stitch):
                yield module.shares

    def apart(self) -> list[list[nn.Parameter]]:
        """The parameters in parts that have nothing to do with each other: one, or each group's where nothing is
        shared."""
        if self.sharing.parts.keys() - {"relation"} != {"trunks"} or self.parts_of:
            return [list(self.parameters())]
        found = []
        for group, names in self.sharing.groups.items():
            modules: list[nn.Module] = [self.sharing.own[group], *(self.heads[name] for name in names)]
            modules += [self.regions[name] for name in names if name in self.regions]
            found.append([one for module in modules for one in module.parameters()])
        return found

    @property
    def tie(self) -> Tie | None:
        """What ties the trunks' weights to each other; None in schemes without."""
        return self.sharing.tie if isinstance(self.sharing, Soft) else None

    def like_hard(self, name: str) -> str:
        """What a tensor of the state dict is called in a network of one trunk for all tasks, where it has one."""
        return _OWN.sub(r"\1.\2", name)

    @cached_property
    def _looks_at_backbone(self) -> bool:
        """Whether a head looks at the backbone's last map: then the pyramid is not all that tasks have in common."""
        learning = (looked for name, looked in self._looked_at.items() if not self.tasks[name].settings.freeze)
        return any("deep" in looked for looked in learning)

    @cached_property
    def _looked_at(self) -> dict[str, set[str]]:
        """By task on images, what its head looks at to learn: ``deep``, the backbone's last map, or ``pyramid``."""
        training = self.training
        self.eval()
        looked: set[str] = set()

        class Watched(Features):
            @property
            def deep(self) -> Tensor:
                looked.add("deep")
                return super().deep

            def level(self, stride: int) -> Tensor:
                looked.add("pyramid")
                return super().level(stride)

        found: dict[str, set[str]] = {}
        device = next(self.parameters()).device
        with torch.no_grad():
            for name in self.heads:
                if not self.tasks[name].on_objects:
                    spec = self.sharing.specs[self.group_of[name]]
                    pyramid = {s: torch.zeros(1, c, 64 // s, 64 // s, device=device) for s, c in spec.pyramid}
                    looked.clear()
                    learner = self.tasks[name].learner(self.heads[name])
                    self._said(name, learner, Watched(torch.zeros(1, spec.deep, 2, 2, device=device), pyramid))
                    found[name] = set(looked)
        self.train(training)
        return found

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        for module in self._held:
            module.eval()
        return self


#: The name of a group's own part of the trunk, or of a stage of the backbone.
_OWN = re.compile(r"^(?:trunks\.[^.]+\.)?(backbone|neck)\.(?:\d+\.(?=body\.))?(.*)$")
