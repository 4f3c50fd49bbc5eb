"""One image, five questions: boxes, masks, points, colours and identities from one look, against the detector alone.

The time of a whole answer, from the image's pixels to annotations in its coordinates, at 1, 10 and 50 objects that are
found, and with 1 to 4 questions about each of them. Weights are random; the detector does all its work, but what it
finds is replaced by so many boxes. Medians of alternated rounds, one image at a time.

Writes results/questions.json.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common import arguments, table
from oneglance.annotations import Instance, Instances
from oneglance.data.geometry import Frame, letterbox
from oneglance.network.answer import Glance
from oneglance.network.network import Network
from oneglance.network.trunk import TrunkSettings
from oneglance.tasks import (
    ClassificationSettings,
    DetectionSettings,
    EmbeddingSettings,
    KeypointsSettings,
    MaskSettings,
    create_tasks,
)
from oneglance.tasks.base import Task

COUNTS = (1, 10, 50)


def main() -> None:
    options = arguments(__doc__, rounds=15, size=320, threads=torch.get_num_threads())
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    every = create_tasks(
        {
            "objects": DetectionSettings(classes=("person", "car")),
            "outline": MaskSettings(on="objects"),
            "pose": KeypointsSettings(on="objects", points=17),
            "colour": ClassificationSettings(on="objects", classes=("red", "blue", "white", "black")),
            "who": EmbeddingSettings(on="objects"),
        }
    )
    network = Network(every, TrunkSettings(pretrained=False)).eval()
    size = options.size
    image = torch.randint(0, 255, (1, 3, size, size), dtype=torch.uint8)
    frame = Frame(letterbox((640, 480), (size, size)), size, size, 640, 480)
    finds = every["objects"].decode
    rng = np.random.default_rng(0)

    def finding(count: int) -> Any:
        corner = rng.uniform(0, 300, (count, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(30, 180, (count, 2))], 1).astype(np.float32)
        items = tuple(Instance("person", box, score=0.9) for box in boxes)

        def decode(*args: Any) -> list[Instances]:
            finds(*args)
            return [Instances(items)]

        return decode

    names = list(every)
    cases: dict[str, tuple[tuple[str, ...], int]] = {"the detector alone": (("objects",), 0)}
    for asked in range(1, len(names)):
        cases |= {
            f"and {', '.join(names[1 : asked + 1])}; {count} objects": (tuple(names[: asked + 1]), count)
            for count in COUNTS
        }

    def answer(asked: tuple[str, ...], count: int) -> float:
        tasks: Mapping[str, Task[Any]] = {name: every[name] for name in asked}
        every["objects"].decode = finding(count)  # type: ignore[method-assign]
        began = time.perf_counter()
        with torch.inference_mode():
            Glance(network, tasks, image, [frame]).answers()
        return time.perf_counter() - began

    taken: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(options.rounds + 2):
        for name, case in cases.items():
            seconds = answer(*case)
            if number > 1:
                taken[name].append(seconds)
    medians = {name: float(np.median(one)) for name, one in taken.items()}
    base = medians["the detector alone"]
    result = {name: {"ms": round(1e3 * one, 1), "ratio": round(one / base, 2)} for name, one in medians.items()}
    print(table({name: {key: f"{value:g}" for key, value in row.items()} for name, row in result.items()}))
    facts = {"threads": torch.get_num_threads(), "size": size, "torch": torch.__version__, "results": result}
    (Path(__file__).parent / "results" / "questions.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
