"""Population-based training (Jaderberg et al. 2017): who goes on with whose training, and with which values.

Members are trained side by side in time slices. After a slice, each member of the worst quarter takes over the training
of one of the best quarter, drawn at random (exploit; the paper's truncation selection), and goes on from there with
changed values (explore). What comes of it is a schedule: the values over time of the best member, its line followed
backwards.

Everything here is a function of the scores, the seed, the slice and the member's number: neither the order in which
members are trained nor who trains them matters. All members see the same images in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oneglance.config import Config
from oneglance.errors import OneglanceError
from oneglance.training.course import why_fixed
from oneglance.tuning.space import Dimension, Space, Value

#: Exploring, a value is multiplied by one of these, or, so often, drawn anew from its whole range.
FACTORS = (0.8, 1.25)
RESAMPLED = 0.1
#: The worst of so many parts takes over from the best.
QUARTER = 4


@dataclass(frozen=True)
class Member:
    """A member in one slice: its ``values`` there by key, and ``parent``: whose training of the slice before it goes on
    with, its own number where that is its own (and in the first slice)."""

    number: int
    parent: int
    values: dict[str, Value]


@dataclass(frozen=True)
class Slice:
    """A slice that was trained, from epoch ``first`` (0-based) up to before ``end``: its ``members`` in the order of
    their numbers; at its end, by member, what is sought on each fold (``values``, NaN where it broke down) and each
    task's scores ``by_fold``."""

    first: int
    end: int
    members: tuple[Member, ...]
    values: tuple[tuple[float, ...], ...]
    by_fold: tuple[dict[str, list[float]], ...] = ()

    @property
    def reached(self) -> tuple[float, ...]:
        """What is sought, by member: the mean over the folds; -inf where it broke down on one."""
        means = [math.fsum(one) / len(one) for one in self.values]
        return tuple(one if math.isfinite(one) else -math.inf for one in means)

    @property
    def best(self) -> int:
        """The number of the member that had reached most; of equals the first."""
        return max(range(len(self.members)), key=lambda k: (self.reached[k], -k))


def check_space(space: Space) -> None:
    """Raises OneglanceError that names the key where one can't change in the middle of a training."""
    for one in space.dimensions:
        if why := why_fixed(one.key):
            raise OneglanceError(
                f"vary {one.key}: a population changes values in the middle of a training, and this can't change "
                f"there: {why}. Other methods (tpe, random, grid) can vary it"
            )
        if one.pyramid:
            raise OneglanceError(
                f"vary {one.key}: `pyramid` is a way through a grid; give a population the range alone"
            )
        for value in one.values or (one.rounded(one.low), one.rounded(one.high)):
            space.config({"schedule": {**space.schedule, one.key: [[0.5, value]]}})


def ends_of(epochs: int, every: int) -> list[int]:
    """After how many epochs each slice ends; the last one may be shorter.

    Raises OneglanceError where there is only one.
    """
    if not 1 <= every < epochs:
        raise OneglanceError(
            f"--every {every}: a population needs at least two slices, so it must be at least 1 and less than "
            f"train.epochs, {epochs}"
        )
    return [*range(every, epochs, every), epochs]


def first_members(space: Space, count: int, seed: int) -> tuple[Member, ...]:
    """The first has the values of the given configuration; the others' lie evenly over each range, in an order drawn
    for each key (a Latin hypercube)."""
    own = space.own()
    fits = space.drawn(own) is not None
    drawn = count - fits
    rng = np.random.default_rng([seed, 0])
    places = {one.key: (rng.permutation(drawn) + rng.random(drawn)) / max(drawn, 1) for one in space.dimensions}
    rows = [{one.key: one.at(float(places[one.key][k])) for one in space.dimensions} for k in range(drawn)]
    return tuple(Member(number, number, values) for number, values in enumerate([own] * fits + rows))


def check_alive(made: Slice) -> None:
    """Raises OneglanceError where all members have broken down."""
    if not any(math.isfinite(one) for one in made.reached):
        raise OneglanceError(
            f"every member of the population has broken down by epoch {made.end} (a loss that is not finite, or no "
            "task that could be scored); vary lower learning rates, or smaller weights"
        )


def next_members(before: Slice, dimensions: Sequence[Dimension], seed: int, number: int) -> tuple[Member, ...]:
    """The members of slice ``number`` (the first is 0) after what the slice ``before`` came to."""
    reached = before.reached
    order = sorted(range(len(reached)), key=lambda k: (-reached[k], k))
    count = max(1, len(order) // QUARTER)
    best = [k for k in order[:count] if math.isfinite(reached[k])]
    assert best, "whoever has slices made has checked that"
    left = {k for k in order if not math.isfinite(reached[k])} | set(order[-count:])
    found = []
    for member in before.members:
        # By the member's number, so that nobody's draw depends on who else draws.
        rng = np.random.default_rng([seed, number, member.number])
        parent = best[int(rng.integers(len(best)))]
        if member.number in left and reached[parent] > reached[member.number]:
            values = explore(before.members[parent].values, dimensions, rng)
            found.append(Member(member.number, parent, values))
        else:
            found.append(Member(member.number, member.number, member.values))
    return tuple(found)


def explore(values: Mapping[str, Value], dimensions: Sequence[Dimension], rng: np.random.Generator) -> dict[str, Value]:
    """Changed values within their ranges: of a range, multiplied by one of :data:`FACTORS`; of a list of numbers, the
    next one up or down; or drawn anew (:data:`RESAMPLED`), as values of other lists always are."""
    found: dict[str, Value] = {}
    for one in dimensions:
        value, anew, way = values[one.key], rng.random() < RESAMPLED, int(rng.integers(2))
        place = float(rng.random())
        changed = [value]
        if not one.values:
            changed = [one.rounded(value * FACTORS[k]) for k in (way, 1 - way)]
        elif one.ordered:
            at = one.drawn(value)
            changed = [one.values[k] for k in ((at - 1, at + 1), (at + 1, at - 1))[way] if 0 <= k < len(one.values)]
        # At the end of its range, the one way leads nowhere.
        different = [new for new in changed if new != value]
        found[one.key] = one.at(place) if anew or not different else different[0]
    return found


def lineage(slices: Sequence[Slice], number: int) -> list[Member]:
    """Who had the training that a member of the last slice ended with, slice by slice."""
    found = []
    for one in reversed(slices):
        found.append(one.members[number])
        number = found[-1].parent
    return found[::-1]


def over_time(space: Space, values: Sequence[Mapping[str, Value]], shares: Sequence[float]) -> Config:
    """A configuration with these values from these shares of the training on (the first: 0): the first ones in their
    places, later ones in `schedule`."""
    schedule: dict[str, list[list[Value]]] = {}
    for one in space.dimensions:
        for before, now, share in zip(values, values[1:], shares[1:], strict=False):
            if now[one.key] != before[one.key]:
                schedule.setdefault(one.key, []).append([share, now[one.key]])
    return space.config({**values[0], "schedule": {**space.schedule, **schedule}})
