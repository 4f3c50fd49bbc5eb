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
    slices = population.slices
    lines: list[list[tuple[float, float]]] = []
    for number, one in enumerate(slices):
        for k, member in enumerate(one.members):
            before = [(slices[number - 1].end, slices[number - 1].reached[member.parent])] if number else []
            lines.append([*before, (one.end, one.reached[k])])
    best = [(one.end, max(one.reached)) for one in slices]
    series = [_joined("each member", lines)]
    if population.given:
        series.append(_joined("the given one", [population.given]))
    series.append(_joined("the best at the time", [best], main=True))
    note = (
        "After each slice, the mean over tasks and folds of the scores as shares of those that the given configuration "
        "has at its end. A member's line comes from where it went on: its own place, or another's."
    )
    return Curves("progress", "Progress", note, "epoch", "share of the given scores", tuple(series))


def _lines(population: Population) -> Curves:
    """A row a member; in the slice after it took over another's training, a line from there to its own row."""
    slices = population.slices
    members = [[(one.first, member.parent), (one.end, member.number)] for one in slices for member in one.members]
    pairs = zip(slices, population.line, strict=True)
    best = [[(one.first, member.parent), (one.end, member.number)] for one, member in pairs]
    note = (
        "A row a member. A slanting line: it left its own training, which ends there, and went on from that of the "
        "member from whose row the line comes."
    )
    series = (_joined("each member", members), _joined(_MAIN, best, main=True))
    return Curves("lineage", "Whose training", note, "epoch", "member", series)


def _values(population: Population, key: str) -> Curves:
    slices = population.slices

    def steps(line: Sequence[Member]) -> list[tuple[float, float]]:
        values = [math.nan if member.values[key] is None else member.values[key] for member in line]
        return [(x, value) for one, value in zip(slices, values, strict=True) for x in (one.first, one.end)]

    members = [steps([one.members[k] for one in slices]) for k in range(len(slices[0].members))]
    note = "The values that each member was trained with; the strong line is the schedule that came of it."
    series = (_joined("each member", members), _joined(_MAIN, [steps(population.line)], main=True))
    return Curves("value", key, note, "epoch", key, series)


def _joined(name: str, lines: Sequence[Sequence[tuple[float, float]]], *, main: bool = False) -> Series:
    """Several lines as one series, with gaps between them; what is not finite is a gap too."""
    points = np.array([point for line in lines for point in (*line, (math.nan, math.nan))], np.float64)
    points[~np.isfinite(points)] = math.nan
    return Series(name, points[:, 0], points[:, 1], main=main)
