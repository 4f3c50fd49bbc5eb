"""What the trials of a search say together: which keys mattered, and which trials no other beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oneglance.tuning.space import Dimension

if TYPE_CHECKING:
    from optuna import Study

#: With fewer trials that came to their end nothing is said of what mattered.
ENOUGH = 4


def front(scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows of float64 [N, T], higher is better, no other row beats: is as good at everything and better at
    something. A row with NaN is on no front and beats nobody."""
    known = np.isfinite(scores).all(1)
    beaten = np.zeros(len(scores), bool)
    for k in np.flatnonzero(known):
        others = scores[known]
        beaten[k] = bool(((others >= scores[k]).all(1) & (others > scores[k]).any(1)).any())
    return known & ~beaten


def importances(study: Study, dimensions: Sequence[Dimension]) -> dict[str, float]:
    """By key, how much it mattered, in shares that sum to 1 (PED-ANOVA, Watanabe et al. 2023: how far the values of the
    better trials are apart from those of all); empty with fewer than :data:`ENOUGH` trials or where nothing differs."""
    import optuna

    ended = [one for one in study.get_trials(deepcopy=False) if one.state.name == "COMPLETE"]
    if len(ended) < ENOUGH or len({one.value for one in ended}) < 2:
        return {}
    found = optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
    shares = {one.key: float(found.get(one.key, 0.0)) for one in dimensions}
    return shares if all(math.isfinite(one) for one in shares.values()) else {}
