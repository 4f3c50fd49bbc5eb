"""From pooled features to a vector of length 1, by a BNNeck that any number of rows can pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RowNorm(nn.Module):
    """Batch normalisation without a bias (the BNNeck of Luo et al. 2019) that looks at rows, not at batches.

    In a mixed batch one or two rows may be labelled for a task: BatchNorm refuses one, and makes +1 and -1 of two
    whatever they say. Here the statistics are a moving average over *rows* (this batch's among them), each of which
    weighs the same however many came with it, and the same numbers are used in training and afterwards; the gradient
    takes them for constants (as the running part of Ioffe's batch renormalisation, 2017). The start, mean 0 and
    variance 1, weighs as ``prior`` rows.

    ``mean``, ``var`` float32 [D]; ``seen``: rows so far; ``window``: rows over which is averaged.
    """

    mean: Tensor
    var: Tensor
    seen: Tensor

    def __init__(self, width: int, window: int = 512, prior: int = 8) -> None:
        super().__init__()
        self.window, self.prior = window, prior
        self.weight = nn.Parameter(torch.ones(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("var", torch.ones(width))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, rows: Tensor) -> Tensor:
        """Float32 [n, D] from float [n, D], n from 0 on."""
        rows = rows.float()
        if self.training and len(rows):
            self._take_in(rows.detach())
        return (rows - self.mean) * (self.var + 1e-5).rsqrt() * self.weight

    @torch.no_grad()
    def _take_in(self, rows: Tensor) -> None:
        n = len(rows)
        share = n / (n + (self.seen + self.prior).clamp(max=self.window))
        mean = rows.mean(0)
        away = mean - self.mean
        # The variance about the new mean: within the rows, and between them and what was.
        self.var += share * (rows.var(0, correction=0) - self.var) + share * (1 - share) * away**2
        self.mean += share * away
        self.seen += n


def unit(vectors: Tensor) -> Tensor:
    """Vectors [n, D] brought to length 1."""
    return F.normalize(vectors.float(), dim=1)
