"""Batches of the training and evaluation loops, decoded by worker processes."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from oneglance.data.dataset import AnnotatedImages, Batch
from oneglance.data.mixing import Draw, MixedBatches


def default_workers() -> int:
    """A worker for every core but the one that trains; at least one, at most eight."""
    return max(1, min(8, len(os.sched_getaffinity(0)) - 1))


@dataclass
class Packed:
    """A batch on its way from a worker to the main process: all its tensors in one piece of memory.

    Sharing a tensor between processes has its price however small it is, and a batch of many tasks
    has dozens; so there is only one to share (and to pin, for a GPU).
    """

    memory: Tensor
    places: list[tuple[int, torch.dtype, tuple[int, ...]]]
    rest: Batch

    @classmethod
    def of(cls, batch: Batch) -> Packed:
        """The batch packed; its tensors are copied."""
        tensors = [batch.images.permute(0, 2, 3, 1), *batch.rows.values()]
        tensors += [tensor for of_task in batch.targets.values() for tensor in of_task.values()]
        places, size = [], 0
        for tensor in tensors:
            places.append((size, tensor.dtype, tuple(tensor.shape)))
            size += -(-tensor.nbytes // _ALIGNED) * _ALIGNED
        packed = cls(_memory(size), places, batch)
        for view, tensor in zip(packed._views(), tensors, strict=True):
            view.copy_(tensor)
        nothing = torch.empty(0)
        packed.rest = replace(
            batch,
            images=nothing,
            rows=dict.fromkeys(batch.rows, nothing),
            targets={name: dict.fromkeys(of_task, nothing) for name, of_task in batch.targets.items()},
        )
        return packed

    def unpack(self) -> Batch:
        """The batch; its tensors are views of the packed memory."""
        views = self._views()
        return replace(
            self.rest,
            images=next(views).permute(0, 3, 1, 2),
            rows={name: next(views) for name in self.rest.rows},
            targets={n: {key: next(views) for key in of_task} for n, of_task in self.rest.targets.items()},
        )

    def pin_memory(self, device: str | None = None) -> Packed:
        """Called by the DataLoader where there is a GPU."""
        return replace(self, memory=self.memory.pin_memory())

    def _views(self) -> Iterator[Tensor]:
        for start, dtype, shape in self.places:
            length = math.prod(shape) * dtype.itemsize
            yield self.memory[start : start + length].view(dtype).view(shape)


_ALIGNED = 64


def _keep_memory(_: int) -> None:
    """Have a worker keep the memory it frees: asking the kernel anew for every image takes time.

    A setting of glibc; elsewhere this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 32 << 20)
        mallopt(_TRIM_THRESHOLD, 256 << 20)


# From glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


class _Batches(Dataset):
    """Packed batches, by the keys of their samples: what a worker does."""

    def __init__(self, images: AnnotatedImages) -> None:
        self.images = images

    def __getitem__(self, keys: Sequence[Draw | int]) -> Packed:
        return Packed.of(self.images.batch(keys))


def _memory(size: int) -> Tensor:
    """Memory for a batch, uint8 [size]; in a worker, such as the main process can see."""
    if get_worker_info() is None:
        return torch.empty(size, dtype=torch.uint8)
    # Shared from the first; shared by the queue, it would be copied once more.
    return torch.empty(0, dtype=torch.uint8).set_(torch.UntypedStorage._new_shared(size))


class TrainLoader:
    """Endless training batches, each as a list of its parts: ``epoch(e, start)`` iterates over epoch e from its batch
    ``start`` on.

    Workers live from epoch to epoch. Which batches come, and how they are augmented, depends on the seed and the
    position alone, not on the number of workers.
    """

    def __init__(self, images: AnnotatedImages, batches: MixedBatches, workers: int) -> None:
        self.batches = batches
        self._loader: DataLoader[Any] = DataLoader(
            _Batches(images),
            batch_size=None,  # a key of _Batches is a batch
            sampler=batches,
            num_workers=workers,
            worker_init_fn=_keep_memory,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            prefetch_factor=3 if workers else None,
            generator=torch.Generator(),  # keeps the loader from drawing on the global generator
        )

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return self.batches.batches

    def epoch(self, epoch: int, start: int = 0) -> Iterator[list[Batch]]:
        """The batches of an epoch, in parts."""
        self.batches.seek(epoch, start)
        parts: list[Batch] = []
        for packed in self._loader:
            parts.append(packed.unpack())
            if len(parts) == self.batches.parts:
                yield parts
                parts = []


def evaluation_batches(images: AnnotatedImages, rows: np.ndarray, batch: int, workers: int) -> Iterator[Batch]:
    """The rows once, in order, letterboxed, with their labels in original pixels; no targets."""
    loader: DataLoader[Any] = DataLoader(
        _Batches(images.for_scoring()),
        batch_size=None,
        sampler=[rows[start : start + batch].tolist() for start in range(0, len(rows), batch)],
        num_workers=workers,
        generator=torch.Generator(),
    )
    for packed in loader:
        yield packed.unpack()
