"""Learning rates over the steps, what else changes over them, averaged weights, and which parameters get which rate."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Any

import torch
from torch import Tensor, nn

from oneglance.config import Config
from oneglance.network.network import Network
from oneglance.training.settings import TrainSettings


def learning_rate(step: int, total: int, settings: TrainSettings) -> float:
    """The factor on every group's rate at ``step`` of ``total``: a linear rise, then half a cosine."""
    rise = max(1, round(settings.warmup * total))
    if step < rise:
        return (step + 1) / rise
    done = (step - rise) / max(1, total - rise)
    return settings.final_lr + (1 - settings.final_lr) * (1 + math.cos(math.pi * done)) / 2


#: The backbone's share of the learning rate where `trunk_lr` is not given: weights that are good already must not be
#: shaken; at 0.5 a pretrained MobileNetV2 with frozen norms once collapsed to one answer for all images.
PRETRAINED_LR = 0.2


def create_optimizer(network: Network, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW; the backbone has a rate of its own, norms and biases no decay, frozen parameters no place."""
    trunk = {id(parameter) for parameter in network.backbone_parameters()}
    undecayed = {id(parameter) for parameter in network.undecayed()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and id(parameter) not in undecayed
            groups.setdefault((id(parameter) in trunk, decays), []).append(parameter)
    described: list[dict[str, Any]] = [
        {"params": parameters, "in_trunk": in_trunk, "decays": decays}
        for (in_trunk, decays), parameters in groups.items()
    ]
    optimizer = FusedAdamW(described, betas=(0.9, 0.99), fused=True)
    set_rates(optimizer, network, settings)
    return optimizer


def set_rates(optimizer: torch.optim.Optimizer, network: Network, settings: TrainSettings) -> None:
    """Each group's highest rate (``base_lr``) and its decay, as the settings say."""
    own = PRETRAINED_LR if network.trunk.pretrained else 1.0
    trunk_lr = own if settings.trunk_lr is None else settings.trunk_lr
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] = settings.lr * (trunk_lr if group["in_trunk"] else 1.0)
        group["weight_decay"] = settings.weight_decay if group["decays"] else 0.0


class Stages:
    """Which configuration holds at a step of ``total``: the given one, or what its `schedule` makes of it."""

    def __init__(self, config: Config, total: int) -> None:
        later = [(round(share * total), stage) for share, stage in config.stages()]
        self._first = [0, *(step for step, _ in later)]
        self._configs = [config, *(stage for _, stage in later)]

    def at(self, step: int) -> Config:
        """The configuration that holds at a step, the same object from one change to the next."""
        return self._configs[bisect_right(self._first, step) - 1]


class FusedAdamW(torch.optim.AdamW):
    """AdamW (Loshchilov & Hutter 2019) in one pass over memory, several times as fast on a CPU.

    The pass takes weights, gradients and moments as they lie in memory, so all three must lie alike: with weights in
    channels-last order, gradients and moments that come from elsewhere are put into that order first.
    """

    def step(self, closure: Any = None) -> Any:
        """See :meth:`torch.optim.AdamW.step`."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad = lying_like(parameter, parameter.grad)
        return super().step(closure)

    def load_state_dict(self, state_dict: Any) -> None:
        """See :meth:`torch.optim.AdamW.load_state_dict`."""
        super().load_state_dict(state_dict)
        for parameter, state in self.state.items():
            for name in ("exp_avg", "exp_avg_sq"):
                state[name] = lying_like(parameter, state[name])


def lying_like(other: Tensor, tensor: Tensor) -> Tensor:
    """``tensor`` itself, or a copy of it if its numbers lie in another order in memory than those of ``other``."""
    strides = zip(tensor.shape, tensor.stride(), other.stride(), strict=True)
    if all(mine == its for size, mine, its in strides if size > 1):
        return tensor
    return torch.empty_like(other).copy_(tensor)


class AveragedWeights:
    """An exponential moving average of all weights and buffers: what is evaluated and saved.

    The window is ``share`` of the whole training; early on it is shorter, so that the random start is soon forgotten.
    """

    def __init__(self, network: nn.Module, share: float, total: int) -> None:
        self.decay = math.exp(-1 / max(1.0, share * total)) if share else 0.0
        self.state = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network's weights after ``step`` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        mine: list[Tensor] = []
        theirs: list[Tensor] = []
        for name, value in network.state_dict().items():
            if value.dtype.is_floating_point:
                mine.append(self.state[name])
                theirs.append(value)
            else:
                self.state[name].copy_(value)
        torch._foreach_lerp_(mine, theirs, 1 - decay)
