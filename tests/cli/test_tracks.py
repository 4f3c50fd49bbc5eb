"""From a film of drawn shapes to its tracks: the film drawn, JSON by frame, MOTChallenge's lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from oneglance.annotations import VISIBLE, Annotation, Instance, Instances, Points
from oneglance.cli import app
from oneglance.config import parse_config
from oneglance.drawing.palette import numbered
from oneglance.model import Model, Prediction
from oneglance.results import from_json
from oneglance.tasks import create_tasks
from oneglance.tracking import TrackSettings

FRAMES, RATE, WIDTH, HEIGHT, SIDE = 60, 20.0, 320, 240, 32
COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 200, 30)}


def place(shape: str, frame: int) -> tuple[int, int]:
    """The upper left corner: red goes right, blue left and in front of it, green stands."""
    return {"red": (60 + 2 * frame, 100), "blue": (180 - 2 * frame, 101), "green": (150, 20)}[shape]


def write_film(path: Path) -> Path:
    file = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), RATE, (WIDTH, HEIGHT))
    for frame in range(FRAMES):
        picture = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
        for shape, colour in COLOURS.items():
            x, y = place(shape, frame)
            picture[y : y + SIDE, x : x + SIDE] = colour[::-1]
        file.write(picture)
    file.release()
    return path


class Seer(Model):
    """A network that finds squares by their colours: what is half hidden scores less, what is hidden is not found."""

    def __init__(self) -> None:
        config = {
            "tasks": {
                "things": {"kind": "detection", "classes": ["light", "square"]},
                "middle": {"kind": "keypoints", "points": ["m"]},
            },
            "sources": [{"format": "folder", "root": "x", "tasks": ["things", "middle"]}],
        }
        self.config = parse_config(config)
        self.tasks = create_tasks(self.config.tasks)

    def predict(self, images: Any) -> list[Prediction]:
        return [Prediction(image, self.look(image), self.tasks) for image in images]

    def look(self, image: np.ndarray) -> dict[str, Annotation]:
        near = {shape: np.abs(image.astype(int) - colour).max(-1) < 60 for shape, colour in COLOURS.items()}
        items = []
        for shape, mask in near.items():
            share = float(mask.sum() / SIDE**2)
            if share < 0.3:
                continue
            ys, xs = np.nonzero(mask)
            # Of red, the part that blue leaves to be seen: what is behind it can be guessed.
            leftmost = xs.mean() <= np.nonzero(near["blue"])[1].mean()
            left = xs.min() if shape != "red" or leftmost else xs.max() + 1 - SIDE
            corners = np.array([left, ys.min(), left + SIDE, ys.max() + 1], np.float32)
            score = 0.9 * min(1.0, share) ** 3
            items.append(Instance("light" if shape == "green" else "square", corners, score=score))
        items.append(Instance("light", np.array([0, 0, 9, 9], np.float32), score=0.04))
        middle = Points(np.array([[160, 120]], np.float32), np.array([VISIBLE], np.int8), np.ones(1, np.float32))
        return {"things": Instances(tuple(items)), "middle": middle}


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("oneglance.model.load", lambda *_: Seer())
    return write_film(tmp_path / "walk.avi")


def ask(film: Path, out: Path, *options: object) -> list[dict[str, Any]]:
    result = CliRunner().invoke(app, ["predict", "run", str(film), "--out", str(out), *map(str, options)])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in (out / "films/walk.jsonl").read_text().splitlines()]


def tracks(lines: list[dict[str, Any]]) -> dict[str, set[int | None]]:
    """The numbers that each shape had, told by where it was."""
    found: dict[str, set[int | None]] = {shape: set() for shape in COLOURS}
    for line in lines:
        for item in line["answers"]["things"]["items"]:
            x2, y2 = item["box"][2:]
            at = {shape: place(shape, line["frame"]) for shape in COLOURS}
            off = {shape: abs(x2 - x - SIDE) + abs(y2 - y - SIDE) for shape, (x, y) in at.items()}
            nearest = min(off, key=lambda shape: off[shape])
            if sum(distance < 12 for distance in off.values()) == 1:  # not where one is in front of the other
                found[nearest].add(item.get("track"))
    return found


def test_a_film_of_crossing_shapes_keeps_their_numbers(film: Path, tmp_path: Path) -> None:
    lines = ask(film, tmp_path / "out", "--batch", 7)
    assert len(lines) == FRAMES
    assert tracks(lines) == {"red": {1}, "blue": {2}, "green": {3}}
    hidden = [line["frame"] for line in lines if len(line["answers"]["things"]["items"]) < 3]
    unsure = [item for line in lines for item in line["answers"]["things"]["items"] if item["score"] < 0.25]
    assert len(hidden) >= 2, "the film must hide one shape for some frames"
    assert unsure, "the film must half hide a shape that keeps its number"
    assert all(item["track"] == 1 for item in unsure)
    again = from_json(lines[0]["answers"]["things"])
    assert isinstance(again, Instances)
    assert [item.track for item in again.items] == [1, 2, 3]


def test_tracks_as_motchallenge_has_them(film: Path, tmp_path: Path) -> None:
    lines = ask(film, tmp_path / "out")
    films = tmp_path / "out/films"
    assert sorted(path.name for path in films.iterdir() if path.suffix in (".txt", ".jsonl")) == [
        "walk.jsonl",
        "walk.things.labels.txt",
        "walk.things.mot.txt",
    ]
    assert (films / "walk.things.labels.txt").read_text() == "light\nsquare\n"
    rows = [line.split(",") for line in (films / "walk.things.mot.txt").read_text().splitlines()]
    # Frames from 1; corners from 1; a square is the second class; visibility unknown.
    assert rows[0][:2] == ["1", "1"]
    np.testing.assert_allclose([float(v) for v in rows[0][2:7]], [61, 101, SIDE, SIDE, 0.9], atol=1.5)
    assert rows[0][7:] == ["2", "-1"]
    said = [(line["frame"] + 1, item["track"]) for line in lines for item in line["answers"]["things"]["items"]]
    assert [(int(row[0]), int(row[1])) for row in rows] == said


def test_the_film_is_drawn_in_the_colours_of_the_tracks(film: Path, tmp_path: Path) -> None:
    ask(film, tmp_path / "out")
    (written,) = (path for path in (tmp_path / "out/films").iterdir() if path.suffix in (".mp4", ".webm"))
    capture = cv2.VideoCapture(str(written), cv2.CAP_FFMPEG)
    pictures = []
    while True:
        good, frame = capture.read()
        if not good:
            break
        pictures.append(frame[..., ::-1])
    assert len(pictures) == FRAMES
    scale = 384 / WIDTH
    for frame in (3, 12, 55):
        for number, shape in enumerate(COLOURS, 1):
            x, y = place(shape, frame)
            # The lower edge of the box; codecs lose some of the colour.
            row, left, right = round((y + SIDE) * scale), round((x + 8) * scale), round((x + SIDE - 8) * scale)
            edge = pictures[frame][row - 2 : row + 3, left:right].astype(int)
            off = np.abs(edge - np.array(numbered(number - 1))).max(-1).min(0)
            assert np.median(off) < 60, (frame, shape)


def test_without_tracks_and_without_smoothing(film: Path, tmp_path: Path) -> None:
    lines = ask(film, tmp_path / "out", "--no-track")
    assert all("track" not in item for line in lines for item in line["answers"]["things"]["items"])
    assert not list((tmp_path / "out/films").glob("*.txt"))
    assert all(item["score"] >= 0.25 for line in lines for item in line["answers"]["things"]["items"])


def test_a_shape_hidden_for_longer_than_it_may_be_is_a_new_one(film: Path, tmp_path: Path) -> None:
    lines = ask(film, tmp_path / "out", "--lost", 0, "--no-pictures")
    found = tracks(lines)
    assert found["blue"] == {2}
    assert {1, 4} <= found["red"]


def test_every_tenth_frame_is_followed_too_where_objects_still_overlap(film: Path, tmp_path: Path) -> None:
    assert tracks(ask(film, tmp_path / "out", "--every", 4, "--no-pictures"))["green"] == {3}
    rows = (tmp_path / "out/films/walk.things.mot.txt").read_text().splitlines()
    assert {int(row.split(",")[0]) for row in rows} == {1 + frame for frame in range(0, FRAMES, 4)}


def test_a_film_that_gives_no_frame_leaves_no_files(film: Path, tmp_path: Path) -> None:
    broken = tmp_path / "none.avi"
    cv2.VideoWriter(str(broken), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), RATE, (WIDTH, HEIGHT)).release()
    arguments = ["predict", "run", str(broken), str(film), "--out", str(tmp_path / "out"), "--no-pictures"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert all(path.name.startswith("walk.") for path in (tmp_path / "out/films").iterdir())


def test_frames_from_python(film: Path) -> None:
    model = Seer()
    followed = [answer["things"] for _, answer in model.frames(film)]
    assert {item.track for answer in followed for item in answer.items} == {1, 2, 3, None}  # type: ignore[union-attr]
    strict = TrackSettings(start=0.95)
    for track in (False, strict):
        for _, answer in model.frames(film, track=track, seconds=0.3):
            things = answer["things"]
            assert isinstance(things, Instances)
            assert all(item.track is None for item in things.items)
