"""Roboflow's ByteTrack (package `trackers`, Apache-2.0) on the scenes of `tracking.py`, one tracker a class.

It brings its own OpenCV, so it runs in an environment of its own. Its thresholds are ours of that benchmark, all else
is its default.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import supervision as sv
from trackers import ByteTrackTracker

RATE = 30.0


def main(folder: Path) -> None:
    scenes = np.load(folder / "tracking_scenes.npz")
    answers: dict[str, np.ndarray] = {}
    for name in sorted({key.split("/")[0] for key in scenes}):
        frame, box, score, kind = (scenes[f"{name}/{key}"] for key in ("frame", "box", "score", "class"))
        trackers = {
            k: ByteTrackTracker(
                lost_track_buffer=30, frame_rate=RATE, track_activation_threshold=0.5, high_conf_det_threshold=0.5
            )
            for k in np.unique(kind)
        }
        numbers = np.zeros(len(frame), int)
        asked = []
        for at in np.unique(frame):
            for k in trackers:
                rows = np.flatnonzero((frame == at) & (kind == k) & (score >= 0.1))
                found = sv.Detections(box[rows], confidence=score[rows], data={"row": rows})
                asked.append((k, found))
        began = time.perf_counter()
        told = [(k, trackers[k].update(found)) for k, found in asked]
        spent = time.perf_counter() - began
        for k, result in told:
            if len(result):
                given = result.tracker_id
                numbers[result.data["row"]] = np.where(given >= 0, 1 + len(trackers) * given + k, 0)
        answers[name], answers[f"{name}/rate"] = numbers, np.array(len(np.unique(frame)) / spent)
    np.savez(folder / "tracking_roboflow.npz", **answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
