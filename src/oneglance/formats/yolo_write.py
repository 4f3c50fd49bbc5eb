"""Writing YOLO: ``images/SPLIT``, ``labels/SPLIT`` and data.yaml. Boxes, one polygon an object, or points."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from oneglance.annotations import FloatArray, Instance, Instances, Record
from oneglance.formats.base import WriteOptions
from oneglance.formats.recognition import flip_pairs
from oneglance.formats.shapes import box_of_shape, outlines
from oneglance.formats.writing import Images, Losses, new_folder, one_task, tasks_to_write
from oneglance.manifest import Columns

#: The annotation types that it can write.
HOLDS = ("instances",)

_SPLIT_KEYS = ("train", "val", "test", "all")


def write(records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
    """Write the images that are labelled for one task of objects; see :meth:`SourceSettings.write`."""
    losses = Losses("YOLO")
    chosen = tasks_to_write(columns, options, HOLDS, "YOLO")
    task = one_task(chosen, "YOLO")
    column = columns[task]
    losses.left_tasks(columns, chosen)
    new_folder(out)
    images = Images(options, losses, by_stem=True)
    names = list(column.classes)
    boxes_only: list[Path] = []
    splits: dict[str, str] = {}
    any_polygon = False
    for record in records:
        annotation = record.annotations.get(task)
        if not isinstance(annotation, Instances):
            losses.add(f"it can't say that an image is unlabelled for {task!r}; images left out")
            continue
        if annotation.annotated is not None:
            losses.add("it can't say which classes were looked for; images in which the others now seem absent")
        if record.group is not None:
            losses.add("it keeps no groups; images that had one")
        split = record.split or "all"
        if split not in _SPLIT_KEYS:
            losses.add(f"data.yaml knows no split {split!r}; images written as test")
            split = "test"
        splits[split] = f"images/{split}"
        name = images.name(record.path)
        images.put(record.path, out / "images" / split / name)
        path = out / "labels" / split / f"{posixpath.splitext(name)[0]}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = []
        for item in annotation.items:
            if item.label not in names:
                names.append(item.label)
            line = _line(item, names.index(item.label), record, bool(column.points), len(column.points), losses)
            if line is not None:
                lines.append(line)
        if not column.points:
            any_polygon = any_polygon or any(line.count(" ") > 4 for line in lines)
            if any(line.count(" ") == 4 for line in lines):
                boxes_only.append(path)
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    if any_polygon:
        for path in boxes_only:
            _boxes_to_polygons(path, losses)
    data: dict[str, Any] = {"path": ".", **splits, "names": dict(enumerate(names))}
    if "all" in splits:
        losses.add("images without a split are under the key `all`, which other programs do not look for")
    if column.points:
        points = list(column.points)
        data |= {"kpt_shape": [len(points), 3], "kpt_names": dict.fromkeys(range(len(names)), points)}
        swapped = list(range(len(points)))
        for one, other in flip_pairs(points):
            a, b = points.index(one), points.index(other)
            swapped[a], swapped[b] = b, a
        if swapped != sorted(swapped):  # where names say nothing of sides, it is not known that no points change places
            data["flip_idx"] = swapped
    text = yaml.dump(data, Dumper=_NoAliases, sort_keys=False, allow_unicode=True)
    (out / "data.yaml").write_text(text, encoding="utf-8")
    return losses.sentences()


class _NoAliases(yaml.SafeDumper):
    """Writes what occurs twice twice: our own reader refuses aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _line(item: Instance, number: int, record: Record, pose: bool, count: int, losses: Losses) -> str | None:
    box = item.box if item.box is not None else box_of_shape(item, record.width, record.height)
    if box is None:
        losses.add("objects without box, mask or labelled points are not written")
        return None
    _count_losses(item, pose, losses)
    scale = np.array([record.width, record.height], np.float64)
    if pose:
        values = _box(box, scale)
        if item.points is not None and len(item.points.xy) == count:
            shares = item.points.xy / scale
            for (x, y), seen in zip(shares.tolist(), item.points.visibility.tolist(), strict=True):
                values += [x, y, seen]
        else:
            values += [0] * (3 * count)
    elif parts := _parts(item, losses):
        values = (_joined(parts).astype(np.float64) / scale).ravel().tolist()
    else:
        values = _box(box, scale)
    return " ".join([str(number), *(repr(v) for v in values)])


def _box(box: FloatArray, scale: np.ndarray) -> list[float]:
    low, high = box[:2].astype(np.float64), box[2:].astype(np.float64)
    return [*((low + high) / 2 / scale).tolist(), *((high - low) / scale).tolist()]


def _parts(item: Instance, losses: Losses) -> tuple[FloatArray, ...]:
    parts = item.polygons or ()
    if item.rle is not None:
        parts, holes = outlines(item.rle)
        losses.add("it keeps no holes; masks written as their outer outlines", int(holes))
        losses.add("it keeps no pixel masks; masks written as outlines")
    if len(parts) > 1:
        losses.add("it keeps one polygon an object; objects of several parts, joined by lines of no width")
    return parts


def _joined(parts: tuple[FloatArray, ...]) -> FloatArray:
    """One polygon, float32 [P, 2], of several: from each first corner to the next, and back the same way."""
    if len(parts) == 1:
        return parts[0]
    closed = [np.concatenate([part, part[:1]]) for part in parts]
    back = [part[:1] for part in reversed(parts[1:-1])]
    return np.concatenate([*closed, *back])


def _count_losses(item: Instance, pose: bool, losses: Losses) -> None:
    lost = {
        "masks beside points": item.polygons or item.rle if pose else None,
        "points without names": item.points if not pose else None,
        "scores": item.score,
        "identities": item.identity,
        "marks (crowd, difficult, truncated)": item.crowd or item.difficult or item.truncated or None,
        "ids": item.id,
        "attributes": item.attributes or None,
    }
    for what, value in lost.items():
        losses.add(f"it keeps no {what}; objects that had one", int(value is not None))
    shape = replace(item, rle=None) if item.rle is None else item
    if not pose and item.box is not None and (item.polygons or item.rle):
        around = box_of_shape(shape, 1 << 24, 1 << 24)
        if around is None or np.abs(around - item.box).max() > 1:
            losses.add("it keeps no box beside a polygon; objects whose box is not the one around their mask")


def _boxes_to_polygons(path: Path, losses: Losses) -> None:
    """In a data set with polygons, a line of four numbers would be misread; a rectangle says the same."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        number, *cells = line.split()
        if len(cells) == 4:
            x, y, w, h = (float(cell) for cell in cells)
            corners = [x - w / 2, y - h / 2, x + w / 2, y - h / 2, x + w / 2, y + h / 2, x - w / 2, y + h / 2]
            line = " ".join([number, *(repr(v) for v in corners)])
            losses.add("it keeps no boxes among polygons; objects without a mask, written as rectangles")
        lines.append(line + "\n")
    path.write_text("".join(lines), encoding="utf-8")
