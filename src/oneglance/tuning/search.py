"""Which trial comes next, and who makes it: a study of Optuna's, on disk, shared by all processes that work on it.

The study is Optuna's journal: a file to which every change is appended, so that a process that is killed takes nothing
with it, and whose locks work on shared disks where SQLite's may not. Whoever makes a trial holds the lock of a file,
which the operating system takes away when the process ends in whatever way. So a trial that is said to be running and
whose lock is free was abandoned: it is taken up by the next who looks, with the values that it had.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from oneglance.config import Config
from oneglance.errors import OneglanceError
from oneglance.tuning.grid import next_point
from oneglance.tuning.space import Space, Value
from oneglance.tuning.trials import key_of

if TYPE_CHECKING:
    from filelock import FileLock
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.trial import FrozenTrial, Trial

Method = Literal["tpe", "random", "grid", "population"]
Pruning = Literal["median", "hyperband", "none"]
JOURNAL, LOCKS = "journal.log", "locks"
#: Trials that are drawn at random before TPE models what came of them, and before the median rule stops any.
STARTUP = 8
UNPRUNED = 4
#: Steps of a fold, as far as pruning knows: what was reached is said by the share of the epochs.
STEPS = 100
#: So many draws may all have been tried already before it is said that nothing new is left.
_DRAWS = 200


def need_optuna() -> None:
    """Raises OneglanceError, with the way to get it, where Optuna is not installed."""
    try:
        import filelock  # noqa: F401
        import optuna
    except ImportError as error:
        raise OneglanceError(
            f"`oneglance tune` needs {error.name}, which is not installed: pip install 'oneglance[tune]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def lock_of(folder: Path, name: str) -> FileLock:
    """A lock of a study that this process and all others may ask for."""
    from filelock import FileLock

    (folder / LOCKS).mkdir(parents=True, exist_ok=True)
    return FileLock(folder / LOCKS / f"{name}.lock")


class Pruned(Exception):
    """This trial is not worth going on with."""


@dataclass
class Claim:
    """A trial that this process makes, and nobody else: its ``number``, ``values`` and ``config``. It is given back by
    ``release``, whatever came of it."""

    number: int
    values: dict[str, Value]
    config: Config
    key: str
    study: Study
    trial: Trial
    lock: FileLock
    again: bool = False

    def report(self, step: int, value: float) -> None:
        """How far it has come at a step; raises :class:`Pruned` where others were better by then."""
        if not math.isfinite(value):
            return
        if step not in self._frozen.intermediate_values:
            self.trial.report(value, step)
        if self.trial.should_prune():
            raise Pruned

    def finish(self, value: float) -> None:
        """The trial came to its end."""
        self.study.tell(self.number, value)

    def prune(self) -> None:
        """The trial was stopped before its end."""
        from optuna.trial import TrialState

        self.study.tell(self.number, state=TrialState.PRUNED)

    def fail(self, reason: str) -> None:
        """Nothing can come of the trial."""
        _give_up(self.study, self.trial, reason=reason)

    def release(self) -> None:
        """Somebody else may have it."""
        self.lock.release()

    @property
    def _frozen(self) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[self.number]


class Search:
    """A search in a folder. ``wanted``: trials in all, beside the baseline; ``steps``: of a whole trial."""

    def __init__(self, folder: Path, space: Space, method: Method, pruning: Pruning, wanted: int, steps: int) -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        self.folder, self.space, self.method, self.wanted = folder, space, method, wanted
        self.seed = space.base.train.seed
        self.elsewhere = 0
        self.exhausted = False
        with lock_of(folder, "ask"):
            _mend(folder / JOURNAL)
            storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
            self.study = optuna.create_study(
                storage=storage, study_name="tune", direction="maximize", load_if_exists=True,
                pruner=_pruner(pruning, steps), sampler=optuna.samplers.RandomSampler(seed=self.seed),
            )  # fmt: skip

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials that count, the baseline's first where its values are in the space."""
        found = self.study.get_trials(deepcopy=False)
        return [one for one in found if "same_as" not in one.user_attrs and one.state.name != "WAITING"]

    def add_baseline(self, history: Mapping[int, float]) -> None:
        """Let the baseline be known as a trial of value 1, where its values are in the space; ``history``: its values
        by step."""
        import optuna

        values = self.space.own()
        drawn = self.space.drawn(values)
        with lock_of(self.folder, "ask"):
            if drawn is None or any("baseline" in one.user_attrs for one in self.trials):
                return
            self.study.add_trial(
                optuna.trial.create_trial(
                    value=1.0, params=drawn, distributions={d.key: d.distribution for d in self.space.dimensions},
                    intermediate_values=dict(history), user_attrs={"baseline": True, "key": key_of(self.space.base)},
                )
            )  # fmt: skip

    def claim(self) -> Claim | None:
        """A trial to be made: one that was abandoned, or a new one. None: there is none for this process now;
        ``elsewhere`` says how many others are making, and where that is 0 all is done."""
        from optuna.trial import Trial, TrialState

        with lock_of(self.folder, "ask"):
            self.elsewhere = 0
            for one in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                lock = self._lock(one.number)
                if lock is None:
                    self.elsewhere += 1
                    continue
                trial = Trial(self.study, one._trial_id)
                if "key" in one.user_attrs:
                    values = self.space.values(one.params)
                    config = self.space.config(values)
                    return Claim(one.number, values, config, key_of(config), self.study, trial, lock, again=True)
                _give_up(self.study, trial, same_as="nothing: its process ended before it began")
                lock.release()
            self.exhausted = False
            for draw in range(_DRAWS):
                if len([one for one in self.trials if "baseline" not in one.user_attrs]) >= self.wanted:
                    return None
                found = self._ask(draw)
                if isinstance(found, Claim):
                    return found
                if found == "wait":
                    return None
                if found == "nothing":
                    break
            self.exhausted = True
            return None

    def _lock(self, number: int) -> FileLock | None:
        from filelock import Timeout

        lock = lock_of(self.folder, f"trial-{number}")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    def _ask(self, draw: int) -> Claim | Literal["again", "wait", "nothing"]:
        """A new trial; ``again``: what was drawn was tried already, or can't be."""
        from optuna.trial import TrialState

        everyone = self.study.get_trials(deepcopy=False)
        known = {one.user_attrs["key"]: one.number for one in self.trials if "key" in one.user_attrs}
        if len(known) >= self.space.size:
            return "nothing"
        if not any(one.state == TrialState.WAITING for one in everyone) and self.method == "grid":
            point = self._next_of_grid()
            if point == "wait" or point is None:
                return "wait" if point == "wait" else "nothing"
            drawn = self.space.drawn(point)
            assert drawn is not None
            self.study.enqueue_trial(drawn)
        # The draw depends on the number alone, and on what came of the others: a search that was interrupted goes on
        # as it would have.
        self.study.sampler = self._sampler(len(everyone), at_random=draw > _DRAWS // 10)
        trial = self.study.ask({one.key: one.distribution for one in self.space.dimensions})
        values = self.space.values(trial.params)
        try:
            config = self.space.config(values)
        except OneglanceError as error:
            _give_up(self.study, trial, reason=str(error))
            return "again"
        key = key_of(config)
        if key in known:
            _give_up(self.study, trial, same_as=known[key])
            return "again"
        lock = self._lock(trial.number)
        assert lock is not None, "nobody else asks while this process does"
        trial.set_user_attr("key", key)
        return Claim(trial.number, values, config, key, self.study, trial, lock)

    def _next_of_grid(self) -> dict[str, Value] | Literal["wait"] | None:
        from optuna.trial import TrialState

        tried: list[tuple[dict[str, Value], float | None]] = []
        for one in self.study.get_trials(deepcopy=False):
            if len(one.params) == len(self.space.dimensions):
                value = one.value if one.state == TrialState.COMPLETE else -math.inf
                same = one.user_attrs.get("same_as")
                if isinstance(same, int):
                    value = self.study.get_trials(deepcopy=False)[same].value
                tried.append((self.space.values(one.params), None if one.state == TrialState.RUNNING else value))
        return next_point(self.space.dimensions, tried, self.seed)

    def _sampler(self, number: int, *, at_random: bool) -> Any:
        import optuna

        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        if self.method == "tpe" and not at_random:
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
        return optuna.samplers.RandomSampler(seed=seed)


def _give_up(study: Study, trial: Trial, **why: Any) -> None:
    from optuna.trial import TrialState

    for name, value in why.items():
        trial.set_user_attr(name, value)
    study.tell(trial.number, state=TrialState.FAIL)


def _pruner(pruning: Pruning, steps: int) -> BasePruner:
    import optuna

    if pruning == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED)
    if pruning == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=max(1, steps // 9), max_resource=steps)
    return optuna.pruners.NopPruner()


def _mend(journal: Path) -> None:
    """Take away the beginning of a line that a machine which went down left at the end: nothing may follow it."""
    from optuna.storages.journal import JournalFileSymlinkLock

    if not journal.is_file():
        return
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()
    try:
        with journal.open("rb+") as file:
            data = file.read()
            if data and not data.endswith(b"\n"):
                file.truncate(data.rfind(b"\n") + 1)
                os.fsync(file.fileno())
    finally:
        lock.release()
