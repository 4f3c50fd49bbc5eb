"""Scenes a second that the street's generator draws on one core, with all their truth, and with the JPEG encoded.

One process, one thread; medians of several rounds of scenes that are drawn once each.
"""

from __future__ import annotations

import statistics
import time

import cv2

from common import arguments, table
from oneglance.street.write import QUALITY, plan_street


def main() -> None:
    options = arguments(__doc__, scenes=100, rounds=5, size=256)
    cv2.setNumThreads(1)
    count = options.scenes * options.rounds
    scenes = [one for one in plan_street(2 * count, seed=0) if not {"face", "plate"} & set(one.tasks)][:count]
    scenes[0].draw((options.size, options.size))  # textures are made once
    drawn, written = [], []
    for start in range(0, count, options.scenes):
        began = time.perf_counter()
        images = [one.draw((options.size, options.size))[0] for one in scenes[start : start + options.scenes]]
        middle = time.perf_counter()
        for image in images:
            cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        drawn.append(len(images) / (middle - began))
        written.append(len(images) / (time.perf_counter() - began))
    print(table({f"{options.size} px": {
        "scenes/s": f"{statistics.median(drawn):.0f}", "with the JPEG": f"{statistics.median(written):.0f}",
    }}))  # fmt: skip


if __name__ == "__main__":
    main()
