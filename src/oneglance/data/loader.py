"""Batches of the training and evaluation loops, decoded by worker processes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from oneglance.data.dataset import AnnotatedImages, Batch, collate
from oneglance.data.mixing import MixedBatches

if TYPE_CHECKING:
    from oneglance.tasks.base import Task


def default_workers() -> int:
    """A worker for every core but the one that trains; at least one, at most eight."""
    return max(1, min(8, len(os.sched_getaffinity(0)) - 1))


class TrainLoader:
    """Endless training batches: ``epoch(e, start)`` iterates over epoch e from its batch ``start`` on.

    Workers live from epoch to epoch. Which batches come, and how they are augmented, depends on the seed and the
    position alone, not on the number of workers.
    """

    def __init__(self, images: AnnotatedImages, batches: MixedBatches, workers: int) -> None:
        self.batches = batches
        self._loader: DataLoader[Any] = DataLoader(
            images,
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=partial(collate, images.tasks),
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            prefetch_factor=3 if workers else None,
            generator=torch.Generator(),  # keeps the loader from drawing on the global generator
        )

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return self.batches.batches

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch."""
        self.batches.seek(epoch, start)
        yield from self._loader


def evaluation_loader(
    images: AnnotatedImages, rows: np.ndarray, batch: int, workers: int, tasks: Mapping[str, Task[Any]]
) -> DataLoader[Any]:
    """The rows once, in order, letterboxed, with their labels in original pixels."""
    return DataLoader(
        images,
        sampler=[int(row) for row in rows],
        batch_size=batch,
        num_workers=workers,
        collate_fn=partial(collate, tasks),
        generator=torch.Generator(),
    )
