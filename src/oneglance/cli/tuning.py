"""``oneglance tune``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from oneglance.cli.app import as_command, next_step, out, say, shown, study, tell
from oneglance.cli.hints import SettingsCommand

if TYPE_CHECKING:
    from oneglance.tuning.api import Tuning


class Method(StrEnum):
    """How the next trial is chosen."""

    tpe = "tpe"
    random = "random"
    grid = "grid"
    population = "population"


class Pruning(StrEnum):
    """Which trials are stopped before their end."""

    median = "median"
    hyperband = "hyperband"
    none = "none"


def tune(
    config: Annotated[Path, typer.Argument(help="The YAML file to start from.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Keys of the YAML to change for all trials."),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary", "-v", metavar="KEY=VALUES|FILE",
            help="A key and what it may be: `1e-4..1e-2`, `1e-4..1e-2:log`, in steps `1..5:linear:5`, `1..9:log:5`, "
            "`1..5:pyramid:5` or `1..9:log:pyramid:5`, or `{16,32}`; or a YAML file with a mapping of keys to these.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        bool, typer.Option("--weights", "-w", help="Vary all tasks' weights, from a fourth to four times their own.")
    ] = False,
    method: Annotated[
        Method,
        typer.Option(
            "--method", "-m",
            help="By a model of what came of earlier trials, at random, a grid; or values over time, by a population.",
        ),
    ] = Method.tpe,
    trials: Annotated[
        int | None,
        typer.Option("--trials", "-t", min=1, help="Trials. Default: 20, or the whole grid.", show_default=False),
    ] = None,
    folds: Annotated[
        int, typer.Option("--folds", "-k", min=2, help="Folds of a trial; one part more is kept for the judgement.")
    ] = 3,
    pruning: Annotated[
        Pruning | None,
        typer.Option(
            help="Stop trials that are behind the median of others, by Hyperband, or none. Default: median.",
            show_default=False,
        ),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option("--members", min=2, help="Of a population: its members. Default: 8.", show_default=False),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            "--every", min=1, help="Of a population: epochs of a slice. Default: an eighth of all.", show_default=False
        ),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", "-n", min=1, help="Trainings of each side at the end.")] = 3,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The folder, new or to be gone on with. Default: runs/tune-NAME.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:  # fmt: skip
    """Search for better settings: task weights and any other key, by trials on folds of the training images.

    What is sought is the mean over tasks of the scores as shares of the given configuration's. At the end the best is
    compared with the given one on images that no trial saw. A population is trained side by side and finds values over
    time: after each slice, the worst go on from the best with changed values. Interrupted, the same command goes on
    where it was; given in several processes, or on several machines with a common disk, they share the work.

    \b
    [bold]Example[/]
      oneglance tune pets.yaml --weights --trials 20
      oneglance tune pets.yaml --vary train.lr=1e-4..1e-2:log --vary "balance.method={sum,uncertainty}" --out tuned
      oneglance tune pets.yaml --vary tasks.head.weight=0.25..4:log:pyramid:3 --method grid train.epochs=5
      oneglance tune pets.yaml --weights --method population --members 8 --every 5 train.epochs=40
    """
    from oneglance.tuning import api

    with study():
        found = api.tune(
            config, vary or (), overrides or (), weights=weights, method=method.value, trials=trials, folds=folds,
            pruning=None if pruning is None else pruning.value, members=members, every=every, seeds=seeds,
            out=out_folder, quiet=quiet, say=(lambda _: None) if quiet else say,
        )  # fmt: skip
    tell(found, _show, as_json)
    if found.best_config is not None:
        next_step(as_command("train", found.best_config))


#: Trials that are printed: the best.
_SHOWN = 10


def _show(found: Tuning) -> None:
    from oneglance.tuning.page import in_words
    from oneglance.tuning.space import text

    ended = sorted((one for one in found.points if one.value == one.value), key=lambda one: -one.value)
    keys = [one.key for one in found.dimensions]
    whole = "trial" if found.population is None else "member"
    table = Table(title=Text(f"the best {whole}s on the folds"), title_justify="left", title_style="bold", box=None)
    for heading in (whole, "outcome", *keys, *found.tasks):
        table.add_column(heading, justify="right")
    for one in [*ended[:_SHOWN], found.baseline]:
        name = "as given" if one is found.baseline else str(one.number)
        values = [text(one.values[key]) if one.values[key] is not None else "-" for key in keys]
        table.add_row(name, shown(one.value), *values, *(shown(one.scores[task]) for task in found.tasks))
    out().print(table)
    if found.population is not None and found.best is not None:
        from oneglance.tuning.evolution_page import in_stages

        for key in keys:
            over_time = in_stages(found.population.line, found.population.slices, key)
            out().print(Text(f"{key}: {over_time}"), soft_wrap=True)
    out().print(Text(in_words(found)), soft_wrap=True)
    for word in found.judgement.verdicts.values() if found.judgement is not None else ():
        out().print(Text(word.headline), soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(cls=SettingsCommand)(tune)
