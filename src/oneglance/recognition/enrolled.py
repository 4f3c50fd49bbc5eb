"""The people who are enrolled: vectors in a folder, and the threshold above which somebody is one of them.

``gallery.yaml`` says what the vectors are of and where the threshold comes from; ``impostors.safetensors`` holds the
scores it is taken from; each enrolment is a file of its own in ``people/``, so that adding one touches no other, and
forgetting somebody leaves nothing of theirs behind.
"""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from oneglance.errors import OneglanceError, nearest
from oneglance.recognition.draw import template
from oneglance.recognition.protocol import Scores, Vectors

FACTS, IMPOSTORS, PEOPLE = "gallery.yaml", "impostors.safetensors", "people"
VERSION = 1
#: The highest scores of different people that are kept; nobody asks for a rate at which lower ones matter.
MOST_SCORES = 200_000
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Facts:
    """What a gallery's vectors are, and what its threshold is taken from.

    ``weights``: a hash of the network that made the vectors; ``far``: the share of images of strangers that may be
    given a name; ``scores``: how many scores of different people were measured, ``measured_on`` what (0: none, and
    ``threshold`` is fixed).
    """

    task: str
    dim: int
    weights: str
    far: float = 0.01
    scores: int = 0
    measured_on: str = ""
    threshold: float | None = None


@dataclass(frozen=True)
class Match:
    """An answer: ``name``, None where it is nobody who is enrolled; ``nearest``, the most similar person enrolled
    (None: nobody is), its ``score``, an inner product, and the ``threshold`` that it was held against. ``box``: where
    in the image, x1 y1 x2 y2, of an object that was found there; None: the image is looked at as a whole."""

    name: str | None
    nearest: str | None
    score: float
    threshold: float
    box: tuple[float, float, float, float] | None = None


