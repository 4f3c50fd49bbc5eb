"""The report: one page, for somebody who does not know the code, on what was learnt from what, and how well."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oneglance.errors import Problems
from oneglance.evaluation.album import Album
from oneglance.evaluation.evaluate import Scored
from oneglance.evaluation.facts import cost_of, read_facts, read_history, read_problems
from oneglance.evaluation.page import Html, details, document, join, section, shown, table, tag, write
from oneglance.evaluation.pictures import Pair, data_url, draw_pairs
from oneglance.evaluation.plots import drawable, grid_of, slug
from oneglance.evaluation.sharing import flops_of, parameters_by_part, sharing_charts
from oneglance.ingest import Counts, count_labels
from oneglance.manifest import Manifest
from oneglance.model import Model
from oneglance.network.sharing import MEANS, task_of
from oneglance.tasks.base import Task
from oneglance.tasks.charts import Chart, Curves, Matrix, Table
from oneglance.training.fit import BEST
from oneglance.training.machine import machine

#: All pictures of a page together have about so many bytes (a third more once they are text).
PICTURE_BYTES = 2_800_000
#: So many worst and so many best images of each task are shown; fewer where there are many tasks.
SHOWN, SHOWN_IN_ALL = 6, 36
MOST_ROWS, MOST_CONFUSIONS, MOST_PROBLEMS = 200, 6, 50


def write_report(
    path: Path,
    *,
    folder: Path,
    model: Model,
    manifest: Manifest,
    scored: Scored | None,
    plots: Path,
    problems: Problems,
) -> Path:
    """Write the page ``path`` and PNGs of its charts into ``plots``; returns ``path``.

    Args:
        path: the page; an earlier report is replaced, any other file refused (OneglanceError).
        folder: the run's folder, with its configuration, history and facts.
        model: the run's network.
        manifest: all images of the run.
        scored: what came of scoring a split; None: there was none to score, and the page has the training alone.
        plots: folder for the PNGs.
        problems: takes what could not be drawn.
    """
    tasks = model.tasks
    history = read_history(folder, tasks)
    charts = {name: scored.metrics[name].charts() for name in tasks} if scored is not None else {}

    album = Album(plots, problems)
    counts = count_labels(manifest)
    titles = {"scores": "Scores", "training": "Training"} | {f"task-{slug(name)}": name for name in charts}
    titles |= {
        "data": "Data",
        "problems": "Passed over",
        "sharing": "Sharing",
        "cost": "Cost",
        "configuration": "Configuration",
    }
    titles |= {"environment": "Environment"}
    facts = read_facts(folder)
    parts = [
        _header(folder, facts, scored, model.weights, len(manifest)),
        tag("nav", *(tag("a", title, href=f"#{anchor}") for anchor, title in titles.items()), aria_label="Sections"),
        _headline(scored, tasks, counts),
        _training(history, album),
    ]
    if scored is not None:
        parts += [_task(tasks[name], charts[name], scored, manifest, album) for name in tasks]
    parts += [
        _data(counts, tasks, manifest),
        _problems(folder, scored, problems),
        _sharing(model, album),
        _cost(model, facts, scored),
        _configuration(folder),
        _environment(model, facts),
    ]
    write(path, document(f"oneglance: {folder.resolve().name}", tag("main", *parts)))
    return path


def _header(folder: Path, facts: dict[str, Any], scored: Scored | None, weights: str, images: int) -> Html:
    said = [f"One network, {images:,} images in all."]
    if scored is not None:
        said.append(f"Scored on the {scored.images:,} images of the split {scored.split!r}.")
        if weights:
            said.append(f"The weights are those of {weights}{_WEIGHTS.get(weights, '')}.")
    else:
        said.append("No split was scored: there is no val and no test.")
    if "created" in facts:
        said.append(f"Training was begun on {_day(str(facts['created']))}.")
    return tag(
        "header",
        tag("p", "oneglance report", class_="faint"),
        tag("h1", folder.resolve().name),
        tag("p", " ".join(said)),
    )


_WEIGHTS = {BEST: ", the best by the split val, on which their scores are therefore a little too good"}


def _headline(scored: Scored | None, tasks: dict[str, Task[Any]], counts: Counts) -> Html:
    if scored is None:
        note = "Nothing was scored: no image is in the split val or test. What follows is the training alone."
        return section("Scores", "scores", tag("p", note))
    cards = []
    for name, task in tasks.items():
        labelled = sum(one.labelled for (of, _, split), one in counts.items() if of == name and split == scored.split)
        value = scored.scores[name].get(task.score, math.nan)
        better = "↑ higher is better" if task.higher_is_better else "↓ lower is better"
        figure = tag("div", shown(value), class_="score")
        means = f"{task.score_means[:1].upper()}{task.score_means[1:]}."
        on = f"{task.kind}; {labelled:,} of {scored.images:,} images are labelled for it"
        if not math.isfinite(value):
            means = f"Nothing could be measured here. {means}"
        heading = tag("h3", tag("a", name, href=f"#task-{slug(name)}"))
        cards.append(
            tag(
                "div",
                heading,
                figure,
                tag("p", f"{task.score}, {better}", class_="faint"),
                tag("p", means),
                tag("p", on, class_="faint"),
                class_="card",
            )
        )
    note = "A score speaks only of images that somebody labelled for the task; on the others nothing is known."
    return section("Scores", "scores", tag("div", *cards, class_="cards"), tag("p", note, class_="faint"))


def _training(history: Sequence[tuple[str, list[Curves]]], album: Album) -> Html:
    if not history:
        return section("Training", "training", tag("p", "There is no history.csv: nothing is known of the training."))
    every = [chart for _, curves in history for chart in curves]
    album.keep(grid_of(every), "results.png")
    note = (
        "Losses are what training makes small, on training images; scores are measured on the split val as it goes on."
    )
    figures = [album.figure(chart) for chart in every]
    return section("Training", "training", tag("p", note), tag("div", *figures, class_="charts"))


def _task(task: Task[Any], charts: Sequence[Chart], scored: Scored, manifest: Manifest, album: Album) -> Html:
    name = task.name
    scores = scored.scores[name]
    ordered = sorted(scores, key=lambda one: one != task.score)
    whole, single = [one for one in ordered if "/" not in one], [one for one in ordered if "/" in one]
    parts = [tag("p", f"{task.kind}, scored by {task.score}: {task.score_means}.", class_="faint")]
    parts.append(table(("metric", "value"), [(one, scores[one]) for one in whole]))
    if single:
        parts.append(details("All figures by name", table(("metric", "value"), [(one, scores[one]) for one in single])))
    if not charts:
        parts.append(
            tag("p", f"No image of the split {scored.split!r} has a label that could be scored.", class_="warn")
        )
    figures = [album.figure(chart, f"{slug(chart.stem)}_{slug(name)}.png") for chart in drawable(charts)]
    if figures:
        parts.append(tag("div", *figures, class_="charts"))
    parts += [_confusions(chart) for chart in charts if isinstance(chart, Matrix)]
    parts += [_listing(chart) for chart in charts if isinstance(chart, Table)]
    tasks = len(scored.scores)
    most = max(1, min(SHOWN, SHOWN_IN_ALL // tasks))
    budget = PICTURE_BYTES // (4 * most * tasks)
    worst, best = (
        draw_pairs(ranked[:most], name, task, manifest, album.problems, budget)
        for ranked in (scored.ranking.worst(name), scored.ranking.best(name))
    )
    if worst:
        parts += [tag("h3", "Worst images"), tag("p", _QUALITY, class_="faint"), _pairs(worst)]
    if best:
        parts.append(details(f"The {len(best)} best images", _pairs(best)))
    return section(name, f"task-{slug(name)}", *parts)


_QUALITY = (
    "The labels on the left, the network's answer on the right. The quality is between 0 and 1 and only orders images; "
    "it is no score. Objects that score below 0.25 are not drawn."
)


def _confusions(chart: Matrix) -> Html:
    """What is mistaken most often, in words: a large matrix is hard to read, and a screen reader can't."""
    wrong = chart.counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    rows = []
    for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[i, j]:
            rows.append((chart.rows[i], chart.columns[j], int(wrong[i, j]), wrong[i, j] / chart.counts[i].sum()))
    if not rows:
        return tag("p", f"No {chart.unit} were mistaken.")
    headings = ("truth", "prediction", chart.unit, "share of the row")
    return join([tag("h3", "Mistaken most often"), table(headings, rows, words=(0, 1))])


