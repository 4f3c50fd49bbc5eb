"""The table of all images: a row an image, a column a task; null means that nobody labelled it for this task.

Kept in Arrow (``.arrow``: memory-mapped, so that a million rows cost the loader's processes next to nothing) or in
Parquet (``.parquet``: to hand on). The schema's metadata holds the tasks and the version of the layout.
"""

from __future__ import annotations

import hashlib
import json
import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oneglance.annotations import ANNOTATION_TYPES, Annotation, Instances, Numbers, Record, Tags, same
from oneglance.errors import OneglanceError, Problems
from oneglance.rows import ARROW_TYPES, to_records, to_row

VERSION = 1
BATCH_ROWS = 2048

#: The columns that every manifest has, beside one for each task.
_FIXED = [
    ("path", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("split", pa.string()),
    ("source", pa.string()),
    ("group", pa.string()),
    ("extra", pa.string()),
]
FIXED = frozenset(name for name, _ in _FIXED)


@dataclass(frozen=True)
class OnObjects:
    """Labels that the objects of another column carry: the ``column``, the one class (``label``; None: all), the
    field of an instance, and the ``names`` of attributes of which any is enough."""

    column: str
    label: str | None
    field: Literal["points", "shape", "identity", "attributes"]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """What a task's column holds: the annotation type's name, and the names that its annotations may use.

    ``classes``: of labels, tags, segments and instances. ``points`` and ``targets``: names, in the order in which
    Points and Numbers are kept. An empty tuple leaves the names open. ``points_of``: the names of the points on
    instances, by their class.

    ``of``: for a task on objects, where its labels stand beside this column (which has those of images that show one
    object and nothing else).
    """

    type: str
    classes: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    points_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    of: OnObjects | None = None

    def __post_init__(self) -> None:
        if self.type not in ANNOTATION_TYPES:
            raise ValueError(f"unknown annotation type {self.type!r}; known: {', '.join(ANNOTATION_TYPES)}")


Columns = Mapping[str, Column]


class Manifest:
    """An immutable table of images and their annotations. Rows are read as :class:`Record`."""

    def __init__(self, table: pa.Table, columns: Columns) -> None:
        self.table = table
        self.columns = dict(columns)
        self._types = {name: column.type for name, column in self.columns.items()}
        self._batches = table.to_batches()
        self._starts = list(accumulate((batch.num_rows for batch in self._batches), initial=0))

    @classmethod
    def build(cls, records: Iterable[Record], columns: Columns, path: Path | None = None) -> Manifest:
        """Write a stream of records as a table: to ``path`` (Arrow, then memory-mapped), or in memory.

        No more than ``BATCH_ROWS`` records are held as Python objects at a time.
        """
        schema = _schema(columns)
        if path is None:
            batches = list(_batches(records, schema, columns))
            return cls(pa.Table.from_batches(batches, schema), columns)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for batch in _batches(records, schema, columns):
                writer.write_batch(batch)
        partial.replace(path)
        return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Open a manifest, ``.arrow`` (memory-mapped) or ``.parquet``.

        Raises OneglanceError where the file is missing, is not a manifest, or is of a newer layout.
        """
        if not path.is_file():
            raise OneglanceError(f"{path}: no such manifest")
        try:
            if path.suffix == ".parquet":
                table = pq.read_table(path)
            else:
                table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except (pa.ArrowInvalid, OSError) as error:
            raise OneglanceError(f"{path}: not a readable Arrow or Parquet file ({error})") from error
        return cls(table, _columns_of(table.schema, path))

    def write(self, path: Path) -> None:
        """Write to ``.arrow`` or ``.parquet``, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        if path.suffix == ".parquet":
            pq.write_table(self.table, partial, compression="zstd")
        else:
            with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, self.table.schema) as writer:
                writer.write_table(self.table)
        partial.replace(path)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def record(self, index: int) -> Record:
        """The row at ``index``; raises IndexError outside 0..len-1."""
        return self.records([index])[0]

    def records(self, indices: Sequence[int]) -> list[Record]:
        """The rows at ``indices``, in this order; raises IndexError where one is outside 0..len-1.

        Many at a time take far less time than one after another.
        """
        pieces = []
        for index in indices:
            if not 0 <= index < len(self):
                raise IndexError(f"row {index} of a manifest of {len(self)}")
            number = bisect_right(self._starts, index) - 1
            pieces.append(self._batches[number].slice(index - self._starts[number], 1))
        return to_records(pa.concat_batches(pieces), self._types) if pieces else []

    def __iter__(self) -> Iterator[Record]:
        for batch in self._batches:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield from to_records(batch.slice(start, BATCH_ROWS), self._types)

    def select(self, rows: Sequence[int] | np.ndarray) -> Manifest:
        """The manifest of these rows, in this order."""
        return Manifest(self.table.take(pa.array(np.asarray(rows, np.int64))), self.columns)

    def only(self, columns: Columns) -> Manifest:
        """All rows, of the tasks' columns these alone, described anew."""
        schema = _schema(columns)
        return Manifest(self.table.select(schema.names).replace_schema_metadata(schema.metadata), columns)

    def values(self, name: str) -> list[str | None]:
        """A fixed column (``split``, ``source``, ``group``, ``path``) as a list."""
        values: list[str | None] = self.table[name].to_pylist()
        return values

    def rows(self, *, split: str | None = None, source: str | None = None) -> np.ndarray:
        """Row numbers, int64, of a split and/or a source."""
        keep = np.ones(len(self), bool)
        for name, wanted in (("split", split), ("source", source)):
            if wanted is not None:
                equal = pc.fill_null(pc.equal(self.table[name], wanted), False)
                keep &= equal.to_numpy(zero_copy_only=False)
        return np.flatnonzero(keep)

    def labelled(self, task: str) -> np.ndarray:
        """For every row, bool: was it labelled for this task? (Empty counts as labelled, null does not.)

        For a task on objects: does the image show one object and has its label, or has any of its objects one?
        """
        column = self.columns[task]
        parts = [labelled_rows(batch, task, column) for batch in self._batches]
        return np.concatenate([np.zeros(0, bool), *parts])

    def attributes(self, where: OnObjects, rows: np.ndarray) -> Counter[str]:
        """What the objects of these rows that carry such a label say of themselves: attributes as JSON, and how many
        objects say just that. In Arrow; no record is made."""
        counts: Counter[str] = Counter()
        wanted = np.zeros(len(self), bool)
        wanted[rows] = True
        for start, batch in zip(self._starts, self._batches, strict=False):  # the last start is the end
            lists = pc.struct_field(batch[where.column], "items")
            items, of = pc.list_flatten(lists), pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
            has = pc.and_(carrying(items, where), pa.array(wanted[start : start + batch.num_rows][of]))
            for one in pc.struct_field(items, "attributes").filter(has).value_counts().to_pylist():
                counts[one["values"]] += one["counts"]
        return counts

    def fingerprint(self) -> str:
        """A hash of columns and rows, the same for the same content however it is chunked or stored."""
        digest = hashlib.sha256(json.dumps(_describe(self.columns), sort_keys=True).encode())
        for batch in self._batches:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                for row in batch.slice(start, BATCH_ROWS).to_pylist():
                    digest.update(json.dumps(row, sort_keys=True, default=str).encode())
        return digest.hexdigest()[:16]


