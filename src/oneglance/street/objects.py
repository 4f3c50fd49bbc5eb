"""A second data set of drawn streets: outlines, points, colours and identities of the objects in them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oneglance.annotations import Annotation, Instance, Instances, Label, Record, changed
from oneglance.errors import OneglanceError
from oneglance.formats import FORMATS
from oneglance.formats.base import WriteOptions
from oneglance.formats.writing import new_folder
from oneglance.manifest import Column
from oneglance.street import face, plate
from oneglance.street.canvas import Picture
from oneglance.street.drawings import drawn, processes
from oneglance.street.palette import CAR_PAINTS
from oneglance.street.photos import draw_car_photo, draw_parked_car, draw_portrait
from oneglance.street.scene import OBJECTS, draw_scene

#: The colours that are told apart, by name.
COLOURS = tuple(dict.fromkeys(name for name, _ in CAR_PAINTS))
COLUMN = Column("instances", classes=OBJECTS, points_of={"face": face.POINTS, "plate": plate.CORNERS})
COLOUR = Column("label", classes=COLOURS)
#: Who appears, by split: nobody in two of them. They come back again and again.
CAST = {"train": range(64), "val": range(700, 716), "test": range(900, 924)}


@dataclass(frozen=True)
class Kind:
    """What the images of a source are, and what was labelled in them.

    ``shows``: streets, or one person, one car, or one car with what is round it; ``tasks``: those that it is labelled
    for; ``classes``: the objects that were looked for; ``share``: how many images it has for each scene that is asked
    for; ``zoom``: how near its scenes are; ``told``: the share of its cars whose colour, or of its scenes whose people,
    are said.
    """

    shows: Literal["street", "person", "car", "parked"]
    tasks: tuple[str, ...]
    classes: tuple[str, ...]
    share: float
    zoom: float = 1.0
    told: float = 1.0


SOURCES = {
    "outlines": Kind("street", ("objects", "outline", "corners"), OBJECTS, 0.35, 2.2),
    "cars": Kind("street", ("objects", "corners", "colour"), ("car", "plate"), 0.35, 2.2, 0.6),
    "people": Kind("street", ("objects", "marks", "who"), ("person", "face"), 0.30, 2.0, 0.6),
    "portraits": Kind("person", ("objects", "marks", "who"), ("person", "face"), 0.50),
    "parked": Kind("parked", ("objects", "corners", "colour"), ("car", "plate"), 0.50),
    "garage": Kind("car", ("colour",), ("car",), 0.25),
}
#: Shares of the splits. What shows one person or one car is for training alone.
SPLITS = (("train", 0.7), ("val", 0.1), ("test", 0.2))
#: A smaller or less visible object is a crowd: neither asked for nor wrong. Width and height in pixels of a 256 px
#: scene, and the share of it that shows.
LEAST = {"car": (16.0, 12.0), "person": (10.0, 24.0), "face": (9.0, 12.0), "plate": (12.0, 4.0)}
LEAST_VISIBLE = 0.5
SCENE_SIZE, PORTRAIT_SIZE, PHOTO_SIZE, CAR_SIZE, PARKED_SIZE = (256, 256), (64, 64), (192, 256), 64, 96
#: The album: photos of each person of the split test, by which they can be enrolled.
ALBUM, PHOTOS = "album", 4
CONFIG = "street.yaml"


@dataclass(frozen=True)
class ObjectDrawing:
    """One image of the data set. ``told``: of the colours of its cars, the share that is said; whether it is said who
    its people are, where that is 1."""

    source: str
    split: str
    seed: int
    name: str
    told: float = 1.0
    identity: int | None = None

    def draw(self, size: tuple[int, int]) -> tuple[Picture, dict[str, Annotation | None]]:
        """The image, uint8 [H, W, 3], and what its source says of the objects in it."""
        kind = SOURCES.get(self.source)
        if kind is not None and kind.shows == "car":
            photo = draw_car_photo(self.seed, CAR_SIZE)
            return photo.image, {"colour": Label(str(photo.objects.items[0].attributes["colour"]))}
        if kind is not None and kind.shows == "parked":
            scene, scale = draw_parked_car(self.seed, PARKED_SIZE), 1.0
        elif self.identity is not None:
            small = PHOTO_SIZE if self.source == ALBUM else PORTRAIT_SIZE
            scene, scale = draw_portrait(self.seed, small, self.identity), 1.0
        else:
            scene = draw_scene(self.seed, size, zoom=SOURCES[self.source].zoom, cast=CAST[self.split])
            scale = max(size) / 256
        if kind is None:  # nobody says anything of the album but whose it is
            return scene.image, {}
        items = [self._said(item, kind, scale) for item in scene.objects.items if item.label in kind.classes]
        annotated = None if kind.classes == OBJECTS else kind.classes
        return scene.image, {"objects": Instances(tuple(items), annotated)}

    def _said(self, item: Instance, kind: Kind, scale: float) -> Instance:
        """What this source's people wrote down of an object; what they didn't is unknown."""
        assert item.box is not None
        width, height = (item.box[2:] - item.box[:2]) / scale
        least = LEAST[item.label]
        hard = bool(width < least[0] or height < least[1] or float(item.attributes["visible"]) < LEAST_VISIBLE)
        if hard:
            return Instance(item.label, item.box, crowd=True, area=item.area)
        points = {"face": "marks", "plate": "corners"}.get(item.label)
        coloured = item.label == "car" and "colour" in kind.tasks and self._says_colour(item)
        named = item.label == "face" and "who" in kind.tasks and self.told == 1
        return changed(item, {
            "rle": item.rle if "outline" in kind.tasks else None,
            "points": item.points if points in kind.tasks else None,
            "identity": item.identity if named else None,
            "attributes": {"colour": item.attributes["colour"]} if coloured else {},
            "truncated": False,  # COCO has no word for it
        })  # fmt: skip

    def _says_colour(self, item: Instance) -> bool:
        """Whether somebody wrote down this car's colour: by chance, the same whenever it is drawn."""
        assert item.box is not None
        return (self.seed * 7919 + int(item.box.sum()) * 104_729) % 1000 < 1000 * self.told


