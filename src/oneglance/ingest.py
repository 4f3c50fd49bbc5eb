"""All sources of a configuration, read into one manifest."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oneglance.annotations import Instances, Record
from oneglance.carried import Carried
from oneglance.config import Config
from oneglance.errors import OneglanceError, Problems, nearest
from oneglance.formats.base import SourceSettings
from oneglance.manifest import (
    Columns,
    Manifest,
    OnObjects,
    assign_splits,
    carrying,
    join,
    labelled_rows,
)
from oneglance.tasks import columns_of, create_tasks
from oneglance.tasks.base import Task


def build_manifest(
    config: Config,
    base: Path,
    problems: Problems,
    path: Path | None = None,
    on_record: Callable[[Record], None] = lambda _: None,
) -> Manifest:
    """Read every source, join what speaks of the same images, divide what has no split.

    Args:
        config: the configuration.
        base: folder that the sources' relative paths start from.
        problems: takes what was passed over.
        path: where the manifest is kept (``.arrow``); default: in memory.
        on_record: told of every record, for progress.

    Raises OneglanceError where a source can't be read at all, or nothing is labelled.
    """
    tasks = create_tasks(config.tasks)
    columns = columns_of(tasks)

    def records() -> Iterator[Record]:
        for source in config.sources:
            found = 0
            for record in read_source(source, tasks, columns, problems, base):
                on_record(record)
                found += 1
                yield record
            if not found:
                raise OneglanceError(
                    f"source {source.source_name(base)!r} ({source.format}): not a single usable image was found; "
                    + (f"the first problem: {next(iter(problems))}" if len(problems) else "look at its paths")
                )

    manifest = join(Manifest.build(records(), columns, path), problems, path)
    if not any(manifest.labelled(name).any() for name in columns):
        raise OneglanceError("no image is labelled for any task: check `tasks` of the sources")
    if manifest.table["split"].null_count:
        splits = config.splits
        manifest = assign_splits(manifest, splits.fractions, splits.seed, splits.by_group, path)
    return manifest


def read_source(
    source: SourceSettings, tasks: Mapping[str, Task[Any]], columns: Columns, problems: Problems, base: Path
) -> Iterator[Record]:
    """The records of one source, its objects with what they carry for its tasks (see :class:`Carried`).

    A task on objects that the source names beside the detection task is read from the objects; one that it names
    without it, from images that show one object each.
    """
    named = set(source.task_names)
    carried = {name for name in named if tasks[name].settings.parent in named}
    if carried:
        fields = source.tasks
        rest = {k: v for k, v in fields.items() if k not in carried} if isinstance(fields, dict) else None
        kept = [name for name in source.task_names if name not in carried] if rest is None else rest
        source = source.model_copy(update={"tasks": kept})
    objects_of = {
        name: Carried(
            source.source_name(base), [child for child in task.children if child.name in carried], problems
        )
        for name, task in tasks.items() if task.children and name in named
    }  # fmt: skip
    for record in source.read(columns, problems, base):
        known = dict(record.annotations)
        for name, of_task in objects_of.items():
            annotation = known.get(name)
            if isinstance(annotation, Instances):
                known[name] = of_task.of(annotation)
        yield replace(record, annotations=known) if objects_of else record
    for of_task in objects_of.values():
        of_task.finish()


def check_source_names(config: Config, manifest: Manifest) -> None:
    """Raises OneglanceError where something is said of a source that is not there."""
    joined = [str(name) for name in manifest.table["source"].unique().to_pylist()]
    firsts = {name for one in joined for name in (one, one.split("+")[0])}
    known = sorted({part for name in joined for part in (name, *name.split("+"))})
    for key, names in (
        ("mixing.weights", config.mixing.weights),
        ("augment_sources", config.augment_sources),
        ("train.sizes", config.train.sizes),
        ("train.eval_sizes", config.train.eval_sizes),
    ):
        for name in names:
            if name not in known:
                raise OneglanceError(
                    f"{key}: no source is called {name!r}{nearest(name, known)}; the sources: {', '.join(known)}"
                )
            if key.startswith("train.") and name not in firsts:
                first = next(one for one in joined if name in one.split("+")).split("+")[0]
                raise OneglanceError(
                    f"{key}: the images of {name!r} are those of {first!r} as well, which stands before it and says "
                    f"how large they are; give {first!r} the size"
                )


def write_problems(problems: Problems, path: Path, append: bool = False) -> None:
    """What was passed over as a CSV: where, what; ``append``: after what the file holds already."""
    with path.open("a" if append else "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        if not append:
            rows.writerow(("where", "what"))
        rows.writerows((problem.where, problem.what) for problem in problems)
        if len(problems) > len(problems.kept):
            rows.writerow(("", f"... and {len(problems) - len(problems.kept)} more"))


@dataclass
class Count:
    """What is known of a task in a source's split: ``images`` in all, those ``labelled`` for the task, of these the
    ``empty`` ones (labelled, and nothing is there), and how often each of the ``classes`` occurs."""

    images: int = 0
    labelled: int = 0
    empty: int = 0
    classes: dict[str, int] = field(default_factory=dict)

    @property
    def unknown(self) -> int:
        """Images that nobody labelled for the task."""
        return self.images - self.labelled


#: By task, source and split.
Counts = dict[tuple[str, str, str], Count]


def count_labels(manifest: Manifest) -> Counts:
    """How many images each source and split has, and what is known of them for each task."""
    counts: Counts = {}
    # In Arrow, a chunk at a time: no Python object is made of a row.
    for batch in manifest.table.to_batches():
        split = pc.fill_null(batch["split"], "")
        places = pc.binary_join_element_wise(batch["source"], split, "\0").dictionary_encode()
        place = places.indices.to_numpy(zero_copy_only=False)
        names = [tuple(str(name).split("\0")) for name in places.dictionary.to_pylist()]
        images = np.bincount(place, minlength=len(names))
        for task, column in manifest.columns.items():
            labelled = np.bincount(place, weights=labelled_rows(batch, task, column), minlength=len(names))
            empty, classes = _occurrences(batch[task], column.type, place, len(names))
            if column.of is not None and column.type == "label":
                rows, said = _said_of_objects(batch, column.of)
                for at, name in zip(place[rows].tolist(), said, strict=True):
                    if name in column.classes:
                        classes[at][name] = classes[at].get(name, 0) + 1
            for at, (source, of) in enumerate(names):
                one = counts.setdefault((task, source, of), Count())
                one.images += int(images[at])
                one.labelled += int(labelled[at])
                one.empty += int(empty[at])
                for name, count in classes[at].items():
                    one.classes[name] = one.classes.get(name, 0) + count
    return counts


def _occurrences(
    labels: pa.Array, kind: str, place: np.ndarray, places: int
) -> tuple[np.ndarray, list[dict[str, int]]]:
    """For each place: how many rows are labelled and empty, int64 [places], and how often each class name occurs.

    ``place``: which place each row counts for, int64 [rows].
    """
    found: list[dict[str, int]] = [{} for _ in range(places)]
    if kind == "label":
        flat, rows = labels.drop_null(), np.flatnonzero(labels.is_valid().to_numpy(zero_copy_only=False))
        empty = np.zeros(places, np.int64)
    elif kind in ("tags", "instances"):
        lists = pc.struct_field(labels, "names" if kind == "tags" else "items")
        rows = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
        flat = pc.list_flatten(lists)
        flat = pc.struct_field(flat, "label") if kind == "instances" else flat
        nothing = pc.fill_null(pc.equal(pc.list_value_length(lists), 0), False).to_numpy(zero_copy_only=False)
        empty = np.bincount(place[nothing], minlength=places)
    else:
        return np.zeros(places, np.int64), found
    coded = flat.dictionary_encode()
    names = coded.dictionary.to_pylist()
    codes = coded.indices.to_numpy(zero_copy_only=False)
    table = np.bincount(place[rows] * len(names) + codes, minlength=places * len(names)).reshape(places, len(names))
    for at, code in np.argwhere(table):
        found[at][names[code]] = int(table[at, code])
    return empty, found


def _said_of_objects(batch: pa.RecordBatch, where: OnObjects) -> tuple[np.ndarray, list[str]]:
    """The values of an attribute, with the row that each stands in, int64 [objects]."""
    lists = pc.struct_field(batch[where.column], "items")
    items = pc.list_flatten(lists)
    has = carrying(items, where)
    rows = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)[has.to_numpy(zero_copy_only=False)]
    # Attributes are kept as JSON, and few different ones occur: each is read once.
    coded = pc.struct_field(items, "attributes").filter(has).dictionary_encode()
    values = [str(json.loads(text)[where.names[0]]) for text in coded.dictionary.to_pylist()]
    return rows, [values[code] for code in coded.indices.to_pylist()]


def never_labelled(manifest: Manifest, split: str = "train") -> Mapping[str, list[str]]:
    """By task, the classes that no image of the split is labelled with: nothing of them can be learnt."""
    table = manifest.table.filter(pc.fill_null(pc.equal(manifest.table["split"], split), False))
    missing: dict[str, list[str]] = {}
    for name, column in manifest.columns.items():
        if column.type not in ("label", "tags", "instances") or not column.classes:
            continue
        if column.of is not None and column.type == "tags":
            continue  # an attribute of its name makes a tag known, whether it holds or not
        # In Arrow, a chunk at a time: no Python object is made of a row.
        seen = {label for chunk in table[name].chunks for label in _labels_in(chunk, column.type).to_pylist()}
        if column.of is not None:
            seen |= {label for batch in table.to_batches() for label in _said_of_objects(batch, column.of)[1]}
        if set(column.classes) - seen:
            missing[name] = [c for c in column.classes if c not in seen]
    return missing


def _labels_in(chunk: pa.Array, kind: str) -> pa.Array:
    """The different class names in a manifest's column of labels, tags or instances."""
    if kind == "tags":
        chunk = pc.list_flatten(pc.struct_field(chunk, "names"))
    elif kind == "instances":
        chunk = pc.struct_field(pc.list_flatten(pc.struct_field(chunk, "items")), "label")
    return pc.unique(chunk)
