"""Memory: what the machine can spare, and what a process keeps of what it frees."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

# From glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed(limit: int) -> None:
    """Have this process keep up to ``limit`` bytes that it frees, for what it asks for next.

    Tensors of the same sizes come and go at every step; asking the kernel for cleared pages each time takes longer than
    much of what is computed with them. A setting of glibc; elsewhere this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, min(limit, 1 << 30))
        mallopt(_TRIM_THRESHOLD, min(limit, (1 << 31) - 1))


def affordable(gigabytes: float) -> int:
    """So many gigabytes in bytes, but no more than a quarter of what the machine (or the container) has left."""
    return min(int(gigabytes * 1e9), _available() // 4)


def _available() -> int:
    left = []
    memory = Path("/proc/meminfo")
    if memory.exists():
        lines = dict(line.split(":", 1) for line in memory.read_text().splitlines())
        left.append(int(lines["MemAvailable"].split()[0]) << 10)
    else:
        left.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    most, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if most.exists() and used.exists() and (text := most.read_text().strip()) != "max":
        left.append(max(0, int(text) - int(used.read_text())))
    return min(left)
