"""``tune`` from Python or from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import torch

from oneglance.config import Config, write_yaml
from oneglance.errors import OneglanceError, Problems, nearest
from oneglance.evaluation.page import check_free
from oneglance.evidence.plan import read_given
from oneglance.evidence.twins import tasks_with_twins
from oneglance.evidence.verdict import LEVEL
from oneglance.ingest import write_problems
from oneglance.tuning.baseline import history_of, train_baseline
from oneglance.tuning.evolution import Evolution, Population
from oneglance.tuning.folds import Folds
from oneglance.tuning.grid import check_grid
from oneglance.tuning.judge import Judgement, judge
from oneglance.tuning.page import write_page
from oneglance.tuning.population import check_space, ends_of
from oneglance.tuning.results import Point, points_of, write_results
from oneglance.tuning.search import STEPS, Claim, Method, Pruned, Pruning, Search, lock_of, need_optuna
from oneglance.tuning.settings import Asked, check_folder, open_folder
from oneglance.tuning.space import Dimension, Space, Value, parse_space, text, weight_dimensions
from oneglance.tuning.together import Waiting
from oneglance.tuning.trials import FoldResult, Trials, relative

if TYPE_CHECKING:
    from optuna import Study

PAGE, RESULTS, BEST, PROBLEMS = "tune.html", "results.json", "best.yaml", "problems.csv"
#: Trials where nothing else is said, and a grid does not say it.
TRIALS = 20
#: Members of a population, and slices of their training, where nothing else is said.
MEMBERS, SLICES = 8, 8


@dataclass(frozen=True)
class Tuning:
    """What came of a search: ``folder``, its ``page`` and ``results`` (JSON); ``best_config``: the YAML of the best
    configuration, None where none was better than the one that was given; ``points``: all trials; ``best``: the best of
    them; ``judgement``: the best against the given one on images that no trial saw. ``population``: what came of one;
    its ``points`` are the members at their end."""

    folder: Path
    page: Path
    results: Path
    dimensions: tuple[Dimension, ...]
    method: str
    folds: int
    sizes: list[int]
    tasks: dict[str, tuple[str, bool]]
    baseline: Point
    points: list[Point]
    best: Point | None
    best_config: Path | None
    judgement: Judgement | None
    level: float
    exhausted: bool
    population: Population | None = None


def tune(
    config: str | Path,
    vary: Sequence[str] | Mapping[str, str | Sequence[Value]] = (),
    overrides: Sequence[str] = (),
    *,
    weights: bool = False,
    method: Method = "tpe",
    trials: int | None = None,
    folds: int = 3,
    pruning: Pruning | None = None,
    members: int | None = None,
    every: int | None = None,
    seeds: int = 3,
    out: str | Path | None = None,
    level: float = LEVEL,
    quiet: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Tuning:
    """Search for settings that are better for all tasks together, and say whether they are on images not yet seen.

    The images of `train` and `val` are divided into ``folds`` and one part more; a trial is trained on all folds but
    one and scored on that one, for each of them. What is sought is the mean over tasks and folds of the score as a
    share of the given configuration's. At the end the best and the given one are trained on all folds and scored on
    the part that no trial saw. The split `test` is not touched.

    A population has members in place of trials; they are trained side by side, and what is sought is a schedule: values
    over time, in the configuration's `schedule`.

    The folder may be shared by several processes; each takes the next trial. One that was killed is gone on with.

    Args:
        config: a YAML file.
        vary: ``KEY=VALUES`` each (see :mod:`oneglance.tuning.space`), YAML files with a mapping, or a mapping.
        overrides: dotted keys, such as ``train.epochs=10``.
        weights: vary the weights of all tasks, from a fourth of their own to four times that.
        method: ``tpe``, ``random``, ``grid`` or ``population``.
        trials: in all, beside the given configuration; default: the whole grid, else 20.
        folds: at least 2.
        pruning: ``median`` (the default) stops a trial that is behind half of those that came to their end,
            ``hyperband`` by brackets, ``none`` not at all.
        members: of a population, at least 2; default: 8.
        every: of a population, epochs of a slice; default: an eighth of all.
        seeds: trainings of each side at the end.
        out: the folder, new or to be gone on with; default: ``runs/tune-<name>``.
        level: of the intervals at the end.
        quiet: no progress of single trainings.
        say: told a line for each trial.

    Raises OneglanceError where something is wrong with the input, or the folder holds something else.
    """
    for name, value, known in (("method", method, get_args(Method)), ("pruning", pruning, (*get_args(Pruning), None))):
        if value not in known:
            words = [one for one in known if one is not None]
            raise OneglanceError(f"{name} {value!r}: must be one of {', '.join(words)}{nearest(str(value), words)}")
    _check_options(method, {"trials": trials, "pruning": pruning}, {"members": members, "every": every})
    for name, number, least in (
        ("folds", folds, 2),
        ("seeds", seeds, 1),
        ("trials", trials, 1),
        ("members", members, 2),
    ):
        if number is not None and number < least:
            raise OneglanceError(f"--{name} {number}: must be at least {least}")
    need_optuna()
    path = Path(config)
    folder = Path(out) if out is not None else Path("runs") / f"tune-{path.stem}"
    check_folder(folder)
    check_free(folder / PAGE)
    given = read_given(path, overrides)
    own = parse_space(vary, given.config)
    wanted = [one for one in weight_dimensions(given.config) if weights and one.key not in {d.key for d in own}]
    space = Space(given.config, [*own, *wanted])
    evolves = method == "population"
    if method == "grid":
        check_grid(space.dimensions)
    if evolves:
        check_space(space)
        members = MEMBERS if members is None else members
        every = max(1, round(given.config.train.epochs / SLICES)) if every is None else every
        ends_of(given.config.train.epochs, every)
    parts = Folds(given.data.manifest, tasks_with_twins(given.config), folds, given.config.train.seed)
    stopping: Pruning = pruning or ("none" if evolves else "median")
    open_folder(
        folder, Asked(given.config, given.data.fingerprint, space.dimensions, method, stopping, folds, members, every)
    )
    made = Trials(folder, parts, quiet=quiet)
    baseline = train_baseline(folder, made, space.base, folds, say)
    if members is not None and every is not None:
        evolution = Evolution(folder, space, parts, members, every, quiet=quiet, say=say)
        population = evolution.run(baseline)
        found = Found(population.points, lambda point: population.config, population=population)
        seen = [given.problems, made.problems, evolution.problems]
    else:
        search = Search(folder, space, method, stopping, _count(trials, method, space), STEPS * folds)
        search.add_baseline(history_of(baseline, space.base))
        worker = _Worker(search, made, folds, say)
        try:
            worker.work(baseline)
        finally:
            worker.release()
        points = points_of(search, made, baseline)
        found = Found(points, lambda point: space.config(point.values), search.study, search.exhausted)
        seen = [given.problems, made.problems]
    if any(seen):
        _note(seen, folder / PROBLEMS)
    return _finish(folder, space, method, parts, baseline, found, given.base, seeds, level, quiet, say)


def _check_options(method: str, of_trials: dict[str, Any], of_population: dict[str, Any]) -> None:
    """Raises OneglanceError where an option is given that the method has no use for."""
    evolves = method == "population"
    for name, value in (of_trials if evolves else of_population).items():
        if value is not None:
            other = "--members and --every say its size" if evolves else "it is one of --method population"
            raise OneglanceError(f"--{name}: `--method {method}` has no use for it; {other}")


def _count(trials: int | None, method: str, space: Space) -> int:
    if trials is not None:
        return trials
    pyramid = any(one.pyramid for one in space.dimensions)
    return int(space.size) if method == "grid" and not pyramid else TRIALS


@dataclass(frozen=True)
class Found:
    """What a search came to: all ``points``, the configuration of one that came to its end, Optuna's study where there
    is one, whether nothing new is left, and the population, where there is one."""

    points: list[Point]
    config: Callable[[Point], Config]
    study: Study | None = None
    exhausted: bool = False
    population: Population | None = None


class _Worker:
    """One process at work on a search."""

    def __init__(self, search: Search, trials: Trials, folds: int, say: Callable[[str], None]) -> None:
        self.search, self.trials, self.folds, self.say = search, trials, folds, say
        self._held: list[Any] = []

    def release(self) -> None:
        """Let others have what this process was at."""
        for lock in self._held:
            lock.release()
        self._held = []

    def work(self, baseline: list[FoldResult]) -> None:
        """Make trials until all are made, by this process or by others."""
        wait: Waiting | None = None
        while True:
            claim = self.search.claim()
            if claim is None:
                if not self.search.elsewhere:
                    break
                wait = wait or Waiting(f"others are at {self.search.elsewhere} trials", self.say)
                wait()
                continue
            wait = None
            self._held.append(claim.lock)
            self._one(claim, baseline)
            self.release()
        if self.search.exhausted:
            self.say("every configuration that the keys and values allow was tried")

    def _one(self, claim: Claim, baseline: list[FoldResult]) -> None:
        said = " ".join(f"{key}={text(value)}" for key, value in claim.values.items())
        done = sum("baseline" not in one.user_attrs for one in self.search.trials)
        taken = "gone on with" if claim.again else f"{done} of {self.search.wanted}"
        self.say(f"trial {claim.number} ({taken}): {said}")
        total = 0.0
        try:
            for fold in range(self.folds):
                result = self._fold(claim, fold, baseline[fold], total)
                if result.broke:
                    claim.finish(0.0)
                    self.say(f"trial {claim.number} broke down and counts as 0: {result.broke}")
                    return
                total += relative(result.scores, baseline[fold].scores, claim.config)
                if fold + 1 < self.folds:
                    claim.report(STEPS * (fold + 1), total / self.folds)
        except Pruned:
            self._forget(claim)
            claim.prune()
            self.say(f"trial {claim.number} was stopped: others had come further by then")
            return
        except (OneglanceError, torch.OutOfMemoryError) as error:
            # The given configuration could be trained, so this is about the values: taken up again it would fail again.
            self._forget(claim)
            claim.fail(str(error))
            self.say(f"trial {claim.number} can't be trained: {error}")
            return
        if total != total:
            claim.fail("no task could be scored")
            return
        claim.finish(total / self.folds)
        best = self.search.study.best_trial
        which = "the given one" if "baseline" in best.user_attrs else f"trial {best.number}"
        self.say(
            f"trial {claim.number}: {total / self.folds:.4f} of the given configuration's scores; the best is "
            f"{which} with {best.value:.4f}"
        )

    def _forget(self, claim: Claim) -> None:
        for fold in range(self.folds):
            self.trials.forget(claim.key, fold)

    def _fold(self, claim: Claim, fold: int, base: FoldResult, total: float) -> FoldResult:
        def on_scores(share: float, own: dict[str, float]) -> None:
            now = relative(own, base.scores, claim.config)
            claim.report(STEPS * fold + round(STEPS * share), (total + now) / self.folds)

        return self.trials.run(claim.config, fold, on_scores)


def _note(found: Sequence[Problems], path: Path) -> None:
    whole = Problems()
    for problems in found:
        for one in problems:
            whole.add(one.where, one.what)
    write_problems(whole, path)


def _finish(
    folder: Path,
    space: Space,
    method: str,
    parts: Folds,
    baseline: list[FoldResult],
    found: Found,
    base: Path,
    seeds: int,
    level: float,
    quiet: bool,
    say: Callable[[str], None],
) -> Tuning:
    """Judge the best trial, and write everything down; one process at a time."""
    given = Point.of_baseline(space, baseline)
    ended = [one for one in found.points if one.state == "complete"]
    best = max(ended, key=lambda one: one.value, default=None)
    best = best if best is not None and best.value > given.value and best.key != given.key else None
    with lock_of(folder, "judge"):
        judged = None
        best_config = None
        if best is not None:
            config = found.config(best)
            best_config = _keep_best(folder / BEST, config, best.number, say)
            judged = judge(folder, space.base, config, best.key, parts, base, seeds, level, quiet=quiet, say=say)
        tuning = Tuning(
            folder, folder / PAGE, folder / RESULTS, space.dimensions, method, parts.count, parts.sizes(),
            given.tasks_of(space.base), given, found.points, best, best_config, judged, level, found.exhausted,
            found.population,
        )  # fmt: skip
        write_results(tuning)
        problems = Problems()
        write_page(tuning, found.study, problems)
        for problem in problems:
            say(str(problem))
    return tuning


def _keep_best(path: Path, config: Config, number: int, say: Callable[[str], None]) -> Path:
    """Write the best configuration; one that somebody changed since it was written stays, and the new one goes beside
    it."""
    record = path.with_name(".best.json")
    if path.is_file() and (not record.is_file() or json.loads(record.read_text()) != path.read_text(encoding="utf-8")):
        other = path.with_name(f"best-trial-{number}.yaml")
        say(f"{path} was changed by hand and stays as it is; the best configuration is in {other}")
        path = other
        if path.is_file():
            return path
    write_yaml(path, config)
    if path.name == BEST:
        record.write_text(json.dumps(path.read_text(encoding="utf-8")))
    return path
