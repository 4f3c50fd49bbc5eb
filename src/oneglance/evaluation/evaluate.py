"""Scores of a network on labelled images, for every task by its field's rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from oneglance.annotations import Annotation
from oneglance.data.dataset import Batch
from oneglance.errors import Problems
from oneglance.evaluation.ranking import Ranking
from oneglance.network.network import Network
from oneglance.tasks.base import Metric, Task

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
) -> tuple[Scores, dict[str, Metric]]:
    """Scores and metrics by task. A task looks only at the images that are labelled for it; an image that can't be read
    is noted in ``problems``; ``on_batch`` is told how many images each batch had; ``ranking``, where it is given, keeps
    the worst and the best images of each task."""
    training = network.training
    network.eval()
    metrics = {name: task.metric() for name, task in tasks.items()}
    # Where an answer is good or bad beside all the others', the metric says so at the end.
    late: dict[str, list[tuple[int, Annotation]]] = {n: [] for n, m in metrics.items() if hasattr(m, "qualities")}
    for batch in batches:
        for problem in batch.problems:
            problems.add(problem.where, problem.what)
        if batch.indices:
            moved = batch.to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                outputs = network(moved.images, moved.rows, batch.content(device))
            for name, of_task in outputs.items():
                at = batch.rows[name].tolist()
                predicted = tasks[name].decode(of_task, [batch.frames[i] for i in at])
                for i, one in zip(at, predicted, strict=True):
                    metrics[name].update(one, batch.truths[i][name])
                    if ranking is not None and name in late:
                        late[name].append((batch.indices[i], one))
                    elif ranking is not None:
                        ranking.add(name, batch.indices[i], tasks[name].quality(one, batch.truths[i][name]), one)
        on_batch(len(batch.indices) + len(batch.problems))
    network.train(training)
    for name, shown in late.items():
        qualities: list[float] = metrics[name].qualities() if shown else []  # type: ignore[attr-defined]
        for (row, one), quality in zip(shown, qualities, strict=True):
            if ranking is not None:
                ranking.add(name, row, quality, one)
    return {name: metric.compute() for name, metric in metrics.items()}, metrics


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
