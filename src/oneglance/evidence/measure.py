"""What is kept of a finished training: its scores, its scores on resampled test images, and what it costs."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneglance.decode import ImageError, to_rgb
from oneglance.errors import OneglanceError, Problems
from oneglance.evaluation.api import read_manifest, score
from oneglance.evaluation.facts import cost_of, read_facts
from oneglance.evidence.resampling import RESAMPLES, draw_counts, fingerprint_of_labels, resampled_scores, units_of
from oneglance.manifest import Manifest
from oneglance.model import Model, load
from oneglance.training.fit import BEST, LAST

#: The layout of the files; another number is measured anew.
LAYOUT = 1
#: So many test images are asked about one by one for the time that an answer takes, each so many times.
_TIMED, _TIMES = 8, 3


@dataclass(frozen=True)
class TaskScore:
    """One task of one training. ``value``: the task's score, ``name`` its name, ``higher`` whether higher is better;
    ``resampled``: on each resample of the test images, None where the metric can't say it. ``images``: independent test
    images (groups, where images are in groups); ``test``: the fingerprint of what was tested on."""

    name: str
    higher: bool
    value: float
    images: int
    test: str
    resampled: list[float] | None
    every: dict[str, float]


@dataclass(frozen=True)
class Measured:
    """One training: its scores by task, and its cost.

    ``parameters``; ``flops`` of one image; ``answer_s``: seconds an image takes from decoded pixels to all answers, one
    at a time (median); ``train_s`` and ``train_images``: of the training, evaluations included; NaN where unknown.
    """

    seed: int
    split: str
    weights: str
    device: str
    tasks: dict[str, TaskScore]
    parameters: float
    flops: float
    answer_s: float
    train_s: float
    train_images: float


def measure(
    run: Path, kept: Path, split: str, weights: str = "last", on_batch: Callable[[int], None] = lambda _: None
) -> Measured:
    """What came of a run, read from ``kept`` where it was measured before, else measured and written there.

    Raises OneglanceError where the run has not finished, or has no such split.
    """
    file = run / {"last": LAST, "best": BEST}[weights]
    about = {
        "layout": LAYOUT, "run": str(run.resolve()), "split": split, "weights": file.name, "resamples": RESAMPLES,
        "written": file.stat().st_mtime_ns if file.is_file() else None,
    }  # fmt: skip
    known = _read(kept)
    if known is not None and known.get("about") == about:
        return _from_json(known)
    measured = _measure(run, load(run, weights), read_manifest(run), split, on_batch)
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_name(kept.name + ".partial")
    partial.write_text(json.dumps({"about": about} | plain(asdict(measured))), encoding="utf-8")
    partial.replace(kept)
    return measured


def _measure(run: Path, model: Model, manifest: Manifest, split: str, on_batch: Callable[[int], None]) -> Measured:
    shown: dict[str, list[int]] = {}
    scored = score(model, manifest, split, Problems(), on_batch, shown=shown)
    rows = manifest.rows(split=split)
    tasks = {}
    for name, task in model.tasks.items():
        seen = np.array(shown.get(name, []), np.int64)
        metric = scored.metrics[name]
        own = metric.units() if hasattr(metric, "units") else None
        units = units_of(manifest, seen) if own is None else own
        resampled = resampled_scores(metric, draw_counts(units))
        tasks[name] = TaskScore(
            task.score, task.higher_is_better, scored.scores[name].get(task.score, math.nan), len(set(units)),
            fingerprint_of_labels(manifest, name, rows), None if resampled is None else resampled.tolist(),
            scored.scores[name],
        )  # fmt: skip
    cost, training = cost_of(model), read_facts(run).get("training", {})
    return Measured(
        seed=model.config.train.seed,
        split=split,
        weights=model.weights,
        device=str(model.device),
        tasks=tasks,
        parameters=cost["parameters"],
        flops=cost["flops"],
        answer_s=_answer_seconds(model, manifest, rows),
        train_s=float(training.get("seconds", math.nan)),
        train_images=float(training.get("images", math.nan)),
    )


def _answer_seconds(model: Model, manifest: Manifest, rows: NDArray[np.int64]) -> float:
    """The median time from decoded pixels to all answers, over some images, one at a time; NaN where none is read."""
    at = rows[np.unique(np.linspace(0, len(rows) - 1, min(_TIMED, len(rows))).round().astype(np.int64))]
    pictures = []
    for record in manifest.records(at.tolist()):
        try:
            pictures.append(to_rgb(record.path))
        except ImageError:
            continue  # evaluation has noted it
    seconds = []
    for number, picture in enumerate(pictures * _TIMES):
        began = time.perf_counter()
        model(picture)
        if number:  # the first one warms up
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) if seconds else math.nan


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise OneglanceError(
            f"{path}: no JSON any more ({error}); without this file the run is measured anew"
        ) from error
    return found if isinstance(found, dict) else None


def plain(value: Any) -> Any:
    """As JSON can hold it: null for what is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def number(value: Any) -> float:
    """The inverse of :func:`plain` for one figure."""
    return math.nan if value is None else float(value)


def _from_json(data: dict[str, Any]) -> Measured:
    tasks = {
        name: TaskScore(
            one["name"], one["higher"], number(one["value"]), one["images"], one["test"],
            None if one["resampled"] is None else [number(value) for value in one["resampled"]],
            {key: number(value) for key, value in one["every"].items()},
        )
        for name, one in data["tasks"].items()
    }  # fmt: skip
    costs = {key: number(data[key]) for key in ("parameters", "flops", "answer_s", "train_s", "train_images")}
    return Measured(data["seed"], data["split"], data["weights"], data["device"], tasks, **costs)
