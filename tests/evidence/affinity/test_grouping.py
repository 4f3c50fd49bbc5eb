"""Partitions: all of them, the best of them beside a slow search, budgets, what is unknown."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from oneglance.errors import OneglanceError
from oneglance.evidence.affinity.grouping import Groupings, check_count, partitions, task_scores


def by_labels(count: int, most: int) -> set[frozenset[frozenset[int]]]:
    """All partitions, found by giving each thing a label."""
    found = set()
    for labels in itertools.product(range(most), repeat=count):
        found.add(frozenset(frozenset(k for k in range(count) if labels[k] == one) for one in set(labels)))
    return found


@pytest.mark.parametrize(("count", "most"), [(1, 1), (4, 2), (5, 5), (6, 3)])
def test_every_partition_is_met_once(count: int, most: int) -> None:
    found = [
        frozenset(frozenset(k for k in range(count) if mask >> k & 1) for mask in masks)
        for masks in partitions(count, most)
    ]
    assert len(found) == len(set(found))
    assert set(found) == by_labels(count, most)


def test_ten_things_have_115975_partitions() -> None:
    assert sum(1 for _ in partitions(10, 10)) == 115975


def slow_score(affinity: np.ndarray, groups: frozenset[frozenset[int]]) -> float:
    total = 0.0
    for group in groups:
        for j in group:
            others = [affinity[i, j] for i in group if i != j and not math.isnan(affinity[i, j])]
            total += sum(others) / len(others) if others else 0.0
    return total / len(affinity)


def price(groups: object) -> float:
    """Two networks cost 1.7, three 2.4: a head a network is cheap."""
    return 0.3 + 0.7 * len(groups)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("budget", [None, 1.8])
def test_the_best_is_that_of_a_slow_search(seed: int, budget: float | None) -> None:
    rng = np.random.default_rng(seed)
    affinity = rng.normal(0, 1, (6, 6))
    affinity[rng.random((6, 6)) < 0.2] = np.nan
    found = Groupings(affinity, [[k] for k in range(6)], price).best(4, budget)
    possible = [one for one in by_labels(6, 4) if budget is None or price(one) <= budget]
    best = max(slow_score(affinity, one) for one in possible)
    assert found.score == pytest.approx(best)
    assert slow_score(affinity, frozenset(map(frozenset, found.groups))) == pytest.approx(best)
    assert found.cost == pytest.approx(price(found.groups))
    assert budget is None or len(found.groups) <= 2


def test_friends_go_together_and_the_enemy_alone() -> None:
    affinity = np.array([[0.5, 0.2, -0.3], [0.1, 0.5, -0.3], [-0.2, -0.2, 0.9]])
    ways = Groupings(affinity, [[0], [1], [2]], price)
    found = ways.best(3)
    assert found.groups == ((0, 1), (2,))
    assert found.score == pytest.approx((0.2 + 0.1 + 0) / 3)
    assert ways.grouping([[0, 1, 2]]).score == pytest.approx(((0.1 - 0.2) / 2 + (0.2 - 0.2) / 2 - 0.3) / 3)
    assert ways.grouping([[0], [1], [2]]).score == 0
    assert ways.best(1).groups == ((0, 1, 2),)
    # Of the same worth, the cheapest.
    assert Groupings(np.zeros((3, 3)), [[0], [1], [2]], price).best(3).groups == ((0, 1, 2),)


def test_what_was_never_seen_is_left_out_and_nothing_else() -> None:
    affinity = np.array([[0.0, 0.4, np.nan], [np.nan, 0.0, np.nan], [0.2, -0.2, 0.0]])
    np.testing.assert_allclose(task_scores(affinity, [0, 1, 2]), [0.2, 0.1, 0.0])
    np.testing.assert_allclose(task_scores(affinity, [0, 1]), [0.0, 0.4])
    np.testing.assert_allclose(task_scores(affinity, [2]), [0.0])
    # Of many at once.
    np.testing.assert_allclose(task_scores(np.stack([affinity, affinity]), [0, 1]), [[0.0, 0.4]] * 2)


def test_a_unit_of_several_tasks_stays_together_and_counts_each_of_them() -> None:
    affinity = np.zeros((3, 3))
    affinity[2, 0], affinity[2, 1], affinity[0, 2], affinity[1, 2] = 0.3, -0.1, -0.9, 0.1
    ways = Groupings(affinity, [[0, 1], [2]], price)
    assert ways.tasks == 3
    assert ways.grouping([[0, 1]]).score == pytest.approx((0.15 - 0.05 - 0.4) / 3)
    assert ways.best(2).groups == ((0,), (1,))


def test_how_often_it_stays_the_best() -> None:
    good = np.array([[0, 0.2], [0.2, 0]])
    resampled = np.stack([good, good, good, -good])
    ways = Groupings(good, [[0], [1]], price)
    best = ways.best(2)
    assert best.groups == ((0, 1),)
    assert ways.often_best(best, resampled, 2) == 0.75
    assert ways.often_best(best, resampled, 2, budget=1.0) == 1.0  # there is no other that is cheap enough


def test_more_than_ten_are_refused() -> None:
    check_count(10)
    with pytest.raises(OneglanceError, match=r"11 tasks on images.*up to 10"):
        check_count(11)
