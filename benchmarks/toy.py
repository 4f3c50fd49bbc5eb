"""The two-task toy problem of CAGrad, Nash-MTL and FAMO: from which starts does each method reach the Pareto set?

    python benchmarks/toy.py [--methods upgrad famo] [--processes 2]

Two functions of two numbers, with valleys from which the plain sum does not find out (Liu et al. 2021, appendix; Navon
et al. 2022; Liu et al. 2023). A point is moved by Adam along the direction that a method makes of the two gradients, in
float64, in both published settings:

- ``cagrad``: f1 and f2 as they are, three starts, 100,000 steps, c = 0.5;
- ``famo``: f1 times 0.1, five starts, 50,000 steps, c = 0.4.

``cagrad, own length`` is CAGrad's direction as long as the paper has it, where ours is scaled until the magnitudes of
the factors sum to the number of tasks. FAMO's weight decay is 0, as in its authors' own script for this problem (with
0.001 it stays in the valleys).

A run ends early when the point has stayed in the Pareto set for 2000 steps, or has moved by less than 0.001 in 10,000.
Writes results/toy.json (each method as it is done; a method that is there is not run again) and docs/img/toy.png, and
prints the table beside the published one.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common import table
from oneglance.balance import GRADIENT_METHODS, LOSS_METHODS, BalanceSettings
from oneglance.balance.gradients import GradientMethod, drop_signs
from oneglance.balance.losses import METHODS

RESULT = Path(__file__).parent / "results" / "toy.json"
PICTURE = Path(__file__).parent.parent / "docs" / "img" / "toy.png"
SETTINGS: dict[str, dict[str, Any]] = {
    "cagrad": {"scale": 1.0, "steps": 100_000, "c": 0.5, "starts": [(-8.5, 7.5), (-8.5, -5.0), (9.0, 9.0)]},
    "famo": {
        "scale": 0.1, "steps": 50_000, "c": 0.4,
        "starts": [(-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0)],
    },
}  # fmt: skip
#: Starts from which the set was reached, by method: what the papers say or show.
PUBLISHED: dict[str, dict[str, int]] = {
    "cagrad": {
        "sum": 1, "mgda": 3, "pcgrad": 3, "cagrad": 3, "imtl_g": 3, "nash_mtl": 3, "aligned_mtl": 3, "famo": 3,
        "uncertainty": 0,
    },
    "famo": {
        "sum": 4, "mgda": 5, "pcgrad": 4, "cagrad": 4, "imtl_g": 5, "nash_mtl": 5, "aligned_mtl": 5, "famo": 5,
    },
}  # fmt: skip
PUBLISHED["cagrad"]["cagrad, own length"], PUBLISHED["famo"]["cagrad, own length"] = 3, 4
ALL = [name for name in (*LOSS_METHODS, *GRADIENT_METHODS) if name not in ("equal", "coupled")] + ["cagrad, own length"]
PARETO, WIDTH = -8.3552, 7.0  # the set: x2 = PARETO, |x1| <= WIDTH
LR, EVERY, EPOCH, LEAST = 1e-3, 200, 1000, 5e-6


def problem(x1: float, x2: float) -> tuple[float, float, list[list[float]]]:
    """f1, f2 and their gradients [[df1/dx1, df1/dx2], [df2/dx1, df2/dx2]].

    At the edge of a maximum the gradient passes, as it did in the PyTorch of the papers: else (0, 0) would never move.
    """
    t = math.tanh(x2)
    bend = 1 - t * t
    half = math.tanh(x2 / 2)
    up, down = max(half, 0.0), max(-half, 0.0)
    slope = (1 - half * half) / 2
    d_up, d_down = (slope if half >= 0 else 0.0), (-slope if half <= 0 else 0.0)
    low = 0.1 * (x2 + 8) ** 2
    values, gradients = [], []
    for inner, inner_x2, centre in (
        (-0.5 * x1 - 3.5 + t, bend, 7.0),
        (-0.5 * x1 + 3.5 - t, -bend, -7.0),
    ):
        size = abs(inner)
        log = math.log(max(size, LEAST)) + 6
        pull = math.copysign(1 / size, inner) if size >= LEAST else 0.0
        bowl = ((x1 - centre) ** 2 + low) / 10 - 20
        values.append(up * log + down * bowl)
        gradients.append([
            up * pull * -0.5 + down * (x1 - centre) / 5,
            d_up * log + up * pull * inner_x2 + d_down * bowl + down * 0.2 * (x2 + 8) / 10,
        ])  # fmt: skip
    return values[0], values[1], gradients


def reached(x1: float, x2: float) -> bool:
    return bool(abs(x2 - PARETO) < 0.1 and abs(x1) < WIDTH + 0.1)


def director(method: str, setting: dict[str, Any]) -> Callable[[np.ndarray, np.ndarray, int], np.ndarray]:
    """The direction [2] from losses [2], gradients [2, 2] and the step: the package's own methods, and the scale that
    Balance gives them."""
    method, _, own = method.partition(", ")
    settings = BalanceSettings(method=method, c=setting["c"], gamma=0.0)
    if method == "graddrop":

        def drop(losses: np.ndarray, rows: np.ndarray, step: int) -> np.ndarray:
            kept: np.ndarray = drop_signs(list(torch.from_numpy(rows)), torch.Generator().manual_seed(step)).numpy()
            return kept

        return drop
    if method in GRADIENT_METHODS:
        by_gradients = GradientMethod(settings, 2, 0)

        def weigh(losses: np.ndarray, rows: np.ndarray, step: int) -> np.ndarray:
            gramian = rows @ rows.T
            alive = np.flatnonzero(np.diag(gramian) > 0)
            if len(alive) < 2:
                return rows.sum(0)
            weights = by_gradients.weights if own else by_gradients.factors
            direction: np.ndarray = weights(gramian, alive, step) @ rows
            return direction

        return weigh
    by_losses = METHODS[method](settings, 2, torch.device("cpu"), 0)
    by_losses.state = {name: value.double() for name, value in by_losses.state.items()}
    by_losses.lowest = torch.tensor([-21 * setting["scale"], -21], dtype=torch.float64)
    present = torch.ones(2, dtype=torch.bool)

    def mix(losses: np.ndarray, rows: np.ndarray, step: int) -> np.ndarray:
        values = torch.from_numpy(losses)
        factors = by_losses.factors(values, present, step).double()
        by_losses.learn(values, present)
        if (step + 1) % EPOCH == 0:
            by_losses.end_epoch()
        found = factors.numpy()
        direction: np.ndarray = 2 * found / found.sum() @ rows
        return direction

    return mix


def descend(method: str, setting: dict[str, Any], start: tuple[float, float]) -> dict[str, Any]:
    """One run: the way (every 200th point), the last step, whether the set was reached."""
    direct = director(method, setting)
    x, mean, square = np.array(start), np.zeros(2), np.zeros(2)
    way = [list(start)]
    there, last = 0, np.array(start)
    step = 0
    for step in range(setting["steps"]):
        f1, f2, rows = problem(float(x[0]), float(x[1]))
        jacobian = np.array(rows)
        jacobian[0] *= setting["scale"]
        direction = direct(np.array([f1 * setting["scale"], f2]), jacobian, step)
        mean = 0.9 * mean + 0.1 * direction
        square = 0.999 * square + 0.001 * direction * direction
        x = x - LR * mean / (1 - 0.9 ** (step + 1)) / (np.sqrt(square / (1 - 0.999 ** (step + 1))) + 1e-8)
        there = there + 1 if reached(*x) else 0
        if (step + 1) % EVERY == 0:
            way.append([round(float(v), 3) for v in x])
        if there >= 2000:
            break
        if (step + 1) % 10_000 == 0:
            if np.abs(x - last).max() < 0.001:
                break
            last = x
    way.append([round(float(v), 4) for v in x])
    return {"start": list(start), "reached": reached(*x), "end": way[-1], "steps": step + 1, "way": way}


def run(method: str) -> dict[str, list[dict[str, Any]]]:
    torch.set_num_threads(1)
    return {name: [descend(method, one, start) for start in one["starts"]] for name, one in SETTINGS.items()}


def picture(found: dict[str, dict[str, list[dict[str, Any]]]], path: Path) -> None:
    """The ways over the landscape of the mean loss, a panel a method: solid, the first setting; dotted, the second."""
    import matplotlib.pyplot as plt

    grid = np.linspace(-11, 11, 111)
    level = np.array([[sum(problem(a, b)[:2]) / 2 for a in grid] for b in grid])
    columns = 4
    rows = math.ceil(len(found) / columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.6 * columns, 2.5 * rows), sharex=True, sharey=True)
    for one in axes.flat:
        one.axis("off")
    for panel, (method, settings) in zip(axes.flat, found.items(), strict=False):
        panel.axis("on")
        panel.contour(grid, grid, level, levels=14, colors="0.75", linewidths=0.5)
        panel.plot([-WIDTH, WIDTH], [PARETO, PARETO], color="#2f9e44", linewidth=3, alpha=0.6)
        for name, style in (("cagrad", "-"), ("famo", ":")):
            for one in settings[name]:
                way = np.array(one["way"])
                colour = "#1864ab" if one["reached"] else "#c92a2a"
                panel.plot(way[:, 0], way[:, 1], style, color=colour, linewidth=1)
                panel.plot(*way[0], "o", color=colour, markersize=3)
        count = sum(one["reached"] for runs in settings.values() for one in runs)
        panel.set_title(f"{method}: {count} of 8", fontsize=9)
        panel.set(xlim=(-11, 11), ylim=(-11, 11))
        panel.tick_params(labelsize=6)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=ALL, choices=ALL)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    found = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    missing = [method for method in options.methods if method not in found]
    with ProcessPoolExecutor(options.processes) as pool:
        for method, one in zip(missing, pool.map(run, missing), strict=True):
            found[method] = one
            RESULT.write_text(json.dumps({name: found[name] for name in ALL if name in found}))
    found = {name: found[name] for name in ALL if name in found}
    picture(found, PICTURE)
    rows = {}
    for method, settings in found.items():
        row = {}
        for name, runs in settings.items():
            said = PUBLISHED[name].get(method)
            row[f"{name} setting"] = f"{sum(one['reached'] for one in runs)}/{len(runs)}"
            row[f"{name}, published"] = "" if said is None else f"{said}/{len(runs)}"
            left = [one["start"] for one in runs if not one["reached"]]
            row[f"{name}, not from"] = " ".join(f"({a:g}, {b:g})" for a, b in left)
        rows[method] = row
    print(table(rows))


if __name__ == "__main__":
    main()
