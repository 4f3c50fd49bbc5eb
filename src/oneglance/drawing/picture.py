"""Pictures of annotations: labels and predictions have the same types, so they are drawn alike.

What is somewhere in the image is drawn there; what is said of the whole image stands in a strip below it,
and so does what is not known: *unknown* and *none* must never look the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from oneglance.annotations import (
    HIDDEN,
    UNLABELLED,
    Annotation,
    FloatArray,
    Identity,
    Instance,
    Instances,
    Label,
    Numbers,
    Points,
    Segments,
    Tags,
)
from oneglance.drawing.lettering import INK, STRIP, Line, Tag, caption, font_height, place_tags, rows_needed
from oneglance.drawing.palette import Colour, class_colours, colour_of, numbered
from oneglance.formats.rle import decode as decode_rle

if TYPE_CHECKING:
    from oneglance.tasks.base import Task

Picture = NDArray[np.uint8]

#: A drawing's longer side has at least so many pixels, so that text in it can be read.
SMALLEST = 384
#: A picture has at least this width, so that the strip can be read.
NARROWEST = 288
#: Rows of a task in the strip of a film.
MOST_ROWS = 3
#: More points than this are drawn in one colour and not named.
NAMED_POINTS = 16
#: How much of a class's colour there is in a pixel of a segmentation.
SEGMENTS = 0.55
_SHIFT = 4  # fractional bits of OpenCV's coordinates


def draw(
    image: Picture,
    annotations: Mapping[str, Annotation | None],
    tasks: Mapping[str, Task[Any]],
    *,
    min_score: float = 0.25,
    steady: bool = False,
) -> Picture:
    """An image with everything that is said of it.

    Args:
        image: uint8 [H, W, 3] RGB; it is not changed.
        annotations: by task, in pixels of the image. A task of ``tasks`` that is missing here, or None, is unknown,
            and the strip below the image says so.
        tasks: the questions; they give the names of classes and points.
        min_score: objects with a lower score and no track are left out; labels have no score and are always drawn.
        steady: all images of one size give pictures of one size, each task's line at its own height: for films.

    Returns a picture uint8 [H', W', 3]: the image, enlarged where it is small, beside it a margin where it is narrow,
    and the strip below.
    """
    scale = max(1.0, SMALLEST / max(image.shape[:2]))
    canvas = _enlarged(image, scale)
    painter = _Painter(canvas, scale, class_colours(tasks), min_score)
    # What is said of objects stands at the objects.
    asked = [name for name, task in tasks.items() if not task.on_objects or annotations.get(name) is not None]
    names = [*asked, *(name for name in annotations if name not in tasks)]
    # Surfaces first, then outlines, then points, so that nothing small is hidden by something large.
    for kind in (Segments, Instances, Points):
        for name in names:
            annotation = annotations.get(name)
            if isinstance(annotation, kind):
                painter.paint(annotation, tasks.get(name))
    if canvas.shape[1] < NARROWEST:
        canvas = np.concatenate([canvas, _blank(canvas.shape[0], NARROWEST - canvas.shape[1])], 1)
    place_tags(canvas, painter.tags, painter.text)
    lines = [_line(name, annotations.get(name), tasks.get(name), painter) for name in names]
    rows = None
    if steady:
        fullest = tuple(_fullest(name, tasks.get(name)) for name in names)
        rows = rows_needed(fullest, canvas.shape[1], painter.text, MOST_ROWS)
    return np.concatenate([canvas, caption(lines, canvas.shape[1], painter.text, rows)])


def sheet(
    pictures: Sequence[Picture],
    columns: int = 4,
    cell: tuple[int, int] = (320, 320),
    titles: Sequence[str] | None = None,
) -> Picture:
    """A contact sheet, uint8 [H, W, 3]: pictures in rows of ``columns``, each with its title above.

    ``cell``: (height, width) that a picture gets; larger ones are reduced to fit, smaller ones are not
    enlarged.
    """
    if not pictures:
        raise ValueError("a contact sheet needs at least one picture")
    titles = list(titles) if titles is not None else [""] * len(pictures)
    gap, text = 8, 13
    tiles = []
    for picture, title in zip(pictures, titles, strict=True):
        factor = min(1.0, cell[0] / picture.shape[0], cell[1] / picture.shape[1])
        if factor < 1:
            size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        if title:
            picture = _stacked(caption([Line(title)], max(picture.shape[1], 2 * cell[1] // 3), text), picture)
        tiles.append(picture)
    columns = max(1, min(columns, len(tiles)))
    widths = [max(tile.shape[1] for tile in tiles[k::columns]) + gap for k in range(columns)]
    lefts = np.cumsum([gap, *widths])
    rows = [_blank(gap, int(lefts[-1]))]
    for start in range(0, len(tiles), columns):
        row = tiles[start : start + columns]
        strip = _blank(max(tile.shape[0] for tile in row) + gap, int(lefts[-1]))
        for tile, left in zip(row, lefts.tolist(), strict=False):
            strip[: tile.shape[0], left : left + tile.shape[1]] = tile
        rows.append(strip)
    return np.concatenate(rows)


class _Painter:
    """Paints into ``canvas`` (in place), the image ``scale`` times enlarged; collects the text to be set."""

    def __init__(self, canvas: Picture, scale: float, colours: Mapping[str, Colour], min_score: float) -> None:
        self.canvas, self.scale, self.colours, self.min_score = canvas, scale, colours, min_score
        longer = max(canvas.shape[:2])
        self.text = font_height(longer)
        self.stroke = max(2, round(longer / 320))
        self.tags: list[Tag] = []

    def paint(self, annotation: Annotation, task: Task[Any] | None) -> None:
        """Paint what has a place in the image."""
        match annotation:
            case Segments():
                self._segments(annotation)
            case Instances():
                items = sorted(annotation.sure(self.min_score), key=_size, reverse=True)
                for item in items:
                    self._surface(item)
                for item in items:
                    self._instance(item, task)
            case Points():
                names = task.column.points if task is not None else ()
                base = colour_of(task.name if task is not None else "points", self.colours)
                self._points(annotation, names, base, task)

    def _colour(self, item: Instance) -> Colour:
        """That of its track, the same in all frames, where it has one; otherwise that of its class."""
        return numbered(item.track - 1) if item.track is not None else colour_of(item.label, self.colours)

    def _segments(self, annotation: Segments) -> None:
        if annotation.indices is None or annotation.classes is None:
            return
        table = np.zeros((256, 1, 3), np.uint8)
        for index, name in enumerate(annotation.classes):
            table[index] = colour_of(name, self.colours)
        size = (self.canvas.shape[1], self.canvas.shape[0])
        indices = cv2.resize(annotation.indices, size, interpolation=cv2.INTER_NEAREST)
        # Shaded rather than mixed: on a bright sky or a dark road, a mixture would no longer have the
        # legend's hue.
        grey = cv2.cvtColor(self.canvas, cv2.COLOR_RGB2GRAY)
        shade = cv2.convertScaleAbs(grey, alpha=0.45, beta=0.55 * 255)
        plain = cv2.LUT(cv2.merge([indices] * 3), table)
        shaded = cv2.multiply(plain, cv2.merge([shade] * 3), scale=1 / 255)
        mixed = cv2.addWeighted(self.canvas, 1 - SEGMENTS, shaded, SEGMENTS, 0)
        void = indices >= len(annotation.classes)
        if void.any():
            # Void stays as it is, but for a hatching that tells it from a class of dull colour.
            mixed[void] = self.canvas[void]
            rows, columns = (np.arange(side, dtype=np.int32) for side in void.shape)
            stripes = (np.add.outer(rows, columns) % (8 * self.stroke) < self.stroke) & void
            mixed[stripes] = mixed[stripes] // 2 + 100
        self.canvas[:] = mixed

    def _surface(self, item: Instance) -> None:
        colour = self._colour(item)
        height, width = self.canvas.shape[:2]
        if item.rle is not None:
            full = cv2.resize(decode_rle(item.rle).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        elif item.polygons:
            full = np.zeros((height, width), np.uint8)
            # One by one: filled together, parts that overlap would leave holes.
            for part in item.polygons:
                cv2.fillPoly(full, [self._fixed(part)], 1, cv2.LINE_8, _SHIFT)
        else:
            return
        left, top, w, h = cv2.boundingRect(full)
        if not w:
            return
        here = self.canvas[top : top + h, left : left + w]
        mixed = cv2.addWeighted(here, 0.6, np.full_like(here, colour), 0.4, 0)
        cv2.copyTo(mixed, full[top : top + h, left : left + w], here)
        outlines, _ = cv2.findContours(full, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(self.canvas, outlines, -1, colour, self.stroke - 1, cv2.LINE_AA)

    def _instance(self, item: Instance, task: Task[Any] | None) -> None:
        colour = self._colour(item)
        corner: tuple[float, float, float, float] | None = None
        if item.box is not None:
            x1, y1, x2, y2 = (float(v) for v in item.box * self.scale)
            self._box((x1, y1, x2, y2), colour, dashed=item.crowd or item.difficult)
            corner = (x1, y1, x2, y2)
        elif item.polygons:
            every = np.concatenate(item.polygons) * self.scale
            corner = (*every.min(0).tolist(), *every.max(0).tolist())
        if item.points is not None:
            children = task.children if task is not None else ()
            asking = next((c for c in children if c.carrier == "points" and c.asks_about(item)), task)
            names = asking.column.points if asking is not None else ()
            self._points(item.points, names, colour, asking, named=False)
        if corner is not None:
            short = item.label if item.track is None else f"#{item.track}"
            self.tags.append(Tag(_title(item), corner, colour, short=short))

    def _box(self, box: tuple[float, float, float, float], colour: Colour, *, dashed: bool) -> None:
        x1, y1, x2, y2 = box
        corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]) / self.scale
        if not dashed:
            # A dark rim keeps the line visible on a ground of its own colour.
            cv2.polylines(self.canvas, [self._fixed(corners)], True, INK, self.stroke + 2, cv2.LINE_AA, _SHIFT)
            cv2.polylines(self.canvas, [self._fixed(corners)], True, colour, self.stroke, cv2.LINE_AA, _SHIFT)
            return
        for start, end in zip(corners, np.roll(corners, -1, 0), strict=True):
            length = float(np.linalg.norm(end - start)) * self.scale
            for at in np.arange(0, length, 6 * self.stroke + 4):
                piece = np.array([at, min(length, at + 3 * self.stroke + 2)])[:, None] / max(length, 1e-6)
                dash = self._fixed(start + piece * (end - start))
                cv2.polylines(self.canvas, [dash], False, INK, self.stroke + 2, cv2.LINE_AA, _SHIFT)
                cv2.polylines(self.canvas, [dash], False, colour, self.stroke, cv2.LINE_AA, _SHIFT)

    def _points(
        self,
        points: Points,
        names: Sequence[str],
        base: Colour,
        task: Task[Any] | None,
        *,
        named: bool = True,
    ) -> None:
        labelled = (points.visibility != UNLABELLED) & np.isfinite(points.xy).all(-1)
        for pair in getattr(task.settings, "skeleton", ()) if task is not None else ():
            a, b = (names.index(name) for name in pair)
            if labelled[a] and labelled[b]:
                line = self._fixed(points.xy[[a, b]])
                cv2.polylines(self.canvas, [line], False, INK, self.stroke + 2, cv2.LINE_AA, _SHIFT)
                cv2.polylines(self.canvas, [line], False, base, self.stroke, cv2.LINE_AA, _SHIFT)
        few = len(points.xy) <= NAMED_POINTS
        spread = np.ptp(points.xy[labelled], axis=0).max() * self.scale if labelled.any() else 0.0
        # Many points on a small face would run into one another.
        radius = 1.7 * self.stroke + 1 if few else float(np.clip(spread / 90, 1, 1.3 * self.stroke + 1))
        for k in np.flatnonzero(labelled).tolist():
            at = tuple(int(v) for v in self._fixed(points.xy[k]))
            self._dot(at, radius, base, hollow=int(points.visibility[k]) == HIDDEN)
            if few and named and k < len(names):
                x, y = (float(v) for v in points.xy[k] * self.scale)
                box = (x - radius, y - radius, x + radius, y + radius)
                self.tags.append(Tag(names[k], box, base, small=True))

    def _dot(self, at: tuple[int, ...], radius: float, colour: Colour, *, hollow: bool) -> None:
        unit = 1 << _SHIFT
        if hollow:
            cv2.circle(self.canvas, at, int(radius * unit), INK, self.stroke + 2, cv2.LINE_AA, _SHIFT)
            cv2.circle(self.canvas, at, int(radius * unit), colour, self.stroke, cv2.LINE_AA, _SHIFT)
        else:
            cv2.circle(self.canvas, at, int((radius + 1) * unit), INK, -1, cv2.LINE_AA, _SHIFT)
            cv2.circle(self.canvas, at, int(radius * unit), colour, -1, cv2.LINE_AA, _SHIFT)

    def _fixed(self, xy: FloatArray | np.ndarray) -> NDArray[np.int32]:
        """Image coordinates [..., 2] as OpenCV's fixed-point ones, whose integers are pixel centres."""
        pixels = np.clip(np.asarray(xy, np.float64) * self.scale - 0.5, -30_000, 30_000)
        return np.round(pixels * (1 << _SHIFT)).astype(np.int32)


