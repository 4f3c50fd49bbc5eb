"""The charts of a page, each drawn once: for the page, and as a file beside it."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from oneglance.errors import OneglanceError, Problems
from oneglance.evaluation.page import Html, tag
from oneglance.evaluation.plots import Drawable, figure_of, svg, write_png
from oneglance.tasks.charts import Matrix


class Album:
    """The plots: each drawn once, for the page and as a file in ``folder``. A file that can't be written is noted in
    ``problems``, and the page is made all the same."""

    def __init__(self, folder: Path, problems: Problems) -> None:
        self.folder, self.problems = folder, problems
        self._number = 0

    def figure(self, chart: Drawable, file: str | None = None) -> Html:
        """A chart with its title and note for the page; ``file``: its name as a file of its own."""
        figure = figure_of(chart)
        if file is not None:
            self.keep(figure, file)
        self._number += 1
        wide = isinstance(chart, Matrix) and max(chart.counts.shape) > 12
        caption = tag("figcaption", tag("h3", chart.title), tag("p", chart.note))
        drawn = Html(svg(figure, f"plot-{self._number}"))
        plot = tag("div", drawn, class_="plot", role="img", aria_label=chart.title, tabindex="0")
        return tag("figure", caption, plot, class_="wide" if wide else "")

    def keep(self, figure: Figure, name: str) -> None:
        """Write a figure as a file."""
        try:
            write_png(figure, self.folder / name)
        except (OneglanceError, OSError) as error:
            self.problems.add(self.folder / name, f"this plot was not written: {error}")
