"""What ``oneglance predict`` writes of a film or a camera: it with the answers drawn, a line a frame, and tracks."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import Progress

from oneglance.annotations import Instances
from oneglance.cli.answers import describe
from oneglance.drawing import draw
from oneglance.errors import Problems
from oneglance.model import Model, Prediction
from oneglance.tracking import TrackSettings, mot_lines
from oneglance.video import Film, FilmWriter, Moment, open_writer

#: Threads that draw, and how many pictures they may be ahead of the file.
DRAWERS, DRAWN_AHEAD = 2, 4


class FilmAnswers:
    """``films/NAME.jsonl``, a line a frame, and beside it the film with the answers drawn, in new files.

    With each task whose objects are ``tracked`` (its classes by its name), ``NAME.TASK.mot.txt``, in MOTChallenge's
    format, and ``NAME.TASK.labels.txt``, the names of its classes, a line each, the first being 1 there.

    All are whole however early they are closed. Memory does not grow with the number of frames.
    """

    def __init__(
        self, folder: Path, name: str, film: Film, codec: str, tracked: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        self._stem = folder / "films" / name
        self._stem.parent.mkdir(parents=True, exist_ok=True)
        self._rate, self._codec = film.rate / film.every, codec
        self._lines = self._beside("jsonl").open("x", encoding="utf-8")
        self._tracks = {task: self._beside(f"{task}.mot.txt").open("x", encoding="utf-8") for task in tracked or {}}
        for task, classes in (tracked or {}).items():
            with self._beside(f"{task}.labels.txt").open("x", encoding="utf-8") as file:
                file.writelines(f"{label}\n" for label in classes)
        self.written: FilmWriter | None = None

    def add(
        self, line: str, tracks: Mapping[str, Sequence[str]], picture: NDArray[np.uint8] | None, seconds: float
    ) -> None:
        """Write one frame: its answers as JSON, the lines of its tracks by task, its picture, uint8 [H, W, 3] RGB."""
        self._lines.write(line + "\n")
        for task, lines in tracks.items():
            self._tracks[task].writelines(f"{one}\n" for one in lines)
        if picture is None:
            return
        if self.written is None:
            size = (picture.shape[1], picture.shape[0])
            self.written = open_writer(self._stem, size, self._rate, self._codec)
        self.written.add(picture, seconds)

    def close(self) -> None:
        """End all files."""
        try:
            if self.written is not None:
                self.written.close()
        finally:
            empty = self._lines.tell() == 0
            for file in (self._lines, *self._tracks.values()):
                file.close()
            if empty:  # not one frame could be read; errors.csv says why
                for file in (self._lines, *self._tracks.values()):
                    Path(file.name).unlink()
                for task in self._tracks:
                    self._beside(f"{task}.labels.txt").unlink()

    def _beside(self, ending: str) -> Path:
        return self._stem.with_name(f"{self._stem.name}.{ending}")


def frame_line(name: str, moment: Moment, prediction: Prediction, model: Model, min_score: float) -> str:
    """One frame's answers as one line of JSON; class maps as runs ``[class, length]``, row by row."""
    entry: dict[str, Any] = describe(Path(name), prediction, model.tasks, min_score)
    entry = {
        "path": name,
        "frame": moment.number,
        "seconds": round(moment.seconds, 6),
        **{key: entry[key] for key in ("width", "height", "answers")},
    }
    return json.dumps(entry, ensure_ascii=False)


def tracked_tasks(model: Model) -> dict[str, tuple[str, ...]]:
    """The tasks whose answers are objects, with their classes."""
    return {name: task.classes for name, task in model.tasks.items() if task.annotation is Instances}


def tracks_of(moment: Moment, prediction: Prediction, model: Model) -> dict[str, list[str]]:
    """The lines of one frame's tracks, by task."""
    found = {name: (prediction[name], classes) for name, classes in tracked_tasks(model).items()}
    return {
        name: mot_lines(moment.number, answer, classes)
        for name, (answer, classes) in found.items()
        if isinstance(answer, Instances)
    }


@dataclass(frozen=True)
class Wanted:
    """What the user wants of each film: frames at a time, the lowest score of objects, pictures, lines of JSON, and how
    objects are followed (None: not at all)."""

    batch: int
    min_score: float
    drawn: bool
    as_json: bool
    track: TrackSettings | None


def answer_film(
    model: Model, film: Film, answers: FilmAnswers | None, wanted: Wanted, bar: Progress, problems: Problems
) -> Generator[int]:
    """Ask about every frame and write what comes; gives the number of frames written so far, after each."""
    seen = bar.add_task(Path(film.name).name, total=film.count)
    done, drawn = 0, wanted.drawn and answers is not None
    pool = ThreadPoolExecutor(DRAWERS)
    pending: deque[tuple[str, dict[str, list[str]], float, Any]] = deque()

    def write() -> None:
        nonlocal done
        line, tracks, seconds, picture = pending.popleft()
        if answers is not None:
            answers.add(line, tracks, picture.result() if picture is not None else None, seconds)
        if wanted.as_json:
            typer.echo(line)
        done += 1
        if film.count is not None and done > film.count:
            bar.update(seen, total=None)
        bar.advance(seen)

    try:
        asked = model.frames(film, wanted.batch, track=wanted.track or False, problems=problems)
        with closing(asked) as frames:
            for moment, prediction in frames:
                line = frame_line(film.name, moment, prediction, model, wanted.min_score)
                picture = pool.submit(_drawn, prediction, model, wanted.min_score) if drawn else None
                tracks = tracks_of(moment, prediction, model) if wanted.track is not None else {}
                pending.append((line, tracks, moment.seconds, picture))
                if len(pending) > DRAWN_AHEAD:
                    write()
                    yield done
            while pending:
                write()
                yield done
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        bar.remove_task(seen)


def _drawn(prediction: Prediction, model: Model, min_score: float) -> NDArray[np.uint8]:
    return draw(prediction.image, prediction, model.tasks, min_score=min_score, steady=True)
