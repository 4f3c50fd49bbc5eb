"""A population from its first slice to its last, by however many processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from oneglance.config import Config
from oneglance.errors import Problems
from oneglance.tuning.baseline import progress_of
from oneglance.tuning.folds import Folds
from oneglance.tuning.members import Members
from oneglance.tuning.population import (
    Member,
    Slice,
    check_alive,
    ends_of,
    first_members,
    lineage,
    next_members,
    over_time,
)
from oneglance.tuning.results import Point
from oneglance.tuning.search import lock_of
from oneglance.tuning.space import Space, text
from oneglance.tuning.together import Waiting, made_by_all
from oneglance.tuning.trials import FoldResult, key_of, relative


@dataclass(frozen=True)
class Population:
    """What came of a population: its ``slices``; ``line``: whose training the best one's was, slice by slice, with the
    values there; ``config``: the same as a configuration with a schedule; ``points``: each member at its end;
    ``given``: how far the given configuration had come after how many epochs."""

    slices: list[Slice]
    line: list[Member]
    config: Config
    points: list[Point]
    given: list[tuple[float, float]]


class Evolution:
    """One process at work on a population of ``count`` members in slices of ``every`` epochs."""

    def __init__(
        self,
        folder: Path,
        space: Space,
        folds: Folds,
        count: int,
        every: int,
        *,
        quiet: bool,
        say: Callable[[str], None],
    ) -> None:
        self.folder, self.space, self.folds, self.count, self.say = folder, space, folds.count, count, say
        train = space.base.train
        self.epochs, self.seed = train.epochs, train.seed
        self.ends = ends_of(train.epochs, every)
        self.firsts = [0, *self.ends[:-1]]
        self._scored = {"evaluate_every": every, "patience": None}
        self.members = Members(folder, folds, quiet=quiet)

    @property
    def problems(self) -> Problems:
        """Images that could not be read."""
        return self.members.problems

    def run(self, baseline: Sequence[FoldResult]) -> Population:
        """Make all slices, by this process or by others.

        Raises OneglanceError where all members break down.
        """
        slices: list[Slice] = []
        found: dict[tuple[int, int], FoldResult] = {}
        seconds = [0.0] * self.count
        for number in range(len(self.ends)):
            found = self._train(number, self._plan(number, slices), slices)
            slices.append(self._reached(number, found, baseline))
            check_alive(slices[-1])
            for (member, _), result in found.items():
                seconds[member] += result.seconds
            # All have made this slice, so nobody begins where the one before ended.
            if number:
                self.members.forget(number - 1)
            self._tell(slices)
        self.members.forget(len(self.ends) - 1)
        best = slices[-1].best
        points = [self._point(slices, member, found, seconds[member]) for member in range(self.count)]
        given = [(share * self.epochs, value) for share, value in progress_of(baseline, self.space.base)]
        return Population(slices, lineage(slices, best), self.config(slices, best), points, given)

    def config(self, slices: Sequence[Slice], number: int) -> Config:
        """The configuration with the values over time that a member of the last of these slices was trained with."""
        return self._over_time(lineage(slices, number))

    def _over_time(self, line: Sequence[Member]) -> Config:
        return over_time(self.space, [one.values for one in line], [first / self.epochs for first in self.firsts])

    def _plan(self, number: int, slices: Sequence[Slice]) -> tuple[Member, ...]:
        """The members of a slice; written down, so that the folder says it."""
        with lock_of(self.folder, "plan"):
            members = self.members.planned(number)
            if members is None:
                dimensions = self.space.dimensions
                members = (
                    next_members(slices[-1], dimensions, self.seed, number)
                    if slices
                    else first_members(self.space, self.count, self.seed)
                )
                self.members.plan(number, members)
        return members

    def _train(
        self, number: int, members: Sequence[Member], slices: Sequence[Slice]
    ) -> dict[tuple[int, int], FoldResult]:
        """Everybody's training in a slice on each fold, by member and fold."""

        def make(job: tuple[int, int]) -> FoldResult:
            member, fold = members[job[0]], job[1]
            line = [*(lineage(slices, member.parent) if slices else ()), member]
            config = self._over_time(line)
            config = config.model_copy(update={"train": config.train.model_copy(update=self._scored)})
            said = " ".join(f"{key}={text(value)}" for key, value in member.values.items())
            where = f"slice {number + 1} of {len(self.ends)}, member {member.number}, fold {fold + 1} of {self.folds}"
            self.say(f"{where}: {said}")
            return self.members.run(number, member, fold, config, self.ends[number])

        return made_by_all(
            self.folder,
            [(member.number, fold) for member in members for fold in range(self.folds)],
            lambda job: f"slice-{number + 1}-member-{job[0]}-fold-{job[1] + 1}",
            lambda job: self.members.known(number, *job),
            make,
            Waiting(f"others train the rest of slice {number + 1}", self.say),
        )

    def _reached(self, number: int, found: dict[tuple[int, int], FoldResult], baseline: Sequence[FoldResult]) -> Slice:
        members = self.members.planned(number)
        assert members is not None
        values, by_fold = [], []
        for member in members:
            results = [found[member.number, fold] for fold in range(self.folds)]
            pairs = zip(results, baseline, strict=True)
            values.append(tuple(relative(one.scores, given.scores, self.space.base) for one, given in pairs))
            names = [name for name in self.space.base.tasks if all(name in one.scores for one in results)]
            by_fold.append({name: [one.scores[name] for one in results] for name in names})
        return Slice(self.firsts[number], self.ends[number], members, tuple(values), tuple(by_fold))

    def _tell(self, slices: Sequence[Slice]) -> None:
        now = slices[-1]
        said = f"after {now.end} of {self.epochs} epochs: member {now.best} leads with {now.reached[now.best]:.4f}"
        if now.end < self.epochs:
            coming = next_members(now, self.space.dimensions, self.seed, len(slices))
            taken = [f"{one.number} goes on from {one.parent}" for one in coming if one.parent != one.number]
            said += f"; {', '.join(taken) or 'each goes on with its own'}"
        self.say(said)

    def _point(
        self, slices: Sequence[Slice], member: int, found: dict[tuple[int, int], FoldResult], seconds: float
    ) -> Point:
        last = slices[-1]
        by_fold = last.by_fold[member]
        reason = next((one.broke for (number, _), one in found.items() if number == member and one.broke), "")
        value = last.reached[member]
        ended = math.isfinite(value)
        return Point(
            member, last.members[member].values, "complete" if ended else "failed", value if ended else math.nan,
            {name: math.fsum(values) / len(values) for name, values in by_fold.items()}, by_fold,
            key_of(self.config(slices, member)), reason, seconds,
        )  # fmt: skip