def plan_objects(scenes: int, seed: int) -> list[ObjectDrawing]:
    """What is drawn for a data set of ``scenes`` scenes, the portraits that go with them, and the album.

    Every image has a seed of its own.
    """
    drawings: list[ObjectDrawing] = []

    def seed_of() -> int:
        return (seed + 1) * 1_000_033 + len(drawings)

    for source, kind in SOURCES.items():
        count = max(len(SPLITS), round(scenes * kind.share))
        edges = [0 if kind.shows != "street" else max(1, round(count * part)) for _, part in SPLITS[1:]]
        for (split, _), many in zip(SPLITS, [count - sum(edges), *edges], strict=True):
            for number in range(many):
                who = CAST[split][number % len(CAST[split])] if kind.shows == "person" else None
                # Of people it is said of an image or not at all; where they are scored, always.
                told = kind.told
                if "who" in kind.tasks:
                    told = 1.0 if split != "train" or number * 7 % 10 < 10 * kind.told else 0.0
                name = f"{source}_{split}_{number:05d}.jpg"
                drawings.append(ObjectDrawing(source, split, seed_of(), name, told, who))
    for who in CAST["test"]:
        for number in range(PHOTOS):
            name = f"{face.name_of(who)}_{number + 1:04d}.jpg"
            drawings.append(ObjectDrawing(ALBUM, "test", seed_of(), name, identity=who))
    return drawings


def write_objects(
    folder: Path,
    scenes: int = 400,
    seed: int = 0,
    size: tuple[int, int] = SCENE_SIZE,
    on_image: Callable[[int], None] = lambda _: None,
    workers: int | None = None,
) -> Path:
    """Draw a data set whose labels are on objects into ``folder``, and say in a ``street.yaml`` how to read it.

    Args:
        folder: new or empty.
        scenes: street scenes, over three sources; at least 20. Portraits and the album come on top, see ``SOURCES``.
        seed: another seed, another data set.
        size: width and height of the scenes.
        on_image: told how many images there are so far, after each; ``len(plan_objects(scenes, seed))`` in all.
        workers: processes that draw, as for :func:`oneglance.street.write_street`.

    Beside the sources there is an ``album`` with a folder of photos for each person of the split `test`, which belongs
    to no source: by it, people can be enrolled who were in no training image.

    Returns the path of the ``street.yaml``. Raises OneglanceError where the folder holds something already.
    """
    if scenes < 20:
        raise OneglanceError(f"a street of {scenes} images is too small for its sources; give 20 or more")
    if seed < 0:
        raise OneglanceError(f"a seed is a whole number from 0 on, not {seed}")
    new_folder(folder)
    drawings = plan_objects(scenes, seed)
    staging = folder / ".drawing"
    staging.mkdir()
    try:
        records: dict[str, list[Record]] = {source: [] for source in SOURCES}
        for count, (drawing, record) in enumerate(drawn(drawings, staging, size, processes(len(drawings), workers)), 1):
            if drawing.source == ALBUM:
                person = folder / ALBUM / drawing.name.rsplit("_", 1)[0]
                person.mkdir(parents=True, exist_ok=True)
                record.path.rename(person / drawing.name)
            else:
                records[drawing.source].append(record)
            on_image(count)
        for source, mine in records.items():
            columns = {"objects": COLUMN} if "objects" in SOURCES[source].tasks else {"colour": COLOUR}
            format_ = "coco" if "objects" in columns else "folder"
            FORMATS[format_].write(mine, columns, folder / source, WriteOptions(images="link"))
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    path = folder / CONFIG
    path.write_text(_yaml(), encoding="utf-8")
    return path


