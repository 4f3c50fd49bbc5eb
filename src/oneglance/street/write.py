"""A data set of drawn streets on disk: six sources in public formats, each labelled for some of the tasks only."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from oneglance.annotations import Annotation, Instance, Instances, Record
from oneglance.errors import OneglanceError
from oneglance.formats import FORMATS
from oneglance.formats.base import WriteOptions
from oneglance.formats.writing import new_folder
from oneglance.manifest import Column
from oneglance.street import face, plate
from oneglance.street.backdrop import CLASSES
from oneglance.street.canvas import Picture
from oneglance.street.crops import draw_face, draw_plate
from oneglance.street.drawings import drawn, processes
from oneglance.street.light import WEATHERS
from oneglance.street.scene import draw_scene

#: The classes that the detector learns; faces and plates have sources of their own.
DETECTED = ("car", "person")
COLUMNS = {
    "weather": Column("label", classes=WEATHERS),
    "objects": Column("instances", classes=DETECTED),
    "ground": Column("segments", classes=CLASSES),
    "face": Column("points", points=face.POINTS),
    "plate": Column("points", points=plate.CORNERS),
}
#: Sources: name, the tasks that it is labelled for, how many images it has for each scene that is asked for (those of
#: the scenes' sources sum to 1, the crops come on top).
SOURCES = (
    ("cars", ("objects",), 0.20), ("town", ("objects",), 0.10), ("ground", ("ground", "objects"), 0.55),
    ("weather", ("weather",), 0.15), ("faces", ("face",), 0.15), ("plates", ("plate",), 0.15),
)  # fmt: skip
#: How they are written: source, format, task, folder. The boxes of `ground` are said in a file of their own.
_WRITTEN = (
    ("cars", "coco", "objects", "cars"), ("town", "voc", "objects", "town"), ("ground", "masks", "ground", "ground"),
    ("ground", "coco", "objects", "ground/boxes"), ("weather", "folder", "weather", "weather"),
    ("faces", "csv", "face", "faces"), ("plates", "csv", "plate", "plates"),
)  # fmt: skip
#: A smaller or less visible object is not asked for: a crowd in COCO's words, difficult in Pascal VOC's. Height and
#: width in pixels of a 256 px scene, and the share of it that shows. (KITTI's "moderate", Geiger et al. 2012, asks
#: for 25 of 375 pixels' height and no more than half hidden.)
LEAST_HEIGHT, LEAST_WIDTH, LEAST_VISIBLE = 24.0, 10.0, 0.5
#: Shares of the splits.
SPLITS = (("train", 0.7), ("val", 0.12), ("test", 0.18))
#: People from this number on are seen in the split `test` only.
STRANGERS = 800
#: Sides of the crops: width, height.
FACE_SIZE, PLATE_SIZE = (64, 64), (96, 64)


@dataclass(frozen=True)
class Drawing:
    """One image of the data set: its source, split and tasks, the seed it is drawn from, and its file's name."""

    source: str
    split: str
    tasks: tuple[str, ...]
    seed: int
    name: str
    weather: str | None = None
    identity: int | None = None

    def draw(self, size: tuple[int, int]) -> tuple[Picture, dict[str, Annotation | None]]:
        """The image, uint8 [H, W, 3], and what its source says of it, by task."""
        if self.tasks == ("face",):
            crop = draw_face(self.seed, FACE_SIZE, self.identity)
            return crop.image, {"face": crop.points}
        if self.tasks == ("plate",):
            crop = draw_plate(self.seed, PLATE_SIZE)
            return crop.image, {"plate": crop.points}
        scene = draw_scene(self.seed, size, self.weather)
        known: dict[str, Annotation | None] = {
            "weather": scene.weather,
            "ground": scene.ground,
            "objects": self._boxes(scene.objects, max(size) / 256),
        }
        return scene.image, {task: known[task] for task in self.tasks}

    def _boxes(self, objects: Instances, scale: float) -> Instances:
        """Boxes only (nobody drew outlines) of what this data set's people looked for."""
        items = []
        for item in objects.items:
            if item.label not in DETECTED or item.box is None:
                continue
            width, height = (item.box[2:] - item.box[:2]) / scale
            shows = float(item.attributes["visible"])
            hard = bool(height < LEAST_HEIGHT or width < LEAST_WIDTH or shows < LEAST_VISIBLE)
            voc = self.source == "town"
            cut = item.truncated and voc
            items.append(Instance(item.label, item.box, crowd=hard and not voc, difficult=hard and voc, truncated=cut))
        return Instances(tuple(items))


def plan_street(scenes: int, seed: int) -> list[Drawing]:
    """What is drawn for a data set of ``scenes`` scenes and the crops that go with them.

    Every image has a seed of its own, so that no scene of `val` or `test` is seen in training; the people of `test` are
    strangers.
    """
    drawings: list[Drawing] = []
    for source, tasks, share in SOURCES:
        count = max(len(SPLITS), round(scenes * share))
        edges = [max(1, round(count * part)) for _, part in SPLITS[1:]]
        counts = [count - sum(edges), *edges]
        number = 0
        for (split, _), many in zip(SPLITS, counts, strict=True):
            for _ in range(many):
                own = seed * 1_000_003 + len(drawings)
                weather = WEATHERS[number % len(WEATHERS)] if "weather" in tasks else None
                who = None
                if "face" in tasks:
                    strangers = face.PEOPLE - STRANGERS
                    who = STRANGERS + own * 7919 % strangers if split == "test" else own * 7919 % STRANGERS
                drawings.append(Drawing(source, split, tasks, own, f"{source}_{number:05d}.jpg", weather, who))
                number += 1
    return drawings


