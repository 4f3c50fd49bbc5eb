"""The page of a study: for somebody who does not know the code, first the answer, then what it rests on."""

from __future__ import annotations

import math
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from oneglance.errors import Problems
from oneglance.evaluation.album import Album
from oneglance.evaluation.page import Html, details, document, join, section, shown, table, tag, write
from oneglance.evaluation.plots import slug
from oneglance.evidence.comparison import Comparison, Cost, TaskComparison
from oneglance.evidence.labels import Curve
from oneglance.evidence.study import duration
from oneglance.evidence.twins import RULE
from oneglance.evidence.verdict import Verdict, plain, signed
from oneglance.tasks.charts import Curves, Intervals, Series
from oneglance.training.machine import machine

if TYPE_CHECKING:
    from oneglance.evidence.api import Evidence

_MARKS = {"helped": "▲", "better": "▲", "hurt": "▼", "worse": "▼", "no difference shown": "○", "not measured": "–"}


def write_page(evidence: Evidence, problems: Problems) -> None:
    """Write ``evidence.page`` and PNGs of its plots into the folder ``plots`` beside it; plots that can't be written
    are noted in ``problems``. Raises OneglanceError where the page's name is that of somebody else's file."""
    album = Album(evidence.folder / "plots", problems)
    title = "Did sharing help?" if evidence.twins else "Which is better?"
    parts = [_header(evidence, title)]
    many = len(evidence.comparisons) > 1
    for number, (one, words) in enumerate(zip(evidence.comparisons, evidence.verdicts, strict=True)):
        name = f": {one.ours} against {one.theirs}" if many else ""
        after = f"-{number + 1}" if many else ""
        parts += [
            section(f"The answer{name}", f"answer{after}", *_answer(one, words, evidence)),
            section(f"The scores{name}", f"scores{after}", *scores(one, words, evidence.level)),
            section(f"The differences{name}", f"differences{after}", forest(one, evidence.level, album, after)),
            section(f"The cost{name}", f"cost{after}", *costs(one)),
        ]
    parts += [_curve(curve, evidence, album) for curve in evidence.curves]
    parts.append(_details(evidence))
    write(evidence.page, document(f"oneglance: {title}", tag("main", *parts)))


def _header(evidence: Evidence, title: str) -> Html:
    one = evidence.comparisons[0]
    seeds = max((task.difference.seeds for task in one.tasks), default=0)
    if evidence.twins:
        what = (
            "One network that answers all questions at once (the shared network) against one network for each "
            "question alone (its twins): the same architecture, images and labels, and as many steps of training. "
        )
    else:
        what = "Trainings of different configurations, tested on the same images. "
    what += (
        f"Each was trained {seeds} time{'s' if seeds != 1 else ''}, from different random seeds, and scored on the "
        f"split {evidence.split!r}."
    )
    return tag(
        "header",
        tag("p", "oneglance compare", class_="faint"),
        tag("h1", title),
        tag("p", what),
    )


def _answer(one: Comparison, words: dict[str, Verdict], evidence: Evidence) -> list[Html]:
    found = [summary(one, words, twins=evidence.twins, level=evidence.level)]
    parts: list[Html] = [tag("p", tag("strong", found[0]))]
    items = []
    for task in one.tasks:
        word = words[task.task]
        mark = tag("span", f"{_MARKS[word.kind]} ", aria_hidden="true")
        claim, rest = word.headline.split(". ", 1) if ". " in word.headline else (word.headline, "")
        whole = tag("p", mark, tag("strong", f"{claim.rstrip('.')}."), f" {rest}")
        items.append(tag("li", whole, tag("p", " ".join(word.details), class_="faint")))
    parts.append(tag("ul", *items))
    return parts


def summary(one: Comparison, words: dict[str, Verdict], *, twins: bool, level: float) -> str:
    """All tasks in a sentence or two."""
    kinds = [words[task.task].kind for task in one.tasks]
    up, down = (sum(kind in some for kind in kinds) for some in (("helped", "better"), ("hurt", "worse")))
    rest = len(kinds) - up - down
    tasks = f"{len(kinds)} task{'s' if len(kinds) != 1 else ''}"
    if twins:
        said = f"Of {tasks}, sharing helped {up} and hurt {down}; for {rest} no difference was shown."
    else:
        said = (
            f"Of {tasks}, {one.ours} is better at {up} and worse at {down} than {one.theirs}; for {rest} no difference "
        )
        said += "was shown."
    if one.gain is not None and math.isfinite(one.gain.mean):
        low, high = one.gain.interval(level)
        way = "better" if one.gain.mean >= 0 else "worse"
        said += (
            f" Over all tasks the scores are {abs(one.gain.mean):.1f}% {way} on average (delta-m "
            f"{_percent(one.gain.mean)}, {100 * level:g}% interval {_percent(low)} to {_percent(high)})."
        )
    if nothing := [task.task for task in one.tasks if task.from_nothing]:
        said += (
            f" No mean over tasks (delta-m) is given: of {', '.join(nothing)}, next to nothing was learnt by "
            f"{one.theirs}, and shares of that are noise. More epochs would help."
        )
    return said


