from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

from oneglance.data.kept import Kept


def sizes(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def never() -> np.ndarray:
    raise AssertionError("it was kept")


def test_what_was_made_once_is_not_made_again() -> None:
    kept = Kept(sizes(12, 100, 6), 1000)
    first, last = np.arange(12, dtype=np.uint8).reshape(2, 2, 3), np.full((2, 3), 7, np.uint8)
    assert kept.get(0, 1, lambda: first) is first
    assert kept.get(2, 1, lambda: last) is last
    np.testing.assert_array_equal(kept.get(0, 1, never), first)
    np.testing.assert_array_equal(kept.get(2, 1, never), last)
    with pytest.raises(ValueError, match="read-only"):
        kept.get(0, 1, never)[:] = 0


def test_another_kind_is_made_anew_and_does_not_replace_the_first() -> None:
    kept = Kept(sizes(64), 64)
    whole, half = np.full((4, 4, 4), 1, np.uint8), np.full((2, 2, 4), 2, np.uint8)
    kept.get(0, 1, lambda: whole)
    for _ in range(2):
        assert kept.get(0, 2, lambda: half) is half
    np.testing.assert_array_equal(kept.get(0, 1, never), whole)


def test_rows_beyond_the_limit_or_larger_than_said_are_made_anew() -> None:
    kept = Kept(sizes(10, 0, 10, 10), 20)
    for row, size, again in ((0, 10, False), (1, 4, True), (2, 12, True), (3, 10, True)):
        made = np.full((1, size), row, np.uint8)
        kept.get(row, 1, lambda made=made: made)
        assert (kept.get(row, 1, lambda made=made: made) is made) == again
    # A row that turned out larger than it should leaves its room to the same row, if it ever fits.
    fits = np.full((1, 10), 9, np.uint8)
    kept.get(2, 1, lambda: fits)
    np.testing.assert_array_equal(kept.get(2, 1, never), fits)


def test_a_failure_is_passed_on_and_nothing_is_kept() -> None:
    kept = Kept(sizes(10), 10)

    def broken() -> np.ndarray:
        raise ValueError("broken")

    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            kept.get(0, 1, broken)
    good = np.ones((2, 5), np.uint8)
    assert kept.get(0, 1, lambda: good) is good


def test_a_forked_process_sees_what_another_kept() -> None:
    kept = Kept(sizes(*[16] * 8), 1000)
    child = os.fork()
    if not child:
        for row in range(8):
            kept.get(row, 1, lambda row=row: np.full((4, 4), row, np.uint8))
        os._exit(0)
    os.waitpid(child, 0)
    for row in range(8):
        np.testing.assert_array_equal(kept.get(row, 1, never), np.full((4, 4), row))


def test_a_process_killed_while_it_writes_stops_nobody() -> None:
    kept = Kept(sizes(16, 16), 1000)
    with kept._writing:  # as one that was killed would leave it
        made = np.ones((4, 4), np.uint8)
        assert kept.get(0, 1, lambda: made) is made
        assert kept.get(0, 1, lambda: made) is made


def test_it_stays_in_its_process_and_its_children() -> None:
    with pytest.raises(TypeError, match="inherited"):
        pickle.dumps(Kept(sizes(4), 4))


def test_without_memory_nothing_is_kept() -> None:
    assert Kept.shared(sizes(4), 0) is None