def write_street(
    folder: Path,
    scenes: int = 400,
    seed: int = 0,
    size: tuple[int, int] = (256, 256),
    on_image: Callable[[int], None] = lambda _: None,
    workers: int | None = None,
) -> Path:
    """Draw a data set into ``folder`` and say in a ``street.yaml`` how to read it.

    Args:
        folder: new or empty.
        scenes: street scenes, over four sources; at least 20. Faces and plates come on top, see ``SOURCES``.
        seed: another seed, another data set.
        size: width and height of the scenes; faces and plates are ``FACE_SIZE`` and ``PLATE_SIZE``.
        on_image: told how many images there are so far, after each; ``len(plan_street(scenes, seed))`` in all.
        workers: processes that draw; default: one a core, none of their own for a few dozen images. The files are the
            same whatever it is. A script that calls this needs ``if __name__ == "__main__":``.

    Returns the path of the ``street.yaml``. Raises OneglanceError where the folder holds something already.
    """
    if scenes < 20:
        raise OneglanceError(f"a street of {scenes} images is too small for its six sources; give 20 or more")
    if seed < 0:
        raise OneglanceError(f"a seed is a whole number from 0 on, not {seed}")
    new_folder(folder)
    drawings = plan_street(scenes, seed)
    staging = folder / ".drawing"
    staging.mkdir()
    try:
        done: dict[str, list[Record]] = {}
        for count, (drawing, record) in enumerate(drawn(drawings, staging, size, processes(len(drawings), workers)), 1):
            done.setdefault(drawing.source, []).append(record)
            on_image(count)
        for source, format_, task, target in _WRITTEN:
            options = WriteOptions(images="link" if target == source else "none")
            FORMATS[format_].write(done[source], {task: COLUMNS[task]}, folder / target, options)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    path = folder / "street.yaml"
    path.write_text(_yaml(), encoding="utf-8")
    return path


def _yaml() -> str:
    def words(names: tuple[str, ...]) -> str:
        return "[" + ", ".join(names) + "]"

    def coco(name: str, images: str, labels: str) -> str:
        return "\n".join(
            f"  - {{format: coco, name: {name}, root: {name}, images: {images.format(split)}, "
            f"labels: {labels}/objects_{split}.json, split: {split}, tasks: [objects]}}"
            for split, _ in SPLITS
        )

    splits = {
        kind: "{" + ", ".join(f"{split}: {kind}/{split}" for split, _ in SPLITS) + "}" for kind in ("images", "masks")
    }

    def table(name: str, task: str) -> str:
        return (
            f"  - format: csv\n    name: {name}\n    root: {name}\n    images: images\n    labels: labels.csv\n"
            f"    split_column: split\n    tasks:\n      {task}:\n"
            f'        {{x: "{task}/{{name}}_x", y: "{task}/{{name}}_y", '
            f'visible: "{task}/{{name}}_v", visibility: coco}}'
        )

    return f"""\
# Drawn streets: five questions, one network. Written by oneglance; every image is drawn, nothing in it exists.
#
# No image is labelled for everything. Each source answers one question or two and says nothing of the others: there,
# they are unknown, which is not the same as "nothing there".
tasks:
  # What is the weather like? Night is one of the answers.
  weather: {{kind: classification, classes: {words(WEATHERS)}, weight: 0.5}}
  # Where are the cars and the people? (Tiny and hidden ones are crowds or difficult: neither asked for nor wrong.)
  objects: {{kind: detection, classes: {words(DETECTED)}, width: 32}}
  # What is each pixel? Lamp posts and signs are none of these: void, 255 in the masks.
  ground: {{kind: segmentation, classes: {words(CLASSES)}, width: 48, dropout: 0, weight: 3}}
  # Where are eyes, nose and mouth in a picture of a face? Left and right are the picture's.
  face:
    kind: keypoints
    points: {words(face.POINTS)}
    flip: [[left_eye, right_eye], [left_mouth, right_mouth]]
    normaliser: diagonal
    width: 32
  # Where are the corners of a licence plate?
  plate:
    kind: keypoints
    points: {words(plate.CORNERS)}
    flip: [[top_left, top_right], [bottom_left, bottom_right]]
    normaliser: diagonal
    width: 32
sources:
  # Street scenes with boxes, in COCO's JSON: a file for each split.
{coco("cars", "images", "annotations")}
  # Other street scenes with boxes, in Pascal VOC's XML; its lists in ImageSets/Main say which split.
  - {{format: voc, name: town, root: town, tasks: [objects]}}
  # Other scenes with a mask PNG each: value k is the k-th class. The same images have boxes, in COCO's JSON.
  - format: masks
    name: ground
    root: ground
    images: {splits["images"]}
    labels: {splits["masks"]}
    tasks: [ground]
{coco("ground", "images/{}", "boxes/annotations")}
  # Other scenes, sorted into a folder for each weather.
  - {{format: folder, name: weather, root: weather, tasks: [weather]}}
  # Faces close up, their five points in a table. The people of `test` are seen nowhere else.
{table("faces", "face")}
  # Licence plates close up, their corners in a table.
{table("plates", "plate")}
# Small enough to be learned from scratch: thin, but of ordinary convolutions; of depthwise ones, a network learns far
# less in the same time on a CPU.
trunk:
  backbone: resnet18
  pretrained: false
  options: {{channels: [32, 64, 128, 192]}}
  channels: 48
augment: {{scale: [0.9, 1.4]}}
# Scenes are harder than close-ups: more of them in each step.
mixing: {{weights: {{ground: 1.7, weather: 0.9, faces: 1.1, plates: 0.3}}}}
train: {{size: [160, 160], epochs: 9, batch: 16, lr: 0.008, evaluate_every: 9}}
"""