def _size(item: Instance) -> float:
    if item.box is None:
        return 0.0
    x1, y1, x2, y2 = (float(v) for v in item.box)
    return (x2 - x1) * (y2 - y1)


def _title(item: Instance) -> str:
    words = [item.label] if item.track is None else [f"#{item.track}", item.label]
    words += [value for value in item.attributes.values() if isinstance(value, str)]
    if item.identity is not None:
        words.append(f"({item.identity})")
    if item.score is not None:
        words.append(f"{item.score:.2f}")
    marks = [mark for mark, holds in (("crowd", item.crowd), ("difficult", item.difficult)) if holds]
    return " ".join(words + marks)


def _line(name: str, annotation: Annotation | None, task: Task[Any] | None, painter: _Painter) -> Line:
    """What the strip says of one task."""
    classes = task.classes if task is not None else ()
    match annotation:
        case None:
            return Line(f"{name}: unknown", faint=True)
        case Label(label, score):
            return Line(f"{name}: {label}" + (f" {score:.2f}" if score is not None else ""))
        case Tags():
            return Line(f"{name}: {_tags(annotation, classes)}")
        case Numbers(values):
            targets = task.column.targets if task is not None else ()
            return Line(f"{name}: {_numbers(values, targets)}")
        case Identity(who, vector):
            length = 0 if vector is None else len(vector)
            return Line(f"{name}: {who if who is not None else f'a vector of {length} numbers'}")
        case Points():
            return Line(f"{name}: {_count_points(annotation)}", dots=((painter.colours.get(name, numbered(0)), ""),))
        case Instances():
            return _objects(name, annotation, painter)
        case Segments():
            return _segments(name, annotation, painter)


