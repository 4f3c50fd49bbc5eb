"""The files that ``oneglance predict`` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from oneglance.annotations import Annotation, Instance, Instances, Segments
from oneglance.drawing import class_colours, colour_of
from oneglance.formats.rle import string_from_counts
from oneglance.model import Prediction
from oneglance.results import mask_png, to_json
from oneglance.tasks import columns_of
from oneglance.tasks.base import Task

Tasks = Mapping[str, Task[Any]]
#: What a picture may be saved as under the image's own name; others get `.png` after it.
_PICTURES = frozenset({".jpg", ".jpeg", ".png"})


class JsonArray:
    """A JSON array that is written entry by entry, and is whole JSON however early it is closed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("x", encoding="utf-8")
        self._file.write("[")
        self._some = False

    def add(self, entry: Any) -> None:
        """Write one more entry, on a line of its own."""
        self._file.write((",\n" if self._some else "\n") + json.dumps(entry, ensure_ascii=False))
        self._some = True

    def close(self) -> None:
        """End the array."""
        self._file.write("\n]\n")
        self._file.close()


class Answers:
    """A new folder that fills with answers; memory does not grow with the number of images."""

    def __init__(self, folder: Path, tasks: Tasks, min_score: float, *, pictures: bool, coco: bool) -> None:
        self.folder, self.tasks, self.min_score, self.pictures = folder, tasks, min_score, pictures
        self._number = 0
        self._taken: set[str] = set()
        self._colours = class_colours(tasks)
        self._all = JsonArray(folder / "predictions.json")
        detections = [name for name, task in tasks.items() if task.annotation is Instances] if coco else []
        self._coco = {name: JsonArray(folder / f"coco_{name}.json") for name in detections}
        self._images = JsonArray(folder / "coco_images.json") if coco else None
        for name in detections:
            categories = JsonArray(folder / f"coco_{name}_categories.json")
            for number, label in enumerate(tasks[name].classes, 1):
                categories.add({"id": number, "name": label})
            categories.close()

    def add(self, path: Path, name: str, prediction: Prediction) -> None:
        """Write the answers for one image, whose unique relative name is ``name``."""
        self._number += 1
        masks = {task: self._mask(task, name, one) for task, one in prediction.items() if isinstance(one, Segments)}
        entry = describe(path, prediction, self.tasks, self.min_score, masks)
        if self.pictures:
            entry["picture"] = self._picture(name, prediction)
        self._all.add(entry)
        if self._images is not None:
            height, width = prediction.image.shape[:2]
            self._images.add({"id": self._number, "file_name": name, "width": width, "height": height})
        for task, file in self._coco.items():
            answer = prediction[task]
            for item in answer.items if isinstance(answer, Instances) else ():
                result = coco_result(item, self._number, self.tasks[task].classes)
                if result is not None:
                    file.add(result)

    def close(self) -> None:
        """End all files, each of them whatever becomes of the others."""
        with ExitStack() as stack:
            for file in (self._all, self._images, *self._coco.values()):
                if file is not None:
                    stack.callback(file.close)

    def _mask(self, task: str, name: str, segments: Segments) -> str:
        relative = f"masks/{task}/{name}.png"
        target = self.folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        if segments.indices is not None:
            colours = [colour_of(label, self._colours) for label in segments.classes or ()]
            target.write_bytes(mask_png(segments.indices, colours))
        return relative

    def _picture(self, name: str, prediction: Prediction) -> str:
        suffix = PurePosixPath(name).suffix.lower()
        relative = f"pictures/{name}" if suffix in _PICTURES else f"pictures/{name}.png"
        if relative.lower() in self._taken:  # b.bmp beside b.bmp.png
            relative = f"pictures/{name}.{self._number}.png"
        self._taken.add(relative.lower())
        target = self.folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        picture: Image.Image = prediction.plot(self.min_score)
        picture.save(target, quality=92) if suffix in (".jpg", ".jpeg") else picture.save(target)
        return relative


def describe(
    path: Path, prediction: Prediction, tasks: Tasks, min_score: float, masks: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """All answers for one image as JSON takes them; objects below ``min_score`` are left out."""
    height, width = prediction.image.shape[:2]
    columns = columns_of(tasks)
    answers = {
        name: to_json(_sure(answer, min_score), columns[name], (masks or {}).get(name))
        for name, answer in prediction.items()
    }
    return {"path": str(path), "width": width, "height": height, "answers": answers}


def line_of(path: Path, prediction: Prediction, tasks: Tasks, min_score: float) -> str:
    """:func:`describe` as one line of JSON."""
    return json.dumps(describe(path, prediction, tasks, min_score), ensure_ascii=False)


def coco_result(item: Instance, image_id: int, classes: tuple[str, ...]) -> dict[str, Any] | None:
    """One object as an entry of COCO's results; categories are numbered from 1, in the classes' order."""
    if item.box is None or item.label not in classes:
        return None
    x1, y1, x2, y2 = (float(v) for v in item.box)
    result: dict[str, Any] = {
        "image_id": image_id,
        "category_id": classes.index(item.label) + 1,
        "bbox": [round(v, 3) for v in (x1, y1, x2 - x1, y2 - y1)],
        "score": 1.0 if item.score is None else float(item.score),
    }
    if item.rle is not None:
        result["segmentation"] = {"size": list(item.rle.size), "counts": string_from_counts(item.rle.counts)}
    return result


def _sure(answer: Annotation, min_score: float) -> Annotation:
    if not isinstance(answer, Instances):
        return answer
    return replace(answer, items=answer.sure(min_score))
