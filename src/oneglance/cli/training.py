"""``oneglance train``."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oneglance.cli.app import (
    INTERRUPTED,
    NoReport,
    as_command,
    next_folder,
    next_step,
    out,
    progress,
    runs_like,
    say,
    say_interrupted,
    score_table,
    told_if_it_fails,
)
from oneglance.cli.hints import SettingsCommand
from oneglance.errors import OneglanceError

if TYPE_CHECKING:
    from oneglance.training.api import Run


def train(
    config: Annotated[
        Path | None, typer.Argument(help="The YAML file that `oneglance init` wrote.", show_default=False)
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Keys of the YAML to change, such as train.epochs=10."),
    ] = None,
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The new run's folder. Default: runs/NAME-1, NAME-2, ...", show_default=False),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Go on with an interrupted run, as if it had not been.",
            autocompletion=runs_like,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    no_report: NoReport = False,
) -> None:
    """Train one network for all tasks; everything that comes of it is kept in one new folder.

    At the end a report is written, RUN/report.html: scores on val, curves, and the worst and best images.

    \b
    [bold]Example[/]
      oneglance train street.yaml
      oneglance train street.yaml --out runs/long train.epochs=100 train.lr=0.002
      oneglance train --resume runs/long
    """
    if resume is not None and config is not None and "=" in config.name and not config.exists():
        raise OneglanceError(f"--resume goes on with a run as it was: {config} can't go with it; train a new run")
    if (config is None) == (resume is None):
        raise OneglanceError("give either a YAML file to train by, or --resume with the folder of a run to go on with")
    if resume is not None and (out_folder is not None or overrides):
        raise OneglanceError("--resume goes on with a run as it was: neither --out nor overrides go with it")

    from oneglance.training import api

    if resume is not None:
        folder = resume
    else:
        assert config is not None
        folder = out_folder or next_folder(Path("runs"), config.stem)
    try:
        if resume is not None:
            run = api.resume(folder, quiet=quiet)
        else:
            run = api.train(config, overrides or (), out=folder, quiet=quiet)  # type: ignore[arg-type]
    except KeyboardInterrupt as error:
        can = (folder / api.MANIFEST).is_file() and (folder / api.CONFIG).is_file()
        say_interrupted(f"go on with  {as_command('train', '--resume', folder)}" if can else "nothing was trained yet")
        raise typer.Exit(INTERRUPTED) from error
    made: Path | None = None
    if not no_report:
        with told_if_it_fails(run.folder):
            made = _make_report(run)
    _say_what_came_of_it(run, made)


def _make_report(run: Run) -> Path:
    """The report on the best weights, which are safe by now; what could not be drawn goes to the run's problems."""
    from oneglance.errors import Problems
    from oneglance.evaluation.api import report
    from oneglance.evaluation.facts import read_problems
    from oneglance.ingest import write_problems
    from oneglance.training.api import PROBLEMS

    problems = Problems()
    with progress() as bar:
        seen = bar.add_task("scoring for the report", total=None)
        path = report(run.folder, problems=problems, on_batch=lambda count: bar.advance(seen, count))
    known = set(read_problems(run.folder))
    new = Problems()
    for problem in problems:
        if (problem.where, problem.what) not in known:  # an image of val that can't be read was noted in training
            new.add(problem.where, problem.what)
    write_problems(new, run.folder / PROBLEMS, append=True)
    return path


def _say_what_came_of_it(run: Run, report: Path | None) -> None:
    from oneglance.tasks import create_tasks
    from oneglance.training.api import PROBLEMS, read_config

    if run.scores:
        tasks = create_tasks(read_config(run.folder).tasks)
        out().print(score_table(run.scores, tasks, "last scores on the split val"))
    problems = run.folder / PROBLEMS
    count = 0
    if problems.is_file():
        with problems.open(newline="", encoding="utf-8") as file:
            count = sum(1 for _ in csv.reader(file)) - 1
    if count > 0:
        say(f"see {problems}", f"{count} things were passed over:")
    say(f"the run is in {run.folder}")
    if report is not None:
        say(f"the report is {report}")
    next_step(as_command("evaluate", run.folder))


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(cls=SettingsCommand)(train)
