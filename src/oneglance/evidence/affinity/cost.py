"""What networks or branches for groups of tasks cost beside one network for all, without building each of them.

A network of a group is a trunk and the heads of its tasks. A trunk is as large as the largest that one of its tasks
would have alone: necks differ in nothing but how fine their finest level is, and whether there is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch.utils.flop_counter import FlopCounterMode

from oneglance.config import Config
from oneglance.evaluation.sharing import flops_of, parameters_by_part
from oneglance.model import Model
from oneglance.network.network import Network
from oneglance.network.sharing import SharingSettings, groups_of
from oneglance.tasks import create_tasks

Measure = Literal["flops", "parameters"]


@dataclass(frozen=True)
class Parts:
    """Operations of an image (or parameters): ``together`` of one network for all; ``shared`` by all groups; of each
    unit alone ``own``, its trunk or branch, and ``heads``."""

    together: float
    shared: float
    own: tuple[float, ...]
    heads: tuple[float, ...]

    def relative(self, groups: Sequence[Sequence[int]]) -> float:
        """What these groups of units (by number) cost, one network for all being 1."""
        if len(groups) == 1:
            return 1.0
        trunks = self.shared + sum(max(self.own[k] for k in group) for group in groups)
        return (trunks + sum(self.heads)) / self.together


def units_of(config: Config) -> list[tuple[str, ...]]:
    """What can be put into groups: each task on images, with those that ask about the objects that it finds."""
    apart = groups_of(SharingSettings.model_validate({"scheme": "none"}), config.tasks)
    order = list(config.tasks)
    return sorted(apart.values(), key=lambda unit: order.index(unit[0]))


def parts_of(config: Config, sharing: SharingSettings, measure: Measure) -> Parts:
    """What the parts cost under a scheme of sharing in which every unit is a group of its own."""
    together = _model(config, SharingSettings.model_validate({}))
    apart = _model(config, sharing)
    units, network = units_of(config), apart.network
    groups = [network.group_of[unit[0]] for unit in units]
    if measure == "parameters":
        by_part = parameters_by_part(network)
        heads = [_parameters_of_heads(network, unit) for unit in units]
        whole = sum(one.numel() for one in together.network.parameters())
        return Parts(float(whole), float(by_part["shared"]), tuple(float(by_part[g]) for g in groups), tuple(heads))
    shared = _flops_of_trunk(apart, {})
    own, heads = [], []
    for unit, group in zip(units, groups, strict=True):
        trunk = _flops_of_trunk(apart, {unit[0]: torch.zeros(1, dtype=torch.long)}, group)
        own.append(trunk - shared)
        heads.append(flops_of(apart, unit[:1]) - trunk)
    return Parts(flops_of(together), shared, tuple(own), tuple(heads))


def _model(config: Config, sharing: SharingSettings) -> Model:
    """An untrained network on the CPU."""
    trunk = config.trunk.model_copy(update={"pretrained": False})
    tasks = create_tasks(config.tasks)
    with torch.random.fork_rng(devices=()):
        network = Network(tasks, trunk, sharing)
    return Model(network, tasks, config, "cpu")


def _flops_of_trunk(model: Model, rows: Mapping[str, torch.Tensor], group: str | None = None) -> float:
    """Of one image, up to the maps that the group's heads look at."""
    height, width = model.size
    image = torch.zeros((1, 3, height, width), dtype=torch.uint8)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        features = model.network.features(image, rows=rows)
        if group is not None and "neck" in model.network.sharing.own[group]:
            seen = next(iter(features.values()))
            seen.level(seen.strides[0])
    return float(counter.get_total_flops())


def _parameters_of_heads(network: Network, unit: Sequence[str]) -> float:
    modules = [network.heads[name] for name in unit]
    modules += [network.regions[name] for name in unit if name in network.regions]
    return float(sum(one.numel() for module in modules for one in module.parameters()))
