"""The contract of a scheme of sharing: the parts of the network between images and heads, and the way through them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from oneglance.network.cut import Cut
from oneglance.network.neck import Neck
from oneglance.network.sharing.settings import SharingSettings
from oneglance.network.trunk import Backbone, TrunkSettings
from oneglance.tasks.base import Features, FeatureSpec

#: By group: the images that it is to look at, int64 [n] in ascending order; None: all.
Wanted = Mapping[str, Tensor | None]


class Sharing(ABC):
    """How the tasks look through the trunk.

    ``groups``: the tasks that go one way, by the group's name. ``parts``: the modules, which the network takes over
    under these names. What is shared is called ``backbone`` and ``neck``; what a group has to itself is
    ``trunks.<group>``, with the same two names in it, so that weights of another scheme can be found; a neck that no
    head of the group looks at is taken out of it. ``shared``: the names of the parts that every task learns, with those
    maps at their end where the tasks' gradients are compared. ``held``: modules that stay as they are in training.
    """

    shared: tuple[str, ...] = ()

    def __init__(self, settings: SharingSettings, groups: Mapping[str, tuple[str, ...]], start: Start) -> None:
        self.settings, self.groups = settings, dict(groups)
        self.specs: dict[str, FeatureSpec] = {}
        self.held: list[nn.Module] = []
        self.parts: dict[str, nn.Module] = self.build(start)

    @abstractmethod
    def build(self, start: Start) -> dict[str, nn.Module]:
        """The parts; fills ``specs``."""

    @abstractmethod
    def look(
        self, images: Tensor, wanted: Wanted, content: Tensor | None, cut: Cut | None, deep: bool
    ) -> dict[str, Features]:
        """What each wanted group sees in images uint8 [B, 3, H, W], H and W multiples of 32.

        Only the images that a group wants go through what is the group's own. ``content``: see Features. ``cut``: the
        shared maps go through it, and it is told where to compare; ``deep``: whether a head looks at the backbone's
        last map.
        """

    @property
    def own(self) -> dict[str, nn.ModuleDict]:
        """By group what only its tasks go through; empty where nothing is."""
        trunks = self.parts.get("trunks", nn.ModuleDict())
        assert isinstance(trunks, nn.ModuleDict)
        return {group: own for group, own in trunks.items() if isinstance(own, nn.ModuleDict)}


class Start:
    """The trunk that all schemes begin with, the same from one seed: backbone, neck, their copies.

    ``finest``: by group, the finest stride that its tasks look at.
    """

    def __init__(self, trunk: TrunkSettings, finest: Mapping[str, int]) -> None:
        self.trunk, self.finest = trunk, finest
        self.backbone = Backbone(trunk)
        self.neck = self._neck(min(finest.values(), default=8))

    def _neck(self, finest: int) -> Neck:
        return Neck(self.backbone.reductions, self.backbone.channels, self.trunk.channels, finest)

    def neck_for(self, group: str | None = None) -> Neck:
        """A copy of the neck, with the levels that the group would have without the others; None: with all."""
        with torch.random.fork_rng(devices=()):
            neck = self._neck(self.finest[group] if group is not None else self.neck.finest)
        state = self.neck.state_dict()
        neck.load_state_dict({name: state[name] for name in neck.state_dict()})
        return neck

    def spec(self, neck: Neck) -> FeatureSpec:
        """What heads on this neck may count on."""
        return FeatureSpec(self.backbone.channels[-1], neck.channels)


def narrowed(tensor: Tensor, images: Tensor | None) -> Tensor:
    """These images of a tensor [B, ...]; None: all."""
    return tensor if images is None else tensor.index_select(0, images)


class Pyramid(Mapping[int, Tensor]):
    """What a neck makes of a backbone's maps, once a head asks for it."""

    def __init__(self, maps: list[Tensor], neck: Neck) -> None:
        self._maps, self._neck = maps, neck
        self._levels: dict[int, Tensor] | None = None

    def __getitem__(self, stride: int) -> Tensor:
        if self._levels is None:
            self._levels = self._neck(self._maps)
        return self._levels[stride]

    def __iter__(self) -> Iterator[int]:
        return (stride for stride, _ in self._neck.channels)

    def __len__(self) -> int:
        return len(self._neck.channels)


def features_of(maps: list[Tensor], neck: nn.Module | None, content: Tensor | None, images: Tensor | None) -> Features:
    """Features from the backbone's maps of ``images``; ``content`` is of the whole batch. Without a neck there are no
    levels to look at."""
    assert neck is None or isinstance(neck, Neck)
    pyramid: Mapping[int, Tensor] = {} if neck is None else Pyramid(maps, neck)
    seen = None if content is None else narrowed(content, images)
    return Features(maps[-1], pyramid, content=seen, images=images, backbone=maps)


def neck_in(own: nn.ModuleDict) -> nn.Module | None:
    """A group's own neck; None where none of its heads looks at one."""
    return dict(own.items()).get("neck")
