"""``oneglance explain``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from oneglance.cli.app import next_folder, out, progress, runs_like, say
from oneglance.cli.evaluation import Weights
from oneglance.cli.prediction import collect, sorted_out
from oneglance.errors import OneglanceError


class Method(StrEnum):
    """How an answer is traced back to the image."""

    gradcam = "gradcam"
    hirescam = "hirescam"
    integrated = "integrated"


class At(StrEnum):
    """Which maps Grad-CAM looks at."""

    deep = "deep"
    pyramid = "pyramid"


def explain(
    run: Annotated[
        Path, typer.Argument(help="The folder of a run, as `oneglance train` made it.", autocompletion=runs_like)
    ],
    images: Annotated[list[str], typer.Argument(help="Images: files, folders (with all below them), patterns.")],
    task: Annotated[
        list[str] | None,
        typer.Option("--task", "-t", metavar="TASK", help="Only this task (may be repeated).", show_default=False),
    ] = None,
    about: Annotated[
        list[str] | None,
        typer.Option(
            "--about", "-a", metavar="TASK=WHAT",
            help="What of a task's answer: a class, tag, point or target; #2: the second surest object; car#2: the "
            "second surest car. Default: what it says most strongly.", show_default=False,
        ),
    ] = None,
    method: Annotated[
        Method, typer.Option("--method", "-m", help="Grad-CAM, HiResCAM (stays with one object), or by pixels.")
    ] = Method.gradcam,
    at: Annotated[
        At, typer.Option(help="Of Grad-CAM and HiResCAM: the backbone's last map, or all levels of the pyramid.")
    ] = At.deep,
    check: Annotated[bool, typer.Option(help="Compare with random weights; takes four times as long.")] = True,
    weights: Annotated[Weights, typer.Option(help="Which weights: see `oneglance evaluate`.")] = Weights.auto,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A new folder. Default: explanations-1, ...", show_default=False),
    ] = None,
) -> None:  # fmt: skip
    """What did the network look at? Each task's answer traced back to the image, all tasks side by side.

    Writes a picture an image, explain.html and explain.json: with several images also which tasks look at the same, and
    whether they do so more than with random weights.

    \b
    [bold]Example[/]
      oneglance explain runs/pets-1 cat.jpg
      oneglance explain runs/pets-1 photos --task breed --task head --about head=#2
      oneglance explain runs/pets-1 cat.jpg --about breed=Bengal --method integrated --out why
    """
    stills, films = sorted_out(collect(images))
    if films:
        raise OneglanceError(f"{next(iter(films))}: a film; its frames are explained one by one, as images")
    wanted: dict[str, str] = {}
    for one in about or ():
        name, separator, what = one.partition("=")
        if not separator or not what:
            raise OneglanceError(f"--about {one!r}: write it as TASK=WHAT, such as breed=Bengal or head=#2")
        wanted[name] = what

    from oneglance.errors import Problems
    from oneglance.explaining import api
    from oneglance.explaining.page import in_words

    folder = out_folder or next_folder(Path(), "explanations")
    problems = Problems()
    with progress() as bar:
        seen = bar.add_task("explaining", total=len(stills))
        made = api.explain(
            run, stills, folder, tasks=task, about=wanted, method=method.value, at=at.value, check=check,
            weights=weights.value, device=device, problems=problems, on_image=lambda: bar.advance(seen),
        )  # fmt: skip
    for problem in problems:
        say(str(problem))
    if made.checks is not None:
        table = Table(title=Text("how alike with random weights"), title_justify="left", title_style="bold", box=None)
        for heading in ("task", *made.checks):
            table.add_column(heading)
        for name in made.tasks:
            table.add_row(Text(name, "cyan"), *(str(of[name]) if name in of else "-" for of in made.checks.values()))
        out().print(table)
    for line in in_words(made):
        out().print(Text(line), soft_wrap=True)
    say(f"the pictures are in {made.images[0].picture.parent}")
    say(f"the page is {made.page}")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(explain)
