"""The page of a search: whether it helped, what mattered, which tasks are paid for with which."""

from __future__ import annotations

import itertools
import math
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from oneglance.errors import Problems
from oneglance.evaluation.album import Album
from oneglance.evaluation.page import Html, details, document, join, section, table, tag, write
from oneglance.evaluation.plots import slug
from oneglance.evidence.page import costs, forest, scores
from oneglance.evidence.study import duration
from oneglance.tasks.charts import Bars, Cloud, Parallel, Series
from oneglance.training.machine import machine
from oneglance.tuning.evolution_page import charts, in_stages, slices_table
from oneglance.tuning.front import front, importances
from oneglance.tuning.results import Point
from oneglance.tuning.space import Dimension, text

if TYPE_CHECKING:
    from optuna import Study

    from oneglance.tuning.api import Tuning

#: Pairs of tasks that are drawn; with more tasks, all of them are in the table of trials.
_MOST_PAIRS = 15
_GIVEN = "the configuration as it was"


def write_page(tuning: Tuning, study: Study | None, problems: Problems) -> None:
    """Write ``tuning.page`` and PNGs of its plots into the folder ``plots`` beside it; plots that can't be written are
    noted in ``problems``."""
    album = Album(tuning.folder / "plots", problems)
    parts = [
        _header(tuning),
        section("The answer", "answer", *_answer(tuning, album)),
        section("The search", "search", *_search(tuning, study, album)),
        section("Trade-offs between tasks", "front", *_fronts(tuning, album)),
        section("All trials" if tuning.population is None else "All members", "trials", *_trials(tuning)),
    ]
    write(tuning.page, document("oneglance: tune", tag("main", *parts)))


def in_words(tuning: Tuning) -> str:
    """What came of the search, in a sentence or two."""
    ended = sum(one.state == "complete" for one in tuning.points)
    count = f"{len(tuning.points)} trials ({ended} to their end)"
    if tuning.population is not None:
        count = f"a population of {len(tuning.points)}, in {len(tuning.population.slices)} slices"
    if tuning.judgement is None or tuning.best is None:
        return (
            f"In {count} no configuration was found that is better on the folds than the one that was given, so there "
            "is nothing to change."
        )
    return f"{tuning.judgement.headline} It was found in {count}."


def _header(tuning: Tuning) -> Html:
    tasks = f"{len(tuning.tasks)} task{'s' if len(tuning.tasks) != 1 else ''}"
    each = "trial" if tuning.population is None else "member of a population"
    what = (
        f"Settings were varied to find better ones for {tasks} together. Each {each} was trained {tuning.folds} times, "
        f"on all but one of {tuning.folds} folds ({', '.join(f'{n:,}' for n in tuning.sizes[:-1])} images), and scored "
        f"on that one. {tuning.sizes[-1]:,} images were kept away from the search to judge its outcome. The split "
        "`test` was not touched."
    )
    return tag(
        "header", tag("p", "oneglance tune", class_="faint"), tag("h1", "Which settings are better?"), tag("p", what)
    )


def _answer(tuning: Tuning, album: Album) -> list[Html]:
    parts = [tag("p", tag("strong", in_words(tuning)))]
    best = tuning.best
    if best is None:
        return parts
    own = tuning.baseline.values
    now = {key: text(value) for key, value in best.values.items()}
    if (evolved := tuning.population) is not None:
        now = {key: in_stages(evolved.line, evolved.slices, key) for key in now}
    rows = [(key, text(own[key]) if own[key] is not None else "–", value) for key, value in now.items()]
    parts.append(table(("key", "was", "is now"), rows, words=(0, 1, 2)))
    if tuning.best_config is not None:
        parts.append(tag("p", f"The whole configuration is in {tuning.best_config.name}."))
    if (judged := tuning.judgement) is not None:
        note = (
            "Both were trained on all folds and scored on the images that no trial saw. The intervals cover other "
            "trainings and other images."
        )
        parts += [
            *scores(judged.comparison, judged.verdicts, tuning.level),
            forest(judged.comparison, tuning.level, album),
            tag("p", note, class_="faint"),
            details("Task by task, in words", *(tag("p", one.headline) for one in judged.verdicts.values())),
            details("What both cost", *costs(judged.comparison)),
        ]
    return parts


def _search(tuning: Tuning, study: Study | None, album: Album) -> list[Html]:
    if study is None:
        assert tuning.population is not None, "what is no population is a study"
        drawn = charts(tuning.population, [one.key for one in tuning.dimensions], album)
        return [tag("div", *drawn, class_="charts"), *slices_table(tuning.population)]
    ended = [one for one in tuning.points if math.isfinite(one.value)]
    parts: list[Html] = []
    if ended:
        x, y = (np.array([getattr(one, key) for one in ended], np.float64) for key in ("number", "value"))
        so_far = Series("the best so far", x, np.maximum.accumulate(y), main=True)
        note = (
            "A point a trial that came to its end: the mean over tasks and folds of its scores as shares of those of "
            f"{_GIVEN}, which has 1."
        )
        chart = Cloud(
            "history", "History", note, "trial", "share of the given scores", (Series("trials", x, y), so_far)
        )
        parts.append(album.figure(chart, "history.png"))
    found = importances(study, tuning.dimensions)
    if found:
        names = tuple(sorted(found, key=lambda key: -found[key]))
        note = (
            "How much of what sets the better trials apart from the others goes with each key (PED-ANOVA; the shares "
            f"sum to 1). From {len(ended)} trials: with few of them this says little."
        )
        shares = np.array([found[key] for key in names])
        parts.append(album.figure(Bars("importance", "What mattered", note, "share", names, shares), "importance.png"))
    if ended:
        parts.append(album.figure(_parallel(tuning, ended), "values.png"))
    return [tag("div", *parts, class_="charts")] if parts else [tag("p", "No trial has come to its end.")]


