"""The training loader, decoding, augmenting and encoding, against bare OpenCV decoding of the very same files.

The files are all that the loader shows in a round: of a mosaic four images, of a segmentation task the mask as well.
Three sides use the same number of processes, in turn, several rounds, and the median of each is taken: the loader as
`train` uses it, which keeps decoded pixels from epoch to epoch; the loader without that (`train.cache: 0`); and OpenCV.
"""

from __future__ import annotations

import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

import oneglance.data.files as files
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

    originals = files.decode_padded, files.decode_mask
    files.decode_padded, files.decode_mask = (noted(one) for one in originals)
    try:
        for batch in batches:
            for draw in batch:
                images[draw]
    finally:
        files.decode_padded, files.decode_mask = originals
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
        augmented = partial(
            AnnotatedImages, manifest, tasks, config.train.size, augment=augment, partners=sources
        )  # fmt: skip
        batches = MixedBatches(sources, 16, config.mixing, seed=0, length=DRAWS)
        paths = opened_by(augmented(), batches)
        keeping = augmented()
        keeping.files.keep(train, config.train.cache)
        loaders = {"kept": TrainLoader(keeping, batches, options.workers)}
        loaders["anew"] = TrainLoader(augmented(), batches, options.workers)
        parts = [paths[k :: 4 * options.workers] for k in range(4 * options.workers)]
        taken: dict[str, list[float]] = defaultdict(list)
        with ProcessPoolExecutor(options.workers) as pool:
            for _ in range(options.rounds + 1):  # the first brings the workers up and the files into the cache
                for name, loader in loaders.items():
                    began = time.perf_counter()
                    drawn = sum(len(batch.indices) for parts_ in loader.epoch(0) for batch in parts_)
                    taken[name].append(time.perf_counter() - began)
                    assert drawn == len(batches) * 16
                began = time.perf_counter()
                list(pool.map(bare, parts))
                taken["OpenCV"].append(time.perf_counter() - began)
        kept, anew, bar = (float(np.median(taken[name][1:])) for name in ("kept", "anew", "OpenCV"))
        rows[example] = {
            "files a sample": f"{len(paths) / drawn:.2f}",
            "OpenCV, samples/s": f"{drawn / bar:.0f}",
            "loader, samples/s": f"{drawn / kept:.0f}",
            "ratio": f"{bar / kept:.2f}",
            "decoding anew, samples/s": f"{drawn / anew:.0f}",
            "ratio, anew": f"{bar / anew:.2f}",
        }
    print(table(rows))


if __name__ == "__main__":
    main()
