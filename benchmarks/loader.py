"""Images a second of the training loader, decoding, augmenting and encoding, against bare OpenCV decoding.

Both with the same number of processes, on the images of a configuration's split `train`, several rounds in turn.
"""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from common import EXAMPLES, arguments, config_of, table
from oneglance.data.dataset import AnnotatedImages
from oneglance.data.loader import TrainLoader
from oneglance.data.mixing import MixedBatches
from oneglance.errors import Problems
from oneglance.ingest import build_manifest
from oneglance.tasks import create_tasks


def bare(paths: list[str]) -> int:
    """Decode, and nothing else."""
    cv2.setNumThreads(0)
    return sum(cv2.imread(path).shape[0] > 0 for path in paths)


def main() -> None:
    options = arguments(__doc__, workers=2, rounds=3)
    rows = {}
    for example in ("bccd", "pets", "camvid", "keypoints"):
        config = config_of(example, options.overrides)
        manifest = build_manifest(config, EXAMPLES.resolve(), Problems())
        train = manifest.rows(split="train")
        tasks = create_tasks(config.tasks)
        names = np.array(manifest.values("source"), object)[train]
        sources = {name: train[names == name] for name in dict.fromkeys(names)}
        images = AnnotatedImages(
            manifest,
            tasks,
            config.train.size,
            augment=dict.fromkeys(sources, config.augment),
            partners=sources,
        )
        loader = TrainLoader(images, MixedBatches(sources, 16, config.mixing, seed=0), options.workers)
        paths = [str(Path(str(p))) for p in np.array(manifest.values("path"), object)[train]]
        for _ in loader.epoch(0):
            pass  # workers are up, files are in the cache
        ours, theirs = [], []
        with ProcessPoolExecutor(options.workers) as pool:
            list(pool.map(bare, [paths[k::8] for k in range(8)]))
            for number in range(options.rounds):
                began = time.perf_counter()
                ours.append(
                    sum(len(batch.indices) for batch in loader.epoch(number + 1)) / (time.perf_counter() - began)
                )
                began = time.perf_counter()
                theirs.append(sum(pool.map(bare, [paths[k::8] for k in range(8)])) / (time.perf_counter() - began))
        rows[example] = {
            "loader, images/s": f"{np.median(ours):.0f}",
            "OpenCV, images/s": f"{np.median(theirs):.0f}",
            "ratio": f"{np.median(ours) / np.median(theirs):.2f}",
        }
    print(table(rows))


if __name__ == "__main__":
    main()
