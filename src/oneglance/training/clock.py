"""How long a training took, over all its sessions, and how fast it goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds and images of a training, and images a second since it began (or was taken up again).

    ``seconds`` and ``images``: what the sessions took that were interrupted before.
    """

    def __init__(self, seconds: float = 0.0, images: int = 0) -> None:
        self._before, self._images_before = seconds, images
        self._began, self._seen = time.monotonic(), 0
        self._aside = 0.0

    def saw(self, images: int) -> None:
        """So many more images went through."""
        self._seen += images

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is done meanwhile is no part of the training, and its time none of ``seconds``."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._aside += time.monotonic() - began

    @property
    def seconds(self) -> float:
        """Of all sessions together."""
        return self._before + time.monotonic() - self._began - self._aside

    @property
    def images(self) -> int:
        """Of all sessions together."""
        return self._images_before + self._seen

    @property
    def rate(self) -> float:
        """Images a second, in this session."""
        return self._seen / max(time.monotonic() - self._began, 1e-9)

    def seconds_for(self, images: int) -> float:
        """How long so many images will take at this rate."""
        return images / max(self.rate, 1e-9)