def _fullest(name: str, task: Task[Any] | None) -> Line:
    """About the longest thing that :func:`_line` may say of a task."""
    if task is None:
        return Line(f"{name}: unknown")
    longest = max(task.classes, key=len, default="unknown")
    if task.annotation is Label:
        return Line(f"{name}: {longest} 0.00")
    if task.annotation is Tags:
        return Line(f"{name}: {', '.join(f'{label} 0.00' for label in task.classes)}")
    if task.annotation is Numbers:
        return Line(f"{name}: {', '.join(f'{target} -0.0001234' for target in task.column.targets)}")
    if task.annotation is Points:
        count = len(task.column.points)
        return Line(f"{name}: {count} of {count} points, {count} hidden", dots=((INK, ""),))
    many = "99 " if task.annotation is Instances else ""
    return Line(f"{name}:", dots=tuple((INK, many + label) for label in task.classes), after=" (99% void)")


def _tags(annotation: Tags, classes: Sequence[str]) -> str:
    chances: dict[str, float] = {}
    if annotation.scores is not None and annotation.classes is not None:
        chances = dict(zip(annotation.classes, annotation.scores.tolist(), strict=True))
    shown = [name + (f" {chances[name]:.2f}" if name in chances else "") for name in annotation.names]
    text = ", ".join(shown) or "none"
    if annotation.annotated is not None and len(annotation.annotated) < len(classes):
        unknown = [name for name in classes if name not in annotation.annotated]
        text += f" (unknown: {', '.join(unknown)})"
    return text


