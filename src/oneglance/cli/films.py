"""What ``oneglance predict`` writes of a film or a camera: the film with the answers drawn, and a line a frame."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import Progress

from oneglance.cli.answers import describe
from oneglance.drawing import draw
from oneglance.errors import Problems
from oneglance.model import Model, Prediction
from oneglance.video import Film, FilmWriter, Moment, open_writer

#: Threads that draw, and how many pictures they may be ahead of the file.
DRAWERS, DRAWN_AHEAD = 2, 4


class FilmAnswers:
    """``films/NAME.jsonl``, a line a frame, and beside it the film with the answers drawn, in new files.

    Both are whole however early they are closed. Memory does not grow with the number of frames.
    """

    def __init__(self, folder: Path, name: str, film: Film, codec: str) -> None:
        self._stem = folder / "films" / name
        self._stem.parent.mkdir(parents=True, exist_ok=True)
        self._rate, self._codec = film.rate / film.every, codec
        self._lines = self._stem.with_name(self._stem.name + ".jsonl").open("x", encoding="utf-8")
        self.written: FilmWriter | None = None

    def add(self, line: str, picture: NDArray[np.uint8] | None, seconds: float) -> None:
        """Write one frame: its answers as JSON, and its picture, uint8 [H, W, 3] RGB."""
        self._lines.write(line + "\n")
        if picture is None:
            return
        if self.written is None:
            size = (picture.shape[1], picture.shape[0])
            self.written = open_writer(self._stem, size, self._rate, self._codec)
        self.written.add(picture, seconds)

    def close(self) -> None:
        """End both files."""
        try:
            if self.written is not None:
                self.written.close()
        finally:
            empty = self._lines.tell() == 0
            self._lines.close()
            if empty:  # not one frame could be read; errors.csv says why
                Path(self._lines.name).unlink()


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


@dataclass(frozen=True)
class Wanted:
    """What the user wants of each film: frames at a time, the lowest score of objects, pictures, lines of JSON."""

    batch: int
    min_score: float
    drawn: bool
    as_json: bool


def answer_film(
    model: Model, film: Film, answers: FilmAnswers | None, wanted: Wanted, bar: Progress, problems: Problems
) -> Generator[int]:
    """Ask about every frame and write what comes; gives the number of frames written so far, after each."""
    seen = bar.add_task(Path(film.name).name, total=film.count)
    done, drawn = 0, wanted.drawn and answers is not None
    pool = ThreadPoolExecutor(DRAWERS)
    pending: deque[tuple[str, float, Any]] = deque()

    def write() -> None:
        nonlocal done
        line, seconds, picture = pending.popleft()
        if answers is not None:
            answers.add(line, picture.result() if picture is not None else None, seconds)
        if wanted.as_json:
            typer.echo(line)
        done += 1
        if film.count is not None and done > film.count:
            bar.update(seen, total=None)
        bar.advance(seen)

    try:
        with closing(model.frames(film, wanted.batch, problems=problems)) as frames:
            for moment, prediction in frames:
                line = frame_line(film.name, moment, prediction, model, wanted.min_score)
                picture = pool.submit(_drawn, prediction, model, wanted.min_score) if drawn else None
                pending.append((line, moment.seconds, picture))
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
