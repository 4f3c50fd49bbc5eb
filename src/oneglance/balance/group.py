"""The processes that train one network together, each on a share of every step's images."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, distributed, nn


class Group:
    """All processes of ``torch.distributed`` where it has been set up, this one alone elsewhere.

    ``device``: where numbers are sent from (NCCL sends none from the CPU).
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        together = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if together else 0
        self.world = distributed.get_world_size() if together else 1

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over the processes of a tensor (same shape everywhere); the tensor itself is overwritten."""
        if self.world > 1:
            distributed.all_reduce(tensor)
        return tensor

    def largest(self, number: int) -> int:
        """The largest of the processes' numbers."""
        if self.world == 1:
            return number
        found = torch.tensor(number, device=self.device)
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return int(found)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every gradient becomes the sum over the processes. Where no process has one, there is none."""
        if self.world == 1:
            return
        learning = [one for one in parameters if one.requires_grad]
        has = torch.tensor([one.grad is not None for one in learning], dtype=torch.float32, device=learning[0].device)
        anywhere = self.sum(has).tolist()
        kept = [one for one, count in zip(learning, anywhere, strict=True) if count]
        flat = torch.cat([_gradient(one).reshape(-1) for one in kept]) if kept else learning[0].new_zeros(0)
        self.sum(flat)
        for one, part in zip(kept, flat.split([one.numel() for one in kept]), strict=True):
            if one.grad is None:
                one.grad = torch.empty_like(one)
            one.grad.copy_(part.view(one.shape))


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
