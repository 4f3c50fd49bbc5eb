"""The page of ``oneglance check --draw``: samples with their labels, as they are and as training sees them."""

from __future__ import annotations

import html
from collections.abc import Mapping
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
from oneglance.data.dataset import FILL, load_segments
from oneglance.data.geometry import Frame, warp_image
from oneglance.data.warp import warp
from oneglance.decode import ImageError, decode
from oneglance.drawing import Picture, draw, reduced, sheet
from oneglance.manifest import Manifest
from oneglance.tasks.base import Task

#: Samples on the page, and on one sheet.
SAMPLES, ON_SHEET = 24, 8
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
    index = folder / "index.html"
    index.write_text(_html(parts, manifest, tasks), encoding="utf-8")
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
    """What training would make of the image, by the same functions; of a mosaic, one tile."""
    settings = config.augment_of(record.source)
    height, width = config.train.size
    source = (image.shape[1], image.shape[0])
    may_flip = all(tasks[name].flip_pairs is not None for name in labels)
    frame = Frame(draw_matrix(rng, settings, source, (height, width), may_flip), width, height, *source)
    warped = warp_image(image, frame.matrix, (height, width), fill=FILL, source_wh=source)
    coloured = jitter(warped, rng, settings)
    moved = {name: warp(one, frame, flip_pairs=tasks[name].flip_pairs or ()) for name, one in labels.items()}
    return coloured, moved


def _html(parts: list[tuple[str, str, list[str]]], manifest: Manifest, tasks: Tasks) -> str:
    figures = "\n".join(
        f"<figure><figcaption>{_CAPTIONS[kind]}</figcaption>"
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
