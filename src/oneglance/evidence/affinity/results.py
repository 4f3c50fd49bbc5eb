"""The results as JSON, and in words."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from oneglance.evidence.affinity.grouping import Grouping
from oneglance.evidence.affinity.pairs import Pairs
from oneglance.evidence.measure import plain

if TYPE_CHECKING:
    from oneglance.evidence.affinity.api import Affinity

#: With fewer looks than this, little can be said.
FEW = 20
FORMULA = (
    "affinity[i][j] = (loss of j before - loss of j after a step for i alone at the shared weights) / |loss of j "
    "before|, on the images of the step, the mean over looks; null: never seen together. A grouping's score is the "
    "mean over all tasks j of the mean affinity[i][j] over the others i of its group; a task alone scores 0."
)


def in_words(found: Affinity) -> list[str]:
    """The proposal, what it is beside all together and all apart, and how sure it is; a sentence or two each."""
    best, asked = found.proposal, found.asked
    kind = asked.kind
    named = "; ".join(" + ".join(group) for group in found.named(best))
    if len(best.groups) == 1:
        said = [f"Proposed: one network for all tasks, as it is: none of the partitions into at most {asked.groups} "
                f"{kind} promises more."]  # fmt: skip
    else:
        measure = "operations" if asked.measure == "flops" else "parameters"
        said = [f"Proposed: {len(best.groups)} {kind}: {named}. They cost {best.cost:.2f} times the {measure} of one "
                "network for all."]  # fmt: skip
    said.append(
        f"In its groups, a step for another task lowers a task's loss by {percent(best.score)} on average; with all "
        f"together by {percent(found.together.score)}; alone, nobody's steps do anything (0)."
    )
    said.append(
        f"On {100 * found.often:.0f}% of resamples of the looks no other partition was better. {_rests_on(found)} It "
        "is a forecast, and the command below tests it."
    )
    missing = unknown_pairs(found)
    if missing:
        pairs = ", ".join(f"{i} → {j}" for i, j in missing[:6]) + (" and others" if len(missing) > 6 else "")
        said.append(
            f"Unknown, since no look had labels of both: {pairs}. They are left out of the means; a task of whose "
            "companions nothing is known counts as alone."
        )
    return said


def _rests_on(found: Affinity) -> str:
    looks = ", ".join(map(str, found.looks))
    some = (
        f"{len(found.looks)} trainings with {looks} looks" if len(found.looks) > 1 else f"{looks} looks at one training"
    )
    few = ", which is few: --seeds adds trainings" if sum(found.looks) < FEW else ""
    return f"It rests on {some}{few}."


def took(found: Affinity) -> str:
    """What looking cost."""
    return (
        f"A look every {found.every} steps made training take {found.overhead:.2f} times as long (looks "
        f"{found.looks_s:.1f} s, the training itself {found.training_s:.1f} s)."
    )


def unknown_pairs(found: Affinity) -> list[tuple[str, str]]:
    """Pairs (a step for the one, the loss of the other) that no look could see."""
    names = found.tasks
    return [
        (names[i], names[j])
        for i in range(len(names))
        for j in range(len(names))
        if not math.isfinite(found.affinity.mean[i, j])
    ]


def percent(share: float) -> str:
    """A share with its sign, for people."""
    return f"{'+' if share >= 0 else '−'}{abs(100 * share):.2g}%" if math.isfinite(share) else "–"


def write_results(found: Affinity) -> None:
    """All figures into ``found.results``, whole or not at all; null where nothing is known."""
    path = found.results
    data: dict[str, Any] = {
        "made_by": "oneglance affinity",
        "means": FORMULA,
        "level": found.level,
        "tasks": found.tasks,
        "affinity": _pairs(found, found.affinity),
        "cosine": _pairs(found, found.cosine),
        "in_words": in_words(found),
        "proposal": _grouping(found, found.proposal) | {"best_on_resamples": found.often},
        "together": _grouping(found, found.together),
        "apart": _grouping(found, found.apart),
        "by_number_of_groups": [None if one is None else _grouping(found, one) for one in found.by_number],
        "asked": {
            "groups": found.asked.groups, "budget": found.asked.budget, "cost": found.asked.measure,
            "kind": found.asked.kind, "depth": found.asked.depth,
        },
        "every": found.every,
        "looks": found.looks,
        "seconds": {"looks": found.looks_s, "training": found.training_s},
        "times_plain_training": found.overhead,
        "files": {name: str(file) for name, file in found.files.items()},
        "command": found.command,
    }  # fmt: skip
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(plain(data), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def _pairs(found: Affinity, pairs: Pairs) -> dict[str, Any]:
    low, high = pairs.interval(found.level)
    return {
        one: {
            other: {
                "mean": float(pairs.mean[i, j]), "interval": [float(low[i, j]), float(high[i, j])],
                "looks": int(pairs.seen[i, j]),
            }
            for j, other in enumerate(found.tasks)
        }
        for i, one in enumerate(found.tasks)
    }  # fmt: skip


def _grouping(found: Affinity, one: Grouping) -> dict[str, Any]:
    return {"groups": found.named(one), "score": one.score, "cost": one.cost}
