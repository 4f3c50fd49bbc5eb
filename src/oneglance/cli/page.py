"""The page of ``oneglance check --draw``: samples with their labels, as they are and as training sees them."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from oneglance.annotations import Annotation, Instances, Record, Segments
from oneglance.cli.app import new_folder
from oneglance.config import Config
from oneglance.data.augment import draw_matrix
from oneglance.data.colour import jitter
from oneglance.data.dataset import FILL, AnnotatedImages, Sample
from oneglance.data.files import load_segments
from oneglance.data.geometry import Frame, warp_image
from oneglance.data.mixing import Draw
from oneglance.data.sizes import Sizes
from oneglance.data.warp import warp
from oneglance.decode import ImageError, decode
from oneglance.drawing import Picture, draw, reduced, sheet
from oneglance.manifest import Manifest
from oneglance.tasks.base import Task

#: Samples on the page, and on one sheet.
SAMPLES, ON_SHEET = 24, 8
#: Mosaics on the page, and draws for each until it is left out.
MOSAICS, _TRIES = 4, 8
CELL = (640, 480)
_LOOKED_THROUGH = 2000

Tasks = Mapping[str, Task[Any]]


@dataclass
class Shown:
    """One sample: its title, the picture of its labels, the picture of what training makes of it."""

    title: str
    labelled: Picture
    augmented: Picture


def write_page(folder: Path, config: Config, manifest: Manifest, tasks: Tasks) -> Path:
    """Write contact sheets and ``index.html`` into the new folder; returns the HTML file.

    Images that can't be read are passed over: `check` has named them already.
    """
    new_folder(folder)
    rng = np.random.default_rng(config.train.seed)
    samples = []
    for number, record in enumerate(choose(manifest, rng)):
        try:
            samples.append(_show(record, config, tasks, np.random.default_rng([config.train.seed, number])))
        except ImageError:
            continue
    parts = []
    mosaics, left_out = draw_mosaics(config, manifest, tasks)
    if mosaics:
        titles = [title for title, _ in mosaics]
        cell = (round(CELL[0] * 1.2), round(CELL[1] * 1.2))
        pictures = [picture for _, picture in mosaics]
        Image.fromarray(sheet(pictures, min(4, len(pictures)), cell, titles)).save(folder / "mosaics.png")
    for start in range(0, len(samples), ON_SHEET):
        some = samples[start : start + ON_SHEET]
        titles = [one.title for one in some]
        for kind, pictures in (
            ("labelled", [one.labelled for one in some]),
            ("augmented", [one.augmented for one in some]),
        ):
            name = f"{kind}-{start // ON_SHEET + 1}.png"
            Image.fromarray(sheet(pictures, 4, CELL, titles)).save(folder / name)
            parts.append((name, kind, titles))
    if mosaics:
        # After the first pair of sheets: seen without looking through all of them.
        parts.insert(2, ("mosaics.png", "mosaics", titles))
    index = folder / "index.html"
    index.write_text(_html(parts, manifest, tasks, left_out), encoding="utf-8")
    return index


def choose(manifest: Manifest, rng: np.random.Generator, count: int = SAMPLES) -> list[Record]:
    """Images of all kinds in turn: of each source, labelled for these tasks or those, empty or not."""
    rows = manifest.rows(split="train")
    rows = rows if len(rows) else np.arange(len(manifest))
    kinds: dict[tuple[str, ...], list[Record]] = {}
    for row in rng.permutation(rows)[:_LOOKED_THROUGH]:
        record = manifest.record(int(row))
        states = (f"{name}:{_state(annotation)}" for name, annotation in sorted(record.annotations.items()))
        kinds.setdefault((record.source, *states), []).append(record)
    chosen: list[Record] = []
    while len(chosen) < count and any(kinds.values()):
        chosen += [records.pop() for records in kinds.values() if records]
    return chosen[:count]


def _state(annotation: Annotation | None) -> str:
    if annotation is None:
        return "unknown"
    return "empty" if isinstance(annotation, Instances) and not annotation.items else "labelled"


def _show(record: Record, config: Config, tasks: Tasks, rng: np.random.Generator) -> Shown:
    """The two pictures of a record; raises ImageError."""
    source = (record.width, record.height)
    labels: dict[str, Annotation] = {}
    for name, annotation in record.annotations.items():
        if isinstance(annotation, Segments):
            labels[name] = load_segments(annotation, tasks[name].classes, source)
        elif annotation is not None:
            labels[name] = annotation
    image = decode(record.path)
    title = f"{record.source}/{record.path.name}"
    return Shown(
        title,
        draw(*reduced(image, labels, (round(CELL[0] * 0.8), CELL[1]), source), tasks),
        draw(*_augmented(image, labels, config, tasks, record, rng), tasks),
    )


def _augmented(
    image: Picture,
    labels: Mapping[str, Annotation],
    config: Config,
    tasks: Tasks,
    record: Record,
    rng: np.random.Generator,
) -> tuple[Picture, dict[str, Annotation]]:
    """What training would make of the image alone, by the same functions."""
    settings = config.augment_of(record.source)
    height, width = Sizes(config.train.size, config.train.sizes).of(record.source)
    source = (image.shape[1], image.shape[0])
    may_flip = all(tasks[name].flip_pairs is not None for name in labels)
    frame = Frame(draw_matrix(rng, settings, source, (height, width), may_flip), width, height, *source)
    warped = warp_image(image, frame.matrix, (height, width), fill=FILL, source_wh=source)
    coloured = jitter(warped, rng, settings)
    moved = {name: warp(one, frame, flip_pairs=tasks[name].flip_pairs or ()) for name, one in labels.items()}
    return coloured, moved


class _Kept:
    """A task whose targets are its labels as they are: what training would encode is kept in ``seen`` instead."""

    def __init__(self, task: Task[Any], seen: dict[str, Annotation]) -> None:
        self._task, self._seen = task, seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def encode(self, annotation: Annotation, frame: Frame) -> dict[str, np.ndarray]:
        self._seen[self._task.name] = annotation
        return {}


def draw_mosaics(config: Config, manifest: Manifest, tasks: Tasks) -> tuple[list[tuple[str, Picture]], list[str]]:
    """Titles and pictures of some mosaics, made by training's own data set, of each source that is trained with them in
    turn; and the tasks that have no labels on a mosaic. None where the configuration has no mosaics."""
    rows = manifest.rows(split="train")
    names = np.array(manifest.values("source"), object)[rows]
    sources = {str(name): rows[names == name] for name in dict.fromkeys(names)}
    always = {
        name: settings.model_copy(update={"mosaic": 1.0})
        for name in sources
        if (settings := config.augment_of(name)).mosaic and len(sources[name]) >= 4
    }
    composing = {name: task for name, task in tasks.items() if task.composes}
    if not always or not composing:
        return [], []
    seen: dict[str, Annotation] = {}
    kept: Any = {name: _Kept(task, seen) for name, task in composing.items()}
    images = AnnotatedImages(
        manifest, kept, config.train.size, sizes=config.train.sizes, augment=always, partners=sources,
        seed=config.train.seed,
    )  # fmt: skip
    drawn: list[tuple[str, Picture]] = []
    for number in range(MOSAICS * _TRIES):
        source = list(always)[number % len(always)]
        seen.clear()
        sample = images[Draw(int(sources[source][number // len(always) % len(sources[source])]), number)]
        # Where no task is labelled in all four images, or one of them can't be read, training takes the one alone.
        if isinstance(sample, Sample) and sample.frame.clip is not None and seen:
            title = f"{source}: four images in one"
            drawn.append((title, draw(sample.image, dict(seen), {name: tasks[name] for name in seen})))
        if len(drawn) == MOSAICS:
            break
    return drawn, [name for name in tasks if name not in composing]


def _html(
    parts: list[tuple[str, str, list[str]]], manifest: Manifest, tasks: Tasks, left_out: Sequence[str] = ()
) -> str:
    without = f"; {', '.join(left_out)}: without labels there, and so not trained" if left_out else ""
    captions = {**_CAPTIONS, "mosaics": html.escape(_CAPTIONS["mosaics"] + without)}
    figures = "\n".join(
        f"<figure><figcaption>{captions[kind]}</figcaption>"
        f'<a href="{name}"><img src="{name}" alt="{html.escape(", ".join(titles))}"></a></figure>'
        for name, kind, titles in parts
    )
    rows = "\n".join(
        f"<tr><td>{html.escape(name)}<td>{html.escape(task.kind)}<td>{int(manifest.labelled(name).sum()):,}"
        f"<td>{len(manifest) - int(manifest.labelled(name).sum()):,}"
        for name, task in tasks.items()
    )
    return _PAGE.format(images=f"{len(manifest):,}", rows=rows, figures=figures)


_CAPTIONS = {
    "labelled": "As labelled",
    "augmented": "As training sees them: cut, scaled, mirrored and coloured by chance, at the input's size",
    "mosaics": "Composed samples (augment.mosaic), as training sees them: four images in one",
}
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>oneglance check</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 110rem; padding: 0 1rem; color:
#1b1e24 }} table {{ border-collapse: collapse }} td, th {{ padding: .2rem 1rem .2rem 0; text-align: left }}
td:nth-child(n+3), th:nth-child(n+3) {{ text-align: right; font-variant-numeric: tabular-nums }}
figure {{ margin: 2rem 0 }} figcaption {{ font-weight: 600; margin-bottom: .5rem }}
img {{ max-width: 100%; border-radius: 6px }}
@media (max-width: 45rem) {{ figure {{ overflow-x: auto }} figure img {{ max-width: none; width: 60rem }} }}
@media (prefers-color-scheme: dark) {{ body {{ background: #14161a; color: #f0f2f5 }} }}
</style>
<h1>Samples of {images} images</h1>
<p><b>unknown</b> below a picture: nobody labelled it for this task, and training does not touch the task on
it. <b>none</b>: it was looked at, and nothing is there, which training learns from.</p>
<table><tr><th>task<th>kind<th>labelled<th>unknown</tr>
{rows}
</table>
{figures}
</html>
"""