def labelled_rows(batch: pa.RecordBatch, task: str, column: Column) -> np.ndarray:
    """For every row of a part of a manifest, bool: see :meth:`Manifest.labelled`. In Arrow; no record is made."""
    mask: np.ndarray = pc.is_valid(batch[task]).to_numpy(zero_copy_only=False)
    if column.of is not None:
        lists = pc.struct_field(batch[column.of.column], "items")
        rows = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
        mask = mask.copy()
        mask[rows[carrying(pc.list_flatten(lists), column.of).to_numpy(zero_copy_only=False)]] = True
    return mask


def carrying(items: pa.Array, where: OnObjects) -> pa.Array:
    """For every object, bool: does it carry the label?"""
    has = pc.invert(pc.fill_null(pc.struct_field(items, "crowd"), False))
    has = pc.and_(has, pc.is_valid(pc.struct_field(items, "box")))
    if where.label is not None:
        has = pc.and_(has, pc.fill_null(pc.equal(pc.struct_field(items, "label"), where.label), False))
    if where.field == "shape":
        known = pc.or_(pc.is_valid(pc.struct_field(items, "polygons")), pc.is_valid(pc.struct_field(items, "rle")))
    elif where.field == "attributes":
        known = pa.array(np.zeros(len(items), bool))
        for name in where.names:  # they are kept as JSON
            found = pc.match_substring(pc.struct_field(items, "attributes"), f"{json.dumps(name, ensure_ascii=False)}:")
            known = pc.or_(known, pc.fill_null(found, False))
    else:
        known = pc.is_valid(pc.struct_field(items, where.field))
    return pc.and_(has, known)


