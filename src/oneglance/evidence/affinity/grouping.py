"""The best partition of tasks into networks or branches: exact, by looking at every one there is.

The score of a task in a group is the mean of what steps for the others in the group do to its loss (the approximation
of Fifty et al. 2021 for groups of three and more); that of a partition is the mean over all tasks. A task alone scores
0: nobody helps it and nobody hurts it, and what its own steps do to it they do in every group. A pair that was never
seen is left out of the mean; a task all of whose companions are such scores 0, as if it were alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oneglance.errors import OneglanceError

Floats = NDArray[np.float64]

#: So many things can be put into groups: 115,975 partitions.
MOST = 10
#: Costs and scores nearer to each other than this are the same.
_SAME = 1e-9


@dataclass(frozen=True)
class Grouping:
    """A partition. ``groups``: numbers of units, each group and their list in ascending order; ``score``: the mean over
    tasks; ``cost``: beside one network for all."""

    groups: tuple[tuple[int, ...], ...]
    score: float
    cost: float


def task_scores(affinity: Floats, members: Sequence[int]) -> Floats:
    """The scores of the tasks ``members`` as a group of their own, float64 [..., n], from float64 [..., K, K] (row i,
    column j: what a step for i does to j; NaN: unknown)."""
    within = affinity[..., members, :][..., members].copy()
    within[..., np.arange(len(members)), np.arange(len(members))] = np.nan
    known = np.isfinite(within)
    count = known.sum(-2)
    sums: Floats = np.where(known, within, 0.0).sum(-2)
    return sums / np.maximum(count, 1)


def partitions(count: int, most: int) -> Iterator[tuple[int, ...]]:
    """All partitions of ``count`` things into at most ``most`` groups, each a tuple of bit masks."""

    def grow(number: int, groups: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if number == count:
            yield groups
            return
        bit = 1 << number
        for k, group in enumerate(groups):
            yield from grow(number + 1, (*groups[:k], group | bit, *groups[k + 1 :]))
        if len(groups) < most:
            yield from grow(number + 1, (*groups, bit))

    yield from grow(0, ())


class Groupings:
    """The partitions of units (a task on images, with those on the objects that it finds) and what they are worth.

    Args:
        affinity: float64 [K, K] over tasks.
        units: each unit's tasks, as numbers.
        cost: of some groups of units, beside one network for all.

    Raises OneglanceError where there are too many units.
    """

    def __init__(
        self, affinity: Floats, units: Sequence[Sequence[int]], cost: Callable[[Sequence[Sequence[int]]], float]
    ) -> None:  # fmt: skip
        check_count(len(units))
        self.affinity, self.units, self.cost = affinity, units, cost

    def best(self, most: int, budget: float | None = None) -> Grouping:
        """The best partition into at most ``most`` groups that costs at most ``budget``; of equally good ones, the
        cheapest. Raises OneglanceError where none costs so little."""
        found = [one for one in self.best_by_number(most, budget) if one is not None]
        if not found:
            raise OneglanceError(f"--budget {budget:g}: even one network for all tasks costs more; give at least 1")
        return min(found, key=_rank)

    def best_by_number(self, most: int, budget: float | None = None) -> list[Grouping | None]:
        """The best partition into one group, into two, ... ``most``; None where all of them cost too much."""
        scores = self._sums(self.affinity)
        best: list[Grouping | None] = [None] * most
        for masks in partitions(len(self.units), most):
            score = float(sum(scores[mask] for mask in masks)) / self.tasks
            rival = best[len(masks) - 1]
            if rival is not None and score < rival.score - _SAME:
                continue
            one = self._grouping(masks, score)
            if budget is not None and one.cost > budget + _SAME:
                continue
            if rival is None or _rank(one) < _rank(rival):
                best[len(masks) - 1] = one
        return best

    def grouping(self, groups: Sequence[Sequence[int]]) -> Grouping:
        """Some partition, with what it is worth."""
        members = [[task for k in group for task in self.units[k]] for group in groups]
        score = float(sum(task_scores(self.affinity, one).sum() for one in members)) / self.tasks
        return self._grouping([_mask(group) for group in groups], score)

    def often_best(self, one: Grouping, resampled: Floats, most: int, budget: float | None = None) -> float:
        """The share of the resamples, float64 [B, K, K], on which no partition that is possible is better than this."""
        scores = self._sums(resampled)
        own = sum(scores[_mask(group)] for group in one.groups)
        highest = np.full(len(resampled), -np.inf)
        for masks in partitions(len(self.units), most):
            score = sum(scores[mask] for mask in masks)
            if budget is None or self._grouping(masks, 0.0).cost <= budget + _SAME:
                highest = np.maximum(highest, score)
        return float((own >= highest - _SAME).mean())

    @property
    def tasks(self) -> int:
        """How many tasks there are."""
        return sum(len(unit) for unit in self.units)

    def _sums(self, affinity: Floats) -> dict[int, Floats]:
        """By group (a bit mask of units) the sum of its tasks' scores, float64 [...]."""
        found = {}
        for mask in range(1, 1 << len(self.units)):
            members = [task for k, unit in enumerate(self.units) if mask >> k & 1 for task in unit]
            found[mask] = task_scores(affinity, members).sum(-1)
        return found

    def _grouping(self, masks: Sequence[int], score: float) -> Grouping:
        groups = sorted(tuple(k for k in range(len(self.units)) if mask >> k & 1) for mask in masks)
        return Grouping(tuple(groups), score, self.cost(groups))


def check_count(units: int) -> None:
    """Raises OneglanceError where there are more than can be put into groups exactly."""
    if units > MOST:
        raise OneglanceError(
            f"{units} tasks on images are to be put into groups, and every partition is looked at, which is done for "
            f"up to {MOST}; leave out some of the tasks"
        )


def _mask(group: Sequence[int]) -> int:
    return sum(1 << k for k in group)


def _rank(one: Grouping) -> tuple[float, float, int, tuple[tuple[int, ...], ...]]:
    """Smaller is better."""
    return (-round(one.score, 12), round(one.cost, 9), len(one.groups), one.groups)