def _numbers(values: FloatArray, targets: Sequence[str]) -> str:
    shown = ["unknown" if np.isnan(value) else f"{value:.4g}" for value in values.tolist()]
    if len(shown) == 1:
        return shown[0]
    names = targets if len(targets) == len(shown) else [str(k) for k in range(len(shown))]
    return ", ".join(f"{name} {value}" for name, value in zip(names, shown, strict=True))


def _count_points(points: Points) -> str:
    labelled = int((points.visibility != UNLABELLED).sum())
    hidden = int((points.visibility == HIDDEN).sum())
    if not labelled:
        return f"none of {len(points.xy)} points"
    every = f"{labelled} points" if labelled == len(points.xy) else f"{labelled} of {len(points.xy)} points"
    return every + (f", {hidden} hidden" if hidden else "")


def _objects(name: str, annotation: Instances, painter: _Painter) -> Line:
    shown = annotation.sure(painter.min_score)
    counts: dict[str, int] = {}
    for item in shown:
        counts[item.label] = counts.get(item.label, 0) + 1
    looked_for = ""
    if annotation.annotated is not None:
        looked_for = (
            f" (looked for {', '.join(annotation.annotated)} only)" if annotation.annotated else " (of no class)"
        )
    if any(item.track is not None for item in shown):  # their colours are not those of classes
        return Line(f"{name}: {', '.join(f'{count} {label}' for label, count in counts.items())}{looked_for}")
    if counts:
        dots = tuple((colour_of(label, painter.colours), f"{count} {label}") for label, count in counts.items())
        return Line(f"{name}:", dots=dots, after=looked_for)
    none = f"none above {painter.min_score:g}" if annotation.items else "none"
    return Line(f"{name}: {none}{looked_for}")


def _segments(name: str, annotation: Segments, painter: _Painter) -> Line:
    if annotation.indices is None or annotation.classes is None:
        return Line(f"{name}: mask not read", faint=True)
    share = np.bincount(annotation.indices.ravel(), minlength=256) / annotation.indices.size
    dots = tuple(
        (colour_of(annotation.classes[k], painter.colours), annotation.classes[k])
        for k in np.argsort(-share[: len(annotation.classes)], kind="stable")
        if share[k] > 0
    )
    void = float(share[len(annotation.classes) :].sum())
    if not dots:
        return Line(f"{name}: unknown (all void)", faint=True)
    return Line(f"{name}:", dots=dots, after=f" ({max(1, round(100 * void))}% void)" if void > 0 else "")


def _enlarged(image: Picture, scale: float) -> Picture:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an image must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
    if scale == 1:
        return image.copy()
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _blank(height: int, width: int) -> Picture:
    return np.full((height, width, 3), STRIP, np.uint8)


def _stacked(above: Picture, below: Picture) -> Picture:
    both = _blank(above.shape[0] + below.shape[0], max(above.shape[1], below.shape[1]))
    both[: above.shape[0], : above.shape[1]] = above
    both[above.shape[0] :, : below.shape[1]] = below
    return both
