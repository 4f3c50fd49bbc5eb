"""Methods that look at the losses alone: each gives the factors by which the tasks' gradients are multiplied.

A scalarisation f(L_1 .. L_K) pulls on the network with df/dL_t; that derivative is the factor, so that no method needs
a graph of its own, and what a method learns (a variance, a logit) follows a gradient that is written down. All tensors
are float [T] over all tasks that there are, on the network's device; ``present`` bool [T] says which occur in the step,
and the others change nothing. Nothing here makes the host wait for the device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from oneglance.balance.settings import BalanceSettings

EPSILON = 1e-8


class LossMethod(ABC):
    """Factors from losses. ``ahead``: whether they are known before the step's losses are."""

    ahead: ClassVar[bool] = True

    def __init__(self, settings: BalanceSettings, size: int, device: torch.device, seed: int) -> None:
        self.settings, self.size, self.device, self.seed = settings, size, device, seed
        self.lowest = torch.zeros(size, device=device)
        self.state: dict[str, Tensor] = {}

    @abstractmethod
    def factors(self, losses: Tensor, present: Tensor, step: int) -> Tensor:
        """Factors >= 0, float [T], of any sum, from the step's losses (float [T], 0 where absent; meaningless where
        ``ahead``)."""

    def learn(self, losses: Tensor, present: Tensor) -> None:
        """Take note of the step's losses, once factors have been given."""
        return

    def end_epoch(self) -> None:
        """An epoch is over."""
        return

    def _keep(self, **values: float) -> None:
        self.state = {n: torch.full((self.size,), float(value), device=self.device) for n, value in values.items()}

    def _adam(self, name: str, gradient: Tensor, present: Tensor, lr: float, decay: float = 0.0) -> None:
        """One step of Adam (Kingma and Ba 2015) on what is kept as ``name``, at the present tasks; each task counts its
        own steps, and the weight decay is added to the gradient."""
        value, mean, square, count = (self.state[name + part] for part in ("", "_mean", "_square", "_count"))
        gradient = gradient + decay * value
        new_count = count + 1
        new_mean, new_square = torch.lerp(gradient, mean, 0.9), torch.lerp(gradient * gradient, square, 0.999)
        step = new_mean / (1 - 0.9**new_count) / ((new_square / (1 - 0.999**new_count)).sqrt() + EPSILON)
        new = (value - lr * step, new_mean, new_square, new_count)
        for part, old, one in zip(("", "_mean", "_square", "_count"), (value, mean, square, count), new, strict=True):
            self.state[name + part] = torch.where(present, one, old)


class Plain(LossMethod):
    """The plain sum of the weighted losses: ``sum``, ``coupled`` and ``equal`` differ in the weights alone."""

    def factors(self, losses: Tensor, present: Tensor, step: int) -> Tensor:
        return present.float()


class Uncertainty(LossMethod):
    """exp(-s) L / 2 + s / 2 with a learned log variance s for each task (Kendall et al. 2018)."""

    def __init__(self, settings: BalanceSettings, size: int, device: torch.device, seed: int) -> None:
        super().__init__(settings, size, device, seed)
        self._keep(log_variance=0, log_variance_mean=0, log_variance_square=0, log_variance_count=0)

    def factors(self, losses: Tensor, present: Tensor, step: int) -> Tensor:
        return torch.exp(-self.state["log_variance"]) * present

    def learn(self, losses: Tensor, present: Tensor) -> None:
        gradient = (1 - torch.exp(-self.state["log_variance"]) * losses) / 2
        self._adam("log_variance", gradient, present, self.settings.lr or 0.01)


class ImtlL(LossMethod):
    """exp(s) L - s with a learned scale s for each task (Liu et al. 2021, the loss part of IMTL)."""

    def __init__(self, settings: BalanceSettings, size: int, device: torch.device, seed: int) -> None:
        super().__init__(settings, size, device, seed)
        self._keep(log_scale=0, log_scale_mean=0, log_scale_square=0, log_scale_count=0)

    def factors(self, losses: Tensor, present: Tensor, step: int) -> Tensor:
        return torch.exp(self.state["log_scale"]) * present

    def learn(self, losses: Tensor, present: Tensor) -> None:
        gradient = torch.exp(self.state["log_scale"]) * losses - 1
        self._adam("log_scale", gradient, present, self.settings.lr or 0.01)


