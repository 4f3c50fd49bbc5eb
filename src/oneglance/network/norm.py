"""What normalises the maps, and by which statistics: a choice that matters where images of several sizes are trained
together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torch import Tensor, nn

#: Channels that are normalised together, at least (Wu & He, Group normalization, 2018, have 16 and more).
CHANNELS_A_GROUP = 8


def with_group_norm(module: nn.Module) -> None:
    """Put GroupNorm in the place of every BatchNorm, with its weight and bias; in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, _group_norm(child))
        else:
            with_group_norm(child)


def _group_norm(norm: nn.BatchNorm2d) -> nn.Module:
    from timm.layers import BatchNormAct2d, GroupNormAct  # takes seconds to import

    groups = math.gcd(norm.num_features, max(1, norm.num_features // CHANNELS_A_GROUP))
    if isinstance(norm, BatchNormAct2d):
        made = GroupNormAct(norm.num_features, groups, eps=norm.eps)
        made.act, made.drop = norm.act, norm.drop
    else:
        made = nn.GroupNorm(groups, norm.num_features, norm.eps)
    made.load_state_dict({"weight": norm.weight.detach(), "bias": norm.bias.detach()}, strict=False)
    return made


class SizeStatistics(nn.Module):
    """Running means and variances of BatchNorm for each size of the input (as for each domain: Li et al. 2017; Chang et
    al. 2019). Weights and biases are shared.

    In training each part of a batch, whose images are of one size, is normalised by its own mean and variance; one
    running average over all parts would be right for none of them. ``mean_k`` and ``var_k`` float32 [sizes, C] are
    those of the k-th norm, and take the place of its own in the state dict.
    """

    def __init__(self, norms: Iterable[nn.BatchNorm2d], sizes: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self._norms = list(norms)  # a list, not a ModuleList: they are the network's
        for k, norm in enumerate(self._norms):
            if norm.running_mean is None or norm.running_var is None:
                raise ValueError("a norm without running statistics has none to be kept by size")
            self.register_buffer(f"mean_{k}", norm.running_mean.expand(len(sizes), -1).clone())
            self.register_buffer(f"var_{k}", norm.running_var.expand(len(sizes), -1).clone())
            norm._non_persistent_buffers_set |= {"running_mean", "running_var"}

    def select(self, size: tuple[int, int]) -> None:
        """From now on normalise as it is right for inputs of this (height, width), or of the nearest area."""
        number = self.sizes.index(nearest_size(size, self.sizes))
        for k, norm in enumerate(self._norms):
            norm.running_mean, norm.running_var = self._row(f"mean_{k}", number), self._row(f"var_{k}", number)

    def _row(self, name: str, number: int) -> Tensor:
        rows: Tensor = self.get_buffer(name)
        return rows[number]


def nearest_size(size: tuple[int, int], sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The one of the sizes (height, width) whose area is nearest; of equal ones the first."""
    return min(sizes, key=lambda one: abs(math.log(_area(one) / _area(size))))


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]
