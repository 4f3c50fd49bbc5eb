"""``compare`` from Python or from the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from oneglance.config import Config
from oneglance.errors import OneglanceError, Problems
from oneglance.evaluation.api import chosen_split, has_labels, read_manifest
from oneglance.evaluation.page import check_free
from oneglance.evidence.comparison import Comparison, Trainings, compare_points, compare_sides
from oneglance.evidence.labels import Curve, labels_of, parse_shares
from oneglance.evidence.measure import Measured, measure
from oneglance.evidence.page import write_page
from oneglance.evidence.plan import (
    SHARED,
    Given,
    curve_variants,
    plain_variant,
    read_given,
    twin_name,
    twin_variants,
)
from oneglance.evidence.results import write_results
from oneglance.evidence.study import (
    Variant,
    check_study,
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
    each of their tasks; ``curves``: scores by the number of labels. ``twins``: whether the question was what sharing
    does. ``level``: of the intervals."""

    folder: Path
    page: Path
    results: Path
    split: str
    twins: bool
    level: float
    comparisons: list[Comparison]
    verdicts: list[dict[str, Verdict]]
    budgets: dict[str, Budget] = field(default_factory=dict)
    curves: list[Curve] = field(default_factory=list)


def compare(
    *configs: str | Path,
    overrides: Sequence[str] = (),
    seeds: int = 3,
    out: str | Path | None = None,
    split: str | None = None,
    weights: str = "last",
    labels: Sequence[str] = (),
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
        labels: ``TASK=0.1,0.25,0.5,1``: shared and alone also with these shares of the task's labels (one YAML file).
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
    if len(paths) == 1 and not yamls:
        raise OneglanceError(
            f"{paths[0]}: one run alone can't be compared; give its YAML file (the shared network against its twins), "
            "or another run beside it"
        )
    if labels and len(paths) > 1:
        raise OneglanceError("--labels is for one YAML file: the shared network and its twins with fewer labels")
    folder = Path(out) if out is not None else Path("runs") / f"compare-{paths[0].stem}"
    check_study(folder)
    check_free(folder / PAGE)
    study = _Study(folder, seeds, split, weights, level, quiet, say)
    if len(paths) == 1:
        evidence = _twins(read_given(paths[0], overrides, SHARED), study, labels)
    else:
        evidence = _several(paths, overrides, study)
    write_results(evidence)
    problems = Problems()
    write_page(evidence, problems)
    for problem in problems:
        say(str(problem))
    return evidence


@dataclass(frozen=True)
class _Study:
    """What was asked for: see :func:`compare`."""

    folder: Path
    count: int
    split: str | None
    weights: str
    level: float
    quiet: bool
    say: Callable[[str], None]

    def seeds(self, config: Config) -> list[int]:
        return [config.train.seed + k for k in range(self.count)]

    def run(self, variants: Sequence[Variant], seeds: Sequence[int], split: str) -> dict[str, Trainings]:
        """What was measured of each variant, by its name and the seed; trained where it is missing."""
        open_study(self.folder)
        train_all(self.folder, variants, seeds, quiet=self.quiet, say=self.say)
        self.say(f"scoring {len(variants) * len(seeds)} trainings on {split}")
        return {
            one.name: {seed: self.measure(run_folder(self.folder, one, seed), f"{one.name}_seed-{seed}", split)
                       for seed in seeds}
            for one in variants
        }  # fmt: skip

    def measure(self, run: Path, name: str, split: str) -> Measured:
        return measure(run, measured_file(self.folder, name, split), split, self.weights)

    def evidence(self, split: str, comparisons: list[Comparison], words: list[dict[str, Verdict]]) -> Evidence:
        folder, twins = self.folder, False
        return Evidence(folder, folder / PAGE, folder / RESULTS, split, twins, self.level, comparisons, words)


def _twins(given: Given, study: _Study, labels: Sequence[str]) -> Evidence:
    config, manifest = given.config, given.data.manifest
    wanted = [parse_shares(one, config) for one in labels]
    variants, budgets = twin_variants(given)
    split = study.split or chosen_split(manifest)
    if not has_labels(manifest, split):
        raise OneglanceError(f"no image of the split {split!r} is labelled: nothing could be measured on it")
    planned = {one.task: [curve_variants(given, one.task, share) for share in one.shares[:-1]] for one in wanted}
    fewer = [variant for of in planned.values() for shared, alone, _ in of for variant in (shared, alone)]
    found = study.run([*variants, *fewer], study.seeds(config), split)
    names = tasks_with_twins(config)
    others = {task: found[twin_name(task)] for task in names}
    comparison = compare_sides("the shared network", "its single-task twins", names, found[SHARED], others)
    words = {
        one.task: verdict(one, "the shared network", "its twin", twins=True, level=study.level)
        for one in comparison.tasks
    }
    for task, word in words.items():
        if said := budgets[twin_name(task)].advantage:
            words[task] = replace(word, details=(*word.details, said))
    curves = []
    for one in wanted:
        sides = [(found[shared.name], found[alone.name]) for shared, alone, _ in planned[one.task]]
        sides.append((found[SHARED], found[twin_name(one.task)]))
        counts = [*(count for _, _, count in planned[one.task]), labels_of(manifest, one.task)]
        curves.append(Curve(one.task, one.shares, tuple(counts), compare_points(one.task, sides)))
    evidence = study.evidence(split, [comparison], [words])
    return replace(evidence, twins=True, budgets=budgets, curves=curves)


def _several(paths: Sequence[Path], overrides: Sequence[str], study: _Study) -> Evidence:
    names = _names(paths)
    for path in paths:
        if path.is_dir() and not (path / CONFIG).is_file():
            raise OneglanceError(
                f"{path}: not a run (no {CONFIG}); give a YAML file, or a folder that `oneglance train` wrote"
            )
    givens = [read_given(path, overrides, name) for path, name in names.items() if not path.is_dir()]
    split = study.split or chosen_split(givens[0].data.manifest if givens else read_manifest(paths[0]))
    sides: dict[str, Trainings] = {}
    for given in givens:
        sides |= study.run([plain_variant(given)], study.seeds(given.config), split)
    open_study(study.folder)
    sides |= _runs([path for path in paths if path.is_dir()], names, study, split)
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
        {task.task: verdict(task, one.ours, one.theirs, twins=False, level=study.level) for task in one.tasks}
        for one in comparisons
    ]
    return study.evidence(split, comparisons, words)


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """A name for each that was given: its last part, or as much of its path as tells it from the others."""
    whole = {path: path.resolve() if path.is_dir() else path.resolve().with_suffix("") for path in paths}
    if len(whole) < len(paths) or len(set(whole.values())) < len(whole):
        raise OneglanceError("the same file or run was given twice")
    parts = {path: one.parts[1:] for path, one in whole.items()}
    length = 1
    while len({one[-length:] for one in parts.values()}) < len(parts):
        length += 1
    return {path: "-".join(one[-length:]) for path, one in parts.items()}


def _runs(runs: Sequence[Path], names: dict[Path, str], study: _Study, split: str) -> dict[str, Trainings]:
    """The runs' sides: those whose configurations differ in the seed alone are one, called as the first of them."""
    sides: dict[str, dict[int, Measured]] = {}
    same: dict[str, str] = {}
    for run in runs:
        config = read_config(run)
        train = config.train.model_copy(update={"seed": 0, "workers": None})
        key = config.model_copy(update={"train": train}).model_dump_json()
        name = same.setdefault(key, names[run])
        study.say(f"scoring {run} on {split}")
        measured = study.measure(run, names[run], split)
        if measured.seed in sides.get(name, {}):
            raise OneglanceError(f"{run}: a run of this configuration and this seed was given already")
        sides.setdefault(name, {})[measured.seed] = measured
    return dict(sides)
