"""Work that is divided among all processes that want it done: each piece is made by whoever comes first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from oneglance.tuning.search import lock_of

#: Seconds between looks at what other processes do.
PATIENCE = 2.0

Job = TypeVar("Job")
Made = TypeVar("Made")


def made_by_all(
    folder: Path,
    jobs: Iterable[Job],
    name: Callable[[Job], str],
    known: Callable[[Job], Made | None],
    make: Callable[[Job], Made],
    wait: Callable[[], None],
) -> dict[Job, Made]:
    """What came of each job, once all are made.

    Who makes one holds the lock of its ``name`` in ``folder``, which the system takes away with the process; so a job
    whose process was killed is made by the next who looks. ``known``: what came of a job, None where nothing has;
    ``make`` must take up what is there already; ``wait`` is called where all that is left is being made by others.
    """
    from filelock import Timeout

    left = list(jobs)
    found: dict[Job, Made] = {}
    while left:
        before = len(left)
        for job in list(left):
            made = known(job)
            if made is None:
                try:
                    with lock_of(folder, name(job)).acquire(timeout=0):
                        made = make(job)
                except Timeout:
                    continue
            found[job] = made
            left.remove(job)
        if len(left) == before:
            wait()
    return found


class Waiting:
    """Waits a little, and says why the first time."""

    def __init__(self, why: str, say: Callable[[str], None]) -> None:
        self.why, self.say, self.told = why, say, False

    def __call__(self) -> None:
        if not self.told:
            self.say(f"waiting: {self.why}")
        self.told = True
        time.sleep(PATIENCE)
