"""What a network's scheme of sharing has to show: who goes with whom, what that takes, and what was learnt of it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from oneglance.model import Model
from oneglance.network.network import Network
from oneglance.network.sharing import CrossStitch
from oneglance.tasks.charts import Heat


def flops_of(model: Model, tasks: Iterable[str] | None = None) -> float:
    """Floating point operations for one image of the size of evaluation, asked by the tasks on images, or by these; a
    multiplication and an addition are two."""
    height, width = model.size
    image = torch.zeros((1, 3, height, width), dtype=torch.uint8, device=model.device)
    rows = None if tasks is None else {name: torch.zeros(1, dtype=torch.long, device=model.device) for name in tasks}
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.network(image, rows)
    return float(counter.get_total_flops())


def parameters_by_part(network: Network) -> dict[str, int]:
    """How many parameters all tasks share (``shared``), each group has to itself (by its name), and the rest has
    (``heads``); together, the network's."""
    own = {group: _count(module) for group, module in network.sharing.own.items()}
    shared = sum(_count(part) for name, part in network.sharing.parts.items() if name != "trunks")
    return {"shared": shared, **own, "heads": _count(network) - shared - sum(own.values())}


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def sharing_charts(network: Network) -> list[Heat]:
    """Learned relations and stitches; empty for schemes that learn none."""
    names = tuple(network.sharing.groups)
    if network.tie is not None and network.tie.relation == "omega":
        note = (
            "How much the trunks of two tasks have gone the same way as they learnt: 1 the same way, 0 ways that have "
            "nothing to do with each other, below 0 opposite ways. Training holds those together that go together."
        )
        related = network.tie.correlations().detach().cpu().double().numpy()
        return [Heat("omega", "Relations of the tasks", note, names, names, related, (-1.0, 1.0))]
    charts = []
    if isinstance(network.sharing, CrossStitch):
        for stride, matrix in network.sharing.matrices().items():
            note = (
                f"At the maps of stride {stride}, each row says what the trunk of one group takes of all groups' maps: "
                "1 on the diagonal and 0 elsewhere would be trunks that have nothing to do with each other."
            )
            values = matrix.detach().cpu().double().numpy()
            most = max(1.0, float(np.abs(values).max()))
            charts.append(
                Heat(f"stitch_{stride}", f"Stitches at stride {stride}", note, names, names, values, (-most, most))
            )
    return charts
