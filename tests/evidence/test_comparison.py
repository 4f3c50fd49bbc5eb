"""Two sides of trainings, from what was measured of them."""

from __future__ import annotations

import numpy as np

from oneglance.evidence.comparison import compare_sides
from oneglance.evidence.measure import Measured, TaskScore
from oneglance.evidence.page import summary
from oneglance.evidence.verdict import verdict


def measured(seed: int, **scores: float) -> Measured:
    rng = np.random.default_rng(seed)
    tasks = {
        name: TaskScore("accuracy", True, value, 50, "test", (value + rng.normal(0, 0.01, 100)).tolist(), {})
        for name, value in scores.items()
    }
    return Measured(seed, "test", "last.safetensors", "cpu", tasks, 1e6, 1e6, 0.01, 1.0, 10.0)


def said(alone: float) -> tuple[bool, str]:
    ours = {k: measured(k, kind=0.8, rare=0.4 + 0.01 * k) for k in range(3)}
    others = {
        name: {k: measured(k, **{name: value}) for k in range(3)} for name, value in (("kind", 0.8), ("rare", alone))
    }
    found = compare_sides("the shared network", "its single-task twins", ["kind", "rare"], ours, others)
    words = {one.task: verdict(one, "the shared network", "its twin", twins=True) for one in found.tasks}
    return found.gain is not None, summary(found, words, twins=True, level=0.95)


def test_shares_of_next_to_nothing_are_not_averaged() -> None:
    given, text = said(0.2)
    assert given
    assert "% better on average (delta-m +" in text
    given, text = said(0.005)
    assert not given
    assert "of rare, next to nothing was learnt by its single-task twins" in text
