"""``oneglance predict``: answers for any number of images, as pictures, JSON and COCO results."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from oneglance.cli.app import INTERRUPTED, new_folder, next_folder, progress, say, say_interrupted
from oneglance.cli.evaluation import Weights
from oneglance.errors import OneglanceError


def predict(
    run: Annotated[Path, typer.Argument(help="The folder of a run, as `oneglance train` made it.")],
    images: Annotated[list[str], typer.Argument(help="Image files, folders (with all below them), patterns.")],
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A new folder. Default: predictions-1, ...", show_default=False),
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Draw the answers into pictures.")] = True,
    coco: Annotated[bool, typer.Option("--coco", help="Also write COCO results for each detection task.")] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print JSON, a line an image; write files only where --out is given."),
    ] = False,
    min_score: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out objects below this score (not in COCO results).")
    ] = 0.25,
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 16,
    weights: Annotated[Weights, typer.Option(help="Which weights: see `oneglance evaluate`.")] = Weights.auto,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Ask a trained network about images: every task's answer, in one glance each.

    Writes pictures/ with the answers drawn, predictions.json, masks/ (a palette PNG for each segmentation),
    and errors.csv where images could not be read.

    \b
    [bold]Example[/]
      oneglance predict runs/street-1 photos
      oneglance predict runs/street-1 'photos/*.jpg' --out answers --coco
      oneglance predict runs/street-1 photo.jpg --json
    """
    names = collect(images)
    folder = out_folder if out_folder is not None or as_json else next_folder(Path(), "predictions")
    if folder is not None:
        new_folder(folder)

    from oneglance.cli.answers import Answers, line_of
    from oneglance.errors import Problems
    from oneglance.ingest import write_problems
    from oneglance.model import load

    model = load(run, weights.value, device)
    problems = Problems()
    done, interrupted = 0, False
    writer = Answers(folder, model.tasks, min_score, pictures=pictures, coco=coco) if folder is not None else None
    with progress() as bar:
        seen = bar.add_task("predicting", total=len(names))

        def counted() -> Iterator[Path]:
            for path in names:
                bar.advance(seen)
                yield path

        try:
            for path, prediction in model.stream(counted(), batch, problems):
                if writer is not None:
                    writer.add(path, names[path], prediction)
                if as_json:
                    typer.echo(line_of(path, prediction, model.tasks, min_score))
                done += 1
        except KeyboardInterrupt:
            interrupted = True
        finally:
            if writer is not None:
                writer.close()
    if folder is not None and len(problems):
        write_problems(problems, folder / "errors.csv")
    for problem in list(problems)[:10]:
        say(f"[yellow]passed over:[/] {problem}")
    if len(problems) > 10:
        say(f"... and {len(problems) - 10} more" + (f": see {folder / 'errors.csv'}" if folder is not None else ""))
    say(f"{done:,} of {len(names):,} images" + (f" are answered in {folder}" if folder is not None else ""))
    if interrupted:
        say_interrupted("what was answered before is kept")
        raise typer.Exit(INTERRUPTED)
    if not done:
        raise OneglanceError("not a single image could be read")


def collect(arguments: list[str]) -> dict[Path, str]:
    """The image files that the arguments mean, each with a name that no other has: relative to its folder.

    A file that is meant twice is taken once. Raises OneglanceError for an argument that means no image.
    """
    from oneglance.formats.files import walk_images

    found: dict[Path, str] = {}
    known: set[str] = set()
    taken: set[str] = set()
    for argument in arguments:
        given = Path(argument)
        if given.is_dir():
            some = [(given / name, name) for name in walk_images(given)]
        elif given.exists():
            some = [(given, given.name)]
        else:
            # A pattern's files are called by what varies: its part from the first wildcard on.
            fixed = Path(*given.parts[: _first_wild(given)])
            # Path.glob does not take absolute patterns.
            matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207
            some = [(Path(m), os.path.relpath(m, fixed)) for m in matches if Path(m).is_file()]
        if not some:
            raise OneglanceError(f"{argument}: no image there" if given.exists() else f"{argument}: no such file")
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
