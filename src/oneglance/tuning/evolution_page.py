"""What the page of a search says of a population: who went on with whose training, and the values over time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from oneglance.evaluation.album import Album
from oneglance.evaluation.page import Html, table, tag
from oneglance.evaluation.plots import slug
from oneglance.tasks.charts import Curves, Series
from oneglance.tuning.population import Member, Slice
from oneglance.tuning.space import text

if TYPE_CHECKING:
    from oneglance.tuning.evolution import Population

_MAIN = "the best one's line"


def charts(population: Population, keys: Sequence[str], album: Album) -> list[Html]:
    """How far everybody had come, who went on with whose training, and the values of each key over time."""
    found = [album.figure(_progress(population), "progress.png"), album.figure(_lines(population), "lineage.png")]
    return found + [album.figure(_values(population, key), f"value_{slug(key)}.png") for key in keys]


def slices_table(population: Population) -> list[Html]:
    """A table of slices, and what is to be said of chance."""
    rows = []
    for number, one in enumerate(population.slices):
        known = [value for value in one.reached if math.isfinite(value)]
        coming = population.slices[number + 1].members if number + 1 < len(population.slices) else ()
        taken = "; ".join(_exchange(one, member) for member in coming if member.parent != member.number)
        spread = (max(known), statistics.median(known), min(known)) if known else (math.nan,) * 3
        rows.append((f"{one.first + 1} to {one.end}", *spread, taken or "–"))
    folds = len(population.slices[0].values[0])
    note = (
        "Who is better at the end of a slice may be so by luck: of two members that are equally good, one is better "
        f"than the other on all {folds} folds in one case of {2 ** (folds - 1)}, and the best of many are compared "
        "with the worst of many. Whether the schedule helps is said by the answer above alone, on images that the "
        "population did not see."
    )
    headings = ("epochs", "best", "median", "worst", "then")
    return [table(headings, rows, words=(0, 4)), tag("p", note, class_="faint")]


def in_stages(line: Sequence[Member], slices: Sequence[Slice], key: str) -> str:
    """A key's values over time in words: ``1, from epoch 5 on 0.8``."""
    said = text(line[0].values[key])
    for before, now, one in zip(line, line[1:], slices[1:], strict=False):
        if now.values[key] != before.values[key]:
            said += f", from epoch {one.first + 1} on {text(now.values[key])}"
    return said


def _exchange(one: Slice, member: Member) -> str:
    pairs = list(zip(one.values[member.parent], one.values[member.number], strict=True))
    better = sum(theirs > own for theirs, own in pairs)
    said = f"better on {better} of {len(pairs)} folds" if all(own == own for _, own in pairs) else "it had broken down"
    return f"{member.number} goes on from {member.parent} ({said})"


def _progress(population: Population) -> Curves:
    ends = np.array([one.end for one in population.slices], np.float64)
    reached = np.array([one.reached for one in population.slices], np.float64)
    reached[~np.isfinite(reached)] = np.nan
    series = [Series(f"member {k}", ends, reached[:, k]) for k in range(reached.shape[1])]
    if population.given:
        given = np.array(population.given, np.float64)
        series.append(Series("the given one", given[:, 0], given[:, 1]))
    series.append(Series("the best at the time", ends, np.nanmax(reached, axis=1), main=True))
    note = (
        "After each slice, the mean over tasks and folds of the scores as shares of those that the given configuration "
        "has at its end. A line a member, which goes on from another's training where it takes that over."
    )
    return Curves("progress", "Progress", note, "epoch", "share of the given scores", tuple(series))


def _lines(population: Population) -> Curves:
    """A line a member; where it takes over another's training, it comes from there."""
    series = []
    for k in range(len(population.slices[0].members)):
        x, y = [], []
        for one in population.slices:
            x += [one.first, one.first, one.end]
            y += [one.members[k].parent, k, k]
        series.append(Series(f"member {k}", np.array(x, np.float64), np.array(y, np.float64)))
    x = [at for one in population.slices for at in (one.first, one.end)]
    y = [member.number for member in population.line for _ in range(2)]
    series.append(Series(_MAIN, np.array(x, np.float64), np.array(y, np.float64), main=True))
    note = "Where a member takes over another's training, its line comes from there. What was left ends at that place."
    return Curves("lineage", "Whose training", note, "epoch", "member", tuple(series))


def _values(population: Population, key: str) -> Curves:
    slices = population.slices
    x = np.array([at for one in slices for at in (one.first, one.end)], np.float64)

    def steps(line: Sequence[Member]) -> np.ndarray:
        values = [member.values[key] for member in line for _ in range(2)]
        return np.array([math.nan if value is None else value for value in values], np.float64)

    members = [[one.members[k] for one in slices] for k in range(len(slices[0].members))]
    series = [Series(f"member {k}", x, steps(line)) for k, line in enumerate(members)]
    series.append(Series(_MAIN, x, steps(population.line), main=True))
    note = "The values that each member was trained with; the strong line is the schedule that came of it."
    return Curves("value", key, note, "epoch", key, tuple(series))
