"""Square roots of small symmetric matrices without waiting for the device."""

from __future__ import annotations

import torch
from torch import Tensor

#: Added to the eigenvalues, as a share of their sum: what is smaller is rounding.
FLOOR = 1e-6
#: An eigenvalue that is a share x of the sum takes about log(1 / x) / log(2.25) rounds, and five more to settle.
ROUNDS = 24


def roots(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """The square roots of positive semi-definite matrices float [..., K, K], and the inverses of these roots.

    By Newton and Schulz's coupled iteration (Higham, Functions of Matrices, 2008, section 6.7), which is products
    alone: ``torch.linalg.eigh`` and ``svd`` make the host wait for a GPU. Of zeros, the roots are
    next to zero. Computed in float64 where the device has it.
    """
    exact = matrices if matrices.device.type == "mps" else matrices.double()
    eye = torch.eye(exact.shape[-1], dtype=exact.dtype, device=exact.device)
    whole = exact.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None].clamp(min=torch.finfo(torch.float32).tiny)
    root = exact / whole + FLOOR * eye
    largest = 1 + FLOOR * len(eye)  # no eigenvalue is larger, so the iteration converges
    root, inverse = root / largest, eye.expand_as(root)
    for _ in range(ROUNDS):
        step = 1.5 * eye - 0.5 * inverse @ root
        root, inverse = root @ step, step @ inverse
    scale = (whole * largest).sqrt()
    return (root * scale).to(matrices.dtype), (inverse / scale).to(matrices.dtype)
