"""What balancing costs: a training step by each method against the plain sum, beside TorchJD's and LibMTL's own ways.

    python benchmarks/balance_step.py [--network resnet|pets] [--seconds 90]

- ``resnet``: timm's ResNet-18 at 96 pixels, 16 images, three linear heads on the pooled features;
- ``pets``: the network of examples/pets.yaml (class, box and outline on MobileNetV2 with its pyramid), 16 random images
  of ``--size`` pixels, all labelled for all three.

A step is the forward pass, the losses and all that it takes to bring gradients into place; no loading, no optimiser,
and no `normalise: gradient`, which measures in a training's first steps only ("sum, measuring" is such a step).
Every variant takes one step in every round, in an order drawn anew, in one process of one thread, until ``--seconds``
are over. What is measured is the processor's time, so that other programs weigh little; the figure (``ratio``) is the
median over the rounds of a variant's time over that of the plain sum in the same round. Where steps differ (``every``),
``mean`` says what they cost together: the sum of all times over that of the plain sum's. TorchJD's mtl_backward goes
through the whole trunk for every task, as does LibMTL (where it can be imported).
Writes results/balance_step_<network>.json.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import platform
import random
import sys
import time
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn

from common import arguments, table
from oneglance.balance import GRADIENT_METHODS, LOSS_METHODS, Balance, BalanceSettings
from oneglance.network.cut import Cut
from oneglance.network.network import Network
from oneglance.network.sharing import SharingSettings
from oneglance.network.trunk import TrunkSettings
from oneglance.tasks import ClassificationSettings, DetectionSettings, SegmentationSettings, create_tasks

Step = Callable[[], None]
METHODS = [name for name in (*LOSS_METHODS, *GRADIENT_METHODS) if name not in ("coupled", "equal", "imtl_l", "random")]


class ResNet(nn.Module):
    """A trunk that ends in 512 pooled numbers, and linear heads."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = timm.create_model("resnet18", num_classes=0)
        self.heads = nn.ModuleDict({name: nn.Linear(512, 10) for name in "abc"})

    def forward(
        self, images: Tensor, rows: Mapping[str, Tensor], cut: Cut | None = None
    ) -> dict[str, dict[str, Tensor]]:
        pooled = self.trunk(images)[:, :, None, None]
        if cut is not None:
            cut.compare_at([pooled])
            pooled = cut(pooled)
        return {name: {"logits": self.heads[name](pooled.flatten(1))} for name in rows}

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.trunk.parameters())


def resnet(size: int, batch: int) -> tuple[Any, Tensor, Callable[[Any], dict[str, dict[str, Tensor]]]]:
    images = torch.randn(batch, 3, size, size)
    truth = {name: torch.randint(0, 10, (batch,)) for name in "abc"}
    loss = nn.CrossEntropyLoss()
    return ResNet().train(), images, lambda out: {n: {"class": loss(o["logits"], truth[n])} for n, o in out.items()}


def pets(
    size: int, batch: int, sharing: SharingSettings | None = None
) -> tuple[Any, Tensor, Callable[[Any], dict[str, dict[str, Tensor]]]]:
    tasks = create_tasks(
        {
            "breed": ClassificationSettings(classes=("a", "b", "c")),
            "head": DetectionSettings(classes=("head",)),
            "outline": SegmentationSettings(classes=("a", "b", "c")),
        }
    )
    trunk = TrunkSettings(backbone="mobilenetv2_100", pretrained=False, norm="frozen")
    network = Network(tasks, trunk, sharing).train()
    corner = torch.rand(batch, 1, 2) * size * 0.4
    targets = {
        "breed": {"label": torch.randint(0, 3, (batch,))},
        "head": {
            "boxes": torch.cat([corner, corner + size * 0.4], -1), "labels": torch.zeros(batch, 1, dtype=torch.long),
            "state": torch.ones(batch, 1, dtype=torch.long), "known": torch.ones(batch, 1, dtype=torch.bool),
        },
        "outline": {"indices": torch.randint(0, 3, (batch, size, size), dtype=torch.uint8)},
    }  # fmt: skip
    images = torch.randint(0, 255, (batch, 3, size, size), dtype=torch.uint8)
    return network, images, lambda out: {n: tasks[n].loss(o, targets[n]) for n, o in out.items()}


def ours(network: Any, images: Tensor, losses: Callable[[Any], Any], **options: Any) -> Step:
    """A step as the training loop takes it."""
    names = list(network.heads)
    settings = BalanceSettings(**{"record": 0, "normalise": "none"} | options)
    balance = Balance(settings, dict.fromkeys(names, 1.0), shared=network.shared_parameters())
    rows = {name: torch.arange(len(images)) for name in names}
    counts = dict.fromkeys(names, len(images))
    number = 0

    def step() -> None:
        nonlocal number
        network.zero_grad(set_to_none=True)
        balance.begin(number, counts)
        cut = balance.cut()
        balance.add(losses(network(images, rows, cut=cut)), rows, cut)
        balance.finish()
        number += 1

    return step


def plain(network: Any, images: Tensor, losses: Callable[[Any], Any]) -> Step:
    """The plain sum without any of this."""
    rows = {name: torch.arange(len(images)) for name in network.heads}

    def step() -> None:
        network.zero_grad(set_to_none=True)
        terms = losses(network(images, rows))
        torch.stack([value for of_task in terms.values() for value in of_task.values()]).sum().backward()

    return step


