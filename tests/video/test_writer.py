"""Films that are written: every frame at its time, playable, and nothing overwritten."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from film_helpers import levels

from oneglance.errors import OneglanceError
from oneglance.video import CODECS, Film, FilmWriter, open_writer
from oneglance.video.writer import LONGEST


def grey(k: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    return np.full((size[1], size[0], 3), 30 + 7 * (k % 30), np.uint8)


def write(path: Path, times: list[float], rate: float = 10.0) -> FilmWriter:
    with open_writer(path, (64, 48), rate, "mpeg4") as film:
        for k, seconds in enumerate(times):
            film.add(grey(k), seconds)
    return film


@pytest.mark.parametrize("codec", ["auto", "vp8", "mpeg4"])
def test_what_is_written_can_be_read(tmp_path: Path, codec: str) -> None:
    with open_writer(tmp_path / "film", (64, 48), 25, codec) as film:
        for k in range(30):
            film.add(grey(k), k / 25)
    assert film.frames == 30
    assert film.path.suffix == CODECS[film.codec][1]
    assert codec in ("auto", film.codec)
    assert levels(film.path) == list(range(30))
    assert Film(film.path).rate == pytest.approx(25)


def test_a_picture_is_shown_until_the_next(tmp_path: Path) -> None:
    film = write(tmp_path / "film", [0.0, 0.1, 0.5, 0.6])
    assert levels(film.path) == [0, 1, 1, 1, 1, 2, 3]
    assert film.frames == 7


def test_pictures_that_come_too_fast_are_left_out(tmp_path: Path) -> None:
    film = write(tmp_path / "film", [0.0, 0.01, 0.02, 0.1, 0.11, 0.2])
    assert levels(film.path) == [0, 3, 5]


def test_a_clock_that_jumps_does_not_fill_the_disk(tmp_path: Path) -> None:
    film = write(tmp_path / "film", [0.0, 1e6, 1e6 + 0.1, 1e6 + 0.2])
    assert film.frames <= LONGEST * 10 + 4
    assert levels(film.path)[-3:] == [1, 2, 3]


def test_a_clock_that_stands_still_or_starts_late(tmp_path: Path) -> None:
    assert levels(write(tmp_path / "still", [0.0] * 5).path) == [0]
    assert levels(write(tmp_path / "late", [3.0, 3.1]).path)[-1] == 1


def test_odd_sides_and_pictures_of_other_sizes(tmp_path: Path) -> None:
    with open_writer(tmp_path / "odd", (63, 47), 10, "mpeg4") as film:
        film.add(grey(25, (63, 47)), 0.0)
        film.add(grey(25, (126, 94)), 0.1)
        film.add(grey(25, (20, 47)), 0.2)
    capture = cv2.VideoCapture(str(film.path), cv2.CAP_FFMPEG)
    frames = [capture.read()[1] for _ in range(3)]
    assert all(frame.shape == (48, 64, 3) for frame in frames)
    assert all(frame[10:30, 2:15].min() > 180 for frame in frames)
    assert frames[2][10:30, 40:60].max() < 40


def test_nothing_is_overwritten_and_what_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"precious")
    with pytest.raises(OneglanceError, match="ever overwritten"):
        open_writer(tmp_path / "film", (64, 48), 10, "mpeg4")
    assert (tmp_path / "film.mp4").read_bytes() == b"precious"
    with pytest.raises(OneglanceError, match="must be one of auto, h264"):
        open_writer(tmp_path / "other", (64, 48), 10, "divx")
    with pytest.raises(OneglanceError, match="may write"):
        open_writer(tmp_path / "nowhere" / "other", (64, 48), 10)


def test_a_codec_that_is_not_there_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODECS, "h264", ("????", ".mp4"))
    with pytest.raises(OneglanceError, match=r"can't write h264.*`auto`"):
        open_writer(tmp_path / "film", (64, 48), 10, "h264")
    assert list(tmp_path.iterdir()) == []
    film = open_writer(tmp_path / "film", (64, 48), 10)
    film.close()
    assert film.codec == "vp8"


def test_codecs_that_fail_are_not_heard_of(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with open_writer(tmp_path / "film", (64, 48), 10) as film:
        film.add(grey(1), 0)
    assert capfd.readouterr() == ("", "")
