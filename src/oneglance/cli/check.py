"""``oneglance check``: read all the data, count the labels, name every bad file, draw samples."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from oneglance.cli.app import as_command, next_step, out, progress, say
from oneglance.cli.hints import SettingsCommand

if TYPE_CHECKING:
    from oneglance.config import Config
    from oneglance.errors import Problems
    from oneglance.ingest import Counts
    from oneglance.manifest import Manifest
    from oneglance.tasks.base import Task

#: So many classes of a task are listed on the screen; JSON has them all.
MOST_CLASSES = 20
MOST_PROBLEMS = 30
#: A split with fewer labelled images says little about a task.
TINY = 20


def check(
    config: Annotated[Path, typer.Argument(help="The YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Keys of the YAML to change.")
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Draw samples with their labels into a new folder: index.html, PNGs."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Read headers only; do not decode the images.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Decoding processes. Default: cores - 1.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Read all the data, count the labels by task, source and split, and name every bad file.

    The exit code is 1 where there were problems. Warnings do not count as problems.

    \b
    [bold]Example[/]
      oneglance check street.yaml
      oneglance check street.yaml --draw page      # then look at page/index.html
      oneglance check street.yaml --quick --json
    """
    from oneglance.config import load_config
    from oneglance.errors import OneglanceError, Problems
    from oneglance.ingest import check_source_names, count_labels
    from oneglance.tasks import create_tasks
    from oneglance.training.api import absolute

    if draw is not None and draw.exists() and (not draw.is_dir() or any(draw.iterdir())):
        # Said at once rather than after all the images were read.
        raise OneglanceError(f"{draw}: exists already and is not empty; give --draw a new folder")
    settings = load_config(config, overrides or ())
    problems = Problems()
    with tempfile.TemporaryDirectory(prefix="oneglance-") as scratch:
        manifest = _read(settings, config.parent, problems, Path(scratch) / "manifest.arrow")
        check_source_names(settings, manifest)
        counts = count_labels(manifest)
        pixels = {} if quick else _decode_all(manifest, problems, workers, counts)
        tasks = create_tasks(absolute(settings, config.parent.resolve()).tasks)
        found = Report(counts, pixels, problems, warnings_of(settings, manifest, tasks, counts, quick))
        page = None
        if draw is not None:
            from oneglance.cli.page import write_page

            page = write_page(draw, settings, manifest, tasks)
        if as_json:
            typer.echo(json.dumps(found.as_json(len(manifest), page), indent=2))
        else:
            found.show(len(manifest), tasks)
            if page is not None:
                say(f"samples are drawn on {page}")
            if problems.wrong:
                say("what is wrong is passed over in training; mend it, or go on without it")
            next_step(as_command("train", config, *(overrides or ())))
    if problems.wrong:
        raise typer.Exit(1)


@dataclass
class Report:
    """What `check` found. ``pixels``: by task and class of a mask, how many images have it, how many pixels."""

    counts: Counts
    pixels: dict[str, dict[str, list[int]]]
    problems: Problems
    warnings: list[str] = field(default_factory=list)

    def show(self, images: int, tasks: dict[str, Task[Any]]) -> None:
        """Print tables, warnings and problems."""
        console = out()
        console.print(_count_table(self.counts, f"{images:,} images"))
        for name in tasks:
            table = _class_table(name, self.counts, self.pixels.get(name, {}), tasks[name].classes)
            if table is not None:
                console.print()
                console.print(table)
        if self.warnings:
            console.print()
        for warning in self.warnings:
            console.print(f"[yellow]warning:[/] {escape(warning)}")
        if len(self.problems):
            console.print()
        for problem in list(self.problems)[:MOST_PROBLEMS]:
            kind = "[yellow]note:[/]" if problem.is_note else "[red]problem:[/]"
            console.print(f"{kind} {escape(str(problem))}", soft_wrap=True)
        if len(self.problems) > MOST_PROBLEMS:
            console.print(f"[red]... and {len(self.problems) - MOST_PROBLEMS} more problems[/] (--json lists them)")
        if not self.problems.wrong:
            console.print("\n[green]no problems[/]")

    def as_json(self, images: int, page: Path | None) -> dict[str, Any]:
        """All of it, as JSON takes it."""
        rows = []
        for (task, source, split), one in self.counts.items():
            known = {"images": one.images, "labelled": one.labelled, "empty": one.empty, "unknown": one.unknown}
            rows.append({"task": task, "source": source, "split": split, **known, "classes": one.classes})
        masks = {
            task: {name: {"images": n, "pixels": p} for name, (n, p) in classes.items()}
            for task, classes in self.pixels.items()
        }
        return {
            "images": images,
            "labels": rows,
            "masks": masks,
            "warnings": self.warnings,
            "problem_count": self.problems.wrong,
            "problems": [{"where": one.where, "what": one.what, "note": one.is_note} for one in self.problems],
            "page": None if page is None else str(page),
        }


def _read(settings: Config, base: Path, problems: Problems, path: Path) -> Manifest:
    from oneglance.ingest import build_manifest

    with progress() as bar:
        seen = bar.add_task("reading labels", total=None)
        return build_manifest(settings, base, problems, path, lambda _: bar.advance(seen))


