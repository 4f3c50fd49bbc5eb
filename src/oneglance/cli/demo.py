"""``oneglance demo``: the whole way on built-in data, from drawn scenes to a report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oneglance.cli.app import finite, new_folder, next_step, out, progress, say, score_table, told_if_it_fails

if TYPE_CHECKING:
    from oneglance.manifest import Manifest
    from oneglance.model import Model

#: Training takes nearly all of the time; on two cores without a GPU it was 4 minutes.
MINUTES = 4


def demo(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Keys of the street's YAML to change, such as train.epochs=40."),
    ] = None,
    out_folder: Annotated[
        Path, typer.Option("--out", "-o", help="A new folder for the data, the run and the pictures.")
    ] = Path("oneglance-demo"),
    scenes: Annotated[int, typer.Option(min=60, help="Drawn scenes; faces and plates come on top.")] = 1600,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another street and another training.")] = 0,
) -> None:
    """Draw a street, train one network for five tasks from scratch, and look at what it makes of unseen scenes.

    The street is written in public formats, as several sources that are labelled for some of the tasks each. The same
    seed gives the same numbers on the same machine.

    \b
    [bold]Example[/]
      oneglance demo
      oneglance demo --scenes 4000 --out big-demo train.epochs=40
    """
    began = time.monotonic()
    folder = new_folder(out_folder)
    say(f"drawing {scenes} scenes, faces and plates into {folder / 'street'}", "1/3", "bold")
    with progress() as bar:
        from oneglance.street.write import plan_street, write_street

        drawn = bar.add_task("drawing", total=len(plan_street(scenes, seed)))
        config = write_street(
            folder / "street", scenes, seed, on_image=lambda count: bar.update(drawn, completed=count)
        )

    say(f"training one network for all tasks, from scratch: about {MINUTES} minutes on two cores", "2/3", "bold")
    from oneglance.errors import Problems
    from oneglance.evaluation.api import plots_path, report_path, score
    from oneglance.evaluation.report import write_report
    from oneglance.manifest import Manifest
    from oneglance.model import load
    from oneglance.training import api

    run = api.train(config, [f"train.seed={seed}", *(overrides or ())], out=folder / "run")

    say("scoring on unseen scenes", "3/3", "bold")
    model = load(run.folder)
    manifest = Manifest.read(run.folder / api.MANIFEST)
    with progress() as bar:
        seen = bar.add_task("scoring", total=len(manifest.rows(split="test")))
        scored = score(model, manifest, "test", on_batch=lambda count: bar.advance(seen, count), rank=True)
    (run.folder / "scores_test.json").write_text(json.dumps(finite(scored.scores), indent=2) + "\n", encoding="utf-8")
    page = report_path(run.folder, "test")
    undrawn = Problems()
    with told_if_it_fails(run.folder):
        write_report(
            page, folder=run.folder, model=model, manifest=manifest, scored=scored, plots=plots_path(page),
            problems=undrawn,
        )  # fmt: skip
    for problem in undrawn:
        say(str(problem), "not in the report:")
    picture = folder / "answers.png"
    _answers(model, manifest, picture)
    out().print(score_table(scored.scores, model.tasks, "scores on unseen scenes", most=3))
    minutes = (time.monotonic() - began) / 60
    say(f"{minutes:.1f} minutes in all")
    say(str(page), "the report:", "bold")
    say(str(picture), "pictures:", "bold")
    next_step(f"oneglance init FOLDER_OF_YOUR_DATA    (the demo's own configuration: {config})")


def _answers(model: Model, manifest: Manifest, path: Path) -> None:
    """A sheet of unseen scenes, faces and plates with the answers drawn."""
    import numpy as np
    from PIL import Image

    from oneglance.drawing import sheet

    rows = manifest.rows(split="test")
    sources = np.array(manifest.values("source"), object)[rows]
    pictures = []
    for source in dict.fromkeys(sources):
        for row in rows[sources == source][:2]:
            record = manifest.record(int(row))
            crop = any(record.annotations.get(name) is not None for name in ("face", "plate"))
            asked = [name for name in model.tasks if (name in ("face", "plate")) == crop]
            if crop:
                asked = [name for name in asked if record.annotations.get(name) is not None]
            pictures.append(np.asarray(model(record.path).plot(tasks=asked)))
    Image.fromarray(sheet(pictures, columns=4, cell=(480, 384))).save(path)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(demo)
