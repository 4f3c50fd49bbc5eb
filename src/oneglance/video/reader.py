"""Films and cameras, frame by frame, as they are looked at.

OpenCV's FFmpeg decodes. A file is shown to it only if its first bytes are those of a container of films: FFmpeg also
takes playlists, subtitles and text for films, and some of those name further files to be opened.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from oneglance.decode import too_large
from oneglance.errors import OneglanceError

# FFmpeg writes to standard error what it thinks of broken films, a line a packet; read once, when it is first used.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

#: Files that are called so are taken for films; a file that is named on purpose may be called anything.
FILM_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".ogv"}
)
#: Frames a second of a camera that does not say, or says nonsense.
CAMERA_RATE = 25.0
#: A header's count of frames is often estimated from the duration; only a film that ends this much earlier is cut off.
_COUNT_SLACK = 0.95
_CONVERT = "convert it, for instance with: ffmpeg -i FILM new.mp4"


class FilmError(OneglanceError):
    """A film or a camera can't be used; the message names it and says why."""


@dataclass(frozen=True)
class Moment:
    """Where in a film a frame stands: its number, from 0, and its time in seconds from the film's beginning."""

    number: int
    seconds: float


class Film:
    """An opened film or camera; iterate over it, once, for ``(moment, uint8 [H, W, 3] RGB)``.

    ``width``, ``height``: as it is looked at, rotation applied. ``rate``: frames a second, by the header; ``count``:
    how many frames the iteration may give, by the header, which may be wrong, or None. ``trouble``, after the
    iteration: why the film ended before its time, or None.

    Args:
        source: a file, or the number of a camera, from 0.
        every: only each such frame; the first one counts.
        seconds: the first so many seconds only.

    Raises FilmError where there is nothing to be seen in it, and while iterating where not one frame can be decoded.
    Not for several threads at a time.
    """

    def __init__(self, source: str | Path | int, *, every: int = 1, seconds: float | None = None) -> None:
        if every < 1:
            raise FilmError(f"every {every}: must be 1 (all frames) or more")
        if seconds is not None and not seconds > 0:
            raise FilmError(f"seconds {seconds:g}: must be more than 0")
        self.is_camera = isinstance(source, int)
        self.name = f"camera {source}" if isinstance(source, int) else str(source)
        self.every, self.seconds = every, seconds
        self.trouble: str | None = None
        self._capture = _open_camera(source) if isinstance(source, int) else _open_file(Path(source))
        get = self._capture.get
        self.width, self.height = int(get(cv2.CAP_PROP_FRAME_WIDTH)), int(get(cv2.CAP_PROP_FRAME_HEIGHT))
        rate = get(cv2.CAP_PROP_FPS)
        self.rate = float(rate) if math.isfinite(rate) and 0 < rate <= 1000 else CAMERA_RATE
        promised = get(cv2.CAP_PROP_FRAME_COUNT)
        self._promised = int(promised) if not self.is_camera and 0 < promised < 1e9 else None
        problem = too_large((self.width, self.height))
        if problem is not None and not (self.is_camera and 0 in (self.width, self.height)):
            self.close()
            raise FilmError(f"{self.name}: {problem}")

    @property
    def count(self) -> int | None:
        """How many frames the iteration may give, by the header; None where nobody knows."""
        ends = [self._promised] if self._promised is not None else []
        if self.seconds is not None and not self.is_camera:
            ends.append(math.ceil(self.seconds * self.rate))
        return -(-min(ends) // self.every) if ends else None

    def __iter__(self) -> Iterator[tuple[Moment, NDArray[np.uint8]]]:
        number, given, began, last = 0, 0, time.monotonic(), 0.0
        try:
            while True:
                if not self._capture.grab():
                    break
                if number == 0:
                    began = time.monotonic()
                last = self._time(number, began, last)
                if self.seconds is not None and last >= self.seconds:
                    return
                if number % self.every == 0:
                    got, frame = self._capture.retrieve()
                    if not got or frame is None:
                        break
                    yield Moment(number, last), self._rgb(frame)
                    given += 1
                number += 1
        except cv2.error as error:
            self.trouble = f"decoding failed after {number} frames ({error.err or error})"
        finally:
            self.close()
        if given == 0:
            raise FilmError(self._nothing())
        if self.is_camera:
            self.trouble = f"the camera stopped after {number} frames; is it still plugged in?"
        elif self.trouble is None and self._promised is not None and number < _COUNT_SLACK * self._promised:
            self.trouble = (
                f"ended after {number} of the {self._promised} frames that its header promises: it is cut off or "
                "broken there, or its header is wrong; play it to see which"
            )

    def close(self) -> None:
        """Let go of the file or the camera."""
        self._capture.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _time(self, number: int, began: float, last: float) -> float:
        """Seconds from the beginning; never back, whatever a broken file says."""
        if self.is_camera:
            return time.monotonic() - began if number else 0.0
        said = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not math.isfinite(said) or said < 0 or (number > 0 and said <= last):
            said = number / self.rate
        return max(said, last)

    def _rgb(self, frame: np.ndarray) -> NDArray[np.uint8]:
        problem = too_large((frame.shape[1], frame.shape[0]))
        if problem is not None:
            raise FilmError(f"{self.name}: {problem}")
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB if frame.ndim == 3 else cv2.COLOR_GRAY2RGB)

    def _nothing(self) -> str:
        if self.is_camera:
            return f"{self.name}: it opens but gives no picture; is another program using it?"
        return f"{self.name}: not one frame can be decoded: it is empty, broken or cut off; {_CONVERT}"


