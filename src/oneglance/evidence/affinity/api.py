"""``affinity`` from Python or from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from oneglance.config import Config
from oneglance.errors import OneglanceError, Problems
from oneglance.evaluation.facts import read_facts
from oneglance.evaluation.page import check_free
from oneglance.evidence.affinity.cost import Measure, Parts, parts_of, units_of
from oneglance.evidence.affinity.grouping import Grouping, Groupings, check_count
from oneglance.evidence.affinity.lookahead import Lookahead
from oneglance.evidence.affinity.page import write_page
from oneglance.evidence.affinity.pairs import Looks, Pairs, pairs_of, read_looks
from oneglance.evidence.affinity.proposal import command, sharing_of, with_sharing, write_once
from oneglance.evidence.affinity.results import write_results
from oneglance.evidence.plan import Given, plain_variant, read_given
from oneglance.evidence.study import check_study, open_study, run_folder, train_all
from oneglance.evidence.twins import shared_budget
from oneglance.evidence.verdict import LEVEL

PAGE, RESULTS, SETTINGS = "affinity.html", "affinity.json", "affinity-settings.json"
TOGETHER, APART = "together", "apart"
#: Steps from look to look, for each task and one more. A look takes as long as one step for each task and half a step
#: more, in small networks up to two, so that looking takes a fifth of the training's time or a little more:
#: benchmarks/affinity.py measures it.
STEPS_A_TASK = 5


@dataclass(frozen=True)
class Affinity:
    """What came of it: ``folder``, its ``page`` and ``results`` (JSON).

    ``tasks``: the K tasks, in the order of the matrices; ``affinity``: by what share of it a step for task i lowers the
    loss of task j; ``cosine``: of the gradients at the shared weights. ``units``: what can be put into groups;
    ``by_number``: the best partition into one group, two, ...; ``proposal``: the best of those that were asked for,
    ``often`` the share of resamples of the looks on which it stays the best. ``files``: the YAML files of all together,
    all apart and the proposal, ``command`` tests them. ``looks``, ``looks_s`` and ``training_s``: how many there were
    in each training, and what these and the trainings without them took; ``level``: of the intervals.
    """

    folder: Path
    page: Path
    results: Path
    tasks: tuple[str, ...]
    affinity: Pairs
    cosine: Pairs
    units: list[tuple[str, ...]]
    by_number: list[Grouping | None]
    apart: Grouping
    together: Grouping
    proposal: Grouping
    often: float
    files: dict[str, Path]
    command: str
    every: int
    looks: list[int]
    looks_s: float
    training_s: float
    asked: Asked
    level: float = LEVEL

    @property
    def overhead(self) -> float:
        """The time of training with the looks, beside training without."""
        return 1 + self.looks_s / self.training_s

    def named(self, one: Grouping) -> list[list[str]]:
        """The tasks of each group by name."""
        return [[name for k in group for name in self.units[k]] for group in one.groups]


@dataclass(frozen=True)
class Asked:
    """What was asked for: at most so many ``groups``, that cost at most ``budget`` times one network for all (None: as
    much as they like) by this ``measure``, as networks, or as branches from the map of stride ``depth`` on."""

    groups: int = 3
    budget: float | None = None
    measure: Measure = "flops"
    depth: int | None = None

    @property
    def kind(self) -> str:
        """What a group is."""
        return "networks" if self.depth is None else "branches"


def affinity(
    config: str | Path,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    every: int | None = None,
    seeds: int = 1,
    groups: int = 3,
    budget: float | None = None,
    cost: Measure = "flops",
    branches: int | None = None,
    quiet: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Affinity:
    """Train one network for all tasks, see meanwhile what steps for each would do to the others, and propose groups.

    The training is the ordinary one, bit for bit; `compare` takes it as it is. Called again with other ``groups``,
    ``budget``, ``cost`` or ``branches``, nothing is trained.

    Args:
        config: a YAML file, with ``sharing.scheme: hard``.
        overrides: dotted keys.
        out: the study's folder, new or to be gone on with; default: ``runs/affinity-<name>``.
        every: steps from look to look; default: 5 for each task and 5 more.
        seeds: trainings, with the seeds ``train.seed``, ``train.seed + 1``, ...
        groups: at most so many are proposed.
        budget: what they may cost, one network for all being 1; None: anything.
        cost: counted in operations of an image (``flops``) or ``parameters``.
        branches: the groups share the layers up to the map of this stride (4, 8, 16 or 32); None: nothing.
        quiet: no progress of single trainings.
        say: told a line for each training.

    Raises OneglanceError where something is wrong with the input, or the folder holds something else.
    """
    asked = Asked(groups, budget, cost, branches)
    _check_asked(asked, every, seeds)
    path = Path(config)
    folder = Path(out) if out is not None else Path("runs") / f"affinity-{path.stem}"
    check_study(folder)
    check_free(folder / PAGE)
    given = read_given(path, overrides, TOGETHER)
    _check_config(given.config)
    units = units_of(given.config)
    check_count(len(units))
    apart = with_sharing(given.config, sharing_of([unit[:1] for unit in units], branches))
    parts = parts_of(given.config, apart.sharing, cost)
    every = _every(folder, every, given)
    open_study(folder)
    (folder / SETTINGS).write_text(json.dumps({"every": every}) + "\n", encoding="utf-8")
    variant = replace(plain_variant(given), observer=Lookahead(every))
    numbers = [given.config.train.seed + k for k in range(seeds)]
    train_all(folder, [variant], numbers, quiet=quiet, say=say)
    runs = [run_folder(folder, variant, seed) for seed in numbers]
    tasks = tuple(name for unit in units for name in unit)
    found = _found(folder, given.config, tasks, units, parts, asked, [read_looks(run, tasks) for run in runs])
    found = replace(found, every=every, training_s=sum(float(read_facts(run)["training"]["seconds"]) for run in runs))
    write_results(found)
    problems = Problems()
    write_page(found, problems)
    for problem in problems:
        say(str(problem))
    return found


def _found(
    folder: Path,
    config: Config,
    tasks: tuple[str, ...],
    units: list[tuple[str, ...]],
    parts: Parts,
    asked: Asked,
    looks: list[Looks],
) -> Affinity:
    between, angles = pairs_of([one.affinity for one in looks]), pairs_of([one.cosine for one in looks])
    place = {name: k for k, name in enumerate(tasks)}
    possible = Groupings(between.mean, [[place[name] for name in unit] for unit in units], parts.relative)
    most = min(asked.groups, len(units))
    best = possible.best(most, asked.budget)
    everything = possible.grouping([range(len(units))])
    alone = possible.grouping([[k] for k in range(len(units))])
    files = _write(folder, config, units, best, asked)
    return Affinity(
        folder, folder / PAGE, folder / RESULTS, tasks, between, angles, units,
        by_number=possible.best_by_number(len(units)), apart=alone, together=everything, proposal=best,
        often=possible.often_best(best, between.resampled, most, asked.budget), files=files,
        command=command(list(dict.fromkeys(files.values())), folder), every=0,
        looks=[len(one.affinity) for one in looks], looks_s=sum(one.seconds for one in looks), training_s=0.0,
        asked=asked,
    )  # fmt: skip


def _write(
    folder: Path, config: Config, units: Sequence[tuple[str, ...]], best: Grouping, asked: Asked
) -> dict[str, Path]:
    def grouped(groups: Sequence[Sequence[int]]) -> Config:
        return with_sharing(config, sharing_of([[units[k][0] for k in group] for group in groups], asked.depth))

    after = "" if asked.depth is None else f"-from-{asked.depth}"
    files = {TOGETHER: write_once(folder, TOGETHER, config, "All tasks in one network.")}
    alone = [[k] for k in range(len(units))]
    files[APART] = write_once(folder, f"{APART}{after}", grouped(alone), f"Every task alone: {asked.kind}.")
    number = len(best.groups)
    if number == 1:
        files["proposal"] = files[TOGETHER]
    elif number == len(units):
        files["proposal"] = files[APART]
    else:
        about = f"Proposed by `oneglance affinity`: {number} {asked.kind}."
        files["proposal"] = write_once(folder, f"{asked.kind}-{number}{after}", grouped(best.groups), about)
    return files


def _check_asked(asked: Asked, every: int | None, seeds: int) -> None:
    for name, value in (("--seeds", seeds), ("--groups", asked.groups), ("--every", every)):
        if value is not None and value < 1:
            raise OneglanceError(f"{name} {value}: must be at least 1")
    if asked.budget is not None and not asked.budget >= 1:
        raise OneglanceError(f"--budget {asked.budget:g}: one network for all tasks costs 1, so it must be at least 1")
    if asked.depth not in (None, 4, 8, 16, 32):
        raise OneglanceError(
            f"--branches {asked.depth}: must be 4, 8, 16 or 32, the stride of the last map to be shared"
        )
    if asked.measure not in ("flops", "parameters"):
        raise OneglanceError(f"cost {asked.measure!r}: must be flops or parameters")


def _check_config(config: Config) -> None:
    if config.sharing.scheme != "hard":
        raise OneglanceError(
            f"sharing.scheme: `{config.sharing.scheme}`; affinity is measured in one network for all tasks: leave "
            "`sharing` out, or say sharing.scheme=hard"
        )
    frozen = [name for name, task in config.tasks.items() if task.freeze or not task.weight]
    if frozen:
        raise OneglanceError(
            f"tasks.{frozen[0]}: is not trained (frozen, or of weight 0), so no step is made for it and nothing can be "
            "said of whom it helps; leave it out"
        )
    units = units_of(config)
    if len(units) < 2:
        raise OneglanceError(
            f"there is nothing to put into groups: {', '.join(units[0])} go one way, since tasks on objects always go "
            "with the task that finds the objects; at least two tasks on images are needed"
        )


def _every(folder: Path, wanted: int | None, given: Given) -> int:
    """Steps from look to look: what the folder's trainings began with, what is wanted, or the default."""
    path = folder / SETTINGS
    if path.is_file():
        try:
            there = int(json.loads(path.read_text(encoding="utf-8"))["every"])
        except (ValueError, KeyError, TypeError) as error:
            raise OneglanceError(f"{path}: not as `oneglance affinity` wrote it; choose another --out") from error
        if wanted not in (None, there):
            raise OneglanceError(
                f"{path}: the training there is looked at every {there} steps, not every {wanted}; choose another --out"
            )
        return there
    every = wanted or STEPS_A_TASK * (len(given.config.tasks) + 1)
    budget = shared_budget(given.config, given.data.manifest)
    steps = budget.epochs * budget.steps
    if steps < max(every, 2):
        raise OneglanceError(
            f"the training has {steps} steps, and every {every} steps there would be a look: none at all. Give more "
            "train.epochs, or a smaller --every"
        )
    return every