class Enrolled:
    """A folder of enrolled people. Everything is read anew when it is opened, and written at once."""

    def __init__(self, folder: Path, facts: Facts, impostors: Scores) -> None:
        self.folder, self.facts = folder, facts
        self._impostors = -np.sort(-impostors)
        self._vectors: dict[str, list[Vectors]] = {}
        self._files: dict[str, list[Path]] = {}
        for path in sorted((folder / PEOPLE).glob("*.safetensors")):
            tensors, told = _read(path)
            vectors = tensors.get("vectors")
            if vectors is None or vectors.ndim != 2 or vectors.shape[1] != facts.dim or "person" not in told:
                raise OneglanceError(f"{path}: no enrolment of {facts.dim} numbers a vector; was it put there by hand?")
            self._vectors.setdefault(str(told["person"]), []).append(vectors)
            self._files.setdefault(str(told["person"]), []).append(path)

    @classmethod
    def create(cls, folder: Path, facts: Facts, impostors: Scores | None = None) -> Enrolled:
        """A new gallery without people; ``impostors``: scores of different people, float [M], from which the threshold
        is taken; None: ``facts.threshold`` says it.

        Raises OneglanceError where the folder holds something already.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OneglanceError(f"{folder}: holds something already, and nothing is overwritten")
        scores = np.zeros(0) if impostors is None else -np.sort(-np.asarray(impostors, np.float64))[:MOST_SCORES]
        if not len(scores) and facts.threshold is None:
            raise ValueError("either scores of different people or a threshold")
        (folder / PEOPLE).mkdir(parents=True, exist_ok=True)
        _write(folder / IMPOSTORS, {"scores": scores.astype(np.float32)}, {})
        made = cls(folder, facts, scores.astype(np.float32).astype(np.float64))
        # Last: a folder without it is no gallery.
        text = yaml.safe_dump({"version": VERSION, **asdict(facts)}, sort_keys=False)
        partial = folder / f"{FACTS}.partial"
        partial.write_text(text, encoding="utf-8")
        partial.replace(folder / FACTS)
        return made

    @classmethod
    def open(cls, folder: Path) -> Enrolled:
        """The gallery in a folder. Raises OneglanceError where there is none, or it can't be read."""
        path = folder / FACTS
        if not path.is_file():
            raise OneglanceError(f"{folder}: no gallery (no {FACTS}); `oneglance enrol RUN NAME IMAGES` begins one")
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
            if data.pop("version") != VERSION:
                raise OneglanceError(f"{path}: a gallery of another version; this oneglance reads {VERSION}")
            facts = Facts(**{field.name: data[field.name] for field in fields(Facts)})
        except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError) as error:
            raise OneglanceError(f"{path}: not what oneglance wrote ({type(error).__name__}: {error})") from error
        tensors, _ = _read(folder / IMPOSTORS)
        return cls(folder, facts, tensors["scores"].astype(np.float64))

    @property
    def people(self) -> dict[str, int]:
        """How many images each person is enrolled with, by name."""
        return {name: sum(map(len, parts)) for name, parts in sorted(self._vectors.items())}

    def enrol(self, name: str, vectors: Vectors, images: Sequence[str] = ()) -> None:
        """Add images of a person, new or known: vectors float32 [n, D]; ``images`` names their files.

        Raises OneglanceError for a name that can't be printed, or vectors that are not this gallery's.
        """
        if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
            raise OneglanceError(f"a person's name is printable text of at most {_LONGEST_NAME} letters, not {name!r}")
        if (
            vectors.ndim != 2
            or not len(vectors)
            or vectors.shape[1] != self.facts.dim
            or not np.isfinite(vectors).all()
        ):
            shape = " x ".join(map(str, vectors.shape))
            raise OneglanceError(f"{name}: finite vectors of {self.facts.dim} numbers are expected, not {shape}")
        path = self.folder / PEOPLE / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.safetensors"
        vectors = vectors.astype(np.float32)
        _write(path, {"vectors": vectors}, {"person": name, "images": list(images)})
        self._vectors.setdefault(name, []).append(vectors)
        self._files.setdefault(name, []).append(path)

    def remove(self, name: str) -> int:
        """Forget a person: the files are deleted. Returns how many images that were.

        Raises OneglanceError where nobody of that name is enrolled.
        """
        if name not in self._files:
            raise OneglanceError(f"{self.folder}: nobody called {name!r} is enrolled{nearest(name, self._files)}")
        for path in self._files.pop(name):
            path.unlink(missing_ok=True)
        return sum(map(len, self._vectors.pop(name)))

    def threshold(self, far: float | None = None) -> float:
        """The score above which an image shows a person: at most a share ``far`` of images of strangers gets a name.

        A stranger can be taken for any of the N people: each of them may be mistaken in ``far`` / N of the scores that
        were measured (the bound holds however these hang together), so that the threshold rises with N. See
        :func:`oneglance.recognition.protocol.threshold_at` for the rule; where fewer than one score may lie above, it
        is the highest score of all: see :meth:`is_measured`.
        """
        if self.facts.threshold is not None:
            return self.facts.threshold
        allowed = math.floor(self._share(far) * self.facts.scores + 1e-9)
        return float(self._impostors[min(allowed, len(self._impostors) - 1)])

    def is_measured(self, far: float | None = None) -> bool:
        """Whether enough scores were measured to say what the rate is at so many people."""
        return self.facts.threshold is None and self._share(far) * self.facts.scores >= 1

    def identify(self, vectors: Vectors, far: float | None = None) -> list[Match]:
        """Who each image shows, from vectors float32 [n, D]: the person with the most similar template
        (the mean of the person's vectors), or nobody where that is not above the threshold."""
        threshold = self.threshold(far)
        names = sorted(self._vectors)
        if not names:
            return [Match(None, None, math.nan, threshold) for _ in vectors]
        templates = np.stack([template(np.concatenate(self._vectors[name])) for name in names])
        scores = vectors @ templates.T
        best = scores.argmax(1)
        return [
            Match(names[k] if row[k] > threshold else None, names[k], float(row[k]), threshold)
            for row, k in zip(scores, best.tolist(), strict=True)
        ]

    def _share(self, far: float | None) -> float:
        far = self.facts.far if far is None else far
        if not 0 < far <= 1:
            raise OneglanceError(f"the false-accept rate must be above 0 and at most 1, not {far:g}")
        return far / max(len(self._vectors), 1)


def _write(path: Path, tensors: Mapping[str, np.ndarray], told: Mapping[str, Any]) -> None:
    """A safetensors file, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, partial, {"oneglance": json.dumps(told)})
    partial.replace(path)


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    if not path.is_file():
        raise OneglanceError(f"{path}: no such file; the gallery is not whole")
    try:
        with safe_open(path, framework="numpy") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, json.loads(  # noqa: SIM118 (not a dict)
                (file.metadata() or {})["oneglance"]
            )
    except (SafetensorError, KeyError, ValueError) as error:
        raise OneglanceError(f"{path}: not a file that oneglance wrote ({error})") from error
