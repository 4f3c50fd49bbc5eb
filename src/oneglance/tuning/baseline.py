"""The given configuration on the folds: what everything else is measured by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from oneglance.config import Config
from oneglance.errors import OneglanceError
from oneglance.evidence.statistics import NEXT_TO_NOTHING
from oneglance.tasks import create_tasks
from oneglance.tuning.search import STEPS
from oneglance.tuning.together import Waiting, made_by_all
from oneglance.tuning.trials import FoldResult, Trials, key_of, relative


def train_baseline(
    folder: Path, trials: Trials, base: Config, folds: int, say: Callable[[str], None]
) -> list[FoldResult]:
    """What the given configuration comes to on each fold; each is trained by whoever comes first.

    Raises OneglanceError where it can't be trained.
    """
    key = key_of(base)

    def make(fold: int) -> FoldResult:
        say(f"the configuration as it is, fold {fold + 1} of {folds}")
        return trials.run(base, fold)

    wait = Waiting("others train the configuration as it is", say)
    found = made_by_all(
        folder, range(folds), lambda fold: f"baseline-{fold + 1}", lambda fold: trials.known(key, fold), make, wait
    )
    results = [found[fold] for fold in range(folds)]
    for result in results:
        if result.broke:
            raise OneglanceError(f"the configuration as it is can't be trained: {result.broke}")
    least = {n: NEXT_TO_NOTHING if task.higher_is_better else 0.0 for n, task in create_tasks(base.tasks).items()}
    for name in sorted({n for one in results for n, value in one.scores.items() if not value > least[n]}):
        say(
            f"task {name!r}: the configuration as it is scores next to nothing on a fold, so that what trials score "
            "beside it means nothing; more epochs would help"
        )
    return results


def progress_of(results: Sequence[FoldResult], base: Config) -> list[tuple[float, float]]:
    """By the share of the epochs, the mean over tasks and folds of its scores as shares of those at its end."""
    shares = [share for share, _ in results[0].history if all(share in dict(one.history) for one in results)]
    found = []
    for share in shares:
        values = [relative(dict(one.history)[share], one.scores, base) for one in results]
        found.append((share, sum(values) / len(values)))
    return found


def history_of(results: Sequence[FoldResult], base: Config) -> dict[int, float]:
    """How far the given configuration had come, as trials report it: by step, :data:`STEPS` a fold."""
    history: dict[int, float] = {}
    total = 0.0
    for fold, result in enumerate(results):
        for share, own in result.history:
            value = (total + relative(own, result.scores, base)) / len(results) if share < 1 else None
            if value is not None and value == value:
                history[STEPS * fold + round(STEPS * share)] = value
        total += relative(result.scores, result.scores, base)
        history[STEPS * (fold + 1)] = total / len(results)
    return history
