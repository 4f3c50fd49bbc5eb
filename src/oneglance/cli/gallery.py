"""``oneglance enrol``, ``identify``, ``people`` and ``forget``: people whom a run knows by a few images."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from oneglance.cli.app import fail, next_step, out, progress, runs_like, say
from oneglance.cli.evaluation import Weights
from oneglance.cli.prediction import collect
from oneglance.errors import OneglanceError

if TYPE_CHECKING:
    from oneglance.recognition.enrolled import Enrolled, Match

Run = Annotated[Path, typer.Argument(help="The folder of a run that has an embedding task.", autocompletion=runs_like)]
Folder = Annotated[
    Path | None, typer.Option("--gallery", help="The gallery's folder. Default: RUN/gallery.", show_default=False)
]
Task = Annotated[
    str | None, typer.Option("--task", help="The embedding task, where the run has several.", show_default=False)
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


def enrol(
    run: Run,
    name: Annotated[str, typer.Argument(help="Whom the images show.")],
    images: Annotated[list[str], typer.Argument(help="Images of this person: files, folders, patterns.")],
    far: Annotated[
        float | None,
        typer.Option(
            help="Of a new gallery: the share of images of strangers that may be given a name. [default: 0.01]",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            "-s",
            help="Of a new gallery: the labelled split whose people, unknown to the network, say how "
            "alike different people look. Default: val, else test.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Of a new gallery: the threshold itself, instead of --far.", show_default=False),
    ] = None,
    folder: Folder = None,
    task: Task = None,
    weights: Annotated[Weights, typer.Option(help="Which weights: see `oneglance evaluate`.")] = Weights.auto,
    device: Device = "auto",
) -> None:
    """Enrol a person from a few images; the network is not trained again. More images may be added later.

    The first time a gallery is made beside the run, and its threshold is measured on people whom the network has not
    been trained on. Images of one person alone belong here: the whole image is looked at, or, where the task is asked
    about faces that a detector finds, the one face in it.

    \b
    [bold]Example[/]
      oneglance enrol runs/faces-1 'Ada Lovelace' ada1.jpg ada2.jpg ada3.jpg
      oneglance enrol runs/faces-1 Grace photos/grace --far 0.001 --split test
    """  # fmt: skip
    paths = _images(images)
    from oneglance.errors import Problems
    from oneglance.gallery import FAR, Gallery

    problems = Problems()
    place = folder or run / "gallery"
    exists = (place / "gallery.yaml").is_file()
    for option, value in (("--far", far), ("--split", split), ("--threshold", threshold)):
        if exists and value is not None:
            raise OneglanceError(f"{option}: the gallery {place} has its threshold already; `identify` has a --far")
    gallery = Gallery.open(
        run, folder=folder, task=task, far=FAR if far is None else far, split=split, threshold=threshold,
        weights=weights.value, device=device, problems=problems,
    )  # fmt: skip
    for problem in problems:
        say(str(problem), "passed over:")
    vectors = gallery.vectors(paths)
    for path, match in zip(paths, gallery.enrolled.identify(vectors), strict=True):
        if match.name is not None and match.name != name:
            say(f"{path} looks like {match.name} ({match.score:.3f}); enrolled as {name} all the same", "note:")
    gallery.enrolled.enrol(name, vectors, [str(path) for path in paths])
    say(f"{name}: {gallery.people[name]} images; {len(gallery.people)} people in {gallery.enrolled.folder}")
    say(_threshold(gallery.enrolled))
    next_step(f"oneglance identify {run} IMAGES")


def identify(
    run: Run,
    images: Annotated[list[str], typer.Argument(help="Images: files, folders (with all below them), patterns.")],
    far: Annotated[
        float | None,
        typer.Option(
            help="The share of images of strangers that may be given a name. Default: the gallery's.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a line an image (an object).")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 16,
    folder: Folder = None,
    task: Task = None,
    weights: Annotated[Weights, typer.Option(help="Which weights: see `oneglance evaluate`.")] = Weights.auto,
    device: Device = "auto",
) -> None:
    """Say who is in images: somebody enrolled, or unknown. An image that can't be read is named, and passed over.

    Where the task is asked about objects that a detector finds, each of them is named.

    \b
    [bold]Example[/]
      oneglance identify runs/faces-1 new_photos
      oneglance identify runs/faces-1 photo.jpg --far 0.001 --json
    """
    paths = _images(images)
    from oneglance.errors import Problems
    from oneglance.gallery import Gallery

    gallery = Gallery.open(run, folder=folder, task=task, create=False, weights=weights.value, device=device)
    gallery.enrolled.threshold(far)  # a rate that is none is said before any image is looked at
    problems = Problems()
    table = Table(box=None, pad_edge=False)
    for column in ("image", "who", "score"):
        table.add_column(column, overflow="fold", justify="right" if column == "score" else "left")
    with progress() as bar:
        seen = bar.add_task("looking", total=len(paths))
        for path, matches in gallery.stream(paths, batch, far, problems):
            bar.advance(seen)
            for match in matches:
                if as_json:
                    typer.echo(json.dumps({"path": str(path), **_json(match)}, ensure_ascii=False))
                    continue
                near = f" (nearest: {match.nearest})" if match.name is None and match.nearest is not None else ""
                score = f"{match.score:.3f}" if math.isfinite(match.score) else "-"
                table.add_row(str(path), match.name or f"unknown{near}", score)
            if not matches and not as_json:
                table.add_row(str(path), "nobody found", "-")
    if not as_json:
        out().print(table)
    for problem in problems:
        fail(str(problem))
    say(_threshold(gallery.enrolled, far))
    if len(problems):
        raise typer.Exit(1 if len(problems) < len(paths) else 2)


def people(
    run: Run,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: the number of images by name.")] = False,
    folder: Folder = None,
) -> None:
    """List who is enrolled, with how many images.

    \b
    [bold]Example[/]
      oneglance people runs/faces-1
    """
    from oneglance.recognition.enrolled import Enrolled

    enrolled = Enrolled.open(folder or run / "gallery")
    if as_json:
        typer.echo(json.dumps(enrolled.people, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("who", overflow="fold")
    table.add_column("images", justify="right")
    for name, count in enrolled.people.items():
        table.add_row(name, str(count))
    out().print(table)
    say(_threshold(enrolled))


def forget(
    run: Run,
    name: Annotated[str, typer.Argument(help="Whom to forget.")],
    folder: Folder = None,
) -> None:
    """Remove a person from the gallery: what was kept of the person's images is deleted.

    \b
    [bold]Example[/]
      oneglance forget runs/faces-1 'Ada Lovelace'
    """
    from oneglance.recognition.enrolled import Enrolled

    enrolled = Enrolled.open(folder or run / "gallery")
    count = enrolled.remove(name)
    say(f"{name}: {count} images forgotten; {len(enrolled.people)} people are left")


def _images(arguments: list[str]) -> list[Path]:
    from oneglance.formats.files import is_image_name

    paths = [path for path, name in collect(arguments).items() if is_image_name(name)]
    if not paths:
        raise OneglanceError(f"{', '.join(arguments)}: no image there")
    return paths


def _json(match: Match) -> dict[str, Any]:
    score = match.score if math.isfinite(match.score) else None
    where = {} if match.box is None else {"box": list(match.box)}
    return {"name": match.name, "nearest": match.nearest, "score": score, "threshold": match.threshold, **where}


def _threshold(enrolled: Enrolled, far: float | None = None) -> str:
    """Where the threshold lies, and why there."""
    at = f"the threshold is {enrolled.threshold(far):.3f}"
    facts = enrolled.facts
    if facts.threshold is not None:
        return f"{at}, as it was given"
    rate = facts.far if far is None else far
    which = f"of images of strangers at most {rate:.2%} get a name"
    if enrolled.is_measured(far):
        return f"{at}: {which}, by {facts.scores:,} scores of different people ({facts.measured_on})"
    return (
        f"{at}, the highest of all {facts.scores:,} scores of different people ({facts.measured_on}); they are too few "
        f"to say that {which}"
    )


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (enrol, identify, people, forget):
        app.command()(command)
