"""Costs and the assignment, by hand."""

import itertools

import numpy as np
import pytest

from oneglance.tracking.association import assign, iou_matrix, with_looks


def test_iou_by_hand():
    one = np.array([[0, 0, 10, 10], [5, 5, 5, 5]])
    other = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [5, 5, 5, 5], [10, 10, 0, 0]])
    np.testing.assert_allclose(iou_matrix(one, other), [[1, 1 / 3, 0, 0, 0], [0, 0, 0, 0, 0]])
    assert iou_matrix(np.zeros((0, 4)), other).shape == (0, 5)


def test_the_sum_is_least_not_each_pair():
    cost = np.array([[0.1, 0.2], [0.2, 0.7]])
    rows, columns = assign(cost, 0.8)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_what_costs_too_much_is_left_alone_and_pushes_no_other_pair():
    # Without the limit, (0, 1) + (1, 0) = 0.9 would be less than (0, 0) + (1, 1) = 1.1.
    rows, columns = assign(np.array([[0.1, 0.45], [0.45, 1.0]]), 0.5)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0)]
    assert [len(part) for part in assign(np.full((2, 3), 0.5), 0.5)] == [0, 0]
    assert [len(part) for part in assign(np.zeros((0, 3)), 0.5)] == [0, 0]


def test_the_assignment_is_the_best_of_all_partial_ones():
    rng = np.random.default_rng(0)
    for _ in range(50):
        cost = rng.uniform(0, 1, (3, 4))
        rows, columns = assign(cost, 0.4)

        def total(pairs, cost=cost):
            return sum(cost[r, c] for r, c in pairs) + 0.4 * (3 - len(pairs))

        every = [
            list(zip(some, chosen, strict=True))
            for count in range(4)
            for some in itertools.combinations(range(3), count)
            for chosen in itertools.permutations(range(4), count)
        ]
        assert total(list(zip(rows, columns, strict=True))) == pytest.approx(min(map(total, every)))


def test_looks_are_half_of_the_cost_where_they_are_known_and_boxes_overlap():
    east, north, between = np.array([1.0, 0]), np.array([0, 1.0]), np.array([0.8, 0.6])
    tracks, found = np.stack([east, -east, np.full(2, np.nan)]), np.stack([east, north, between])
    cost = np.array([[0.4, 0.4, 0.4], [0.6, 0.6, 1.0], [0.3, 0.3, 0.3]])
    # Cosine distances 0, 1, 0.2; 2, which counts as 1, and 1; unknown.
    expected = [[0.2, 0.7, 0.3], [0.8, 0.8, 1.0], [0.3, 0.3, 0.3]]
    np.testing.assert_allclose(with_looks(cost, tracks, found), expected, atol=1e-12)
