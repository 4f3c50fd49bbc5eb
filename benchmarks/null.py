"""How often does `compare` claim a difference where there is none? Twenty comparisons of a configuration with itself.

    python benchmarks/null.py [--comparisons 20] [--seeds 3]

Tiny networks name the texture of small noisy pictures, each with a seed of its own, three against three; the two sides
differ in nothing else. At a level of 95% one claim in twenty is to be expected; each interval alone, over trainings or
over test images, is counted as well. Some four minutes on two cores. Writes results/null.json and prints a table.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from common import table
from oneglance.evidence.comparison import compare_sides
from oneglance.evidence.measure import Measured, measure
from oneglance.training.api import train

RESULT = Path(__file__).parent / "results" / "null.json"
TEXTURES = ("rows", "columns", "checks", "dots")


def picture(texture: str, rng: np.random.Generator) -> np.ndarray:
    """64 x 64 pixels, the texture at a random phase and faint under noise."""
    y, x = np.mgrid[:64, :64] + rng.integers(0, 8, 2)[:, None, None]
    on = {
        "rows": y % 8 < 4,
        "columns": x % 8 < 4,
        "checks": (x // 4 + y // 4) % 2 == 0,
        "dots": (x % 8 < 3) & (y % 8 < 3),
    }
    grey = 110 + 20 * on[texture] + rng.normal(0, 35, (64, 64))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, 2)


def write_data(folder: Path) -> Path:
    """64 training and 160 test pictures; returns the YAML."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 16), ("test", 40)):
        for texture in TEXTURES:
            place = folder / "data" / split / texture
            place.mkdir(parents=True, exist_ok=True)
            for k in range(count):
                Image.fromarray(picture(texture, rng)).save(place / f"{texture}-{split}-{k}.png")
    data: dict[str, Any] = {
        "tasks": {"texture": {"kind": "classification", "classes": list(TEXTURES)}},
        "sources": [{"format": "folder", "root": "data", "splits": ["train", "test"], "tasks": ["texture"]}],
        "trunk": {"backbone": "test_resnet", "pretrained": False, "channels": 16},
        "train": {"size": [64, 64], "batch": 8, "epochs": 4, "lr": 0.005, "workers": 0, "precision": "32"},
    }
    path = folder / "null.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/null"))
    options = parser.parse_args()
    config = write_data(options.out)

    def trained(seed: int) -> Measured:
        folder = options.out / "runs" / f"seed-{seed}"
        if not (folder / "last.safetensors").is_file():
            train(config, [f"train.seed={seed}"], out=folder, quiet=True)
        return measure(folder, options.out / "measured" / f"{seed}.json", "test")

    claims = dict.fromkeys(("over_seeds", "over_images", "interval"), 0)
    scores = []
    for number in range(options.comparisons):
        # The two sides have seeds of their own; the k-th of one is paired with the k-th of the other.
        first = 2 * options.seeds * number
        sides = [{k: trained(first + side * options.seeds + k) for k in range(options.seeds)} for side in (0, 1)]
        found = compare_sides("one", "other", ["texture"], sides[0], {"texture": sides[1]}).tasks[0]
        scores.append((found.ours.tolist(), found.theirs.tolist()))
        for name in claims:
            low, high = getattr(found.difference, name)()
            claims[name] += not low <= 0 <= high
        print(number + 1, claims, flush=True)
    shares = {name: count / options.comparisons for name, count in claims.items()}
    RESULT.write_text(json.dumps({"claims": claims, "comparisons": options.comparisons, "scores": scores}, indent=1))
    print(table({"claims where there is no difference": {name: f"{share:.0%}" for name, share in shares.items()}}))


if __name__ == "__main__":
    main()
