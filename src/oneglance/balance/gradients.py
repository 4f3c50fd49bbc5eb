"""Methods that look at the gradients: weights of the tasks from the K x K Gramian of their gradients.

The Gramian, float64 on the CPU, is what a step waits for: K numbers come of it, and a solver on the host is done before
a GPU has been told of its first small kernel. TorchJD supplies UPGrad, DualProj, PCGrad and Aligned-MTL (the first two
with our solver in place of one under the GPL). The others are here: TorchJD's need cvxpy, ECOS or SciPy (CAGrad,
Nash-MTL, FairGrad), stop before they are exact (MGDA), want the whole Jacobian (ConFIG), may step up all losses at once
(IMTL-G) or forget everything when a task is absent (GradVac). The tests compare them with TorchJD's.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oneglance.balance import solvers
from oneglance.balance.settings import BalanceSettings
from oneglance.balance.solvers import Floats

EPSILON = 1e-12


class GradientMethod:
    """Weights from a Gramian. ``state``: what is kept between steps, float64 tensors by name."""

    def __init__(self, settings: BalanceSettings, size: int, seed: int) -> None:
        self.settings, self.seed = settings, seed
        self.state: dict[str, Tensor] = {}
        if settings.method == "gradvac":
            self.state["target"] = torch.zeros(size, size, dtype=torch.float64)

    def factors(self, gramian: Floats, tasks: np.ndarray, step: int) -> Floats:
        """What the gradients are to be multiplied by, [K]: 1 each where all have one length and are at right angles.

        Methods that are the plain sum until gradients conflict keep their own scale (as PCGrad's sum of projected
        gradients does: without it the toy problem ends elsewhere); those whose scale means nothing or is a mean are
        scaled until the magnitudes sum to K. Arguments: see :meth:`weights`.
        """
        found = self.weights(gramian, tasks, step)
        if self.settings.method in ("pcgrad", "gradvac"):
            return found
        if self.settings.method in ("upgrad", "dualproj"):
            return found * len(found)
        total = float(np.abs(found).sum())
        return found * (len(found) / total) if total > 0 else np.zeros_like(found)

    def weights(self, gramian: Floats, tasks: np.ndarray, step: int) -> Floats:
        """Weights [K] of the method's own scale.

        ``gramian`` float64 [K, K], positive diagonal; ``tasks`` int64 [K]: their numbers among all tasks.
        """
        settings = self.settings
        scaled = solvers.scaled(gramian)
        match settings.method:
            case "mgda":
                return solvers.nearest_to_origin(scaled)
            case "cagrad":
                return solvers.conflict_averse(scaled, settings.c)
            case "nash_mtl":
                return solvers.fair(scaled, 1.0)
            case "fairgrad":
                return solvers.fair(scaled, settings.alpha)
            case "imtl_g":
                return impartial(scaled)
            case "config":
                return conflict_free(scaled)
            case "gradvac":
                return self._vaccine(gramian, tasks, step)
            case "pcgrad":
                with _seeded(self.seed, step):
                    return _ask("PCGradWeighting", scaled)
            case "aligned_mtl":
                return _ask("AlignedMTLWeighting", scaled)
            case "upgrad":
                return _ask("UPGradWeighting", scaled, projector=_projector())
            case "dualproj":
                return _ask("DualProjWeighting", scaled, projector=_projector())
        raise ValueError(settings.method)

    def _vaccine(self, gramian: Floats, tasks: np.ndarray, step: int) -> Floats:
        """GradVac (Wang et al. 2021): a gradient whose cosine with another is below the cosine they are used to gets as
        much of the other as brings it there; what they are used to follows with the rate ``beta``."""
        target = self.state["target"].numpy()
        rng = np.random.default_rng([self.seed, step])
        length = np.sqrt(np.diag(gramian))
        mixed = np.eye(len(tasks))
        for i in range(len(tasks)):
            for j in rng.permutation(len(tasks)):
                if i == j:
                    continue
                own = float(np.sqrt(max(mixed[i] @ gramian @ mixed[i], 0.0)))
                cosine = float(np.clip(mixed[i] @ gramian[j] / max(own * length[j], EPSILON), -1, 1))
                wanted = target[tasks[i], tasks[j]]
                if cosine < wanted:
                    rest = np.sqrt(1 - wanted**2)
                    add = own * (wanted * np.sqrt(1 - cosine**2) - cosine * rest) / (length[j] * max(rest, EPSILON))
                    mixed[i, j] += add
                target[tasks[i], tasks[j]] = (1 - self.settings.beta) * wanted + self.settings.beta * cosine
        weights: Floats = mixed.sum(0)
        return weights


def impartial(gramian: Floats) -> Floats:
    """IMTL-G (Liu et al. 2021): the direction on which all gradients have the same projection, which is never negative.

    TorchJD divides by the sum of the weights; where that is negative, its step would climb all losses.
    """
    return np.asarray(np.linalg.pinv(gramian, hermitian=True) @ np.sqrt(np.diag(gramian)), np.float64)


def conflict_free(gramian: Floats) -> Floats:
    """ConFIG (Liu et al. 2025): the direction with the same cosine to all gradients, as long as the gradients'
    projections on it together."""
    length = np.sqrt(np.diag(gramian))
    weights: Floats = np.linalg.pinv(gramian / length[:, None] / length, hermitian=True).sum(1) / length
    return weights


def drop_signs(gradients: list[Tensor], generator: torch.Generator) -> Tensor:
    """GradDrop (Chen et al. 2020) on the tasks' gradients of one map, float [K] of [...]: at each place one sign is
    drawn, + with the chance (1 + sum / sum of magnitudes) / 2, and the gradients of the other sign are dropped."""
    total, size = torch.zeros_like(gradients[0]), torch.zeros_like(gradients[0])
    for one in gradients:
        total, size = total + one, size + one.abs()
    chance = (1 + total / size.clamp(min=1e-30)) / 2
    drawn = torch.empty_like(chance).uniform_(generator=generator)
    positive = chance > drawn
    kept = torch.zeros_like(total)
    for one in gradients:
        kept = kept + torch.where((one > 0) == positive, one, torch.zeros_like(one))
    return kept


@cache
def _torchjd() -> Any:
    return importlib.import_module("torchjd.aggregation")  # takes a second, and most trainings never need it


@cache
def _projector() -> Any:
    base: Any = importlib.import_module("torchjd.linalg").DualConeProjector

    class Exact(base):
        """TorchJD's dual cone projection, by our solver."""

        def __call__(self, u: Tensor, gramian: Tensor) -> Tensor:
            rows = [solvers.above(one, gramian.numpy()) for one in np.atleast_2d(u.numpy())]
            return torch.from_numpy(np.stack(rows).reshape(u.shape))

    return Exact()


def _ask(name: str, gramian: Floats, **options: Any) -> Floats:
    weighting: Callable[[Tensor], Tensor] = getattr(_torchjd(), name)(**options)
    weights: Floats = weighting(torch.from_numpy(gramian)).numpy()
    return weights


@contextmanager
def _seeded(seed: int, step: int) -> Iterator[None]:
    """TorchJD draws on torch's global generator: here by seed and step alone, and nobody else notices."""
    kept = torch.get_rng_state()
    torch.default_generator.manual_seed(seed * 1_000_003 + step)
    try:
        yield
    finally:
        torch.set_rng_state(kept)
