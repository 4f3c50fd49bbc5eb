"""What ties the weights of several trunks to each other: a term of the loss, R(theta)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from oneglance.network.sharing.roots import roots

#: Share of the identity that is mixed into the relations before they are inverted: two tasks that went the same way so
#: far are not held together for ever.
SOFTENED = 0.05


class Tie(nn.Module):
    """The term R over the weights that all trunks have, layer by layer, and the relation between the trunks.

    Tied are matrices and kernels; norms and biases follow each task's own statistics. Each layer is measured by its own
    norm at the start, so that a distance is relative, and a layer weighs as much as another whatever its size and
    scale. ``d`` is what a trunk has moved from the common start, in these units, ``T`` the number of trunks:

    - ``l2``: mean over trunks of |d - mean d|^2, summed over layers (Duong et al., ACL 2015).
    - ``trace_norm``: |W|_* / sqrt(T) of the stacked weights, summed over layers (Yang & Hospedales, 2017):
      1 for a layer whose trunks are equal, sqrt(T) for unrelated ones.
    - ``omega``: tr(D omega^-1 D^T) / T^2 over all layers together (Zhang & Yeung, UAI 2010). Omega is learned, by their
      closed form (D^T D)^(1/2) / tr (D^T D)^(1/2); it begins as I / T, where the term is the mean of |d|^2. D stands in
      place of their W: trunks that begin as copies have nearly equal W whatever their tasks, and it is where they go
      that tells which belong together. In the words of their model, the prior's mean is the start and not 0.

    ``omega`` float [T, T], positive semi-definite, of trace 1, is a buffer of the network; the start is training state.
    """

    omega: Tensor

    def __init__(self, relation: str, trunks: nn.ModuleDict) -> None:
        super().__init__()
        self.relation, self.names = relation, tuple(trunks)
        self._trunks = dict(trunks.items())  # the network has them as modules already
        if relation == "omega":
            self.register_buffer("omega", torch.eye(len(trunks)) / len(trunks))

    @torch.no_grad()
    def begin(self) -> None:
        """Take the weights as they are for the start: the mean over the trunks."""
        named = [dict(trunk.named_parameters()) for trunk in self._trunks.values()]
        first = named[0]
        common = [n for n in first if all(n in of and of[n].shape == first[n].shape for of in named)]
        self.layers = [n for n in common if first[n].ndim > 1 and any(of[n].requires_grad for of in named)]
        self._weights = [[of[name] for name in self.layers] for of in named]
        self._sizes = [one.numel() for one in self._weights[0]]
        self._start = self._flat().mean(0)
        squares = torch.stack([one.square().sum() for one in self._start.split(self._sizes)])
        # A layer that begins with zeros is measured as a new one would be, whose outputs have the inputs' variance.
        fresh = torch.tensor([one.shape[0] for one in self._weights[0]], dtype=squares.dtype, device=squares.device)
        self._squares = torch.where(squares > 0, squares, fresh)

    def term(self) -> Tensor:
        """R, a scalar with a gradient."""
        flat, count = self._flat(), len(self.names)
        self._follow(flat.device)
        if self.relation == "trace_norm":
            grams = self._grams(flat)
            root, inverse = roots(grams.detach())
            # d tr G^(1/2) = tr(G^(-1/2) dG) / 2: the value is the root's trace, the gradient that of the product.
            half = (inverse * grams).sum() / 2
            return (half + (root.diagonal(dim1=1, dim2=2).sum() - half).detach()) / count**0.5
        moved = flat - self._start
        if self.relation == "l2":
            apart = self._grams(moved - moved.mean(0))
            return apart.diagonal(dim1=1, dim2=2).sum() / count
        eye = torch.eye(count, device=flat.device)
        softened = (1 - SOFTENED) * self.omega + SOFTENED / count * eye
        inverse, _ = torch.linalg.inv_ex(softened)
        return (inverse * self._grams(moved).sum(0)).sum() / count**2

    @torch.no_grad()
    def learn(self) -> None:
        """Bring the relations up to date with where the trunks have gone."""
        if self.relation == "omega":
            flat = self._flat()
            self._follow(flat.device)
            root, _ = roots(self._grams(flat - self._start).sum(0))
            self.omega.copy_(root / root.diagonal().sum())

    def correlations(self) -> Tensor:
        """Omega as correlations, float [T, T], 1 on the diagonal."""
        scale = self.omega.diagonal().sqrt()
        return self.omega / (scale[:, None] * scale)

    def state(self) -> dict[str, Tensor]:
        """What a resumed training must know beside the network's weights."""
        return {"start": self._start, "squares": self._squares}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state."""
        self._start, self._squares = state["start"].clone(), state["squares"].clone()

    def _follow(self, device: torch.device) -> None:
        self._start, self._squares = self._start.to(device), self._squares.to(device)

    def _flat(self) -> Tensor:
        """The tied weights, float32 [T, P]."""
        return torch.stack([torch.cat([one.reshape(-1) for one in of_trunk]) for of_trunk in self._weights])

    def _grams(self, flat: Tensor) -> Tensor:
        """By layer the inner products of the trunks' rows in units of the layer, float32 [L, T, T]."""
        grams = torch.stack([part @ part.T for part in flat.split(self._sizes, 1)])
        return grams / self._squares[:, None, None]
