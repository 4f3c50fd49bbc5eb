"""The best configuration against the given one, on images that no trial saw."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from oneglance.config import Config
from oneglance.evidence.comparison import Comparison, compare_sides
from oneglance.evidence.measure import measure
from oneglance.evidence.study import Data, Variant, measured_file, run_folder, train_all
from oneglance.evidence.twins import shared_budget
from oneglance.evidence.verdict import Verdict, verdict
from oneglance.tuning.folds import UNSEEN, Folds

JUDGED = "judged"
OURS, THEIRS = "the tuned configuration", "the configuration as it was"


@dataclass(frozen=True)
class Judgement:
    """``comparison``: task by task; ``verdicts`` on each; ``better``: whether the tuned one is better over all tasks
    (True), worse (False), or that could not be shown (None); ``headline``: that in one sentence."""

    comparison: Comparison
    verdicts: dict[str, Verdict]
    better: bool | None
    headline: str


def judge(
    folder: Path,
    given: Config,
    best: Config,
    key: str,
    folds: Folds,
    base: Path,
    seeds: int,
    level: float,
    *,
    quiet: bool,
    say: Callable[[str], None],
) -> Judgement:
    """Train both on all folds, each with ``seeds`` seeds, and score them on the part that the search did not see.

    ``key``: names the best one's trainings, so that those of an earlier best stay apart.
    """
    manifest = folds.last()
    data = Data(manifest)
    images = shared_budget(given, manifest).images
    sides = {
        "given": Variant("given", given, lambda _: data, images, base),
        "best": Variant(f"best-{key}", best, lambda _: data, images, base),
    }
    numbers = [given.train.seed + k for k in range(seeds)]
    say(f"the best and the given configuration on all folds, {seeds} times each, for {folds.sizes()[-1]} unseen images")
    place = folder / JUDGED
    train_all(place, list(sides.values()), numbers, quiet=quiet, say=say)
    found = {
        name: {
            seed: measure(run_folder(place, one, seed), measured_file(place, f"{one.name}_seed-{seed}", UNSEEN), UNSEEN)
            for seed in numbers
        }
        for name, one in sides.items()
    }
    comparison = compare_sides(OURS, THEIRS, folds.tasks, found["best"], dict.fromkeys(folds.tasks, found["given"]))
    words = {one.task: verdict(one, OURS, THEIRS, twins=False, level=level) for one in comparison.tasks}
    return Judgement(comparison, words, *_over_all(comparison, level))


def _over_all(comparison: Comparison, level: float) -> tuple[bool | None, str]:
    """Whether the tuned one is better over all tasks, and that in words."""
    gain = comparison.gain
    images = "images that no trial saw"
    if gain is None:
        return None, (
            f"Nothing can be said over all tasks on {images}: a task could not be scored, or the configuration as it "
            "was scores 0 there. The tasks one by one are below."
        )
    low, high = gain.interval(level)
    margin = (high - low) / 2
    many = (
        f"{gain.seeds} trainings of each"
        if gain.seeds > 1
        else "one training of each, so luck in training is not covered"
    )
    span = f"{100 * level:g}% interval {low:+.1f}% to {high:+.1f}%; {many}"
    if math.isnan(margin):
        return (
            None,
            f"The tuned configuration is {gain.mean:+.1f}% on {images}, without an interval: nothing is claimed.",
        )
    if margin and low > 0:
        return True, f"The tuned configuration is better by {gain.mean:.1f}% ± {margin:.1f}% on {images} ({span})."
    if margin and high < 0:
        return False, (
            f"The tuned configuration is worse by {-gain.mean:.1f}% ± {margin:.1f}% on {images} ({span}): what looked "
            "better in the search was chance."
        )
    return None, f"No difference shown on {images}: {gain.mean:+.1f}% over all tasks ({span})."
