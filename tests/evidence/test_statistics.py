"""Claims of a difference are about as rare as their level says where there is none, and made where there is one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from oneglance.evidence.statistics import Difference, difference, holm, relative_gain

#: Spread over seeds (S), over images (I) and over both (SI), for 3 seeds and 150 images.
SPREADS = {
    "images and seeds each have their own": (0.0, 0.0, 1.0),
    "training varies": (0.1, 0.0, 1.0),
    "images vary": (0.02, 1.0, 0.1),
    "all vary": (0.06, 1.0, 1.0),
}


def study(rng: np.random.Generator, spreads: tuple[float, float, float], mean: float = 0.0) -> Difference:
    """A simulated study: the differences of 3 seeds on 150 images."""
    seeds, images = 3, 150
    s, i, si = spreads
    each = mean + rng.normal(0, s, (seeds, 1)) + rng.normal(0, i, images) + rng.normal(0, si, (seeds, images))
    counts = rng.poisson(1.0, (150, images))
    resampled = each @ counts.T / counts.sum(1)
    return difference(each.mean(1), np.zeros(seeds), (resampled, np.zeros_like(resampled)), images)


def claims(studies: list[Difference], of: str) -> float:
    """The share of studies whose interval does not hold 0."""
    ends = np.array([getattr(one, of)() for one in studies])
    return float(((ends[:, 0] > 0) | (ends[:, 1] < 0)).mean())


@pytest.mark.parametrize("name", SPREADS)
def test_where_there_is_no_difference_one_is_rarely_claimed(name: str) -> None:
    rng = np.random.default_rng(1)
    studies = [study(rng, SPREADS[name]) for _ in range(400)]
    share = claims(studies, "interval")
    assert 0.005 <= share <= 0.08  # of 400 at a level of 5%: 5% +- 2.2%
    assert share == pytest.approx(np.mean([one.p < 0.05 for one in studies]))


def test_either_sort_of_chance_alone_claims_too_much() -> None:
    rng = np.random.default_rng(2)
    assert claims([study(rng, SPREADS["images vary"]) for _ in range(200)], "over_seeds") > 0.3
    assert claims([study(rng, SPREADS["training varies"]) for _ in range(200)], "over_images") > 0.15


def test_a_planted_difference_is_found() -> None:
    rng = np.random.default_rng(3)
    studies = [study(rng, SPREADS["training varies"], mean=1.0) for _ in range(50)]
    assert np.mean([one.p < 0.05 and one.mean > 0 for one in studies]) > 0.9


def test_over_seeds_it_is_the_paired_t_test() -> None:
    ours, theirs = np.array([0.81, 0.84, 0.80, 0.86]), np.array([0.78, 0.80, 0.79, 0.80])
    found = difference(ours, theirs)
    expected = stats.ttest_rel(ours, theirs)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    interval = expected.confidence_interval(0.95)
    assert found.interval() == pytest.approx((interval.low, interval.high))
    unpaired = stats.ttest_ind(ours, theirs[:3], equal_var=False)
    assert difference(ours, theirs[:3], paired=False).p == pytest.approx(unpaired.pvalue, rel=1e-6)


def test_over_images_the_bootstrap_comes_near_the_t_test_of_means() -> None:
    rng = np.random.default_rng(4)
    each = rng.normal(0.1, 1.0, 80)
    counts = rng.poisson(1.0, (4000, 80))
    resampled = (counts @ each / counts.sum(1))[None]
    found = difference(np.array([each.mean()]), np.zeros(1), (resampled, np.zeros_like(resampled)), 80)
    assert np.isnan(found.over_seeds()[0])
    assert found.images_error == pytest.approx(each.std(ddof=1) / 80**0.5, rel=0.05)
    assert found.interval() == found.over_images()


def test_without_any_spread_nothing_is_claimed() -> None:
    assert difference(np.array([0.75, 0.75]), np.array([0.5, 0.5])).p == 1
    assert np.isnan(difference(np.array([0.75]), np.array([0.5])).p)
    assert np.isnan(difference(np.array([np.nan, 1.0]), np.array([0.5, 0.5])).p)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    adjusted = holm([0.02, np.nan, 0.5])
    assert adjusted[0] == pytest.approx(0.04)
    assert np.isnan(adjusted[1])
    assert adjusted[2] == 0.5


def test_as_many_seeds_as_are_said_to_be_needed_find_it() -> None:
    rng = np.random.default_rng(5)
    true = 0.8  # in standard deviations over seeds
    pilot = Difference(true, 4, 1000, seeds_error=1 / 4**0.5, freedom=3, images_error=0.0, shared_error=0.0)
    seeds = pilot.seeds_needed(0.05)
    assert seeds is not None
    found = [difference(rng.normal(true, 1, seeds), np.zeros(seeds)).p < 0.05 for _ in range(300)]
    assert 0.7 < np.mean(found) < 0.9
    # Where the test images alone hide it, no number of seeds will do, but more images will.
    hidden = Difference(0.01, 5, 100, seeds_error=0.0005, freedom=4, images_error=0.01, shared_error=0.01)
    assert hidden.seeds_needed(0.05) is None
    images = hidden.images_needed(0.05)
    assert images is not None
    assert images == pytest.approx(100 * (1.96 + 0.84) ** 2, rel=0.05)


def test_delta_m() -> None:
    ours, theirs = np.array([0.6, 0.09]), np.array([0.5, 0.1])
    assert relative_gain(ours, theirs, [True, False]) == pytest.approx((20 + 10) / 2)
    assert np.isnan(relative_gain(ours, np.array([0.0, 0.1]), [True, False]))
