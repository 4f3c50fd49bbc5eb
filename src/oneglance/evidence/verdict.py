"""A comparison in words, each statement with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from oneglance.evidence.comparison import TaskComparison

Kind = Literal["helped", "hurt", "better", "worse", "no difference shown", "not measured"]

LEVEL = 0.95


@dataclass(frozen=True)
class Verdict:
    """``kind``: the answer; ``headline``: it in one sentence; ``details``: further sentences: what the interval covers,
    and what would be needed to know more."""

    kind: Kind
    headline: str
    details: tuple[str, ...]


def verdict(one: TaskComparison, ours: str, theirs: str, *, twins: bool, level: float = LEVEL) -> Verdict:
    """What may be said of a task. ``ours``, ``theirs``: the sides in words ("the shared network"); ``twins``: whether
    the question is what sharing does (else: which of the two is better)."""
    alpha = 1 - level
    found = one.difference
    if not math.isfinite(found.mean) or math.isnan(found.p):
        return Verdict("not measured", f"{one.task}: nothing could be measured.", _why_not(one))
    alone = found.seeds < 2
    claimed = math.isfinite(one.adjusted) and one.adjusted <= alpha and not (alone and twins)
    mean_ours, mean_theirs = float(one.ours.mean()), float(one.theirs.mean())
    low, high = found.interval(level)
    span = f"{100 * level:g}% interval {signed(low)} to {signed(high)}"
    scores = f"{one.score} {plain(mean_ours)} with {ours}, {plain(mean_theirs)} with {theirs}"
    better = "" if one.higher else "; lower is better"
    details: list[str] = []
    if claimed:
        good = one.gain > 0
        kind: Kind = ("helped" if good else "hurt") if twins else ("better" if good else "worse")
        what = f"sharing {kind}" if twins else f"{ours} is {kind}"
        headline = f"{one.task}: {what}. {scores}: {signed(found.mean)} ({span}{better})."
    else:
        kind = "no difference shown"
        headline = (
            f"{one.task}: no difference shown. {scores}{better}; the difference is {signed(found.mean)} ({span})."
        )
        details += _what_is_missing(one, alpha, alone=alone, twins=twins, crosses=low <= 0 <= high)
    details += _covers(one, alone=alone)
    return Verdict(kind, headline, tuple(details))


def _why_not(one: TaskComparison) -> tuple[str, ...]:
    if not math.isfinite(one.difference.mean):
        return ("No image of the split is labelled such that this score could be measured.",)
    return (f"One seed, and {one.left_out}: there is no interval, so nothing is claimed. More seeds give one.",)


def _covers(one: TaskComparison, *, alone: bool) -> list[str]:
    if alone:
        return [
            f"With one seed the interval speaks of these two trained networks on other test images ({_images(one)}), "
            "not of other trainings."
        ]
    if one.left_out:
        return [
            f"The interval covers chance in training ({one.difference.seeds} seeds), not which images were tested on: "
            f"{one.left_out}."
        ]
    how = "" if one.paired else " The seeds of the two differ, so they were compared without pairing (Welch)."
    covered = f"other trainings ({one.difference.seeds} seeds) and other test images ({_images(one)})"
    return [f"The interval covers {covered}.{how}"]


def _images(one: TaskComparison) -> str:
    return f"{one.difference.images:,} independent ones"


def _what_is_missing(one: TaskComparison, alpha: float, *, alone: bool, twins: bool, crosses: bool) -> list[str]:
    found = one.difference
    said: list[str] = []
    if found.margin(alpha) == 0:
        return ["All seeds differ by exactly this: the score is too coarse to judge by, or nothing was learnt."]
    if alone and twins:
        said.append("One seed can't tell sharing from luck in training: give more --seeds.")
        return said
    if not crosses:
        said.append(
            f"Its own interval does not reach 0, but {one.family} tasks were looked at, and the more there are, the "
            f"likelier one of them differs by chance (p = {one.adjusted:.3f} after Holm's correction)."
        )
    corrected = alpha / max(one.family, 1)
    said.append(
        f"A study like this one shows differences from about {plain(found.resolution(corrected))} on (four times in "
        "five)."
    )
    ways = []
    if (seeds := found.seeds_needed(corrected)) is not None:
        ways.append(f"about {seeds} seeds")
    if (images := found.images_needed(corrected)) is not None:
        ways.append(f"about {images:,} test images")
    if ways:
        said.append(f"If the difference is as large as it looks, {' or '.join(ways)} would show it.")
    else:
        said.append(
            "If the difference is as large as it looks, neither more seeds nor more test images alone would do."
        )
    return said


def signed(value: float) -> str:
    """A difference, with its sign."""
    return plain(value) if not math.isfinite(value) else f"{'+' if value >= 0 else '−'}{plain(abs(value))}"


def plain(value: float) -> str:
    """A score for people: four decimals below ten, fewer above."""
    if not math.isfinite(value):
        return "–"
    text = f"{abs(value):.4f}" if abs(value) < 10 else f"{abs(value):,.1f}"
    return f"−{text}" if value < 0 else text