def join(manifest: Manifest, problems: Problems, path: Path | None = None) -> Manifest:
    """Rows that speak of one image become one row with the labels of all of them; the order becomes that of the paths.

    Two labels of one task for one image are united where each knows what the other does not (see :func:`unite`);
    otherwise the first is kept and the conflict is reported. Two splits for one image are refused (OneglanceError).
    Two groups that share an image become one.
    """
    paths = manifest.table["path"]
    if len(manifest) == len(paths.unique()):
        return manifest
    order = pc.sort_indices(manifest.table, sort_keys=[("path", "ascending")]).to_numpy()
    linked: list[tuple[str, str]] = []

    def merged() -> Iterator[Record]:
        current: Record | None = None
        for start in range(0, len(order), BATCH_ROWS):
            for record in manifest.select(order[start : start + BATCH_ROWS]):
                if current is not None and record.path == current.path:
                    if current.group and record.group and current.group != record.group:
                        linked.append((current.group, record.group))
                    current = _merge(current, record, problems)
                else:
                    if current is not None:
                        yield current
                    current = record
        if current is not None:
            yield current

    joined = Manifest.build(merged(), manifest.columns, path)
    if not linked:
        return joined
    names = _representatives(linked)
    groups = [names.get(group, group) if group else None for group in joined.values("group")]
    return with_column(joined, "group", groups, path)


def _representatives(linked: Iterable[tuple[str, str]]) -> dict[str, str]:
    """For each name that is linked to another, directly or by way of others, the one that stands for all of them."""
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while above.setdefault(name, name) != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    for one, other in linked:
        first, second = sorted((top(one), top(other)))
        above[second] = first
    return {name: top(name) for name in list(above)}


def with_column(manifest: Manifest, name: str, values: Sequence[str | None], path: Path | None = None) -> Manifest:
    """The manifest with one of its columns of text (``split``, ``group``) replaced; kept at ``path`` where one is
    given."""
    at = manifest.table.schema.get_field_index(name)
    table = manifest.table.set_column(at, manifest.table.schema.field(at), pa.array(values, pa.string()))
    result = Manifest(table, manifest.columns)
    if path is None:
        return result
    result.write(path)
    return Manifest.read(path)


def _merge(first: Record, second: Record, problems: Problems) -> Record:
    where = str(first.path)
    if first.split and second.split and first.split != second.split:
        raise OneglanceError(
            f"{where}: in split {first.split!r} of source {first.source!r} and in split {second.split!r} of source "
            f"{second.source!r}; give both sources the same list of splits"
        )
    annotations = dict(first.annotations)
    for task, annotation in second.annotations.items():
        known = annotations.get(task)
        if annotation is None:
            continue
        united = annotation if known is None else unite(known, annotation)
        if united is None:
            problems.add(
                where, f"task {task!r} is labelled differently by {first.source!r} (kept) and {second.source!r}"
            )
        else:
            annotations[task] = united
    source = first.source if second.source in first.source.split("+") else f"{first.source}+{second.source}"
    return replace(
        first,
        split=first.split or second.split,
        group=first.group or second.group,
        source=source,
        width=first.width or second.width,
        height=first.height or second.height,
        annotations=annotations,
        extra={**second.extra, **first.extra},
    )


def unite(one: Annotation, other: Annotation) -> Annotation | None:
    """What two labels of one image say together, where each knows what the other does not; None where they disagree.

    Objects and tags of different ``annotated`` classes are put together, unknown numbers are filled in.
    """
    if same(one, other):
        return one
    if isinstance(one, (Instances, Tags)) and isinstance(other, (Instances, Tags)):
        known, more = one.annotated, other.annotated
        if known is None or more is None or set(known) & set(more):
            return None
        if isinstance(one, Instances) and isinstance(other, Instances):
            return Instances(one.items + other.items, known + more)
        if isinstance(one, Tags) and isinstance(other, Tags):
            return Tags(one.names + other.names, known + more)
    if isinstance(one, Numbers) and isinstance(other, Numbers):
        both = np.isfinite(one.values) & np.isfinite(other.values)
        if (one.values[both] == other.values[both]).all():
            return Numbers(np.where(np.isfinite(one.values), one.values, other.values))
    return None


