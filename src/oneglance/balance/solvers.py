"""The small convex problems behind the methods: K tasks, a K x K Gramian, float64 on the CPU.

They are solved exactly, here, rather than by the solvers that TorchJD can be given (quadprog, ECOS, cvxpy, SciPy): with
a dozen unknowns at most, a pivoting rule or Newton's method is done before those are set up, and two of them are under
the GPL.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Each gradient's squared norm is so much larger than it was: opposite gradients make a Gramian singular.
RIDGE = 1e-9


def scaled(gramian: Floats) -> Floats:
    """The Gramian [K, K] divided by its mean diagonal, its diagonal raised by a tiny share."""
    gramian = gramian / np.trace(gramian) * len(gramian)
    return gramian + RIDGE * np.diag(np.diag(gramian))


def complementary(matrix: Floats, offset: Floats) -> Floats:
    """The y >= 0 [K] with z = matrix y + offset >= 0 and y z = 0: what minimises y'My / 2 + offset'y over y >= 0.

    ``matrix`` positive definite [K, K]. Block principal pivoting (Kostreva 1978; Judice and Pires 1994): all that is
    infeasible changes sides at once; where that does not help, the last alone (Murty 1974), which always ends.
    """
    size = len(offset)
    unit = 1 / np.sqrt(np.diag(matrix))  # the unknowns in units that make the diagonal 1
    matrix, offset = matrix * unit[:, None] * unit, offset * unit
    inside = offset < 0
    least, patience = size + 1, 3
    tolerance = 1e-12 * max(1e-300, float(np.abs(offset).max()))
    for _ in range(50 * (size + 1)):
        y = np.zeros(size)
        if inside.any():
            y[inside] = np.linalg.solve(matrix[np.ix_(inside, inside)], -offset[inside])
        z = matrix @ y + offset
        wrong = np.where(inside, y < 0, z < -tolerance)
        count = int(wrong.sum())
        if not count:
            break
        if count < least:
            least, patience = count, 3
        elif patience:
            patience -= 1
        else:
            wrong[: np.flatnonzero(wrong)[-1]] = False
        inside ^= wrong
    return unit * np.maximum(y, 0.0)


def above(lower: Floats, gramian: Floats) -> Floats:
    """The v >= lower [K] that minimises v'Gv: the weights of the projection of sum lower_t g_t onto the dual cone of
    the gradients, the closest direction in which no loss grows (Quinton and Rey 2024)."""
    return lower + complementary(gramian, gramian @ lower)


def nearest_to_origin(gramian: Floats) -> Floats:
    """The w >= 0 [K] of sum 1 that minimises w'Gw: the shortest convex combination of the gradients."""
    y = complementary(gramian, -np.ones(len(gramian)))
    return y / y.sum()


def conflict_averse(gramian: Floats, c: float) -> Floats:
    """CAGrad's weights [K]: 1/K + sqrt(phi) w / |g_w|, with the w >= 0 of sum 1 that minimises g_w'g_0 + sqrt(phi)
    |g_w|, phi = c^2 |g_0|^2, g_0 the mean gradient (Liu et al. 2021, the dual of equation 3).

    The norm is the minimum over s > 0 of (|g_w|^2 / s + s) / 2: for a given s this is :func:`nearest_to_origin` with
    another matrix, and s is where |g_w| = s, which is crossed once, since |g_w| / s falls as s grows.
    """
    size = len(gramian)
    mean = np.full(size, 1 / size)
    slope = gramian @ mean
    length = float(np.sqrt(max(mean @ slope, 0.0)))
    reach = c * length
    if reach <= 1e-12:
        return mean

    def at(s: float) -> Floats:
        curve = reach / s
        constant = 2 * float(mean @ slope) / curve  # the least that keeps the matrix positive definite, twice
        return nearest_to_origin(curve * gramian + slope[:, None] + slope[None] + constant)

    def excess(s: float) -> float:
        w = at(s)
        return 0.5 * float(np.log(max(float(w @ gramian @ w), 1e-300))) - float(np.log(s))

    low, high = float(np.log(1e-8 * length)), 0.5 * float(np.log(np.diag(gramian).max()))
    at_low, at_high = excess(np.exp(low)), excess(np.exp(high))
    side = 0
    for _ in range(50):  # regula falsi, as Illinois corrects it
        if at_low <= 0 or high - low < 1e-9:
            break
        middle = (low * at_high - high * at_low) / (at_high - at_low) if at_high < at_low else (low + high) / 2
        found = excess(np.exp(middle))
        if found > 0:
            low, at_low = middle, found
            at_high, side = (at_high / 2, -1) if side == -1 else (at_high, -1)
        else:
            high, at_high = middle, found
            at_low, side = (at_low / 2, 1) if side == 1 else (at_low, 1)
        if abs(found) < 1e-9:
            low = high = middle
    s = float(np.exp(low if at_low <= 0 else (low + high) / 2))
    return mean + reach / s * at(s)


def fair(gramian: Floats, alpha: float) -> Floats:
    """The x > 0 [K] with G x = x^(-1/alpha): FairGrad's weights (Ban and Ji 2024); alpha = 1: Nash-MTL's bargaining
    solution (Navon et al. 2022).

    x is the minimum of the convex function x'Gx / 2 - sum of the integral of x^(-1/alpha); Newton's method finds it,
    with steps that stay inside and go down.
    """
    power = 1 / alpha
    x = np.diag(gramian) ** (-1 / (1 + power))  # the solution where gradients are orthogonal

    def value(x: Floats) -> float:
        gain = np.log(x).sum() if power == 1 else (x ** (1 - power)).sum() / (1 - power)
        return float(x @ gramian @ x / 2 - gain)

    now = value(x)
    for _ in range(100):
        slope = gramian @ x - x**-power
        step = -np.linalg.solve(gramian + np.diag(power * x ** (-power - 1)), slope)
        descent = float(slope @ step)
        if -descent < 1e-16 * len(x):
            break
        falling = step < 0
        size = min(1.0, 0.95 * float((-x[falling] / step[falling]).min())) if falling.any() else 1.0
        while size > 1e-12:
            after = value(x + size * step)
            if after <= now + 0.1 * size * descent:
                break
            size /= 2
        else:
            break  # rounding is all that is left
        x, now = x + size * step, after
    return x
