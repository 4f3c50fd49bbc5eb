"""Seed 003: classification, detection and segmentation from four data sets in one network, under three mixing rules."""

from __future__ import annotations

from common import arguments, config_of, spread, table, train_and_score
from oneglance.tasks import create_tasks


def main() -> None:
    options = arguments(__doc__)
    rows = {}
    for rule in ("proportional", "equal", "temperature"):
        overrides = [f"mixing.rule={rule}", *options.overrides]
        results = [
            train_and_score(
                config_of("recognition", [f"train.seed={seed}", *overrides]),
                options.out / "mixing" / f"{rule}_{seed}",
            )["scores"]
            for seed in options.seeds
        ]
        tasks = create_tasks(config_of("recognition").tasks)
        rows[rule] = {
            f"{name} {task.score}": spread([r[name][task.score] for r in results]) for name, task in tasks.items()
        }
    print(table(rows))


if __name__ == "__main__":
    main()
