"""Does `tune` beat equal weights on the pets, on images that no trial saw?

    python benchmarks/tune.py [--trials 20] [--epochs 4] [--seeds 3] [--out runs/benchmarks/tune]
    python benchmarks/tune.py --which population [--members 8] [--every 1] [--epochs 4] [--seeds 3] [--out FOLDER]

Varies the weights of the three tasks (breed, head, outline) by TPE, or over time by a population, on 3 folds of the
training images of examples/pets.yaml; the best is judged against equal weights on a fourth part, with 3 seeds each.
Killed, the same command goes on; a second process with the same command shares the work. Writes results/tune.json, or
results/tune_population.json, and prints what came.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import oneglance as og
from common import EXAMPLES

RESULTS = {name: Path(__file__).parent / "results" / f"{name}.json" for name in ("tune", "tune_population")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--which", choices=("tpe", "population"), default="tpe")
    parser.add_argument("--trials", type=int, default=20, help="of tpe")
    parser.add_argument("--members", type=int, default=8, help="of the population")
    parser.add_argument("--every", type=int, default=1, help="of the population: epochs of a slice")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="default: runs/benchmarks/tune, or tune_population")
    parser.add_argument("overrides", nargs="*", help="dotted overrides of the configuration, such as train.workers=1")
    options = parser.parse_args()
    overrides = [f"train.epochs={options.epochs}", "train.evaluate_every=2", *options.overrides]
    evolves = options.which == "population"
    name = "tune_population" if evolves else "tune"
    size = {"members": options.members, "every": options.every} if evolves else {"trials": options.trials}
    found = og.tune(
        EXAMPLES / "pets.yaml", weights=True, overrides=overrides, method=options.which, **size, seeds=options.seeds,
        out=options.out or Path("runs/benchmarks") / name, say=lambda text: print(text, flush=True),
    )  # fmt: skip
    data = json.loads(found.results.read_text(encoding="utf-8"))
    RESULTS[name].write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(found.judgement.headline if found.judgement else "nothing was better than equal weights on the folds")


if __name__ == "__main__":
    main()
