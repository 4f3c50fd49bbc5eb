"""A gallery of people beside a trained run: enrol somebody from a few images, and be told who is in new ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from oneglance.annotations import Annotation, Identity, Instance, Instances, changed
from oneglance.data.dataset import AnnotatedImages
from oneglance.data.loader import default_workers, evaluation_batches
from oneglance.errors import OneglanceError, Problems, nearest
from oneglance.evaluation.evaluate import evaluate
from oneglance.manifest import Manifest
from oneglance.model import ImageLike, Model, Prediction, load
from oneglance.recognition.draw import draw_people, impostor_scores
from oneglance.recognition.enrolled import FACTS, Enrolled, Facts, Match
from oneglance.recognition.protocol import Ints, Scores, Vectors
from oneglance.tasks.embedding import Embedding
from oneglance.tasks.embedding.metric import EmbeddingMetric
from oneglance.tasks.object_metric import AnswerMetric
from oneglance.training.api import MANIFEST

#: The false-accept rate of a new gallery.
FAR = 0.01
#: How sure an object is that is looked at, and one beside which an image does not show one alone.
SHOWN, SURE = 0.25, 0.5


class Gallery:
    """People whom a trained network knows by a few images each, without being trained again.

    ``model``: the network; ``task``: its embedding task; ``enrolled``: the people.
    """

    def __init__(self, model: Model, task: str, enrolled: Enrolled) -> None:
        self.model, self.task, self.enrolled = model, task, enrolled

    @classmethod
    def open(
        cls,
        run: str | Path,
        *,
        folder: str | Path | None = None,
        task: str | None = None,
        far: float = FAR,
        split: str | None = None,
        threshold: float | None = None,
        create: bool = True,
        weights: str = "auto",
        device: str = "auto",
        problems: Problems | None = None,
    ) -> Gallery:
        """The gallery of a run; where there is none yet, a new one whose threshold is taken from the run's own data.

        Args:
            run: the run's folder.
            folder: the gallery's; default: ``gallery`` in the run's folder.
            task: the embedding task; needed only where there are several.
            far: of a new gallery: the share of images of strangers that may be given a name.
            split: of a new gallery: the labelled split whose people, none of them trained on, say how alike different
                people look; default: `val`, else `test`.
            threshold: of a new gallery: the threshold itself, instead of ``far`` and ``split``.
            create: whether a new gallery may be made.
            weights, device: as for :func:`oneglance.load`.
            problems: takes images of the split that can't be read.

        Raises OneglanceError where the run has no embedding task, the gallery was made with other weights, or the split
        can't give a threshold.
        """
        model = load(run, weights, device)
        name = _task_of(model, task)
        place = Path(folder) if folder is not None else Path(run) / "gallery"
        digest = weights_digest(model, name)
        if (place / FACTS).is_file() or not create:
            enrolled = Enrolled.open(place)
            if (enrolled.facts.task, enrolled.facts.weights) != (name, digest):
                raise OneglanceError(
                    f"{place}: its people were enrolled by task {enrolled.facts.task!r} with other weights; vectors of "
                    "two networks can't be compared: enrol them anew into another folder (--gallery)"
                )
            return cls(model, name, enrolled)
        embedding = model.tasks[name]
        assert isinstance(embedding, Embedding)
        facts = Facts(name, embedding.settings.dim, digest, far, threshold=threshold)
        if threshold is not None:
            return cls(model, name, Enrolled.create(place, facts))
        if not 0 < far <= 1:
            raise OneglanceError(f"the false-accept rate must be above 0 and at most 1, not {far:g}")
        scores, about = _impostors(model, name, Path(run), split, problems if problems is not None else Problems())
        facts = Facts(name, embedding.settings.dim, digest, far, len(scores), about)
        return cls(model, name, Enrolled.create(place, facts, scores))

    @property
    def people(self) -> dict[str, int]:
        """How many images each person is enrolled with, by name."""
        return self.enrolled.people

    def vectors(self, images: Sequence[ImageLike], batch: int = 16) -> Vectors:
        """The vectors of images, float32 [n, D]; of a task on objects, that of the one such object in
        each. Raises ImageError for an image that can't be read, OneglanceError for one that does not show one."""
        found = [np.zeros((0, self.enrolled.facts.dim), np.float32)]
        for start in range(0, len(images), batch):
            some = images[start : start + batch]
            predictions = self.model.predict(some, self.model.size_of(self.task))
            for number, (image, prediction) in enumerate(zip(some, predictions, strict=True), start + 1):
                if not self._on_objects:
                    found.append(vector_in(prediction[self.task])[None])
                    continue
                name = str(image) if isinstance(image, (str, Path)) else f"image {number}"
                found.append(_the_one(self._sure(self._objects(prediction)), name, self._what))
        return np.concatenate(found)

    def enrol(self, name: str, images: Sequence[ImageLike]) -> None:
        """Add images of a person, new or known. Raises ImageError for one that can't be read, and adds none then."""
        files = [str(image) if isinstance(image, (str, Path)) else "" for image in images]
        self.enrolled.enrol(name, self.vectors(images), files)

    def identify(self, images: Sequence[ImageLike], far: float | None = None) -> list[Match]:
        """Who each image shows; ``far``: the share of images of strangers that may be given a name (default: that of
        the gallery). Of a task on objects: who that one object is, as :meth:`vectors`; :meth:`matches` names all."""
        return self.enrolled.identify(self.vectors(images), far)

    def matches(self, prediction: Prediction, far: float | None = None) -> list[Match]:
        """Who is in an image that the model has answered for: one match; of a task on objects, one for each that was
        found (with a score of ``SHOWN`` or more), the surest first."""
        if not self._on_objects:
            return self.enrolled.identify(vector_in(prediction[self.task])[None], far)
        found = self._sure(self._objects(prediction))
        return [replace(match, box=_corners(one)) for match, one in zip(self._who(found, far), found, strict=True)]

    def with_names(self, objects: Annotation, far: float | None = None) -> Instances:
        """Objects with their answers, as the model gave them, with names on those who are enrolled.

        Raises OneglanceError where the task is asked about whole images.
        """
        if not self._on_objects or not isinstance(objects, Instances):
            raise OneglanceError(f"task {self.task!r} is asked about images, and an image has no place for a name")
        found = self._sure(objects)
        names = dict(zip(map(id, found), self._who(found, far), strict=True))
        return replace(
            objects,
            items=tuple(
                changed(one, {"identity": names[id(one)].name}) if id(one) in names else one for one in objects.items
            ),
        )

    def named(self, prediction: Prediction, far: float | None = None) -> Prediction:
        """An image's answers with names on the objects that show somebody who is enrolled, to be drawn or kept; see
        :meth:`with_names`."""
        parent = self.model.tasks[self.task].settings.parent or self.task
        answers = {**prediction, parent: self.with_names(prediction[parent], far)}
        return Prediction(prediction.image, answers, self.model.tasks)

    def stream(
        self, images: Iterable[Path], batch: int = 16, far: float | None = None, problems: Problems | None = None
    ) -> Iterable[tuple[Path, list[Match]]]:
        """:meth:`matches` for any number of files, one by one; one that can't be read is noted and passed over."""
        for path, prediction in self.model.stream(images, batch, problems, self.model.size_of(self.task)):
            yield path, self.matches(prediction, far)

    def remove(self, name: str) -> int:
        """Forget a person; returns how many images that were."""
        return self.enrolled.remove(name)

    @property
    def _on_objects(self) -> bool:
        return self.model.tasks[self.task].on_objects

    @property
    def _what(self) -> str:
        """What the task is asked about, in a word."""
        return self.model.tasks[self.task].settings.parent_class or "object"

    def _objects(self, prediction: Prediction) -> Annotation:
        return prediction[self.model.tasks[self.task].settings.parent or ""]

    def _sure(self, objects: Annotation) -> list[Instance]:
        """The objects with a vector that are shown, the surest first."""
        assert isinstance(objects, Instances)
        found = [one for one in objects.sure(SHOWN) if one.vector is not None]
        return sorted(found, key=lambda one: -(one.score or 0.0))

    def _who(self, objects: Sequence[Instance], far: float | None) -> list[Match]:
        vectors = [one.vector[None] for one in objects if one.vector is not None]
        return self.enrolled.identify(np.concatenate(vectors), far) if vectors else []


