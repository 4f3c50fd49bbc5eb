"""Values that change in the course of one training: a schedule, by key, constant from one point to the next.

    schedule:
      tasks.breed.weight: [[0.25, 0.8], [0.5, 0.4]]      # its own value, from a quarter of all steps on 0.8, then 0.4
      train.lr: [[0.5, 3e-4]]

A training's state is a position: which values hold follows from the step alone, so that resumption needs nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

#: From which share of all steps on a value holds.
Share = Annotated[float, Field(ge=0, lt=1)]
#: By dotted key, shares of the training and the values that hold from there on.
Schedule = dict[str, tuple[tuple[Share, Any], ...]]

#: Numbers that are read anew at every step, and that nothing which is kept between steps depends on.
_NUMBERS = {
    "balance": ("lr", "temperature", "mu", "coupling", "gamma", "c", "alpha", "beta"),
    "sharing": ("strength",),
    "train": ("lr", "trunk_lr", "weight_decay", "clip"),
}
#: What may change, as it is said to people.
MAY = ["tasks.TASK.weight", "balance.weights.TASK", *(f"{room}.{key}" for room in _NUMBERS for key in _NUMBERS[room])]
_DATA = "the data are read once, and all of a training learns from the same"
_DRAWS = "which images come at a step, and how they are changed, follows from the seed and the step alone"
_STEPS = "how many steps there are, and what each sees, is settled when the training begins"
_RATE = "it says the course of the learning rate over the whole training; train.lr may change"
#: Why other keys can't change, by the beginning of the key; the first that fits holds.
_FIXED = {
    "sources": _DATA,
    "splits": _DATA,
    "mixing": _DRAWS,
    "augment": _DRAWS,
    "augment_sources": _DRAWS,
    "train.seed": _DRAWS,
    "train.epochs": _STEPS,
    "train.batch": _STEPS,
    "train.accumulate": _STEPS,
    "train.size": _STEPS,
    "train.sizes": _STEPS,
    "train.warmup": _RATE,
    "train.final_lr": _RATE,
    "train": "it is read once, when the training begins",
    "trunk": "the network is made once, and its weights fit no other",
    "sharing": "the network is made once, and its weights fit no other",
    "balance.weights": "a weight by term can't be named by a dotted key; the whole task's can",
    "balance": "what a method keeps from step to step fits no other method, and no other place or way of comparing",
    "tasks": "a task's head, targets and loss are made once; of a task only its weight may change",
    "schedule": "a schedule is made of values over time already",
}


def why_fixed(key: str) -> str:
    """Why a dotted key can't have another value in the middle of a training; empty: it can."""
    parts = key.split(".")
    weight = len(parts) == 3 and (parts[:2] == ["balance", "weights"] or (parts[0], parts[2]) == ("tasks", "weight"))
    if weight or (len(parts) == 2 and parts[1] in _NUMBERS.get(parts[0], ())):
        return ""
    reason = next((why for start, why in _FIXED.items() if f"{key}.".startswith(f"{start}.")), "no such key is known")
    return f"{reason}. What may change: {', '.join(MAY)}"


def check_schedule(schedule: Schedule) -> None:
    """Raises ValueError that names the key where one can't change, or its points are not in their order."""
    for key, points in schedule.items():
        if why := why_fixed(key):
            raise ValueError(f"schedule.{key}: this can't change in the middle of a training: {why}")
        shares = [share for share, _ in points]
        if not shares or shares != sorted(set(shares)):
            raise ValueError(
                f"schedule.{key}: must be a list of [share of the training, value], the shares rising, such as "
                "[[0.25, 0.8], [0.5, 0.4]]"
            )


def by_share(schedule: Schedule) -> list[tuple[float, Mapping[str, Any]]]:
    """The same by share of the training, rising: which keys have which other values from there on."""
    found: dict[float, dict[str, Any]] = {}
    for key, points in schedule.items():
        for share, value in points:
            found.setdefault(share, {})[key] = value
    return sorted(found.items())