def _parallel(tuning: Tuning, ended: list[Point]) -> Parallel:
    dimensions = tuning.dimensions
    places = [[one.place(point.values[one.key]) for one in dimensions] for point in ended]
    values = np.array([point.value for point in ended])
    low, high = float(values.min()), float(values.max())
    last = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    ticks = (*(_ticks(one) for one in dimensions), ((0.0, f"{low:.3f}"), (1.0, f"{high:.3f}")))
    note = "A line a trial, from value to value; the stronger, the better. On the last axis stands what came of it."
    names = (*(one.key for one in dimensions), "outcome")
    return Parallel("values", "Values", note, names, ticks, np.c_[np.array(places), last], values)


def _ticks(one: Dimension) -> tuple[tuple[float, str], ...]:
    values = one.values or (one.rounded(one.low), one.rounded(one.high))
    return tuple((one.place(value), text(value)) for value in values)


def _fronts(tuning: Tuning, album: Album) -> list[Html]:
    points = [tuning.baseline, *(one for one in tuning.points if math.isfinite(one.value) and one.scores)]
    names = list(tuning.tasks)
    if len(names) < 2:
        return [tag("p", "There is one task, so nothing is traded.")]
    rows = np.array([[one.scores.get(name, math.nan) for name in names] for one in points], np.float64)
    signs = np.array([1.0 if up else -1.0 for _, up in tuning.tasks.values()])
    best = front(rows * signs)
    said = (
        f"{int(best.sum())} of {len(points)} configurations are on the front: no other is better or as good at every "
        "task and better at one. By their number in the search (the given one has none): "
        f"{', '.join(_name(points[k]) for k in np.flatnonzero(best))}."
    )
    parts: list[Html] = []
    pairs = list(itertools.combinations(range(len(names)), 2))
    for a, b in pairs[:_MOST_PAIRS]:
        both = np.isfinite(rows[:, [a, b]]).all(1)
        if not both.any():
            continue
        of_pair = front((rows * signs)[:, [a, b]]) & both
        order = np.flatnonzero(of_pair)[np.argsort(rows[of_pair, a])]
        rest = both & ~of_pair
        groups = [
            Series("other trials", rows[rest, a], rows[rest, b]),
            Series("the front of these two", rows[order, a], rows[order, b], main=True),
            Series(_GIVEN, rows[:1, a], rows[:1, b]),
        ]
        labels = [f"{names[k]}: {score} {'↑' if up else '↓'}" for k, (score, up) in _at(tuning, a, b)]
        title = f"{names[a]} and {names[b]}"
        note = "A point a configuration, means over the folds; on the front, more of one costs something of the other."
        chart = Cloud("front", title, note, labels[0], labels[1], tuple(one for one in groups if len(one.x)))
        parts.append(album.figure(chart, f"front_{slug(names[a])}_{slug(names[b])}.png"))
    left_out = f" Drawn are the first {_MOST_PAIRS} of {len(pairs)} pairs." if len(pairs) > _MOST_PAIRS else ""
    return [tag("p", said + left_out), tag("div", *parts, class_="charts")]


def _at(tuning: Tuning, *places: int) -> list[tuple[int, tuple[str, bool]]]:
    scores_of = list(tuning.tasks.values())
    return [(k, scores_of[k]) for k in places]


def _name(point: Point) -> str:
    return _GIVEN if point.number < 0 else str(point.number)


def _trials(tuning: Tuning) -> list[Html]:
    keys, names = [one.key for one in tuning.dimensions], list(tuning.tasks)
    rows: list[tuple[str | int | float, ...]] = []
    for one in [
        tuning.baseline,
        *sorted(tuning.points, key=lambda p: -p.value if math.isfinite(p.value) else math.inf),
    ]:
        said = [text(one.values[key]) if one.values.get(key) is not None else "–" for key in keys]
        figures = [one.scores.get(name, math.nan) for name in names]
        state = one.state if not one.reason else f"{one.state}: {one.reason}"
        rows.append((_name(one), *said, one.value, *figures, duration(one.seconds), state))
    arrows = [f"{name} ({score} {'↑' if up else '↓'})" for name, (score, up) in tuning.tasks.items()]
    headings = ("trial" if tuning.population is None else "member", *keys, "outcome", *arrows, "time", "")
    note = (
        "Scores are means over the folds that a trial finished. A trial that was stopped (pruned) has no outcome. "
        f"Method: {tuning.method}."
    )
    if tuning.population is not None:
        note = "Values and scores are those at the end; what was before, a member may have taken over from another."
    if tuning.exhausted:
        note += " Every configuration that the keys and values allow was tried."
    made = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}; oneglance {version('oneglance')}; {machine()}"
    last = f"Made {made}. All figures are in {tuning.results.name}."
    return [
        join([table(headings, rows, words=(0, len(headings) - 1))]),
        *(tag("p", t, class_="faint") for t in (note, last)),
    ]