def _the_one(objects: Sequence[Instance], image: str, what: str) -> Vectors:
    """The vector of the one object in an image, float32 [1, D]; those who are not ``SURE`` don't count beside it."""
    sure = [one for one in objects if (one.score or 0.0) >= SURE]
    if not objects or len(sure) > 1:
        found = f"{len(sure)} are" if sure else "none is"
        raise OneglanceError(f"{image}: it must show one {what} alone, and {found} found in it")
    vector = objects[0].vector
    assert vector is not None
    return vector[None]


def _corners(item: Instance) -> tuple[float, float, float, float] | None:
    if item.box is None:
        return None
    x1, y1, x2, y2 = (float(v) for v in item.box)
    return x1, y1, x2, y2


def vector_in(answer: object) -> Vectors:
    """The vector of an embedding task's answer, float32 [D]."""
    if not isinstance(answer, Identity) or answer.vector is None:
        raise TypeError(f"{type(answer).__name__} holds no vector")
    return answer.vector


def weights_digest(model: Model, task: str) -> str:
    """A hash of all that a task's vectors depend on: the trunk's weights, its head's, those of the tasks that it needs,
    and the input's size."""
    digest = hashlib.sha256(repr(model.size_of(task)).encode())
    heads = tuple(f"heads.{name}." for name in (task, *model.config.tasks[task].needs))
    for name, value in model.network.state_dict().items():
        if not name.startswith("heads.") or name.startswith(heads):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _task_of(model: Model, task: str | None) -> str:
    known = [name for name, one in model.tasks.items() if isinstance(one, Embedding)]
    if not known:
        raise OneglanceError("this run has no task of `kind: embedding`, so that it knows nobody")
    if task is None and len(known) > 1:
        raise OneglanceError(f"this run has several embedding tasks: choose one of {', '.join(known)} (--task)")
    if task is not None and task not in known:
        raise OneglanceError(
            f"this run has no embedding task {task!r}{nearest(task, known)}; it has {', '.join(known)}"
        )
    return task or known[0]


