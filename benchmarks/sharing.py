"""Pets (breed, head and outline) under every scheme of sharing: scores, parameters, FLOPs, times.

    python benchmarks/sharing.py [--which all|seed004|none,soft omega] [--seconds 60] [--out DIR] [train.epochs=10 ...]

``--which seed004``: seed 004's list (hard, layers, soft with each relation, none); or names of variants, comma between.
A training that is finished is not made again. Scores are those of the split `test`, of the averaged weights.

Parameters and FLOPs are of the whole network, one image, all tasks asked. For the times, every variant takes one step
in each round (the network of examples/pets.yaml, 16 random images of ``--size`` pixels, all labelled for all tasks:
forward, losses, backward, the tie of `soft`; no loading, no optimiser) and looks at one image, in an order drawn anew,
in one process of one thread, until ``--seconds`` are over; the figure is the median of the processor's time. What a
training took as a whole stands beside it, where images are labelled as they are: half of them have no box, and go
through fewer trunks. Writes results/sharing_pets.json (sharing_seed004.json).
"""

from __future__ import annotations

import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from balance_step import ours, pets
from common import arguments, config_of, spread, table, train_and_score
from oneglance.errors import OneglanceError
from oneglance.evaluation.sharing import flops_of, parameters_by_part
from oneglance.model import Model
from oneglance.network.network import Network
from oneglance.network.sharing import SharingSettings
from oneglance.tasks import create_tasks

VARIANTS: dict[str, dict[str, Any]] = {
    "hard": {"scheme": "hard"},
    "layers": {"scheme": "layers"},
    "layers to 8": {"scheme": "layers", "depth": 8},
    "layers to 32": {"scheme": "layers", "depth": 32},
    "cross_stitch": {"scheme": "cross_stitch"},
    "mtan": {"scheme": "mtan"},
    "soft l2": {"scheme": "soft", "relation": "l2"},
    "soft trace_norm": {"scheme": "soft", "relation": "trace_norm"},
    "soft omega": {"scheme": "soft", "relation": "omega"},
    "adapters": {"scheme": "adapters"},
    "adapters at maps": {"scheme": "adapters", "where": "maps"},
    "none": {"scheme": "none"},
}
SEED_004 = ("hard", "layers", "soft l2", "soft trace_norm", "soft omega", "none")


def chosen(which: str) -> list[str]:
    if which == "all":
        return list(VARIANTS)
    names = list(SEED_004) if which == "seed004" else [name.strip() for name in which.split(",")]
    wrong = [name for name in names if name not in VARIANTS]
    if wrong:
        raise OneglanceError(f"--which: no variant is called {wrong[0]!r}; known: all, seed004, {', '.join(VARIANTS)}")
    return names


def times(names: list[str], size: int, seconds: float) -> dict[str, dict[str, float]]:
    """Milliseconds of the processor's time for a step and for one image, by variant."""
    jobs: dict[tuple[str, str], Callable[[], object]] = {}
    for name in names:
        settings = SharingSettings.model_validate(VARIANTS[name])
        network, images, losses = pets(size, 16, settings)
        jobs[name, "step"] = tied(ours(network, images, losses), network, settings)
        asked, image, _ = pets(size, 1, settings)
        jobs[name, "image"] = answering(asked.eval(), image)
    taken: dict[tuple[str, str], list[float]] = {job: [] for job in jobs}
    began_at, number = time.monotonic(), -1
    while number < 2 or time.monotonic() - began_at < seconds:
        number += 1
        for job in random.sample(list(jobs), len(jobs)):
            began = time.process_time()
            jobs[job]()
            if number:
                taken[job].append(time.process_time() - began)
    return {name: {what: 1e3 * statistics.median(taken[name, what]) for what in ("step", "image")} for name in names}


def tied(step: Callable[[], None], network: Network, settings: SharingSettings) -> Callable[[], None]:
    """A step with what ties the trunks, as the training loop takes it."""
    tie, number = network.tie, 0
    if tie is None:
        return step

    def both() -> None:
        nonlocal number
        step()
        (settings.strength * tie.term()).backward()
        number += 1
        if number % (settings.every or 1) == 0:
            tie.learn()

    return both


def answering(network: Network, image: torch.Tensor) -> Callable[[], object]:
    def look() -> object:
        with torch.inference_mode():
            return network(image)

    return look


def main() -> None:
    options = arguments(__doc__, which="all", seconds=60, size=160)
    names = chosen(options.which)
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        sharing = [f"sharing.{key}={value}" for key, value in VARIANTS[name].items()]
        config = config_of("pets", [*sharing, *options.overrides])
        results = [
            train_and_score(
                config.model_copy(update={"train": config.train.model_copy(update={"seed": seed})}),
                options.out / "sharing" / f"{name.replace(' ', '_')}_{seed}",
            )
            for seed in options.seeds
        ]
        tasks = create_tasks(config.tasks)
        trunk = config.trunk.model_copy(update={"pretrained": False})
        network = Network(tasks, trunk, config.sharing)
        found[name] = {
            "scores": {
                f"{task.name} {task.score}": [one["scores"][task.name][task.score] for one in results]
                for task in tasks.values()
            },
            "parameters": parameters_by_part(network),
            "flops": flops_of(Model(network, tasks, config, "cpu")),
            "training seconds": [one["seconds"] for one in results],
        }
    torch.set_num_threads(1)
    for name, taken in times(names, options.size, options.seconds).items():
        found[name] |= {"milliseconds": taken}
    result = {
        "overrides": options.overrides, "seeds": options.seeds, "size of the times": options.size, "threads": 1,
        "torch": torch.__version__, "machine": platform.machine(), "variants": found,
    }  # fmt: skip
    path = Path(__file__).parent / "results" / f"sharing_{options.which if options.which == 'seed004' else 'pets'}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(table({name: _row(one) for name, one in found.items()}))


def _row(one: dict[str, Any]) -> dict[str, str]:
    return {
        **{name: spread(values) for name, values in one["scores"].items()},
        "parameters, million": f"{sum(one['parameters'].values()) / 1e6:.2f}",
        "GFLOP": f"{one['flops'] / 1e9:.2f}",
        "step, ms": f"{one['milliseconds']['step']:.0f}",
        "image, ms": f"{one['milliseconds']['image']:.1f}",
        "training, s": f"{statistics.mean(one['training seconds']):.0f}",
    }


if __name__ == "__main__":
    main()
