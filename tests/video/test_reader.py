"""Films as they are, and everything that calls itself a film: read in order and in time, or refused in words."""

from __future__ import annotations

import wave
from pathlib import Path

import cv2
import numpy as np
import pytest
from film_helpers import promising, turned, write_film

from oneglance.video import Film, FilmError, is_film, reader


def seen(film: Film) -> list[tuple[int, float, int]]:
    """(number, seconds, frame that is shown) of every frame."""
    return [(m.number, m.seconds, round((float(f[30:40, 30:60].mean()) - 27) / 7)) for m, f in film]


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv", "a.webm", "a.mov"])
def test_every_frame_in_order_and_in_time(tmp_path: Path, name: str) -> None:
    with Film(write_film(tmp_path / name)) as film:
        assert (film.width, film.height, film.rate) == (64, 48, 10.0)
        assert film.count == pytest.approx(20, abs=1)
        found = seen(film)
    assert [(number, shown) for number, _, shown in found] == [(k, k) for k in range(20)]
    np.testing.assert_allclose([seconds for _, seconds, _ in found], np.arange(20) / 10, atol=0.002)
    assert film.trouble is None


def test_frames_are_rgb_and_writable(tmp_path: Path) -> None:
    file = cv2.VideoWriter(str(tmp_path / "red.avi"), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    file.write(np.full((48, 64, 3), (0, 0, 255), np.uint8))
    file.release()
    ((_, frame),) = list(Film(tmp_path / "red.avi"))
    assert frame.dtype == np.uint8
    assert frame.shape == (48, 64, 3)
    assert frame[..., 0].min() > 200
    assert frame[..., 2].max() < 60


def test_each_nth_frame_and_the_first_seconds(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4")
    film = Film(path, every=3, seconds=1.05)
    assert film.count == 4
    assert [number for number, _, _ in seen(film)] == [0, 3, 6, 9]
    assert film.trouble is None
    for wrong in ({"every": 0}, {"seconds": 0}, {"seconds": float("nan")}):
        with pytest.raises(FilmError, match="must be"):
            Film(path, **wrong)


def test_rotation_in_the_header_is_applied(tmp_path: Path) -> None:
    film = Film(turned(write_film(tmp_path / "a.mp4"), tmp_path / "b.mp4"))
    assert (film.width, film.height) == (48, 64)
    _, frame = next(iter(film))
    assert frame.shape == (64, 48, 3)
    assert frame[4:12, -12:-4].min() > 200  # the corner came from the left to the right
    assert frame[4:12, 4:12].max() < 60


def test_a_header_that_promises_too_much(tmp_path: Path) -> None:
    film = Film(promising(write_film(tmp_path / "a.avi"), tmp_path / "b.avi", 5000))
    assert len(seen(film)) == 20
    assert film.trouble is not None
    assert "20 of the" in film.trouble


def test_a_header_that_promises_too_little(tmp_path: Path) -> None:
    film = Film(promising(write_film(tmp_path / "a.avi"), tmp_path / "b.avi", 3))
    assert len(seen(film)) == 20


@pytest.mark.parametrize("name", ["a.avi", "a.mkv", "a.webm"])
def test_a_film_cut_off_gives_what_is_there(tmp_path: Path, name: str) -> None:
    whole = write_film(tmp_path / name, 60).read_bytes()
    (tmp_path / f"cut-{name}").write_bytes(whole[: len(whole) * 6 // 10])
    film = Film(tmp_path / f"cut-{name}")
    found = seen(film)
    assert 5 < len(found) < 60
    if film.count is not None:
        assert film.trouble is None or f"ended after {len(found)}" in film.trouble
    if name == "a.avi":
        assert film.trouble is not None


def test_what_is_no_film_is_refused_in_words(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4").read_bytes()
    sound = tmp_path / "sound.mp4"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(8000))
    cases = {
        "empty.mp4": (b"", "the file is empty"),
        "cut.mp4": (film[: len(film) // 2], "its index"),
        "track.mp4": (film.replace(b"vide", b"soun"), "sound only"),
        "web.mp4": (b"<!DOCTYPE html><p>404", "a web page"),
        "list.mp4": (b"#EXTM3U\n/etc/passwd\n", "a playlist"),
        "text.mp4": (b"hello" * 100, "not a film"),
        "image.mp4": (b"\x89PNG\r\n\x1a\n" + bytes(100), "an image"),
        "junk.mkv": (b"\x1aE\xdf\xa3" + bytes(5000), "no pictures in it"),
        "junk.avi": (b"RIFF\xff\xff\0\0AVI " + bytes(5000), r"no pictures in it|not one frame"),
    }
    for name, (data, said) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FilmError, match=said) as error:
            list(Film(tmp_path / name))
        assert str(tmp_path / name) in str(error.value)
    with pytest.raises(FilmError, match="sound only"):
        Film(sound)
    with pytest.raises(FilmError, match="no such file"):
        Film(tmp_path / "none.mp4")
    with pytest.raises(FilmError, match="a folder"):
        Film(tmp_path)


def test_a_film_of_no_frames(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match=r"not one frame|no pictures"):
        list(Film(write_film(tmp_path / "a.avi", 0)))


def test_too_large_a_film_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oneglance.decode import limits

    path = write_film(tmp_path / "a.mp4")
    monkeypatch.setattr(limits, "MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(FilmError, match="64 x 48 pixels; at most"):
        Film(path)


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(FilmError, match=r"camera 97: can't be opened.*plugged in"):
        Film(97)
    with pytest.raises(FilmError, match="numbered from 0"):
        Film(-1)


class Camera:
    """Stands for a cv2.VideoCapture that gives ``frames`` pictures and then fails."""

    def __init__(self, frames: int) -> None:
        self.left, self.released = frames, False

    def isOpened(self) -> bool:
        return True

    def get(self, what: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: 64.0, cv2.CAP_PROP_FRAME_HEIGHT: 48.0}.get(what, -1.0)

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.zeros((48, 64, 3), np.uint8)

    def release(self) -> None:
        self.released = True


def test_a_camera_has_a_clock_and_may_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Camera(5)
    monkeypatch.setattr(reader, "_open_camera", lambda _: camera)
    film = Film(0)
    assert film.is_camera
    assert film.count is None
    assert film.rate == reader.CAMERA_RATE
    times = [moment.seconds for moment, _ in film]
    assert len(times) == 5
    assert times == sorted(times)
    assert film.trouble is not None
    assert "plugged in" in film.trouble
    assert camera.released


def test_a_camera_without_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_open_camera", lambda _: Camera(0))
    with pytest.raises(FilmError, match="gives no picture"):
        list(Film(0))


def test_films_are_known_by_name_or_by_their_first_bytes(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4")
    nameless = tmp_path / "film"
    nameless.write_bytes(path.read_bytes())
    assert is_film(path)
    assert is_film(nameless)
    (tmp_path / "text").write_text("x")
    assert not is_film(tmp_path / "text")
    assert not is_film(tmp_path / "nowhere")
    assert is_film(tmp_path / "NOWHERE.MP4")
