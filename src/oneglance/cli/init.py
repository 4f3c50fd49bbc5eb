"""``oneglance init``: a look at a folder, and a YAML for what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oneglance.cli.app import as_command, next_step, say
from oneglance.errors import OneglanceError

#: So many image headers are read to choose the input size.
GLANCE = 64


def init(
    folder: Annotated[Path, typer.Argument(help="The folder with images and labels.")],
    out_file: Annotated[Path, typer.Option("--out", "-o", help="The YAML to write.")] = Path("oneglance.yaml"),
) -> None:
    """Look at a folder, recognise what is in it, and write a YAML to train by. Nothing is ever overwritten.

    \b
    [bold]Example[/]
      oneglance init photos
      oneglance init /data/street --out street.yaml
    """
    if out_file.exists():
        raise OneglanceError(f"{out_file}: exists already, and nothing is ever overwritten: choose another --out")
    if not folder.is_dir():
        wrong = (
            "is a file; give the folder that holds the images and the labels" if folder.exists() else "no such folder"
        )
        raise OneglanceError(f"{folder}: {wrong}")
    from oneglance.cli.plan import Plan, where
    from oneglance.formats import FORMATS, recognise

    found = recognise(folder)
    if not found:
        raise OneglanceError(
            f"{folder}: nothing is recognised; looked for {', '.join(FORMATS)}. Give the folder that holds both "
            "the images and the labels; or write the YAML by hand (docs/formats.md)"
        )
    plan = Plan()
    for suggestion in found:
        plan.add(suggestion, folder, out_file.parent)
    if not plan.sources:
        raise OneglanceError(f"{folder}: nothing there can be trained by: {'; '.join(plan.left)}")
    plan.finish()
    out_file.parent.mkdir(parents=True, exist_ok=True)
    with out_file.open("x", encoding="utf-8") as file:
        file.write(plan.text(folder, _input_size(folder)))
    for source in plan.sources:
        split = f" ({source['split']})" if source.get("split") else ""
        say(f"{source['format']} in {where(source, folder)}{split}: {', '.join(source['tasks'])}", "found", "bold")
    for note in dict.fromkeys(plan.notes):
        say(str(note), "note:")
    for left in plan.left:
        say(str(left), "left out:")
    say(f"written: {out_file}")
    next_step(as_command("check", out_file))


def _input_size(folder: Path) -> int:
    """The side of a square that the usual image is not enlarged much in: 64 to 320, a multiple of 32."""
    from itertools import islice

    from oneglance.decode import ImageError, read_size
    from oneglance.formats.files import walk_images

    sides = []
    for name in islice(walk_images(folder), GLANCE):
        try:
            sides.append(max(read_size(folder / name)))
        except ImageError:
            continue
    usual = sorted(sides)[len(sides) // 2] if sides else 320
    return min(320, max(64, -(-usual // 32) * 32))


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(init)
