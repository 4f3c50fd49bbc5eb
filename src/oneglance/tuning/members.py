"""The trainings of a population's members: a slice of one on a fold, from the state in which its parent left off.

    population/slice-1/members.json          who goes on with whose training, and with which values
    population/slice-1/member-0/fold-1.json  what came of it
    population/slice-1/member-0/fold-1/      the training; of a slice that is over, its last state alone

What a slice ended with is never written to again: who goes on from there, the member itself or another, begins with a
copy of its own. States are kept until everybody has made the next slice.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from oneglance.config import Config
from oneglance.errors import Problems
from oneglance.evaluation.evaluate import Scores
from oneglance.tasks import create_tasks
from oneglance.training import checkpoint
from oneglance.training.finite import NotFinite
from oneglance.training.fit import STATE, Training
from oneglance.tuning.folds import Folds
from oneglance.tuning.population import Member
from oneglance.tuning.trials import FoldResult, broken, write_json

POPULATION, MEMBERS = "population", "members.json"


class _Reached(Exception):
    """The slice is over."""


class Members:
    """The trainings of members, in ``folder``. Slices, members and folds count from 0, in the names of files slices and
    folds from 1."""

    def __init__(self, folder: Path, folds: Folds, *, quiet: bool) -> None:
        self.folder, self.folds, self.quiet = folder / POPULATION, folds, quiet
        self.problems = Problems()

    def planned(self, number: int) -> tuple[Member, ...] | None:
        """The members of a slice as they were written down; None where they were not."""
        path = self._slice(number) / MEMBERS
        if not path.is_file():
            return None
        return tuple(Member(**one) for one in json.loads(path.read_text(encoding="utf-8")))

    def plan(self, number: int, members: tuple[Member, ...]) -> None:
        """Write down the members of a slice."""
        self._slice(number).mkdir(parents=True, exist_ok=True)
        write_json(self._slice(number) / MEMBERS, [asdict(one) for one in members])

    def known(self, number: int, member: int, fold: int) -> FoldResult | None:
        """What a member came to in a slice on a fold; None where it has not been trained."""
        return FoldResult.read(self.training(number, member, fold).with_suffix(".json"))

    def run(self, number: int, member: Member, fold: int, config: Config, end: int) -> FoldResult:
        """Train a member on all folds but one, in slice ``number``, up to before epoch ``end``, and score it there; or
        take what is there already. No two processes may train one member on one fold at a time.

        ``config``: with the values over time that lead here, evaluated where slices end.
        """
        known = self.known(number, member.number, fold)
        if known is not None:
            return known
        folder = self.training(number, member.number, fold)
        begun = self.begin(number, member, fold)
        before: dict[str, Any] = checkpoint.facts_of(begun) if begun is not None else {"seconds": 0.0, "images": 0}

        def tell(made: int, scores: Scores) -> None:
            if made == end:
                raise _Reached

        state = folder / STATE
        broke = ""
        if not self._made(state, config, end):
            training = Training(
                config, self.folds.manifest(fold), folder, self.problems, quiet=self.quiet, on_scores=tell
            )
            try:
                training.run(resume=state.is_file())
                raise AssertionError("the scores of the last epoch of a slice are told")
            except _Reached:
                pass
            except NotFinite as error:
                broke = broken(error)
        # What was scored is read from the state, so that whoever was killed after it was written loses nothing.
        facts = checkpoint.facts_of(state) if state.is_file() else before
        tasks = create_tasks(config.tasks)
        own = {} if broke else {n: facts["history"][-1][n] for n in tasks if n in self.folds.tasks}
        seconds, images = (facts[key] - before[key] for key in ("seconds", "images"))
        result = FoldResult(own, [], seconds, images, broke)
        for one in folder.iterdir():
            if broke or one.name != STATE:
                shutil.rmtree(one) if one.is_dir() else one.unlink()
        result.write(folder.with_suffix(".json"))
        return result

    def begin(self, number: int, member: Member, fold: int) -> Path | None:
        """Give a member a copy of the state that its parent ended the slice before with, whole or not at all, unless it
        has begun already. Returns the parent's; None in the first slice."""
        folder = self.training(number, member.number, fold)
        folder.mkdir(parents=True, exist_ok=True)
        if number == 0:
            return None
        theirs, ours = self.training(number - 1, member.parent, fold) / STATE, folder / STATE
        if not ours.is_file():
            partial = ours.with_name(f"{STATE}.copy")
            shutil.copyfile(theirs, partial)
            partial.replace(ours)
        return theirs

    def forget(self, number: int) -> None:
        """Take away the states in which a slice ended: nobody goes on from there any more."""
        for folder in self._slice(number).glob("member-*/fold-*/"):
            shutil.rmtree(folder, ignore_errors=True)

    def training(self, number: int, member: int, fold: int) -> Path:
        """The folder of a training."""
        return self._slice(number) / f"member-{member}" / f"fold-{fold + 1}"

    def _slice(self, number: int) -> Path:
        return self.folder / f"slice-{number + 1}"

    @staticmethod
    def _made(state: Path, config: Config, end: int) -> bool:
        """Whether a state is that of a training that has made so many epochs and was scored after them."""
        if not state.is_file():
            return False
        facts = checkpoint.facts_of(state)
        return bool(facts["step"] * config.train.epochs == facts["total"] * end)
