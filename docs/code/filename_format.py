"""A format: the class stands in the image's name, before the last underscore (`red_fox_0012.jpg`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from oneglance.annotations import Label, Record
from oneglance.errors import OneglanceError, Problems
from oneglance.formats.base import SourceSettings, Suggestion, WriteOptions
from oneglance.formats.files import walk_images
from oneglance.formats.reading import Reading, folder_of
from oneglance.formats.recognition import images_in
from oneglance.formats.writing import Images, Losses, new_folder, one_task, tasks_to_write
from oneglance.manifest import Columns


class FilenameSettings(SourceSettings):
    """Images named by their class. A name without an underscore is of an image that nobody labelled."""

    types: ClassVar[frozenset[str]] = frozenset({"label"})

    format: Literal["filename"] = "filename"
    images: Path | None = Field(default=None, description="The folder of the images. Default: `root`.")

    def read(self, columns: Columns, problems: Problems, base: Path) -> Iterator[Record]:
        """See SourceSettings.read."""
        reading = Reading(self, columns, problems, base)
        return self._records(reading, folder_of(reading, self.images, "images"))

    def _records(self, reading: Reading, folder: Path) -> Iterator[Record]:
        for name in walk_images(folder):
            image = reading.image(folder, name, folder / name)
            if image is None:
                continue  # broken: the problem is noted already
            annotations = reading.unlabelled()
            label = Path(name).stem.rpartition("_")[0]
            if not label:
                reading.note(folder, "an image's name has no class: it is unlabelled")
            for task in reading.tasks if label else ():
                known = reading.class_of(task, label)
                if known is None:
                    reading.leave_out(label)
                else:
                    annotations[task] = Label(known)
            yield reading.record(image, annotations)
        reading.finish()

    @classmethod
    def write(cls, records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
        """See SourceSettings.write."""
        losses = Losses("filename")
        chosen = tasks_to_write(columns, options, ("label",), "filename")
        task = one_task(chosen, "filename")
        if options.images == "none":
            raise OneglanceError("the labels are the images' names: choose images: copy or link")
        losses.left_tasks(columns, chosen)
        new_folder(out)
        images = Images(options, losses)
        for number, record in enumerate(records, 1):
            annotation = record.annotations.get(task)
            label = annotation.name if isinstance(annotation, Label) else ""
            if "/" in label or "\\" in label:
                losses.add(f"class {label!r} can't be part of a file's name; images left out")
                continue
            if record.split is not None:
                losses.add("it keeps no splits; images that had one")
            name = f"{label}_{number:06}" if label else f"{number:06}"
            images.put(record.path, out / f"{name}{record.path.suffix}")
        return losses.sentences()

    @classmethod
    def recognise(cls, folder: Path) -> list[Suggestion]:
        """See SourceSettings.recognise."""
        found = Counter(Path(name).stem.rpartition("_")[0] for name in images_in(folder))
        classes = sorted(name for name, count in found.items() if name and count > 1)
        if len(classes) < 2:
            return []
        tasks = {"class": {"kind": "classification", "classes": classes}}
        return [Suggestion({"format": "filename", "root": ".", "tasks": ["class"]}, tasks)]
