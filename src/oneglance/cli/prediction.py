"""``oneglance predict``: answers for images, films and cameras, as pictures, films, JSON and COCO results."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer
from rich.progress import Progress

from oneglance.cli.app import INTERRUPTED, new_folder, next_folder, progress, runs_like, say, say_interrupted
from oneglance.cli.evaluation import Weights
from oneglance.errors import OneglanceError


class Codec(StrEnum):
    """What a film is written as: H.264 where OpenCV can (otherwise VP8), or one of them by name."""

    auto = "auto"
    h264 = "h264"
    vp8 = "vp8"
    mpeg4 = "mpeg4"


def predict(
    run: Annotated[
        Path,
        typer.Argument(help="The folder of a run, as `oneglance train` made it.", autocompletion=runs_like),
    ],
    images: Annotated[
        list[str] | None,
        typer.Argument(help="Images and films: files, folders (with all below them), patterns.", show_default=False),
    ] = None,
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A new folder. Default: predictions-1, ...", show_default=False),
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Draw the answers into pictures and films.")] = True,
    coco: Annotated[
        bool, typer.Option("--coco", help="Also write COCO results of the images for each detection task.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print JSON, a line an image or frame; write files only where --out is given."),
    ] = False,
    min_score: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out objects below this score (not in COCO results).")
    ] = 0.25,
    batch: Annotated[int, typer.Option(min=1, help="Images or frames at a time.")] = 16,
    weights: Annotated[Weights, typer.Option(help="Which weights: see `oneglance evaluate`.")] = Weights.auto,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    camera: Annotated[
        int | None,
        typer.Option(min=0, help="Ask about what this camera sees, until Ctrl-C; 0 is the first.", show_default=False),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Only each such frame of a film or camera.")] = 1,
    seconds: Annotated[
        float | None,
        typer.Option(help="Only so many seconds of each film and of the camera.", show_default=False),
    ] = None,
    codec: Annotated[
        Codec, typer.Option(help="Of films: h264 (.mp4) where OpenCV can, or vp8 (.webm); mpeg4 is quick to write.")
    ] = Codec.auto,
    track: Annotated[
        bool, typer.Option(help="In films, give each object a number that it keeps, and write its track.")
    ] = True,
    smooth: Annotated[
        bool, typer.Option(help="In films that are tracked, steady the points of objects and of the image.")
    ] = True,
    lost: Annotated[
        float, typer.Option(min=0, help="Seconds for which an object that is hidden keeps its number.")
    ] = 1.0,
) -> None:
    """Ask a trained network about images, films or a camera: every task's answer, in one glance each.

    Of images: pictures/ with the answers drawn, predictions.json, masks/ with a PNG a segmentation.

    Of films and the camera: films/ with the answers drawn into the film, and NAME.jsonl, a line a frame. Objects are
    followed: each has a number, from 1, and the colour of its number; NAME.TASK.mot.txt holds the tracks in the format
    of MOTChallenge. An object that scores --min-score or more in two frames running gets a number, and keeps it where
    it scores less.

    What can't be read is passed over and named in errors.csv.

    \b
    [bold]Example[/]
      oneglance predict runs/street-1 photos
      oneglance predict runs/street-1 'photos/*.jpg' --out answers --coco
      oneglance predict runs/street-1 photo.jpg --json
      oneglance predict runs/street-1 film.mp4 --every 2
      oneglance predict runs/street-1 film.mp4 --lost 3
      oneglance predict runs/street-1 film.mp4 --no-track
      oneglance predict runs/street-1 --camera 0 --seconds 60
    """
    if not images and camera is None:
        raise OneglanceError("nothing to look at: name images, films or folders after the run, or give --camera 0")
    if seconds is not None and not seconds > 0:
        raise OneglanceError(f"--seconds {seconds:g}: must be more than 0")
    stills, films = sorted_out(collect(images or []))

    from oneglance.cli.answers import Answers, line_of
    from oneglance.cli.films import FilmAnswers, Wanted, answer_film, tracked_tasks
    from oneglance.errors import Problems, bare
    from oneglance.ingest import write_problems
    from oneglance.model import load
    from oneglance.tracking import TrackSettings
    from oneglance.video import Film, FilmError

    model = load(run, weights.value, device)
    seen_by_camera = Film(camera, every=every, seconds=seconds) if camera is not None else None
    folder = out_folder if out_folder is not None or as_json else next_folder(Path(), "predictions")
    if folder is not None:
        new_folder(folder)
    following = None
    if track:
        keep = min(TrackSettings().keep, min_score)
        following = TrackSettings(start=min_score, keep=keep, lost=lost, smooth=smooth)
    problems = Problems()
    done, frames, interrupted = 0, 0, False
    codecs: set[str] = set()

    def ask_images(bar: Progress) -> None:
        nonlocal done
        seen = bar.add_task("predicting", total=len(stills))

        def counted() -> Iterator[Path]:
            for path in stills:
                bar.advance(seen)
                yield path

        with ExitStack() as stack:
            writer = Answers(folder, model.tasks, min_score, pictures=pictures, coco=coco) if folder else None
            if writer is not None:
                stack.callback(writer.close)
            for path, prediction in stack.enter_context(closing(model.stream(counted(), batch, problems))):
                if writer is not None:
                    writer.add(path, stills[path], prediction)
                if as_json:
                    typer.echo(line_of(path, prediction, model.tasks, min_score))
                done += 1

    def ask_film(bar: Progress, film: Film, name: str) -> None:
        nonlocal frames
        before = frames
        with ExitStack() as stack:
            stack.callback(film.close)
            tracked = tracked_tasks(model) if track else {}
            writer = FilmAnswers(folder, name, film, codec.value, tracked) if folder else None
            if writer is not None:
                stack.callback(lambda: codecs.update({writer.written.codec} if writer.written else ()))
                stack.callback(writer.close)
            wanted = Wanted(batch, min_score, drawn=pictures, as_json=as_json, track=following)
            answered = answer_film(model, film, writer, wanted, bar, problems)
            for count in stack.enter_context(closing(answered)):
                frames = before + count

    with progress() as bar:
        try:
            if stills:
                ask_images(bar)
            for path, name in films.items():
                try:
                    ask_film(bar, Film(path, every=every, seconds=seconds), name)
                except FilmError as error:
                    problems.add(path, bare(error, path))
            if seen_by_camera is not None:
                ask_film(bar, seen_by_camera, f"camera-{camera}")
        except KeyboardInterrupt:
            interrupted = True
    if folder is not None and len(problems):
        write_problems(problems, folder / "errors.csv")
    for problem in list(problems)[:10]:
        say(str(problem), "passed over:")
    if len(problems) > 10:
        say(f"... and {len(problems) - 10} more" + (f": see {folder / 'errors.csv'}" if folder is not None else ""))
    counts = [f"{done:,} of {len(stills):,} images"] if stills else []
    counts += [f"{frames:,} frames"] if films or camera is not None else []
    if done or frames:
        say(" and ".join(counts) + (f" are answered in {folder}" if folder is not None else ""))
    for remark in sorted(_PLAYED[name] for name in codecs if name in _PLAYED):
        say(remark)
    if interrupted:
        say_interrupted("what was answered before is kept")
        if not (camera is not None and frames):  # how a camera's film is meant to end
            raise typer.Exit(INTERRUPTED)
    if not done and not frames:
        raise OneglanceError("not a single image or film could be read; see what was passed over")


_PLAYED = {
    "vp8": "films are VP8 (.webm), for browsers and most players: OpenCV can't write H.264 here, which all can play",
    "mpeg4": "films are MPEG-4, which players show, but no browser does; --codec vp8 is for browsers",
}


def sorted_out(found: dict[Path, str]) -> tuple[dict[Path, str], dict[Path, str]]:
    """The images with their names, and the films with names that no two share when their endings are left off."""
    from oneglance.formats.files import is_image_name
    from oneglance.video import is_film, is_film_name

    images: dict[Path, str] = {}
    films: dict[Path, str] = {}
    taken: set[str] = set()
    for path, name in found.items():
        if is_image_name(name) or not (is_film_name(name) or is_film(path)):
            images[path] = name
            continue
        short = str(PurePosixPath(name).with_suffix(""))
        if short.lower() in taken:
            short = name
        taken.add(short.lower())
        films[path] = short
    return images, films


def collect(arguments: list[str]) -> dict[Path, str]:
    """The images and films that the arguments mean, each with a name that no other has: relative to its folder.

    A file that is meant twice is taken once. Raises OneglanceError for an argument that means nothing.
    """
    from oneglance.formats.files import is_image_name, walk
    from oneglance.video import is_film_name

    found: dict[Path, str] = {}
    known: set[str] = set()
    taken: set[str] = set()
    for argument in arguments:
        given = Path(argument)
        if given.is_dir():
            some = [(given / name, name) for name in walk(given) if is_image_name(name) or is_film_name(name)]
        elif given.exists():
            some = [(given, given.name)]
        else:
            # A pattern's files are called by what varies: its part from the first wildcard on.
            fixed = Path(*given.parts[: _first_wild(given)])
            # Path.glob does not take absolute patterns.
            matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207
            some = [(Path(m), os.path.relpath(m, fixed)) for m in matches if Path(m).is_file()]
        if not some:
            missing = "no image and no film below it" if given.exists() else "no such file or folder"
            raise OneglanceError(f"{argument}: {missing}")
        for path, name in some:
            place = os.path.realpath(path)
            if place in known:
                continue
            known.add(place)
            found[path] = _free(name.replace(os.sep, "/"), path, taken)
    return found


def _first_wild(path: Path) -> int:
    return next((k for k, part in enumerate(path.parts) if glob.has_magic(part)), len(path.parts) - 1)


def _free(name: str, path: Path, taken: set[str]) -> str:
    """``name``, or one with more of the path's folders, or a number, in front: whatever is not taken."""
    parts = [part for part in path.absolute().parts if part != os.sep]
    own = len(Path(name).parts)
    longer = ["/".join(parts[-k:]) for k in range(own + 1, len(parts) + 1)]
    numbered = (f"{k}/{name}" for k in range(2, 1_000_000))
    for candidate in (name, *longer):
        if candidate.lower() not in taken:
            taken.add(candidate.lower())
            return candidate
    free = next(candidate for candidate in numbered if candidate not in taken)
    taken.add(free)
    return free


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(predict)
