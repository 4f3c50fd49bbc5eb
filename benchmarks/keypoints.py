"""Seed 000: two keypoint tasks in one network, over images labelled for one of them only.

Together, each alone (the same network, data and settings, epochs counted over its own images), and the seed's own
recipe: global features through one linear layer, trained by the squared error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from common import arguments, config_of, spread, table, train_and_score
from oneglance.annotations import UNLABELLED, VISIBLE, Annotation, Points
from oneglance.data.geometry import Frame
from oneglance.tasks import KINDS, KeypointsSettings
from oneglance.tasks.base import FeatureSpec, Outputs, Targets, masked_mean
from oneglance.tasks.classification import PooledLinear
from oneglance.tasks.keypoints import Keypoints


class LinearKeypointsSettings(KeypointsSettings):
    """`kind: linear_keypoints`, the seed's recipe."""

    kind: str = "linear_keypoints"  # type: ignore[assignment]


class LinearKeypoints(Keypoints):
    """Coordinates straight from pooled features, by the mean squared error."""

    kind = "linear_keypoints"

    def head(self, spec: FeatureSpec) -> nn.Module:
        return PooledLinear(spec, 2 * len(self.settings.points), dropout=0.0)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        xy = outputs["logits"].float().unflatten(-1, (-1, 2)) + 0.5
        labelled = (targets["visibility"] != UNLABELLED)[..., None].expand_as(xy)
        truth = torch.where(labelled, targets["xy"], torch.zeros_like(xy))
        return {"xy": 10 * masked_mean((xy - truth) ** 2, labelled)}

    def decode(self, outputs: Outputs, frames: Sequence[Frame]) -> list[Annotation]:
        xy = (outputs["logits"].float().unflatten(-1, (-1, 2)) + 0.5).cpu().numpy()
        seen = np.full(xy.shape[1], VISIBLE, np.int8)
        return [
            self.unwarp(Points(one * np.float32([frame.width, frame.height]), seen), frame)
            for one, frame in zip(xy, frames, strict=True)
        ]


def main() -> None:
    options = arguments(__doc__)
    KINDS["linear_keypoints"] = (LinearKeypointsSettings, LinearKeypoints)
    together = config_of("keypoints", options.overrides)
    variants = {"together": together, "seed's recipe": together}
    for name in together.tasks:
        alone = {
            "tasks": {name: together.tasks[name]},
            "sources": tuple(source for source in together.sources if name in source.tasks),
        }
        variants[f"{name} alone"] = together.model_copy(update=alone)
    variants["seed's recipe"] = together.model_copy(
        update={
            "tasks": {
                name: LinearKeypointsSettings(**{**task.model_dump(), "kind": "linear_keypoints"})
                for name, task in together.tasks.items()
            }
        }
    )
    rows: dict[str, dict[str, str]] = {}
    for variant, config in variants.items():
        results = []
        for seed in options.seeds:
            seeded = config.model_copy(update={"train": config.train.model_copy(update={"seed": seed})})
            folder = options.out / "keypoints" / f"{variant.replace(' ', '_').replace(chr(39), '')}_{seed}"
            results.append(train_and_score(seeded, folder)["scores"])
        rows[variant] = {
            f"{task} {text}": spread([r[task][name] for r in results])
            for task in config.tasks
            for name, text in (("nme", "NME"), ("nme_median", "median"), ("pck", "PCK@0.1"))
        }
    print(table(rows))


if __name__ == "__main__":
    main()
