"""What the trials came to, as values and as JSON."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from oneglance.config import Config
from oneglance.evidence.measure import plain
from oneglance.evidence.results import comparison_json
from oneglance.tasks import create_tasks
from oneglance.tuning.space import Space, Value
from oneglance.tuning.trials import FoldResult, Trials, key_of

if TYPE_CHECKING:
    from oneglance.tuning.api import Tuning
    from oneglance.tuning.evolution import Population
    from oneglance.tuning.search import Search

State = Literal["complete", "pruned", "failed", "running"]
_STATES: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


@dataclass(frozen=True)
class Point:
    """A trial: its ``values`` by key; ``value``: what is sought, NaN where it did not come to its end; ``scores``: each
    task's own, the mean over the folds that were finished; ``by_fold``: those of each; ``reason``: why nothing came of
    it, else empty; ``seconds`` of training."""

    number: int
    values: dict[str, Value]
    state: State
    value: float
    scores: dict[str, float]
    by_fold: dict[str, list[float]]
    key: str
    reason: str
    seconds: float

    @classmethod
    def of_baseline(cls, space: Space, results: Sequence[FoldResult]) -> Point:
        """The given configuration."""
        by_fold = _by_fold(results)
        seconds = math.fsum(one.seconds for one in results)
        return cls(-1, space.own(), "complete", 1.0, _means(by_fold), by_fold, key_of(space.base), "", seconds)

    @staticmethod
    def tasks_of(config: Config) -> dict[str, tuple[str, bool]]:
        """By task the name of its score, and whether higher is better."""
        tasks = create_tasks(config.tasks)
        return {n: (t.score, t.higher_is_better) for n, t in tasks.items() if not t.settings.freeze}


def points_of(search: Search, trials: Trials, baseline: Sequence[FoldResult]) -> list[Point]:
    """All trials of a search, in the order in which they were begun, without the given configuration."""
    found = []
    for one in search.trials:
        if "baseline" in one.user_attrs:
            continue
        key = one.user_attrs.get("key", "")
        results = [trials.known(key, fold) for fold in range(len(baseline))] if key else []
        known = [result for result in results if result is not None and not result.broke]
        by_fold = _by_fold(known)
        broke = next((result.broke for result in results if result is not None and result.broke), "")
        reason = one.user_attrs.get("reason", broke)
        value = one.value if one.value is not None and one.state.name == "COMPLETE" else math.nan
        seconds = math.fsum(result.seconds for result in results if result is not None)
        values = search.space.values(one.params) if len(one.params) == len(search.space.dimensions) else {}
        state = _STATES.get(one.state.name, "running")
        found.append(Point(one.number, values, state, value, _means(by_fold), by_fold, key, reason, seconds))
    return found


def _by_fold(results: Sequence[FoldResult]) -> dict[str, list[float]]:
    names = list(dict.fromkeys(name for one in results for name in one.scores))
    return {name: [one.scores[name] for one in results] for name in names}


def _means(by_fold: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.fmean(values) for name, values in by_fold.items()}


def _population_json(population: Population) -> dict[str, Any]:
    """``slices`` in their order, and in each the members; ``line``: whose training the best one's was, by slice."""
    slices = []
    for one in population.slices:
        each = zip(one.members, one.reached, one.by_fold, strict=True)
        members = [asdict(member) | {"value": value, "by_fold": by_fold} for member, value, by_fold in each]
        slices.append({"epochs": [one.first, one.end], "members": members})
    return {"slices": slices, "line": [one.number for one in population.line], "given": population.given}


def write_results(tuning: Tuning) -> None:
    """All figures into ``tuning.results``, whole or not at all; null where nothing could be measured."""
    judged = tuning.judgement
    data: dict[str, Any] = {
        "made_by": "oneglance tune",
        "method": tuning.method,
        "vary": {one.key: str(one) for one in tuning.dimensions},
        "folds": tuning.folds,
        "images_by_fold": tuning.sizes[:-1],
        "images_unseen": tuning.sizes[-1],
        "scores": {name: {"score": score, "higher_is_better": up} for name, (score, up) in tuning.tasks.items()},
        "given": asdict(tuning.baseline),
        "trials": [asdict(one) for one in tuning.points],
        "population": None if tuning.population is None else _population_json(tuning.population),
        "best_trial": None if tuning.best is None else tuning.best.number,
        "judgement": None
        if judged is None
        else {"in_words": judged.headline, "better": judged.better, "level": tuning.level}
        | comparison_json(judged.comparison, judged.verdicts, tuning.level),
    }
    path = tuning.results
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(plain(data), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
