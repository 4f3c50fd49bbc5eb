"""Losses for classes that are rare, or examples that are many and easy."""

from __future__ import annotations

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from oneglance.tasks.base import Outputs, TaskSettings


class FocalSettings(TaskSettings):
    """Tasks whose easy examples may count less."""

    focal: float = Field(
        0.0,
        ge=0,
        description="Focal loss (Lin et al. 2017): how much less what is right already counts; 0: not at all.",
    )


class ImbalanceSettings(FocalSettings):
    """Tasks whose classes may be weighed by how often they occur."""

    class_balanced: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Class-balanced loss (Cui et al. 2019): the nearer to 1 (0.99, 0.9999), the more rare classes "
        "count; 0: all examples alike.",
    )


class WeighedLogits(nn.Module):
    """A head that gives each sample one row of logits, whose loss may weigh classes.

    ``class_weights``: None, or float [...] of a class-balanced loss, known from the training labels.
    """

    class_weights: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("class_weights", None)

    def outputs(self, logits: Tensor) -> Outputs:
        """``{"logits": float [n, outputs]}``; in training, where classes are weighed, also ``class_weights``."""
        found = {"logits": logits}
        if self.training and self.class_weights is not None:
            found["class_weights"] = self.class_weights.expand(len(logits), *self.class_weights.shape)
        return found


def focal_factor(chance: Tensor, gamma: float) -> Tensor:
    """(1 - chance)^gamma: ``chance`` is what was given to the truth, in [0, 1], any shape."""
    return (1 - chance).clamp(min=1e-6) ** gamma


def balanced_weights(counts: np.ndarray, beta: float) -> np.ndarray:
    """Weights float64, same shape as ``counts`` int64 [..., C], by the inverse of the effective number of examples
    (1 - beta^n) / (1 - beta), so scaled that the mean over all examples is 1 (along the last axis); 1 where nothing was
    counted."""
    counts = counts.astype(np.float64)
    raw = (1 - beta) / (1 - beta ** np.maximum(counts, 1))
    total = (raw * counts).sum(-1, keepdims=True)
    scale = np.where(total > 0, counts.sum(-1, keepdims=True) / np.maximum(total, 1e-300), 1.0)
    weights: np.ndarray = np.where(counts > 0, raw * scale, 1.0)
    return weights
