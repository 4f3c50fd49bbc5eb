"""Scores of a network on labelled images, for every task by its field's rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from oneglance.annotations import Annotation, Instances
from oneglance.data.dataset import Batch
from oneglance.errors import Problems
from oneglance.evaluation.ranking import Ranking
from oneglance.network.answer import Glance, Place
from oneglance.network.network import Network
from oneglance.tasks.base import Metric, Task
from oneglance.tasks.object_metric import AnswerMetric

#: Figures by task and name.
Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Scored:
    """What came of scoring a split: how many ``images`` it has, how many ``seconds`` that took, scores and metrics by
    task, the worst and best images, and the images that could not be read."""

    split: str
    images: int
    seconds: float
    scores: Scores
    metrics: Mapping[str, Metric]
    ranking: Ranking
    problems: Problems


@torch.inference_mode()
def evaluate(
    network: Network,
    tasks: Mapping[str, Task[Any]],
    batches: Iterable[Batch],
    device: torch.device,
    *,
    problems: Problems,
    bf16: bool = False,
    on_batch: Callable[[int], None] = lambda _: None,
    ranking: Ranking | None = None,
    shown: dict[str, list[int]] | None = None,
) -> tuple[Scores, dict[str, Metric]]:
    """Scores and metrics by task. A task looks only at the images that are labelled for it; an image that can't be read
    is noted in ``problems``; ``on_batch`` is told how many images each batch had; ``ranking``, where it is given, keeps
    the worst and the best images of each task; ``shown`` is told, by task, the row of each image that its metric saw,
    in that order (of answers on the boxes of objects: the row of each object's image)."""
    training = network.training
    network.eval()
    metrics = {name: task.metric() for name, task in tasks.items()}
    # Where an answer is good or bad beside all the others', the metric says so at the end.
    late: dict[str, list[tuple[int, Annotation]]] = {n: [] for n, m in metrics.items() if hasattr(m, "qualities")}
    for batch in batches:
        for problem in batch.problems:
            problems.add(problem.where, problem.what)
        if batch.indices:
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                rows = {n: [i for i, t in enumerate(batch.truths) if n in t] for n in tasks}
                glance = Glance(network, tasks, batch.images.to(device), batch.frames, rows)
                found = glance.answers(rows)
                for name, task in tasks.items():
                    of_task = found.get(task.settings.parent or name, {})
                    for i, one in of_task.items():
                        truth = batch.truths[i][task.settings.parent or name]
                        metrics[name].update(one, truth)
                        if shown is not None and not isinstance(metrics[name], AnswerMetric):
                            shown.setdefault(name, []).append(batch.indices[i])
                        if ranking is None or task.on_objects:
                            continue
                        if name in late:
                            late[name].append((batch.indices[i], one))
                        else:
                            ranking.add(name, batch.indices[i], task.quality(one, truth), one)
                    if task.on_objects:
                        asked = _on_truth(glance, task, batch.truths, metrics[name])
                        if shown is not None:
                            shown.setdefault(name, []).extend(batch.indices[i] for i in asked)
        on_batch(len(batch.indices) + len(batch.problems))
    network.train(training)
    for name, seen in late.items():
        qualities: list[float] = metrics[name].qualities() if seen else []  # type: ignore[attr-defined]
        for (row, one), quality in zip(seen, qualities, strict=True):
            if ranking is not None:
                ranking.add(name, row, quality, one)
    return {name: metric.compute() for name, metric in metrics.items()}, metrics


def _on_truth(glance: Glance, task: Task[Any], truths: Sequence[Mapping[str, Annotation]], metric: Metric) -> list[int]:
    """Show a metric that wants to know them the answers on the true boxes of all objects that are labelled; returns the
    place in the batch of each object's image."""
    if not isinstance(metric, AnswerMetric):
        return []
    places: list[Place | int] = []
    labels: list[Any] = []
    for i, truth in enumerate(truths):
        objects = truth.get(task.settings.parent or "")
        for item in objects.items if isinstance(objects, Instances) else ():
            label = task.of_object(item) if task.asks_about(item) else None
            if label is not None and item.box is not None:
                places.append((i, item.box))
                labels.append(label)
        if task.name in truth:
            places.append(i)
            labels.append(truth[task.name])
    for answer, label in zip(glance.of_objects(task, places), labels, strict=True):
        metric.update_on_truth(answer, label)
    return [place if isinstance(place, int) else place[0] for place in places]


def mean_relative_score(
    scores: Mapping[str, float], best: Mapping[str, float], tasks: Mapping[str, Task[Any]]
) -> float:
    """The mean over tasks of how near each score comes to the best one seen: 1 where every task is at its best.

    ``scores`` and ``best``: each task's own score. A task that was not scored (NaN) has no say.
    """
    shares = []
    for name, value in scores.items():
        top = best.get(name, math.nan)
        if math.isfinite(value) and math.isfinite(top):
            ratio = (value, top) if tasks[name].higher_is_better else (top, value)
            shares.append(ratio[0] / ratio[1] if ratio[1] > 0 else 1.0)
    return sum(shares) / len(shares) if shares else math.nan
