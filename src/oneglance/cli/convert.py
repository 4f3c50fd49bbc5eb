"""``oneglance convert``: from one format to another."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oneglance.cli.app import as_command, next_step, say
from oneglance.errors import OneglanceError, nearest

if TYPE_CHECKING:
    from oneglance.formats import SourceSettings
    from oneglance.manifest import Columns


class Copying(StrEnum):
    """What becomes of the images."""

    link = "link"
    copy = "copy"
    none = "none"


def convert(
    out: Annotated[Path, typer.Argument(help="The new folder.")],
    more: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="The format to write: coco, voc, yolo, ...", show_default=False)
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Convert the source of this YAML instead of --from.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Which source of the YAML, by its name or number (from 0).")
    ] = None,
    format_name: Annotated[str | None, typer.Option("--from", help="The format to read.")] = None,
    root: Annotated[Path | None, typer.Option(help="The data set's folder.")] = None,
    images: Annotated[Path | None, typer.Option(help="The folder of the images.")] = None,
    labels: Annotated[Path | None, typer.Option(help="The labels: a file or a folder, as the format has it.")] = None,
    classes: Annotated[
        str | None, typer.Option(help="Class names, separated by commas. Default: those found in the labels.")
    ] = None,
    copying: Annotated[
        Copying, typer.Option("--copy", help="Hard-link the images, copy them, or write the labels alone.")
    ] = Copying.link,
) -> None:
    """Write a data set in another format, and say what the other format can't hold.

    \b
    [bold]Example[/]
      oneglance convert --from coco --labels x.json --images photos --to yolo new
      oneglance convert --config street.yaml --source camvid --to coco new
    """
    if more:
        raise OneglanceError(
            f"one folder too many ({', '.join(map(str, (out, *more)))}): only the new one stands by itself; what is "
            f"read is given by --root, such as {as_command('convert', '--from', format_name or 'voc', '--root', out)} "
            f"--to {to or 'coco'} {shlex.quote(more[-1])}"
        )
    if (config is None) == (format_name is None):
        raise OneglanceError("say what to read: --from FORMAT with --root (or --labels and --images), or --config YAML")
    from oneglance.errors import Problems
    from oneglance.formats import FORMATS
    from oneglance.formats import convert as convert_source
    from oneglance.formats.base import WriteOptions

    if to is None:
        raise OneglanceError(f"say what to write: --to FORMAT; known: {', '.join(FORMATS)}")
    for name in (to, format_name):
        if name is not None and name not in FORMATS:
            raise OneglanceError(f"no format {name!r}{nearest(name, FORMATS)}; known: {', '.join(FORMATS)}")
    if config is not None:
        given, columns = _from_config(config, source)
        base = config.parent
    else:
        paths = {"root": root, "images": images, "labels": labels}
        assert format_name is not None
        given, columns = _from_options(format_name, paths, classes.split(",") if classes else [])
        base = Path()
    problems = Problems()
    lost = convert_source(given, to, out, columns, base, WriteOptions(images=copying.value), problems)
    for sentence in lost:
        say(sentence, "not kept:")
    for problem in list(problems)[:20]:
        say(str(problem), "passed over:")
    if len(problems) > 20:
        say(f"... and {len(problems) - 20} more")
    say(f"written to {out}")
    next_step(as_command("init", out))


def _from_config(path: Path, wanted: str | None) -> tuple[SourceSettings, Columns]:
    from oneglance.config import load_config
    from oneglance.tasks import columns_of, create_tasks

    config = load_config(path)
    names = [source.source_name(path.parent) for source in config.sources]
    if wanted is None and len(names) > 1:
        raise OneglanceError(
            f"{path} has {len(names)} sources: say which, --source NAME or number (from 0); they are {', '.join(names)}"
        )
    if wanted is None:
        index = 0
    elif wanted in names:
        index = names.index(wanted)
        if names.count(wanted) > 1:
            raise OneglanceError(f"{names.count(wanted)} sources are called {wanted!r}; give the number, from 0")
    elif wanted.isdigit() and int(wanted) < len(names):
        index = int(wanted)
    else:
        raise OneglanceError(f"no source {wanted!r}{nearest(wanted, names)}; known: {', '.join(names)}")
    columns = columns_of(create_tasks(config.tasks))
    return config.sources[index], columns


def _from_options(
    format_name: str, paths: dict[str, Path | None], classes: list[str]
) -> tuple[SourceSettings, Columns]:
    """The source that the options describe, completed by a look at its folder."""
    from pydantic import ValidationError

    from oneglance.formats import FORMATS, Suggestion
    from oneglance.manifest import Column

    model = FORMATS[format_name]
    given = {key: path for key, path in paths.items() if path is not None}
    for key in given:
        if key not in model.model_fields:
            known = ", ".join(f"--{key}" for key in paths if key in model.model_fields)
            raise OneglanceError(f"--{key}: {format_name} has no such key; it takes {known}")
    folder = _common(list(given.values()))
    if folder is None:
        raise OneglanceError("say where the data is: --root, or --images and --labels")
    found: list[Suggestion] = model.recognise(folder)
    fitting = [one for one in found if _fits(one.source, given, folder)]
    if not fitting:
        raise OneglanceError(f"{folder}: no {format_name} data set is found there; `oneglance init` says what is")
    if len(fitting) > 1:
        where = "; ".join(str(one.source.get("labels", one.source.get("root"))) for one in fitting)
        raise OneglanceError(f"{folder}: holds several: {where}; give --labels, or write a YAML and use --config")
    suggestion = fitting[0]
    data: dict[str, Any] = {**suggestion.source, "root": folder / suggestion.source.get("root", "")}
    try:
        source = model.model_validate(data)
    except ValidationError as error:
        raise OneglanceError(f"{format_name}: {error}") from error
    columns: dict[str, Column] = {}
    for name, task in suggestion.tasks.items():
        kind = _TYPES.get(task["kind"])
        if kind is not None and name in source.task_names:
            columns[name] = Column(
                kind, tuple(classes or task.get("classes", ())), tuple(task.get("points", ())),
                tuple(task.get("targets", ())),
            )  # fmt: skip
    kept = {name: source.tasks[name] for name in columns} if isinstance(source.tasks, dict) else list(columns)
    return source.model_copy(update={"tasks": kept}), columns


_TYPES = {
    "classification": "label", "tagging": "tags", "regression": "numbers", "detection": "instances",
    "keypoints": "points", "segmentation": "segments", "embedding": "identity",
}  # fmt: skip


def _common(paths: list[Path]) -> Path | None:
    import os

    for path in paths:
        if not path.exists():
            raise OneglanceError(f"{path}: no such file or folder")
    folders = [(path if path.is_dir() else path.parent).resolve() for path in paths]
    return Path(os.path.commonpath(folders)) if folders else None


def _fits(source: dict[str, Any], given: dict[str, Path], folder: Path) -> bool:
    for key, path in given.items():
        if key == "root":
            continue
        said = source.get(key)
        several = said if isinstance(said, list) else [said]
        if path.resolve() not in [(folder / source.get("root", "") / str(one)).resolve() for one in several]:
            return False
    return True


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(convert)
