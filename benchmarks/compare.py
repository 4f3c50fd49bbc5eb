"""Did sharing help? Each of the examples' networks against its single-task twins, at sizes that a CPU can train.

    python benchmarks/compare.py --which pets,keypoints,recognition,faces_objects [--count 3] [--labels breed=0.1,0.25,0.5]

`oneglance compare` on examples/NAME.yaml with the overrides below (and further ones from the command line): all scores
with their intervals, delta-m, and what an answer takes beside the slowest twin's and all twins'. The same command goes
on where it was interrupted. Writes results/compare_NAME.json.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import oneglance as og
from common import EXAMPLES, arguments, table
from oneglance.training.machine import machine

RESULTS = Path(__file__).parent / "results"
#: What makes each of the examples small enough.
SMALL: dict[str, tuple[str, ...]] = {
    "pets": (
        "train.size=[128,128]", "trunk.channels=48", "tasks.head.width=32", "tasks.outline.width=48", "train.epochs=12",
    ),
    "keypoints": ("train.size=[96,96]", "trunk.channels=32", "mixing.epoch=320", "train.epochs=12"),
    "recognition": (
        "train.size=[96,96]", "trunk.channels=48", "tasks.head.width=32", "tasks.cells.width=32", "mixing.epoch=1300",
        "train.epochs=6",
    ),
    "faces_objects": (
        "train.size=[192,192]", "train.sizes.faces=[128,128]", "trunk.channels=48", "train.epochs=4",
    ),
}  # fmt: skip


def rows_of(data: dict[str, Any], measured: Path) -> dict[str, dict[str, str]]:
    """A row a task, and one of all."""
    one = data["comparisons"][0]
    rows = {}
    for name, task in one["tasks"].items():
        low, high = task["difference"]["interval"]
        rows[f"{name}, {task['score']}"] = {
            "shared": f"{statistics.mean(task['ours']):.3f}", "alone": f"{statistics.mean(task['theirs']):.3f}",
            "difference": f"{task['difference']['mean']:+.3f} [{low:+.3f}, {high:+.3f}]", "verdict": task["verdict"],
        }  # fmt: skip
    gain = one["delta_m_percent"]
    if gain is not None:
        low, high = gain["interval"]
        rows["all, delta-m"] = {"difference": f"{gain['mean']:+.1f}% [{low:+.1f}, {high:+.1f}]"}
    ours, theirs = one["cost"]["ours"], one["cost"]["theirs"]
    slowest = slowest_twin(measured)
    rows["an answer, against the slowest twin's"] = {"shared": f"{ours['answer_s'] / slowest:.2f}"}
    for key, what in (("answer_s", "an answer"), ("flops", "operations"), ("parameters", "parameters")):
        rows[f"{what}, against all twins'"] = {"shared": f"{ours[key] / theirs[key]:.2f}"}
    rows["training, against all twins'"] = {"shared": f"{ours['train_s'] / theirs['train_s']:.2f}"}
    return rows


def slowest_twin(measured: Path) -> float:
    """Seconds of an answer of the slowest single-task twin, the median over its trainings."""
    times: dict[str, list[float]] = {}
    for path in measured.glob("alone-*.json"):
        times.setdefault(path.name.split("_seed-")[0], []).append(json.loads(path.read_text())["answer_s"])
    return max(statistics.median(one) for one in times.values())


def main() -> None:
    options = arguments(__doc__, which=",".join(SMALL), count=3, labels="")
    for name in options.which.split(","):
        folder = options.out / "compare" / name
        found = og.compare(
            EXAMPLES / f"{name}.yaml", overrides=[*SMALL[name], *options.overrides], seeds=options.count, out=folder,
            labels=[options.labels] if options.labels else [], say=lambda text: print(text, flush=True),
        )  # fmt: skip
        data = json.loads(found.results.read_text(encoding="utf-8"))
        data |= {"overrides": [*SMALL[name], *options.overrides], "machine": machine()}
        data["slowest_twin_answer_s"] = slowest_twin(folder / "measured")
        path = RESULTS / f"compare_{name}.json"
        path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{name}\n{table(rows_of(data, folder / 'measured'))}", flush=True)


if __name__ == "__main__":
    main()
