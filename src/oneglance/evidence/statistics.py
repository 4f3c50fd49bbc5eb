"""What may be said of a difference between trainings: intervals, p-values, and how much more would be needed.

The model. Of the score of one configuration less that of another, with seed s and test image i, the difference is
``mean + S_s + I_i + SI_si``: chance in training (S), in which images the test set holds (I), and in both (SI). The mean
over n seeds and m images has the variance

    var(S) / n + var(I) / m + var(SI) / (n m)

- *Over seeds* (these test images, other trainings): the variance of the n differences, over n, is an unbiased estimate
  of the first and the last term; Student's t with n - 1 degrees of freedom.
- *Over images* (these trained networks, other test images): the paired bootstrap of the mean difference gives the last
  two; t with m - 1.
- *Both* (other trainings, other test images): the margins of the two are put together as the root of the sum of their
  squares (Zou & Donner 2008), after the last term, which both hold, was taken out of the bootstrap's. How large it is
  follows from how much less the mean over seeds varies between resamples than single seeds do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Floats = NDArray[np.float64]

#: A study should find a difference that is there with this chance.
POWER = 0.8
#: More seeds or images (times those there are) than this are not asked of anybody.
MOST_SEEDS, MOST_TIMES = 100, 1000
#: Of the resamples, at least this share must have a score (a class may be missing from one).
ENOUGH = 0.9


@dataclass(frozen=True)
class Difference:
    """A mean difference with the errors of both sorts of chance. NaN: that chance could not be measured.

    ``seeds_error``: standard error over seeds, ``freedom`` its degrees of freedom. ``images_error``: of these very
    networks over test images; ``shared_error``: the part of it that all trainings have in common. ``seeds`` and
    ``images``: how many there are (``images``: independent ones, so groups where images are in groups).
    """

    mean: float
    seeds: int
    images: int
    seeds_error: float = math.nan
    freedom: float = math.nan
    images_error: float = math.nan
    shared_error: float = math.nan

    def over_seeds(self, level: float = 0.95) -> tuple[float, float]:
        """Other trainings, the same test images."""
        return self._around(_t(1 - level, self.freedom) * self.seeds_error)

    def over_images(self, level: float = 0.95) -> tuple[float, float]:
        """The same trained networks, other test images."""
        return self._around(_t(1 - level, self.images - 1) * self.images_error)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Over all that could be measured: what a verdict rests on."""
        return self._around(self.margin(1 - level))

    def margin(self, alpha: float) -> float:
        """Half the interval of level 1 - ``alpha`` over all that could be measured; NaN where nothing could."""
        return _margin(
            alpha, self.seeds_error, self.freedom, self.shared_error, self.images_error, self.images
        )  # fmt: skip

    @property
    def p(self) -> float:
        """The level at which the interval would just touch 0: two-sided; NaN where nothing could be measured."""
        if not math.isfinite(self.mean) or math.isnan(self.margin(0.05)):
            return math.nan
        if self.mean == 0 or self.margin(0.05) == 0:
            return 1.0  # no spread at all: the score is too coarse to judge by
        if self.margin(_SMALLEST) < abs(self.mean):
            return _SMALLEST
        found = optimize.brentq(lambda log: self.margin(math.exp(log)) - abs(self.mean), math.log(_SMALLEST), -1e-12)
        return float(math.exp(found))

    def _around(self, margin: float) -> tuple[float, float]:
        return self.mean - margin, self.mean + margin

    def resolution(self, alpha: float) -> float:
        """The smallest difference that a study like this one would show (at ``alpha``) with a chance of 80%."""
        parts = [error for error in self._errors() if math.isfinite(error)]
        return self.margin(alpha) + float(stats.norm.ppf(POWER)) * math.hypot(*parts) if parts else math.nan

    def seeds_needed(self, alpha: float) -> int | None:
        """How many seeds would show this very difference with a chance of 80%, on as many images; None: more than
        a hundred, or no number of them (the test images alone are too few)."""
        if not math.isfinite(self.seeds_error) or self.mean == 0:
            return None
        for seeds in range(max(2, self.seeds), MOST_SEEDS + 1):
            one = self._with(seeds, 1.0)
            if one.resolution(alpha) <= abs(self.mean):
                return seeds
        return None

    def images_needed(self, alpha: float) -> int | None:
        """How many (independent) test images would, with as many seeds; None: more than a thousand times as many, or no
        number of them (the trainings alone vary too much)."""
        if not math.isfinite(self.images_error) or self.mean == 0 or self.images < 2:
            return None
        times = 1.0
        while times <= MOST_TIMES:
            if self._with(self.seeds, times).resolution(alpha) <= abs(self.mean):
                return math.ceil(self.images * times)
            times *= 1.02
        return None

    def _with(self, seeds: int, times: float) -> Difference:
        """As it would be with so many seeds and so many times the images."""
        fewer = math.sqrt(self.seeds / seeds)
        part = 1 / math.sqrt(times)
        freedom = self.freedom + seeds - self.seeds
        return Difference(
            self.mean, seeds, max(2, math.ceil(self.images * times)), self.seeds_error * fewer, freedom,
            self.images_error * part, self.shared_error * part,
        )  # fmt: skip

    def _errors(self) -> tuple[float, float]:
        images = self.shared_error if math.isfinite(self.seeds_error) else self.images_error
        return self.seeds_error, images


