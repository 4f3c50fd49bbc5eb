"""Seed 002: a detector's class and box as two tasks, under the three regimes and with learned weights.

    python benchmarks/regimes.py --seeds 0 1 2 [--out DIR] [train.epochs=12 ...]

BCCD from weights of ImageNet. ``weighted sum``: both with the weights that the loss has; ``coupled``: class + lambda x
box, for half and for twice that weight; ``independent``: a trunk for class and one for box, no parameter in common (the
images are looked at twice); ``uncertainty``: weights by Kendall et al. 2018. mAP as a whole, by COCO's sizes and by
crowding (objects that overlap another by IoU 0.1, and the others). The difference to the weighted sum is of the same
seeds, with an interval over seeds (Student, 95%). Writes results/regimes.json.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from common import PRETRAINED, arguments, config_of, difference, spread, table, train_and_score

REGIMES = {
    "weighted sum": ["balance.over=terms"],
    "coupled, half": ["balance.over=terms", "balance.method=coupled", "balance.coupling=0.5"],
    "coupled, twice": ["balance.over=terms", "balance.method=coupled", "balance.coupling=2"],
    "independent": ["balance.over=terms", "sharing.scheme=none", "sharing.over=terms"],
    "uncertainty": ["balance.over=terms", "balance.method=uncertainty"],
}
FIGURES = ("map", "map50", "map_small", "map_medium", "map_large", "map_crowded", "map_apart")


def main() -> None:
    options = arguments(__doc__)
    found: dict[str, dict[str, Any]] = {}
    for name, changes in REGIMES.items():
        results = [
            train_and_score(
                config_of("bccd", [*PRETRAINED, *changes, f"train.seed={seed}", *options.overrides]),
                options.out / "regimes" / f"{name.replace(', ', '_').replace(' ', '_')}_{seed}",
            )
            for seed in options.seeds
        ]
        found[name] = {key: [one["scores"]["cells"][key] for one in results] for key in FIGURES}
        found[name] |= {
            "seconds": [one["seconds"] for one in results],
            "parameters": results[0]["parameters"], "machine": results[0]["machine"], "torch": results[0]["torch"],
        }  # fmt: skip
    result = {"overrides": options.overrides, "seeds": options.seeds, "regimes": found}
    (Path(__file__).parent / "results" / "regimes.json").write_text(json.dumps(result, indent=1) + "\n")
    base = found["weighted sum"]["map"]
    print(
        table(
            {
                name: {key: spread(one[key]) for key in FIGURES}
                | {"mAP against the sum": difference(one["map"], base) if one["map"] is not base else ""}
                | {"parameters, million": f"{one['parameters'] / 1e6:.2f}"}
                | {"training, s": f"{statistics.mean(one['seconds']):.0f}"}
                for name, one in found.items()
            }
        )
    )


if __name__ == "__main__":
    main()
