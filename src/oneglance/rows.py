"""A record as a row of an Arrow table, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from oneglance.annotations import (
    ANNOTATION_TYPES,
    Annotation,
    Identity,
    Instance,
    Instances,
    Label,
    Numbers,
    Points,
    Record,
    Rle,
    Segments,
    Tags,
    changed,
)

_STRINGS = pa.list_(pa.string())
_FLOATS = pa.list_(pa.float32())
_POINTS = pa.struct([("xy", _FLOATS), ("visibility", pa.list_(pa.int8()))])
_INSTANCE = pa.struct(
    [
        ("label", pa.string()),
        ("box", _FLOATS),
        ("polygons", pa.list_(_FLOATS)),
        ("rle", pa.struct([("size", pa.list_(pa.int32())), ("counts", pa.list_(pa.int32()))])),
        ("points", _POINTS),
        ("identity", pa.string()),
        ("attributes", pa.string()),
        ("id", pa.int64()),
        ("area", pa.float64()),
        ("crowd", pa.bool_()),
        ("difficult", pa.bool_()),
        ("truncated", pa.bool_()),
        ("extra", pa.string()),
    ]
)
ARROW_TYPES: dict[str, pa.DataType] = {
    "label": pa.string(),
    "tags": pa.struct([("names", _STRINGS), ("annotated", _STRINGS)]),
    "numbers": _FLOATS,
    "identity": pa.string(),
    "points": _POINTS,
    "segments": pa.struct(
        [
            ("path", pa.string()),
            ("values", pa.list_(pa.struct([("value", pa.int32()), ("name", pa.string())]))),
        ]
    ),
    "instances": pa.struct([("items", pa.list_(_INSTANCE)), ("annotated", _STRINGS)]),
}


def _json(value: dict[str, Any]) -> str | None:
    return json.dumps(value, sort_keys=True, ensure_ascii=False) if value else None


def to_row(record: Record, types: Mapping[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "path": str(record.path),
        "width": record.width,
        "height": record.height,
        "split": record.split,
        "source": record.source,
        "group": record.group,
        "extra": _json(record.extra),
    }
    for name, annotation in record.annotations.items():
        if name not in types:
            raise KeyError(f"{record.path}: annotation for {name!r}, which is no column of the manifest")
        expected = ANNOTATION_TYPES[types[name]]
        if annotation is not None and not isinstance(annotation, expected):
            found = type(annotation).__name__
            raise TypeError(f"{record.path}: task {name!r} keeps {expected.__name__}, not {found}")
        row[name] = None if annotation is None else _encode(annotation)
    return row


def _floats(values: Any) -> list[float]:
    return [float(v) for v in np.asarray(values, np.float32).ravel()]


def _encode(annotation: Annotation) -> Any:
    match annotation:
        case Label(name):
            return name
        case Tags(names, annotated):
            return {"names": list(names), "annotated": None if annotated is None else list(annotated)}
        case Numbers(values):
            return _floats(values)
        case Identity(name):
            return name
        case Points():
            return _encode_points(annotation)
        case Segments(path, values):
            if path is None:
                raise ValueError("a mask without a file can't be kept in a manifest; write it as a PNG first")
            return {"path": str(path), "values": [{"value": v, "name": n} for v, n in values]}
        case Instances(items, annotated):
            return {
                "items": [_encode_instance(item) for item in items],
                "annotated": None if annotated is None else list(annotated),
            }


def _encode_points(points: Points) -> dict[str, Any]:
    return {"xy": _floats(points.xy), "visibility": [int(v) for v in points.visibility]}


def _encode_instance(item: Instance) -> dict[str, Any]:
    return {
        "label": item.label,
        "box": None if item.box is None else _floats(item.box),
        "polygons": None if item.polygons is None else [_floats(part) for part in item.polygons],
        "rle": None if item.rle is None else {"size": list(item.rle.size), "counts": list(item.rle.counts)},
        "points": None if item.points is None else _encode_points(item.points),
        "identity": item.identity,
        "attributes": _json(item.attributes),
        "id": item.id,
        "area": item.area,
        "crowd": item.crowd,
        "difficult": item.difficult,
        "truncated": item.truncated,
        "extra": _json(item.extra),
    }


def to_records(batch: pa.RecordBatch, types: Mapping[str, str]) -> list[Record]:
    """The rows of a piece of the table, in order. A column is read at a time: a row at a time takes several times as
    long."""
    fixed = [_list(batch.column(name)) for name in ("path", "width", "height", "split", "source", "group", "extra")]
    columns = {name: _optional(batch.column(name), _DECODERS[kind]) for name, kind in types.items()}
    return [
        Record(
            Path(path), width, height, split, source, group, {name: of_task[k] for name, of_task in columns.items()},
            json.loads(extra) if extra else {},
        )
        for k, (path, width, height, split, source, group, extra) in enumerate(zip(*fixed, strict=True))
    ]  # fmt: skip


def _decode_tags(values: pa.StructArray) -> list[Tags]:
    names, annotated = _list(values.field("names")), _list(values.field("annotated"))
    return [Tags(tuple(n or ()), None if a is None else tuple(a)) for n, a in zip(names, annotated, strict=True)]


def _decode_segments(values: pa.StructArray) -> list[Segments]:
    pairs, spans = _parts(values.field("values"))
    known = list(zip(_list(pairs.field("value")), _list(pairs.field("name")), strict=True))
    paths = _list(values.field("path"))
    return [Segments(Path(path or ""), tuple(known[span])) for path, span in zip(paths, spans, strict=True)]


def _decode_points(values: pa.StructArray) -> list[Points]:
    coordinates, visibility = _arrays(values.field("xy"), np.float32), _arrays(values.field("visibility"), np.int8)
    return [Points(xy.reshape(-1, 2), seen) for xy, seen in zip(coordinates, visibility, strict=True)]


def _decode_objects(values: pa.StructArray) -> list[Instances]:
    objects, spans = _parts(values.field("items"))
    items, annotated = _decode_instances(objects), _list(values.field("annotated"))
    return [
        Instances(tuple(items[span]), None if names is None else tuple(names))
        for span, names in zip(spans, annotated, strict=True)
    ]


def _decode_instances(values: pa.StructArray) -> list[Instance]:
    boxes = _optional(values.field("box"), lambda lists: _arrays(lists, np.float32))
    polygons = _optional(values.field("polygons"), _decode_polygons)
    points = _optional(values.field("points"), _decode_points)
    names = ("label", "identity", "id", "area", "crowd", "difficult", "truncated", "rle", "attributes", "extra")
    columns = [_list(values.field(name)) for name in names]
    return [
        changed(_ANY, {
            "label": label, "box": box, "polygons": outline, "points": marks, "identity": identity, "id": number,
            "area": area, "crowd": bool(crowd), "difficult": bool(difficult), "truncated": bool(truncated),
            "rle": None if rle is None else Rle((rle["size"][0], rle["size"][1]), tuple(rle["counts"])),
            "attributes": json.loads(attributes) if attributes else {},
            "extra": json.loads(extra) if extra else {},
        })
        for box, outline, marks, label, identity, number, area, crowd, difficult, truncated, rle, attributes, extra
        in zip(boxes, polygons, points, *columns, strict=True)
    ]  # fmt: skip


_ANY = Instance("")


def _decode_polygons(values: pa.ListArray) -> list[tuple[np.ndarray, ...]]:
    lists, spans = _parts(values)
    parts = [part.reshape(-1, 2) for part in _arrays(lists, np.float32)]
    return [tuple(parts[span]) for span in spans]


_DECODERS: dict[str, Callable[[Any], list[Any]]] = {
    "label": lambda values: [Label(name) for name in values.to_pylist()],
    "tags": _decode_tags,
    "numbers": lambda values: [Numbers(numbers) for numbers in _arrays(values, np.float32)],
    "identity": lambda values: [Identity(name) for name in values.to_pylist()],
    "points": _decode_points,
    "segments": _decode_segments,
    "instances": _decode_objects,
}


def _list(values: pa.Array) -> list[Any]:
    """The values as Python objects."""
    return [None] * len(values) if values.null_count == len(values) else values.to_pylist()


def _optional(values: pa.Array, decode: Callable[[Any], list[Any]]) -> list[Any]:
    """What ``decode`` makes of the values, None where they are null."""
    if values.null_count == len(values):
        return [None] * len(values)
    decoded = decode(values)
    if not values.null_count:
        return decoded
    return [one if known else None for one, known in zip(decoded, values.is_valid().to_pylist(), strict=True)]


def _parts(lists: pa.ListArray) -> tuple[pa.Array, list[slice]]:
    """The values of all lists, one after another, and where each list lies among them."""
    offsets = lists.offsets.to_pylist()
    first, last = (offsets[0], offsets[-1]) if offsets else (0, 0)
    return lists.values.slice(first, last - first), [slice(a - first, b - first) for a, b in pairwise(offsets)]


def _arrays(lists: pa.ListArray, dtype: type[np.generic]) -> list[np.ndarray]:
    """Each list as an array; together they are one piece of memory, and no longer Arrow's."""
    values, spans = _parts(lists)
    flat = np.array(values.to_numpy(zero_copy_only=False), dtype)
    return [flat[span] for span in spans]
