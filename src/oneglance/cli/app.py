"""What all commands share: how errors are said, progress, tables and output folders.

Nothing here may import torch: ``oneglance --help`` must come at once.
"""

from __future__ import annotations

import logging
import math
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as ProgressTask
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from oneglance.errors import OneglanceError

if TYPE_CHECKING:
    from oneglance.tasks.base import Task

INTERRUPTED = 130

NoReport = Annotated[bool, typer.Option("--no-report", help="Write no report (the HTML file and its plots).")]


class Group(TyperGroup):
    """The commands, with errors of the user's input said in one line instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; a traceback is left for what is our mistake."""
        try:
            return super().invoke(ctx)
        except OneglanceError as error:
            fail(str(error))
            raise typer.Exit(2) from error
        except BrokenPipeError:
            raise  # `oneglance ... | head` is no error; typer knows
        except OSError as error:
            # A full disk, a folder that may not be written: nothing of ours, and the message says which file.
            hint = "; choose a place that you may read and write" if isinstance(error, PermissionError) else ""
            fail(f"{error.filename}: {error.strerror}{hint}" if error.filename else str(error))
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            say_interrupted()
            raise typer.Exit(INTERRUPTED) from error


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"oneglance {version('oneglance')}")
        raise typer.Exit


app = typer.Typer(
    cls=Group,
    name="oneglance",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """One network looks at an image once and answers every question that somebody has labels for.

    \b
    [bold]Example[/]
      oneglance init photos                     # writes oneglance.yaml
      oneglance check oneglance.yaml --draw page
      oneglance train oneglance.yaml            # one network for all tasks
      oneglance evaluate runs/oneglance-1       # scores on the test split
      oneglance predict runs/oneglance-1 new_photos
    """


def out() -> Console:
    """Where results go: standard output. Made anew, so that it follows redirection."""
    return Console(highlight=False, soft_wrap=False)


def err() -> Console:
    """Where everything else goes: standard error."""
    return Console(stderr=True, highlight=False)


def say(text: str, mark: str = "", style: str = "yellow") -> None:
    """A line on standard error, not broken where it is long, so that paths in it can be copied.

    ``mark`` stands before it, in ``style``. The text is printed as it is: people call files `[bold].jpg`.
    """
    err().print(Text.assemble((mark, style), " " if mark else "", text), soft_wrap=True)


def fail(message: str) -> None:
    """Say what is wrong, a line for each thing that is."""
    for line in message.splitlines() or [""]:
        say(line, "error:", "bold red")


def say_interrupted(hint: str = "") -> None:
    """Say that Ctrl-C was heard, and how to go on."""
    say(hint, "interrupted;" if hint else "interrupted")


@contextmanager
def study() -> Iterator[None]:
    """A study that may be interrupted, and goes on where it was."""
    try:
        yield
    except KeyboardInterrupt as error:
        say_interrupted("the same command goes on where it was")
        raise typer.Exit(INTERRUPTED) from error


class Study(Protocol):
    """What came of a study: a JSON file with all figures, and a page."""

    @property
    def results(self) -> Path: ...

    @property
    def page(self) -> Path: ...


S = TypeVar("S", bound=Study)


def tell(found: S, show: Callable[[S], None], as_json: bool) -> None:
    """Print what came of a study, by ``show`` or as JSON, and where it is written."""
    if as_json:
        typer.echo(found.results.read_text(encoding="utf-8"), nl=False)
    else:
        show(found)
    say(f"all figures are in {found.results}")
    say(f"the page is {found.page}")


def as_command(*words: object) -> str:
    """``oneglance`` with these words, quoted so that a shell takes them as they are."""
    return shlex.join(["oneglance", *(str(word) for word in words)])


def next_step(command: str) -> None:
    """Say which command comes next."""
    err().print(Text.assemble("next: ", (command, "bold cyan")), soft_wrap=True)


class _Rate(ProgressColumn):
    """Things a second."""

    def render(self, task: ProgressTask) -> Text:
        """The rate of the last half minute, or of all where it has finished."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.{0 if speed >= 10 else 1}f}/s" if speed else "", style="dim")


@contextmanager
def told_if_it_fails(run: Path) -> Iterator[None]:
    """Around the making of a report: what goes wrong there is said, and undoes nothing of what was done before."""
    try:
        yield
    except KeyboardInterrupt:
        say_interrupted("the report was left out, everything else is done")
    except Exception as error:
        logging.getLogger("oneglance").debug("no report", exc_info=True)
        what = str(error) if isinstance(error, OneglanceError) else f"{type(error).__name__}: {error}"
        say(f"({what}); the run in {run} is whole", "the report could not be made")


def progress() -> Progress:
    """A bar with rate and time left, on standard error, and only where that is a terminal."""
    console = err()
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left", style="dim"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def next_folder(parent: Path, name: str) -> Path:
    """The first of ``name-1``, ``name-2``, ... that does not exist yet."""
    number = 1
    while (parent / f"{name}-{number}").exists():
        number += 1
    return parent / f"{name}-{number}"


def new_folder(folder: Path) -> Path:
    """Make a folder to write into; raises OneglanceError where it holds something already."""
    if folder.exists() and not folder.is_dir():
        raise OneglanceError(f"{folder}: is a file; give a folder that does not exist yet")
    if folder.is_dir() and any(folder.iterdir()):
        raise OneglanceError(f"{folder}: not empty, and nothing is ever overwritten: choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def runs_like(incomplete: str) -> list[str]:
    """For shell completion: folders that begin like this, those that are runs first of all.

    Where none is a run, folders are offered to go down into; the current folder's `runs/` comes before all else.
    """
    start = Path(incomplete)
    parent, begin = (start, "") if incomplete.endswith("/") else (start.parent, start.name)
    try:
        folders = sorted(p for p in parent.iterdir() if p.is_dir() and p.name.startswith(begin))[:_COMPLETED]
        if not incomplete:
            folders += sorted(p for p in Path("runs").glob("*") if p.is_dir())[:_COMPLETED]
        runs = [folder for folder in folders if (folder / "config.yaml").is_file()]
    except OSError:
        return []
    return [str(run) for run in runs] or [f"{folder}/" for folder in folders if not folder.name.startswith(".")]


#: Completion looks at no more folders than this: it is waited for.
_COMPLETED = 500


def score_table(
    scores: Mapping[str, Mapping[str, float]], tasks: Mapping[str, Task[Any]], title: str, most: int = 12
) -> Table:
    """At most ``most`` scores of each task, first the one that runs are compared by."""
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("task", style="cyan")
    table.add_column("score")
    table.add_column("", justify="right")
    for name, figures in scores.items():
        task = tasks[name]
        arrow = "↑ higher is better" if task.higher_is_better else "↓ lower is better"
        ordered = sorted(figures, key=lambda figure: figure != task.score)
        for k, figure in enumerate(ordered[:most]):
            own = figure == task.score
            label = Text.assemble((figure, "bold"), (f"  {arrow}", "dim")) if own else Text(figure, style="dim")
            table.add_row(
                Text(name if k == 0 else ""), label, Text(shown(figures[figure]), style="bold" if own else "dim")
            )
        if len(ordered) > most:
            table.add_row("", Text(f"... and {len(ordered) - most} more (--json)", style="dim"), "")
    return table


def shown(value: float) -> str:
    """A figure for people's eyes; a dash where nothing could be measured."""
    return f"{value:.4f}" if math.isfinite(value) else "-"


def finite(scores: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """Scores as JSON can hold them: null where nothing could be measured."""
    return {
        name: {figure: value if math.isfinite(value) else None for figure, value in figures.items()}
        for name, figures in scores.items()
    }
