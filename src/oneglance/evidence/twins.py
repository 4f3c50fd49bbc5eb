"""Single-task twins of a shared network: the honest rivals.

The rule of the budget: **a twin makes as many optimiser steps as the shared training makes with labels of its task, and
sees in each of them as many labelled images as the shared training does on average** (rounded up, and at least 8 or the
shared batch where that is smaller, because normalisation over fewer images would hurt it).

So a twin is the shared training with the other tasks and their images taken out, and nothing else: the same trunk and
starting weights, augmentation, learning rate and its schedule, seeds and test images. Where all images are labelled for
all tasks this is the usual "same epochs, same batch". Rounding always goes in the twin's favour.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oneglance.config import Config
from oneglance.formats.base import SourceSettings
from oneglance.manifest import Manifest
from oneglance.network.sharing.settings import SharingSettings
from oneglance.training.draws import training_batches

#: A twin's step sees at least so many images.
LEAST = 8
RULE = (
    "A twin makes as many optimiser steps as the shared training makes with labels of its task, and sees in each of "
    "them as many labelled images as the shared training does on average (rounded up; at least 8, or the shared batch "
    "where that is smaller)."
)


@dataclass(frozen=True)
class Budget:
    """What a training may spend: ``steps`` an epoch, of ``batch`` images each, and ``epochs``. ``looks``: how many
    images labelled for its tasks the *shared* training sees in an epoch."""

    epochs: int
    steps: int
    batch: int
    looks: float

    @property
    def images(self) -> int:
        """Images that the training looks at in all."""
        return self.epochs * self.steps * self.batch

    @property
    def advantage(self) -> str:
        """What is to be said of a twin that sees markedly more labelled images than the shared training; else empty."""
        times = self.steps * self.batch / max(self.looks, 1e-9)
        if times < 1.25:
            return ""
        return (
            f"The twin sees {times:.1f} times as many labelled images as the shared network, since a step of it has "
            f"{self.batch}: part of the difference may be that alone. A larger train.batch, or a mixing that shows the "
            "task's sources more often, makes the two alike."
        )


def tasks_of_twin(config: Config, task: str) -> tuple[str, ...]:
    """The tasks of a task's twin: itself, and those that it can't do without: the detector whose objects it asks about,
    the one at whose points it looks."""
    wanted = {task}
    while more := {name for one in wanted for name in config.tasks[one].needs} - wanted:
        wanted |= more
    return tuple(name for name in config.tasks if name in wanted)


def tasks_with_twins(config: Config) -> list[str]:
    """The tasks that are compared with a twin: all that are trained."""
    return [name for name, task in config.tasks.items() if not task.freeze]


def shared_budget(config: Config, manifest: Manifest) -> Budget:
    """What the shared training spends."""
    names = tasks_with_twins(config)
    batches = training_batches(config, manifest, names)
    return Budget(config.train.epochs, batches.batches, config.train.batch, batches.batches * config.train.batch)


def twin_budget(config: Config, manifest: Manifest, tasks: Sequence[str]) -> Budget:
    """What a twin for these tasks may spend beside the shared training of the configuration on the manifest."""
    batches = training_batches(config, manifest, tasks_with_twins(config))
    labelled = np.zeros(len(manifest), bool)
    for name in tasks:
        if not config.tasks[name].freeze:
            labelled |= manifest.labelled(name)
    # Each source is gone through evenly, so its labelled images get their share of its draws.
    looks = sum(count * float(labelled[batches.sources[name]].mean()) for name, count in batches.draws.items())
    steps = min(batches.batches, max(1, math.ceil(looks - 1e-9)))
    batch = max(math.ceil(looks / steps - 1e-9), min(LEAST, config.train.batch))
    return Budget(config.train.epochs, steps, batch, looks)


def twin_config(config: Config, tasks: Sequence[str], budget: Budget) -> Config:
    """The configuration of a twin: of the shared one, these tasks and the sources that have labels for them."""
    train = config.train
    kept: dict[str, Any] = {name: task for name, task in config.tasks.items() if name in tasks}
    balance = config.balance
    narrowed = {
        key: {name: value for name, value in given.items() if name.split(".")[0] in kept}
        for key, given in (("weights", balance.weights), ("lowest", balance.lowest))
    }
    return config.model_copy(
        update={
            "tasks": kept,
            "sources": tuple(_narrowed(one, tasks) for one in config.sources if set(one.tasks) & set(tasks)),
            "balance": balance.model_copy(update=narrowed),
            "schedule": {key: points for key, points in config.schedule.items() if _about(key, kept)},
            # It has nobody to share with.
            "sharing": SharingSettings(),
            "mixing": config.mixing.model_copy(update={"epoch": budget.steps * budget.batch}),
            "train": train.model_copy(
                update={"batch": budget.batch, "accumulate": min(train.accumulate, budget.batch)}
            ),
        }
    )


def _about(key: str, kept: Container[str]) -> bool:
    """Whether a key that changes over time is of these tasks, or of what a twin has as well."""
    room, *names = key.split(".")
    if room == "tasks" or names[0] == "weights":
        return names[0 if room == "tasks" else 1] in kept
    return room != "sharing"


def _narrowed(source: SourceSettings, tasks: Sequence[str]) -> SourceSettings:
    own = source.tasks
    fields = {k: v for k, v in own.items() if k in tasks} if isinstance(own, dict) else [k for k in own if k in tasks]
    return source.model_copy(update={"tasks": fields})
