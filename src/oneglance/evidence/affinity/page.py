"""The page of an affinity study: first what is proposed, then what it rests on."""

from __future__ import annotations

import math
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from oneglance.errors import Problems
from oneglance.evaluation.album import Album
from oneglance.evaluation.page import Html, details, document, join, section, table, tag, write
from oneglance.evidence.affinity.grouping import Grouping
from oneglance.evidence.affinity.pairs import Pairs
from oneglance.evidence.affinity.results import in_words, percent, took
from oneglance.tasks.charts import Heat
from oneglance.training.machine import machine

if TYPE_CHECKING:
    from oneglance.evidence.affinity.api import Affinity


def write_page(found: Affinity, problems: Problems) -> None:
    """Write ``found.page`` and PNGs of its plots into the folder ``plots`` beside it; plots that can't be written are
    noted in ``problems``. Raises OneglanceError where the page's name is that of somebody else's file."""
    album = Album(found.folder / "plots", problems)
    title = "Which tasks should share a network?"
    header = tag(
        "header",
        tag("p", "oneglance affinity", class_="faint"),
        tag("h1", title),
        tag("p", "While one network learned all tasks, it was seen again and again what a step for one task alone "
            "would do to the others."),
    )  # fmt: skip
    parts = [header, _proposal(found), _affinity(found, album), _cosine(found, album), _groupings(found)]
    write(found.page, document(f"oneglance: {title}", tag("main", *parts, _details(found))))


def _proposal(found: Affinity) -> Html:
    first, *rest = in_words(found)
    parts: list[Html] = [tag("p", tag("strong", first)), *(tag("p", one) for one in rest)]
    rows = [
        (name, _named(found, one), f"{one.cost:.2f}", percent(one.score), found.files[key].name)
        for name, key, one in (
            ("all together", "together", found.together), ("all apart", "apart", found.apart),
            ("proposed", "proposal", found.proposal),
        )
    ]  # fmt: skip
    parts.append(table(("", "groups", "cost", "affinity", "file"), rows, words=(0, 1, 4)))
    parts.append(tag("p", "Test it, with intervals over trainings and test images:"))
    parts.append(tag("pre", found.command))
    return section("The proposal", "proposal", *parts)


def _affinity(found: Affinity, album: Album) -> Html:
    values = 100 * found.affinity.mean
    # What steps for a task do to itself is much larger, and is not what is to be seen.
    others = np.abs(values[~np.eye(len(values), dtype=bool) & np.isfinite(values)])
    most = float(others.max()) if others.size and others.max() > 0 else 1.0
    chart = Heat(
        "affinity", "Affinity",
        "By how many percent the loss of the column's task falls when the shared weights make a step for the row's "
        "task alone. Blue: it falls, the row helps the column. Orange: it rises. Hatched, with a question mark: "
        "unknown, no look had labels of both. The diagonal, what steps for a task do to itself, counts "
        "nowhere and may be off the scale of colours.",
        found.tasks, found.tasks, values, (-most, most), _decimals(most), "what happens to", "a step for",
    )  # fmt: skip
    return section("Who helps whom", "affinity", album.figure(chart, "affinity.png"), _intervals(found, found.affinity))


def _cosine(found: Affinity, album: Album) -> Html:
    chart = Heat(
        "cosine", "Gradients",
        "The cosine between the gradients of two tasks at the shared weights. Above 0 (blue) both want to go the same "
        "way, below 0 (orange) opposite ways. It says nothing of how far. Hatched: unknown.",
        found.tasks, found.tasks, found.cosine.mean, (-1.0, 1.0),
    )  # fmt: skip
    return section("Do their gradients agree?", "cosine", album.figure(chart, "cosine.png"),
                   _intervals(found, found.cosine, share=False))  # fmt: skip


def _intervals(found: Affinity, pairs: Pairs, *, share: bool = True) -> Html:
    low, high = pairs.interval(found.level)
    show = percent if share else (lambda value: f"{value:+.3f}" if math.isfinite(value) else "–")
    rows = [
        (
            found.tasks[i], found.tasks[j], show(float(pairs.mean[i, j])) if pairs.seen[i, j] else "unknown",
            f"{show(float(low[i, j]))} to {show(float(high[i, j]))}" if math.isfinite(low[i, j]) else "–",
            int(pairs.seen[i, j]),
        )
        for i in range(len(found.tasks))
        for j in range(len(found.tasks))
        if (i != j if share else i < j)
    ]  # fmt: skip
    headings = ("a step for", "does to", "mean", f"{100 * found.level:g}% interval", "looks")
    if not share:
        headings = ("task", "and", *headings[2:])
    return details("All figures, with intervals", table(headings, rows, words=(0, 1)))


def _groupings(found: Affinity) -> Html:
    rows = [
        (number, _named(found, one), f"{one.cost:.2f}", percent(one.score))
        for number, one in enumerate(found.by_number, 1)
        if one is not None
    ]
    asked = found.asked
    limits = f"at most {asked.groups} {asked.kind}"
    if asked.budget is not None:
        limits += f" that cost at most {asked.budget:g} times one network for all"
    note = (
        "The best partition of all into each number of groups, whatever it costs; the proposal is the best of "
        f"{limits}. "
        f"Cost: {'operations of an image' if asked.measure == 'flops' else 'parameters'}, one network for all being 1. "
        "Affinity: the mean over tasks of what steps for the others of its group do to it. The same command with "
        "other --groups, --budget or --branches trains nothing anew."
    )
    headings = ("groups", "the best partition", "cost", "affinity")
    return section("All numbers of groups", "groups", table(headings, rows, words=(1,)), tag("p", note, class_="faint"))


def _details(found: Affinity) -> Html:
    parts: list[Html] = [tag("p", _HOW), tag("p", _MEANS), tag("p", took(found))]
    made = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}; oneglance {version('oneglance')}; {machine()}"
    parts.append(tag("p", f"Made {made}. All figures are in {found.results.name}.", class_="faint"))
    return section("Details", "details", join(parts))


_HOW = (
    "A look (Fifty et al. 2021) takes the images of a step before it is made. The gradient of one task's loss at the "
    "shared weights is made into a step as the optimiser would make it (AdamW with its second moments, without "
    "momentum), and all losses are computed again after it, on the same images, in float32. Then the weights are what "
    "they were. The training is bit for bit the one without looks."
)
_MEANS = (
    "What is measured is what single steps do on training images. Networks of fewer tasks learn otherwise than one for "
    "all from the first step on, and single steps don't add up to a training: a high affinity is a good reason to try, "
    "and no proof. The intervals are over looks at one training (a bootstrap of blocks of successive looks), or over "
    "trainings where there are several; one training says nothing of others."
)


def _named(found: Affinity, one: Grouping) -> str:
    return "; ".join(" + ".join(group) for group in found.named(one))


def _decimals(most: float) -> int:
    """So many that the largest figure has two digits that count."""
    return int(min(6, max(0, 1 - math.floor(math.log10(most)))))
