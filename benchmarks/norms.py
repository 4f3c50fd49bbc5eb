"""Sources of two sizes in one step: by what are their maps to be normalised?

    python benchmarks/norms.py --which pretrained,scratch --seeds 0 1 2 [--out DIR]

``pretrained``: examples/faces_heads.yaml, faces at 96 px and pets at 160 px, from weights of ImageNet. ``scratch``: the
street of `oneglance demo --objects` (fewer scenes), at the sizes that its YAML gives scenes and close-ups. BatchNorm
with one average for all sizes or one for each, GroupNorm in its place; on the weights of ImageNet also with the
backbone's statistics as they were loaded. Each task's score on the test images; differences are to statistics by size,
of the same seeds, with an interval over seeds (Student, 95%). Writes results/norms.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common import arguments, config_of, difference, spread, table, train_and_score
from oneglance.config import Config, load_config
from oneglance.street.objects import CONFIG, write_objects
from oneglance.training.api import absolute
from oneglance.training.machine import machine

RESULTS = Path(__file__).parent / "results" / "norms.json"
NORMS = {
    "batch, one for all sizes": ["trunk.norm=batch", "trunk.statistics=shared"],
    "batch, by size": ["trunk.norm=batch", "trunk.statistics=by_size"],
    "frozen backbone, one for all sizes": ["trunk.norm=frozen", "trunk.statistics=shared"],
    "frozen backbone, by size": ["trunk.norm=frozen", "trunk.statistics=by_size"],
    "group": ["trunk.norm=group"],
}
#: By setting: what the differences are to, the scores that are shown, and the overrides that make it small enough.
SETTINGS: dict[str, tuple[str, dict[str, tuple[str, str]], list[str]]] = {
    "pretrained": (
        "frozen backbone, by size",
        {"NME": ("marks", "nme"), "heads, mAP": ("head", "map"), "verification": ("who", "accuracy")},
        ["train.size=[160,160]", "train.sizes.faces=[96,96]", "trunk.channels=48", "mixing.epoch=720",
         "train.lr=0.0025", "train.trunk_lr=0.1", "train.epochs=6"],
    ),
    "scratch": (
        "batch, by size",
        {"boxes, mAP": ("objects", "map"), "masks, mAP": ("outline", "map"), "colours": ("colour", "accuracy"),
         "verification": ("who", "accuracy")},
        ["train.epochs=6"],
    ),
}  # fmt: skip
SCENES = 400


def config(which: str, out: Path, overrides: list[str]) -> Config:
    if which == "pretrained":
        return config_of("faces_heads", overrides)
    street = out / "norms" / "street"
    if not (street / CONFIG).is_file():
        write_objects(street, SCENES)
    return absolute(load_config(street / CONFIG, overrides), street.resolve())


def main() -> None:
    options = arguments(__doc__, which=",".join(SETTINGS))
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for which in options.which.split(","):
        beside, figures, small = SETTINGS[which]
        scores: dict[str, dict[str, list[float]]] = {}
        for name, changes in NORMS.items():
            if which == "scratch" and "frozen" in name:
                continue
            results = []
            for seed in options.seeds:
                overrides = [*small, *changes, f"train.seed={seed}", "train.evaluate_every=1000", *options.overrides]
                run = options.out / "norms" / which / f"{name.replace(', ', '_').replace(' ', '_')}_{seed}"
                results.append(train_and_score(config(which, options.out, overrides), run)["scores"])
            scores[name] = {key: [one[task][of] for one in results] for key, (task, of) in figures.items()}
        found[which] = {"seeds": options.seeds, "overrides": [*small, *options.overrides], "scores": scores}
        found[which]["machine"] = machine()
        print(
            which,
            table(
                {
                    name: {
                        key: f"{spread(values)} {'' if name == beside else difference(values, scores[beside][key])}"
                        for key, values in of_norm.items()
                    }
                    for name, of_norm in scores.items()
                }
            ),
            sep="\n",
        )
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
