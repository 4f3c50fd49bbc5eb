"""Which folder holds the images that labels speak of."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from oneglance.decode import ImageError, decode_mask
from oneglance.formats.files import exists
from oneglance.formats.recognition import LOOK, SPLITS, folders, images_in

#: So many of the names that labels speak of are looked for in each folder.
NAMES = 40


#: Words of paths that say that there are labels: what stands there is drawn, a preview perhaps, and seldom the images.
LABEL_WORDS = frozenset({
    "label", "labels", "mask", "masks", "annotation", "annotations", "annots", "anns", "ann", "gt", "groundtruth",
    "seg", "segmentation", "xml", "xmls", "color", "colour", "colors", "vis", "viz", "preview", "previews", "overlay",
})  # fmt: skip


class ImageFolders:
    """The folders below one, as places where images may stand.

    Several may hold images of the same names: the splits of a data set, or masks and previews beside photographs.
    Meant is one that holds most of them, and is neither of masks nor called like labels; of those the one whose path
    has most words in common with that of the labels (``labels/val`` and ``images/val``, ``cam2.json`` and ``cam2``),
    and then the nearest.
    """

    def __init__(self, folder: Path, depth: int = 3) -> None:
        self._folder = folder
        self._places = [_Place(place, words_of(place.relative_to(folder))) for place in folders(folder, depth)]

    def of_names(self, names: Iterable[str], labels: Path) -> Path | None:
        """The folder to which the names (paths within it) are relative; None where none holds any of them.

        ``labels``: the file or folder of the labels.
        """
        asked = [name.replace("\\", "/") for name in names if name]
        safe = [name for name in _some(asked) if not name.startswith("/") and ".." not in name.split("/")]
        return self._best(lambda place: sum(place.has(name) for name in safe), labels)

    def of_stems(self, stems: Collection[str], labels: Path, share: float = 0.0, beside: bool = True) -> Path | None:
        """The folder that holds images of these names without suffix, at least this share of them; ``beside``: it may
        be that of the labels."""
        asked = _some(sorted(stems))
        least = max(1.0, share * len(asked))
        return self._best(lambda place: sum(place.has_stem(stem) for stem in asked), labels, least, beside)

    def _best(
        self, count: Callable[[_Place], int], labels: Path, least: float = 1.0, beside: bool = True
    ) -> Path | None:
        at = labels if labels.is_dir() else labels.parent
        counts = {place: count(place) for place in self._places if beside or place.path != at}
        most = max(counts.values(), default=0)
        if most < least:
            return None
        near = [place for place, many in counts.items() if many >= max(least, most / 2)]
        if len(near) > 1:
            said = words_of(labels.relative_to(self._folder)) - LABEL_WORDS
            near.sort(key=lambda place: len(Path(os.path.relpath(place.path, at)).parts))
            near.sort(key=lambda place: -len(said & place.words))
            near.sort(key=lambda place: -counts[place])
            near.sort(key=lambda place: place.has_masks or bool(place.words & LABEL_WORDS))
        return near[0].path


class _Place:
    """A folder, and the words of its path: what its images are called, and whether they are masks."""

    def __init__(self, path: Path, words: set[str]) -> None:
        self.path, self.words = path, words

    def has(self, name: str) -> bool:
        """Whether there is a file of this name in it or below."""
        return name in self._known or (("/" in name or self._cut) and exists(self.path / name))

    def has_stem(self, stem: str) -> bool:
        """Whether there is an image of this name without suffix."""
        return stem in self._stems or (self._cut and any(exists(self.path / f"{stem}{s}") for s in self._suffixes))

    @cached_property
    def _names(self) -> list[str]:
        return images_in(self.path)

    @cached_property
    def _known(self) -> set[str]:
        return set(self._names)

    @cached_property
    def _stems(self) -> set[str]:
        return {posixpath.splitext(name)[0] for name in self._names}

    @cached_property
    def _suffixes(self) -> set[str]:
        return {posixpath.splitext(name)[1] for name in self._names}

    @property
    def _cut(self) -> bool:
        """Whether there may be more images than were listed."""
        return len(self._names) >= LOOK

    @cached_property
    def has_masks(self) -> bool:
        return bool(self._names) and looks_like_mask(self.path / self._names[0])


def looks_like_mask(path: Path) -> bool:
    """Whether an image is a one-channel PNG of few values."""
    try:
        with Image.open(path) as image:
            if (
                image.format != "PNG"
                or image.mode not in ("L", "P", "1", "I", "I;16")
                or image.width * image.height > 1 << 24
            ):
                return False
        return len(np.unique(decode_mask(path))) <= 64
    except (OSError, ValueError, ImageError, Image.DecompressionBombError):
        return False


def is_grey(path: Path) -> bool:
    """Whether an image has one channel."""
    try:
        with Image.open(path) as image:
            return image.mode in ("L", "1", "I", "I;16")
    except (OSError, ValueError, Image.DecompressionBombError):
        return False


def _some(names: list[str]) -> list[str]:
    """Some of the names, from all over the list."""
    return list(islice(names[:: max(1, len(names) // NAMES)], NAMES))


def words_of(path: Path | str) -> set[str]:
    """The words of a path without suffix, names of splits by their one name."""
    words = re.findall(r"[^\W_]+", str(Path(path).with_suffix("")).lower()) if str(path) not in ("", ".") else []
    return {SPLITS.get(word, word) for word in words}
