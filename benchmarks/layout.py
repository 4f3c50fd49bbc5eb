"""Channels last against torch's default layout: forward and backward of a detector, bf16 and float32."""

from __future__ import annotations

import time
from types import MethodType

import numpy as np
import torch
from torch import Tensor

from common import arguments, table
from oneglance.network.network import Network
from oneglance.network.trunk import Backbone, TrunkSettings
from oneglance.tasks import DetectionSettings, create_tasks


def _default_layout(self: Backbone, images: Tensor) -> list[Tensor]:
    """Backbone.forward as it would be in the default layout."""
    images = images.to(self.mean.dtype, memory_format=torch.contiguous_format)
    maps = self.body((images - self.mean) / self.std)
    return [maps[i] for i in self._keep]


def network_of(backbone: str, default: bool) -> Network:
    torch.manual_seed(0)
    tasks = create_tasks({"objects": DetectionSettings(classes=("a", "b", "c"))})
    network = Network(tasks, TrunkSettings(backbone=backbone, pretrained=False)).train()
    if default:
        network.to(memory_format=torch.contiguous_format)
        network.backbone.forward = MethodType(_default_layout, network.backbone)
    return network


def main() -> None:
    options = arguments(__doc__, rounds=5, batch=16)
    rows = {}
    for backbone, size in (("mobilenetv4_conv_small", 320), ("mobilenetv2_100", 256), ("resnet18", 256)):
        images = torch.randint(0, 255, (options.batch, 3, size, size), dtype=torch.uint8)
        for bf16 in (True, False):
            networks = {default: network_of(backbone, default) for default in (True, False)}
            seconds: dict[bool, list[float]] = {True: [], False: []}
            for number in range(options.rounds + 1):
                for default, network in networks.items():
                    began = time.perf_counter()
                    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                        outputs = network(images)["objects"]
                    sum(one.float().square().mean() for one in outputs.values() if one.requires_grad).backward()
                    network.zero_grad()
                    if number:
                        seconds[default].append(time.perf_counter() - began)
            base, ours = (float(np.median(seconds[default])) for default in (True, False))
            rows[f"{backbone}, {size} px, {'bf16' if bf16 else 'float32'}"] = {
                "default layout, s": f"{base:.3f}",
                "channels last, s": f"{ours:.3f}",
                "ratio": f"{ours / base:.2f}",
            }
    print(table(rows))


if __name__ == "__main__":
    main()
