"""The worst and the best, against sorting all of them."""

import numpy as np
import pytest

from oneglance.annotations import Label
from oneglance.evaluation.ranking import Ranking


@pytest.mark.parametrize("count", [0, 1, 3, 7, 200])
def test_it_keeps_what_sorting_everything_would(count):
    rng = np.random.default_rng(count)
    qualities = rng.integers(0, 12, count) / 11  # with ties
    ranking = Ranking(4)
    for row in range(count):
        ranking.add("t", row, float(qualities[row]), Label(str(row)))
    order = sorted(range(count), key=lambda row: (qualities[row], row))
    best = sorted(range(count), key=lambda row: (-qualities[row], row))[:4]
    worst = order[:4][: (len({*best, *order[:4]}) + 1) // 2]
    assert [one.row for one in ranking.worst("t")] == worst
    assert [one.row for one in ranking.best("t")] == [row for row in best if row not in worst]
    assert all(one.predicted == Label(str(one.row)) for one in ranking.best("t") + ranking.worst("t"))


def test_memory_does_not_grow_with_the_data():
    ranking = Ranking(3)
    for row in range(1000):
        ranking.add("t", row, row / 1000, Label("x"))
    assert len(ranking._best["t"]) == len(ranking._worst["t"]) == 3


def test_what_cannot_be_judged_has_no_rank():
    ranking = Ranking(3)
    ranking.add("t", 0, float("nan"), Label("x"))
    assert ranking.worst("t") == ranking.best("t") == ranking.best("never seen") == []


def test_answers_can_be_revised_once_more_is_known():
    ranking = Ranking(2)
    for row in range(6):
        for task in ("t", "other"):
            ranking.add(task, row, row / 10, Label(str(row)))
    ranking.revise("t", lambda answer: Label(f"{answer.name}!"))
    ranking.revise("never seen", lambda answer: Label("x"))
    assert [one.predicted.name for one in ranking.worst("t") + ranking.best("t")] == ["0!", "1!", "5!", "4!"]
    assert [one.predicted.name for one in ranking.best("other")] == ["5", "4"]
