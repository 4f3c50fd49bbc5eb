"""The sanity check of Adebayo et al. (2018): a heat map that stays as it is when the weights are random shows the image
and the architecture, not what was learnt."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from oneglance.model import Model
from oneglance.network.network import Network

#: From the answer down: what is random at each stage, and the parts of a tensor's name by which it is known.
STAGES = ("the heads", "heads and neck", "everything")


def randomised(model: Model, images: Tensor, seed: int = 0) -> Iterator[tuple[str, Network]]:
    """The model's network with the weights of ever more parts as they are before any training: the heads, these and
    what lies between backbone and heads, everything.

    ``images``: uint8 or float [B, 3, H, W], by which the norms of random parts get statistics that fit them; without,
    deep networks with fresh weights fade out or run over.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        trunk = model.config.trunk.model_copy(update={"pretrained": False})
        fresh = {name: value.clone() for name, value in _like(model, trunk).state_dict().items()}
    own = model.network.state_dict()
    for number, stage in enumerate(STAGES):
        network = _like(model, trunk)
        taken = {
            name for name in own if _stage(name) <= number and name in fresh and fresh[name].shape == own[name].shape
        }
        network.load_state_dict({name: fresh[name] if name in taken else own[name] for name in own})
        network = network.to(model.device).eval()
        _measure_norms(network, taken, images)
        yield stage, network


def _like(model: Model, trunk: object) -> Network:
    statistics = model.network.statistics
    sizes = [] if statistics is None else statistics.known
    scored = model.config.train.scored_as
    return Network(model.tasks, trunk, model.config.sharing, sizes, scored).eval()  # type: ignore[arg-type]


def _stage(name: str) -> int:
    if name.startswith(("heads.", "regions.")):
        return 0
    return 2 if "backbone." in name or "layers." in name else 1


@torch.no_grad()
def _measure_norms(network: Network, taken: set[str], images: Tensor) -> None:
    """Give the batch norms among what is random the statistics that they meet, each after those before it."""
    norms = [
        module
        for name, module in network.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and f"{name}.weight" in taken
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    if norms:
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
