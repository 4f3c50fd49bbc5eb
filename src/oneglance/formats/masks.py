"""Semantic masks: a PNG for each image, its grey values or palette indices are the classes.

Only the mask's header is opened while reading; ``scan`` opens all of it. A value that is in no class is void
(unknown).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from oneglance.annotations import Record, Segments
from oneglance.decode import ImageError, decode_mask, read_size
from oneglance.errors import OneglanceError, Problems, nearest
from oneglance.formats.base import SourceSettings, Suggestion, WriteOptions
from oneglance.formats.files import Refused, by_stem, inside, need_folder, walk_images
from oneglance.formats.image_folders import LABEL_WORDS, ImageFolders, is_grey, looks_like_mask, words_of
from oneglance.formats.reading import Annotations, Found, Reading
from oneglance.formats.recognition import SPLITS, folders, images_in, relative_to
from oneglance.formats.writing import Images, Losses, new_folder, one_task, tasks_to_write
from oneglance.manifest import Column, Columns

#: The annotation types that it can write.
HOLDS = ("segments",)


class MasksSettings(SourceSettings):
    """A folder of images and a folder of masks of the same names."""

    types: ClassVar[frozenset[str]] = frozenset({"segments"})
    writes: ClassVar[tuple[str, ...] | None] = HOLDS
    fields: ClassVar[tuple[str, ...] | None] = ("mask",)

    format: Literal["masks"] = "masks"
    images: Path | dict[str, Path] = Field(
        default=Path("images"),
        description="The folder of the images, or a folder for each split (`{train: ..., val: ...}`).",
    )
    labels: Path | dict[str, Path] = Field(
        default=Path("masks"), description="The folder of the masks, or a folder for each split."
    )
    suffix: str = Field(default="", description="What a mask's name has after the image's, such as `_mask`.")
    values: dict[int, str] | None = Field(
        default=None,
        description="Pixel values and their classes. Default: value i is the task's i-th class, from 0.",
    )
    void: list[int] = Field(
        default=[255], description="Pixel values that mean unknown, for `scan` (all others do as well)."
    )
    scan: bool = Field(
        default=False, description="Open every mask and report values that are neither classes nor void."
    )

    def image_folder(self, base: Path) -> Path:
        """See :meth:`SourceSettings.image_folder`."""
        return self.folder(base) / self.images if isinstance(self.images, Path) else self.folder(base)

    def read(self, columns: Columns, problems: Problems, base: Path) -> Iterator[Record]:
        """See :meth:`SourceSettings.read`."""
        reading = Reading(self, columns, problems, base)
        pairs = []
        for split, images in _by_split(self.images).items():
            labels = _by_split(self.labels)
            if split is not None and None not in labels and split not in labels:
                raise OneglanceError(f"source {reading.name!r}: `images` has split {split!r}, `labels` has not")
            given = labels.get(split, labels.get(None))
            if given is None:
                raise OneglanceError(f"source {reading.name!r}: give `images` by split as well as `labels`")
            pairs.append((split, need_folder(reading.at(images), "images"), need_folder(reading.at(given), "labels")))
        values = {task: self._values(reading, task, column) for task, column in reading.tasks.items()}
        return self._records(reading, pairs, values)

    def _values(self, reading: Reading, task: str, column: Column) -> tuple[tuple[int, str], ...]:
        if self.values is None:
            return tuple(
                (value, name)
                for value, name in enumerate(column.classes)
                if self.annotated is None or name in self.annotated
            )
        found = []
        for value, name in self.values.items():
            known = reading.class_of(task, name)
            if known is None:
                renamed = self.rename.get(name, name)
                reading.problem(
                    f"source {reading.name!r} values", f"{value}: task {task!r} has no class {renamed!r}"
                    f"{nearest(renamed, column.classes)}; these pixels are unknown"
                )  # fmt: skip
            else:
                found.append((value, known))
        return tuple(found)

    def _records(
        self,
        reading: Reading,
        pairs: list[tuple[str | None, Path, Path]],
        values: dict[str, tuple[tuple[int, str], ...]],
    ) -> Iterator[Record]:
        for split, folder, labels in pairs:
            masks = by_stem(labels)
            used: set[str] = set()
            for name in walk_images(folder):
                stem = posixpath.splitext(name)[0] + self.suffix
                if folder == labels and self.suffix and posixpath.splitext(name)[0].endswith(self.suffix):
                    continue
                image = reading.image(folder, name, folder / name)
                if image is None:
                    continue
                used.add(stem)
                yield reading.record(image, self._segments(reading, image, labels, masks.get(stem, []), values), split)
            if folder != labels:
                for stem in sorted(set(masks) - used):
                    reading.problem(labels / masks[stem][0], f"there is no image for this mask in {folder}")
        reading.finish()

    def _segments(
        self,
        reading: Reading,
        image: Found,
        labels: Path,
        names: list[str],
        values: dict[str, tuple[tuple[int, str], ...]],
    ) -> Annotations:
        """What the image's mask says, all unknown where there is none that can be used."""
        # A JPEG of a mask has values that nobody drew; a PNG of the same name is the mask.
        lossless = [name for name in names if not name.lower().endswith((".jpg", ".jpeg", ".webp"))]
        if not names:
            reading.note(labels, "no mask for an image: it is unlabelled")
            return reading.unlabelled()
        if len(lossless) != 1:
            what = (
                f"{len(lossless)} masks for one image" if lossless else "the mask is a JPEG, which changes its values"
            )
            reading.problem(labels / names[0], f"{what}; the image is unlabelled")
            return reading.unlabelled()
        path = labels / lossless[0]
        try:
            inside(labels, lossless[0], self.links)
            size = read_size(path)
            if size != (image.width, image.height):
                raise Refused(f"the mask has {size[0]} x {size[1]} pixels, its image {image.width} x {image.height}")
            if self.scan:
                self._scan(reading, path, {value for task in values for value, _ in values[task]})
        except (ImageError, Refused) as error:
            reading.problem(path, f"{str(error).removeprefix(f'{path}: ')}; the image is unlabelled")
            return reading.unlabelled()
        return {task: Segments(path, values[task]) for task in reading.tasks}

    def _scan(self, reading: Reading, path: Path, known: set[int]) -> None:
        found = {int(value) for value in np.unique(decode_mask(path))}
        declared = set(self.values) if self.values is not None else known
        if unknown := sorted(found - declared - set(self.void)):
            shown = ", ".join(str(value) for value in unknown[:8])
            reading.problem(
                path,
                f"pixel values {shown} are no class (known: {sorted(declared)}) and are taken as unknown",
            )

    @classmethod
    def write(cls, records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
        """See :meth:`SourceSettings.write`."""
        return _write(records, columns, out, options)

    @classmethod
    def recognise(cls, folder: Path) -> list[Suggestion]:
        """See :meth:`SourceSettings.recognise`."""
        return _recognise(folder)


def _by_split(value: Path | dict[str, Path]) -> dict[str | None, Path]:
    if isinstance(value, Path):
        return {None: value}
    by_split: dict[str | None, Path] = {}
    for split, path in value.items():
        by_split[split] = path
    return by_split


@dataclass
class _Palette:
    """The pixel values that are written: the task's classes in order, then classes that the task does not
    list.
    """

    names: list[str]

    def value(self, name: str) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)