def _listing(chart: Table) -> Html:
    rows = chart.rows
    head = [tag("h3", chart.title), tag("p", chart.note, class_="faint")]
    if len(rows) <= MOST_ROWS:
        listing = table(chart.columns, rows)
        return join([*head, listing if len(rows) <= 40 else details(f"All {len(rows)}", listing)])
    left = f"The first {MOST_ROWS} of {len(rows):,}; `oneglance evaluate --json` has the scores of all."
    return join([*head, details(f"The first {MOST_ROWS}", table(chart.columns, rows[:MOST_ROWS])), tag("p", left)])


def _pairs(pairs: Sequence[Pair]) -> Html:
    figures = []
    for pair in pairs:
        sides = []
        for what, picture in (("truth", pair.truth), ("prediction", pair.predicted)):
            width, height = (str(side) for side in pair.size)
            img = tag(
                "img", src=data_url(picture), alt=f"{what} of {pair.name}", loading="lazy", decoding="async",
                width=width, height=height,
            )  # fmt: skip
            sides.append(tag("div", what, img))
        title = tag("p", tag("span", pair.name), tag("span", f"quality {pair.quality:.2f}"), class_="name")
        figures.append(tag("figure", title, tag("div", *sides, class_="pair")))
    return tag("div", *figures, class_="pairs")


