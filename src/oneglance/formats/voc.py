"""Pascal VOC XML, one file an image (host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf).

Corners are pixel numbers, 1-based, and both are inside the box: x1 = xmin - 1, y1 = ymin - 1, x2 = xmax, y2 =
ymax. An image without an XML was not labelled; an XML without an object says that nothing is there.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from pydantic import Field

from oneglance.annotations import Instance, Instances, Record
from oneglance.errors import OneglanceError, Problems
from oneglance.formats.base import SourceSettings, Suggestion, WriteOptions
from oneglance.formats.files import read_text, read_xml, walk_images
from oneglance.formats.image_folders import ImageFolders
from oneglance.formats.reading import Found, Reading, folder_of, passed_over
from oneglance.formats.recognition import entries, folders, relative_to
from oneglance.formats.shapes import Bad, Nothing, box_of_shape, checked_box, number
from oneglance.formats.writing import Images, Losses, new_folder, tasks_to_write
from oneglance.manifest import Columns

#: The annotation types that it can write.
HOLDS = ("instances",)

_LISTS = ("train", "val", "test")


class VocSettings(SourceSettings):
    """A Pascal VOC data set: a folder of images and a folder of XML files of the same names."""

    types: ClassVar[frozenset[str]] = frozenset({"instances", "tags", "label"})
    writes: ClassVar[tuple[str, ...] | None] = HOLDS
    fields: ClassVar[tuple[str, ...] | None] = ("objects",)

    format: Literal["voc"] = "voc"
    images: Path = Field(default=Path("JPEGImages"), description="The folder of the images.")
    labels: Path = Field(default=Path("Annotations"), description="The folder of the XML files.")
    splits: dict[str, Path] | None = Field(
        default=None,
        description="Lists of image names (without suffix) by split. Default: train, val and test of "
        "ImageSets/Main, "
        "where there are such lists. An image in none of them has no split.",
    )

    def read(self, columns: Columns, problems: Problems, base: Path) -> Iterator[Record]:
        """See :meth:`SourceSettings.read`."""
        reading = Reading(self, columns, problems, base)
        folder = folder_of(reading, self.images, "images")
        labels = folder_of(reading, self.labels, "labels")
        return _Reader(reading, folder, labels, self.splits).records()

    @classmethod
    def write(cls, records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
        """See :meth:`SourceSettings.write`."""
        return _write(records, columns, out, options)

    @classmethod
    def recognise(cls, folder: Path) -> list[Suggestion]:
        """See :meth:`SourceSettings.recognise`."""
        return _recognise(folder)


@dataclass
class _Reader:
    reading: Reading
    folder: Path
    labels: Path
    lists: dict[str, Path] | None

    def records(self) -> Iterator[Record]:
        splits = self._splits()
        stems: set[str] = set()
        for name in walk_images(self.folder):
            stem = posixpath.splitext(name)[0]
            if stem in stems:
                self.reading.problem(self.folder / name, f"another image has the same XML, {stem}.xml; passed over")
                continue
            stems.add(stem)
            image = self.reading.image(self.folder, name, self.folder / name)
            if image is None:
                continue
            path = self.labels / f"{stem}.xml"
            if not path.is_file():
                self.reading.note(
                    self.labels, "no XML for an image: it is unlabelled (an XML without objects says empty)"
                )
                yield self.reading.record(image, self.reading.unlabelled(), splits.get(stem))
                continue
            try:
                root = read_xml(path)
            except OneglanceError as error:
                self.reading.problem(path, f"{str(error).removeprefix(f'{path}: ')}; the image is unlabelled")
                yield self.reading.record(image, self.reading.unlabelled(), splits.get(stem))
                continue
            yield self._record(root, path, image, splits.get(stem))
        for path in sorted(self.labels.rglob("*.xml")):
            stem = path.relative_to(self.labels).with_suffix("").as_posix()
            if stem not in stems and not path.name.startswith("."):
                self.reading.problem(path, f"there is no image {stem}.* in {self.folder}")
        if self.lists is not None:
            for stem in sorted(set(splits) - stems):
                self.reading.problem(f"split {splits[stem]!r}", f"there is no image {stem}.* in {self.folder}")
        self.reading.finish()

    def _splits(self) -> dict[str, str]:
        lists = {split: self.reading.at(path) for split, path in (self.lists or {}).items()}
        if self.lists is None:
            main = self.labels.parent / "ImageSets" / "Main"
            lists = {split: main / f"{split}.txt" for split in _LISTS if (main / f"{split}.txt").is_file()}
        splits: dict[str, str] = {}
        for split, path in lists.items():
            for line, text in enumerate(read_text(path).splitlines(), 1):
                # VOC's lists of one class have a second column, 1, 0 or -1.
                stem = text.split()[0] if text.strip() else ""
                if stem and splits.setdefault(stem, split) != split:
                    self.reading.problem(f"{path} line {line}", f"{stem!r} is in split {splits[stem]!r} already (kept)")
        return splits

    def _record(self, root: Element, path: Path, image: Found, split: str | None) -> Record:
        if root.tag != "annotation":
            self.reading.problem(path, f"its root is <{root.tag[:40]}>, VOC's is <annotation>; the image is unlabelled")
            return self.reading.record(image, self.reading.unlabelled(), split)
        size = root.find("size")
        if size is not None:
            self.reading.compare_size(image, _whole(size, "width"), _whole(size, "height"), path)
        items, lost = [], set[str | None]()
        for index, entry in enumerate(root.findall("object")):
            item = self._instance(entry, f"{path} object {index + 1}", image, lost)
            if item is not None:
                items.append(item)
        return self.reading.record(image, self.reading.objects(items, path, lost=lost), split)

    def _instance(self, entry: Element, where: str, image: Found, lost: set[str | None]) -> Instance | None:
        name = _text(entry, "name")
        if not name:
            self.reading.problem(where, passed_over("it has no <name>", None, lost))
            return None
        where += f" ({name})"
        try:
            corners = entry.find("bndbox")
            if corners is None:
                raise Bad("it has no <bndbox>")
            x1, y1, x2, y2 = (_coordinate(corners, key) for key in ("xmin", "ymin", "xmax", "ymax"))
            if x2 == x1 and y2 == y1:  # one pixel by VOC's letter, but in practice nothing
                raise Nothing(f"its box goes from {x1:g}, {y1:g} to {x2:g}, {y2:g}: it has no size")
            box, complaint = checked_box((x1 - 1, y1 - 1, x2, y2), image.width, image.height)
        except Bad as error:
            self.reading.problem(where, passed_over(error, name, lost))
            return None
        if complaint:
            self.reading.problem(where, complaint)
        if entry.find("part") is not None:
            self.reading.note(self.labels, "an object's parts (<part>) are not read")
        extra = {key: text for key in ("pose",) if (text := _text(entry, key)) and text != "Unspecified"}
        attributes: dict[str, str | float] = {"occluded": 1} if _flag(entry, "occluded") else {}
        return Instance(
            name, box, difficult=_flag(entry, "difficult"), truncated=_flag(entry, "truncated"),
            attributes=attributes,
            extra=extra,
        )  # fmt: skip


def _text(entry: Element, key: str) -> str:
    return (entry.findtext(key) or "").strip()


def _flag(entry: Element, key: str) -> bool:
    return _text(entry, key).lower() in ("1", "true", "yes")


def _whole(entry: Element, key: str) -> int | None:
    text = _text(entry, key)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _coordinate(entry: Element, key: str) -> float:
    text = _text(entry, key)
    try:
        return number(float(text))
    except ValueError as error:
        raise Bad(f"its <{key}> is {text[:40]!r}, a number is expected") from error


def _write(records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
    losses = Losses("VOC")
    chosen = tasks_to_write(columns, options, HOLDS, "VOC")
    losses.left_tasks(columns, chosen)
    new_folder(out)
    images = Images(options, losses, by_stem=True)
    (out / "ImageSets" / "Main").mkdir(parents=True)
    splits: dict[str, list[str]] = {}
    for record in records:
        name = images.name(record.path)
        images.put(record.path, out / "JPEGImages" / name)
        stem = posixpath.splitext(name)[0]
        if record.split is not None:
            splits.setdefault(record.split, []).append(stem)
        found = [a for task in chosen if isinstance(a := record.annotations.get(task), Instances)]
        if not found:
            continue
        if len(found) < len(chosen):
            losses.add(
                "it can't say that an image is labelled for some tasks only; images that now seem empty for others"
            )
        if any(a.annotated is not None for a in found):
            losses.add("it can't say which classes were looked for; images in which the others now seem absent")
        items = [item for annotation in found for item in annotation.items]
        path = out / "Annotations" / f"{stem}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_xml(record, name, items, losses))
    for split, names in splits.items():
        (out / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{n}\n" for n in names), encoding="utf-8")
    (out / "Annotations").mkdir(exist_ok=True)
    (out / "JPEGImages").mkdir(exist_ok=True)
    return losses.sentences()


def _xml(record: Record, name: str, items: list[Instance], losses: Losses) -> bytes:
    root = Element("annotation")
    SubElement(root, "filename").text = name
    size = SubElement(root, "size")
    for key, value in (("width", record.width), ("height", record.height), ("depth", 3)):
        SubElement(size, key).text = str(value)
    for item in items:
        if item.box is None:
            shape = box_of_shape(item, record.width, record.height)
            if shape is None:
                losses.add("objects without box, mask or labelled points are not written")
                continue
            item = replace(item, box=shape)
        lost: dict[str, Any] = {
            "masks": item.polygons or item.rle,
            "keypoints": item.points,
            "scores": item.score,
            "identities": item.identity,
            "marks of crowds": item.crowd or None,
            "ids": item.id,
            "attributes": {k: v for k, v in item.attributes.items() if k != "occluded"} or None,
        }
        for what, value in lost.items():
            losses.add(f"it keeps no {what}; objects that had one", int(value is not None))
        root.append(_object(item))
    indent(root)
    data: bytes = tostring(root, encoding="utf-8")
    return data


def _object(item: Instance) -> Element:
    entry = Element("object")
    facts: list[tuple[str, Any]] = [
        ("name", item.label), ("pose", item.extra.get("pose", "Unspecified")),
        ("truncated", int(item.truncated)),
        ("difficult", int(item.difficult)), ("occluded", int(bool(item.attributes.get("occluded")))),
    ]  # fmt: skip
    for key, value in facts:
        SubElement(entry, key).text = str(value)
    box = SubElement(entry, "bndbox")
    corners = np.asarray(item.box, np.float64) + np.array([1, 1, 0, 0])
    for key, value in zip(("xmin", "ymin", "xmax", "ymax"), corners.tolist(), strict=True):
        SubElement(box, key).text = repr(int(value) if value == int(value) else value)
    return entry


def _recognise(folder: Path) -> list[Suggestion]:
    found = []
    places = ImageFolders(folder)
    for labels in folders(folder):
        xmls = [entry for entry in entries(labels) if entry.name.endswith(".xml")][:2000]
        names: set[str] = set()
        for entry in xmls:
            try:
                root = read_xml(Path(entry.path))
            except OneglanceError:
                continue
            if root.tag == "annotation":
                names |= {_text(one, "name") for one in root.findall("object")} - {""}
        if not names:
            continue
        stems = frozenset(posixpath.splitext(entry.name)[0] for entry in xmls)
        images = places.of_stems(stems, labels)
        if images is None:
            continue
        source = {
            "format": "voc", "images": relative_to(images, folder), "labels": relative_to(labels, folder),
            "tasks": ["objects"],
        }  # fmt: skip
        found.append(Suggestion(source, {"objects": {"kind": "detection", "classes": sorted(names)}}, stems=stems))
    return found
