"""From a row of the manifest to the network's input and its targets. Runs in the loader's workers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
from oneglance.data.geometry import Frame, largest_scale, letterbox, warp_image
from oneglance.data.mixing import Draw
from oneglance.data.warp import warp
from oneglance.decode import ImageError, decode_mask, decode_padded
from oneglance.errors import Problem
from oneglance.manifest import Manifest

if TYPE_CHECKING:
    from oneglance.tasks.base import Task

FILL = (114, 114, 114)
VOID = 255


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
    int64 [n] says which images are labelled for it, and ``targets`` are those of these n images, in this order.
    """

    images: Tensor
    rows: dict[str, Tensor]
    targets: dict[str, dict[str, Tensor]]
    frames: list[Frame]
    indices: list[int]
    truths: list[dict[str, Annotation]]
    problems: list[Problem]

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
        augment: Mapping[str, AugmentSettings] | None = None,
        partners: Mapping[str, np.ndarray] | None = None,
        seed: int = 0,
    ) -> None:
        self.manifest, self.tasks, self.size, self.seed = manifest, dict(tasks), size, seed
        self.augment = augment
        self.partners = dict(partners or {})

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, key: Draw | int) -> Sample | Problem:
        # Each worker has a core of its own: OpenCV's threads would only get in the others' way.
        cv2.setNumThreads(0)
        row = key.row if isinstance(key, Draw) else int(key)
        record = self.manifest.record(row)
        try:
            if isinstance(key, Draw) and self.augment is not None:
                rng = np.random.default_rng([self.seed, key.number])
                return self._augmented(record, row, rng, self.augment[record.source])
            return self._plain(record, row)
        except ImageError as error:
            return Problem(str(record.path), str(error))

    def _plain(self, record: Record, row: int) -> Sample:
        labels = self._labels(record)
        matrix = letterbox((record.width, record.height), self.size)
        frame = Frame(matrix, self.size[1], self.size[0], record.width, record.height)
        image = _picture(record, frame)
        return Sample(image, self._targets(labels, frame), frame, row, truths=labels)

    def _augmented(self, record: Record, row: int, rng: np.random.Generator, augment: AugmentSettings) -> Sample:
        if augment.mosaic and rng.random() < augment.mosaic:
            try:
                sample = self._mosaic(record, row, rng, augment)
            except ImageError:
                sample = None  # if it is a partner that can't be read, this image is still good alone
            if sample is not None:
                return sample
        labels = self._labels(record)
        source = (record.width, record.height)
        matrix = draw_matrix(rng, augment, source, self.size, self._may_flip(labels))
        frame = Frame(matrix, self.size[1], self.size[0], *source)
        image = jitter(_picture(record, frame), rng, augment)
        return Sample(image, self._targets(labels, frame), frame, row)

    def _mosaic(self, first: Record, row: int, rng: np.random.Generator, augment: AugmentSettings) -> Sample | None:
        """Four images in one. Only tasks that compose, and that all four are labelled for, keep their labels."""
        pool = self.partners.get(first.source)
        if pool is None or len(pool) < 4:
            return None
        records = [first, *(self.manifest.record(int(k)) for k in rng.choice(pool, 3, replace=False))]
        kept = [
            name for name, task in self.tasks.items()
            if task.composes and all(record.annotations.get(name) is not None for record in records)
        ]  # fmt: skip
        if not kept:
            return None
        labels = [
            self._labels(replace(record, annotations={k: record.annotations[k] for k in kept})) for record in records
        ]
        may_flip = all(self._may_flip(one) for one in labels)
        frames = mosaic_frames(rng, augment, [(r.width, r.height) for r in records], self.size, may_flip)
        canvas = np.empty((*self.size, 3), np.uint8)
        canvas[:] = FILL
        for record, frame in zip(records, frames, strict=True):
            _picture(record, frame, into=canvas)
        targets = {}
        for name in kept:
            task = self.tasks[name]
            parts = [
                warp(one[name], f, flip_pairs=task.flip_pairs or ()) for one, f in zip(labels, frames, strict=True)
            ]
            whole = Frame(np.eye(3), self.size[1], self.size[0], self.size[1], self.size[0])
            targets[name] = task.encode(_compose(parts), whole)
        return Sample(jitter(canvas, rng, augment), targets, frames[0], row)

    def _labels(self, record: Record) -> dict[str, Annotation]:
        """What is known of the image, masks decoded."""
        labels: dict[str, Annotation] = {}
        for name, task in self.tasks.items():
            annotation = record.annotations.get(name)
            if isinstance(annotation, Segments):
                labels[name] = load_segments(annotation, task.classes, (record.width, record.height))
            elif isinstance(annotation, Identity):
                labels[name] = replace(annotation, image=record.path)
            elif annotation is not None:
                labels[name] = annotation
        return labels

    def _may_flip(self, labels: Mapping[str, Annotation]) -> bool:
        return all(self.tasks[name].flip_pairs is not None for name in labels)

    def _targets(self, labels: Mapping[str, Annotation], frame: Frame) -> dict[str, dict[str, np.ndarray]]:
        targets = {}
        for name, annotation in labels.items():
            task = self.tasks[name]
            targets[name] = task.encode(warp(annotation, frame, flip_pairs=task.flip_pairs or ()), frame)
        return targets


