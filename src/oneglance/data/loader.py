"""Batches of the training and evaluation loops, decoded by worker processes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from oneglance.data.dataset import AnnotatedImages, Batch
from oneglance.data.mixing import Draw, MixedBatches
from oneglance.data.slots import Slots, slots_of
from oneglance.memory import keep_freed


def default_workers() -> int:
    """A worker for every core but the one that trains; at least one, at most eight."""
    return max(1, min(8, len(os.sched_getaffinity(0)) - 1))


@dataclass
class Packed:
    """A batch on its way from a worker to the main process: all its tensors in one piece of memory.

    ``memory``: the piece, uint8; or the numbers of :class:`Slots` and of the one of them that holds it, which is to be
    read before the worker writes there again.
    """

    memory: Tensor | tuple[int, int]
    places: list[tuple[int, torch.dtype, tuple[int, ...]]]
    rest: Batch

    @classmethod
    def of(cls, batch: Batch, slots: Slots | None = None, slot: int = 0) -> Packed:
        """The batch packed, into a slot if it fits there; its tensors are copied (but for images that lie there)."""
        tensors = [batch.images.permute(0, 2, 3, 1), *batch.rows.values()]
        tensors += [tensor for of_task in batch.targets.values() for tensor in of_task.values()]
        places, size = [], 0
        for tensor in tensors:
            places.append((size, tensor.dtype, tuple(tensor.shape)))
            size += -(-tensor.nbytes // _ALIGNED) * _ALIGNED
        fits = slots is not None and size <= slots.size
        memory = slots[slot] if slots is not None and fits else _memory(size)
        for view, tensor in zip(_views(memory, places), tensors, strict=True):
            if view.data_ptr() != tensor.data_ptr():
                view.copy_(tensor)
        nothing = torch.empty(0)
        rest = replace(
            batch,
            images=nothing,
            rows=dict.fromkeys(batch.rows, nothing),
            targets={name: dict.fromkeys(of_task, nothing) for name, of_task in batch.targets.items()},
        )
        return cls((slots.number, slot) if slots is not None and fits else memory, places, rest)

    def unpack(self) -> Batch:
        """The batch; its tensors are views of one piece of memory that is its own."""
        # numpy copies in this thread: torch would wake up threads that spin afterwards, in the workers' way.
        memory = self.memory if isinstance(self.memory, Tensor) else torch.from_numpy(self._seen().numpy().copy())
        views = _views(memory, self.places)
        return replace(
            self.rest,
            images=next(views).permute(0, 3, 1, 2),
            rows={name: next(views) for name in self.rest.rows},
            targets={n: {key: next(views) for key in of_task} for n, of_task in self.rest.targets.items()},
        )

    def pin_memory(self, device: str | None = None) -> Packed:
        """Called by the DataLoader where there is a GPU."""
        return replace(self, memory=self._seen().pin_memory())

    def _seen(self) -> Tensor:
        if isinstance(self.memory, Tensor):
            return self.memory
        number, slot = self.memory
        start, dtype, shape = self.places[-1]
        return slots_of(number)[slot][: start + math.prod(shape) * dtype.itemsize]


def _views(memory: Tensor, places: list[tuple[int, torch.dtype, tuple[int, ...]]]) -> Iterator[Tensor]:
    for start, dtype, shape in places:
        length = math.prod(shape) * dtype.itemsize
        yield memory[start : start + length].view(dtype).view(shape)


_ALIGNED = 64


def _begin(_: int) -> None:
    """How a worker begins."""
    keep_freed(256 << 20)


class _Batches(Dataset):
    """Packed batches, by a slot and the keys of their samples: what a worker does."""

    def __init__(self, images: AnnotatedImages, slots: Slots | None) -> None:
        self.images, self.slots = images, slots

    def __getitem__(self, at: tuple[int, Sequence[Draw | int]]) -> Packed:
        slot, keys = at
        if self.slots is None:
            return Packed.of(self.images.batch(keys))
        return Packed.of(self.images.batch(keys, self.slots[slot]), self.slots, slot)


class _InTurn:
    """A sampler's batches, each with the slot that it is to be put into: slots are taken in turn."""

    def __init__(self, keys: MixedBatches | Sequence[Sequence[Draw | int]], slots: int) -> None:
        self.keys, self.slots = keys, slots

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[tuple[int, Sequence[Draw | int]]]:
        batches: Iterable[Sequence[Draw | int]] = self.keys
        for number, keys in enumerate(batches):
            yield number % self.slots, keys


#: Batches that each worker makes ahead.
_AHEAD = 3


def _loader(
    images: AnnotatedImages,
    keys: MixedBatches | Sequence[Sequence[Draw | int]],
    batch: int,
    workers: int,
    *,
    lasting: bool,
) -> DataLoader[Any]:
    """A loader of packed batches of at most so many images; ``lasting``: its workers live from epoch to epoch."""
    # One more than are under way: a batch is copied once the loader hands it out, and by then the next is ordered.
    count = workers * _AHEAD + 1
    # Pixels, and as much again for the targets; what does not fit goes another way.
    slots = Slots.shared(count, 2 * batch * images.bytes_of_image) if workers else None
    return DataLoader(
        _Batches(images, slots),
        batch_size=None,  # a key of _Batches is a batch
        sampler=_InTurn(keys, count),
        num_workers=workers,
        worker_init_fn=_begin,
        persistent_workers=lasting and workers > 0,
        pin_memory=lasting and torch.cuda.is_available(),
        prefetch_factor=_AHEAD if workers else None,
        generator=torch.Generator(),  # keeps the loader from drawing on the global generator
    )


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
        self._loader = _loader(images, batches, batches.batch, workers, lasting=True)

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
    """The rows once, letterboxed, with their labels in original pixels; no targets. In order, or in order among those
    of one size where images are given several."""
    keys = images.in_batches(rows, batch)
    for packed in _loader(images.for_scoring(), keys, batch, workers, lasting=False):
        yield packed.unpack()
