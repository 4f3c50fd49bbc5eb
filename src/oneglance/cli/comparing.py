"""``oneglance compare``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from oneglance.cli.app import out, say, study, tell
from oneglance.cli.hints import SettingsCommand
from oneglance.errors import OneglanceError

if TYPE_CHECKING:
    from oneglance.evidence.api import Evidence


class Kept(StrEnum):
    """Which weights are compared: the last, or the best by the split `val`."""

    last = "last"
    best = "best"


def compare(
    configs: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG [CONFIG|RUN]... [KEY=VALUE]...",
            help="A YAML file: its shared network against its single-task twins. Several YAML files or runs: each of "
            "the others against the first. KEY=VALUE: keys of the YAML to change.",
            show_default=False,
        ),
    ],
    seeds: Annotated[int, typer.Option("--seeds", "-n", min=1, help="Trainings of each configuration.")] = 3,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The study's folder, new or to be gone on with. Default: runs/compare-NAME.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split", "-s", help="The split to be scored on. Default: test, or val where no test image is labelled.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        Kept, typer.Option(help="The last weights, or those best by the split val (which chooses for each network).")
    ] = Kept.last,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--labels", metavar="TASK=SHARES",
            help="Learning curves: shared and alone also with these shares of a task's labels, such as "
            "weather=0.1,0.25,0.5.", show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:  # fmt: skip
    """Did sharing help? Train the shared network and a single-task twin for each task, and compare them task by task.

    Every difference comes with an interval over trainings and test images; "no difference shown" is an answer. The same
    command goes on where it was interrupted, and takes finished trainings as they are.

    \b
    [bold]Example[/]
      oneglance compare street.yaml --seeds 3 --out street-evidence
      oneglance compare street.yaml --labels weather=0.1,0.25,0.5
      oneglance compare sum.yaml famo.yaml --seeds 5 train.epochs=20
      oneglance compare runs/small-1 runs/large-1
    """
    files = [Path(one) for one in configs if "=" not in one or Path(one).exists()]
    overrides = [one for one in configs if "=" in one and not Path(one).exists()]
    for one in files:
        if not one.exists():
            raise OneglanceError(f"{one}: no such file or folder; give a YAML file or a run of `oneglance train`")

    from oneglance.evidence import api

    with study():
        found = api.compare(
            *files, overrides=overrides, seeds=seeds, out=out_folder, split=split, weights=weights.value,
            labels=labels or (), quiet=quiet, say=(lambda _: None) if quiet else say,
        )  # fmt: skip
    tell(found, _show, as_json)


def _show(found: Evidence) -> None:
    from oneglance.evidence.page import summary
    from oneglance.evidence.verdict import plain, signed

    for one, words in zip(found.comparisons, found.verdicts, strict=True):
        table = Table(
            title=Text(f"{one.ours} against {one.theirs}, on the split {found.split}"),
            title_justify="left", title_style="bold", box=None, pad_edge=False,
        )  # fmt: skip
        for k, heading in enumerate(("task", "score", "ours", "theirs", "difference", "interval", "verdict")):
            table.add_column(heading, justify="right" if 2 <= k <= 5 else "left", no_wrap=k != 5)
        for task in one.tasks:
            low, high = task.difference.interval(found.level)
            kind = words[task.task].kind
            style = {"helped": "green", "better": "green", "hurt": "red", "worse": "red"}.get(kind, "yellow")
            table.add_row(
                Text(task.task, "cyan"), f"{task.score} {'↑' if task.higher else '↓'}", plain(float(task.ours.mean())),
                plain(float(task.theirs.mean())), signed(task.difference.mean), f"{signed(low)} to {signed(high)}",
                Text(kind, style),
            )  # fmt: skip
        out().print(table)
        out().print(Text(summary(one, words, twins=found.twins, level=found.level)), soft_wrap=True)
        for task in one.tasks:
            word = words[task.task]
            out().print(Text(" ".join([word.headline, *word.details])), soft_wrap=True)
    for curve in found.curves:
        for line in curve.in_words(found.level):
            out().print(Text(line), soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(cls=SettingsCommand)(compare)
