"""COCO: boxes, instance masks and people's points of one network, beside torchvision's two.

Trained on coco_mini's and coco128's train images (a few hundred: small data), scored on coco_mini's val. The peers,
Mask R-CNN and Keypoint R-CNN, are trained on the same images and the same backbone by
`peers/torchvision_coco.py --seconds S`, each for as long as this network took: both need twice its time. Keypoint R-CNN
learns people only. Writes results/coco.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common import arguments, config_of, table, train_and_score

RESULTS = Path(__file__).parent / "results" / "coco.json"
FIGURES = ("map", "map50", "map75")


def main() -> None:
    options = arguments(__doc__, peers=Path("results/torchvision_coco"))
    rows: dict[str, dict[str, str]] = {}
    facts: dict[str, Any] = {"overrides": options.overrides, "seeds": {}}
    for seed in options.seeds:
        overrides = [f"train.seed={seed}", "train.evaluate_every=1000", *options.overrides]
        found = train_and_score(config_of("coco", overrides), options.out / "coco" / f"seed_{seed}", "val")
        minutes = found["seconds"] / 60
        facts["seeds"][seed] = {"oneglance": found}
        for task, scores in found["scores"].items():
            rows[f"{task}, oneglance, seed {seed}"] = _row(scores, minutes)
        people = found["scores"]["objects"]["ap/person"]  # the only boxes that Keypoint R-CNN learns
        rows[f"boxes of people, oneglance, seed {seed}"] = {"map": f"{people:.3f}"}
        peer = options.peers / f"seed_{seed}.json"
        if peer.is_file():
            theirs = facts["seeds"][seed]["torchvision"] = json.loads(peer.read_text())
            for name, parts in (("mask_rcnn", ("bbox", "segm")), ("keypoint_rcnn", ("bbox", "keypoints"))):
                for part in parts:
                    row = _row(theirs[name]["scores"][part], theirs[name]["seconds"] / 60)
                    rows[f"{part}, {name}, seed {seed}"] = row
    RESULTS.write_text(json.dumps(facts, indent=1) + "\n")
    print(table(rows))


def _row(scores: dict[str, Any], minutes: float) -> dict[str, str]:
    return {**{name: f"{scores[name]:.3f}" for name in FIGURES}, "minutes of training": f"{minutes:.1f}"}


if __name__ == "__main__":
    main()
