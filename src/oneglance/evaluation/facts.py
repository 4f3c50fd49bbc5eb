"""What a run's folder says of it: its curves, its cost, and where it was made."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oneglance.errors import OneglanceError
from oneglance.evaluation.sharing import flops_of
from oneglance.model import Model
from oneglance.tasks.base import Task
from oneglance.tasks.charts import Curves, Series, thinned

#: From so many epochs on, the losses of an epoch are drawn as their mean.
EPOCHS = 3
#: At most so many scores of a task are drawn beside the one that runs are compared by.
MOST_SCORES = 5


def read_history(folder: Path, tasks: Mapping[str, Task[Any]]) -> list[tuple[str, list[Curves]]]:
    """The curves of a training by task: its loss terms, and its scores on the split `val`; under `balance`, what the
    tasks' gradients were multiplied by and how far they pulled in one direction; under `sharing`, the term that ties
    trunks. Empty without a history. Raises OneglanceError where it is spoilt."""
    path = folder / "history.csv"
    if not path.is_file():
        return []
    figures: dict[tuple[str, str], dict[str, list[tuple[int, int, float]]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                of_task = figures.setdefault((row["kind"], row["task"]), {})
                of_task.setdefault(row["name"], []).append((int(row["step"]), int(row["epoch"]), float(row["value"])))
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise OneglanceError(
            f"{path}: not as `oneglance train` wrote it ({error}); without this file a report can be made"
        ) from error
    found = []
    for name, task in tasks.items():
        curves = [_losses(name, figures[key]) for key in [("loss", name)] if key in figures]
        curves += [_scores(name, task, figures[key]) for key in [("score", name)] if key in figures]
        if curves:
            found.append((name, curves))
    if balance := _balance(figures):
        found.append(("balance", balance))
    if ("sharing", "") in figures:
        found.append(("sharing", [_tie(figures["sharing", ""])]))
    return found


def _tie(terms: Mapping[str, list[tuple[int, int, float]]]) -> Curves:
    series = []
    for name, rows in terms.items():
        steps, values = (np.array(column, np.float64) for column in zip(*((s, v) for s, _, v in rows), strict=True))
        series.append(Series(name, *thinned(steps + 1, values)))
    note = "The term of the loss that ties the trunks' weights to each other, times its strength."
    return Curves("sharing", "Sharing: tie", note, "step", "loss", tuple(series))


def _losses(task: str, terms: Mapping[str, list[tuple[int, int, float]]]) -> Curves:
    epochs = 1 + max(epoch for rows in terms.values() for _, epoch, _ in rows)
    series = []
    for term, rows in terms.items():
        steps, of_epoch, values = (np.array(column, np.float64) for column in zip(*rows, strict=True))
        if epochs >= EPOCHS:
            seen = np.unique(of_epoch)
            series.append(Series(term, seen + 1, np.array([values[of_epoch == epoch].mean() for epoch in seen])))
        else:
            series.append(Series(term, *thinned(steps + 1, values)))
    x, how = ("epoch", "the mean of each epoch") if epochs >= EPOCHS else ("step", "as they were noted")
    note = f"By its terms: {how}."
    return Curves("loss", f"{task}: loss", note, x, "loss", tuple(series))


def _scores(task: str, kind: Task[Any], scores: Mapping[str, list[tuple[int, int, float]]]) -> Curves:
    own = [name for name in scores if name == kind.score]
    # Those of single classes (`iou/road`) would hide the others; they stand in the tables.
    others = [name for name in scores if name != kind.score and "/" not in name][:MOST_SCORES]
    series = []
    for name in own + others:
        rows = [(epoch + 1, value) for _, epoch, value in scores[name] if math.isfinite(value)]
        if rows:
            x, y = (np.array(column, np.float64) for column in zip(*rows, strict=True))
            series.append(Series(name, x, y, main=name == kind.score))
    better = "higher" if kind.higher_is_better else "lower"
    note = f"{kind.score} is the strong line; {better} is better."
    return Curves("scores", f"{task}: scores", note, "epoch", "score", tuple(series))


def _balance(figures: Mapping[tuple[str, str], Mapping[str, list[tuple[int, int, float]]]]) -> list[Curves]:
    factors, lengths, conflicts = [], [], []
    for (kind, task), named in figures.items():
        for name, rows in named.items():
            if kind in ("factor", "gradient", "conflict"):
                steps, values = (
                    np.array(column, np.float64) for column in zip(*((s, v) for s, _, v in rows), strict=True)
                )
                if kind == "factor":
                    factors.append(Series(task, *thinned(steps + 1, values)))
                elif kind == "gradient":
                    lengths.append(Series(task, *thinned(steps + 1, np.log10(np.maximum(values, 1e-12)))))
                else:
                    conflicts.append(Series(f"{task}, {name}", *thinned(steps + 1, values)))
    curves = []
    if any((one.y != 1).any() for one in factors):
        note = "What each task's loss or gradient was multiplied by; 1 is the plain sum."
        curves.append(Curves("factors", "Balance: factors", note, "step", "factor", tuple(factors)))
    if len(lengths) > 1:
        note = (
            "How long each task's gradient is at what the tasks share, weight included, as a power of ten: a task that "
            "lies a whole unit below the others has a tenth of their say there. Its `weight` gives it more."
        )
        curves.append(Curves("gradients", "Balance: gradients", note, "step", "length, log10", tuple(lengths)))
    if conflicts:
        note = (
            "The cosine between the gradients of two tasks at what they share, in single steps. Below 0 they are in "
            "conflict: what helps one hurts the other. Steps without an image that both are labelled for are left out."
        )
        x_label, y_label = "step", "cosine"
        curves.append(Curves("conflict", "Conflict", note, x_label, y_label, tuple(conflicts), y_range=(-1.0, 1.0)))
    return curves


def read_facts(folder: Path) -> dict[str, Any]:
    """What ``run.json`` holds; empty where there is none (a folder made by hand). Raises OneglanceError where it is
    spoilt."""
    path = folder / "run.json"
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise OneglanceError(f"{path}: no JSON any more ({error}); without this file a report can be made") from error
    return facts if isinstance(facts, dict) else {}


def cost_of(model: Model) -> dict[str, float]:
    """``parameters`` of the network, and ``flops`` of one image at the size of evaluation (a multiplication and an
    addition are two)."""
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    return {"parameters": float(parameters), "flops": flops_of(model)}


def read_problems(folder: Path) -> list[tuple[str, str]]:
    """What ingest and training passed over: where, and what."""
    path = folder / "problems.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [(row[0], row[1]) for row in list(csv.reader(file))[1:] if len(row) >= 2]
