"""``oneglance evaluate``."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from oneglance.cli.app import (
    NoReport,
    as_command,
    finite,
    next_step,
    out,
    progress,
    runs_like,
    say,
    score_table,
    told_if_it_fails,
)
from oneglance.errors import OneglanceError


class Weights(StrEnum):
    """Which of a run's weights: the best by its split `val`, the last, or the best where there is one."""

    auto = "auto"
    best = "best"
    last = "last"


def evaluate(
    run: Annotated[
        Path, typer.Argument(help="The folder of a run, as `oneglance train` made it.", autocompletion=runs_like)
    ],
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            "-s",
            help="The split to be scored on. Default: test, or val where no test image is labelled.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        Weights,
        typer.Option(help="The weights best by the split val, the last, or best where there is one (auto)."),
    ] = Weights.auto,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON, at full precision.")] = False,
    out_file: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The report's file. Default: RUN/report-SPLIT.html.", show_default=False),
    ] = None,
    no_report: NoReport = False,
) -> None:
    """Score a run on a split of its data, each task by its field's own rule; kept as RUN/scores_SPLIT.json.

    Beside it a report is written: one HTML file with scores, curves, and the worst and best images.

    \b
    [bold]Example[/]
      oneglance evaluate runs/street-1                  # on test; on val where there is no test
      oneglance evaluate runs/street-1 --split val --weights last --json
      oneglance evaluate runs/street-1 --out street.html
    """
    if no_report and out_file is not None:
        raise OneglanceError("--out names the report's file, and --no-report says that there shall be none")
    from oneglance.errors import Problems
    from oneglance.evaluation import api
    from oneglance.evaluation.page import check_free
    from oneglance.evaluation.report import write_report
    from oneglance.model import load

    model = load(run, weights.value)
    manifest = api.read_manifest(run)
    if split is None:
        split = api.chosen_split(manifest)
        if split != "test":
            none = "no image of the split test is labelled"
            why = none if len(manifest.rows(split="test")) else "no image is in the split test"
            say(f"{why}: scored on {split}. It chose the best weights: expect less of new images", "note:")
    elif len(manifest.rows(split=split)) and not api.has_labels(manifest, split):
        say(f"no image of the split {split} is labelled: nothing can be measured on it", "warning:")
    path = out_file or api.report_path(run, split)
    if not no_report:
        check_free(path)  # said at once rather than after all the images were looked at
    problems = Problems()
    with progress() as bar:
        seen = bar.add_task(f"scoring on {split}", total=len(manifest.rows(split=split)))
        scored = api.score(model, manifest, split, problems, lambda count: bar.advance(seen, count), rank=not no_report)
    scores = scored.scores
    text = json.dumps(finite(scores), indent=2)
    if as_json:
        typer.echo(text)
    else:
        out().print(score_table(scores, model.tasks, f"scores on the split {split}"))
    # After they were shown: the folder may be somebody else's.
    (run / f"scores_{split}.json").write_text(text + "\n", encoding="utf-8")
    made: Path | None = None
    if not no_report:
        undrawn = Problems()
        with told_if_it_fails(run):
            made = write_report(
                path, folder=run, model=model, manifest=manifest, scored=scored, plots=api.plots_path(path),
                problems=undrawn,
            )  # fmt: skip
        for problem in undrawn:
            say(str(problem), "not in the report:")
    for problem in list(problems)[:10]:
        say(str(problem), "passed over:")
    if len(problems) > 10:
        say(f"... and {len(problems) - 10} more images that can't be read")
    if not as_json:
        say(f"kept in {run / f'scores_{split}.json'}")
    if made is not None:
        say(f"the report is {made}")
    if not as_json:
        next_step(as_command("predict", run, "IMAGES"))


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(evaluate)