def collate(tasks: Mapping[str, Task[Any]], samples: Sequence[Sample | Problem]) -> Batch:
    """A batch from samples; what could not be read is in ``problems``."""
    good = [sample for sample in samples if isinstance(sample, Sample)]
    problems = [sample for sample in samples if isinstance(sample, Problem)]
    rows: dict[str, Tensor] = {}
    targets: dict[str, dict[str, Tensor]] = {}
    for name, task in tasks.items():
        at = [i for i, sample in enumerate(good) if name in sample.targets]
        if at:
            rows[name] = torch.tensor(at)
            targets[name] = task.collate([good[i].targets[name] for i in at])
    images = torch.from_numpy(np.stack([s.image for s in good]) if good else np.zeros((0, 1, 1, 3), np.uint8))
    return Batch(
        images.permute(0, 3, 1, 2),
        rows,
        targets,
        [s.frame for s in good],
        [s.row for s in good],
        [s.truths for s in good],
        problems,
    )


def load_segments(annotation: Segments, classes: tuple[str, ...], source_wh: tuple[int, int]) -> Segments:
    """Read a mask file: class indices uint8 [H, W], 255 where the value means nothing known.

    Raises ImageError where the file can't be read or is not of the image's size.
    """
    if annotation.indices is not None or annotation.path is None:
        return annotation
    values = decode_mask(annotation.path)
    if values.shape != (source_wh[1], source_wh[0]):
        h, w = values.shape
        raise ImageError(f"{annotation.path}: the mask is {w}x{h}, its image {source_wh[0]}x{source_wh[1]}")
    table = np.full(256 if values.dtype == np.uint8 else 65536, VOID, np.uint8)
    for value, name in annotation.values:
        if 0 <= value < len(table):
            table[value] = classes.index(name)
    if values.dtype == np.uint8:
        indices = cv2.LUT(values, table)
    else:
        indices = np.where((values >= 0) & (values < len(table)), table[np.clip(values, 0, len(table) - 1)], VOID)
    return Segments(annotation.path, annotation.values, indices.astype(np.uint8, copy=False), classes)


def _picture(record: Record, frame: Frame, into: np.ndarray | None = None) -> np.ndarray:
    scale = largest_scale(frame.matrix)
    enough = (math.ceil(record.height * scale), math.ceil(record.width * scale))
    image = decode_padded(record.path, enough=enough)
    size, source = (frame.height, frame.width), (record.width, record.height)
    if into is None:
        return warp_image(image, frame.matrix, size, fill=FILL, source_wh=source)
    return warp_image(image, frame.matrix, size, source_wh=source, into=into, clip=frame.clip)


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
