"""From a row of the manifest to the network's input and its targets. Runs in the loader's workers."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from oneglance.annotations import Annotation, Identity, Instances, Record, Segments
from oneglance.data.augment import AugmentSettings, draw_matrix, mosaic_frames
from oneglance.data.colour import jitter
from oneglance.data.files import Files
from oneglance.data.geometry import Frame, largest_scale, letterbox, warp_image
from oneglance.data.mixing import Draw
from oneglance.data.regions import object_targets, whole_targets
from oneglance.data.sizes import Sizes
from oneglance.data.warp import warp
from oneglance.decode import ImageError
from oneglance.errors import Problem
from oneglance.manifest import Manifest

if TYPE_CHECKING:
    from oneglance.tasks.base import Task

FILL = (114, 114, 114)


@dataclass
class Sample:
    """One image, ready: ``image`` uint8 [H, W, 3]; ``targets`` by task, of the tasks it is labelled for only.

    ``truths``: the labels in original pixels, masks decoded (evaluation only).
    """

    image: np.ndarray
    targets: dict[str, dict[str, np.ndarray]]
    frame: Frame
    row: int
    truths: dict[str, Annotation] = field(default_factory=dict)


@dataclass
class Batch:
    """What a step sees.

    ``images`` uint8 [B, 3, H, W] (in memory, the channels of a pixel lie together); for each task that occurs, ``rows``
    int64 [n] says which images are labelled for it, and ``targets`` are those of these n images, in this order. Of a
    task on objects, the n are objects: ``rows`` says which image each is in, its ``box`` among the targets where.
    """

    images: Tensor
    rows: dict[str, Tensor]
    targets: dict[str, dict[str, Tensor]]
    frames: list[Frame]
    indices: list[int]
    truths: list[dict[str, Annotation]]
    problems: list[Problem]

    @property
    def boxes(self) -> dict[str, Tensor]:
        """The boxes of the objects that tasks on objects are asked about, float [n, 4] in shares of the input."""
        return {name: targets["box"] for name, targets in self.targets.items() if "box" in targets}

    def content(self, device: torch.device) -> Tensor:
        """Where in the input each image lies, without its padding: x1 y1 x2 y2, float32 [B, 4]."""
        return torch.tensor([frame.content for frame in self.frames], dtype=torch.float32).reshape(-1, 4).to(device)

    def to(self, device: torch.device) -> Batch:
        """The same batch with its tensors on ``device``."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=True),
            rows={k: v.to(device, non_blocking=True) for k, v in self.rows.items()},
            targets={
                k: {name: t.to(device, non_blocking=True) for name, t in v.items()} for k, v in self.targets.items()
            },
        )


