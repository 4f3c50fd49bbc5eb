"""What further tasks cost: a training step with five tasks in a mixed batch against the detector alone, same images.

Random images and labels, a fifth of the batch labelled for each of the four other tasks; medians of alternated rounds.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from common import arguments, table
from oneglance.network.network import Network
from oneglance.network.trunk import TrunkSettings
from oneglance.tasks import (
    ClassificationSettings,
    DetectionSettings,
    KeypointsSettings,
    SegmentationSettings,
    TaggingSettings,
    create_tasks,
)


def main() -> None:
    options = arguments(__doc__, rounds=7, batch=20, size=320)
    torch.manual_seed(0)
    tasks = create_tasks(
        {
            "objects": DetectionSettings(classes=("a", "b", "c")),
            "kind": ClassificationSettings(classes=("a", "b")),
            "tags": TaggingSettings(classes=("a", "b", "c")),
            "points": KeypointsSettings(points=5),
            "ground": SegmentationSettings(classes=("a", "b", "c")),
        }
    )
    network = Network(tasks, TrunkSettings(pretrained=False)).train()
    batch, size = options.batch, options.size
    images = torch.randint(0, 255, (batch, 3, size, size), dtype=torch.uint8)
    fifth = batch // 5

    def targets(rows: int) -> dict:
        corner = torch.rand(rows, 8, 2) * size * 0.7
        return {
            "boxes": torch.cat([corner, corner + 20 + torch.rand(rows, 8, 2) * size * 0.2], -1),
            "labels": torch.randint(0, 3, (rows, 8)),
            "state": torch.ones(rows, 8, dtype=torch.long),
            "known": torch.ones(rows, 3, dtype=torch.bool),
        }

    others = {
        "kind": {"label": torch.randint(0, 2, (fifth,))},
        "tags": {"tags": torch.rand(fifth, 3).round(), "known": torch.ones(fifth, 3, dtype=torch.bool)},
        "points": {"xy": torch.rand(fifth, 5, 2), "visibility": torch.full((fifth, 5), 2)},
        "ground": {"indices": torch.randint(0, 3, (fifth, size, size), dtype=torch.uint8)},
    }
    alone = ({"objects": torch.arange(batch)}, {"objects": targets(batch)})
    mixed_rows = {name: torch.arange(k * fifth, (k + 1) * fifth) for k, name in enumerate(tasks)}
    mixed = (mixed_rows, {"objects": targets(fifth), **others})
    everything = (
        {name: torch.arange(batch) for name in tasks},
        {"objects": targets(batch)}
        | {n: {k: v.repeat(5, *[1] * (v.ndim - 1)) for k, v in t.items()} for n, t in others.items()},
    )

    def step(rows: dict, target: dict) -> float:
        began = time.perf_counter()
        outputs = network(images, rows)
        losses = [v for n, o in outputs.items() for v in tasks[n].loss(o, target[n]).values()]
        torch.stack(losses).sum().backward()
        network.zero_grad()
        return time.perf_counter() - began

    cases = {
        "detector alone, all images": alone,
        "five tasks, a fifth of the images each": mixed,
        "five tasks, every image labelled for all": everything,
    }
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(options.rounds + 1):
        for name, case in cases.items():
            took = step(*case)
            if number:
                seconds[name].append(took)
    base = float(np.median(seconds["detector alone, all images"]))
    print(
        table(
            {
                name: {"seconds a step": f"{np.median(s):.3f}", "ratio": f"{np.median(s) / base:.2f}"}
                for name, s in seconds.items()
            }
        )
    )


if __name__ == "__main__":
    main()