def _write(records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
    losses = Losses("masks")
    chosen = tasks_to_write(columns, options, HOLDS, "masks")
    task = one_task(chosen, "masks")
    losses.left_tasks(columns, chosen)
    new_folder(out)
    images = Images(options, losses, by_stem=True)
    palette = _Palette(list(columns[task].classes))
    for record in records:
        name = images.name(record.path)
        split = record.split or "all"
        annotation = record.annotations.get(task)
        if record.group is not None:
            losses.add("it keeps no groups; images that had one")
        images.put(record.path, out / "images" / split / name)
        if not isinstance(annotation, Segments):
            continue
        target = out / "masks" / split / f"{posixpath.splitext(name)[0]}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_drawn(annotation, palette, record)).save(target)
    if len(palette.names) > 255:
        raise OneglanceError(f"masks: {len(palette.names)} classes; a PNG of bytes holds 255 and void")
    for split in {path.name for path in (out / "images").glob("*")}:
        (out / "masks" / split).mkdir(parents=True, exist_ok=True)
    (out / "classes.txt").write_text("".join(f"{name}\n" for name in palette.names), encoding="utf-8")
    return losses.sentences()


def _drawn(annotation: Segments, palette: _Palette, record: Record) -> np.ndarray:
    """The mask as it is written, uint8 [H, W]: index of the class, 255 void."""
    pairs: Any
    if annotation.indices is not None:
        indices: np.ndarray = annotation.indices
        pairs = list(enumerate(annotation.classes or palette.names))
    elif annotation.path is not None:
        indices = decode_mask(annotation.path)
        pairs = annotation.values
    else:
        raise OneglanceError(f"{record.path}: its segments have neither a mask file nor indices")
    drawn = np.full(indices.shape, 255, np.uint8)
    for value, name in pairs:
        drawn[indices == value] = palette.value(name)
    return drawn


def _recognise(folder: Path) -> list[Suggestion]:
    """Pairs of folders whose images have the same names, the second of small-valued PNGs."""
    pairs: list[tuple[Path, Path, frozenset[str]]] = []
    total: set[int] = set()
    places = ImageFolders(folder)
    for labels in folders(folder, 3):
        pngs = [n for n in images_in(labels) if n.lower().endswith(".png")]
        if not pngs or not looks_like_mask(labels / pngs[0]):
            continue
        stems = frozenset(posixpath.splitext(name)[0] for name in pngs)
        images = places.of_stems(stems, labels, 0.5, beside=False)
        if images is None or looks_like_mask(images / images_in(images)[0]):
            continue
        if is_grey(images / images_in(images)[0]) and not words_of(labels.relative_to(folder)) & LABEL_WORDS:
            continue  # grey pictures of one class beside those of another
        pairs.append((images, labels, stems))
        for name in pngs[:: max(1, len(pngs) // 300)]:
            try:
                total |= {int(v) for v in np.unique(decode_mask(labels / name))}
            except ImageError:
                continue
    # The parts of one data set have the same classes, whichever happen to occur in each. 255 is void beside the numbers
    # of classes; but white is a value like black and the greys between.
    rest = total - {255}
    numbers = len(rest) > 1 and (max(rest) < 64 or len(rest) >= max(rest) / 8)
    values = {value: f"class_{value}" for value in sorted(rest if numbers else total)}
    found = []
    for images, labels, stems in pairs:
        source: dict[str, Any] = {
            "format": "masks", "images": relative_to(images, folder), "labels": relative_to(labels, folder),
            "values": values,
        }  # fmt: skip
        if images.name in SPLITS:
            source["split"] = SPLITS[images.name]
        source["tasks"] = ["ground"]
        note = "the values' names are not in the files: put them in place of class_0, class_1, ..."
        tasks = {"ground": {"kind": "segmentation", "classes": list(values.values())}}
        found.append(Suggestion(source, tasks, note, stems))
    return found