def _data(counts: Counts, tasks: dict[str, Task[Any]], manifest: Manifest) -> Html:
    order = {"train": 0, "val": 1, "test": 2}
    rows: list[tuple[str | int, ...]] = []
    names = list(tasks)
    for of, source, split in sorted(counts, key=lambda key: (names.index(key[0]), key[1], order.get(key[2], 3))):
        one = counts[of, source, split]
        rows.append((of, source, split, one.images, one.labelled, one.empty, one.unknown))
    headings = ("task", "source", "split", "images", "labelled", "empty", "unknown")
    note = (
        "Labelled: somebody looked at the image for this task. Empty: of these, the ones on which nothing was found; "
        "the network learns from them that nothing is there. Unknown: nobody looked, and the task learns nothing "
        "from them."
    )
    parts = [tag("p", f"{len(manifest):,} images."), tag("p", note), table(headings, rows, words=(0, 1, 2))]
    for name, task in tasks.items():
        mine = {(source, split): one.classes for (of, source, split), one in counts.items() if of == name}
        splits = sorted({split for _, split in mine}, key=lambda split: order.get(split, 3))
        totals = {
            label: [sum(one.get(label, 0) for (_, of), one in mine.items() if of == split) for split in splits]
            for label in task.classes
        }
        if any(map(sum, totals.values())):
            rows = [(label, *numbers) for label, numbers in totals.items()]
            listing = table(("class", *splits), rows[:MOST_ROWS])
            parts.append(details(f"Labels of {name} by class", listing, is_open=len(totals) <= 12))
    return section("Data", "data", *parts)


