"""Memory that the loader's workers and the main process both see."""

from __future__ import annotations

import itertools
import mmap
import multiprocessing
from weakref import WeakValueDictionary

import torch
from torch import Tensor


class Slots:
    """``count`` pieces of memory of ``size`` bytes each, made once and written again and again.

    A tensor that a worker sends has new shared memory each time, a file that the other side has to ask for, and pages
    that the kernel has to clear; these are made before the workers are forked, which inherit them. They don't count
    towards the size of /dev/shm either, of which a container has little.
    """

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        self._memory = torch.frombuffer(mmap.mmap(-1, count * size), dtype=torch.uint8).view(count, size)
        self.number = next(_numbers)
        _known[self.number] = self

    @classmethod
    def shared(cls, count: int, size: int) -> Slots | None:
        """Slots, where workers inherit the main process's memory and the kernel grants so much of it; else None."""
        if multiprocessing.get_start_method() != "fork":
            return None
        try:
            return cls(count, size)
        except (OSError, OverflowError):
            return None

    def __getitem__(self, slot: int) -> Tensor:
        """One piece, uint8 [size]."""
        return self._memory[slot]

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("memory is inherited by forked processes; it can't be sent to others")


def slots_of(number: int) -> Slots:
    """The slots of this number, in the process that made them and in its children."""
    return _known[number]


_numbers = itertools.count()
_known: WeakValueDictionary[int, Slots] = WeakValueDictionary()
