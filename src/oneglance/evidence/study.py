"""A study: one training for each configuration and seed, in one folder, to be interrupted and taken up at any time.

``study.json`` marks the folder as ours; ``runs/NAME/seed-K`` are runs like those of `oneglance train`; ``measured``
holds what was measured of each. A run that is there already is taken as it is where its configuration and its data are
those that are asked for, gone on with where it was interrupted, and refused where they are not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from oneglance.config import Config
from oneglance.errors import OneglanceError
from oneglance.evaluation.facts import read_facts
from oneglance.manifest import Manifest
from oneglance.training.api import CONFIG, MANIFEST, begin, read_config, resume
from oneglance.training.fit import LAST
from oneglance.training.observer import Observer

MARK, RUNS, MEASURED = "study.json", "runs", "measured"


class Data:
    """A manifest with its fingerprint, which takes a while and is made once."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    @cached_property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint()


@dataclass(frozen=True)
class Variant:
    """Something to be trained with several seeds.

    ``data``: what it is trained and tested on, by seed. ``images``: how many it looks at in one training, for the time
    that is left. ``base``: the folder that paths of the configuration were relative to. ``observer``: looks on.
    """

    name: str
    config: Config
    data: Callable[[int], Data]
    images: int
    base: Path
    observer: Observer | None = None

    def seeded(self, seed: int) -> Config:
        """The configuration with this seed."""
        return self.config.model_copy(update={"train": self.config.train.model_copy(update={"seed": seed})})


@dataclass
class Progress:
    """How far a study is: trainings in all, those that are there, and images and seconds of those made now."""

    total: int
    images_left: int
    done: int = 0
    images: int = 0
    seconds: float = 0.0
    reused: int = 0

    @property
    def left_s(self) -> float | None:
        """Seconds until all is trained, at the rate so far; None before anything is known."""
        return self.images_left * self.seconds / self.images if self.images else None


def check_study(folder: Path) -> None:
    """Raises OneglanceError where the folder is there and is no study's."""
    if folder.exists() and not folder.is_dir():
        raise OneglanceError(f"{folder}: is a file; give --out a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise OneglanceError(
            f"{folder}: not empty and no folder of `oneglance compare` or `oneglance affinity`; nothing is ever "
            "overwritten: choose another --out"
        )


def open_study(folder: Path) -> None:
    """Make the folder of a study, or take up one that is there."""
    check_study(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MARK).is_file():
        about = {"made_by": "oneglance compare", "version": version("oneglance")}
        (folder / MARK).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def run_folder(study: Path, variant: Variant, seed: int) -> Path:
    """Where a training of a study is."""
    return study / RUNS / variant.name / f"seed-{seed}"


def measured_file(study: Path, name: str, split: str) -> Path:
    """Where what was measured of a run is kept."""
    return study / MEASURED / f"{name}_{split}.json"


def train_all(
    study: Path, variants: Sequence[Variant], seeds: Sequence[int], *, quiet: bool, say: Callable[[str], None]
) -> Progress:
    """All trainings that are missing: one seed of all variants, then the next, so that an interrupted study has whole
    comparisons. ``say`` is told a line for each.

    Raises OneglanceError where a run that is there is of another configuration or other data.
    """
    planned = [(variant, seed) for seed in seeds for variant in variants]
    states = [_state(study, variant, seed) for variant, seed in planned]  # all are looked at before any is trained
    todo = [pair for pair, state in zip(planned, states, strict=True) if state != "done"]
    progress = Progress(len(planned), sum(variant.images for variant, _ in todo))
    progress.done = progress.reused = len(planned) - len(todo)
    if progress.reused:
        say(f"{progress.reused} of {len(planned)} trainings are there already and are taken as they are")
    for variant, seed in todo:
        left = progress.left_s
        when = "" if left is None else f"; {duration(left)} left for all"
        say(f"training {progress.done + 1} of {len(planned)}: {variant.name}, seed {seed}{when}")
        began = time.monotonic()
        _train(study, variant, seed, quiet=quiet)
        progress.done += 1
        progress.images += variant.images
        progress.images_left -= variant.images
        progress.seconds += time.monotonic() - began
    return progress


def _state(study: Path, variant: Variant, seed: int) -> Literal["new", "begun", "done"]:
    folder = run_folder(study, variant, seed)
    if not (folder / CONFIG).is_file():
        return "new"
    wanted, there = variant.seeded(seed).model_dump(mode="json"), read_config(folder).model_dump(mode="json")
    # How many processes load images changes nothing that is learnt.
    for one in (wanted, there):
        one["train"].pop("workers")
    if wanted != there:
        keys = [key for key in wanted if wanted[key] != there.get(key)]
        raise OneglanceError(
            f"{folder / CONFIG}: this run was trained by another configuration (another `{'`, `'.join(keys)}`); "
            "nothing is ever overwritten: choose another --out"
        )
    if read_facts(folder).get("fingerprint") != variant.data(seed).fingerprint:
        raise OneglanceError(
            f"{folder}: this run was trained on other data than the configuration gives now; nothing is ever "
            "overwritten: choose another --out"
        )
    return "done" if (folder / LAST).is_file() else "begun"


def _train(study: Path, variant: Variant, seed: int, *, quiet: bool) -> None:
    folder = run_folder(study, variant, seed)
    if (folder / CONFIG).is_file() and (folder / MANIFEST).is_file():
        resume(folder, quiet=quiet, observer=variant.observer)
        return
    folder.mkdir(parents=True, exist_ok=True)
    variant.data(seed).manifest.write(folder / MANIFEST)
    manifest = Manifest.read(folder / MANIFEST)
    begin(variant.seeded(seed), manifest, folder, variant.base, quiet=quiet, observer=variant.observer)


def duration(seconds: float) -> str:
    """A time for people."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
