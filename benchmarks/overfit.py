"""COCO: boxes, masks and people's points of twenty images learnt by heart: is anything in their path wrong?

Trained and scored on the same images, without random changes. Objects that are too small for the input (320 px) or
crowded keep the box figures from 1; masks and points are scored on the objects that were found.
"""

from __future__ import annotations

from common import arguments, config_of, table, train_and_score
from oneglance.manifest import Manifest

STILL = (
    "augment.scale=[1.0, 1.0]", "augment.flip=0", "augment.translate=0", "augment.brightness=0", "augment.contrast=0",
    "augment.saturation=0", "augment.hue=0",
)  # fmt: skip


def main() -> None:
    options = arguments(__doc__, images=20)

    def first(manifest: Manifest) -> Manifest:
        rows = manifest.rows(split="train")
        return manifest.select(rows[manifest.labelled("pose")[rows]][: options.images])

    overrides = ("train.batch=4", "train.epochs=150", "train.evaluate_every=150", "train.lr=0.002", *STILL)
    found = train_and_score(
        config_of("coco", [*overrides, *options.overrides]), options.out / "overfit" / "coco", "train", first
    )
    print(
        table(
            {
                name: {key: f"{scores[key]:.3f}" for key in ("map", "map50", "map75")}
                for name, scores in found["scores"].items()
            }
        )
    )
    print(f"{found['seconds'] / 60:.1f} minutes on {found['machine']}")


if __name__ == "__main__":
    main()