def _percent(value: float) -> str:
    return f"{'+' if value >= 0 else '−'}{abs(value):.1f}%" if math.isfinite(value) else "–"


def scores(one: Comparison, words: dict[str, Verdict], level: float) -> list[Html]:
    """A table of both sides' scores by task, their differences and the verdicts."""
    rows = []
    for task in one.tasks:
        low, high = task.difference.interval(level)
        arrow = "↑" if task.higher else "↓"
        rows.append(
            (
                task.task, f"{task.score} {arrow}", _spread(task.ours), _spread(task.theirs),
                signed(task.difference.mean), f"{signed(low)} to {signed(high)}", words[task.task].kind,
            )
        )  # fmt: skip
    headings = ("task", "score", one.ours, one.theirs, "difference", f"{100 * level:g}% interval", "verdict")
    note = "↑ higher is better, ↓ lower is better. After ±: the standard deviation over seeds."
    return [table(headings, rows, words=(0, 1, 6)), tag("p", note, class_="faint")]


def _spread(scores: np.ndarray) -> str:
    mean = plain(float(scores.mean()))
    return f"{mean} ± {plain(float(scores.std(ddof=1)))}" if len(scores) > 1 else mean


def forest(one: Comparison, level: float, album: Album, after: str = "") -> Html:
    """The relative differences with their intervals; ``after``: what is put after the file's name."""
    names, middles, lows, highs = [], [], [], []
    left_out = []
    for task in one.tasks:
        theirs = abs(float(task.theirs.mean()))
        low, high = task.difference.interval(level)
        if not theirs > 0 or not math.isfinite(low):
            left_out.append(task.task)
            continue
        sign = 100 / theirs * (1 if task.higher else -1)
        ends = sorted((sign * low, sign * high))
        names.append(task.task)
        middles.append(sign * task.difference.mean)
        lows.append(ends[0])
        highs.append(ends[1])
    if one.gain is not None and names:
        low, high = one.gain.interval(level)
        names.append("all tasks (delta-m)")
        middles.append(one.gain.mean)
        lows.append(low)
        highs.append(high)
    without = (
        f" Not drawn, because a score is 0 or nothing could be measured: {', '.join(left_out)}." if left_out else ""
    )
    if not names:
        return tag("p", f"There is nothing to draw.{without}")
    chart = Intervals(
        "differences", "Relative differences",
        f"Right of 0: {one.ours}; left of 0: {one.theirs}. In percent of the score of {one.theirs}, with the "
        f"{100 * level:g}% interval over trainings and test images. An interval that holds 0: no difference was "
        f"shown.{without}",
        "better by percent", tuple(names), *(np.nan_to_num(np.array(of)) for of in (middles, lows, highs)),
    )  # fmt: skip
    return album.figure(chart, f"differences{after}.png")


def costs(one: Comparison) -> list[Html]:
    """A table of what both sides take."""
    ours, theirs = one.cost_ours, one.cost_theirs
    rows: list[tuple[str, str, str, str]] = []
    for name, key, of in _COSTS:
        a, b = float(getattr(ours, key)), float(getattr(theirs, key))
        ratio = f"{a / b:.2f}" if math.isfinite(a) and math.isfinite(b) and b > 0 else "–"
        rows.append((name, of(a), of(b), ratio))
    headings = ("", f"{one.ours}{_networks(ours)}", f"{one.theirs}{_networks(theirs)}", "ratio")
    note = (
        "Means over seeds. An answer: from decoded pixels to all answers, one image at a time. A ratio below 1 says "
        f"that {one.ours} is cheaper. Times depend on the machine and on what else it did."
    )
    return [table(headings, rows), tag("p", note, class_="faint")]


def _networks(cost: Cost) -> str:
    return f" (the sum of {cost.networks} networks)" if cost.networks > 1 else ""


def _time(seconds: float) -> str:
    return duration(seconds) if math.isfinite(seconds) else "–"


_COSTS = (
    ("parameters", "parameters", lambda v: f"{v / 1e6:.2f} million"),
    ("operations an image", "flops", lambda v: f"{v / 1e9:.2f} GFLOP"),
    ("an answer", "answer_s", lambda v: f"{1000 * v:.1f} ms" if math.isfinite(v) else "–"),
    ("training", "train_s", _time),
    ("images looked at in training", "train_images", lambda v: f"{v:,.0f}" if math.isfinite(v) else "–"),
)


