"""The page of an explanation: pictures, what tasks have in common, and whether it is more than the architecture's."""

from __future__ import annotations

import math
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from oneglance.errors import Problems
from oneglance.evaluation.album import Album
from oneglance.evaluation.page import Html, document, section, table, tag, write
from oneglance.evaluation.pictures import data_url
from oneglance.explaining.overlap import CELLS, MOST, Mean
from oneglance.tasks.charts import Heat
from oneglance.training.machine import machine

if TYPE_CHECKING:
    from oneglance.explaining.api import Explanation, Overlap

#: Images that are shown on the page; all are in the folder.
_SHOWN = 24
_METHODS = {
    "gradcam": "Grad-CAM (Selvaraju et al. 2017)",
    "hirescam": "HiResCAM (Draelos & Carin 2020)",
    "integrated": "integrated gradients from a grey image (Sundararajan et al. 2017)",
}


def write_page(made: Explanation, problems: Problems) -> None:
    """Write ``made.page`` and PNGs of its plots; plots that can't be written are noted in ``problems``."""
    album = Album(made.folder / "plots", problems)
    where = "" if made.method == "integrated" else f", at {_AT[made.at]}"
    what = (
        f"What the network of {made.run.name} looked at when it said what it said of {len(made.images)} "
        f"image{'s' if len(made.images) != 1 else ''}, by {_METHODS[made.method]}{where}. Bright: much to do with the "
        "answer; each map is coloured by its own highest heat."
    )
    parts = [
        tag("header", tag("p", "oneglance explain", class_="faint"), tag("h1", "What did it look at?"), tag("p", what))
    ]
    if made.overlaps:
        parts.append(section("What tasks have in common", "overlap", *_overlaps(made, album)))
    if made.checks is not None:
        parts.append(section("With random weights", "check", *_checks(made)))
    parts.append(section("The images", "images", *_images(made)))
    now = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}; oneglance {version('oneglance')}; {machine()}"
    parts.append(tag("p", f"Made {now}. All figures are in {made.results.name}.", class_="faint"))
    write(made.page, document("oneglance: explain", tag("main", *parts)))


_AT = {"deep": "the backbone's last map", "pyramid": "the levels of the pyramid, added"}


def in_words(made: Explanation) -> list[str]:
    """What may be said of the overlaps, a sentence each; the pairs most alike first."""
    said = []
    for one in sorted(made.overlaps, key=lambda one: -_or(one.ranks.value, -2.0)):
        said.append(_pair(one, checked=made.checks is not None))
    return said


def _pair(one: Overlap, *, checked: bool) -> str:
    both = f"{one.one} and {one.other}"
    if not one.ranks.images:
        return f"{both}: no image of which both say something that could be traced."
    start = f"{both}: rank correlation {one.ranks}, common area {one.area} ({one.ranks.images} images)"
    if not checked:
        return f"{start}."
    low, high = one.more.value - one.more.margin, one.more.value + one.more.margin
    if math.isnan(low):
        return f"{start}; with random weights {one.untrained}: too few images for an interval, so nothing is claimed."
    if low > 0:
        return f"{start}: more alike than with random weights ({one.untrained}), by {one.more}."
    if high < 0:
        return f"{start}: less alike than with random weights ({one.untrained}), by {one.more}: training parted them."
    return f"{start}: no difference shown to random weights ({one.untrained}), so this may be the architecture's doing."


def _overlaps(made: Explanation, album: Album) -> list[Html]:
    hottest = f"Intersection over union of the hottest {100 * MOST:.0f}%."
    charts = [
        _heat(made, "ranks", "Rank correlation", "Spearman's over all places of an image."),
        _heat(made, "area", "Common area", hottest),
    ]
    if made.checks is not None:
        charts.append(_heat(made, "untrained", "With random weights", "The ranks' by the architecture alone."))
    note = (
        f"Heat maps were compared on {CELLS} cells along an image's longer side, image by image; after ± half the 95% "
        "interval over images. An answer that says nothing (no object was found) is left out, not taken as no overlap."
    )
    figures = [album.figure(chart, f"overlap_{chart.stem}.png") for chart in charts]
    items = [tag("li", text) for text in in_words(made)]
    return [tag("ul", *items), tag("div", *figures, class_="charts"), tag("p", note, class_="faint")]


def _heat(made: Explanation, key: str, title: str, note: str) -> Heat:
    place = {name: k for k, name in enumerate(made.tasks)}
    values = np.eye(len(place))
    for one in made.overlaps:
        mean: Mean = getattr(one, key)
        values[place[one.one], place[one.other]] = values[place[one.other], place[one.one]] = mean.value
    return Heat(key, title, f"{note} Means over images.", made.tasks, made.tasks, values, (-1.0, 1.0))


def _checks(made: Explanation) -> list[Html]:
    assert made.checks is not None
    what = (
        "The same answers traced in networks whose weights are as before any training: only the heads', these and the "
        "neck's, all (Adebayo et al. 2018). The figure is the rank correlation with the maps above. Where it stays "
        "near 1, a map shows the image and the architecture, not what was learnt; where it falls, training made it."
    )
    rows = [
        (name, *(str(of[name]) if name in of else "–" for of in made.checks.values()))
        for name in made.tasks
    ]  # fmt: skip
    return [tag("p", what), table(("task", *made.checks), rows)]


def _images(made: Explanation) -> list[Html]:
    parts = []
    for one in made.images[:_SHOWN]:
        url = data_url(one.picture.read_bytes())
        said = "; ".join(f"{name}: {text or 'says nothing'}" for name, text in one.said.items())
        missed = {name: share for name, share in one.missed.items() if share > _MUCH}
        if missed:
            said += ". Not all is explained by so few steps: " + ", ".join(f"{n} {s:.0%}" for n, s in missed.items())
        image = tag("img", src=url, alt=said, loading="lazy", style="max-width: 100%; height: auto")
        parts.append(tag("figure", image, tag("figcaption", tag("p", f"{one.path.name}: {said}")), class_="wide"))
    if len(made.images) > _SHOWN:
        parts.append(tag("p", f"The first {_SHOWN} of {len(made.images)}; all are in {made.images[0].picture.parent}."))
    return parts


#: Integrated gradients that miss more than this share of a statement are said to.
_MUCH = 0.1


def _or(value: float, other: float) -> float:
    return value if math.isfinite(value) else other
