"""What normalises the maps, and by which statistics: a choice that matters where images of several sizes are trained
together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

#: Channels that are normalised together, at least (Wu & He, Group normalization, 2018, have 16 and more).
CHANNELS_A_GROUP = 8
#: What a norm has where statistics are kept by size, and what it has of its own.
BY_SIZE = {"mean_by_size": "running_mean", "var_by_size": "running_var"}
#: How many batches of each size these are of.
BATCHES = "batches_by_size"
#: Where a network's state dict has the sizes.
SIZES = "statistics.sizes"


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
    running average over all parts would be right for none of them. Each norm has ``mean_by_size`` and ``var_by_size``
    float32 [sizes, C] in the place of its own in the state dict, and ``batches_by_size`` int64 [sizes]: of how many
    batches they are. ``sizes`` int64 [sizes, 2] (height, width) are there as well. ``scored``: sizes of inputs after
    training, with those in training that the same images have.
    """

    sizes: Tensor

    def __init__(
        self,
        norms: Iterable[nn.BatchNorm2d],
        sizes: Sequence[tuple[int, int]],
        scored: Mapping[tuple[int, int], tuple[int, int]] | None = None,
    ) -> None:
        super().__init__()
        self.known = tuple(sizes)
        self.register_buffer("sizes", torch.tensor(self.known))
        self._scored = {size: own for size, own in (scored or {}).items() if own in self.known}
        self._norms = list(norms)  # a list, not a ModuleList: they are the network's
        self._number = 0
        #: By norm and size, the row that is right after training; None while that may change.
        self._learnt: list[list[int]] | None = None
        for norm in self._norms:
            if norm.running_mean is None or norm.running_var is None:
                raise ValueError("a norm without running statistics has none to be kept by size")
            for by_size, own in BY_SIZE.items():
                norm.register_buffer(by_size, norm.get_buffer(own).expand(len(sizes), -1).clone())
                norm._non_persistent_buffers_set.add(own)
            norm.register_buffer(BATCHES, torch.zeros(len(sizes), dtype=torch.long))
            norm.register_forward_pre_hook(self._count)

    def select(self, size: tuple[int, int]) -> None:
        """From now on normalise as it is right for inputs of this (height, width): as for the size in training that
        ``scored`` names, else for that of the nearest area; after training, a norm that has seen nothing of that size
        (the head of a task that has no such images) takes the nearest that it has seen."""
        self._number = self.known.index(self._scored.get(size) or nearest_size(size, self.known))
        if self.training:
            self._learnt = None
        elif self._learnt is None:
            self._learnt = self._rows_learnt()
        for k, norm in enumerate(self._norms):
            number = self._number if self._learnt is None else self._learnt[k][self._number]
            for by_size, own in BY_SIZE.items():
                setattr(norm, own, norm.get_buffer(by_size)[number])

    def _rows_learnt(self) -> list[list[int]]:
        seen = torch.stack([norm.get_buffer(BATCHES) for norm in self._norms]).gt(0).tolist()
        return [[nearest_row(size, self.known, of_norm) for size in self.known] for of_norm in seen]

    def _count(self, norm: nn.Module, _: object) -> None:
        if norm.training:
            norm.get_buffer(BATCHES)[self._number] += 1

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._learnt = None


def statistics_like(
    own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], called: Callable[[str], str] = lambda name: name
) -> dict[str, Tensor]:
    """The tensors of another network with the statistics of its norms as this one keeps them, both as state dicts.
    ``called``: what a tensor of this network may be called in the other, where its own name is not there.

    Each size has those of the other's nearest one, or the only ones there are; where this network keeps one for all
    sizes, it has the mean of the other's. Sizes of which a norm has seen nothing do not count. Other tensors stay as
    they are.
    """
    found = {name: tensor for name, tensor in theirs.items() if name != SIZES}
    sizes, known = sizes_in(own), sizes_in(theirs)
    for stem in {name.rpartition(".")[0] for name in own if name.endswith((".running_mean", ".mean_by_size"))}:
        weight = f"{stem}.weight"
        other = (weight if weight in theirs else called(weight)).removesuffix(".weight")
        batches = theirs.get(f"{other}.{BATCHES}")
        apart = f"{stem}.{BATCHES}" in own
        if batches is None and apart and f"{other}.running_mean" in theirs:
            for by_size, one in BY_SIZE.items():
                found[f"{stem}.{by_size}"] = theirs[f"{other}.{one}"].expand(len(sizes), -1).clone()
            found[f"{stem}.{BATCHES}"] = torch.ones(len(sizes), dtype=torch.long)
        elif batches is not None:
            seen = batches.gt(0).tolist()
            rows = [nearest_row(size, known, seen) for size in sizes]
            learnt = [k for k, one in enumerate(seen) if one] or [0]
            for by_size, one in BY_SIZE.items():
                if apart:
                    found[f"{stem}.{by_size}"] = theirs[f"{other}.{by_size}"][rows]
                else:
                    found[f"{stem}.{one}"] = theirs[f"{other}.{by_size}"][learnt].mean(0)
            if apart:
                found[f"{stem}.{BATCHES}"] = batches[rows]
    return found


def sizes_in(state: Mapping[str, Tensor]) -> list[tuple[int, int]]:
    """The sizes by which a network's state dict keeps statistics; none where it keeps one for all."""
    return [_pair(row) for row in state[SIZES]] if SIZES in state else []


def _pair(row: Tensor) -> tuple[int, int]:
    height, width = row.tolist()
    return height, width


def nearest_row(size: tuple[int, int], known: Sequence[tuple[int, int]], seen: Sequence[bool]) -> int:
    """The number of the nearest of the sizes that were seen; of all, where none was."""
    open_to = [one for one, was in zip(known, seen, strict=True) if was] or known
    return list(known).index(nearest_size(size, open_to))


def nearest_size(size: tuple[int, int], sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The one of the sizes (height, width) whose area is nearest; of equal ones the first."""
    return min(sizes, key=lambda one: abs(math.log(_area(one) / _area(size))))


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]
