"""Is unknown really not negative? Pets, where half of the images have no head box.

One network for breed, head and outline, trained twice with the same seeds: once with the boxless images unknown to the
detector, once with an empty list of boxes in their place, as frameworks without partial labels take them.
"""

from __future__ import annotations

from dataclasses import replace

from common import arguments, config_of, spread, table, train_and_score
from oneglance.annotations import Instances
from oneglance.manifest import Manifest


def boxless_as_empty(manifest: Manifest) -> Manifest:
    """The training images without a box label said to have no head."""

    def changed():
        for record in manifest:
            if record.split == "train" and record.annotations["head"] is None:
                record = replace(record, annotations={**record.annotations, "head": Instances()})
            yield record

    return Manifest.build(changed(), manifest.columns)


def main() -> None:
    options = arguments(__doc__)
    rows = {}
    for name, change in (("unknown", lambda manifest: manifest), ("negative", boxless_as_empty)):
        results = [
            train_and_score(
                config_of("pets", [f"train.seed={seed}", *options.overrides]),
                options.out / "unknown" / f"{name}_{seed}",
                change=change,
            )["scores"]
            for seed in options.seeds
        ]
        rows[f"boxless images as {name}"] = {
            "head mAP50": spread([r["head"]["map50"] for r in results]),
            "head mAP50-95": spread([r["head"]["map"] for r in results]),
            "breed accuracy": spread([r["breed"]["accuracy"] for r in results]),
            "outline mIoU": spread([r["outline"]["miou"] for r in results]),
        }
    print(table(rows))


if __name__ == "__main__":
    main()
