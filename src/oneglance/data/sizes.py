"""How large the network's input is: one size for all, or others for the images of some sources."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from oneglance.manifest import Manifest


class Sizes:
    """The sizes that images are given, (height, width) each; ``all``: them all, the ``usual`` one first."""

    def __init__(self, usual: tuple[int, int], of_sources: Mapping[str, tuple[int, int]]) -> None:
        self.all = tuple(dict.fromkeys((usual, *of_sources.values())))
        self._numbers = {source: self.all.index(size) for source, size in of_sources.items()}

    def number(self, source: str) -> int:
        """Which of them, counted from 0, a source's images are given; an image of several sources is of the first."""
        return self._numbers.get(source.split("+")[0], 0)

    def of(self, source: str) -> tuple[int, int]:
        """The size that a source's images are given."""
        return self.all[self.number(source)]

    def by_row(self, manifest: Manifest) -> NDArray[np.uint8]:
        """:meth:`number` of every row, uint8 [N]."""
        if len(self.all) == 1:
            return np.zeros(len(manifest), np.uint8)
        sources = manifest.table["source"].combine_chunks().dictionary_encode()
        numbers = np.array([self.number(str(name)) for name in sources.dictionary.to_pylist()], np.uint8)
        return numbers[sources.indices.to_numpy(zero_copy_only=False)]
