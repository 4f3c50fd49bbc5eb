"""Means over looks and how sure they are; what no look saw stays unknown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oneglance.errors import OneglanceError
from oneglance.evidence.affinity.pairs import block_length, mean_of_known, pairs_of, read_looks

HISTORY = """step,epoch,kind,task,name,value
3,0,loss,a,class,0.7
7,0,affinity,a,a,0.5
7,0,affinity,a,b,0.1
7,0,affinity,b,a,-0.2
7,0,affinity,b,b,0.4
7,0,cosine,a,b,0.25
7,0,look,,seconds,0.5
15,0,affinity,a,a,0.3
15,0,look,,seconds,0.25
"""


def test_the_looks_are_read_from_the_history_and_what_is_not_there_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(HISTORY)
    found = read_looks(tmp_path, ["a", "b", "c"])
    assert found.seconds == 0.75
    expected = np.full((2, 3, 3), np.nan)
    expected[0, :2, :2] = [[0.5, 0.1], [-0.2, 0.4]]
    expected[1, 0, 0] = 0.3
    np.testing.assert_array_equal(found.affinity, expected)
    cosine = np.full((2, 3, 3), np.nan)
    cosine[0, :2, :2] = [[1, 0.25], [0.25, 1]]
    cosine[1, 0, 0] = 1
    np.testing.assert_array_equal(found.cosine, cosine)
    pairs = pairs_of([found.affinity])
    assert np.isnan(pairs.mean[2]).all()
    assert np.isnan(pairs.interval()[0][:, 2]).all()
    assert pairs.mean[0, 0] == pytest.approx(0.4)
    assert pairs.seen.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_a_training_that_nobody_looked_at_is_refused(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("step,epoch,kind,task,name,value\n3,0,loss,a,class,0.7\n")
    with pytest.raises(OneglanceError, match=r"nobody looked ahead .* --out"):
        read_looks(tmp_path, ["a", "b"])


def test_of_one_training_the_interval_is_over_its_looks() -> None:
    rng = np.random.default_rng(0)
    covered, errors = 0, []
    for k in range(60):
        looks = rng.normal(0.3, 1.0, (60, 2, 2))
        looks[rng.random(looks.shape) < 0.1] = np.nan
        pairs = pairs_of([looks], seed=k)
        low, high = pairs.interval()
        covered += int(((low < 0.3) & (high > 0.3)).sum())
        errors.append(pairs.error)
    assert np.mean(errors) == pytest.approx(1 / np.sqrt(54), rel=0.1)
    assert 0.88 <= covered / 240 <= 0.99


def test_neighbours_that_are_alike_make_the_interval_wider() -> None:
    rng = np.random.default_rng(1)
    wave = np.cumsum(rng.normal(0, 1, 200))
    looks = np.tile(wave[:, None, None], (1, 2, 2))
    shuffled = rng.permutation(looks)
    assert pairs_of([looks]).error[0, 1] > 1.7 * pairs_of([shuffled]).error[0, 1]


def test_of_several_trainings_the_interval_is_over_them() -> None:
    looks = [np.full((5, 2, 2), mean) for mean in (0.1, 0.2, 0.6)]
    looks[0][:, 0, 1] = np.nan  # a pair that the first did not see
    looks[1][:, 1, 1] = looks[2][:, 1, 1] = np.nan
    pairs = pairs_of(looks)
    assert pairs.mean[0, 0] == pytest.approx(0.3)
    assert pairs.error[0, 0] == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1) / np.sqrt(3))
    assert pairs.mean[0, 1] == pytest.approx(0.4)
    assert np.isfinite(pairs.mean[1, 1])
    assert np.isnan(pairs.error[1, 1])  # one alone says nothing of others
    assert pairs.freedom == 2
    assert pairs.resampled.shape[1:] == (2, 2)


def test_one_look_has_no_interval() -> None:
    pairs = pairs_of([np.ones((1, 2, 2))])
    assert (pairs.mean == 1).all()
    assert np.isnan(pairs.interval()[0]).all()


def test_small_things() -> None:
    assert [block_length(n) for n in (1, 8, 27, 1000)] == [1, 2, 3, 10]
    np.testing.assert_array_equal(mean_of_known(np.array([[1, np.nan], [3, np.nan]])), [2, np.nan])