def _words(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(names) + "]"


def _source(name: str) -> str:
    kind = SOURCES[name]
    splits = SPLITS if kind.shows == "street" else SPLITS[:1]
    return "\n".join(
        f"  - {{format: coco, name: {name}, root: {name}, images: images, "
        f"labels: annotations/objects_{split}.json, split: {split}, tasks: {_words(kind.tasks)}}}"
        for split, _ in splits
    )


def _yaml() -> str:
    return f"""\
# Drawn streets: what is there, and six questions about it, one network. Written by oneglance; every image is drawn,
# nothing and nobody in it exists.
#
# The trunk looks at an image once; each object that is found in it is cut out of what the trunk saw, and asked. No
# source says everything of an object. What it does not say is unknown, which is not the same as "it has none".
tasks:
  # Where are the cars, the people, their faces, the licence plates? (Tiny and hidden ones are crowds.)
  objects: {{kind: detection, classes: {_words(OBJECTS)}, width: 48}}
  # Which pixels belong to an object?
  outline: {{kind: mask, on: objects, weight: 5}}
  # Of a face: where are eyes, nose and mouth? Left and right are the picture's.
  marks:
    kind: keypoints
    on: objects.face
    points: {_words(face.POINTS)}
    flip: [[left_eye, right_eye], [left_mouth, right_mouth]]
    sigmas: [0.07, 0.07, 0.07, 0.07, 0.07]
    weight: 4
  # Of a licence plate: where are its corners, as one who reads it sees them?
  corners:
    kind: keypoints
    on: objects.plate
    points: {_words(plate.CORNERS)}
    flip: [[top_left, top_right], [bottom_left, bottom_right]]
    weight: 4
  # Of a car: what colour is it?
  colour: {{kind: classification, on: objects.car, classes: {_words(COLOURS)}, weight: 3, smoothing: 0.05}}
  # Of a face: who is it? Scored on people who are in no training image.
  who: {{kind: embedding, on: objects.face, dim: 64, weight: 0.2}}
sources:
  # Boxes and masks of everything, and the corners of plates.
{_source("outlines")}
  # Cars and plates; the corners of the plates, and the colours of some of the cars. Nobody looked for people here.
{_source("cars")}
  # People and faces; the points of the faces, and in some of the scenes who it is. Nobody looked for cars.
{_source("people")}
  # Small photos of the same people, one in each.
{_source("portraits")}
  # Small photos of parked cars, from the front or from behind.
{_source("parked")}
  # Cars by themselves, cut out and sorted into a folder for each colour: each image is one object.
  - {{format: folder, name: garage, root: garage, tasks: [colour]}}
trunk:
  backbone: resnet18
  pretrained: false
  options: {{channels: [32, 64, 128, 192]}}
  channels: 48
# Colours are asked for: they are left nearly as they are.
augment: {{scale: [1.0, 1.4], hue: 0, saturation: 0.1, brightness: 0.1}}
augment_sources:
  portraits: {{scale: [0.6, 1.0], hue: 0, saturation: 0.1, brightness: 0.1}}
  parked: {{scale: [0.6, 1.0], hue: 0, saturation: 0.1, brightness: 0.1}}
  garage: {{scale: [0.9, 1.1], hue: 0, saturation: 0.1, brightness: 0.1}}
# Scenes are harder than close-ups: more of them in each step.
mixing: {{weights: {{outlines: 1.4, cars: 1.2, people: 1.2}}}}
train:
  size: [192, 192]
  eval_size: [224, 224]
  sizes: {{portraits: [64, 64], garage: [64, 64], parked: [96, 96]}}
  epochs: 12
  batch: 16
  lr: 0.008
  evaluate_every: 12
"""
