"""The report on a run of all kinds: whole, self-contained, escaped, and never in anybody's way."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_toy import EVIL, TASKS, make_run

import oneglance as og
from oneglance.errors import OneglanceError, Problems
from oneglance.evaluation import api, page, plots
from oneglance.evaluation.facts import cost_of, read_history
from oneglance.evaluation.pictures import jpeg
from oneglance.tasks.charts import Bars, Curves, Histogram, Matrix, Scatter, Series

VOID = {"img", "meta"}


class Parsed(HTMLParser):
    """Elements and text of a page; raises where an element is not closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self) -> str:
        return " ".join(" ".join(text for tag, text in self.texts if tag != "style").split())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("report") / "a <run>")


@pytest.fixture(scope="module")
def made(run: Path) -> str:
    problems = Problems()
    path = og.report(run, problems=problems)
    assert path == run / "report.html"
    assert not problems.kept
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parsed(made: str) -> Parsed:
    return Parsed(made)


def test_every_task_has_its_score_its_charts_and_its_worst_and_best_images(parsed: Parsed, run: Path) -> None:
    anchors = {attributes["id"] for attributes in parsed.all("section")}
    assert {f"task-{name}" for name in TASKS} <= anchors
    links = {str(attributes["href"]).removeprefix("#") for attributes in parsed.all("a")}
    assert links == anchors
    titles = {attributes["aria-label"] for attributes in parsed.all("div") if "aria-label" in attributes}
    assert {"Confusion matrix", "Precision and recall", "width in px: errors", "Cumulative error"} <= titles
    assert {"Confusion matrix of pixels", "F1 by score", "kind: loss", "squares: scores"} <= titles
    text = parsed.text()
    assert text.count("Worst images") == len(TASKS)
    assert text.count("best image") == len(TASKS)
    assert "accuracy, ↑ higher is better" in text
    assert "nme, ↓ lower is better" in text
    figures = {path.name for path in (run / "plots").iterdir()}
    assert {"results.png", "confusion_matrix_kind.png", "PR_curve_tags.png", "PR_curve_squares.png"} <= figures


def test_nothing_is_loaded_from_anywhere(made: str, parsed: Parsed) -> None:
    assert "http" not in made
    for _, attributes in parsed.elements:
        for key in ("src", "href", "xlink:href", "srcset", "data"):
            value = attributes.get(key)
            assert value is None or value.startswith(("data:image/", "#")), value
    assert not re.search(r"@import|url\((?!#)", made)
    assert not parsed.all("script")
    assert not parsed.all("link")
    assert len(made) < 5e6


def test_names_of_users_are_text_and_nothing_else(made: str, parsed: Parsed) -> None:
    assert EVIL not in made
    assert EVIL in parsed.text()
    assert "<b>x</b>" in parsed.text()
    assert "<i>&'.png" in parsed.text()
    assert "west <u>" in parsed.text()
    assert not parsed.all("i")
    assert not parsed.all("u")
    assert "a <run>" in parsed.text()
    assert not any(key.startswith("on") for _, attributes in parsed.elements for key in attributes)


def test_pictures_say_what_they_are_and_are_decoded_late(parsed: Parsed) -> None:
    images = [one for one in parsed.all("img") if str(one.get("src")).startswith("data:image/jpeg")]
    assert len(images) >= 2 * 2 * len(TASKS)
    for one in images:
        assert one["loading"] == "lazy"
        assert str(one["alt"]).startswith(("truth of", "prediction of"))
        assert int(str(one["width"])) > 0


def test_ids_are_unique_and_every_reference_has_its_target(made: str, parsed: Parsed) -> None:
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", made)) <= set(ids)


def test_unknown_is_shown_as_unknown(parsed: Parsed, run: Path) -> None:
    manifest = og.Manifest.read(run / "manifest.arrow")
    unknown = {name: int((~manifest.labelled(name)).sum()) for name in TASKS}
    cells = [text for tag, text in parsed.texts if tag in ("td", "th")]
    start = cells.index("unknown") + 1
    rows = [cells[k : k + 7] for k in range(start, start + 7 * 4 * len(TASKS), 7)]
    for name in TASKS:
        mine = [row for row in rows if row[0] == name]
        assert sum(int(row[6]) for row in mine) == unknown[name] > 0
        assert all(int(row[3]) == int(row[4]) + int(row[6]) for row in mine)
    assert sum(int(row[5]) for row in rows if row[0] == "squares") > 0  # empty is something else


