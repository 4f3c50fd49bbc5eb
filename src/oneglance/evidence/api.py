"""``compare`` from Python or from the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from oneglance.config import Config
from oneglance.errors import OneglanceError
from oneglance.evaluation.api import chosen_split, has_labels, read_manifest
from oneglance.evidence.comparison import Comparison, Trainings, compare_sides
from oneglance.evidence.measure import Measured, measure
from oneglance.evidence.plan import SHARED, Given, plain_variant, read_given, twin_name, twin_variants
from oneglance.evidence.results import write_results
from oneglance.evidence.study import (
    Variant,
    measured_file,
    open_study,
    run_folder,
    train_all,
)
from oneglance.evidence.twins import Budget, tasks_with_twins
from oneglance.evidence.verdict import LEVEL, Verdict, verdict
from oneglance.training.api import CONFIG, read_config

PAGE, RESULTS = "compare.html", "compare.json"


@dataclass(frozen=True)
class Evidence:
    """What came of a study: ``folder``, its ``page`` and ``results`` (JSON); ``comparisons`` with the ``verdicts`` on
    each of their tasks. ``twins``: whether the question was what sharing does."""

    folder: Path
    page: Path
    results: Path
    split: str
    twins: bool
    comparisons: list[Comparison]
    verdicts: list[dict[str, Verdict]]
    budgets: dict[str, Budget]


def compare(
    *configs: str | Path,
    overrides: Sequence[str] = (),
    seeds: int = 3,
    out: str | Path | None = None,
    split: str | None = None,
    weights: str = "last",
    level: float = LEVEL,
    quiet: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Evidence:
    """Train what is missing, measure, and say which differences are more than chance.

    With one YAML file: its shared network against the single-task twin of each of its tasks. With several YAML files or
    folders of runs: each of the others against the first; runs that differ in their seed alone are one side.

    Args:
        configs: YAML files, or runs of `oneglance train`.
        overrides: dotted keys, for all the YAML files.
        seeds: trainings of each configuration, with the seeds ``train.seed``, ``train.seed + 1``, ...
        out: the study's folder, new or to be gone on with; default: ``runs/compare-<name>``.
        split: scored on; default: `test`, or `val` where no image of `test` is labelled.
        weights: ``last`` (default: no choice by the split `val` favours anybody) or ``best``.
        level: of the intervals.
        quiet: no progress of single trainings.
        say: told a line for each training.

    Raises OneglanceError where something is wrong with the input, or the folder holds something else.
    """
    paths = [Path(one) for one in configs]
    if not paths:
        raise OneglanceError("give a YAML file: its shared network is compared with its single-task twins")
    if seeds < 1:
        raise OneglanceError(f"--seeds {seeds}: at least 1 is needed, and 2 for an interval over trainings")
    if not 0.5 <= level < 1:
        raise OneglanceError(f"level {level}: must be from 0.5 to less than 1, such as 0.95")
    yamls = [path for path in paths if not path.is_dir()]
    if overrides and not yamls:
        raise OneglanceError("settings (KEY=VALUE) are for YAML files: runs are compared as they are")
    folder = Path(out) if out is not None else Path("runs") / f"compare-{paths[0].stem}"
    open_study(folder)
    if len(paths) == 1:
        if not yamls:
            raise OneglanceError(
                f"{paths[0]}: one run alone can't be compared; give its YAML file (the shared network against its "
                "twins), or another run beside it"
            )
        return _twins(read_given(paths[0], overrides, SHARED), folder, seeds, split, weights, level, quiet, say)
    return _several(paths, overrides, folder, seeds, split, weights, level, quiet, say)


def _twins(
    given: Given, folder: Path, count: int, split: str | None, weights: str, level: float, quiet: bool,
    say: Callable[[str], None],
) -> Evidence:  # fmt: skip
    variants, budgets = twin_variants(given)
    about = split or chosen_split(given.data.manifest)
    if not has_labels(given.data.manifest, about):
        raise OneglanceError(f"no image of the split {about!r} is labelled: nothing could be measured on it")
    seeds = _seeds(given.config, count)
    train_all(folder, variants, seeds, quiet=quiet, say=say)
    found = _measured(folder, variants, seeds, about, weights, say)
    names = tasks_with_twins(given.config)
    others = {task: found[twin_name(task)] for task in names}
    comparison = compare_sides("the shared network", "its single-task twins", names, found[SHARED], others)
    words = {
        one.task: verdict(one, "the shared network", "its twin", twins=True, level=level) for one in comparison.tasks
    }
    evidence = Evidence(
        folder, folder / PAGE, folder / RESULTS, about, True, [comparison], [words], budgets
    )  # fmt: skip
    write_results(evidence.results, evidence, level)
    return evidence


def _seeds(config: Config, count: int) -> list[int]:
    return [config.train.seed + k for k in range(count)]


def _measured(
    folder: Path,
    variants: Sequence[Variant],
    seeds: Sequence[int],
    split: str,
    weights: str,
    say: Callable[[str], None],
) -> dict[str, Trainings]:
    found: dict[str, dict[int, Measured]] = {}
    say(f"scoring {len(variants) * len(seeds)} trainings on {split}")
    for variant in variants:
        for seed in seeds:
            kept = measured_file(folder, f"{variant.name}_seed-{seed}", split)
            run = run_folder(folder, variant, seed)
            found.setdefault(variant.name, {})[seed] = measure(run, kept, split, weights)
    return dict(found)


def _several(
    paths: Sequence[Path], overrides: Sequence[str], folder: Path, count: int, split: str | None, weights: str,
    level: float, quiet: bool, say: Callable[[str], None],
) -> Evidence:  # fmt: skip
    names = _names(paths)
    givens = {path: read_given(path, overrides, name) for path, name in names.items() if not path.is_dir()}
    manifests = [one.data.manifest for one in givens.values()]
    about = split or chosen_split(manifests[0] if manifests else read_manifest(paths[0]))
    sides: dict[str, Trainings] = {}
    for given in givens.values():
        variant, seeds = plain_variant(given), _seeds(given.config, count)
        train_all(folder, [variant], seeds, quiet=quiet, say=say)
        sides |= _measured(folder, [variant], seeds, about, weights, say)
    sides |= _runs([path for path in paths if path.is_dir()], names, folder, about, weights, say)
    first, *rest = [name for name in names.values() if name in sides]
    if not rest:
        raise OneglanceError(
            "all these runs have one configuration, but for the seed: there is no second side to compare with"
        )
    comparisons = []
    for other in rest:
        known = next(iter(sides[other].values())).tasks
        tasks = [task for task in next(iter(sides[first].values())).tasks if task in known]
        if not tasks:
            raise OneglanceError(f"{first} and {other} have no task in common, so there is nothing to compare")
        comparisons.append(compare_sides(other, first, tasks, sides[other], dict.fromkeys(tasks, sides[first])))
    words = [
        {task.task: verdict(task, one.ours, one.theirs, twins=False, level=level) for task in one.tasks}
        for one in comparisons
    ]
    evidence = Evidence(folder, folder / PAGE, folder / RESULTS, about, False, comparisons, words, {})
    write_results(evidence.results, evidence, level)
    return evidence


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """A name for each that was given: its last part, or as much of its path as tells it from the others."""
    parts = {
        path: [*path.resolve().parent.parts[1:], path.resolve().stem if not path.is_dir() else path.name]
        for path in paths
    }
    length = 1
    while length < max(map(len, parts.values())) and len({tuple(p[-length:]) for p in parts.values()}) < len(parts):
        length += 1
    return {path: "-".join(part[-length:]) for path, part in parts.items()}


def _runs(
    runs: Sequence[Path], names: dict[Path, str], folder: Path, split: str, weights: str, say: Callable[[str], None]
) -> dict[str, Trainings]:
    """The runs' sides: those whose configurations differ in the seed alone are one, called as the first of them."""
    sides: dict[str, dict[int, Measured]] = {}
    same: dict[str, str] = {}
    for run in runs:
        if not (run / CONFIG).is_file():
            raise OneglanceError(
                f"{run}: not a run (no {CONFIG}); give a YAML file, or a folder that `oneglance train` wrote"
            )
        config = read_config(run)
        train = config.train.model_copy(update={"seed": 0, "workers": None})
        key = config.model_copy(update={"train": train}).model_dump_json()
        name = same.setdefault(key, names[run])
        say(f"scoring {run} on {split}")
        measured = measure(run, measured_file(folder, names[run], split), split, weights)
        if measured.seed in sides.get(name, {}):
            raise OneglanceError(f"{run}: a run of this configuration and this seed was given already")
        sides.setdefault(name, {})[measured.seed] = measured
    return dict(sides)
