"""The training loader, decoding, augmenting and encoding, against bare OpenCV decoding of the very same files.

The files are all that the loader opens for a round: of a mosaic four images, of a segmentation task the mask as well.
Both sides use the same number of processes, in turn, several rounds; the median of each is taken.
"""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np

import oneglance.data.dataset as dataset
from common import EXAMPLES, arguments, config_of, table
from oneglance.data.dataset import AnnotatedImages
from oneglance.data.loader import TrainLoader
from oneglance.data.mixing import MixedBatches
from oneglance.errors import Problems
from oneglance.ingest import build_manifest
from oneglance.tasks import create_tasks

#: Samples a round: enough that filling the workers' queues, once a round, does not count.
DRAWS = 2000


def bare(paths: list[str]) -> int:
    """Decode, and nothing else: masks as they are, images in colour."""
    cv2.setNumThreads(0)
    flags = {".png": cv2.IMREAD_UNCHANGED}
    return sum(cv2.imread(path, flags.get(Path(path).suffix, cv2.IMREAD_COLOR)).shape[0] > 0 for path in paths)


def opened_by(images: AnnotatedImages, batches: MixedBatches) -> list[str]:
    """The files that a round opens, in order."""
    paths: list[str] = []

    def noted(decode):
        def wrapped(path, **options):
            paths.append(str(path))
            return decode(path, **options)

        return wrapped

    originals = dataset.decode_padded, dataset.decode_mask
    dataset.decode_padded, dataset.decode_mask = (noted(one) for one in originals)
    try:
        for batch in batches:
            for draw in batch:
                images[draw]
    finally:
        dataset.decode_padded, dataset.decode_mask = originals
    return paths


def main() -> None:
    options = arguments(__doc__, workers=2, rounds=5, examples="bccd,pets,camvid,keypoints")
    rows = {}
    for example in options.examples.split(","):
        config = config_of(example, options.overrides)
        manifest = build_manifest(config, EXAMPLES.resolve(), Problems())
        train = manifest.rows(split="train")
        tasks = create_tasks(config.tasks)
        names = np.array(manifest.values("source"), object)[train]
        sources = {name: train[names == name] for name in dict.fromkeys(names)}
        augment = dict.fromkeys(sources, config.augment)
        images = AnnotatedImages(manifest, tasks, config.train.size, augment=augment, partners=sources)
        batches = MixedBatches(sources, 16, config.mixing, seed=0, length=DRAWS)
        paths = opened_by(images, batches)
        loader = TrainLoader(images, batches, options.workers)
        parts = [paths[k :: 4 * options.workers] for k in range(4 * options.workers)]
        ours, theirs, drawn = [], [], 0
        with ProcessPoolExecutor(options.workers) as pool:
            for number in range(options.rounds + 1):  # the first brings the workers up and the files into the cache
                began = time.perf_counter()
                drawn = sum(len(batch.indices) for batches in loader.epoch(0) for batch in batches)
                middle = time.perf_counter()
                list(pool.map(bare, parts))
                if number:
                    ours.append(middle - began)
                    theirs.append(time.perf_counter() - middle)
        mine, bar = float(np.median(ours)), float(np.median(theirs))
        rows[example] = {
            "samples/s": f"{drawn / mine:.0f}",
            "files a sample": f"{len(paths) / drawn:.2f}",
            "files/s": f"{len(paths) / mine:.0f}",
            "OpenCV, files/s": f"{len(paths) / bar:.0f}",
            "ratio": f"{bar / mine:.2f}",
        }
    print(table(rows))


if __name__ == "__main__":
    main()
