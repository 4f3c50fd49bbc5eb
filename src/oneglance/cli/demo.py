"""``oneglance demo``: the whole way on built-in data, from drawn scenes to a report."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oneglance.cli.app import finite, new_folder, next_step, out, progress, say, score_table, told_if_it_fails

if TYPE_CHECKING:
    from oneglance.annotations import Record
    from oneglance.gallery import Gallery
    from oneglance.manifest import Manifest
    from oneglance.model import Model


@dataclass(frozen=True)
class _Kind:
    """What a demo draws and where: scenes and folder; what it trains, and for how many minutes on two cores."""

    scenes: int
    folder: str
    tasks: str
    minutes: int


_IMAGES = _Kind(1600, "oneglance-demo", "all tasks", 4)
_OBJECTS = _Kind(900, "oneglance-demo-objects", "six tasks, five of them on the objects that one finds", 20)
#: The share of images of strangers that may be given a name in the pictures.
FAR = 0.05


def demo(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Keys of the street's YAML to change, such as train.epochs=40."),
    ] = None,
    objects: Annotated[
        bool,
        typer.Option(
            "--objects",
            help="Another street, with questions about what is found in it: outlines, points of faces, corners of "
            "plates, colours of cars, who people are.",
        ),
    ] = False,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help=f"A new folder for the data, the run and the pictures. Default: {_IMAGES.folder}, or "
            f"{_OBJECTS.folder}.",
            show_default=False,
        ),
    ] = None,
    scenes: Annotated[
        int | None,
        typer.Option(
            min=60,
            help=f"Drawn scenes; what is close up comes on top. Default: {_IMAGES.scenes}, or with --objects "
            f"{_OBJECTS.scenes}.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another street and another training.")] = 0,
) -> None:
    """Draw a street, train one network for five tasks from scratch, and look at what it makes of unseen scenes.

    The street is written in public formats, as several sources that are labelled for some of the tasks each. The same
    seed gives the same numbers on the same machine. With --objects, the tasks ask about the objects that one of them
    finds, and the people of the unseen scenes are enrolled from an album, so that the pictures have their names.

    \b
    [bold]Example[/]
      oneglance demo
      oneglance demo --scenes 4000 --out big-demo train.epochs=40
      oneglance demo --objects
    """
    began = time.monotonic()
    kind = _OBJECTS if objects else _IMAGES
    folder = new_folder(out_folder or Path(kind.folder))
    scenes = scenes or kind.scenes
    say(f"drawing {scenes} scenes, and things close up, into {folder / 'street'}", "1/3", "bold")
    with progress() as bar:
        if objects:
            from oneglance.street.objects import plan_objects as plan
            from oneglance.street.objects import write_objects as write
        else:
            from oneglance.street.write import plan_street as plan  # type: ignore[assignment]
            from oneglance.street.write import write_street as write

        drawn = bar.add_task("drawing", total=len(plan(scenes, seed)))
        config = write(folder / "street", scenes, seed, on_image=lambda count: bar.update(drawn, completed=count))

    say(
        f"training one network for {kind.tasks}, from scratch: about {kind.minutes} minutes on two cores",
        "2/3", "bold",
    )  # fmt: skip
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
    gallery = _enrolled(run.folder, config.parent) if objects else None
    if gallery is not None:
        scored.ranking.revise("objects", gallery.with_names)
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
    if objects:
        _answers_on_objects(model, gallery, manifest, picture)
    else:
        _answers(model, manifest, picture)
    out().print(score_table(scored.scores, model.tasks, "scores on unseen scenes", most=3))
    minutes = (time.monotonic() - began) / 60
    say(f"{minutes:.1f} minutes in all")
    say(str(page), "the report:", "bold")
    say(str(picture), "pictures:", "bold")
    if gallery is not None:
        say(f"oneglance identify {run.folder} {config.parent / 'people' / 'images'}", "who is in scenes:", "bold")
    next_step(f"oneglance init FOLDER_OF_YOUR_DATA    (the demo's own configuration: {config})")


def _enrolled(run: Path, street: Path) -> Gallery | None:
    """The gallery of the run, with the people of the street's album; None where nobody can be enrolled."""
    import numpy as np

    from oneglance.errors import OneglanceError
    from oneglance.gallery import Gallery
    from oneglance.street.objects import ALBUM

    try:
        gallery = Gallery.open(run, far=FAR)
    except OneglanceError as error:
        say(str(error), "nobody is enrolled:")
        return None
    unclear = 0
    for person in sorted((street / ALBUM).iterdir()):
        vectors, photos = [], []
        for photo in sorted(person.iterdir()):
            try:
                vectors.append(gallery.vectors([photo]))
                photos.append(str(photo))
            except OneglanceError:  # no face was found, or several
                unclear += 1
        if photos:
            gallery.enrolled.enrol(person.name, np.concatenate(vectors), photos)
    left = f"; in {unclear} photos, no face was found, or several" if unclear else ""
    say(f"{len(gallery.people)} people are enrolled from {street / ALBUM}{left}")
    return gallery if gallery.people else None


def _answers_on_objects(model: Model, gallery: Gallery | None, manifest: Manifest, path: Path) -> None:
    """A sheet of unseen scenes with everything that is said of the objects found in them."""
    import numpy as np
    from PIL import Image

    from oneglance.annotations import Instances
    from oneglance.drawing import sheet

    rows = manifest.rows(split="test")
    sources = np.array(manifest.values("source"), object)[rows]
    pictures = []
    for source in dict.fromkeys(sources):
        records = manifest.records([int(row) for row in rows[sources == source]])

        def asked(record: Record) -> int:
            objects = record.annotations.get("objects")
            return sum(not item.crowd for item in objects.items) if isinstance(objects, Instances) else 0

        for record in sorted(records, key=asked, reverse=True)[:4]:
            answers = model(record.path)
            pictures.append(np.asarray((gallery.named(answers) if gallery is not None else answers).plot()))
    Image.fromarray(sheet(pictures, columns=4, cell=(480, 420))).save(path)


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
