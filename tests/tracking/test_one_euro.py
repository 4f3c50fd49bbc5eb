"""The filter against the paper's formula, worked out by hand."""

import math

import numpy as np
import pytest

from oneglance.tracking import OneEuro


def test_the_papers_formula_by_hand():
    # min_cutoff 1 Hz, beta 0.5, speed's cut-off 1 Hz; values 0, 1, 3 at 0, 0.1, 0.3 s. alpha = 1 / (1 + tau / T),
    # tau = 1 / (2 pi f).
    smooth = OneEuro(1.0, 0.5)
    assert smooth(0.0, np.array([0.0])) == pytest.approx(0.0)
    # T = 0.1: alpha_d = 1 / (1 + 0.159155 / 0.1) = 0.385870; speed = 0.385870 * (1 - 0) / 0.1 = 3.858696;
    # f = 1 + 0.5 * 3.858696 = 2.929348; tau = 0.054331; alpha = 1 / (1 + 0.54331) = 0.647957.
    assert smooth(0.1, np.array([1.0])) == pytest.approx(0.647957, abs=1e-5)
    # T = 0.2: alpha_d = 0.556862; speed = 0.556862 * (3 - 0.647957) / 0.2 + 0.443138 * 3.858696 = 8.258696 (below);
    speed = 0.556862 * (3 - 0.647957) / 0.2 + 0.443138 * 3.858696
    cutoff = 1 + 0.5 * speed
    alpha = 1 / (1 + 1 / (2 * math.pi * cutoff) / 0.2)
    assert smooth(0.3, np.array([3.0])) == pytest.approx(alpha * 3 + (1 - alpha) * 0.647957, abs=1e-5)


def test_the_unit_divides_speeds():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (20, 2)).cumsum(0)
    small, large = OneEuro(1.0, 2.0), OneEuro(1.0, 2.0)
    for k, value in enumerate(values):
        np.testing.assert_allclose(10 * small(k / 30, value), large(k / 30, 10 * value, unit=10.0))


def test_steady_at_rest_and_quick_in_motion():
    rng = np.random.default_rng(0)
    smooth = OneEuro(1.0, 10.0)
    still = [float(smooth(k / 30, np.array([100 + rng.normal()]), 100.0)[0]) for k in range(300)]
    assert np.std(still[30:]) < 0.5
    smooth = OneEuro(1.0, 10.0)
    moving = [100 * k / 30 for k in range(60)]  # one size a second
    lags = [x - float(smooth(k / 30, np.array([x]), 100.0)[0]) for k, x in enumerate(moving)]
    assert 0 < lags[-1] < 2


def test_an_unknown_value_stays_unknown_and_the_next_begins_anew():
    smooth = OneEuro(1.0, 0.0)
    smooth(0.0, np.array([0.0, 0.0]))
    first = smooth(0.1, np.array([np.nan, 1.0]))
    assert np.isnan(first[0])
    assert 0 < first[1] < 1
    second = smooth(0.2, np.array([5.0, 1.0]))
    assert second[0] == 5.0
    assert first[1] < second[1] < 1
    third = smooth(0.3, np.array([6.0, 1.0]))
    assert third[0] == pytest.approx(5 + 1 / (1 + 1 / (2 * math.pi) / 0.1))


def test_a_second_frame_of_the_same_time_changes_nothing():
    smooth = OneEuro(1.0, 1.0)
    smooth(0.0, np.array([0.0]))
    one = smooth(0.1, np.array([1.0]))
    assert smooth(0.1, np.array([50.0])) == one
    again = OneEuro(1.0, 1.0)
    again(0.0, np.array([0.0]))
    again(0.1, np.array([1.0]))
    assert smooth(0.2, np.array([2.0])) == again(0.2, np.array([2.0]))
