"""What looking ahead costs, and whether the groups that it proposes for seed 003 are worth having.

    python benchmarks/affinity.py --which overhead     # plain and looked-at trainings in turn, medians: some minutes
    python benchmarks/affinity.py --which proposal     # affinity of the four-source run, then compare: hours on a CPU

``overhead``: some steps of the configuration, from its training images alone, without evaluation. ``proposal``: all
together against all apart and against the proposal (the first of ``--seeds`` counts how many trainings each gets;
``--every``: steps from look to look, 0 for the default; ``--branches``: groups as branches from the map of this stride
on are tested as well).
Further arguments are overrides, such as train.epochs=2. Interrupted, the second goes on where it was.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import oneglance as og
from common import EXAMPLES, arguments, config_of, spread, table
from oneglance.errors import Problems
from oneglance.evidence.affinity.api import STEPS_A_TASK
from oneglance.evidence.affinity.lookahead import Lookahead
from oneglance.ingest import build_manifest
from oneglance.training.fit import Training
from oneglance.training.machine import machine

RESULTS = Path(__file__).parent / "results"


def overhead(example: str, overrides: list[str], rounds: int) -> dict[str, Any]:
    """Wall and CPU seconds of trainings with and without looks, in turn."""
    tasks = len(config_of(example).tasks)
    every = STEPS_A_TASK * (tasks + 1)
    config = config_of(example, overrides)
    images = 2 * every * config.train.batch  # two looks each
    config = config_of(example, [f"mixing.epoch={images}", "train.epochs=1", "train.workers=0", *overrides])
    manifest = build_manifest(config, EXAMPLES.resolve(), Problems())
    manifest = manifest.select(manifest.rows(split="train"))
    taken: dict[str, list[tuple[float, float]]] = {"plain": [], "looked at": []}
    for number in range(rounds + 1):
        for name, times in taken.items():
            with tempfile.TemporaryDirectory() as folder:
                observer = Lookahead(every) if name == "looked at" else None
                training = Training(config, manifest, Path(folder), Problems(), quiet=True, observer=observer)
                began, began_cpu = time.monotonic(), time.process_time()
                training.run()
                if number:  # the first round warms up
                    times.append((time.monotonic() - began, time.process_time() - began_cpu))
    wall, cpu = ([statistics.median(one[k] for one in taken[name]) for name in taken] for k in (0, 1))
    return {
        "example": example, "tasks": tasks, "every": every, "steps": 2 * every, "rounds": rounds,
        "overrides": overrides, "seconds": taken, "times plain, wall": wall[1] / wall[0],
        "times plain, CPU": cpu[1] / cpu[0], "machine": machine(),
    }  # fmt: skip


def proposal(
    example: str, overrides: list[str], seeds: int, groups: int, every: int, branches: int, out: Path
) -> dict[str, Any]:
    """The proposal of one training, tested beside all together and all apart: as networks, and as branches."""
    folder, config = out / "affinity" / example, EXAMPLES / f"{example}.yaml"
    found = og.affinity(config, overrides, folder, every or None, groups=groups, say=print)
    files = list(found.files.values())
    if branches:
        files += og.affinity(config, overrides, folder, every or None, groups=groups, branches=branches).files.values()
    files = list(dict.fromkeys(files))
    tested = og.compare(*files, seeds=seeds, out=folder, say=print)
    rows: dict[str, dict[str, str]] = {}
    for one in tested.comparisons:
        for task in one.tasks:
            rows.setdefault(one.theirs, {})[f"{task.task} {task.score}"] = spread(task.theirs.tolist())
            rows.setdefault(one.ours, {})[f"{task.task} {task.score}"] = spread(task.ours.tolist())
        gain, cost = one.gain, one.cost_ours.flops / one.cost_theirs.flops
        rows[one.theirs] |= {"delta-m": "", "operations": "1.00"}
        low, high = gain.interval() if gain is not None else (float("nan"),) * 2
        rows[one.ours]["delta-m"] = "–" if gain is None else f"{gain.mean:+.1f}% ({low:+.1f} to {high:+.1f})"
        rows[one.ours]["operations"] = f"{cost:.2f}"
    print(table(rows))
    return {
        "affinity": json.loads(found.results.read_text(encoding="utf-8")),
        "compare": json.loads(tested.results.read_text(encoding="utf-8")),
        "overrides": overrides, "machine": machine(),
    }  # fmt: skip


def main() -> None:
    options = arguments(__doc__, which="overhead", example="recognition", rounds=3, groups=3, every=0, branches=0)
    if options.which == "overhead":
        result = overhead(options.example, options.overrides, options.rounds)
        print(table({"looked at": {name: f"{result[name]:.2f}" for name in ("times plain, wall", "times plain, CPU")}}))
    else:
        result = proposal(
            options.example, options.overrides, options.seeds[0] or 3, options.groups, options.every, options.branches,
            options.out,
        )  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    name = f"affinity_{options.which}_{options.example}.json"
    (RESULTS / name).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
