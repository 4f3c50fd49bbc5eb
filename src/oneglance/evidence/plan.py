"""What has to be trained to compare: the shared network and its twins, or any configurations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from oneglance.config import Config, load_config
from oneglance.errors import OneglanceError, Problems
from oneglance.evidence.labels import labels_of, with_fewer_labels
from oneglance.evidence.study import Data, Variant
from oneglance.evidence.twins import (
    Budget,
    shared_budget,
    tasks_of_twin,
    tasks_with_twins,
    twin_budget,
    twin_config,
)
from oneglance.ingest import build_manifest
from oneglance.manifest import Manifest
from oneglance.tasks import columns_of, create_tasks
from oneglance.training.api import absolute

SHARED, ALONE = "shared", "alone"


@dataclass(frozen=True)
class Given:
    """A configuration that was given, and its data: ``config`` with absolute paths, ``base`` they were relative to."""

    name: str
    config: Config
    data: Data
    base: Path
    problems: Problems = field(default_factory=Problems)


def read_given(path: Path, overrides: Sequence[str] = (), name: str | None = None) -> Given:
    """A YAML file with its data, read now: that they are those of earlier trainings can only be seen so."""
    base = path.parent.resolve()
    config = absolute(load_config(path, overrides), base)
    problems = Problems()
    return Given(name or path.stem, config, Data(build_manifest(config, base, problems)), base, problems)


def twin_name(task: str) -> str:
    """The name of a task's twin among the variants."""
    return f"{ALONE}-{task}"


def plain_variant(given: Given) -> Variant:
    """A configuration as it is."""
    budget = shared_budget(given.config, given.data.manifest)
    return Variant(given.name, given.config, lambda _: given.data, budget.images, given.base)


def twin_variants(given: Given) -> tuple[list[Variant], dict[str, Budget]]:
    """The shared network and the twin of each task that is trained; what each may spend, by variant.

    Raises OneglanceError where there is nothing to compare.
    """
    names = tasks_with_twins(given.config)
    if len(given.config.tasks) < 2 or not names:
        raise OneglanceError(
            f"{given.name}: {len(names)} task that is trained; a shared network is compared with its single-task twins "
            "where there are several tasks. Two configurations are compared with: oneglance compare A.yaml B.yaml"
        )
    shared = shared_budget(given.config, given.data.manifest)
    variants = [Variant(SHARED, given.config, lambda _: given.data, shared.images, given.base)]
    budgets = {SHARED: shared}
    for task in names:
        variant, budget = twin_of(given, task)
        variants.append(variant)
        budgets[variant.name] = budget
    return variants, budgets


def twin_of(given: Given, task: str) -> tuple[Variant, Budget]:
    """The twin of a task, and what it may spend."""
    budget = twin_budget(given.config, given.data.manifest, tasks_of_twin(given.config, task))
    config = twin_config(given.config, tasks_of_twin(given.config, task), budget)
    data = _narrowed(given.data.manifest, config)
    return Variant(twin_name(task), config, lambda _: data, budget.images, given.base), budget


def _narrowed(manifest: Manifest, config: Config) -> Data:
    """What the tasks of a configuration are labelled with, and nothing else."""
    return Data(manifest.only(columns_of(create_tasks(config.tasks))))


def curve_variants(given: Given, task: str, share: float) -> tuple[Variant, Variant, int]:
    """The shared network and the task's twin with a share of the task's labels, and how many images keep theirs (of the
    configuration's own seed). Each seed keeps others; the twin's budget is that of the shared training with as few."""

    @cache
    def fewer(seed: int) -> Data:
        return Data(with_fewer_labels(given.data.manifest, given.config, task, share, seed))

    first = fewer(given.config.train.seed)
    few = replace(given, data=first)
    budget = twin_budget(given.config, first.manifest, tasks_of_twin(given.config, task))
    config = twin_config(given.config, tasks_of_twin(given.config, task), budget)

    @cache
    def alone(seed: int) -> Data:
        return _narrowed(fewer(seed).manifest, config)

    after = f"{task}-{100 * share:g}"
    shared = Variant(f"{SHARED}-{after}", given.config, fewer, plain_variant(few).images, given.base)
    return (
        shared,
        Variant(f"{ALONE}-{after}", config, alone, budget.images, given.base),
        labels_of(first.manifest, task),
    )
