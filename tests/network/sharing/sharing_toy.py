"""Small networks by every scheme of sharing, and steps on them."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from oneglance.network.cut import Cut
from oneglance.network.network import Network
from oneglance.network.sharing import SharingSettings
from oneglance.network.trunk import TrunkSettings
from oneglance.tasks import ClassificationSettings, DetectionSettings, SegmentationSettings, create_tasks

TRUNK = TrunkSettings(backbone="lcnet_050", pretrained=False, channels=24)
#: One of each scheme, and its variants.
SCHEMES: dict[str, dict[str, Any]] = {
    "hard": {},
    "layers to 4": {"scheme": "layers", "depth": 4},
    "layers to 16": {"scheme": "layers"},
    "layers to 32": {"scheme": "layers", "depth": 32},
    "all layers": {"scheme": "layers", "depth": "neck"},
    "cross_stitch": {"scheme": "cross_stitch"},
    "cross_stitch by channel": {"scheme": "cross_stitch", "per_channel": True},
    "mtan": {"scheme": "mtan"},
    "l2": {"scheme": "soft", "relation": "l2"},
    "trace_norm": {"scheme": "soft", "relation": "trace_norm"},
    "omega": {"scheme": "soft", "relation": "omega", "every": 1},
    "adapters": {"scheme": "adapters"},
    "adapters at maps": {"scheme": "adapters", "where": "maps"},
    "none": {"scheme": "none"},
    "none, two together": {"scheme": "none", "groups": [["seg", "kind"]]},
}
TASKS = {
    "kind": ClassificationSettings(classes=("a", "b")),
    "seg": SegmentationSettings(classes=("a", "b"), width=8),
    "objects": DetectionSettings(classes=("a",), width=16),
    "colour": ClassificationSettings(on="objects", classes=("r", "g")),
}
#: One of each kind, for tests that take their time.
CORE = ("hard", "layers to 16", "cross_stitch", "mtan", "omega", "adapters", "adapters at maps", "none, two together")
#: Four images, each labelled for some tasks; the last has objects alone.
ROWS = {"kind": [0, 2], "seg": [1, 2], "objects": [0, 1], "colour": [0, 0, 3]}
EVERYWHERE = {"kind": [0, 1, 2, 3], "seg": [0, 1, 2, 3], "objects": [0, 1, 2, 3], "colour": [0, 1, 2, 3, 3]}


def network_of(
    scheme: str | Mapping[str, Any], names: tuple[str, ...] = tuple(TASKS), seed: int = 0, **task: Any
) -> Network:
    """A network by a scheme above or by settings; ``task``: changes to the settings of tasks, by name."""
    settings = SharingSettings.model_validate(SCHEMES[scheme] if isinstance(scheme, str) else dict(scheme))
    torch.manual_seed(seed)
    tasks = {name: TASKS[name].model_copy(update=task.get(name, {})) for name in names}
    network = Network(create_tasks(tasks), TRUNK, settings)
    for head in network.heads.values():
        for name, module in head.named_children():
            if isinstance(module, torch.nn.Dropout | torch.nn.Dropout2d):
                setattr(head, name, torch.nn.Identity())  # what is drawn depends on what was drawn before
    return network


def images_of(count: int = 4) -> Tensor:
    return torch.randint(0, 255, (count, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def rows_of(rows: Mapping[str, list[int]]) -> dict[str, Tensor]:
    return {name: torch.tensor(at) for name, at in rows.items()}


def boxes_of(rows: Mapping[str, list[int]]) -> dict[str, Tensor]:
    """The same box for every object that is asked about."""
    return {"colour": torch.tensor([[0.2, 0.2, 0.7, 0.8]]).expand(len(rows["colour"]), 4)} if "colour" in rows else {}


def asked(
    network: Network, rows: Mapping[str, list[int]], images: Tensor | None = None, cut: Cut | None = None, seed: int = 0
) -> dict[str, dict[str, Tensor]]:
    """Outputs by task; what the network draws is drawn alike every time."""
    torch.manual_seed(seed)
    return network(images_of() if images is None else images, rows_of(rows), boxes_of(rows), cut=cut)


def losses_of(outputs: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """A loss a task that has no minimum where the network begins."""
    return {
        task: torch.stack([(one.float() - 0.3).square().mean() for name, one in of.items() if name != "box"]).sum()
        for task, of in outputs.items()
    }


def gradients(network: Network, rows: Mapping[str, list[int]], images: Tensor | None = None) -> dict[str, Tensor]:
    """The gradients of a plain sum, by parameter; without those that have none."""
    network.zero_grad(set_to_none=True)
    torch.stack(list(losses_of(asked(network, rows, images)).values())).sum().backward()
    return {name: one.grad.clone() for name, one in network.named_parameters() if one.grad is not None}


def plain(name: str) -> str:
    """A tensor's name without the number of its stage, which only schemes have that take backbones apart."""
    return re.sub(r"backbone\.\d+\.(?=body\.)", "backbone.", name)


def assert_equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def assert_close(one: Mapping[str, Tensor], other: Mapping[str, Tensor], tolerance: float = 1e-5) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(
            one[name], other[name], rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


def flat(outputs: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {f"{task}.{name}": value for task, of in outputs.items() for name, value in of.items()}
