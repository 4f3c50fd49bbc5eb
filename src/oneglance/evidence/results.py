"""The results of a study as JSON."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from oneglance.evidence.comparison import Comparison, TaskComparison
from oneglance.evidence.labels import Curve
from oneglance.evidence.measure import plain
from oneglance.evidence.statistics import Difference
from oneglance.evidence.twins import RULE
from oneglance.evidence.verdict import Verdict

if TYPE_CHECKING:
    from oneglance.evidence.api import Evidence


def write_results(evidence: Evidence) -> None:
    """All figures of a study into ``evidence.results``, whole or not at all; null where nothing could be measured."""
    path, level = evidence.results, evidence.level
    data: dict[str, Any] = {
        "made_by": "oneglance compare",
        "split": evidence.split,
        "level": level,
        "comparisons": [
            comparison_json(one, words, level)
            for one, words in zip(evidence.comparisons, evidence.verdicts, strict=True)
        ],
    }
    if evidence.twins:
        data["rule"] = RULE
        data["budgets"] = {
            name: budget.__dict__ | {"images": budget.images} for name, budget in evidence.budgets.items()
        }
    if evidence.curves:
        data["labels"] = {curve.task: _curve(curve, level) for curve in evidence.curves}
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(plain(data), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def comparison_json(one: Comparison, words: dict[str, Verdict], level: float) -> dict[str, Any]:
    """A comparison with its verdicts, as JSON can hold it."""
    return {
        "ours": one.ours,
        "theirs": one.theirs,
        "delta_m_percent": None if one.gain is None else _difference(one.gain, level),
        "tasks": {task.task: _task(task, words[task.task], level) for task in one.tasks},
        "cost": {"ours": one.cost_ours.__dict__, "theirs": one.cost_theirs.__dict__},
    }


def _curve(curve: Curve, level: float) -> dict[str, Any]:
    points = []
    for place, (share, labels, one) in enumerate(zip(curve.shares, curve.labels, curve.points, strict=True)):
        worth, low, high = (_open(value) for value in curve.worth(place, level))
        points.append(
            {
                "share": share, "labelled_images": labels, "shared": one.ours.tolist(), "alone": one.theirs.tolist(),
                "difference": _difference(one.difference, level), "p_holm": one.adjusted,
                "alone_would_need": worth, "alone_would_need_interval": [low, high],
            }
        )  # fmt: skip
    return {"score": curve.points[0].score, "points": points, "in_words": curve.in_words(level)}


def _open(value: float) -> float | str:
    return "more than there are" if value == math.inf else value


def _task(one: TaskComparison, words: Verdict, level: float) -> dict[str, Any]:
    alpha = (1 - level) / max(one.family, 1)
    return {
        "score": one.score,
        "higher_is_better": one.higher,
        "ours": one.ours.tolist(),
        "theirs": one.theirs.tolist(),
        "paired_by_seed": one.paired,
        "difference": _difference(one.difference, level),
        "p_holm": one.adjusted,
        "verdict": words.kind,
        "in_words": [words.headline, *words.details],
        "seeds_needed": one.difference.seeds_needed(alpha),
        "images_needed": one.difference.images_needed(alpha),
        "shows_from": one.difference.resolution(alpha),
        "no_interval_over_images": one.left_out or None,
    }


def _difference(one: Difference, level: float) -> dict[str, Any]:
    return {
        "mean": one.mean,
        "interval": one.interval(level),
        "interval_over_seeds": one.over_seeds(level),
        "interval_over_images": one.over_images(level),
        "p": one.p,
        "seeds": one.seeds,
        "images": one.images,
    }
