"""Heads that are not trained by steps but fitted, in closed form, to what the trunk shows of the training images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from oneglance.data.dataset import AnnotatedImages
from oneglance.data.loader import evaluation_batches
from oneglance.errors import OneglanceError, Problems
from oneglance.network.network import Network
from oneglance.tasks.base import Task


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
    """Fit the heads of these tasks on the images of the split `train`, as they are and mirrored; returns the tensors of
    these heads as they are in the network's state dict.

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
        rows = task.fitted_on(manifest, rows[manifest.labelled(name)[rows]])
        if not len(rows):
            continue
        described: list[Tensor] = []
        labels: list[Any] = []
        head.describes = True
        try:
            for one in evaluation_batches(images, rows, batch, workers):
                for problem in one.problems:
                    problems.add(problem.where, problem.what)
                if not len(one.images):
                    continue
                asked = {name: torch.arange(len(one.images), device=device)}
                pixels, content = one.images.to(device), one.content(device)
                width = pixels.shape[-1]
                mirrored = torch.stack([width - content[:, 2], content[:, 1], width - content[:, 0], content[:, 3]], 1)
                for shown, where in ((pixels, content), (pixels.flip(-1), mirrored)):
                    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                        outputs = network(shown, asked, content=where)
                    described.append(outputs[name]["described"].float().cpu())
                    labels += [truth[name] for truth in one.truths]
        finally:
            head.describes = False
        if not labels:
            raise OneglanceError(f"tasks.{name}: none of the images that it is to be fitted on can be read")
        task.fit(head, torch.cat(described), labels)
        found |= {f"heads.{name}.{key}": value.clone() for key, value in head.state_dict().items()}
    network.train(training)
    return found
