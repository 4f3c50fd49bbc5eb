"""Did sharing help? Each of the examples' networks against its single-task twins, at sizes that a CPU can train.

    python benchmarks/compare.py [--which pets,keypoints] [--count 3] [--labels breed=0.1,0.25,0.5]
    python benchmarks/compare.py --which pets --heal even,branches

`oneglance compare` on examples/NAME.yaml with the overrides below (and further ones from the command line): all scores
with their intervals, delta-m, and what an answer takes beside the costliest twin's and all twins'. ``--heal``: ways to
heal a task that sharing hurts (``HEALED``), trained with the same seeds and compared with the same twins. The same
command goes on where it was interrupted. Writes results/compare_NAME.json.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import oneglance as og
from common import EXAMPLES, arguments, table
from oneglance.evidence.comparison import compare_sides
from oneglance.evidence.measure import Measured, measure
from oneglance.evidence.results import comparison_json
from oneglance.evidence.verdict import LEVEL, verdict
from oneglance.training.fit import LAST
from oneglance.training.machine import machine

RESULTS = Path(__file__).parent / "results"
#: Losses as they are, but where SMALL says otherwise: `normalise: gradient`, the default, is one of the ways to heal.
PLAIN = ("balance.normalise=none",)
#: What makes each of the examples small enough.
SMALL: dict[str, tuple[str, ...]] = {
    "pets": (
        "train.size=[128,128]", "trunk.channels=48", "tasks.head.width=32", "tasks.outline.width=48", "train.epochs=12",
    ),
    "keypoints": ("train.size=[96,96]", "trunk.channels=32", "mixing.epoch=320", "train.epochs=12"),
    # As many images of each source in a step, so that each task has 8 labelled ones or nearly: a twin gets no less.
    "recognition": (
        "train.size=[96,96]", "trunk.channels=48", "tasks.head.width=32", "tasks.cells.width=32", "mixing.rule=equal",
        "mixing.epoch=960", "train.batch=48", "train.epochs=8",
    ),
    # People alone: 206 scenes are next to nothing for 80 classes, and a detector that has learnt nothing says nothing.
    "faces_objects": (
        "tasks.objects.classes=[person]", "train.size=[224,224]", "trunk.channels=64", "train.batch=16",
        "mixing.weights.coco128=6", "mixing.weights.coco_mini=6", "mixing.epoch=800", "train.lr=0.0025",
        "train.trunk_lr=0.1", "train.epochs=9", "balance.normalise=gradient",
    ),
    "faces_heads": (
        "train.size=[128,128]", "train.sizes.faces=[96,96]", "trunk.channels=48", "mixing.epoch=720", "train.lr=0.0025",
        "train.trunk_lr=0.1", "train.epochs=9", "balance.normalise=gradient",
    ),
}  # fmt: skip
#: Gradients of one length, as they are in the first steps or decided anew in each fourth; longer steps as well, since
#: Adam's have one length and six tasks share it; necks or branches apart.
HEALED: dict[str, tuple[str, ...]] = {
    "lengths": ("balance.normalise=gradient",),
    "even": ("balance.method=imtl_g", "balance.every=4"),
    "longer": ("balance.normalise=gradient", "train.lr=0.0024"),
    "necks": ("sharing.scheme=layers", "sharing.depth=32"),
    "branches": ("sharing.scheme=layers", "sharing.depth=16"),
    "face_neck": ("sharing.scheme=layers", "sharing.depth=32", "sharing.groups=[[marks, who], [OTHER]]"),
}
#: What the detector beside the faces is called (``face_neck`` is for these examples).
OTHER = {"faces_heads": "head", "faces_objects": "objects"}


#: Another way: those tasks in a network that need each other, the others in networks of their own.
GROUPS = "groups"


def rows_of(side: str, one: dict[str, Any], costliest: dict[str, float]) -> dict[str, dict[str, str]]:
    """A row a task, one of all, and what it takes."""
    rows = {}
    for name, task in one["tasks"].items():
        low, high = task["difference"]["interval"]
        rows[f"{side}: {name}, {task['score']}"] = {
            "shared": f"{statistics.mean(task['ours']):.3f}", "alone": f"{statistics.mean(task['theirs']):.3f}",
            "difference": f"{task['difference']['mean']:+.3f} [{low:+.3f}, {high:+.3f}]", "verdict": task["verdict"],
        }  # fmt: skip
    gain = one["delta_m_percent"]
    if gain is not None:
        low, high = gain["interval"]
        rows[f"{side}: all, delta-m"] = {"difference": f"{gain['mean']:+.1f}% [{low:+.1f}, {high:+.1f}]"}
    ours, theirs = one["cost"]["ours"], one["cost"]["theirs"]
    for key, what in (("answer_s", "an answer's time"), ("flops", "operations")):
        rows[f"{side}: {what}, against the costliest twin's"] = {"shared": f"{ours[key] / costliest[key]:.2f}"}
    for key, what in (("answer_s", "an answer's time"), ("flops", "operations"), ("parameters", "parameters")):
        rows[f"{side}: {what}, against all twins'"] = {"shared": f"{ours[key] / theirs[key]:.2f}"}
    rows[f"{side}: training, against all twins'"] = {"shared": f"{ours['train_s'] / theirs['train_s']:.2f}"}
    return rows


def costliest_twin(measured: Path) -> dict[str, float]:
    """Seconds of an answer, and operations, of the single-task twin that takes most: medians over its trainings."""
    found = {}
    for key in ("answer_s", "flops"):
        values: dict[str, list[float]] = {}
        for path in measured.glob("alone-*.json"):
            values.setdefault(path.name.split("_seed-")[0], []).append(json.loads(path.read_text())[key])
        found[key] = max(statistics.median(one) for one in values.values())
    return found


def grouped(twins: Sequence[Measured]) -> Measured:
    """The twins that answer everything between them, as one: a twin whose task another one has beside its own (for it
    looks at its points, say) is left out."""
    needed = [one for one in twins if not any(one.tasks.keys() < other.tasks.keys() for other in twins)]
    tasks = {name: score for one in needed for name, score in one.tasks.items()}
    costs = ("parameters", "flops", "answer_s", "train_s", "train_images")
    return replace(needed[0], tasks=tasks, **{key: sum(getattr(one, key) for one in needed) for key in costs})


def healed(name: str, way: str, overrides: Sequence[str], seeds: int, folder: Path, tasks: list[str]) -> dict[str, Any]:
    """The shared network with this way of healing, against the twins of the study in ``folder``."""

    def measured(part: str, run: Path, seed: int) -> Measured:
        return measure(run, folder / "measured" / f"{part}_seed-{seed}_test.json", "test")

    twins = {
        task: {k: measured(f"alone-{task}", folder / "runs" / f"alone-{task}" / f"seed-{k}", k) for k in range(seeds)}
        for task in tasks
    }
    if way == GROUPS:
        ours = {seed: grouped([of[seed] for of in twins.values()]) for seed in range(seeds)}
    else:
        ours = {}
        for seed in range(seeds):
            run = folder / "healed" / f"{way}-{seed}"
            if not (run / LAST).is_file():
                changed = [*overrides, *overrides_of(name, way), f"train.seed={seed}"]
                og.train(EXAMPLES / f"{name}.yaml", changed, out=run)
            ours[seed] = measured(f"healed-{way}", run, seed)
    found = compare_sides(way, "alone", tasks, ours, twins)
    words = {one.task: verdict(one, way, "its twin", twins=True) for one in found.tasks}
    # That no difference to the twin is shown any more does not say that it is better than what it is to heal.
    shared = {k: measured("shared", folder / "runs" / "shared" / f"seed-{k}", k) for k in range(seeds)}
    beside = compare_sides(way, "shared", tasks, ours, dict.fromkeys(tasks, shared))
    said = {one.task: verdict(one, way, "the shared network", twins=False) for one in beside.tasks}
    return comparison_json(found, words, LEVEL) | {"against_shared": comparison_json(beside, said, LEVEL)}


def overrides_of(name: str, way: str) -> list[str]:
    """What a way of healing changes in an example."""
    return [one.replace("OTHER", OTHER.get(name, "OTHER")) for one in HEALED[way]]


def check_ways(name: str, ways: Sequence[str]) -> None:
    """Stops where a way is none, or is how the example is trained anyway."""
    for way in ways:
        if way not in (*HEALED, GROUPS):
            raise SystemExit(f"--heal {way}: must be among {', '.join((*HEALED, GROUPS))}")
        if way == "face_neck" and name not in OTHER:
            raise SystemExit(f"--heal {way}: {name} has no faces beside a detector; these have: {', '.join(OTHER)}")
        keys = {override.split("=")[0] for override in HEALED.get(way, ())}
        if "balance.normalise" in keys and any(one.startswith("balance.normalise=") for one in SMALL[name]):
            raise SystemExit(f"--heal {way}: {name} has gradients of one length and longer steps as it is")


def main() -> None:
    options = arguments(__doc__, which=",".join(SMALL), count=3, labels="", heal="")
    ways = [way for way in options.heal.split(",") if way]
    for name in options.which.split(","):
        check_ways(name, ways)
    for name in options.which.split(","):
        folder, overrides = options.out / "compare" / name, [*PLAIN, *SMALL[name], *options.overrides]
        found = og.compare(
            EXAMPLES / f"{name}.yaml", overrides=overrides, seeds=options.count, out=folder,
            labels=[options.labels] if options.labels else [], say=lambda text: print(text, flush=True),
        )  # fmt: skip
        data = json.loads(found.results.read_text(encoding="utf-8"))
        tasks = list(data["comparisons"][0]["tasks"])
        data["healed"] = {way: healed(name, way, overrides, options.count, folder, tasks) for way in ways}
        costliest = costliest_twin(folder / "measured")
        data |= {"overrides": overrides, "machine": machine(), "costliest_twin": costliest}
        path = RESULTS / f"compare_{name}.json"
        path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        rows = rows_of("shared", data["comparisons"][0], costliest)
        for way, one in data["healed"].items():
            rows |= rows_of(way, one, costliest)
            rows |= rows_of(f"{way}, not shared (as alone)", one["against_shared"], costliest)
        print(f"{name}\n{table(rows)}", flush=True)


if __name__ == "__main__":
    main()