def _problems(folder: Path, scored: Scored | None, problems: Problems) -> Html:
    rows = read_problems(folder)
    if scored is not None:
        rows += [(problem.where, problem.what) for problem in scored.problems]
    rows = list(dict.fromkeys([*rows, *((problem.where, problem.what) for problem in problems)]))
    if not rows:
        return section("Passed over", "problems", tag("p", "Nothing: every file and every label could be used."))
    said = f"{len(rows):,} things were wrong or are worth knowing, and were passed over. All stand in problems.csv."
    if len(rows) > MOST_PROBLEMS:
        said += f" The first {MOST_PROBLEMS}:"
    return section(
        "Passed over", "problems", tag("p", said), table(("where", "what"), rows[:MOST_PROBLEMS], words=(0, 1))
    )


def _sharing(model: Model, album: Album) -> Html:
    settings, network = model.config.sharing, model.network
    said = f"{settings.scheme}: {MEANS[settings.scheme]}."
    counts = parameters_by_part(network)
    rows: list[tuple[str, str, str]] = []
    for group, names in network.sharing.groups.items():
        asked = list(dict.fromkeys(task_of(one) for one in names if not model.tasks[task_of(one)].on_objects))
        alone = f"{flops_of(model, asked) / 1e9:.2f}"
        rows.append((", ".join(names), f"{counts.get(group, 0) / 1e6:.2f}", alone))
    shared = counts["shared"] / 1e6
    note = (
        f"Shared by all: {shared:.2f} million parameters; heads and what reads objects: {counts['heads'] / 1e6:.2f} "
        "million. GFLOP are of one image, where nothing but these tasks is asked."
    )
    headings = ("tasks that go together", "million parameters of their own", "GFLOP alone")
    parts = [tag("p", said), table(headings, rows, words=(0,)), tag("p", note, class_="faint")]
    figures = [album.figure(chart, f"{chart.stem}.png") for chart in sharing_charts(network)]
    if figures:
        parts.append(tag("div", *figures, class_="charts"))
    return section("Sharing", "sharing", *parts)


def _cost(model: Model, facts: dict[str, Any], scored: Scored | None) -> Html:
    cost = cost_of(model)
    height, width = model.size
    rows = [
        ("parameters", f"{cost['parameters'] / 1e6:.2f} million"),
        (f"one image of {width} x {height}", f"{cost['flops'] / 1e9:.2f} GFLOP, or {cost['flops'] / 2e9:.2f} GMAC"),
    ]
    training = facts.get("training", {})
    if training:
        device = f", on {training['device']} in {training['precision']}"
        rows.append(("training", f"{_duration(float(training['seconds']))} with all evaluations{device}"))
        rows.append(
            ("images in training", f"{training['images']:,}, {training['images'] / training['seconds']:.1f} a second")
        )
    if scored is not None:
        rate = scored.images / max(scored.seconds, 1e-9)
        rows.append(("this evaluation", f"{_duration(scored.seconds)}, {rate:.1f} images a second, reading included"))
    return section("Cost", "cost", table((), rows, words=(0, 1)))


def _configuration(folder: Path) -> Html:
    path = folder / "config.yaml"
    text = path.read_text(encoding="utf-8") if path.is_file() else "There is no config.yaml."
    return section("Configuration", "configuration", details("The YAML, with all defaults", tag("pre", text)))


def _environment(model: Model, facts: dict[str, Any]) -> Html:
    rows = [(f"{name}, in training", str(value)) for name, value in facts.get("versions", {}).items()]
    rows += [(str(key), str(facts[key])) for key in ("python", "machine", "fingerprint", "base") if key in facts]
    rows += [(f"commit of {what}", str(value)) for what, value in facts.get("commits", {}).items()]
    here = (
        f"{machine()}; python {platform.python_version()}, torch {torch.__version__}, oneglance {version('oneglance')}"
    )
    rows.append(("this report", f"{here}, {model.device}, made on {_day(datetime.now().astimezone().isoformat())}"))
    return section("Environment", "environment", table((), rows, words=(0, 1)))


def _day(moment: str) -> str:
    """A moment in ISO 8601, for people."""
    return datetime.fromisoformat(moment).strftime("%Y-%m-%d %H:%M %Z").strip()


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
