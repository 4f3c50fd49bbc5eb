"""The images in parts: folds that a search trains and scores on, and a part that it never sees.

The pool is the images of the splits `train` and `val`; those of `test` are not touched. Images of one group are in one
part. The parts are alike in size and in how many of their images are labelled for each task.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oneglance.errors import OneglanceError
from oneglance.evidence.resampling import units_of
from oneglance.manifest import Manifest, with_column

#: The split of the images that the search never sees.
UNSEEN = "unseen"


def divide(units: Sequence[str], labelled: NDArray[np.bool_], parts: int, seed: int) -> NDArray[np.int64]:
    """The part of each image, int64 [N] below ``parts``.

    Args:
        units: what each image belongs to; images of one unit get one part.
        labelled: bool [N, T], for which tasks each is labelled.
        seed: another seed, another division.

    Unit by unit, those of the rarest labels and the largest first, each goes where the parts stay most alike.
    """
    names = list(dict.fromkeys(units))
    at = {name: place for place, name in enumerate(names)}
    member = np.array([at[unit] for unit in units], np.int64)
    columns = np.concatenate([np.ones((len(units), 1)), labelled], axis=1)
    weights = np.zeros((len(names), columns.shape[1]))
    np.add.at(weights, member, columns)
    weights /= np.maximum(weights.sum(0), 1)
    places = [hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest() for name in names]
    order = sorted(range(len(names)), key=lambda k: (-float(weights[k].max()), places[k]))
    loads = np.zeros((parts, columns.shape[1]))
    chosen = np.zeros(len(names), np.int64)
    for k in order:
        # The sum of squares grows least where there is least of what this unit has.
        chosen[k] = int((loads @ weights[k]).argmin())
        loads[chosen[k]] += weights[k]
    return chosen[member]


class Folds:
    """The pool of a manifest in ``count`` folds, numbered from 0, and a part that is never seen.

    Raises OneglanceError where a part has no label of a task that is trained.
    """

    def __init__(self, manifest: Manifest, tasks: Sequence[str], count: int, seed: int) -> None:
        splits = np.array([str(one) for one in manifest.values("split")], object)
        rows = np.flatnonzero((splits == "train") | (splits == "val"))
        labelled = np.stack([manifest.labelled(name)[rows] for name in tasks], 1)
        known = labelled.any(1)
        rows, labelled = rows[known], labelled[known]
        if not len(rows):
            raise OneglanceError(
                "no image of the splits `train` and `val` is labelled for any task that is trained; `oneglance check` "
                "counts the labels by task, source and split"
            )
        self.count, self.tasks = count, tuple(tasks)
        self.pool = manifest.select(rows)
        units = units_of(self.pool, np.arange(len(rows)))
        self.part = divide(units, labelled, count + 1, seed)
        for k, name in enumerate(tasks):
            counts = np.bincount(self.part[labelled[:, k]], minlength=count + 1)
            if not counts.all():
                raise OneglanceError(
                    f"task {name!r}: its {labelled[:, k].sum()} labelled images are in too few groups for {count} "
                    "folds and a part that the search does not see; give fewer --folds"
                )

    def manifest(self, fold: int) -> Manifest:
        """For trials: `val` is a fold, `train` the others; the part that is never seen is left out."""
        names = np.where(self.part == fold, "val", "train")
        seen = np.flatnonzero(self.part < self.count)
        return with_column(self.pool, "split", names.tolist()).select(seen)

    def last(self) -> Manifest:
        """For the judgement: `train` is all folds, the split :data:`UNSEEN` the part that was never seen."""
        names = np.where(self.part == self.count, UNSEEN, "train")
        return with_column(self.pool, "split", names.tolist())

    def sizes(self) -> list[int]:
        """Images of each fold, and of the part that is never seen."""
        return [int(one) for one in np.bincount(self.part, minlength=self.count + 1)]