def assign_splits(
    manifest: Manifest, fractions: Mapping[str, float], seed: int = 0, by_group: bool = True, path: Path | None = None
) -> Manifest:
    """Give a split to every row that has none: by a seeded hash of its group (or path), cut at the ``fractions``.

    The path is taken from the folder that all images share, so that data which moves as a whole keeps its splits.
    Rows of one group get one split; a group of which a row was already given a split follows that row. The same
    seed and rows give the same splits, in whatever order the rows stand.
    """
    total = sum(fractions.values())
    if not fractions or abs(total - 1) > 1e-6 or min(fractions.values()) < 0:
        raise OneglanceError(f"split fractions {dict(fractions)} must be positive and sum to 1, not to {total:g}")
    splits, groups, paths = (manifest.values(name) for name in ("split", "group", "path"))
    top = os.path.commonpath([str(Path(str(path)).parent) for path in paths]) if paths else ""
    paths = [os.path.relpath(str(path), top) if top else path for path in paths]
    keys = [group if by_group and group else path_ for group, path_ in zip(groups, paths, strict=True)]
    given = {key: split for key, split in zip(keys, splits, strict=True) if split}
    free: dict[str, int] = {}
    for key in keys:
        if key not in given:
            free[str(key)] = free.get(str(key), 0) + 1
    ordered = sorted(free, key=lambda key: hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest())
    names, limits = list(fractions), np.cumsum(list(fractions.values())) * sum(free.values())
    seen = 0.0
    for key in ordered:
        # A group goes where its middle falls, so that a large one does not overshoot by its whole size.
        at = int(np.searchsorted(limits, seen + free[key] / 2, side="left"))
        given[key] = names[min(at, len(names) - 1)]
        seen += free[key]
    filled = [split or given[key] for split, key in zip(splits, keys, strict=True)]
    return with_column(manifest, "split", filled, path)


def _schema(columns: Columns) -> pa.Schema:
    clash = [name for name in columns if name in dict(_FIXED)]
    if clash:
        raise OneglanceError(f"a task can't be called {clash[0]!r}: the manifest uses that name itself")
    metadata = {"oneglance": json.dumps({"version": VERSION, "tasks": _describe(columns)})}
    return pa.schema(
        [*_FIXED, *((name, ARROW_TYPES[column.type]) for name, column in columns.items())], metadata=metadata
    )


def _describe(columns: Columns) -> dict[str, Any]:
    return {
        name: {"type": c.type, "classes": c.classes, "points": c.points, "targets": c.targets}
        | ({"points_of": dict(c.points_of)} if c.points_of else {})
        | ({"of": asdict(c.of)} if c.of else {})
        for name, c in columns.items()
    }


def _columns_of(schema: pa.Schema, path: Path) -> dict[str, Column]:
    try:
        described = json.loads((schema.metadata or {})[b"oneglance"])
        version, tasks = described["version"], described["tasks"]
    except (KeyError, ValueError) as error:
        raise OneglanceError(f"{path}: not a manifest written by oneglance (no 'oneglance' metadata)") from error
    if version != VERSION:
        raise OneglanceError(f"{path}: manifest layout {version}; this oneglance reads {VERSION}: build it again")
    return {
        name: Column(
            c["type"],
            tuple(c["classes"]),
            tuple(c["points"]),
            tuple(c["targets"]),
            {label: tuple(points) for label, points in c.get("points_of", {}).items()},
            OnObjects(**{**c["of"], "names": tuple(c["of"]["names"])}) if "of" in c else None,
        )
        for name, c in tasks.items()
    }


def _batches(records: Iterable[Record], schema: pa.Schema, columns: Columns) -> Iterator[pa.RecordBatch]:
    types = {name: column.type for name, column in columns.items()}
    rows: list[dict[str, Any]] = []
    for record in records:
        rows.append(to_row(record, types))
        if len(rows) == BATCH_ROWS:
            yield pa.RecordBatch.from_pylist(rows, schema)
            rows = []
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema)
