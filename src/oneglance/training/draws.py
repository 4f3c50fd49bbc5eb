"""Which images a training looks at, and how often."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from oneglance.config import Config
from oneglance.data.mixing import MixedBatches
from oneglance.data.repeat import repeat_factors, repeated
from oneglance.data.sizes import Sizes
from oneglance.errors import OneglanceError
from oneglance.manifest import Manifest


def labelled_rows(manifest: Manifest, tasks: Iterable[str]) -> np.ndarray:
    """The rows of the split `train` that are labelled for any of the tasks, int64 [N].

    Raises OneglanceError where there is none.
    """
    rows = manifest.rows(split="train")
    labelled = np.zeros(len(manifest), bool)
    for name in tasks:
        labelled |= manifest.labelled(name)
    rows = rows[labelled[rows]]
    if not len(rows):
        raise OneglanceError(
            "no image of the split 'train' is labelled for any task that is trained; "
            "`oneglance check` counts the labels by task, source and split"
        )
    return rows


def training_batches(
    config: Config, manifest: Manifest, tasks: Iterable[str], rank: int = 0, world: int = 1
) -> MixedBatches:
    """The batches of a training of these tasks, as the configuration mixes them."""
    settings = config.train
    rows = labelled_rows(manifest, tasks)
    names = np.array(manifest.values("source"), object)[rows]
    # An image that several sources label counts for the first: a few such images are no source of their own.
    firsts = np.array([name.split("+")[0] for name in names], object)
    mixed = {name: rows[firsts == name] for name in dict.fromkeys(firsts)}
    if config.mixing.repeat:
        factors = np.ones(len(manifest))
        factors[rows] = repeat_factors(manifest, rows, config.mixing.repeat)
        mixed = {name: repeated(of, factors[of], settings.seed) for name, of in mixed.items()}
    sizes = Sizes(settings.size, settings.sizes)
    return MixedBatches(
        mixed, settings.batch, config.mixing, seed=settings.seed, length=config.mixing.epoch, rank=rank, world=world,
        parts=settings.accumulate, apart={name: sizes.number(name) for name in mixed},
    )  # fmt: skip
