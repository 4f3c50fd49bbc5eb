"""Does the cheap gradient cost accuracy? Gradient methods that compare tasks at the features, and at the parameters.

    python benchmarks/places.py --seeds 0 1 2 [--example pets|keypoints] [--out DIR] [train.epochs=6 ...]
    python benchmarks/places.py --seeds 0 1 2 --methods upgrad,cagrad,imtl_g --places "features,features every 4"

Five methods and the plain sum, each with all seeds, on pets (three tasks, images labelled for all or two of them) or
on faces and plates (two tasks, no image labelled for both: at the features, place by place, tasks without a common
image can't conflict; ``channels`` adds the gradients up over images and places first). ``delta-m``: the mean over tasks
of the gain on the plain sum of the same seed in percent. The last column is delta-m at the features (or channels) less
delta-m at the parameters (or whichever place is named first), with a 95% interval over seeds. "every 4": compared in
every fourth step alone. Writes results/places_EXAMPLE.json, or with ``--places`` results/places_EXAMPLE_given.json.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from common import arguments, config_of, difference, spread, table, train_and_score
from oneglance.evidence.statistics import relative_gain
from oneglance.tasks import create_tasks

METHODS = ("upgrad", "mgda", "pcgrad", "cagrad", "imtl_g")
PLACES = {"pets": ("parameters", "features"), "keypoints": ("parameters", "features", "channels")}


def settings_of(place: str) -> list[str]:
    """The overrides of a place such as ``features`` or ``features every 4``."""
    at, _, every = place.partition(" every ")
    return [f"balance.at={at}", f"balance.every={every or 1}"]


def main() -> None:
    options = arguments(__doc__, example="pets", methods=",".join(METHODS), places="")
    places = options.places.split(",") if options.places else PLACES[options.example]
    tasks = create_tasks(config_of(options.example, options.overrides).tasks)
    names = {name: f"{name} {task.score}" for name, task in tasks.items()}
    variants = {"sum": ["balance.method=sum"]} | {
        f"{method} at {place}": [f"balance.method={method}", *settings_of(place)]
        for method in options.methods.split(",")
        for place in places
    }
    found: dict[str, dict[str, Any]] = {}
    for variant, changes in variants.items():
        results = [
            train_and_score(
                config_of(options.example, [*changes, f"train.seed={seed}", *options.overrides]),
                options.out / "places" / options.example / f"{variant.replace(' ', '_')}_{seed}",
            )
            for seed in options.seeds
        ]
        found[variant] = {
            "scores": {name: [one["scores"][name][task.score] for one in results] for name, task in tasks.items()},
            "seconds": [one["seconds"] for one in results],
        }
    higher = [task.higher_is_better for task in tasks.values()]

    def gains(variant: str) -> list[float]:
        ours, base = (np.array(list(found[one]["scores"].values())).T for one in (variant, "sum"))
        return [float(relative_gain(mine, theirs, higher)) for mine, theirs in zip(ours, base, strict=True)]

    rows: dict[str, dict[str, str]] = {}
    for variant, one in found.items():
        rows[variant] = {names[name]: spread(values) for name, values in one["scores"].items()}
        if variant != "sum":
            one["delta-m"] = gains(variant)
            rows[variant]["delta-m, %"] = difference(one["delta-m"])
        rows[variant]["training, s"] = f"{statistics.mean(one['seconds']):.0f}"
        method, _, place = variant.partition(" at ")
        if place not in ("", places[0]):
            rows[variant][f"against {places[0]}, points"] = difference(
                one["delta-m"], gains(f"{method} at {places[0]}")
            )
    result = {"overrides": options.overrides, "seeds": options.seeds, "variants": found}
    name = f"places_{options.example}{'_given' if options.places else ''}.json"
    path = Path(__file__).parent / "results" / name
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
