"""What the machine can spare, and what freed memory is kept for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from oneglance import memory
from oneglance.memory import affordable

FAULTS = """
import ctypes, resource
from oneglance.memory import keep_freed
if {kept}:
    keep_freed(256 << 20)
libc = ctypes.CDLL(None)
libc.prctl(41, 1, 0, 0, 0)  # no huge pages, of which a few would do
libc.malloc.restype = ctypes.c_void_p
for _ in range(10):
    piece = ctypes.c_void_p(libc.malloc(64 << 20))
    ctypes.memset(piece, 1, 64 << 20)
    libc.free(piece)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def test_only_what_the_machine_can_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_available", lambda: 1_000_000_000)
    assert affordable(0.1) == 100_000_000
    assert affordable(5) == 250_000_000


def test_there_is_memory_here() -> None:
    assert 1 << 20 < memory._available() < 1 << 50


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_freed_memory_is_used_again_without_asking_the_kernel() -> None:
    faults = [
        int(subprocess.run([sys.executable, "-c", FAULTS.format(kept=kept)], capture_output=True, check=True).stdout)
        for kept in (False, True)
    ]
    # Ten times sixteen thousand pages against once.
    assert faults[0] - faults[1] > 100_000
