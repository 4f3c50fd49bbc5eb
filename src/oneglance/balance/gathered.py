"""The tasks' gradients of one step, gathered where they are compared: from all its parts and all processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from oneglance.balance.compare import Gradients, by_channel, gramian_of
from oneglance.balance.group import Group
from oneglance.network.cut import Cut


class Gathered:
    """What a step says of its tasks' gradients. Tasks are known by their numbers, 0 to ``size`` - 1.

    ``at``: where they are compared (``BalanceSettings.at``). ``rows``, for ``at: parameters``: by task its gradient at
    each of the ``shared`` parameters, None where it is 0; empty elsewhere.
    """

    def __init__(
        self,
        at: Literal["features", "channels", "parameters"],
        size: int,
        shared: Sequence[nn.Parameter],
        group: Group,
        device: torch.device,
    ) -> None:
        self.at, self.size, self.shared, self.group, self.device = at, size, shared, group, device
        self.rows: dict[int, Gradients] = {}
        self._gramian = torch.zeros(size, size, device=device)
        self._channels: Tensor | None = None
        self._together = torch.zeros(size, size, device=device)

    @property
    def apart(self) -> bool:
        """Whether gradients that lie in different images are at right angles by that alone."""
        return self._channels is None and not self.rows

    def look(self, cut: Cut, losses: Mapping[int, Tensor], scale: Tensor) -> None:
        """Add the gradients of a part's losses (scalars, each times its entry of ``scale``, float [size]) at the common
        maps. Their graph stays, and no parameter's gradient is touched."""
        if cut.common:
            self._add(cut, {
                i: list(torch.autograd.grad(loss, cut.common, scale[i].to(loss.dtype), True, allow_unused=True))
                for i, loss in losses.items() if loss.requires_grad
            })  # fmt: skip

    def take(self, cut: Cut, gradients: Mapping[int, Gradients]) -> None:
        """Add a part's gradients, known at the maps ``cut.shared``: taken on to where they are compared.

        The graph of the trunk stays.
        """
        if self.at == "parameters":
            self._take_to_parameters(cut, gradients)
        else:
            self._add(cut, {i: _at_common(cut, found) for i, found in gradients.items()})

    def count(self, rows: Mapping[int, Tensor]) -> None:
        """Count the images of a part in which two tasks are labelled: by task int64 [n], images of the step."""
        for i, own in rows.items():
            for j, others in rows.items():
                self._together[i, j] += torch.isin(own, others).sum()

    def together(self) -> Tensor:
        """In how many of the step's images each pair of tasks is labelled, float [size, size]."""
        return self.group.sum(self._together)

    def sum_rows(self, present: Sequence[int]) -> None:
        """``rows`` become the sums over all processes for the tasks that are in the step; zeros where there is none."""
        if self.group.world == 1:
            return
        for i in present:
            own = self.rows.get(i, [None] * len(self.shared))
            full = [torch.zeros_like(p) if g is None else g for p, g in zip(self.shared, own, strict=True)]
            flat = self.group.sum(torch.cat([one.reshape(-1) for one in full]))
            split = flat.split([one.numel() for one in full])
            self.rows[i] = [one.view(p.shape) for one, p in zip(split, self.shared, strict=True)]

    def gramian(self) -> Tensor:
        """The inner products of the step's gradients over all parts and processes, float [size, size]."""
        if self.rows:
            return gramian_of(self.rows, self.size)
        if self.at == "channels":
            width = self.group.largest(0 if self._channels is None else self._channels.shape[1])
            if self._channels is None:  # this process has no image in the step
                self._channels = torch.zeros(self.size, width, device=self.device)
            total = self.group.sum(self._channels)
            return total @ total.T
        return self.group.sum(self._gramian)

    def _add(self, cut: Cut, common: Mapping[int, Gradients]) -> None:
        """Add gradients that are known at the maps ``cut.common``."""
        if self.at == "channels":
            vectors = {i: by_channel(found, cut.common) for i, found in common.items()}
            nothing = torch.zeros_like(next(iter(vectors.values())))
            stacked = torch.stack([vectors.get(i, nothing) for i in range(self.size)])
            self._channels = stacked if self._channels is None else self._channels + stacked
        else:
            self._gramian = self._gramian + gramian_of(common, self.size).to(self.device)

    def _take_to_parameters(self, cut: Cut, gradients: Mapping[int, Gradients]) -> None:
        for i, found in gradients.items():
            at = [(maps, gradient) for maps, gradient in zip(cut.shared, found, strict=True) if gradient is not None]
            if not at:
                continue
            rows = torch.autograd.grad(
                [maps for maps, _ in at], list(self.shared), [gradient for _, gradient in at], retain_graph=True,
                allow_unused=True,
            )  # fmt: skip
            before = self.rows.get(i, [None] * len(rows))
            self.rows[i] = [_plus(a, b) for a, b in zip(before, rows, strict=True)]


def _at_common(cut: Cut, found: Gradients) -> Gradients:
    """A gradient at the shared maps as one at the maps that all of them come from."""
    known = {id(maps): gradient for maps, gradient in zip(cut.shared, found, strict=True) if gradient is not None}
    if known.keys() <= {id(maps) for maps in cut.common}:
        return [known.get(id(maps)) for maps in cut.common]
    at = [(maps, gradient) for maps, gradient in zip(cut.shared, found, strict=True) if gradient is not None]
    return torch.autograd.grad(
        [maps for maps, _ in at], cut.common, [gradient for _, gradient in at], retain_graph=True, allow_unused=True
    )


def _plus(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return one if other is None else other
    return one + other
