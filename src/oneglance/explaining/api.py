"""``explain`` from Python or from the command line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from PIL import Image

from oneglance.decode import ImageError, to_rgb
from oneglance.errors import OneglanceError, Problems, bare, nearest
from oneglance.evaluation.page import check_free
from oneglance.evidence.measure import plain
from oneglance.explaining.attribution import At, Heat, Method, Question, View, need_captum
from oneglance.explaining.overlap import Mean, cells_of, common_area, rank_correlation
from oneglance.explaining.page import write_page
from oneglance.explaining.pictures import side_by_side
from oneglance.explaining.untrained import STAGES, randomised
from oneglance.model import Model, load

PAGE, RESULTS, PICTURES = "explain.html", "explain.json", "pictures"
#: Images by which the norms of random networks get their statistics.
_MEASURED = 16


@dataclass(frozen=True)
class Explained:
    """One image: ``said``: by task what was traced, None where it says nothing; ``cells``: heat maps of the image on a
    coarse grid, float32 [h, w]; ``picture``: the file with all of them side by side; ``missed``: by task how much of
    the statement integrated gradients leave unexplained (a share)."""

    path: Path
    said: dict[str, str | None]
    cells: dict[str, Heat]
    picture: Path
    missed: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Overlap:
    """How alike the heat maps of two tasks are on the same images: ``ranks``: Spearman's correlation over all places,
    ``area``: intersection over union of the hottest fifths; ``untrained``: the ranks' with random weights; ``more``:
    how much more they are alike than that, image by image. All means over images."""

    one: str
    other: str
    ranks: Mean
    area: Mean
    untrained: Mean
    more: Mean


@dataclass(frozen=True)
class Explanation:
    """``folder`` with the ``page``, the ``results`` (JSON) and pictures; ``images``: what was traced in each;
    ``overlaps`` of each two tasks; ``checks``: by stage of randomness and task, how alike the maps are to those of the
    trained network (Spearman), None where the check was left out."""

    folder: Path
    page: Path
    results: Path
    run: Path
    method: str
    at: str
    tasks: tuple[str, ...]
    images: list[Explained]
    overlaps: list[Overlap]
    checks: dict[str, dict[str, Mean]] | None


def explain(
    run: str | Path,
    images: Iterable[str | Path],
    out: str | Path,
    *,
    tasks: Sequence[str] | None = None,
    about: Mapping[str, str] | None = None,
    method: Method = "gradcam",
    at: At = "deep",
    check: bool = True,
    seed: int = 0,
    weights: str = "auto",
    device: str = "auto",
    problems: Problems | None = None,
    on_image: Callable[[], None] = lambda: None,
) -> Explanation:
    """What the shared trunk looked at for each task's answer, side by side, and how much of that tasks have in common.

    Args:
        run: a run's folder.
        images: files.
        out: a new folder, for a picture an image, ``explain.html`` and ``explain.json``.
        tasks: these only; default: all.
        about: by task what of its answer to trace: ``WHAT`` (a class, tag, point, target), ``#N`` (the N-th object, the
            surest is 1) or ``WHAT#N``; default: what it says most strongly.
        method: ``gradcam``, ``hirescam`` or ``integrated`` (see :meth:`View.heat`).
        at: the map that the first two look at: ``deep``, the backbone's last, or ``pyramid``, all levels of the neck.
        check: also with random weights (Adebayo et al. 2018), which takes four times as long.
        seed: of the random weights.
        weights, device: as for :func:`oneglance.load`.
        problems: takes images that can't be read.
        on_image: told after each image.

    Raises OneglanceError where the input is wrong, ``out`` is not empty, or no image could be read.
    """
    for name, value, known in (("method", method, get_args(Method)), ("at", at, get_args(At))):
        if value not in known:
            raise OneglanceError(f"{name} {value!r}: must be one of {', '.join(known)}{nearest(value, known)}")
    need_captum(method)
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OneglanceError(f"{folder}: exists already and is not an empty folder; nothing is ever overwritten")
    model = load(run, weights, device)
    names = _names(model, tasks, about or {})
    wanted = {name: _about((about or {}).get(name)) for name in names}
    found = problems if problems is not None else Problems()
    check_free(folder / PAGE)
    views = _Views(model, names, wanted, method, at)
    if check:
        views.prepare(list(images), seed)
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    explained = []
    for path in map(Path, views.paths or images):
        try:
            picture = to_rgb(path)
        except ImageError as error:
            found.add(path, bare(error, path))
            continue
        explained.append(views.look(path, picture, folder / PICTURES))
        on_image()
    if not explained:
        raise OneglanceError("no image could be read, so there is nothing to explain")
    made = Explanation(
        folder, folder / PAGE, folder / RESULTS, Path(run), method, at, tuple(names), explained, views.overlaps(),
        views.checks() if check else None,
    )  # fmt: skip
    _write_results(made)
    write_page(made, found)
    return made


def _names(model: Model, tasks: Sequence[str] | None, about: Mapping[str, str]) -> list[str]:
    for name in (*(tasks or ()), *about):
        if name not in model.tasks:
            known = ", ".join(model.tasks)
            raise OneglanceError(f"no task is called {name!r}{nearest(name, model.tasks)}; the tasks: {known}")
    return list(dict.fromkeys(tasks)) if tasks else list(model.tasks)


def _about(text: str | None) -> tuple[str | None, int]:
    """``WHAT``, ``#N`` or ``WHAT#N`` as what and number."""
    what, mark, number = (text or "").partition("#")
    if mark and not (number.isdigit() and int(number)):
        raise OneglanceError(f"about {text!r}: after # stands the number of an object, from 1 on")
    return what or None, int(number) if mark else 1