def _impostors(model: Model, task: str, run: Path, split: str | None, problems: Problems) -> tuple[Scores, str]:
    """Scores of different people of a split, and what they were measured on."""
    if split == "train":
        raise OneglanceError(
            "--split train: people whom the network was trained on look less alike to it than others do"
        )
    path = run / MANIFEST
    if not path.is_file():
        raise OneglanceError(f"{run}: no {MANIFEST}, so that no threshold can be measured; give one (--threshold)")
    manifest = Manifest.read(path)
    labelled = manifest.labelled(task)
    for name in (split,) if split is not None else ("val", "test"):
        rows = manifest.rows(split=name)
        vectors, people = _vectors(model, task, manifest, rows[labelled[rows]], problems)
        kept = draw_people(people)
        scores = impostor_scores(vectors[kept], people[kept])
        if len(scores):
            return scores, f"{len(kept)} images of {len(np.unique(people[kept]))} people, split {name}"
    raise OneglanceError(
        f"{run}: the split {split or 'val or test'} does not show two people, so that no threshold can be measured; "
        "choose another split (--split), or give a threshold (--threshold)"
    )


def _vectors(model: Model, task: str, manifest: Manifest, rows: np.ndarray, problems: Problems) -> tuple[Vectors, Ints]:
    settings = model.config.train
    # Points that this one needs the network asks for by itself.
    parent = model.tasks[task].settings.parent
    only = {name: model.tasks[name] for name in (parent, task) if name is not None}
    workers = default_workers() if settings.workers is None else settings.workers
    images = AnnotatedImages(manifest, only, model.size, sizes=settings.scored_sizes)
    batches = evaluation_batches(images, rows, settings.batch, workers)
    _, metrics = evaluate(model.network, only, batches, model.device, problems=problems)
    metric = metrics[task]
    if isinstance(metric, AnswerMetric):  # on their true boxes
        metric = metric.on_truth
    assert isinstance(metric, EmbeddingMetric)
    return metric.seen()
