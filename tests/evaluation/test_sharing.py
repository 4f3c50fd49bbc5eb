"""What reports show of sharing: who goes with whom, what that takes, and relations as a picture that has numbers."""

import numpy as np
import pytest
from report_toy import TASKS, make_run

import oneglance as og
from oneglance.evaluation.facts import cost_of
from oneglance.evaluation.plots import figure_of, svg
from oneglance.evaluation.sharing import flops_of, parameters_by_part, sharing_charts
from oneglance.tasks.charts import Heat

GROUPS = [[name for name in TASKS if name not in ("squares", "kind")]]


@pytest.mark.parametrize(
    ("sharing", "pictures"),
    [
        ({"scheme": "soft", "relation": "omega", "every": 1, "groups": GROUPS}, ["omega"]),
        ({"scheme": "cross_stitch", "groups": GROUPS}, [f"stitch_{stride}" for stride in (4, 8, 16, 32)]),
    ],
)
def test_learned_relations_are_drawn(tmp_path, sharing, pictures):
    folder = make_run(tmp_path / "run", 8, sharing=sharing)
    page = og.report(folder)
    text = page.read_text(encoding="utf-8")
    charts = sharing_charts(og.load(folder, device="cpu").network)
    assert [chart.stem for chart in charts] == pictures
    for chart in charts:
        assert chart.values.shape == (3, 3)
        assert f"<h3>{chart.title}</h3>" in text
        assert list(folder.glob(f"**/{chart.stem}.png"))
    drawn = text[text.index('id="sharing"') :].split("</section>")[0]
    assert f"{charts[0].values[0, 1]:.2f}" in drawn
    assert f"{sharing['scheme']}: a trunk for each group of tasks" in drawn
    assert "kind" in drawn
    assert ("the same way" in drawn) == ("omega" in pictures)
    assert ("Sharing: tie" in text) == ("omega" in pictures)


def test_parameters_and_operations_are_those_of_the_network(tmp_path):
    model = og.load(make_run(tmp_path / "run", 8, sharing={"scheme": "layers", "groups": GROUPS}), device="cpu")
    counts = parameters_by_part(model.network)
    assert sum(counts.values()) == cost_of(model)["parameters"] == sum(p.numel() for p in model.network.parameters())
    assert counts.keys() == {"shared", "heads", *model.network.sharing.groups}
    alone = [flops_of(model, names) for names in model.network.sharing.groups.values()]
    whole = flops_of(model)
    assert max(alone) < whole < sum(alone)  # the shared layers are counted in each
    assert sharing_charts(model.network) == []


def test_what_is_unknown_is_hatched_and_has_no_figure() -> None:
    values = np.array([[1.25, np.nan], [-0.5, 0.0]])
    chart = Heat("h", "Heat", "", ("a", "b"), ("a", "b"), values, (-2, 2), decimals=1, x_label="to", y_label="from")
    figure = figure_of(chart)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["1.2", "?", "-0.5", "0.0"]
    (patch,) = axes.patches
    assert patch.get_hatch()
    assert patch.get_xy() == (1, 0)  # the first row, the second column
    drawn = svg(figure, "one")
    assert "<pattern" in drawn
    assert "nan" not in drawn
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("to", "from")
