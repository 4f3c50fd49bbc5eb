"""``oneglance affinity``."""

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
    from oneglance.evidence.affinity.api import Affinity


class Counted(StrEnum):
    """What networks cost: operations of an image, or parameters."""

    flops = "flops"
    parameters = "parameters"


def affinity(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML file.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Keys of the YAML to change.", show_default=False),
    ] = None,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The study's folder, new or to be gone on with. Default: runs/affinity-NAME.",
            show_default=False,
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            "--every", min=1, help="Steps from look to look. Default: 5 for each task and 5 more; looking then takes "
            "about a fifth of the training's time.", show_default=False,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", "-n", min=1, help="Trainings.")] = 1,
    groups: Annotated[int, typer.Option("--groups", "-k", min=1, help="Propose at most so many networks.")] = 3,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget", help="What they may cost together, one network for all being 1, such as 2.", show_default=False
        ),
    ] = None,
    cost: Annotated[Counted, typer.Option(help="Operations of an image, or parameters.")] = Counted.flops,
    branches: Annotated[
        int | None,
        typer.Option(
            "--branches", metavar="STRIDE", help="Branches in place of networks: the layers up to the map of this "
            "stride (4, 8, 16 or 32) stay shared.", show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:  # fmt: skip
    """Which tasks should share a network? Train one for all, see what steps for each do to the others, propose groups.

    The training is the ordinary one, bit for bit. The proposal is a YAML file, and the command that tests it is
    printed; it takes the training as it is. The same command goes on where it was interrupted, and with other --groups
    or --budget it trains nothing anew.

    \b
    [bold]Example[/]
      oneglance affinity street.yaml --out street-affinity
      oneglance affinity street.yaml --out street-affinity --groups 2 --budget 1.8
      oneglance affinity street.yaml --branches 8
    """
    if "=" in str(config) and not config.exists():
        raise OneglanceError(f"{config}: give the YAML file first, then settings (KEY=VALUE)")

    from oneglance.evidence.affinity import api

    with study():
        found = api.affinity(
            config, overrides or (), out_folder, every, seeds, groups, budget, cost.value, branches, quiet,
            say=(lambda _: None) if quiet else say,
        )  # fmt: skip
    tell(found, _show, as_json)


def _show(found: Affinity) -> None:
    from oneglance.evidence.affinity.results import in_words, percent, took

    out().print(Text("What a step for the row's task does to the loss of the column's (+: lowers it)", "bold"))
    table = Table(box=None, pad_edge=False)
    table.add_column("a step for", no_wrap=True)
    for name in found.tasks:
        table.add_column(Text(name), justify="right")
    for i, name in enumerate(found.tasks):
        cells = [
            percent(float(mean)) if found.affinity.seen[i, j] else "unknown"
            for j, mean in enumerate(found.affinity.mean[i])
        ]
        styles = ["dim" if i == j else "red" if "−" in cell else "green" for j, cell in enumerate(cells)]
        table.add_row(Text(name, "cyan"), *(Text(cell, style) for cell, style in zip(cells, styles, strict=True)))
    out().print(table)
    for line in [*in_words(found), took(found)]:
        out().print(Text(line), soft_wrap=True)
    out().print(Text(f"Test it:\n  {found.command}"), soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(cls=SettingsCommand)(affinity)
