"""Which point of a grid comes next, level by level where it is a pyramid.

Level 0 has all combinations of the values of all keys. With keys in pyramid steps, each further level stands round the
best point of all levels before it: these keys take as many values as before, half as far apart (in the logarithm where
that was asked for), the best one's in their middle; the other keys keep the best one's. Points outside the range, and
those that were tried, are left out.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from oneglance.errors import OneglanceError
from oneglance.tuning.space import Dimension, Value

#: Distances are halved so often at most: by then they are lost in rounding.
MOST_LEVELS = 20
Point = dict[str, Value]


def check_grid(dimensions: Sequence[Dimension]) -> None:
    """Raises OneglanceError where a key has no steps."""
    for one in dimensions:
        if not one.values and not one.pyramid:
            raise OneglanceError(
                f"vary {one.key}: a grid needs steps; say how many, such as {one}:{'' if one.log else 'linear:'}5, or "
                "take another --method"
            )


def next_point(
    dimensions: Sequence[Dimension], tried: Sequence[tuple[Point, float | None]], seed: int
) -> Point | Literal["wait"] | None:
    """The next point to be tried; ``wait``: it depends on points that are still under way; None: there is none.

    ``tried``: points with their values, -inf for those that were given up, None for those under way. ``seed``: of the
    order within a level.
    """
    values = {_name(point): value for point, value in tried}
    before: dict[str, Point] = {}
    for level in range(MOST_LEVELS):
        if level == 0:
            points = _product({one.key: one.values or one.spread(one.pyramid) for one in dimensions})
        else:
            finished = {name: value for name, value in values.items() if name in before and value is not None}
            if len(finished) < len(before):
                return "wait"
            points = _round(dimensions, before[max(finished, key=lambda name: finished[name])], level)
        order = np.random.default_rng([seed, level]).permutation(len(points))
        for k in order:
            if _name(points[k]) not in values:
                return points[k]
        if not any(one.pyramid for one in dimensions):
            return None
        before |= {_name(point): point for point in points}
    return None


def _round(dimensions: Sequence[Dimension], best: Point, level: int) -> list[Point]:
    choices: dict[str, Sequence[Value]] = {}
    for one in dimensions:
        if not one.pyramid:
            choices[one.key] = (best[one.key],)
            continue
        low, high, middle = ((math.log(x) if one.log else x) for x in (one.low, one.high, best[one.key]))
        apart = (high - low) / (one.pyramid - 1) / 2**level
        places = middle + apart * (np.arange(one.pyramid) - (one.pyramid - 1) / 2)
        inside = places[(places > low - 1e-9 * (high - low)) & (places < high + 1e-9 * (high - low))]
        found = [one.rounded(float(math.exp(x) if one.log else x)) for x in inside]
        choices[one.key] = list(dict.fromkeys(found)) or (best[one.key],)
    return _product(choices)


def _product(choices: Mapping[str, Sequence[Value]]) -> list[Point]:
    return [dict(zip(choices, one, strict=True)) for one in itertools.product(*choices.values())]


def _name(point: Point) -> str:
    return json.dumps(point, sort_keys=True)