class Dwa(LossMethod):
    """Dynamic weight average (Liu et al. 2019): softmax over the tasks of (mean loss of the last epoch / of the one
    before) / temperature; a task without two such epochs counts as one whose loss stands still."""

    def __init__(self, settings: BalanceSettings, size: int, device: torch.device, seed: int) -> None:
        super().__init__(settings, size, device, seed)
        self._keep(sum=0, count=0, last=float("nan"), before=float("nan"))

    def factors(self, losses: Tensor, present: Tensor, step: int) -> Tensor:
        rate = self.state["last"] / self.state["before"]
        rate = torch.where(torch.isfinite(rate), rate, torch.ones_like(rate))
        return _softmax(rate / self.settings.temperature, present)

    def learn(self, losses: Tensor, present: Tensor) -> None:
        self.state["sum"] = self.state["sum"] + losses * present
        self.state["count"] = self.state["count"] + present

    def end_epoch(self) -> None:
        state = self.state
        seen = state["count"] > 0
        mean = state["sum"] / state["count"].clamp(min=1)
        state["before"] = torch.where(seen, state["last"], state["before"])
        state["last"] = torch.where(seen, mean, state["last"])
        state["sum"], state["count"] = torch.zeros_like(mean), torch.zeros_like(mean)


class Random(LossMethod):
    """Softmax of normal numbers, drawn anew at every step (Lin et al. 2022): what others have to beat."""

    def factors(self, losses: Tensor, present: Tensor, step: int) -> Tensor:
        # By seed and step alone, so that resumption and other processes draw the same.
        drawn = torch.randn(self.size, generator=torch.Generator().manual_seed(self.seed * 1_000_003 + step))
        return _softmax(drawn.to(self.device, non_blocking=True), present)


class _Above(LossMethod):
    """Those that need losses above their lowest value."""

    ahead = False

    def above(self, losses: Tensor) -> Tensor:
        """How far the losses are above the lowest they can take, at least a little."""
        return (losses - self.lowest).clamp(min=EPSILON)


class Geometric(_Above):
    """The geometric mean of the losses (Chennupati et al. 2019): a gradient goes with the inverse of its loss."""

    def factors(self, losses: Tensor, present: Tensor, step: int) -> Tensor:
        return torch.where(present, 1 / self.above(losses), torch.zeros_like(losses))


class Stch(_Above):
    """Smooth Tchebycheff scalarisation mu log sum exp(L / (K mu)) (Lin et al. 2024): the worst tasks count most."""

    def factors(self, losses: Tensor, present: Tensor, step: int) -> Tensor:
        return _softmax(self.above(losses) / (self.settings.mu * present.sum()), present)


class Famo(_Above):
    """FAMO (Liu et al. 2023): logits z follow how fast each log loss falls; the factors are softmax(z) / L.

    The paper computes the losses once more on the same batch after the step; here those of the next step stand for
    them, which spares a forward pass and adds the difference between two batches as noise.
    """

    def __init__(self, settings: BalanceSettings, size: int, device: torch.device, seed: int) -> None:
        super().__init__(settings, size, device, seed)
        self._keep(logit=0, logit_mean=0, logit_square=0, logit_count=0, before=float("nan"))

    def factors(self, losses: Tensor, present: Tensor, step: int) -> Tensor:
        now = torch.log(self.above(losses))
        fall = self.state["before"] - now
        both = present & torch.isfinite(fall)
        fall = torch.where(both, fall, torch.zeros_like(fall))
        z = _softmax(self.state["logit"], both)
        self._adam("logit", z * (fall - (z * fall).sum()), both, self.settings.lr or 0.025, self.settings.gamma)
        self.state["before"] = torch.where(present, now, torch.full_like(now, float("nan")))
        return _softmax(self.state["logit"], present) / self.above(losses)


def _softmax(values: Tensor, present: Tensor) -> Tensor:
    """Softmax over the present tasks, 0 for the others (and 0 where none is present)."""
    hidden = torch.where(present, values, torch.full_like(values, -torch.inf))
    return torch.nan_to_num(torch.softmax(hidden, 0)) * present


METHODS: dict[str, type[LossMethod]] = {
    "sum": Plain, "coupled": Plain, "equal": Plain, "uncertainty": Uncertainty, "dwa": Dwa, "random": Random,
    "geometric": Geometric, "stch": Stch, "imtl_l": ImtlL, "famo": Famo,
}  # fmt: skip
