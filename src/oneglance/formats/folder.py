"""Class folders: ``root/CLASS/*.jpg``, or ``root/SPLIT/CLASS/*.jpg``. Folders of people are
the same; with LFW's file names and pairs they are read better by ``lfw``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from oneglance.annotations import Identity, Label, Record
from oneglance.errors import OneglanceError, Problems, nearest
from oneglance.formats.base import SourceSettings, Suggestion, WriteOptions
from oneglance.formats.files import is_image_name, walk
from oneglance.formats.lfw import looks_like_lfw
from oneglance.formats.reading import Annotations, Reading, folder_of
from oneglance.formats.recognition import SPLITS, entries, folders, images_in, relative_to
from oneglance.formats.writing import Images, Losses, new_folder, one_task, tasks_to_write
from oneglance.manifest import Columns

#: The annotation types that it can write.
HOLDS = ("label", "identity")


class FolderSettings(SourceSettings):
    """Images sorted into a folder for each class (or each person)."""

    types: ClassVar[frozenset[str]] = frozenset({"label", "identity"})
    writes: ClassVar[tuple[str, ...] | None] = HOLDS
    fields: ClassVar[tuple[str, ...] | None] = ("folder", "class", "identity")

    format: Literal["folder"] = "folder"
    images: Path | None = Field(
        default=None, description="The folder that holds the class folders (or the split folders)."
    )
    splits: list[str] | None = Field(
        default=None,
        description="Names of folders above the class folders that are splits. Default: train, val, valid, "
        "test, if "
        "all of the folders are called so. `[]`: there are none.",
    )

    def read(self, columns: Columns, problems: Problems, base: Path) -> Iterator[Record]:
        """See :meth:`SourceSettings.read`."""
        reading = Reading(self, columns, problems, base)
        return self._records(reading, folder_of(reading, self.images, "root"))

    def _records(self, reading: Reading, folder: Path) -> Iterator[Record]:
        splits = self.splits
        if splits is None:
            names = [e.name for e in entries(folder) if e.is_dir()]
            splits = names if names and all(name.lower() in SPLITS for name in names) else []
        for name in splits:
            if not (folder / name).is_dir():
                known = [e.name for e in entries(folder)]
                raise OneglanceError(f"{folder / name}: there is no such split folder{nearest(name, known)}")
        unknown: set[str] = set()
        for name in walk(folder):
            parts = name.split("/")
            if not is_image_name(name):
                reading.note(folder, "a file that is no image by its name is ignored")
                continue
            split = parts.pop(0) if parts[0] in splits and len(parts) > 1 else None
            if len(parts) < 2:
                reading.problem(folder / name, "an image in no class folder; passed over")
                continue
            # Between the class and the image there may be further folders (videos, shoots): they say nothing
            # here.
            annotations = _annotations(reading, parts[0], unknown, folder)
            image = reading.image(folder, name, folder / name)
            if image is not None:
                yield reading.record(image, annotations, SPLITS.get(split.lower(), split) if split else None)
        reading.finish()

    @classmethod
    def write(cls, records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
        """See :meth:`SourceSettings.write`."""
        return _write(records, columns, out, options)

    @classmethod
    def recognise(cls, folder: Path) -> list[Suggestion]:
        """See :meth:`SourceSettings.recognise`."""
        return _recognise(folder)


def _annotations(reading: Reading, name: str, unknown: set[str], folder: Path) -> Annotations:
    annotations: Annotations = {}
    for task, column in reading.tasks.items():
        if column.type == "identity":
            annotations[task] = Identity(reading.settings.rename.get(name, name))
            continue
        known = reading.class_of(task, name)
        annotations[task] = None if known is None else Label(known)
        if known is None and name not in unknown:
            unknown.add(name)
            renamed = reading.settings.rename.get(name, name)
            reading.problem(
                folder / name,
                f"task {task!r} has no class {renamed!r}{nearest(renamed, column.classes)}: unknown here",
            )
    return annotations


def _write(records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
    losses = Losses("folder")
    chosen = tasks_to_write(columns, options, HOLDS, "folder")
    task = one_task(chosen, "folder")
    if options.images == "none":
        raise OneglanceError("the labels of class folders are where the images stand: choose images: copy or link")
    losses.left_tasks(columns, chosen)
    new_folder(out)
    by_folder: dict[str, Images] = {}
    for record in records:
        annotation = record.annotations.get(task)
        name = annotation.name if isinstance(annotation, (Label, Identity)) else None
        if name is None:
            losses.add("it has no place for unlabelled images; images left out")
            continue
        if name in (".", "..") or name.startswith(".") or any(c in name for c in '/\\:*?"<>|\0'):
            losses.add(f"class {name!r} can't be a folder's name; images left out")
            continue
        if isinstance(annotation, Label) and annotation.score is not None:
            losses.add("it keeps no scores; images that had one")
        if record.group is not None:
            losses.add("it keeps no groups; images that had one")
        target = f"{record.split}/{name}" if record.split else name
        images = by_folder.setdefault(target, Images(options.model_copy(update={"root": None}), losses))
        images.put(record.path, out / target / images.name(record.path))
    if not by_folder:
        losses.add("nothing was written: no image has a label")
    return losses.sentences()


def _recognise(folder: Path) -> list[Suggestion]:
    found: list[Suggestion] = []
    for top in folders(folder, 1):
        if looks_like_lfw(top):
            continue  # that format also knows who is to be tested on
        below = [Path(e.path) for e in entries(top) if e.is_dir() and not e.is_symlink()]
        splits = [path for path in below if path.name.lower() in SPLITS]
        if splits and (len(splits) == len(below) or len(splits) > 1):
            others = len(splits) < len(below)  # then the reader is to be told
            below = [Path(e.path) for path in splits for e in entries(path) if e.is_dir()]
        else:
            splits, others = [], False
        holding = [path for path in below[:LOOK_CLASSES] if images_in(path, 20)]
        # Folders called so hold images of all classes: they are another format's.
        classes = sorted({path.name for path in holding if path.name.lower() not in _NO_CLASS})
        if (
            len(classes) < 2
            or len(holding) < 0.9 * len(below[:LOOK_CLASSES])
            or len(classes) < len({p.name for p in holding})
        ):
            continue
        many = len(classes) > 50 and len(classes) > sum(len(images_in(p, 200)) for p in holding) / 20
        task = {"who": {"kind": "embedding"}} if many else {"class": {"kind": "classification", "classes": classes}}
        note = "few images of each of many folders: read as people (or individuals)" if many else ""
        source: dict[str, Any] = {"format": "folder", "root": relative_to(top, folder)}
        if others:
            source["splits"] = [path.name for path in splits]
        source["tasks"] = list(task)
        found.append(Suggestion(source, {name: dict(one) for name, one in task.items()}, note))
        if top == folder:
            break
    return found


LOOK_CLASSES = 500
_NO_CLASS = frozenset({*SPLITS, "images", "labels", "masks", "annotations", "jpegimages",
                       "trainannot", "valannot",
                       "testannot", "imagesets", "segmentationclass", "xmls", "trimaps"})  # fmt: skip
