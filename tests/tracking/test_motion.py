"""The filters are a textbook's Kalman filter with full matrices."""

from itertools import pairwise

import numpy as np
import pytest

from oneglance.tracking.motion import Motion


def corners(cx, cy, w, h):
    return np.array([[cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]])


class Textbook:
    """x = F x, P = F P F' + Q; K = P H' (H P H' + R)^-1, x += K (z - H x), P -= K H P; noise as shares of the sides."""

    def __init__(self, z):
        w, h = z[2:]
        side = np.array([w, h, w, h])
        self.x = np.r_[z, np.zeros(4)]
        self.P = np.diag(np.r_[2 * side / 20, 10 * side / 80 * 30] ** 2)

    def predict(self, dt):
        side = self.x[[2, 3, 2, 3]]
        F = np.eye(8) + dt * np.eye(8, k=4)
        Q = np.diag(np.r_[side / 20, side / 80 * 30] ** 2) * dt * 30
        self.x, self.P = F @ self.x, F @ self.P @ F.T + Q

    def update(self, z):
        H = np.eye(4, 8)
        R = np.diag((self.x[[2, 3, 2, 3]] / 20) ** 2)
        K = self.P @ H.T @ np.linalg.inv(H @ self.P @ H.T + R)
        self.x = self.x + K @ (z - H @ self.x)
        self.P = self.P - K @ H @ self.P


def test_arrays_do_what_matrices_do():
    rng = np.random.default_rng(0)
    starts = [np.array([50.0, 60, 20, 40]), np.array([300.0, 10, 80, 30])]
    motion, books = Motion(), [Textbook(z) for z in starts]
    for z in starts:
        motion.add(corners(*z))
    for k in range(12):
        dt = float(rng.uniform(0.01, 0.2))
        motion.predict(dt, np.zeros(2, bool))
        for book in books:
            book.predict(dt)
        if k % 3 == 2:  # nobody saw the first
            rows = [1]
        else:
            rows = [1, 0]
        found = [starts[row] + rng.normal(0, 3, 4) + k * np.array([4, -2, 0, 1]) for row in rows]
        motion.update(np.array(rows), np.concatenate([corners(*z) for z in found]))
        for row, z in zip(rows, found, strict=True):
            books[row].update(z)
        for row, book in enumerate(books):
            np.testing.assert_allclose(motion.mean[row].ravel(), book.x, rtol=1e-9)
            P = book.P
            np.testing.assert_allclose(motion.spread[row, 0], np.diag(P)[:4], rtol=1e-8)
            np.testing.assert_allclose(motion.spread[row, 1], np.diag(P, 4), rtol=1e-8, atol=1e-9)
            np.testing.assert_allclose(motion.spread[row, 2], np.diag(P)[4:], rtol=1e-8)


def test_a_steady_box_is_foreseen_whatever_the_times_of_the_frames():
    motion = Motion()
    times = [0, 0.03, 0.1, 0.14, 0.3, 0.31, 0.5, 0.62, 0.7, 0.83, 0.9, 1.0]
    motion.add(corners(100, 50, 30, 60))
    for before, now in pairwise(times):
        motion.predict(now - before, np.zeros(1, bool))
        motion.update(np.array([0]), corners(100 + 200 * now, 50 - 30 * now, 30, 60))
    np.testing.assert_allclose(motion.mean[0, 1], [200, -30, 0, 0], atol=5)
    motion.predict(0.5, np.ones(1, bool))
    np.testing.assert_allclose(motion.boxes(), corners(400, 5, 30, 60), atol=4)


def test_a_lost_box_keeps_its_size_and_no_time_changes_nothing():
    motion = Motion()
    motion.add(corners(100, 50, 30, 60))
    motion.mean[0, 1] = [0, 0, -500, 10]
    before = motion.mean.copy(), motion.spread.copy()
    motion.predict(0.0, np.zeros(1, bool))
    np.testing.assert_array_equal(motion.mean, before[0])
    np.testing.assert_array_equal(motion.spread, before[1])
    motion.predict(1.0, np.ones(1, bool))
    np.testing.assert_array_equal(motion.boxes(), corners(100, 50, 30, 60))


def test_a_box_without_extent_is_followed_all_the_same():
    motion = Motion()
    motion.add(np.array([[5.0, 5, 5, 5]]))
    motion.predict(0.1, np.zeros(1, bool))
    motion.update(np.array([0]), np.array([[6.0, 5, 6, 5]]))
    assert np.isfinite(motion.mean).all()
    assert 5 < motion.boxes()[0, 0] <= 6


def test_filters_are_kept_and_dropped_together():
    motion = Motion()
    motion.add(np.concatenate([corners(k, 0, 10, 10) for k in range(4)]))
    motion.keep(np.array([True, False, False, True]))
    assert len(motion) == 2
    assert motion.mean[:, 0, 0].tolist() == pytest.approx([0, 3])
    assert len(motion.spread) == 2