class _Views:
    """Looks at images one after the other, and keeps what is needed to compare."""

    def __init__(
        self, model: Model, names: Sequence[str], wanted: Mapping[str, tuple[str | None, int]], method: Method, at: At
    ) -> None:
        self.model, self.names, self.wanted, self.method, self.at = model, list(names), wanted, method, at
        self.paths: list[str | Path] = []
        self._random: dict[str, Any] = {}
        self._ranks: dict[tuple[str, str], list[float]] = {}
        self._area: dict[tuple[str, str], list[float]] = {}
        self._chance: dict[tuple[str, str], list[float]] = {}
        self._kept: dict[str, dict[str, list[float]]] = {}

    def prepare(self, paths: list[str | Path], seed: int) -> None:
        """Make the random networks, their norms measured on some of the images."""
        self.paths = paths
        pictures = []
        for path in paths[:_MEASURED]:
            try:
                pictures.append(to_rgb(path))
            except ImageError:
                continue  # it is noted when its turn comes
        if pictures:
            batch, _ = self.model.framed(pictures)
            self._random = dict(randomised(self.model, batch, seed))

    def look(self, path: Path, picture: np.ndarray, folder: Path) -> Explained:
        """Trace all answers about one image, and draw them."""
        view = View(self.model, picture)
        questions: dict[str, Question | None] = {}
        heats: dict[str, Heat] = {}
        missed: dict[str, float] = {}
        for name in self.names:
            question = view.ask(self.model.tasks[name], *self.wanted[name])
            questions[name] = question
            if question is None:
                continue
            if self.method == "integrated":
                heats[name], missed[name] = view.integrated(question)
            else:
                heats[name] = view.heat(question, self.method, self.at)
        cells = {name: cells_of(heat, view.frame) for name, heat in heats.items()}
        self._compare(cells, self._ranks, rank_correlation)
        self._compare(cells, self._area, common_area)
        for stage, network in self._random.items():
            other = {
                name: cells_of(view.heat(question, self.method, self.at, network), view.frame)
                for name, question in questions.items()
                if question is not None
            }
            for name, own in cells.items():
                self._kept.setdefault(stage, {}).setdefault(name, []).append(rank_correlation(own, other[name]))
            if stage == STAGES[-1]:
                self._compare(other, self._chance, rank_correlation)
        target = folder / f"{path.stem}.jpg"
        number = 1
        while target.exists():
            number += 1
            target = folder / f"{path.stem}-{number}.jpg"
        Image.fromarray(side_by_side(view, questions, heats)).save(target, quality=90)
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        said = {name: None if one is None else one.statement.text for name, one in questions.items()}
        return Explained(path, said, cells, target, missed)

    def _compare(
        self, cells: Mapping[str, Heat], into: dict[tuple[str, str], list[float]], how: Callable[[Heat, Heat], float]
    ) -> None:
        """A value an image for each two tasks, NaN where one of them says nothing of it."""
        for k, one in enumerate(self.names):
            for other in self.names[k + 1 :]:
                both = one in cells and other in cells
                into.setdefault((one, other), []).append(how(cells[one], cells[other]) if both else math.nan)

    def overlaps(self) -> list[Overlap]:
        """Of each two tasks, over all images."""
        found = []
        for pair, ranks in self._ranks.items():
            chance = self._chance.get(pair, [math.nan] * len(ranks))
            more = [a - b for a, b in zip(ranks, chance, strict=True)]
            found.append(Overlap(*pair, Mean.of(ranks), Mean.of(self._area[pair]), Mean.of(chance), Mean.of(more)))
        return found

    def checks(self) -> dict[str, dict[str, Mean]]:
        """By stage and task how alike the maps of random weights are to the trained network's."""
        return {stage: {name: Mean.of(values) for name, values in of.items()} for stage, of in self._kept.items()}


def _write_results(made: Explanation) -> None:
    data = {
        "made_by": "oneglance explain",
        "run": str(made.run),
        "method": made.method,
        "at": made.at if made.method != "integrated" else None,
        "images": [
            {"path": str(one.path), "said": one.said, "picture": str(one.picture.relative_to(made.folder))}
            | ({"unexplained_share": one.missed} if one.missed else {})
            for one in made.images
        ],
        "overlaps": [
            {"tasks": [one.one, one.other]}
            | {key: getattr(one, key).__dict__ for key in ("ranks", "area", "untrained", "more")}
            for one in made.overlaps
        ],
        "checks": None
        if made.checks is None
        else {stage: {name: one.__dict__ for name, one in of.items()} for stage, of in made.checks.items()},
    }
    made.results.write_text(json.dumps(plain(data), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
