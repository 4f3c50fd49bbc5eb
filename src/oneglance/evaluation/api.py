"""Scores of a trained run, and the report on it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from oneglance.data.dataset import AnnotatedImages
from oneglance.data.loader import default_workers, evaluation_batches
from oneglance.errors import OneglanceError, Problems
from oneglance.evaluation.evaluate import Scored, Scores, evaluate
from oneglance.evaluation.page import check_free
from oneglance.evaluation.plots import slug
from oneglance.evaluation.ranking import Ranking
from oneglance.evaluation.report import SHOWN, write_report
from oneglance.manifest import Manifest
from oneglance.model import Model, load
from oneglance.training.api import MANIFEST

REPORT = "report.html"


def evaluate_run(
    run: str | Path,
    split: str | None = None,
    weights: str = "auto",
    problems: Problems | None = None,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Scores of a run on a split of its own data, by task and metric, at full precision.

    ``split``: default `test`, or `val` where no image of `test` is labelled.

    Raises OneglanceError where the run has no such split.
    """
    folder = Path(run)
    model, manifest = load(folder, weights), read_manifest(folder)
    return evaluate_model(model, manifest, chosen_split(manifest) if split is None else split, problems, on_batch)


def evaluate_model(
    model: Model,
    manifest: Manifest,
    split: str,
    problems: Problems | None = None,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Scores of a model on a split of any manifest that has its tasks."""
    return score(model, manifest, split, problems, on_batch).scores


def score(
    model: Model,
    manifest: Manifest,
    split: str,
    problems: Problems | None = None,
    on_batch: Callable[[int], None] = lambda _: None,
    *,
    rank: bool = False,
    shown: dict[str, list[int]] | None = None,
) -> Scored:
    """:func:`evaluate_model` with all that came of it; ``rank``: the worst and best images of each task as well;
    ``shown``: see :func:`oneglance.evaluation.evaluate.evaluate`.

    All scores are NaN where no image of the split is labelled. Raises OneglanceError where there is no such split.
    """
    rows = manifest.rows(split=split)
    if not len(rows):
        splits = _splits(manifest)
        labelled = [name for name in splits if has_labels(manifest, name)]
        there = ", ".join(f"{name} ({count:,} images)" for name, count in splits.items()) or "none"
        choice = f"; give --split {labelled[0]}" if len(labelled) == 1 else "; --split chooses" if labelled else ""
        raise OneglanceError(f"no image is in split {split!r}; the splits are: {there}{choice}")
    settings = model.config.train
    images = AnnotatedImages(manifest, model.tasks, model.size, sizes=settings.scored_sizes)
    workers = default_workers() if settings.workers is None else settings.workers
    loader = evaluation_batches(images, rows, settings.batch, workers)
    found = problems if problems is not None else Problems()
    ranking = Ranking(SHOWN)
    began = time.monotonic()
    scores, metrics = evaluate(
        model.network, model.tasks, loader, model.device, problems=found, on_batch=on_batch,
        ranking=ranking if rank else None, shown=shown,
    )  # fmt: skip
    return Scored(split, len(rows), time.monotonic() - began, scores, metrics, ranking, found)


def chosen_split(manifest: Manifest) -> str:
    """The split that a run is scored on if nothing else is said: `test`, or `val` where no image of `test` is labelled.

    Where neither has labels it is `test`: that it can't be scored on is for :func:`score` to say.
    """
    return next((split for split in ("test", "val") if has_labels(manifest, split)), "test")


def has_labels(manifest: Manifest, split: str) -> bool:
    """Whether any image of the split is labelled for any task."""
    rows = manifest.rows(split=split)
    return any(manifest.labelled(task)[rows].any() for task in manifest.columns)


def _splits(manifest: Manifest) -> dict[str, int]:
    """How many images each split has; the usual ones first."""
    counts = Counter(str(name) for name in manifest.values("split") if name)
    usual = [name for name in ("train", "val", "test") if name in counts]
    return {name: counts[name] for name in (*usual, *sorted(counts.keys() - set(usual)))}


def read_manifest(run: Path) -> Manifest:
    """The manifest of a run; raises OneglanceError that says what to do where it is gone."""
    if not (run / MANIFEST).is_file():
        raise OneglanceError(
            f"{run}: no {MANIFEST}, the list of images and labels that `oneglance train` wrote there; without it a run "
            "can predict, but not be scored: copy it from where the run was trained"
        )
    return Manifest.read(run / MANIFEST)


def report_split(manifest: Manifest) -> str | None:
    """The split that the report on a training is about: `val`, else `test`; None where neither has labels."""
    return next((split for split in ("val", "test") if has_labels(manifest, split)), None)


def report_path(run: Path, split: str) -> Path:
    """Where the report on a split goes if nothing else is said."""
    return run / f"report-{slug(split)}.html"


def plots_path(report: Path) -> Path:
    """The folder beside a report that takes its plots: ``plots`` for report.html, ``plots-test`` for report-test.html,
    ``NAME-plots`` for others."""
    if report.stem == "report" or report.stem.startswith("report-"):
        return report.with_name(report.stem.replace("report", "plots", 1))
    return report.with_name(f"{report.stem}-plots")


def report(
    run: str | Path,
    split: str | None = None,
    weights: str = "auto",
    out: str | Path | None = None,
    problems: Problems | None = None,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Path:
    """Score a run and write the report on it: one self-contained HTML file, beside it PNGs of its plots.

    Args:
        run: the run's folder.
        split: scored on; default: `val`, else `test`, else none: the training alone.
        weights: as for :func:`oneglance.load`.
        out: the HTML file; default: ``report.html`` in the run's folder, ``report-<split>.html`` for a given split.
        problems: takes images that can't be read, and what could not be drawn.
        on_batch: told how many images each batch had.

    Returns the HTML file. Raises OneglanceError where the run has no such split, or ``out`` is a file that no report
    made.
    """
    folder = Path(run)
    path = Path(out) if out is not None else folder / REPORT if split is None else report_path(folder, split)
    check_free(path)
    model, manifest = load(folder, weights), read_manifest(folder)
    about = split or report_split(manifest)
    found = problems if problems is not None else Problems()
    scored = score(model, manifest, about, found, on_batch, rank=True) if about is not None else None
    return write_report(
        path, folder=folder, model=model, manifest=manifest, scored=scored, plots=plots_path(path), problems=found
    )
