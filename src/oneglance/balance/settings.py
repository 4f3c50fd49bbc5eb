"""The small interface behind which every method of balancing stands, and the plain weighted sum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor


class BalanceSettings(BaseModel):
    """How the tasks' losses are put together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["sum"] = Field("sum", description="`sum`: the weighted sum of the tasks' losses.")
    weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict, description="Weight by task (default: the task's own)."
    )


class Balance(Protocol):
    """Turns the losses of the tasks that occur in a step into gradients."""

    def backward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Add to every parameter's gradient; returns the scalar that was minimised, detached. A task that is not in
        ``losses`` has no part in the step."""


class WeightedSum:
    """The sum of weight x loss over the tasks that occur."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self.weights = dict(weights)

    def backward(self, losses: Mapping[str, Tensor]) -> Tensor:
        total = torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()
        total.backward()
        return total.detach()


def create(settings: BalanceSettings, weights: Mapping[str, float]) -> Balance:
    """The balance that the settings ask for; ``weights``: the tasks' own weights by name."""
    return WeightedSum({**weights, **settings.weights})
