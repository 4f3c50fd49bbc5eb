"""One configuration on one fold: trained once, whoever asks and however often it is interrupted."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from oneglance.config import Config
from oneglance.errors import Problems
from oneglance.evaluation.evaluate import Scores, mean_relative_score
from oneglance.evidence.measure import number, plain
from oneglance.tasks import create_tasks
from oneglance.training.finite import NotFinite
from oneglance.training.fit import STATE, Training
from oneglance.tuning.folds import Folds

RUNS = "runs"
#: Each task's own score, by name.
Own = dict[str, float]


@dataclass(frozen=True)
class FoldResult:
    """One training: each task's score on the fold at its end, and after each evaluation with the share of the epochs
    that were made by then. ``broke``: why it did not come to its end; empty where it did."""

    scores: Own
    history: list[tuple[float, Own]] = field(default_factory=list)
    seconds: float = 0.0
    images: int = 0
    broke: str = ""

    @classmethod
    def read(cls, path: Path) -> FoldResult | None:
        """What was written there; None where nothing was."""
        if not path.is_file():
            return None
        data = json.loads(path.read_text(encoding="utf-8"))
        history = [(share, _own(own)) for share, own in data["history"]]
        return cls(_own(data["scores"]), history, data["seconds"], data["images"], data["broke"])

    def write(self, path: Path) -> None:
        """Keep it, whole or not at all."""
        write_json(path, plain(asdict(self)))


def key_of(config: Config) -> str:
    """A short name for a configuration, the same for all that learn the same: where and with how many loading processes
    is no part of it."""
    data = config.model_dump(mode="json")
    for key in ("workers", "device", "cache"):
        data["train"].pop(key)
    if not data["schedule"]:
        data.pop("schedule")  # so that names are those of a time when there was none
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]


def relative(scores: Mapping[str, float], baseline: Mapping[str, float], config: Config) -> float:
    """The mean over tasks of each score as a share of the baseline's (inverted where lower is better): 1 for the
    baseline itself; NaN where nothing was scored."""
    return mean_relative_score(scores, baseline, create_tasks(config.tasks))


class Trials:
    """Trainings on folds, in a folder: ``runs/KEY/fold-K.json``, what came of one; beside it, only while it is under
    way, the training itself, from whose last state it goes on."""

    def __init__(self, folder: Path, folds: Folds, *, quiet: bool) -> None:
        self.folder, self.folds, self.quiet = folder, folds, quiet
        self.problems = Problems()

    def known(self, key: str, fold: int) -> FoldResult | None:
        """What came of a configuration on a fold; None where it has not been trained to the end."""
        return FoldResult.read(self._file(key, fold))

    def run(
        self, config: Config, fold: int, on_scores: Callable[[float, Own], None] = lambda share, own: None
    ) -> FoldResult:
        """Train a configuration on all folds but one and score it there, or take what is there already.

        ``on_scores`` is told the share of the epochs and the scores after each evaluation but the last; what it raises
        stops the training. No two processes may train one configuration on one fold at a time.
        """
        key = key_of(config)
        known = self.known(key, fold)
        if known is not None:
            for share, own in known.history[:-1]:
                on_scores(share, own)
            return known
        folder = self._training(key, fold)
        folder.mkdir(parents=True, exist_ok=True)
        names = [(name, task.score) for name, task in create_tasks(config.tasks).items() if name in self.folds.tasks]
        epochs = config.train.epochs
        history: list[tuple[float, Own]] = []
        # Where it goes on from a state, what was said before is in a file beside it.
        earlier = folder / "history.json"
        if earlier.is_file() and (folder / STATE).is_file():
            history = [(share, _own(own)) for share, own in json.loads(earlier.read_text(encoding="utf-8"))]

        def tell(made: int, scores: Scores) -> None:
            own = {name: scores[name][score] for name, score in names}
            history[:] = [one for one in history if one[0] < made / epochs] + [(made / epochs, own)]
            write_json(earlier, plain(history))
            if made < epochs:
                on_scores(made / epochs, own)

        for share, own in history:
            if share < 1:
                on_scores(share, own)
        training = Training(
            config, self.folds.manifest(fold), folder, self.problems, quiet=self.quiet, on_scores=tell
        )  # fmt: skip
        broke = ""
        scores: Own = {}
        try:
            found = training.run(resume=(folder / STATE).is_file())
            scores = {name: found[name][score] for name, score in names}
        except NotFinite as error:
            broke = broken(error)
        result = FoldResult(scores, history, training.cost["seconds"], training.cost["images"], broke)
        result.write(self._file(key, fold))
        self.forget(key, fold)
        return result

    def forget(self, key: str, fold: int) -> None:
        """Take away the training itself; what came of it stays."""
        shutil.rmtree(self._training(key, fold), ignore_errors=True)

    def _file(self, key: str, fold: int) -> Path:
        return self.folder / RUNS / key / f"fold-{fold + 1}.json"

    def _training(self, key: str, fold: int) -> Path:
        return self.folder / RUNS / key / f"fold-{fold + 1}"


def broken(error: NotFinite) -> str:
    """Why a training broke down, without the place of files that are not kept."""
    return str(error).partition(". The batch")[0]


def _own(data: Mapping[str, Any]) -> Own:
    return {name: number(value) for name, value in data.items()}


def write_json(path: Path, data: Any) -> None:
    """Write a file, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(data), encoding="utf-8")
    partial.replace(path)
