"""BCCD at 320 px, 40 epochs, batch 16: oneglance from scratch and on mobilenetv2 weights, beside the peers' results.

The peers are run by ``benchmarks/peers/ultralytics_bccd.py``; ``--peers`` names the folder of their JSON files. All are
trained on train.txt and scored on test.txt by faster-coco-eval. ``--pretrained 1`` adds the pretrained trunk.
"""

from __future__ import annotations

import json
from pathlib import Path

from common import PRETRAINED, arguments, config_of, spread, table, train_and_score


def main() -> None:
    options = arguments(__doc__, peers="", pretrained=0)
    rows: dict[str, dict[str, str]] = {}
    variants = {"oneglance from scratch": ()} | ({"oneglance pretrained": PRETRAINED} if options.pretrained else {})
    for variant, overrides in variants.items():
        results = [
            train_and_score(
                config_of("bccd", [f"train.seed={seed}", *overrides, *options.overrides]),
                options.out / "detection" / f"{variant.replace(' ', '_')}_{seed}",
            )
            for seed in options.seeds
        ]
        rows[variant] = {
            "seeds": str(len(results)),
            "mAP50-95": spread([r["scores"]["cells"]["map"] for r in results]),
            "mAP50": spread([r["scores"]["cells"]["map50"] for r in results]),
            "parameters": f"{results[0]['parameters'] / 1e6:.2f} M",
        }
    if options.peers:
        for model in ("yolo26n", "yolo11n"):
            files = sorted(Path(options.peers).glob(f"{model}_*.json"))
            for which in ("last", "best"):
                found = [json.loads(file.read_text()) for file in files]
                if found:
                    rows[f"{model}, {which}"] = {
                        "seeds": str(len(found)),
                        "mAP50-95": spread([f[which]["coco"]["map50_95"] for f in found]),
                        "mAP50": spread([f[which]["coco"]["map50"] for f in found]),
                        "parameters": f"{found[0]['params'] / 1e6:.2f} M",
                    }
    print(table(rows))


if __name__ == "__main__":
    main()
