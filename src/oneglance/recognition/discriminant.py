"""A linear discriminant in closed form: where there are few people, training learns them by heart, and this does not.

Fisherfaces (Belhumeur, Hespanha & Kriegman 1997): principal components first, then the directions along which people
differ most beside how much the images of one person differ. The covariance within people is shrunk towards a sphere
(Friedman 1989), and each direction counts by how much of what it shows is the person (Ioffe, Probabilistic LDA, 2006).
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Principal components that are kept, at most; share of a sphere in the covariance within people.
COMPONENTS, SHRINKAGE = 400, 0.1


def discriminant(rows: Tensor, people: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """What is subtracted from a descriptor, float32 [D], and the matrix float32 [D, dim] that it is then multiplied by.

    Vectors of one person then have small angles between them. ``rows``: descriptors float [N, D]; ``people``: whose
    each is, int64 [N], from 0 on; D may be far greater than N. There are at most as many directions as people less
    one; columns beyond are 0. Raises ValueError where there are fewer than two people.
    """
    count = int(people.max()) + 1 if len(people) else 0
    if count < 2:
        raise ValueError(f"{count} people: nobody is told apart from less than 2")
    mean = rows.float().mean(0)
    away = rows.float() - mean
    # The components of D numbers from the N x N table of inner products.
    values, vectors = torch.linalg.eigh((away @ away.T).double())
    # float32's inner products leave a residue of about 1e-7 where there is nothing.
    kept = min(COMPONENTS, int((values > 1e-6 * values[-1].clamp(min=1e-30)).sum()))
    if not kept:  # all rows are equal
        return mean, torch.zeros(rows.shape[1], dim)
    values, vectors = values[-kept:].flip(0), vectors[:, -kept:].flip(1)
    # Of the components only what rows show of them is needed, and no matrix as large as the rows.
    seen = vectors * values.sqrt()
    ones = torch.zeros(count, len(rows), dtype=torch.float64)
    ones[people, torch.arange(len(rows))] = 1
    centres = ones @ seen / ones.sum(1, keepdim=True)
    rest = seen - centres[people]
    within = rest.T @ rest / len(rows)
    sphere = (within.trace() / kept).clamp(min=1e-12 * float(values[0] / len(rows)))
    within = (1 - SHRINKAGE) * within + SHRINKAGE * sphere * torch.eye(kept, dtype=torch.float64)
    whiten = torch.linalg.cholesky(torch.linalg.inv(within))
    _, spread, directions = torch.linalg.svd((centres - centres.mean(0)) @ whiten, full_matrices=False)
    found = min(dim, count - 1, kept)
    between = spread[:found] ** 2 / count
    matrix = torch.zeros(rows.shape[1], dim)
    weights = whiten @ directions[:found].T * (between / (between + 1)).sqrt()
    matrix[:, :found] = away.T @ (vectors / values.sqrt() @ weights).float()
    return mean, matrix
