"""Gradients of the tasks side by side: their Gramian at the shared maps, by channel, or at the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Gradients = Sequence[Tensor | None]


def gramian_of(gradients: Mapping[int, Gradients], size: int) -> Tensor:
    """The inner products of the tasks' gradients, float32 [size, size]; 0 for tasks that are not in ``gradients``.

    ``gradients``: by the task's number, its gradient at each of several tensors; None where it is 0.
    """
    tasks = sorted(gradients)
    flat = {t: [None if one is None else _flat(one) for one in gradients[t]] for t in tasks}
    products: dict[tuple[int, int], Tensor] = {}
    for i, s in enumerate(tasks):
        for t in tasks[i:]:
            pairs = [torch.dot(a, b) for a, b in zip(flat[s], flat[t], strict=True) if a is not None and b is not None]
            if pairs:
                products[s, t] = products[t, s] = torch.stack(pairs).sum()
    if not products:
        return torch.zeros(size, size)
    nothing = torch.zeros_like(next(iter(products.values())))
    return torch.stack([products.get((s, t), nothing) for s in range(size) for t in range(size)]).view(size, size)


def by_channel(gradients: Gradients, like: Sequence[Tensor]) -> Tensor:
    """The gradient with respect to a shift of each channel: float32 [sum of C] from maps float [B, C, H, W]."""
    sums = [
        torch.zeros(one.shape[1], device=one.device) if g is None else g.float().sum((0, 2, 3))
        for g, one in zip(gradients, like, strict=True)
    ]
    return torch.cat(sums)


def cosines(gramian: Tensor) -> Tensor:
    """The cosines between the gradients, float [K, K]; NaN where one of them is 0."""
    length = gramian.diagonal().clamp(min=0).sqrt()
    return gramian / (length[:, None] * length)


def _flat(gradient: Tensor) -> Tensor:
    """As float32 [n] in an order that all gradients of a map share, without a copy where it lies that way."""
    if gradient.ndim == 4:
        gradient = gradient.permute(0, 2, 3, 1)
    return gradient.reshape(-1).float()