@dataclass
class _Look:
    """One sample to be made: its row, the array [H, W, 3] that its image goes into, and what was drawn for it."""

    row: int
    record: Record
    into: np.ndarray
    rng: np.random.Generator | None = None
    partners: list[tuple[int, Record]] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input."""
        return self.into.shape[0], self.into.shape[1]


class AnnotatedImages(Dataset):
    """The images of a manifest with the targets of all tasks.

    Indexed by :class:`Draw` in training (augmented, by a generator that the seed and the draw's number determine) and
    by row number in evaluation (letterboxed). An image that can't be read gives a :class:`Problem`, no sample.
    """

    def __init__(
        self,
        manifest: Manifest,
        tasks: Mapping[str, Task[Any]],
        size: tuple[int, int],
        *,
        sizes: Mapping[str, tuple[int, int]] | None = None,
        augment: Mapping[str, AugmentSettings] | None = None,
        partners: Mapping[str, np.ndarray] | None = None,
        seed: int = 0,
    ) -> None:
        self.manifest, self.tasks, self.seed = manifest, dict(tasks), seed
        self.sizes = Sizes(size, sizes or {})
        self._numbers = self.sizes.by_row(manifest)
        self.files = Files(manifest, self.tasks)
        self.augment = dict(augment or {})
        self.partners = dict(partners or {})
        self.encodes = True

    def for_scoring(self) -> AnnotatedImages:
        """The same images, without targets: scores need the truths alone."""
        other = copy.copy(self)
        other.encodes = False
        return other

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, key: Draw | int) -> Sample | Problem:
        return self._samples([key], np.empty((1, *self.size_of([key]), 3), np.uint8))[0]

    @property
    def bytes_of_image(self) -> int:
        """What one image takes in a batch, at most."""
        return max(height * width * 3 for height, width in self.sizes.all)

    def size_of(self, keys: Sequence[Draw | int]) -> tuple[int, int]:
        """Height and width of a batch of these keys; raises ValueError where their images are of several sizes."""
        numbers = {int(self._numbers[row_of(key)]) for key in keys} if len(self.sizes.all) > 1 else set()
        if len(numbers) > 1:
            raise ValueError("the images of a batch must be of one size")
        return self.sizes.all[numbers.pop() if numbers else 0]

    def in_batches(self, rows: np.ndarray, batch: int) -> list[list[int]]:
        """The rows in batches of at most so many, each of one size; in order among those of one size."""
        alike = [rows[self._numbers[rows] == number] for number in range(len(self.sizes.all))]
        return [one[start : start + batch].tolist() for one in alike for start in range(0, len(one), batch)]

    def batch(self, keys: Sequence[Draw | int], into: Tensor | None = None) -> Batch:
        """The samples of these keys, whose images are of one size, as a batch; what can't be read is in its
        ``problems``.

        ``into``: memory, uint8 [at least len(keys) * bytes_of_image], whose beginning the images are put into.
        """
        shape = (len(keys), *self.size_of(keys), 3)
        pixels = np.empty(shape, np.uint8) if into is None else into[: math.prod(shape)].view(shape).numpy()
        samples = self._samples(keys, pixels)
        good = [k for k, sample in enumerate(samples) if isinstance(sample, Sample)]
        return collate(self.tasks, samples, pixels if len(good) == len(keys) else pixels[good])

    def _samples(self, keys: Sequence[Draw | int], pixels: np.ndarray) -> list[Sample | Problem]:
        """A sample a key, its image in ``pixels`` [len(keys), H, W, 3]."""
        # Each worker has a core of its own: OpenCV's threads would only get in the others' way.
        cv2.setNumThreads(0)
        rows = [row_of(key) for key in keys]
        looks = [
            _Look(row, record, into)
            for row, record, into in zip(rows, self.manifest.records(rows), pixels, strict=True)
        ]
        if self.augment:
            self._draw(looks, keys)
        samples: list[Sample | Problem] = []
        for look in looks:
            try:
                samples.append(self._plain(look) if look.rng is None else self._augmented(look, look.rng))
            except ImageError as error:
                samples.append(Problem(str(look.record.path), str(error)))
        return samples

    def _draw(self, looks: Sequence[_Look], keys: Sequence[Draw | int]) -> None:
        """Generators for what is to be varied, and who makes a mosaic with whom."""
        chosen: dict[int, list[int]] = {}
        for k, (look, key) in enumerate(zip(looks, keys, strict=True)):
            if not isinstance(key, Draw):
                continue
            look.rng = np.random.default_rng([self.seed, key.number])
            mosaic = self.augment[look.record.source].mosaic
            pool = self.partners.get(look.record.source, ())
            if mosaic and look.rng.random() < mosaic and len(pool) >= 4:
                chosen[k] = look.rng.choice(pool, 3, replace=False).tolist()
        partners = iter(self.manifest.records([row for three in chosen.values() for row in three]))
        for k, three in chosen.items():
            looks[k].partners = [(row, next(partners)) for row in three]

    def _plain(self, look: _Look) -> Sample:
        record = look.record
        labels = self._labels(look.row, record)
        size = look.size
        matrix = letterbox((record.width, record.height), size)
        frame = Frame(matrix, size[1], size[0], record.width, record.height)
        self._show(look.row, record, frame, look.into)
        targets = self._targets(labels, frame) if self.encodes else {}
        return Sample(look.into, targets, frame, look.row, truths=labels)

    def _augmented(self, look: _Look, rng: np.random.Generator) -> Sample:
        record, augment = look.record, self.augment[look.record.source]
        if look.partners:
            try:
                sample = self._mosaic(look, rng, augment)
            except ImageError:
                sample = None  # if it is a partner that can't be read, this image is still good alone
            if sample is not None:
                return sample
        labels = self._labels(look.row, record)
        source = (record.width, record.height)
        size = look.size
        matrix = draw_matrix(rng, augment, source, size, self._may_flip(labels))
        frame = Frame(matrix, size[1], size[0], *source)
        self._show(look.row, record, frame, look.into)
        jitter(look.into, rng, augment, into=look.into)
        return Sample(look.into, self._targets(labels, frame), frame, look.row)

    def _mosaic(self, look: _Look, rng: np.random.Generator, augment: AugmentSettings) -> Sample | None:
        """Four images in one. Only tasks that compose, and that all four are labelled for, keep their labels."""
        tiles = [(look.row, look.record), *look.partners]
        records = [record for _, record in tiles]
        kept = [
            name for name, task in self.tasks.items()
            if task.composes and all(record.annotations.get(name) is not None for record in records)
        ]  # fmt: skip
        if not kept:
            return None
        labels = [
            self._labels(row, replace(record, annotations={k: record.annotations[k] for k in kept}))
            for row, record in tiles
        ]
        may_flip = all(self._may_flip(one) for one in labels)
        height, width = look.size
        frames = mosaic_frames(rng, augment, [(r.width, r.height) for r in records], look.size, may_flip)
        for (row, record), frame in zip(tiles, frames, strict=True):
            self._show(row, record, frame, look.into)
        targets: dict[str, dict[str, np.ndarray]] = {}
        whole = Frame(np.eye(3), width, height, width, height)
        for name in kept:
            task = self.tasks[name]
            parts = [
                warp(one[name], f, flip_pairs=task.flip_pairs or ()) for one, f in zip(labels, frames, strict=True)
            ]
            self._encode(targets, task, _compose(parts), whole)
        jitter(look.into, rng, augment, into=look.into)
        return Sample(look.into, targets, frames[0], look.row)

    def _show(self, row: int, record: Record, frame: Frame, into: np.ndarray) -> None:
        """Write the image, as it lies in the frame, into the part of an array [H, W, 3] that the frame shows."""
        scale = largest_scale(frame.matrix)
        image = self.files.image(row, record, (math.ceil(record.height * scale), math.ceil(record.width * scale)))
        warp_image(
            image, frame.matrix, (frame.height, frame.width), fill=FILL,
            source_wh=(record.width, record.height), into=into, clip=frame.clip,
        )  # fmt: skip

    def _labels(self, row: int, record: Record) -> dict[str, Annotation]:
        """What is known of the image, masks decoded."""
        labels: dict[str, Annotation] = {}
        for name in self.tasks:
            annotation = record.annotations.get(name)
            if isinstance(annotation, Segments):
                labels[name] = self.files.segments(row, record, name, annotation)
            elif isinstance(annotation, Identity):
                labels[name] = replace(annotation, image=record.path)
            elif annotation is not None:
                labels[name] = annotation
        return labels

    def _may_flip(self, labels: Mapping[str, Annotation]) -> bool:
        return all(
            one.flip_pairs is not None
            for name, label in labels.items()
            for one in (self.tasks[name], *self._asking(self.tasks[name], label))
        )

    def _asking(self, task: Task[Any], label: Annotation) -> Iterator[Task[Any]]:
        """The tasks on this task's objects for which an object is labelled."""
        for child in task.children:
            items = label.items if child.name in self.tasks and isinstance(label, Instances) else ()
            if any(child.asks_about(item) and child.of_object(item) is not None for item in items):
                yield child

    def _targets(self, labels: Mapping[str, Annotation], frame: Frame) -> dict[str, dict[str, np.ndarray]]:
        targets: dict[str, dict[str, np.ndarray]] = {}
        for name, annotation in labels.items():
            task = self.tasks[name]
            self._encode(targets, task, warp(annotation, frame, flip_pairs=task.flip_pairs or ()), frame)
        return targets

    def _encode(
        self, targets: dict[str, dict[str, np.ndarray]], task: Task[Any], label: Annotation, frame: Frame
    ) -> None:
        """Put into ``targets`` what a warped label says to its task, and to the tasks on its objects."""
        if task.on_objects:  # the image shows one object and nothing else
            targets[task.name] = whole_targets(task, label, frame)
            return
        targets[task.name] = task.encode(label, frame)
        for child in self._asking(task, label):
            of_objects = object_targets(child, label, frame) if isinstance(label, Instances) else None
            if of_objects is not None:
                targets[child.name] = of_objects


def row_of(key: Draw | int) -> int:
    """The row that a key stands for."""
    return key.row if isinstance(key, Draw) else int(key)


def collate(tasks: Mapping[str, Task[Any]], samples: Sequence[Sample | Problem], pixels: np.ndarray) -> Batch:
    """A batch from samples and their images, uint8 [B, H, W, 3]; what could not be read is in ``problems``."""
    good = [sample for sample in samples if isinstance(sample, Sample)]
    rows: dict[str, Tensor] = {}
    targets: dict[str, dict[str, Tensor]] = {}
    for name, task in tasks.items():
        at = [i for i, sample in enumerate(good) if name in sample.targets]
        if not at:
            continue
        found = [good[i].targets[name] for i in at]
        if task.on_objects:
            at = [i for i, one in zip(at, found, strict=True) for _ in one["box"]]
            targets[name] = {key: torch.from_numpy(np.concatenate([one[key] for one in found])) for key in found[0]}
        else:
            targets[name] = task.collate(found)
        rows[name] = torch.tensor(at)
    return Batch(
        torch.from_numpy(pixels).permute(0, 3, 1, 2),
        rows,
        targets,
        [s.frame for s in good],
        [s.row for s in good],
        [s.truths for s in good],
        [sample for sample in samples if isinstance(sample, Problem)],
    )


def _compose(parts: Sequence[Annotation]) -> Annotation:
    """The labels of a mosaic from those of its tiles, in canvas pixels."""
    first = parts[0]
    if isinstance(first, Instances):
        tiles = [part for part in parts if isinstance(part, Instances)]
        looked_for = [set(tile.annotated) for tile in tiles if tile.annotated is not None]
        annotated = tuple(sorted(set.intersection(*looked_for))) if looked_for else None
        # An object of a class that another tile was not searched for would be the only one of it on the canvas.
        items = tuple(i for tile in tiles for i in tile.items if annotated is None or i.label in annotated)
        return Instances(items, annotated)
    if isinstance(first, Segments):
        masks = [part.indices for part in parts if isinstance(part, Segments) and part.indices is not None]
        # Each tile's mask is void outside its tile.
        return replace(first, indices=np.minimum.reduce(masks))
    raise TypeError(f"labels of type {type(first).__name__} do not compose")