def is_film_name(name: str | Path) -> bool:
    """Whether a file is called like a film."""
    return Path(name).suffix.lower() in FILM_SUFFIXES


def is_film(path: Path) -> bool:
    """Whether a file is called like a film, or begins like one."""
    if is_film_name(path):
        return True
    try:
        with path.open("rb") as file:
            return _is_container(file.read(512))
    except OSError:
        return False


def _open_camera(number: int) -> cv2.VideoCapture:
    if number < 0:
        raise FilmError(f"camera {number}: cameras are numbered from 0")
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(number)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        capture.release()
        there = sorted(int(p.name[5:]) for p in Path("/dev").glob("video*") if p.name[5:].isdigit())
        known = f"; there are {', '.join(map(str, there))}" if there else ""
        raise FilmError(
            f"camera {number}: can't be opened{known}. Is it plugged in, used by no other program, and may you read it "
            "(on Linux: be in the group video)?"
        )
    return capture


def _open_file(path: Path) -> cv2.VideoCapture:
    try:
        if path.is_dir():
            raise FilmError(f"{path}: a film is expected here, this is a folder")
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        raise FilmError(f"{path}: no such file") from None
    except OSError as error:
        raise FilmError(f"{path}: {error.strerror}") from error
    if not _is_container(head):
        raise FilmError(f"{path}: {_what_it_is(head)}")
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        # The whole path: a file called `http:...` must not be taken for an address.
        capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        capture.release()
        if head[4:8] in _MP4 and not _has_index(path):
            raise FilmError(f"{path}: cut off: its index, which stands at the end, is missing; copy or record it again")
        raise FilmError(
            f"{path}: no pictures in it that OpenCV can read: it holds sound only, is broken, or its codec is "
            f"unknown; {_CONVERT}"
        )
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


_MP4 = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def _is_container(head: bytes) -> bool:
    transport = head[:1] == head[188:189] == b"G" or head[4:5] == head[196:197] == b"G"
    if head[4:8] == b"ftyp":
        return head[8:11] not in (b"avi", b"hei", b"mif") and head[8:12] not in (b"msf1", b"hevc", b"M4A ", b"M4B ")
    return (
        head[4:8] in _MP4
        or head[:4] in (b"\x1aE\xdf\xa3", b"OggS", b"FLV\x01", b"0&\xb2u", b"\0\0\x01\xba", b"\0\0\x01\xb3")
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or transport
    )


def _what_it_is(head: bytes) -> str:
    """Why a file that does not begin like a film is none."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "the file is empty"
    sound = head[:4] == b"RIFF" and head[8:12] == b"WAVE"
    if sound or head[:3] == b"ID3" or head[:4] == b"fLaC" or head[8:12] in (b"M4A ", b"M4B "):
        return "sound only: there is nothing to be seen in it"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "a web page under the name of a film (a failed download?)"
    if text.startswith(b"#extm3u"):
        return "a playlist, not a film; save the film that it names, and give that"
    if head[:3] == b"\xff\xd8\xff" or head[:4] in (b"\x89PNG", b"GIF8") or head[8:12] == b"WEBP":
        return "an image under the name of a film; rename it to what it is"
    return f"not a film, or broken from its first byte on (MP4, MOV, MKV, WebM, AVI, MPEG, WMV, FLV, OGV); {_CONVERT}"


def _has_index(path: Path) -> bool:
    """Whether an MP4 has the whole of the box `moov`, without which no frame can be found."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        for _ in range(10_000):
            file.seek(at)
            box = file.read(16)
            if len(box) < 8:
                return False
            length = int.from_bytes(box[:4], "big")
            if length == 1:
                length = int.from_bytes(box[8:16], "big")
            if length < 8 or at + length > size:
                return False
            if box[4:8] == b"moov":
                return True
            at += length
    return False
