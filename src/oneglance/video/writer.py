"""Films, written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from oneglance.errors import OneglanceError

#: By name: OpenCV's four letters, the file's ending, and who can play it. H.264 is played by everything, but few builds
#: of OpenCV can write it; VP8 by browsers and most players; MPEG-4 is quickest to write, and no browser plays it.
CODECS: dict[str, tuple[str, str]] = {"h264": ("avc1", ".mp4"), "vp8": ("VP80", ".webm"), "mpeg4": ("mp4v", ".mp4")}
#: What is tried for `auto`, in this order.
_AUTO = ("h264", "vp8", "mpeg4")
#: A frame is shown for at most so many seconds: a camera that hung or a broken clock must not fill the disk.
LONGEST = 5.0
#: Frames a second: containers keep no more than microseconds apart, and nobody sees more.
_RATES = (0.1, 240.0)


class FilmWriter:
    """A new film of constant rate that is filled with pictures at given times.

    A picture is shown until the time of the next: it is repeated where the film has more frames, and left out where
    another comes before the film's next frame. ``path``: the file; ``codec``: a name in :data:`CODECS`; ``frames``: how
    many were written.
    """

    def __init__(self, file: cv2.VideoWriter, path: Path, codec: str, size: tuple[int, int], rate: float) -> None:
        self.path, self.codec, self.frames = path, codec, 0
        self._file, self._size, self._rate = file, size, rate
        self._last = np.zeros((size[1], size[0], 3), np.uint8)
        self._held = 0.0  # seconds by which the film is shorter than what it shows

    def add(self, picture: NDArray[np.uint8], seconds: float) -> None:
        """Show ``picture``, uint8 [H, W, 3] RGB, from this time on; times must not go back.

        A picture of another size than the film's is fitted to it, the rest of it black.
        """
        due = max(0, round((seconds - self._held) * self._rate))
        if self.frames and due < self.frames:
            return
        most = max(1, round(LONGEST * self._rate))
        missing = due - self.frames
        if missing > most:
            self._held += (missing - most) / self._rate
            missing = most
        frame = self._fitted(picture)
        for _ in range(missing if self.frames else 0):
            self._file.write(self._last)
        self._file.write(frame)
        self._last = frame
        self.frames += (missing if self.frames else 0) + 1

    def close(self) -> None:
        """Write the film's end; it can be played after that."""
        self._file.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _fitted(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        width, height = self._size
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        scale = min(width / bgr.shape[1], height / bgr.shape[0])
        # One row or column too few is only that sides must be even; such a picture is not resampled.
        if scale < 1 or scale >= 1 + 2 / max(bgr.shape[:2]):
            to = (max(1, min(width, round(bgr.shape[1] * scale))), max(1, min(height, round(bgr.shape[0] * scale))))
            bgr = cv2.resize(bgr, to, interpolation=cv2.INTER_AREA)
        down, right = height - bgr.shape[0], width - bgr.shape[1]
        if down == 0 and right == 0:
            return bgr
        return cv2.copyMakeBorder(bgr, 0, down, 0, right, cv2.BORDER_CONSTANT)


def open_writer(path: Path, size: tuple[int, int], rate: float, codec: str = "auto") -> FilmWriter:
    """Begin a new film.

    Args:
        path: without an ending, which the codec decides: `.mp4`, or `.webm`.
        size: (width, height) of the pictures; odd sides get a black row or column, which codecs need.
        rate: frames a second.
        codec: a name in :data:`CODECS`, or ``auto``: the first of them that OpenCV can write here.

    Raises OneglanceError where the file exists, and where OpenCV can't write it.
    """
    if codec != "auto" and codec not in CODECS:
        raise OneglanceError(f"codec {codec!r}: must be one of auto, {', '.join(CODECS)}")
    rate = min(max(rate, _RATES[0]), _RATES[1])
    size = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    for name in _AUTO if codec == "auto" else (codec,):
        letters, suffix = CODECS[name]
        target = path.with_name(path.name + suffix)
        if target.exists():
            raise OneglanceError(f"{target}: exists already, and nothing is ever overwritten")
        if not os.access(target.parent, os.W_OK):
            raise OneglanceError(f"{target.parent}: is no folder that you may write into")
        with _quiet():
            file = cv2.VideoWriter(str(target.absolute()), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*letters), rate, size)
        if file.isOpened():
            return FilmWriter(file, target, name, size, rate)
        file.release()
        target.unlink(missing_ok=True)
    tried = ", ".join(_AUTO) if codec == "auto" else codec
    hint = "" if codec == "auto" else "; `auto` takes one that it can"
    raise OneglanceError(f"{path}: this build of OpenCV can't write {tried} at {size[0]}x{size[1]}{hint}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep off the terminal what OpenCV, FFmpeg and the drivers print about codecs that are not there."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        cv2.utils.logging.setLogLevel(level)