def _curve(curve: Curve, evidence: Evidence, album: Album) -> Html:
    x = np.array(curve.labels, np.float64)
    lines = []
    for name, of in (("shared", "ours"), ("alone", "theirs")):
        scores = [getattr(one, of) for one in curve.points]
        means = np.array([one.mean() for one in scores])
        # The two lines' own spread over seeds; whether they differ is said by the intervals of the differences.
        spread = np.array([one.std(ddof=1) if len(one) > 1 else 0.0 for one in scores])
        lines.append(Series(name, x, means, main=name == "shared", low=means - spread, high=means + spread))
    task = curve.points[0]
    better = "higher" if task.higher else "lower"
    chart = Curves(
        "labels", f"{curve.task}: labels",
        f"{task.score} by the number of labelled training images; {better} is better. The band: one standard deviation "
        "over seeds to each side.",
        "labelled images", task.score, tuple(lines),
    )  # fmt: skip
    rows = []
    for share, labels, one in zip(curve.shares, curve.labels, curve.points, strict=True):
        low, high = one.difference.interval(evidence.level)
        rows.append(
            (f"{100 * share:g}%", labels, _spread(one.ours), _spread(one.theirs), signed(one.difference.mean),
             f"{signed(low)} to {signed(high)}", _p(one.adjusted))
        )  # fmt: skip
    headings = ("share", "labelled images", "shared", "alone", "difference", f"{100 * evidence.level:g}% interval", "p")
    note = (
        "The labels that were taken away are unknown to the network, not negative; all other tasks keep theirs. Each "
        "seed drops others, so the intervals cover which labels were kept. p: after Holm's correction over the shares. "
        "What the task alone would need is read off its curve, which is taken as known."
    )
    said = [tag("p", text) for text in curve.in_words(evidence.level)]
    figure = album.figure(chart, f"labels_{slug(curve.task)}.png")
    return section(
        f"How many labels of {curve.task} does sharing save?", f"labels-{slug(curve.task)}",
        *said, figure, table(headings, rows), tag("p", note, class_="faint"),
    )  # fmt: skip


def _details(evidence: Evidence) -> Html:
    level = evidence.level
    parts: list[Html] = [tag("p", _HOW)]
    for one in evidence.comparisons:
        rows = [_intervals_of(task, level) for task in one.tasks]
        headings = ("task", "over trainings", "over test images", "over both", "p", "p (Holm)", "seeds", "images")
        parts.append(details(f"All intervals: {one.ours} against {one.theirs}", table(headings, rows), is_open=True))
        seeds = [row for task in one.tasks for row in _by_seed(task, one)]
        parts.append(
            details("The score of each training", table(("task", "side", "scores, by seed"), seeds, (0, 1, 2)))
        )
    if evidence.twins:
        budgets = [(name, b.epochs, b.steps, b.batch, b.images) for name, b in evidence.budgets.items()]
        columns = ("network", "epochs", "steps an epoch", "images a step", "images in all")
        parts += [tag("h3", "The rule of the budget"), tag("p", RULE), table(columns, budgets)]
    made = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}; oneglance {version('oneglance')}; {machine()}"
    parts.append(tag("p", f"Made {made}. All figures are in {evidence.results.name}.", class_="faint"))
    return section("Details", "details", join(parts))


_HOW = (
    "Two trainings of one network differ by chance, and so do two sets of test images. The interval over trainings is "
    "Student's t over the differences seed by seed: what other trainings would show on these test images. The interval "
    "over test images is a paired bootstrap: what these very networks would show on other images. The interval over "
    "both puts the two together, and the verdict rests on it. A difference is claimed where its p-value, corrected for "
    "the number of tasks (Holm), is small enough: if nothing differed, no task at all would be claimed in 95 of 100 "
    "studies (at a level of 95%)."
)


def _intervals_of(task: TaskComparison, level: float) -> tuple[str | int, ...]:
    found = task.difference

    def ends(pair: tuple[float, float]) -> str:
        return f"{signed(pair[0])} to {signed(pair[1])}" if math.isfinite(pair[0]) else "–"

    ps = [_p(found.p), _p(task.adjusted)]
    spans = [ends(of(level)) for of in (found.over_seeds, found.over_images, found.interval)]
    return (task.task, *spans, *ps, found.seeds, found.images)


def _p(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _by_seed(task: TaskComparison, one: Comparison) -> list[tuple[str, str, str]]:
    return [
        (task.task, side, ", ".join(shown(float(score)) for score in scores))
        for side, scores in ((one.ours, task.ours), (one.theirs, task.theirs))
    ]
