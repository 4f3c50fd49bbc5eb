"""Scores of a trained run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from oneglance.data.dataset import AnnotatedImages
from oneglance.data.loader import default_workers, evaluation_batches
from oneglance.errors import OneglanceError, Problems
from oneglance.evaluation.evaluate import Scores, evaluate
from oneglance.manifest import Manifest
from oneglance.model import Model, load
from oneglance.training.api import MANIFEST


def evaluate_run(
    run: str | Path,
    split: str = "test",
    weights: str = "auto",
    problems: Problems | None = None,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Scores of a run on a split of its own data, by task and metric, at full precision.

    Raises OneglanceError where the run has no such split.
    """
    folder = Path(run)
    model = load(folder, weights)
    manifest = Manifest.read(folder / MANIFEST)
    return evaluate_model(model, manifest, split, problems, on_batch)


def evaluate_model(
    model: Model,
    manifest: Manifest,
    split: str,
    problems: Problems | None = None,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Scores of a model on a split of any manifest that has its tasks."""
    rows = manifest.rows(split=split)
    if not len(rows):
        known = sorted({str(name) for name in manifest.values("split") if name})
        raise OneglanceError(
            f"no image is in split {split!r}; the splits are: {', '.join(known) or 'none'} (`--split`)"
        )
    settings = model.config.train
    images = AnnotatedImages(manifest, model.tasks, model.size)
    workers = default_workers() if settings.workers is None else settings.workers
    loader = evaluation_batches(images, rows, settings.batch, workers)
    found = problems if problems is not None else Problems()
    scores, _ = evaluate(model.network, model.tasks, loader, model.device, problems=found, on_batch=on_batch)
    return scores
