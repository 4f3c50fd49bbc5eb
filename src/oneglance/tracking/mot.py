"""Tracks as the text files of MOTChallenge."""

from __future__ import annotations

from collections.abc import Sequence

from oneglance.annotations import Instances


def mot_lines(frame: int, answer: Instances, classes: Sequence[str]) -> list[str]:
    """The tracked objects of one frame, a line each: ``frame,id,left,top,width,height,conf,class,visibility``.

    The columns of MOTChallenge's ground truth since MOT16 (Milan et al. 2016). There, frames, ids, classes and pixels
    count from 1, so that our corner (0, 0) is (1, 1). The visibility is -1: nobody knows it. Objects without a track
    are left out.

    Args:
        frame: its number in the film, from 0.
        answer: boxes in pixels of the frame.
        classes: the task's; the first is 1.
    """
    lines = []
    for item in answer.items:
        if item.track is None or item.box is None:
            continue
        x1, y1, x2, y2 = (float(v) for v in item.box)
        box = f"{x1 + 1:.2f},{y1 + 1:.2f},{x2 - x1:.2f},{y2 - y1:.2f}"
        score = 1.0 if item.score is None else item.score
        lines.append(f"{frame + 1},{item.track},{box},{score:.4f},{classes.index(item.label) + 1},-1")
    return lines
