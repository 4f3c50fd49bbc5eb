"""A gallery of people beside a trained run: enrol somebody from a few images, and be told who is in new ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from oneglance.annotations import Identity
from oneglance.data.dataset import AnnotatedImages
from oneglance.data.loader import default_workers, evaluation_batches
from oneglance.errors import OneglanceError, Problems, nearest
from oneglance.evaluation.evaluate import evaluate
from oneglance.manifest import Manifest
from oneglance.model import ImageLike, Model, load
from oneglance.recognition.draw import draw_people, impostor_scores
from oneglance.recognition.enrolled import FACTS, Enrolled, Facts, Match
from oneglance.recognition.protocol import Ints, Scores, Vectors
from oneglance.tasks.embedding import Embedding
from oneglance.tasks.embedding_metric import EmbeddingMetric
from oneglance.training.api import MANIFEST

#: The false-accept rate of a new gallery.
FAR = 0.01


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
        """The vectors of images, float32 [n, D], each of length 1. Raises ImageError for one that can't be read."""
        found = [np.zeros((0, self.enrolled.facts.dim), np.float32)]
        for start in range(0, len(images), batch):
            for prediction in self.model.predict(images[start : start + batch], self.model.size_of(self.task)):
                found.append(vector_in(prediction[self.task])[None])
        return np.concatenate(found)

    def enrol(self, name: str, images: Sequence[ImageLike]) -> None:
        """Add images of a person, new or known. Raises ImageError for one that can't be read, and adds none then."""
        files = [str(image) if isinstance(image, (str, Path)) else "" for image in images]
        self.enrolled.enrol(name, self.vectors(images), files)

    def identify(self, images: Sequence[ImageLike], far: float | None = None) -> list[Match]:
        """Who each image shows; ``far``: the share of images of strangers that may be given a name (default: that of
        the gallery)."""
        return self.enrolled.identify(self.vectors(images), far)

    def stream(
        self, images: Iterable[Path], batch: int = 16, far: float | None = None, problems: Problems | None = None
    ) -> Iterable[tuple[Path, Match]]:
        """:meth:`identify` for any number of files, one by one; one that can't be read is noted and passed over."""
        for path, prediction in self.model.stream(images, batch, problems, self.model.size_of(self.task)):
            yield path, self.enrolled.identify(vector_in(prediction[self.task])[None], far)[0]

    def remove(self, name: str) -> int:
        """Forget a person; returns how many images that were."""
        return self.enrolled.remove(name)


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
    only = {task: model.tasks[task]}  # the network asks those that this one needs by itself
    workers = default_workers() if settings.workers is None else settings.workers
    images = AnnotatedImages(manifest, only, model.size, sizes=settings.sizes)
    batches = evaluation_batches(images, rows, settings.batch, workers)
    _, metrics = evaluate(model.network, only, batches, model.device, problems=problems)
    metric = metrics[task]
    assert isinstance(metric, EmbeddingMetric)
    return metric.seen()
