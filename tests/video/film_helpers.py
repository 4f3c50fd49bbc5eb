"""Small films for tests: frame k is grey of level ``30 + 7 * k`` (codecs lose some 3), with a white corner."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

CORNER = 16


def write_film(path: Path, frames: int = 20, size: tuple[int, int] = (64, 48), rate: float = 10.0) -> Path:
    """A film of MPEG-4 or, where it is called .webm, of VP8."""
    letters = "VP80" if path.suffix == ".webm" else "mp4v"
    file = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*letters), rate, size)
    assert file.isOpened()
    for k in range(frames):
        frame = np.full((size[1], size[0], 3), 30 + 7 * (k % 30), np.uint8)
        frame[:CORNER, :CORNER] = 255
        file.write(frame)
    file.release()
    return path


def levels(path: Path) -> list[int]:
    """Which frame of :func:`write_film` each frame of a film shows, by the level in the middle of its 64 x 48."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    found = []
    while True:
        good, frame = capture.read()
        if not good:
            return found
        found.append(round((float(frame[30:40, 30:60].mean()) - 27) / 7))


def turned(path: Path, to: Path) -> Path:
    """The same MP4 with a header that says: to be looked at turned by a quarter, clockwise."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    matrix = [0, one, 0, -one, 0, 0, 0, 0, 1 << 30]
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    to.write_bytes(data)
    return to


def promising(path: Path, to: Path, frames: int) -> Path:
    """The same AVI with a header that promises so many frames."""
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):
        at = data.index(mark) + offset
        data[at : at + 4] = frames.to_bytes(4, "little")
    to.write_bytes(data)
    return to