def test_scores_of_the_report_are_those_of_evaluate(parsed: Parsed, run: Path) -> None:
    scores = og.evaluate(run, "val")
    text = parsed.text()
    for name, figures in scores.items():
        score = {"kind": "accuracy", "size": "relative_mae", "corners": "nme", "ground": "miou"}.get(name, "map")
        assert f"{name} {page.shown(figures[score])} {score}" in text


def test_a_report_replaces_reports_and_nothing_else(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("<p>mine")
    with pytest.raises(OneglanceError, match="is no report that oneglance made"):
        og.report(run, "val", out=mine)
    assert mine.read_text() == "<p>mine"
    with pytest.raises(OneglanceError, match="is a folder"):
        og.report(run, "val", out=tmp_path)
    theirs = tmp_path / "new-plots"
    theirs.mkdir()
    Image.new("RGB", (2, 2)).save(theirs / "results.png")
    before = (theirs / "results.png").read_bytes()
    problems = Problems()
    path = og.report(run, "val", out=tmp_path / "new.html", problems=problems)
    assert (theirs / "results.png").read_bytes() == before
    assert [one.where for one in problems] == [str(theirs / "results.png")]
    assert "no plot that a report made" in path.read_text()  # the page says so itself
    assert (theirs / "PR_curve_tags.png").is_file()
    page.write(path, page.document("again"))
    assert Parsed(path.read_text()).text() == "again"
    plots.write_png(plots.figure_of(Bars("b", "t", "n", "x", ("a",), np.ones(1))), theirs / "PR_curve_tags.png")


def test_without_a_split_to_score_the_report_is_on_the_training_alone(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", 8, ("train",))
    text = Parsed(og.report(folder).read_text()).text()
    assert "Nothing was scored" in text
    assert "kind: loss" in text
    assert "Worst images" not in text
    with pytest.raises(OneglanceError, match="no image is in split 'test'"):
        og.report(folder, "test")


def test_an_image_that_is_gone_is_left_out_and_said(run: Path, tmp_path: Path) -> None:
    model, manifest = og.load(run), og.Manifest.read(run / "manifest.arrow")
    scored = api.score(model, manifest, "val", rank=True)
    row = scored.ranking.worst("kind")[0].row
    path = Path(manifest.record(row).path)
    data = path.read_bytes()
    problems = Problems()
    try:
        path.write_bytes(b"no image")
        made = api.write_report(
            tmp_path / "r.html", folder=run, model=model, manifest=manifest, scored=scored, plots=tmp_path / "p",
            problems=problems,
        )  # fmt: skip
    finally:
        path.write_bytes(data)
    assert problems.kept
    assert {one.where for one in problems} == {str(path)}
    assert "not drawn into the report" in Parsed(made.read_text()).text()


def test_a_training_from_python_leaves_what_the_report_says_of_its_cost(tmp_path, shapes, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = og.train(shapes, ["train.epochs=2"], out="run", quiet=True)
    facts = json.loads((run.folder / "run.json").read_text())
    assert facts["training"]["seconds"] > 0
    assert facts["training"]["images"] == 40
    assert facts["machine"]
    text = Parsed(og.report(run.folder).read_text()).text()
    assert re.search(r"training [\d.]+ (s|min) with all evaluations", text)
    assert "million" in text


def test_the_cost_is_that_of_the_network(run: Path) -> None:
    model = og.load(run)
    cost = cost_of(model)
    assert cost["parameters"] == sum(p.numel() for p in model.network.parameters())
    assert cost["flops"] > 1e6
    history = read_history(run, model.tasks)
    history = [one for one in history if one[0] != "balance"]
    assert [name for name, _ in history] == list(TASKS)
    losses = {name: [series.name for series in curves[0].series] for name, curves in history}
    assert losses["squares"] == ["class", "box", "sides", "single"]


def test_where_reports_and_plots_go(tmp_path: Path) -> None:
    assert api.report_path(tmp_path, "../odd name") == tmp_path / "report-odd_name.html"
    assert api.plots_path(tmp_path / "report.html") == tmp_path / "plots"
    assert api.plots_path(tmp_path / "report-val.html") == tmp_path / "plots-val"
    assert api.plots_path(tmp_path / "x.html") == tmp_path / "x-plots"


LONG = tuple(f"класс {k} 物 $\\frac{{{k}}}$ <{'x' * 40}>" for k in range(90))


@pytest.mark.parametrize(
    "chart",
    [
        Matrix("m", "t", "n", LONG, LONG, np.eye(90, dtype=np.int64)),
        Matrix("m", "t", "n", LONG[:3], LONG[:3], np.zeros((3, 3), np.int64)),
        Curves("c", "t", "n", "x", "y", tuple(Series(name, np.arange(2.0), np.arange(2.0)) for name in LONG)),
        Curves("c", "t", "n", "x", "y", (Series("one", np.array([1.0]), np.array([np.nan])),)),
        Bars("b", "t", "n", "x", LONG, np.full(90, np.nan)),
        Bars("b", "t", "n", "x", LONG[:2], np.array([0.5, np.nan])),
        Scatter("s", "t", "n", "x", "y", np.zeros(1), np.zeros(1)),
        Histogram("h", "t", "n", "x", "y", np.array([0.0, 1.0]), np.array([3])),
    ],
)
def test_any_chart_is_drawn_as_text_in_the_page_and_as_a_file(chart, tmp_path: Path) -> None:
    figure = plots.figure_of(chart)
    drawn = plots.svg(figure, "p")
    Parsed(drawn)
    assert "http" not in drawn
    assert "<xxx" not in drawn
    assert plots.INK not in drawn
    plots.write_png(figure, tmp_path / "x.png")
    plots.write_png(figure, tmp_path / "x.png")  # its own is replaced
    with Image.open(tmp_path / "x.png") as image:
        width = image.width
    assert width == pytest.approx(2 * 72 * figure.get_size_inches()[0], abs=1)


def test_text_is_escaped_and_markup_is_not() -> None:
    assert page.tag("p", "<", page.tag("b", "&")) == "<p>&lt;\n<b>&amp;</b></p>"
    assert page.tag("p", title='"') == '<p title="&quot;"></p>'
    assert page.shown(float("nan")) == "–"


def test_a_jpeg_is_made_small_enough() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3)).astype(np.uint8)
    large, small = jpeg(noise, 10**6), jpeg(noise, 15_000)
    assert len(small) < len(large)


def test_a_matrix_of_eighty_classes_has_its_names_on() -> None:
    names = tuple(f"class {k}" for k in range(80))
    (axes,) = plots.figure_of(Matrix("m", "t", "n", names, names, np.eye(80, dtype=np.int64))).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(names)
    edges = axes.transData.transform(np.array([[0, 0], [0, 1]]))
    assert axes.get_yticklabels()[0].get_fontsize() < abs(edges[1, 1] - edges[0, 1])  # 72 pixels an inch: points


def test_the_first_score_of_all_is_seen() -> None:
    """After one evaluation a line is one point, and a score of 0 is at the bottom of its axis."""
    series = tuple(Series(name, np.array([4.0]), np.zeros(1), main=name == "map") for name in ("map", "map50"))
    (axes,) = plots.figure_of(Curves("c", "t", "n", "epoch", "score", series)).axes
    assert [line.get_marker() for line in axes.lines] == ["o", "o"]
    assert axes.get_ylim() == (0, 1)
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [4]


def test_the_balance_shows_who_has_how_much_say_and_who_is_in_conflict(tmp_path: Path) -> None:
    rows = ["step,epoch,kind,task,name,value"]
    for step in range(3):
        rows += [f"{step},0,factor,{task},factor,{value}" for task, value in (("a", 1.5), ("b", 0.5))]
        rows += [f"{step},0,gradient,{task},length,{value}" for task, value in (("a", 0.01), ("b", 10))]
        rows.append(f"{step},0,conflict,a,b,-0.25")
    (tmp_path / "history.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    ((name, curves),) = read_history(tmp_path, {})
    assert name == "balance"
    factors, gradients, conflict = curves
    assert {one.name: one.y.tolist() for one in factors.series} == {"a": [1.5] * 3, "b": [0.5] * 3}
    # Powers of ten, so that a gradient a thousandth as long can be seen at all.
    lengths = {one.name: one.y for one in gradients.series}
    np.testing.assert_allclose(lengths["a"], -2)
    np.testing.assert_allclose(lengths["b"], 1)
    assert [(one.name, one.y.tolist()) for one in conflict.series] == [("a, b", [-0.25] * 3)]
