"""Embedding: who (or which individual) is it? A vector an image, near to those of the same person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from oneglance.annotations import Annotation, Identity, Instance, changed
from oneglance.data.geometry import Frame
from oneglance.errors import OneglanceError
from oneglance.formats.lfw_files import Pair, face_of, read_pairs
from oneglance.manifest import Manifest
from oneglance.recognition.draw import draw_people
from oneglance.recognition.margin import batch_hard, margin_softmax
from oneglance.recognition.neck import unit
from oneglance.tasks.base import FeatureSpec, Outputs, Statement, Targets, Task, TaskSettings
from oneglance.tasks.embedding.discriminant import Discriminant
from oneglance.tasks.embedding.heads import (
    EmbeddingHead,
    PointEmbeddingHead,
    RegionEmbeddingHead,
    RegionPointEmbeddingHead,
    Vectors,
)
from oneglance.tasks.embedding.metric import EmbeddingMetric
from oneglance.tasks.object_metric import AnswerMetric

#: Margins where none is given: those of the papers, but for ArcFace's 0.5, which asks too much of small data sets.
MARGIN = {"arcface": 0.3, "cosface": 0.2, "triplet": 0.3}


#: A discriminant is made from so many images at most.
FITTED_ON = 4096


class EmbeddingSettings(TaskSettings):
    """`kind: embedding`: who (or which individual) is it?"""

    kind: Literal["embedding"] = "embedding"
    dim: int = Field(128, ge=2, description="Numbers in a vector.")
    at: str | None = Field(
        None, description="A keypoints task that is asked about the same images (or objects): the vector is made of "
        "what is seen at the points that it finds, however a head is turned. Default: of all that is seen."
    )  # fmt: skip
    loss: Literal["arcface", "cosface", "triplet"] = Field(
        "arcface", description="What draws a person's vectors together; `triplet` needs batches with several images of "
        "a person, the others learn a centre for each person of the training split."
    )  # fmt: skip
    margin: float | None = Field(
        None, ge=0, description="By how much the right one must be nearer: radians (`arcface`, default 0.3), a cosine "
        "(`cosface`, 0.2), a distance (`triplet`, 0.3)."
    )  # fmt: skip
    scale: float = Field(32.0, gt=0, description="What cosines are multiplied by before the softmax.")
    sample: int | None = Field(
        None, ge=2, description="Compare with so many people a step, drawn at random (Partial FC); default: with all."
    )
    projection: Literal["trained", "discriminant"] = Field(
        "trained", description="How what is seen becomes a vector. `discriminant`: the loss teaches the trunk, and the "
        "vectors are then made by linear discriminants of the backbone's own maps, which share `dim`, computed from "
        "the training images before each evaluation; far better where training knows only some hundred people. Their "
        "lengths are about 1, and their inner product says how alike two are. (Not of objects.)"
    )  # fmt: skip
    mirror: bool = Field(
        False, description="Once trained, look at an image's mirror image as well, and take the mean of both vectors: "
        "people are told apart better, in twice the time. (Not of objects.)"
    )  # fmt: skip
    pairs: Path | None = Field(
        None, description="LFW pairs file to be scored by; default: pairs of the scored split, drawn by LFW's recipe."
    )

    @property
    def points_from(self) -> str | None:
        return self.at

    @model_validator(mode="after")
    def _of_images_alone(self) -> EmbeddingSettings:
        if self.projection == "discriminant" and self.on != "image":
            raise ValueError("projection: `discriminant` is there for questions about images alone; leave it out")
        if self.mirror and self.on != "image":
            raise ValueError("mirror: is there for questions about images alone; leave it out")
        return self


class Embedding(Task[EmbeddingSettings]):
    """A vector an image, trained by a margin between people; scored by LFW's protocol: the same person or not?"""

    kind = "embedding"
    annotation = Identity
    carrier = "identity"
    score = "accuracy"
    score_means = "the share of pairs of images rightly told to show one person or two, by LFW's View 2"

    def __init__(self, name: str, settings: EmbeddingSettings) -> None:
        super().__init__(name, settings)
        self._people: dict[str, int] = {}

    @property
    def margin(self) -> float:
        """The margin, of the settings or the loss's own."""
        given = self.settings.margin
        return MARGIN[self.settings.loss] if given is None else given

    def learn_statistics(self, manifest: Manifest, rows: np.ndarray, head: nn.Module) -> None:
        """A centre for each person of the training split, at random.

        Raises OneglanceError where there are fewer than two people, or one of them is to be tested on.
        """
        head = self.learner(head)
        if not len(rows) or not isinstance(head, Vectors):
            return
        names = set(self._shown(manifest, rows))
        if len(names) < 2:
            raise OneglanceError(
                f"tasks.{self.name}: the split 'train' shows {len(names)} people; nobody is told apart from less than 2"
            )
        for pair in self._pairs():
            for name, _ in (pair.first, pair.second):
                if name in names:
                    raise OneglanceError(
                        f"tasks.{self.name}.pairs: {self.settings.pairs}: line {pair.line}: {name!r} is in the split "
                        "'train'; people who are tested on must not be trained on (a source of format lfw with the "
                        "same `pairs` keeps them apart)"
                    )
        self._people = {name: k for k, name in enumerate(sorted(names))}
        if self.settings.loss != "triplet":
            head.centres = nn.Parameter(torch.randn(len(names), self.settings.dim) * 0.01)

    def _shown(self, manifest: Manifest, rows: np.ndarray) -> Counter[str]:
        """The people of these rows, and how often each is shown."""
        # The columns alone: a million whole records would take minutes.
        names = Counter(name for name in manifest.table[self.name].take(pa.array(rows)).to_pylist() if name is not None)
        if self.settings.parent is not None:
            items = pc.list_flatten(pc.struct_field(manifest.table[self.settings.parent].take(pa.array(rows)), "items"))
            if self.settings.parent_class is not None:
                items = items.filter(pc.equal(pc.struct_field(items, "label"), self.settings.parent_class))
            names.update(pc.drop_null(pc.struct_field(items, "identity")).to_pylist())
        return names

    def doubts(self, manifest: Manifest) -> list[str]:
        said = []
        for split in sorted({str(name) for name in manifest.values("split") if name}):
            people = self._shown(manifest, manifest.rows(split=split))
            once = sum(count == 1 for count in people.values())
            if once:
                more = ": nothing of one person can be compared there" if once == len(people) else ""
                said.append(f"{once} of {len(people)} people in the split {split} are shown once{more}")
        pairs = [] if self.on_objects else self._pairs()
        if pairs:
            known = manifest.table[self.name].is_valid().to_numpy(zero_copy_only=False)
            paths = np.array(manifest.values("path"), object)[known]
            there = {face_of(Path(str(path))) for path in paths}
            gone = [(pair, face) for pair in pairs for face in (pair.first, pair.second) if face not in there]
            lines = {pair.line for pair, _ in gone}
            if gone:
                pair, (name, number) = gone[0]
                none = "; scores will be of pairs that are drawn" if len(lines) == len(pairs) else ""
                said.append(
                    f"{len(lines)} of {len(pairs)} pairs of {self.settings.pairs} name images that no source has (the "
                    f"first, in line {pair.line}: {name} {number}){none}"
                )
        return said

    def encode(self, annotation: Identity, frame: Frame) -> dict[str, np.ndarray]:
        number = self._people.get(annotation.name, -1) if annotation.name is not None else -1
        return {"person": np.array(number, np.int64)}

    def head(self, spec: FeatureSpec) -> nn.Module:
        dim = self.settings.dim
        trained: EmbeddingHead | PointEmbeddingHead
        if self.settings.at is None:
            trained = EmbeddingHead(spec, dim)
        else:
            trained = PointEmbeddingHead(spec, self.points_read, dim)
        return Discriminant(trained, dim) if self.settings.projection == "discriminant" else trained

    @property
    def fits(self) -> bool:
        return self.settings.projection == "discriminant" and not self.settings.freeze

    @property
    def mirrors(self) -> bool:
        return self.settings.mirror

    def merged(self, outputs: Outputs, mirrored: Outputs) -> Outputs:
        """The mean of both vectors; of length 1 where vectors are."""
        mean = (outputs["vector"] + mirrored["vector"]) / 2
        return {**outputs, "vector": mean if self.settings.projection == "discriminant" else unit(mean)}

    def learner(self, head: nn.Module) -> nn.Module:
        return head.trained if isinstance(head, Discriminant) else head

    def fitted_on(self, manifest: Manifest, rows: np.ndarray, most: int) -> np.ndarray:
        """Whole people, until there are enough images; where that were fewer than two, as many images of each."""
        names = manifest.table[self.name].take(pa.array(rows)).to_pylist()
        known = np.array([name is not None for name in names], bool)
        _, people = np.unique([name for name in names if name is not None], return_inverse=True)
        most = min(most, FITTED_ON)
        drawn = draw_people(people, most)
        if len(np.unique(people[drawn])) < 2:
            order = np.argsort(people, kind="stable")
            counts = np.bincount(people[order])
            turn = np.arange(len(people)) - np.repeat(np.cumsum(counts) - counts, counts)  # an image's place in its own
            drawn = np.sort(order[np.argsort(turn, kind="stable")][:most])
        return rows[known][drawn]

    def fit(self, head: nn.Module, described: Outputs, labels: Sequence[Identity]) -> None:
        assert isinstance(head, Discriminant)
        if self.settings.dim < len(described):
            raise OneglanceError(
                f"tasks.{self.name}.dim: {self.settings.dim} numbers are too few for `discriminant`, which divides "
                f"them among the backbone's {len(described)} maps; give some hundred"
            )
        names = [label.name for label in labels]
        number = {name: k for k, name in enumerate(dict.fromkeys(names))}
        if len(number) < 2:
            raise OneglanceError(
                f"tasks.{self.name}.projection: `discriminant` tells people apart by images of at least two, and "
                f"{len(number)} could be read"
            )
        head.fit(described, torch.tensor([number[name] for name in names]))

    def of_object(self, item: Instance) -> Identity | None:
        return Identity(item.identity) if item.identity is not None else None

    def with_answer(self, item: Instance, answer: Identity) -> Instance:
        return changed(item, {"vector": answer.vector})

    def region_head(self, channels: int) -> nn.Module:
        if self.settings.at is not None:
            return RegionPointEmbeddingHead(channels, self.points_read, self.settings.dim)
        return RegionEmbeddingHead(channels, self.settings.dim)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        settings, vectors, people = self.settings, outputs["vector"], targets["person"]
        if settings.loss == "triplet":
            return {"triplet": batch_hard(vectors, people, self.margin)}
        loss = margin_softmax(
            vectors, outputs["centres"], people,
            kind=settings.loss, margin=self.margin, scale=settings.scale, sample=settings.sample,
        )  # fmt: skip
        # The gradient at a cosine is then about that at a classifier's logit, as other tasks' are.
        return {settings.loss: loss / settings.scale}

    def decode(self, outputs: Outputs, frames: Sequence[Frame]) -> list[Annotation]:
        return [Identity(vector=vector) for vector in outputs["vector"].float().cpu().numpy()]

    def statement(self, outputs: Outputs, empty: Outputs, about: str | None, number: int) -> Statement:
        """How far the vector is from that of an empty image, the inner product's negative. (Its likeness to itself has
        no gradient: it can't be greater.)"""
        if about is not None:
            raise OneglanceError(f"task {self.name!r} has no names to be explained: leave {about!r} out")
        nothing = empty["vector"][0].detach()
        return Statement("its vector", lambda outputs: -(outputs["vector"] @ nothing))

    def metric(self) -> EmbeddingMetric | AnswerMetric:
        if self.on_objects:
            return AnswerMetric(self, EmbeddingMetric(self._pairs()), EmbeddingMetric([]))
        return EmbeddingMetric(self._pairs())

    def quality(self, predicted: Identity, truth: Identity) -> float:
        """NaN: a vector is good or bad beside those of the other images; the metric's ``qualities`` say which."""
        return float("nan")

    def _pairs(self) -> list[Pair]:
        """The pairs of the file; none where there is none. Raises OneglanceError where they are in one fold."""
        path = self.settings.pairs
        pairs = [] if path is None else read_pairs(path)
        if pairs and pairs[-1].fold == 0:
            raise OneglanceError(
                f"tasks.{self.name}.pairs: {path} has one fold; a fold's threshold is chosen on the others, so that at "
                "least two are needed (LFW's pairs.txt has ten; pairsDevTest.txt has one)"
            )
        return pairs
