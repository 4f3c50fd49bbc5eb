"""The tracker alone: frames a second, and how well numbers are kept in made scenes of objects that hide each other.

Objects of two classes go about in 1280 x 720 at 30 frames a second and bounce off the edges, nearer ones in front. What
is seen of an object decides its score; boxes tremble by 2% of their size, 5% of the objects are missed, and there is a
false box a frame. IDF1 (Ristani et al. 2016) over all that was detected; switches: how often an object's number
changes.

The scenes are written to `OUT/tracking_scenes.npz`; with `peers/roboflow_bytetrack.py`'s answers in
`OUT/tracking_roboflow.npz`, they are scored beside ours.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from common import arguments, table
from oneglance.tracking import Tracker, TrackSettings

SIZE, RATE, FRAMES = np.array([1280.0, 720.0]), 30.0, 600
SETTINGS = TrackSettings(start=0.5, keep=0.1, lost=1.0)


def scene(objects: int, seed: int) -> dict[str, np.ndarray]:
    """Detections of all frames: frame [N], box [N, 4], score [N], class [N] and object [N] (-1: a false one)."""
    rng = np.random.default_rng(seed)
    side = rng.uniform(40, 110, (objects, 1)) * rng.uniform(0.6, 1.6, (objects, 2))
    side = side[np.argsort(side.prod(1))]  # the last is the largest, and in front
    at, speed = rng.uniform(0, SIZE - side), rng.normal(0, 90, (objects, 2))
    kind = rng.integers(0, 2, objects)
    rows = []
    for frame in range(FRAMES):
        speed += rng.normal(0, 8, speed.shape)
        at = at + speed / RATE
        speed = np.where((at < 0) & (speed < 0) | (at > SIZE - side) & (speed > 0), -speed, speed)
        front = np.full((72, 128), -1)
        boxes = np.concatenate([at, at + side], 1)
        for k, (x1, y1, x2, y2) in enumerate(np.clip(boxes / 10, 0, None).round().astype(int)):
            front[y1:y2, x1:x2] = k
        for k, box in enumerate(boxes):
            cells = np.clip(box / 10, 0, None).round().astype(int)
            seen = (front == k).sum() / max(1, (cells[2] - cells[0]) * (cells[3] - cells[1]))
            score = 0.9 * min(1.0, seen) + rng.normal(0, 0.05)
            if score > 0.05 and rng.uniform() > 0.05:
                found = box + rng.normal(0, 0.02, 4) * np.tile(side[k], 2)
                rows.append((frame, *found, min(score, 1.0), kind[k], k))
        corner = rng.uniform(0, SIZE - 60)
        rows.append((frame, *corner, *(corner + 60), rng.uniform(0.1, 0.6), rng.integers(0, 2), -1))
    all_rows = np.array(rows)
    names = {"frame": 0, "score": 5, "class": 6, "object": 7}
    return {"box": all_rows[:, 1:5]} | {name: all_rows[:, column] for name, column in names.items()}


def ours(found: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """Our numbers [N], and frames a second."""
    tracker, numbers = Tracker(SETTINGS), []
    frames = [np.flatnonzero(found["frame"] == frame) for frame in range(FRAMES)]
    asked = [(r, found["box"][r], found["score"][r], [str(c) for c in found["class"][r]]) for r in frames]
    began = time.perf_counter()
    for frame, (_, *rest) in enumerate(asked):
        numbers.append(tracker.update(frame / RATE, *rest))
    return np.concatenate(numbers), FRAMES / (time.perf_counter() - began)


def judged(found: dict[str, np.ndarray], numbers: np.ndarray) -> tuple[float, int]:
    """IDF1 and switches."""
    true, given = found["object"].astype(int), numbers.astype(int)
    both = (true >= 0) & (given > 0)
    counts = np.zeros((true.max() + 1, given.max() + 1), int)
    np.add.at(counts, (true[both], given[both]), 1)
    right = counts[linear_sum_assignment(counts, maximize=True)].sum()
    changes = [given[both & (true == k)] for k in range(true.max() + 1)]
    switches = sum(int((one[1:] != one[:-1]).sum()) for one in changes)
    return 2 * right / ((true >= 0).sum() + (given > 0).sum()), switches


def main() -> None:
    options = arguments(__doc__)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    scenes = {f"{count}_{seed}": scene(count, seed) for count in (10, 50) for seed in options.seeds}
    flat = {f"{name}/{key}": values for name, found in scenes.items() for key, values in found.items()}
    np.savez(out / "tracking_scenes.npz", **flat)
    peer = out / "tracking_roboflow.npz"
    theirs = dict(np.load(peer)) if peer.is_file() else {}
    ours(next(iter(scenes.values())))  # imports
    rows: dict[str, dict[str, str]] = {}
    kept = {}
    for name, found in scenes.items():
        objects, seed = name.split("_")
        numbers, rate = ours(found)
        answers = {"oneglance": (numbers, rate)}
        if name in theirs:
            answers["trackers"] = (theirs[name], float(theirs[f"{name}/rate"]))
        for who, (given, speed) in answers.items():
            idf1, switches = judged(found, given)
            shown = {"IDF1": f"{idf1:.3f}", "switches": f"{switches}", "frames/s": f"{speed:.0f}"}
            rows[f"{objects} objects, seed {seed}, {who}"] = shown
            kept[f"{who} {name}"] = {"idf1": idf1, "switches": switches, "frames_per_second": speed}
    print(table(rows))
    (out / "tracking.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
