"""Vectors that no step trains: a linear discriminant of each of the backbone's maps, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oneglance.recognition.discriminant import discriminant
from oneglance.recognition.neck import unit
from oneglance.tasks.base import Features, Outputs
from oneglance.tasks.embedding.heads import EmbeddingHead, PointEmbeddingHead, read_at

#: Maps are read at a grid of so many places a side: over the image, or, around points, a square that reaches so far
#: from their middle, in root mean squares of their distances from it.
GRID, REACH = 9, 1.9
#: What is computed from the training images and saved with the weights.
_FITTED = ("mean", "matrix", "shift", "spread")
#: Images whose descriptions are evened at a time, lest several copies of all lie in memory.
_AT_ONCE = 256
_HALF = torch.finfo(torch.float16).max


class Discriminant(nn.Module):
    """Of images: vectors by linear discriminants of what the backbone's maps show, at points or as a whole.

    A map is read at places: the points that another task finds and a grid around them, or a grid over the image. What
    is seen at a place is taken less its mean over the training images and brought to length 1, so that no place shouts.
    Each map has a discriminant of its own, whose vectors are brought to length 1 and joined: where people are few,
    several say more than one of everything (Wang & Tang, Random sampling for subspace face recognition, 2006).
    What is joined is divided by its length in the metric of the training images' spread, not by the ordinary one
    (Garcia-Romero & Espy-Wilson, Analysis of i-vector length normalization, 2011): a face like many others is less like
    each of them. So vectors have lengths of about 1, and the likeness of two is their inner product.

    In training, and until it is fitted, it answers as ``trained`` does, the head that the loss teaches the trunk by.
    Of M maps, seen as N numbers in all, it has, empty until then: ``mean`` float32 [N], of what is seen; ``matrix``
    float32 [N, dim // M] and ``shift`` float32 [M, dim // M], the discriminants; ``spread`` float32 [D, D], where D is
    M * (dim // M).
    """

    mean: Tensor
    matrix: Tensor
    shift: Tensor
    spread: Tensor

    def __init__(self, trained: EmbeddingHead | PointEmbeddingHead, dim: int) -> None:
        super().__init__()
        self.trained, self.dim = trained, dim
        for name in _FITTED:
            self.register_buffer(name, torch.zeros(0))
        #: Whether it says what it sees, and no vectors.
        self.describes = False

    def forward(self, features: Features, *points: Tensor) -> Outputs:
        """``{"vector": float32 [n, dim]}``; where it describes, what it sees: float16 [n, C, K] a map, by number."""
        if self.training or not (self.describes or len(self.mean)):
            answer: Outputs = self.trained(features, *points)
            return answer
        seen = _seen(features, *points)
        if self.describes:  # that of thousands of images is kept
            return {str(k): one.clamp(-_HALF, _HALF).half() for k, one in enumerate(seen)}
        sizes = [one.shape[1:].numel() for one in seen]
        means, matrices = self.mean.split(sizes), self.matrix.split(sizes)
        # Sums of tens of thousands of products are not for bf16.
        with torch.autocast(self.mean.device.type, enabled=False):
            parts = [
                unit(evened(one, mean) @ matrix - shift)
                for one, mean, matrix, shift in zip(seen, means, matrices, self.shift, strict=True)
            ]
            return {"vector": self.scaled(torch.cat(parts, 1))}

    @torch.no_grad()
    def fit(self, described: Mapping[str, Tensor], people: Tensor) -> None:
        """Take the discriminants of what is seen of these people, int64 [n]; ``described``: as :meth:`forward` says.

        A vector must have as many numbers as there are maps. Raises ValueError where there are fewer than two people.
        """
        width = self.dim // len(described)
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        parts = []
        for seen in described.values():
            mean = seen.mean(0, dtype=torch.float32).flatten()
            rows = torch.empty(len(seen), len(mean))
            for some, into in zip(seen.split(_AT_ONCE), rows.split(_AT_ONCE), strict=True):
                into.copy_(evened(some, mean))
            middle, matrix = discriminant(rows, people, width)
            found.append((mean, matrix, middle @ matrix))
            parts.append(unit(rows @ matrix - found[-1][2]))
        means, matrices, shifts = zip(*found, strict=True)
        joined = torch.cat(parts, 1)
        spread = joined.T @ joined / len(joined)
        # Lengths of about 1 for the training images.
        spread *= joined.norm(dim=1, keepdim=True).div(_lengths(joined, spread)).mean() ** 2
        values = (torch.cat(means), torch.cat(matrices), torch.stack(shifts), spread)
        for name, value in zip(_FITTED, values, strict=True):
            setattr(self, name, value.to(self.mean.device))

    def scaled(self, joined: Tensor) -> Tensor:
        """Vectors float32 [n, dim] from the maps' joined ones [n, M * (dim // M)]; numbers beyond those are 0."""
        return F.pad(joined / _lengths(joined, self.spread), (0, self.dim - joined.shape[1]))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # As large as what is loaded: it is empty in what was not fitted yet. All or none of it: parts fit nothing.
        whole = all(prefix + name in state_dict for name in _FITTED)
        for name in _FITTED:
            if whole:
                setattr(self, name, torch.empty_like(state_dict[prefix + name], device=self.mean.device))
            else:
                state_dict.pop(prefix + name, None)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _seen(features: Features, points: Tensor | None = None) -> list[Tensor]:
    """What each of the backbone's maps shows, float32 [n, C, K]; ``points`` float [n, K', 2] in shares of the input."""
    maps = features.backbone
    if points is not None:
        places = torch.cat([points, around(points, maps[-1].shape[-2:])], 1)
        return [read_at(one, places) for one in maps]
    strides = [32 >> k for k in reversed(range(len(maps)))]
    return [read_at(one, _over(one, features.content, stride)) for one, stride in zip(maps, strides, strict=True)]


def around(points: Tensor, shape: torch.Size) -> Tensor:
    """Places around points [n, K, 2], float [n, GRID ** 2, 2], all in shares of an input of this shape (h, w)."""
    size = points.new_tensor([shape[1], shape[0]])
    middle = (points * size).mean(1, keepdim=True)
    radius = (points * size - middle).square().sum(2, keepdim=True).mean(1, keepdim=True).sqrt()
    return (middle + radius * _square(REACH, points)) / size


def _over(maps: Tensor, content: Tensor | None, stride: int) -> Tensor:
    """Places over what lies in ``content`` (x1 y1 x2 y2, input pixels, float [n, 4]; None: everywhere) of a map [n, C,
    h, w], float [n, GRID ** 2, 2] in shares of the input: half a cell from its border or more, so that no padding is
    read."""
    h, w = maps.shape[-2:]
    whole = torch.tensor([0.0, 0, w, h], device=maps.device).expand(len(maps), 4)
    cells = whole if content is None else content.float() / stride
    low, high = cells[:, None, :2], cells[:, None, 2:]
    places = (low + high) / 2 + (high - low) / 2 * _square(1 - 1 / GRID, cells)
    inside = ((high - low) / 2).clamp(max=0.5)
    return places.clamp(low + inside, high - inside) / cells.new_tensor([w, h])


def _square(reach: float, like: Tensor) -> Tensor:
    """A grid from -``reach`` to ``reach`` along x and y, row by row, float [GRID ** 2, 2]."""
    steps = torch.linspace(-reach, reach, GRID, device=like.device, dtype=like.dtype)
    return torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).view(-1, 2)


def evened(seen: Tensor, mean: Tensor) -> Tensor:
    """What is seen [n, C, K] less its mean [C * K], each place of length 1, the whole as well: float32 [n, C * K]."""
    away = seen.float() - mean.view(seen.shape[1:])
    return unit(unit(away).flatten(1))


def _lengths(vectors: Tensor, spread: Tensor) -> Tensor:
    """The lengths of vectors [n, D] in the metric ``spread`` [D, D]: [n, 1]."""
    return ((vectors @ spread) * vectors).sum(1, keepdim=True).clamp(min=1e-12).sqrt()