def _decode_all(
    manifest: Manifest, problems: Problems, workers: int | None, counts: Counts
) -> dict[str, dict[str, list[int]]]:
    """Decode every image and mask; counts the images and pixels of each class of each mask."""
    from oneglance.cli.verify import item_of, look_at_all

    found: dict[str, dict[str, list[int]]] = {}
    with progress() as bar:
        seen = bar.add_task("decoding images", total=len(manifest))
        for finding in look_at_all(map(item_of, manifest), len(manifest), workers):
            for where, what in finding.faults:
                problems.add(where, what)
            for task, classes in finding.pixels.items():
                for name, pixels in classes.items():
                    sums = found.setdefault(task, {}).setdefault(name, [0, 0])
                    sums[0] += 1
                    sums[1] += pixels
            bar.advance(seen)
    return found


def warnings_of(
    settings: Config, manifest: Manifest, tasks: dict[str, Task[Any]], counts: Counts, quick: bool
) -> list[str]:
    """What is allowed, and seldom meant."""
    from oneglance.ingest import never_labelled

    said = []
    splits = {str(name) for name in manifest.values("split") if name}
    if "train" not in splits:
        said.append(f"no image is in the split train (found: {', '.join(sorted(splits))}): nothing can be trained")
    if "val" not in splits:
        said.append("no image is in the split val: training can't keep the best weights, only the last")
    for name, missing in never_labelled(manifest).items():
        some = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
        said.append(f"task {name}: not a single training label of {some}: nothing can be learnt of it")
    for name, task in tasks.items():
        labelled = {
            split: sum(one.labelled for (t, _, s), one in counts.items() if t == name and s == split)
            for split in sorted(splits)
        }
        for split, number in labelled.items():
            if number == 0:
                what = "it can't be trained" if split == "train" else "it can't be scored there"
                said.append(f"task {name}: no labelled image in the split {split}: {what}")
            elif 0 < number < TINY:
                said.append(f"task {name}: only {number} labelled images in the split {split}: its scores say little")
        said += [f"task {name}: {doubt}" for doubt in task.doubts(manifest)]
        if task.flip_pairs is None and settings.augment.flip:
            said.append(f"task {name}: no `flip` is given, so its images are never mirrored; name the pairs, or []")
    return said


def _count_table(counts: Counts, title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for heading in ("task", "source", "split"):
        table.add_column(heading, overflow="fold")
    for heading in ("images", "labelled", "empty", "unknown"):
        table.add_column(heading, justify="right")
    before = ("", "")
    for task, source, split in sorted(counts, key=lambda key: (*key[:2], _order(key[2]))):
        one = counts[task, source, split]
        first = (task if task != before[0] else "", source if (task, source) != before else "")
        before = (task, source)
        table.add_row(
            Text(first[0], style="cyan"), Text(first[1]), Text(split), f"{one.images:,}", f"{one.labelled:,}",
            _number(one.empty), _number(one.unknown),
        )  # fmt: skip
    return table


def _class_table(name: str, counts: Counts, pixels: dict[str, list[int]], classes: tuple[str, ...]) -> Table | None:
    """How often each class occurs in each split; of masks, in how many images and pixels."""
    splits = sorted({split for task, _, split in counts if task == name}, key=_order)
    mine = [(split, one.classes) for (task, _, split), one in counts.items() if task == name]
    totals = {c: [sum(one.get(c, 0) for s, one in mine if s == split) for split in splits] for c in classes}
    table = Table(title=f"labels of {name}", title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("class", overflow="fold")
    rows: list[tuple[str | Text, ...]]
    if any(any(row) for row in totals.values()):
        for split in splits:
            table.add_column(Text(split), justify="right")
        ordered = sorted(classes, key=lambda c: -sum(totals[c]))
        rows = [(c, *(_number(n) for n in totals[c])) for c in ordered]
    elif pixels:
        table.add_column("images", justify="right")
        table.add_column("pixels", justify="right")
        every = sum(one[1] for one in pixels.values())
        ordered = sorted(classes, key=lambda c: -pixels.get(c, [0, 0])[1])
        shares = {c: pixels.get(c, [0, 0]) for c in ordered}
        rows = [(c, _number(n), Text(f"{100 * p / max(every, 1):.1f}%")) for c, (n, p) in shares.items()]
    else:
        return None
    if len(rows) > MOST_CLASSES:
        # The frequent ones and the rare ones; those between are least surprising.
        left = len(rows) - MOST_CLASSES
        half = MOST_CLASSES // 2
        gap = (f"... {left} more (--json)", *[""] * (len(rows[0]) - 1))
        rows = [*rows[:half], gap, *rows[-half:]]
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def _order(split: str) -> tuple[int, str]:
    known = ("train", "val", "test")
    return (known.index(split) if split in known else len(known), split)


def _number(value: int) -> Text:
    return Text(f"{value:,}", style="" if value else "dim")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(cls=SettingsCommand)(check)
