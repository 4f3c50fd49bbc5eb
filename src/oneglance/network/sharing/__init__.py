"""How much of the network the tasks share: one file a scheme."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oneglance.network.sharing.adapters import Adapters
from oneglance.network.sharing.base import Sharing, Start
from oneglance.network.sharing.cross_stitch import CrossStitch
from oneglance.network.sharing.hard import Hard
from oneglance.network.sharing.layers import Layers
from oneglance.network.sharing.mtan import Mtan
from oneglance.network.sharing.none import Separate
from oneglance.network.sharing.settings import MEANS, SHARED, SharingSettings, groups_of, task_of
from oneglance.network.sharing.soft import Soft
from oneglance.network.sharing.tie import Tie
from oneglance.network.trunk import TrunkSettings
from oneglance.tasks.base import Task

__all__ = [
    "MEANS",
    "SCHEMES",
    "SHARED",
    "CrossStitch",
    "Sharing",
    "SharingSettings",
    "Tie",
    "create_sharing",
    "groups_of",
    "task_of",
]

SCHEMES: dict[str, type[Sharing]] = {
    "hard": Hard,
    "layers": Layers,
    "cross_stitch": CrossStitch,
    "mtan": Mtan,
    "soft": Soft,
    "adapters": Adapters,
    "none": Separate,
}


def create_sharing(settings: SharingSettings, tasks: Mapping[str, Task[Any]], trunk: TrunkSettings) -> Sharing:
    """The parts between images and heads. Raises OneglanceError where the backbone does not allow the scheme."""
    groups = groups_of(settings, {name: task.settings for name, task in tasks.items()})
    finest = {
        group: min((tasks[task_of(name)].finest_stride for name in names), default=8) for group, names in groups.items()
    }
    scheme = Hard if settings.depth == "neck" else SCHEMES[settings.scheme]
    return scheme(settings, groups, Start(trunk, finest))
