"""Heads that are not trained by steps but fitted, in closed form, to what the trunk shows of the training images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oneglance.data.dataset import AnnotatedImages
from oneglance.data.loader import evaluation_batches
from oneglance.errors import OneglanceError, Problems
from oneglance.network.answer import mirrored
from oneglance.network.network import Network
from oneglance.tasks.base import Outputs, Task

#: Bytes that what is described of all images, as they are and mirrored, may take; fitting takes a few times as many.
MEMORY = 1 << 30


@torch.no_grad()
def fit_heads(
    network: Network,
    tasks: Mapping[str, Task[Any]],
    images: AnnotatedImages,
    device: torch.device,
    *,
    batch: int,
    workers: int,
    bf16: bool,
    problems: Problems,
) -> dict[str, Tensor]:
    """Fit the heads of these tasks on the images of the split `train`, as they are and mirrored, or on so many of them
    as ``MEMORY`` holds; returns the tensors of these heads as they are in the network's state dict.

    The network stays in the mode that it is in. A head for which nothing is labelled stays as it is. Raises
    OneglanceError where no image can be read.
    """
    found: dict[str, Tensor] = {}
    training = network.training
    network.eval()
    for name, task in tasks.items():
        head: Any = network.heads[name]
        manifest = images.manifest
        rows = manifest.rows(split="train")
        rows = rows[manifest.labelled(name)[rows]]
        describe = partial(_described, network, name, images, device=device, batch=batch, bf16=bf16)
        described: list[dict[str, Tensor]] = []
        labels: list[Any] = []
        head.describes = True
        try:
            most = len(rows)
            for outputs, _ in describe(rows, workers=0, problems=Problems()):  # how much is said of an image
                size = 2 * sum(one[0].nbytes for one in outputs.values())
                most = min(most, MEMORY // size)
                break
            rows = task.fitted_on(manifest, rows, most)
            for outputs, truths in describe(rows, workers=workers, problems=problems):
                described.append({key: value.cpu() for key, value in outputs.items()})
                labels += truths
        finally:
            head.describes = False
        if not len(rows):
            continue
        if not labels:
            raise OneglanceError(f"tasks.{name}: none of the images that it is to be fitted on can be read")
        task.fit(head, {key: torch.cat([one.pop(key) for one in described]) for key in list(described[0])}, labels)
        found |= {f"heads.{name}.{key}": value.clone() for key, value in head.state_dict().items()}
    network.train(training)
    return found


def _described(
    network: Network,
    name: str,
    images: AnnotatedImages,
    rows: np.ndarray,
    *,
    device: torch.device,
    batch: int,
    workers: int,
    bf16: bool,
    problems: Problems,
) -> Iterator[tuple[Outputs, list[Any]]]:
    """What the task's head says of these images, some at a time, and then of their mirror images; with their labels."""
    for one in evaluation_batches(images, rows, batch, workers):
        for problem in one.problems:
            problems.add(problem.where, problem.what)
        if not len(one.images):
            continue
        asked = {name: torch.arange(len(one.images), device=device)}
        pixels, content = one.images.to(device), one.content(device)
        for shown, where in ((pixels, content), mirrored(pixels, content)):
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                outputs = network(shown, asked, content=where)[name]
            yield outputs, [truth[name] for truth in one.truths]
