"""Annotations as plain JSON, and back. Labels and predictions are the same thing; so is what they become
here.

Every JSON object says its ``type`` (as a manifest's column does) and names what it holds, so that it can be
read without the configuration. Numbers that are unknown (NaN) are null.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from oneglance.annotations import (
    ANNOTATION_TYPES,
    Annotation,
    FloatArray,
    Identity,
    Instance,
    Instances,
    Label,
    Numbers,
    Points,
    Rle,
    Segments,
    Tags,
)
from oneglance.decode import decode_mask
from oneglance.errors import OneglanceError
from oneglance.manifest import Column

Json = dict[str, Any]


def to_json(annotation: Annotation, column: Column | None = None, mask: str | None = None) -> Json:
    """An annotation as what :func:`json.dumps` takes.

    Args:
        column: gives points and numbers their names.
        mask: the file, relative to that of the JSON, into which the caller writes the class indices of
        Segments (see
            :func:`mask_png`); without it they stand in the JSON, as runs.
    """
    match annotation:
        case Label(name, score, classes, scores):
            return _without_none({"type": "label", "name": name, "score": score, **_scores(classes, scores)})
        case Tags(names, annotated, classes, scores):
            known = None if annotated is None else list(annotated)
            kept = {"type": "tags", "names": list(names), "annotated": known, **_scores(classes, scores)}
            return _without_none(kept)
        case Numbers(values):
            targets = list(column.targets) if column is not None and column.targets else None
            return _without_none({"type": "numbers", "names": targets, "values": _floats(values)})
        case Identity(name, vector):
            return _without_none({"type": "identity", "name": name, "vector": _floats(vector)})
        case Points():
            return {
                "type": "points",
                **_points_to_json(annotation, column.points if column is not None else ()),
            }
        case Segments():
            return _segments_to_json(annotation, mask)
        case Instances(items, annotated):
            points = {} if column is None else column.points_of
            others = () if column is None else column.points
            return _without_none(
                {
                    "type": "instances",
                    "annotated": None if annotated is None else list(annotated),
                    "items": [_instance_to_json(item, points.get(item.label, others)) for item in items],
                }
            )


def from_json(data: Json, base: Path | None = None) -> Annotation:
    """The annotation that :func:`to_json` made this of; ``base`` is the folder that the mask's file is
    relative to.

    Raises OneglanceError where it is not one.
    """
    kind = data.get("type") if isinstance(data, dict) else None
    if kind not in ANNOTATION_TYPES:
        known = ", ".join(ANNOTATION_TYPES)
        raise OneglanceError(f"an annotation's `type` must be one of {known}, not {str(kind)[:40]!r}")
    try:
        return _from_json(data, kind, base)
    except OneglanceError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OneglanceError(f"not a {kind} annotation: {type(error).__name__} {error}") from error


def mask_png(indices: np.ndarray, colours: Sequence[tuple[int, int, int]]) -> bytes:
    """Class indices uint8 [H, W] as a PNG: its pixels are the indices, 255 void; its palette is for the eye."""
    image = Image.fromarray(indices, "P") if indices.dtype == np.uint8 else None
    if image is None:
        raise ValueError(f"class indices must be uint8, not {indices.dtype}")
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colours)] = np.array(colours, np.uint8).reshape(-1, 3)
    image.putpalette(palette.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _from_json(data: Json, kind: str, base: Path | None) -> Annotation:
    annotated = None if data.get("annotated") is None else tuple(data["annotated"])
    match kind:
        case "label":
            return Label(str(data["name"]), data.get("score"), *_scores_from(data))
        case "tags":
            return Tags(tuple(data["names"]), annotated, *_scores_from(data))
        case "numbers":
            return Numbers(_array(data["values"]))
        case "identity":
            vector = data.get("vector")
            return Identity(data.get("name"), None if vector is None else _array(vector))
        case "points":
            return _points_from(data)
        case "segments":
            return _segments_from(data, base)
    return Instances(tuple(_instance_from(item) for item in data["items"]), annotated)


# --- the parts ---------------------------------------------------------------------------------------------


def _without_none(data: Json) -> Json:
    return {key: value for key, value in data.items() if value is not None}


def _float(value: float) -> float | None:
    # The shortest decimal that is the same float32: 0.97 rather than 0.9700000286102295.
    return float(str(np.float32(value))) if math.isfinite(value) else None


def _floats(values: FloatArray | None) -> list[float | None] | None:
    return None if values is None else [_float(value) for value in np.asarray(values).ravel().tolist()]


def _pairs(xy: FloatArray) -> list[list[float | None]]:
    return [[_float(x), _float(y)] for x, y in np.asarray(xy).reshape(-1, 2).tolist()]


def _array(values: Sequence[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], np.float32)


def _xy(pairs: Sequence[Sequence[float | None]]) -> FloatArray:
    return _array([value for pair in pairs for value in pair]).reshape(-1, 2)


def _scores(classes: tuple[str, ...] | None, scores: FloatArray | None) -> Json:
    if classes is None or scores is None:
        return _without_none({"classes": None if classes is None else list(classes), "scores": _floats(scores)})
    return {"scores": dict(zip(classes, _floats(scores) or [], strict=True))}


def _scores_from(data: Json) -> tuple[tuple[str, ...] | None, FloatArray | None]:
    scores = data.get("scores")
    if isinstance(scores, dict):
        return tuple(scores), _array(list(scores.values()))
    classes = data.get("classes")
    return (None if classes is None else tuple(classes)), (None if scores is None else _array(scores))


def _points_to_json(points: Points, names: Sequence[str]) -> Json:
    return _without_none(
        {
            "names": list(names) if len(names) == len(points.xy) and names else None,
            "xy": _pairs(points.xy),
            "visibility": points.visibility.tolist(),
            "scores": _floats(points.scores),
        }
    )


def _points_from(data: Json) -> Points:
    scores = data.get("scores")
    visibility = np.array(data["visibility"], np.int8)
    return Points(_xy(data["xy"]), visibility, None if scores is None else _array(scores))


def _segments_to_json(segments: Segments, mask: str | None) -> Json:
    data: Json = {
        "type": "segments",
        "path": None if segments.path is None else str(segments.path),
        "values": {str(value): name for value, name in segments.values} or None,
        "classes": None if segments.classes is None else list(segments.classes),
    }
    if segments.indices is not None:
        if mask is not None:
            data["mask"] = mask
        else:
            flat = segments.indices.ravel()
            ends = np.append(np.flatnonzero(np.diff(flat)) + 1, flat.size) if flat.size else np.zeros(0, np.int64)
            lengths = np.diff(ends, prepend=0)
            data["size"] = list(segments.indices.shape)
            data["runs"] = [[int(flat[end - 1]), int(n)] for end, n in zip(ends, lengths, strict=True)]
    return _without_none(data)


def _segments_from(data: Json, base: Path | None) -> Segments:
    indices = None
    if "mask" in data:
        indices = decode_mask((base or Path()) / data["mask"]).astype(np.uint8)
    elif "runs" in data:
        height, width = (int(side) for side in data["size"])
        counts = np.array([n for _, n in data["runs"]], np.int64)
        if (counts < 0).any() or int(counts.sum()) != height * width:
            raise ValueError("the runs do not add up to the size")
        indices = np.repeat(np.array([v for v, _ in data["runs"]], np.uint8), counts).reshape(height, width)
    values = tuple((int(value), str(name)) for value, name in data.get("values", {}).items())
    classes = data.get("classes")
    path = data.get("path")
    return Segments(None if path is None else Path(path), values, indices, None if classes is None else tuple(classes))


def _instance_to_json(item: Instance, points: Sequence[str]) -> Json:
    return _without_none(
        {
            "class": item.label,
            "box": _floats(item.box),
            "score": item.score,
            "track": item.track,
            "polygons": None if item.polygons is None else [_pairs(part) for part in item.polygons],
            "rle": None if item.rle is None else {"size": list(item.rle.size), "counts": list(item.rle.counts)},
            "points": None if item.points is None else _points_to_json(item.points, points),
            "identity": item.identity,
            "vector": _floats(item.vector),
            "attributes": item.attributes or None,
            "id": item.id,
            "area": item.area,
            **{flag: True for flag in ("crowd", "difficult", "truncated") if getattr(item, flag)},
            "extra": item.extra or None,
        }
    )


def _instance_from(data: Json) -> Instance:
    box, polygons, rle, points = (data.get(key) for key in ("box", "polygons", "rle", "points"))
    vector = data.get("vector")
    return Instance(
        label=str(data["class"]),
        box=None if box is None else _array(box),
        polygons=None if polygons is None else tuple(_xy(part) for part in polygons),
        rle=None if rle is None else Rle((int(rle["size"][0]), int(rle["size"][1])), tuple(rle["counts"])),
        points=None if points is None else _points_from(points),
        identity=data.get("identity"),
        attributes=dict(data.get("attributes", {})),
        id=data.get("id"),
        area=data.get("area"),
        crowd=bool(data.get("crowd")),
        difficult=bool(data.get("difficult")),
        truncated=bool(data.get("truncated")),
        score=data.get("score"),
        extra=dict(data.get("extra", {})),
        track=data.get("track"),
        vector=None if vector is None else _array(vector),
    )
