"""Decoded pixels, kept from epoch to epoch in memory that all loading processes share."""

from __future__ import annotations

import mmap
import multiprocessing
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


class Kept:
    """An array of bytes for each row, as far as the memory goes: whoever makes it first puts it in, and it stays.

    What a row's array looks like may depend on a ``kind`` (how far a JPEG was reduced while it was decoded): the first
    kind that comes is kept, another is made anew each time. So what is kept never changes what is read, only when.

    Args:
        sizes: the most bytes that each row may need, int64 [n]; 0 for a row that is not to be kept.
        limit: bytes in all. Rows that would go beyond it, counted from the first, are not kept.
    """

    def __init__(self, sizes: NDArray[np.int64], limit: int) -> None:
        self._room = np.where(np.cumsum(sizes) <= limit, sizes, 0)
        aligned = -(-self._room // _ALIGNED) * _ALIGNED
        self._start = np.cumsum(aligned) - aligned
        self._bytes = _memory(int(aligned.sum()))
        # By row: the kind that is kept (0: nothing yet, -1: somebody is writing), and the array's shape.
        self._kind = _memory(len(sizes) * 4).view(np.int32)
        self._shape = _memory(len(sizes) * 12).view(np.int32).reshape(-1, 3)
        self._writing = multiprocessing.Lock()

    @classmethod
    def shared(cls, sizes: NDArray[np.int64], limit: int) -> Kept | None:
        """Where workers inherit the main process's memory and the kernel grants so much of it; else None."""
        if multiprocessing.get_start_method() != "fork" or limit <= 0:
            return None
        try:
            return cls(sizes, limit)
        except (OSError, OverflowError):
            return None

    def get(self, row: int, kind: int, make: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """The row's array of this kind (1, 2, ...), from memory or from ``make``; not to be written to.

        ``make`` returns uint8 of two or three dimensions, always the same of one row and kind; what it raises, this
        raises, and nothing is kept.
        """
        if self._kind[row] == kind:
            kept = self._view(row)
            kept.flags.writeable = False
            return kept
        made = make()
        if self._room[row] >= made.nbytes > 0 and self._kind[row] == 0 and self._claim(row):
            self._shape[row] = (*made.shape, *[0] * (3 - made.ndim))
            self._view(row)[...] = made
            self._release(row, kind)
        return made

    def _claim(self, row: int) -> bool:
        # Without waiting: a process that was killed with the lock in its hand must not stop the others.
        if not self._writing.acquire(block=False):
            return False
        try:
            free = bool(self._kind[row] == 0)
            if free:
                self._kind[row] = -1
            return free
        finally:
            self._writing.release()

    def _release(self, row: int, kind: int) -> None:
        # The lock makes sure that all is written before another process sees the kind.
        if self._writing.acquire(timeout=1):
            self._kind[row] = kind
            self._writing.release()

    def _view(self, row: int) -> NDArray[np.uint8]:
        shape = tuple(int(side) for side in self._shape[row] if side)
        start = self._start[row]
        return self._bytes[start : start + int(np.prod(shape))].reshape(shape)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("memory is inherited by forked processes; it can't be sent to others")


def _memory(size: int) -> NDArray[np.uint8]:
    """Zeros that forked processes share; pages that nobody writes to take no memory."""
    return np.frombuffer(mmap.mmap(-1, max(1, size)), np.uint8, size)


_ALIGNED = 64
