"""Somebody who looks at a training from step to step and leaves no trace in what is learnt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from oneglance.data.dataset import Batch

if TYPE_CHECKING:
    from oneglance.training.fit import Training

#: What was seen, by kind, task and name: written into ``history.csv`` as such.
Seen = Mapping[str, Mapping[str, Mapping[str, float]]]


class Observer(Protocol):
    """Is shown every step before it is made.

    It may change nothing: weights, statistics, moments and torch's generators must be bit for bit as they were, or a
    training that is looked at would be another one.
    """

    def look(self, training: Training, step: int, batches: list[Batch]) -> Seen:
        """What is to be noted of the step (empty: nothing); ``batches``: its parts, on the training's device."""
