"""A record as a row of an Arrow table, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
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


def to_record(row: dict[str, Any], types: Mapping[str, str]) -> Record:
    return Record(
        path=Path(row["path"]),
        width=row["width"],
        height=row["height"],
        split=row["split"],
        source=row["source"],
        group=row["group"],
        annotations={name: None if row[name] is None else _decode(row[name], kind) for name, kind in types.items()},
        extra=json.loads(row["extra"]) if row["extra"] else {},
    )


def _decode(value: Any, kind: str) -> Annotation:
    match kind:
        case "label":
            return Label(value)
        case "tags":
            return Tags(tuple(value["names"]), None if value["annotated"] is None else tuple(value["annotated"]))
        case "numbers":
            return Numbers(np.array(value, np.float32))
        case "identity":
            return Identity(value)
        case "points":
            return _decode_points(value)
        case "segments":
            return Segments(Path(value["path"]), tuple((v["value"], v["name"]) for v in value["values"]))
    annotated = value["annotated"]
    items = tuple(_decode_instance(item) for item in value["items"])
    return Instances(items, None if annotated is None else tuple(annotated))


def _decode_points(value: dict[str, Any]) -> Points:
    return Points(np.array(value["xy"], np.float32).reshape(-1, 2), np.array(value["visibility"], np.int8))


def _decode_instance(value: dict[str, Any]) -> Instance:
    polygons, rle = value["polygons"], value["rle"]
    return Instance(
        label=value["label"],
        box=None if value["box"] is None else np.array(value["box"], np.float32),
        polygons=None if polygons is None else tuple(np.array(p, np.float32).reshape(-1, 2) for p in polygons),
        rle=None if rle is None else Rle((rle["size"][0], rle["size"][1]), tuple(rle["counts"])),
        points=None if value["points"] is None else _decode_points(value["points"]),
        identity=value["identity"],
        attributes=json.loads(value["attributes"]) if value["attributes"] else {},
        id=value["id"],
        area=value["area"],
        crowd=bool(value["crowd"]),
        difficult=bool(value["difficult"]),
        truncated=bool(value["truncated"]),
        extra=json.loads(value["extra"]) if value["extra"] else {},
    )
