"""Learning curves: fewer labels of one task, all labels of the others. How many labels does sharing save?"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oneglance.annotations import Instance, Instances, Record
from oneglance.config import Config
from oneglance.errors import OneglanceError, nearest
from oneglance.evidence.comparison import TaskComparison
from oneglance.evidence.resampling import units_of
from oneglance.manifest import Manifest
from oneglance.tasks import create_tasks
from oneglance.tasks.base import Task


@dataclass(frozen=True)
class Shares:
    """Which shares of a task's labels are to be looked at, ascending, 1 the last."""

    task: str
    shares: tuple[float, ...]


def parse_shares(text: str, config: Config) -> Shares:
    """``TASK=0.1,0.25,0.5``; raises OneglanceError that says what is wrong with it."""
    task, separator, numbers = text.partition("=")
    if not separator:
        raise OneglanceError(f"--labels {text}: write it as TASK=0.1,0.25,0.5,1")
    if task not in config.tasks:
        raise OneglanceError(f"--labels {text}: no task is called {task!r}{nearest(task, config.tasks)}")
    if config.tasks[task].freeze:
        raise OneglanceError(f"--labels {text}: {task!r} is frozen, so it learns nothing from labels")
    children = [name for name, one in config.tasks.items() if one.parent == task]
    if children:
        raise OneglanceError(
            f"--labels {text}: the labels of {', '.join(children)} stand on the objects of {task!r} and would go with "
            "them; choose another task"
        )
    try:
        shares = sorted({float(one) for one in numbers.split(",")} | {1.0})
    except ValueError as error:
        raise OneglanceError(f"--labels {text}: shares are numbers, such as 0.1,0.25,0.5,1") from error
    if not shares[0] > 0 or shares[-1] > 1 or len(shares) < 2:
        raise OneglanceError(f"--labels {text}: shares are above 0 and at most 1, and one of them is less than 1")
    return Shares(task, tuple(shares))


def kept_rows(manifest: Manifest, task: str, share: float, seed: int) -> NDArray[np.int64]:
    """The rows of the split `train` that keep their label of the task, int64 [N]: whole groups, at least one, in an
    order that the seed alone determines, so that a smaller share is part of every larger one."""
    rows = manifest.rows(split="train")
    rows = rows[manifest.labelled(task)[rows]]
    units = units_of(manifest, rows)

    def place(unit: str) -> bytes:
        return hashlib.blake2b(f"{seed}:{unit}".encode(), digest_size=8).digest()

    order = sorted(set(units), key=place)
    kept = set(order[: max(1, math.ceil(share * len(order) - 1e-9))])
    return rows[[unit in kept for unit in units]] if len(rows) else rows


def with_fewer_labels(manifest: Manifest, config: Config, task: str, share: float, seed: int) -> Manifest:
    """The same images; of the training images only a share keeps its labels of the task, on the others they are
    unknown. All other labels, and those of the other splits, stay."""
    rows = manifest.rows(split="train")
    lost = np.zeros(len(manifest), bool)
    lost[rows[manifest.labelled(task)[rows]]] = True
    lost[kept_rows(manifest, task, share, seed)] = False
    made = create_tasks(config.tasks)[task]
    if made.settings.parent is not None:
        return Manifest.build(_without(manifest, lost, made), manifest.columns)
    at = pa.array(np.arange(len(manifest)), mask=lost)  # a null takes a null
    place = manifest.table.schema.get_field_index(task)
    table = manifest.table.set_column(place, manifest.table.schema.field(place), manifest.table[task].take(at))
    return Manifest(table, manifest.columns)


def _without(manifest: Manifest, lost: NDArray[np.bool_], task: Task) -> Iterator[Record]:
    parent = task.settings.parent
    assert parent is not None
    for record, one in zip(manifest, lost, strict=True):
        if one:
            known = {**record.annotations, task.name: None}
            objects = known.get(parent)
            if isinstance(objects, Instances):
                items = tuple(_bare(item, task) if task.asks_about(item) else item for item in objects.items)
                known[parent] = replace(objects, items=items)
            record = replace(record, annotations=known)
        yield record


def _bare(item: Instance, task: Task) -> Instance:
    """The object without what it says to the task."""
    match task.carrier:
        case "points":
            return replace(item, points=None)
        case "shape":
            return replace(item, polygons=None, rle=None)
        case "identity":
            return replace(item, identity=None)
    names = task.attributes
    return replace(item, attributes={key: value for key, value in item.attributes.items() if key not in names})


@dataclass(frozen=True)
class Curve:
    """A task with ever more labels: ``labels``, how many training images have one; at each, shared against alone."""

    task: str
    shares: tuple[float, ...]
    labels: tuple[int, ...]
    points: list[TaskComparison]

    def worth(self, place: int, level: float) -> tuple[float, float, float]:
        """How many labels the task alone would need for what sharing gives with ``labels[place]``: by the means, and
        the ends of the interval of the difference. inf: more than there are; 0: fewer than the fewest."""
        one = self.points[place]
        alone = float(one.theirs.mean())
        low, high = one.difference.interval(level)
        ends = [self._needed(alone + by) for by in (low, high)]
        return self._needed(alone + one.difference.mean), min(ends), max(ends)

    def _needed(self, score: float) -> float:
        """Where the curve of the task alone reaches a score: straight lines over the logarithm of the labels."""
        if not math.isfinite(score):
            return math.nan
        sign = 1 if self.points[0].higher else -1
        reached = np.maximum.accumulate([sign * float(one.theirs.mean()) for one in self.points])
        wanted = sign * score
        if wanted > reached[-1]:
            return math.inf
        if wanted < reached[0]:
            return 0.0
        logs = np.log(self.labels)
        at = int(np.searchsorted(reached, wanted, side="left"))
        if at == 0:
            return float(self.labels[0])
        part = (wanted - reached[at - 1]) / (reached[at] - reached[at - 1])
        return float(np.exp(logs[at - 1] + part * (logs[at] - logs[at - 1])))

    def in_words(self, level: float) -> list[str]:
        """What sharing saves, a sentence for each share but the whole."""
        said = []
        for place, share in enumerate(self.shares[:-1]):
            worth, low, high = self.worth(place, level)
            have = self.labels[place]
            start = f"With {have:,} labelled images ({100 * share:g}%)"
            if not self.points[place].difference.margin(1 - level) > 0:
                said.append(f"{start} nothing can be said: there is no interval, or the score is too coarse for one.")
                continue
            said.append(
                f"{start} sharing gives what {self.task} alone reaches with {self._count(worth)} "
                f"({100 * level:g}% interval {self._count(low)} to {self._count(high)})."
            )
        return said

    def _count(self, labels: float) -> str:
        if math.isnan(labels):
            return "unknown"
        if math.isinf(labels):
            return f"more than {self.labels[-1]:,}"
        return f"fewer than {self.labels[0]:,}" if labels < self.labels[0] else f"{labels:,.0f}"


def labels_of(manifest: Manifest, task: str) -> int:
    """How many training images are labelled for a task."""
    return int(manifest.labelled(task)[manifest.rows(split="train")].sum())
