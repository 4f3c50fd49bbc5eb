"""CamVid, 30 epochs of 320 px crops on mobilenetv2 weights, beside segmentation-models-pytorch's FPN.

The peer is run by ``benchmarks/peers/smp_camvid.py``; ``--peers`` names the folder of its JSON files.
"""

from __future__ import annotations

import json
from pathlib import Path

from common import arguments, config_of, spread, table, train_and_score


def main() -> None:
    options = arguments(__doc__, peers="")
    results = [
        train_and_score(
            config_of("camvid", [f"train.seed={seed}", *options.overrides]),
            options.out / "segmentation" / f"{seed}",
            split="val",
        )
        for seed in options.seeds
    ]
    rows = {
        "oneglance": {
            "seeds": str(len(results)),
            "mIoU": spread([r["scores"]["ground"]["miou"] for r in results]),
            "seconds": spread([r["seconds"] for r in results]),
        }
    }
    files = sorted(Path(options.peers).glob("seed_*.json")) if options.peers else []
    if files:
        found = [json.loads(file.read_text()) for file in files]
        rows["smp FPN"] = {
            "seeds": str(len(found)),
            "mIoU": spread([f["miou"] for f in found]),
            "seconds": spread([f["seconds"] for f in found]),
        }
    print(table(rows))


if __name__ == "__main__":
    main()