_SMALLEST = 1e-9


def _t(alpha: float, freedom: float) -> float:
    return float(stats.t.ppf(1 - alpha / 2, freedom)) if freedom > 0 else math.nan


def _margin(
    alpha: float, seeds_error: float, freedom: float, shared_error: float, images_error: float, images: int
) -> float:
    over_seeds = _t(alpha, freedom) * seeds_error
    if not math.isfinite(over_seeds):
        return _t(alpha, images - 1) * images_error
    over_images = _t(alpha, images - 1) * shared_error
    return math.hypot(over_seeds, over_images) if math.isfinite(over_images) else over_seeds


def difference(
    ours: Floats,
    theirs: Floats,
    resampled: tuple[Floats, Floats] | None = None,
    images: int = 0,
    *,
    paired: bool = True,
) -> Difference:
    """Of ``ours`` less ``theirs``: the scores of trainings with different seeds, float [n] and float [k].

    Args:
        resampled: the scores of the same trainings on resamples of the test images, float [n, B] and [k, B], resample b
            the same for all; None where there are none.
        images: how many independent test images there are.
        paired: seed by seed (n = k); else the two are independent (Welch).

    NaN scores (nothing was labelled) make the difference NaN.
    """
    if paired and len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} and {len(theirs)} scores can't be paired")
    mean = float(np.mean(ours) - np.mean(theirs))
    n = min(len(ours), len(theirs))
    error, freedom = _paired_error(ours - theirs) if paired else _welch(ours, theirs)
    if resampled is None or images < 2 or not math.isfinite(mean):
        return Difference(mean, n, images, error, freedom)
    found = _over_images(*resampled, images, paired=paired)
    return Difference(mean, n, images, error, freedom, *found)


def _paired_error(differences: Floats) -> tuple[float, float]:
    n = len(differences)
    if n < 2:
        return math.nan, math.nan
    return float(np.std(differences, ddof=1) / math.sqrt(n)), n - 1.0


def _welch(ours: Floats, theirs: Floats) -> tuple[float, float]:
    """Standard error of a difference of two means of their own, and its degrees of freedom (Satterthwaite)."""
    if min(len(ours), len(theirs)) < 2:
        return math.nan, math.nan
    parts = [float(np.var(one, ddof=1)) / len(one) for one in (ours, theirs)]
    total = sum(parts)
    if total == 0:
        return 0.0, float(len(ours) + len(theirs) - 2)
    below = sum(part**2 / (len(one) - 1) for part, one in zip(parts, (ours, theirs), strict=True))
    return math.sqrt(total), total**2 / below


def _over_images(ours: Floats, theirs: Floats, images: int, *, paired: bool) -> tuple[float, float]:
    """The standard error of the mean difference over test images, and the part of it that is common to all seeds."""
    means = ours.mean(0) - theirs.mean(0)
    good = np.isfinite(means)
    if good.mean() < ENOUGH:
        return math.nan, math.nan
    # A resample of m things varies by (m - 1) / m of what a new sample would.
    factor = images / (images - 1)
    whole = float(np.var(means[good], ddof=1)) * factor
    # Mean over seeds: var(I) + var(SI) / n; single seeds: var(I) + var(SI). Hence the last term.
    groups = [ours - theirs] if paired else [ours, theirs]
    own = 0.0
    for group in groups:
        n = len(group)
        if n > 1:
            single = float(np.mean(np.var(group[:, good], axis=1, ddof=1))) * factor
            mean = float(np.var(group[:, good].mean(0), ddof=1)) * factor
            own += (single - mean) / (n - 1)
    return math.sqrt(whole), math.sqrt(max(0.0, whole - max(0.0, own)))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979): each is claimed where it is at most the level, and the chance that any of the
    claims is false is at most that. NaN stays NaN and does not count."""
    order = sorted((k for k, p in enumerate(ps) if math.isfinite(p)), key=lambda k: ps[k])
    adjusted = [math.nan] * len(ps)
    largest = 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, ps[k] * (len(order) - rank)))
        adjusted[k] = largest
    return adjusted


#: A score that is better the higher it is, and below this, is of a network that has learnt next to nothing: shares of
#: it are noise, and no mean over tasks is made with them.
NEXT_TO_NOTHING = 0.01


def relative_gain(ours: Floats, theirs: Floats, higher: Sequence[bool]) -> Floats:
    """Delta-m (Maninis et al. 2019) in percent: the mean over tasks of the relative difference, its sign such that more
    is better. ``ours``, ``theirs`` float [T, ...]; ``higher``: whether a higher score is better, by task. NaN where the
    score that is compared with is 0."""
    signs = np.array([1.0 if one else -1.0 for one in higher]).reshape(-1, *[1] * (ours.ndim - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(theirs == 0, np.nan, signs * (ours - theirs) / np.abs(theirs))
    gain: Floats = 100 * each.mean(0)
    return gain
