"""What the benchmarks share: a configuration from examples/, a training in a fresh folder, a table, a JSON file."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from oneglance.config import Config, load_config
from oneglance.errors import Problems
from oneglance.evaluation.evaluate import Scores
from oneglance.ingest import build_manifest
from oneglance.manifest import Manifest
from oneglance.training.api import absolute
from oneglance.training.fit import Training

EXAMPLES = Path(__file__).parent.parent / "examples"
#: Overrides by which a trunk starts from the weights of ImageNet.
PRETRAINED = (
    "trunk.backbone=mobilenetv2_100",
    "trunk.pretrained=../../shared/data/weights/mobilenetv2_100_imagenet.safetensors",
    "trunk.options.pad_type=same",
    "trunk.mean=[0.5, 0.5, 0.5]",
    "trunk.std=[0.5, 0.5, 0.5]",
    "trunk.norm=frozen",
)


def arguments(description: str | None, **extra: Any) -> argparse.Namespace:
    """The options that all benchmarks have; ``extra``: further ones with their defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"), help="folder for runs and results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("overrides", nargs="*", help="dotted overrides of the configuration, such as train.epochs=2")
    for name, default in extra.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()


def config_of(example: str, overrides: Sequence[str] = ()) -> Config:
    """A configuration from examples/, its paths absolute."""
    return absolute(load_config(EXAMPLES / f"{example}.yaml", overrides), EXAMPLES.resolve())


def train_and_score(
    config: Config,
    folder: Path,
    split: str = "test",
    change: Callable[[Manifest], Manifest] = lambda manifest: manifest,
) -> dict[str, Any]:
    """Train in a fresh folder, score the last averaged weights on ``split``; a result that is there already is reused.

    ``change`` may alter the manifest before training.
    """
    result = folder / "result.json"
    if result.is_file():
        done: dict[str, Any] = json.loads(result.read_text())
        return done
    folder.mkdir(parents=True, exist_ok=True)
    manifest = change(build_manifest(config, EXAMPLES.resolve(), Problems()))
    training = Training(config, manifest, folder, Problems())
    began = time.monotonic()
    training.run()
    seconds = time.monotonic() - began
    scores: Scores = training.score(manifest.rows(split=split))
    found = {
        "scores": scores,
        "seconds": round(seconds, 1),
        "parameters": sum(p.numel() for p in training.network.parameters()),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }
    result.write_text(json.dumps(found, indent=1))
    return found


def spread(values: Sequence[float]) -> str:
    """Mean and sample standard deviation, as text."""
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"


def difference(values: Sequence[float], base: Sequence[float] | None = None) -> str:
    """Mean (less that of ``base``, pair by pair) with its 95% interval over seeds (Student), as text."""
    found = np.subtract(values, 0.0 if base is None else base)
    if len(found) < 2:
        return f"{found.mean():+.4f}"
    half = stats.t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / len(found) ** 0.5
    return f"{found.mean():+.4f} [{found.mean() - half:+.4f}, {found.mean() + half:+.4f}]"


def table(rows: Mapping[str, Mapping[str, str]]) -> str:
    """A Markdown table: a row a variant, a column a figure."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(row.get(c, "") for c in columns) + " |" for name, row in rows.items()]
    return "\n".join(lines)