def torchjds(network: Any, images: Tensor, losses: Callable[[Any], Any], name: str, chunk: int | None) -> Step:
    """TorchJD's mtl_backward: the Jacobian of all losses at the shared parameters."""
    aggregation, autojac = (importlib.import_module(f"torchjd.{part}") for part in ("aggregation", "autojac"))
    aggregator = getattr(aggregation, name)()
    rows = {name: torch.arange(len(images)) for name in network.heads}
    shared = list(network.shared_parameters())

    def step() -> None:
        network.zero_grad(set_to_none=True)
        cut = Cut(part=False)
        terms = losses(network(images, rows, cut=cut))
        values = [torch.stack(list(of_task.values())).sum() for of_task in terms.values()]
        autojac.mtl_backward(
            values, features=cut.shared, tasks_params=[list(network.heads[name].parameters()) for name in terms],
            shared_params=shared, parallel_chunk_size=chunk, retain_graph=True,
        )  # fmt: skip
        autojac.jac_to_grad(shared, aggregator)

    return step


def libmtls(network: Any, images: Tensor, losses: Callable[[Any], Any], name: str) -> Step:
    """LibMTL's weighting on the gradients at the shared parameters (rep_grad=False)."""
    for package in ("LibMTL", "LibMTL.weighting"):  # without their __init__, which needs an old torchvision
        if package not in sys.modules:
            spec = importlib.util.find_spec(package)
            if spec is None:
                raise ImportError(f"no {package}")
            sys.modules[package] = types.ModuleType(package)
            sys.modules[package].__path__ = list(spec.submodule_search_locations or ())
    weighting = getattr(importlib.import_module(f"LibMTL.weighting.{name}"), name)()
    rows = {name: torch.arange(len(images)) for name in network.heads}
    shared = list(network.shared_parameters())
    weighting.rep_grad, weighting.task_num, weighting.device = False, len(rows), torch.device("cpu")
    weighting.task_name = list(rows)
    weighting.get_share_params = lambda: shared

    def clear() -> None:
        for parameter in shared:
            parameter.grad = None if parameter.grad is None else torch.zeros_like(parameter)

    weighting.zero_grad_share_params = clear

    def step() -> None:
        network.zero_grad(set_to_none=True)
        terms = losses(network(images, rows))
        values = torch.stack([torch.stack(list(of_task.values())).sum() for of_task in terms.values()])
        weighting.backward(values, mgda_gn="none", calpha=0.4, rescale=1)

    return step


def main() -> None:
    options = arguments(__doc__, network="resnet", seconds=90, size=0, batch=16)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    size = options.size or (96 if options.network == "resnet" else 160)
    case = {"resnet": resnet, "pets": pets}[options.network](size, options.batch)
    variants: dict[str, Step] = {"plain sum, no balance": plain(*case)}
    for name in METHODS if options.network == "resnet" else ("sum", "uncertainty", "famo", "upgrad", "mgda", "cagrad"):
        variants[name] = ours(*case, method=name)
    variants["sum, measuring"] = ours(*case, method="sum", record=1)
    variants["upgrad at channels"] = ours(*case, method="upgrad", at="channels")
    variants["upgrad at parameters"] = ours(*case, method="upgrad", at="parameters")
    for every in (2, 4):
        variants[f"upgrad, every {every} steps"] = ours(*case, method="upgrad", every=every)
    left_out: dict[str, str] = {}

    def add(label: str, make: Callable[[], Step]) -> None:
        try:
            one = make()
            one()
            variants[label] = one
        except Exception as error:  # theirs may lack a dependency, or fail on this network: that is a finding too
            left_out[label] = f"{type(error).__name__}: {error}".splitlines()[0]

    names = ("MGDA", "PCGrad", "IMTLG", "AlignedMTL") if options.network == "resnet" else ("MGDA", "PCGrad")
    for name in names:
        add(f"TorchJD mtl_backward, {name}", lambda name=name: torchjds(*case, name, None))
    add(f"TorchJD mtl_backward, {names[0]}, chunk 1", lambda: torchjds(*case, names[0], 1))
    for name in ("PCGrad", "MGDA", "CAGrad"):
        add(f"LibMTL, {name}", lambda name=name: libmtls(*case, name))

    seconds: dict[str, list[float]] = {name: [] for name in variants}
    began_at, number = time.monotonic(), -1
    while number < 2 or time.monotonic() - began_at < options.seconds:
        number += 1
        for name in random.sample(list(variants), len(variants)):
            began = time.process_time()
            variants[name]()
            if number:
                seconds[name].append(time.process_time() - began)
    base = np.array(seconds["plain sum, no balance"])
    found = {}
    for name, taken in seconds.items():
        ratios = np.array(taken) / base
        low, high = np.percentile(ratios, [25, 75])
        found[name] = {
            "ratio": float(np.median(ratios)), "mean": float(sum(taken) / base.sum()), "quarter": float(low),
            "three quarters": float(high), "seconds": float(np.median(taken)),
        }  # fmt: skip
    result = {
        "network": options.network, "size": size, "batch": options.batch, "threads": 1,
        "rounds": number, "torch": torch.__version__, "machine": platform.machine(), "variants": found,
        "left out": left_out,
    }  # fmt: skip
    path = Path(__file__).parent / "results" / f"balance_step_{options.network}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(table({name: {key: f"{value:.3f}" for key, value in row.items()} for name, row in found.items()}))
    for name, why in left_out.items():
        print(f"left out: {name}: {why}")


if __name__ == "__main__":
    main()
