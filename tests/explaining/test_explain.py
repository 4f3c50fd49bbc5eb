"""Golden cases with networks made by hand; every kind of task; whole explanations."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from typer.testing import CliRunner

import oneglance as og
from oneglance.annotations import Instance, Instances
from oneglance.cli import app
from oneglance.config import parse_config
from oneglance.data.geometry import Frame, letterbox
from oneglance.errors import OneglanceError
from oneglance.explaining.attribution import View, in_content
from oneglance.explaining.overlap import Mean, cells_of, common_area, hottest, rank_correlation
from oneglance.explaining.pictures import over
from oneglance.explaining.untrained import STAGES, randomised
from oneglance.model import Model
from oneglance.network.network import Network
from oneglance.tasks import create_tasks
from oneglance.tasks.base import Features

SIZE = 128


class Looks:
    """A network whose maps are the image in cells, and one task, ``answer``."""

    def __init__(self, head: Any) -> None:
        self.head = head

    def ask(self, name: str, features: Features) -> dict[str, Tensor]:
        return {"answer": self.head}[name](features)

    def features(self, images: Tensor, content: Tensor) -> dict[str, Features]:
        maps = {stride: F.avg_pool2d(images, stride) / 255 for stride in (8, 16, 32)}
        return {"answer": Features(maps[32], maps, content=content)}


def view_of(head: Any, picture: np.ndarray) -> View:
    frame = Frame(letterbox((SIZE, SIZE), (SIZE, SIZE)), SIZE, SIZE, SIZE, SIZE)

    def framed(pictures: list[np.ndarray]) -> tuple[Tensor, list[Frame]]:
        return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), [frame]

    model: Any = SimpleNamespace(network=Looks(head), framed=framed, device=torch.device("cpu"))
    return View(model, picture)


TASK = create_tasks(parse_config({
    "tasks": {"answer": {"kind": "classification", "classes": ["a", "b"]}},
    "sources": [{"format": "folder", "root": "x", "tasks": ["answer"]}],
}).tasks)["answer"]  # fmt: skip


def corner(features: Features) -> dict[str, Tensor]:
    """Says ``a`` the more, the brighter the upper left cell is, and ``b`` the more, the brighter the lower right."""
    maps = features.deep.sum(1)
    return {"logits": torch.stack([3 * maps[:, 0, 0], maps[:, -1, -1]], 1)}


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(150, 256, (SIZE, SIZE, 3)).astype(np.uint8)


@pytest.mark.parametrize("method", ["integrated", "hirescam"])
def test_what_looks_at_a_corner_is_traced_to_that_corner(method: Any, noise: np.ndarray) -> None:
    view = view_of(corner, noise)
    for about, here, there in (
        (None, np.s_[:24, :24], np.s_[56:, 56:]),
        ("b", np.s_[-24:, -24:], np.s_[:-56, :-56]),
    ):
        question = view.ask(TASK, about)
        assert question is not None
        assert question.statement.text == (about or "a")
        heat = view.heat(question, method)
        assert heat.shape == (SIZE, SIZE)
        assert heat[here].min() > 0
        assert heat[there].max() == 0


def test_integrated_gradients_add_up(noise: np.ndarray) -> None:
    class Curved(nn.Module):
        def forward(self, features: Features) -> dict[str, Tensor]:
            return {"logits": torch.stack([features.level(8).pow(2).mean((1, 2, 3)), features.deep.mean((1, 2, 3))], 1)}

    view = view_of(Curved(), noise)
    question = view.ask(TASK, "a")
    assert question is not None
    heat, missed = view.integrated(question)
    assert missed < 1e-3
    assert heat.min() > 0


def test_grad_cam_by_hand() -> None:
    """Two channels with known weights, one of them against the answer."""
    picture = np.full((SIZE, SIZE, 3), 100, np.uint8)
    picture[:64, :64] = (200, 100, 100)
    picture[64:, 64:] = (100, 200, 100)

    def head(features: Features) -> dict[str, Tensor]:
        red, green, _ = features.deep.mean((2, 3)).unbind(1)
        return {"logits": torch.stack([2 * red - green, green - red], 1)}

    view = view_of(head, picture)
    question = view.ask(TASK, "a")
    assert question is not None
    heat = view.heat(question)
    # 2 x 200 - 100, 100 and nothing at all, over the 16 cells and 255.
    found = [heat[16, 16], heat[16, 112], heat[112, 112]]
    np.testing.assert_allclose(found, np.array([300, 100, 0]) / 16 / 255, rtol=1e-5)
    whole = view.heat(question, at="pyramid")
    assert whole[16, 16] == pytest.approx(heat[16, 16])  # nobody looks at its finer levels


def test_overlaps_by_hand() -> None:
    one = np.arange(25, dtype=np.float32).reshape(5, 5)
    assert rank_correlation(one, np.exp(one / 9)) == pytest.approx(1)
    assert rank_correlation(one, -one) == pytest.approx(-1)
    assert math.isnan(rank_correlation(one, np.zeros_like(one)))
    assert hottest(one).sum() == 5
    assert common_area(one, one) == 1
    assert common_area(one, one.T) == pytest.approx(1 / 9)
    few = np.zeros_like(one)
    few[4, 4] = 1
    assert hottest(few).sum() == 1  # no heat is no heat, whatever its rank
    assert math.isnan(common_area(one, np.zeros_like(one)))
    assert str(Mean.of([1.0, math.nan, 3.0])) == f"2.00 ± {12.7062:.2f}"
    assert str(Mean.of([math.nan])) == "–"
    assert str(Mean.of([0.5])) == "0.50"


def test_the_padding_of_an_image_takes_no_part() -> None:
    frame = Frame(letterbox((200, 100), (SIZE, SIZE)), SIZE, SIZE, 200, 100)
    heat = np.full((SIZE, SIZE), 9, np.float32)
    heat[32:96] = np.linspace(0, 1, 64, dtype=np.float32)[:, None]
    cells = cells_of(heat, frame)
    assert cells.shape == (16, 32)
    assert cells.max() <= 1
    assert in_content(heat, frame, (50, 100)).max() <= 1


def test_where_there_is_no_heat_the_image_is_as_it_was() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    heat = np.zeros((8, 8), np.float32)
    np.testing.assert_array_equal(over(image, heat), image)
    heat[2, 3] = 5
    changed = (over(image, heat) != image).any(-1)
    assert changed.sum() == 1
    assert changed[2, 3]


@pytest.fixture(scope="module")
def everything() -> Model:
    """An untrained network with a task of every kind, on images and on objects."""
    tasks: dict[str, Any] = {
        "kind": {"kind": "classification", "classes": ["a", "b"]},
        "tags": {"kind": "tagging", "classes": ["x", "y"]},
        "numbers": {"kind": "regression", "targets": ["p", "q"]},
        "ground": {"kind": "segmentation", "classes": ["road", "sky"]},
        "tips": {"kind": "keypoints", "points": ["left", "right"]},
        "who": {"kind": "embedding", "dim": 8},
        "who_at_tips": {"kind": "embedding", "dim": 8, "at": "tips"},
        "things": {"kind": "detection", "classes": ["cat", "dog"], "width": 16},
        "shape": {"kind": "mask", "on": "things"},
        "joints": {"kind": "keypoints", "points": ["nose", "tail"], "on": "things.cat"},
        "breed": {"kind": "classification", "classes": ["m", "n"], "on": "things"},
    }
    config = parse_config({
        "tasks": tasks, "sources": [{"format": "folder", "root": "x", "tasks": list(tasks)}],
        "trunk": {"backbone": "test_resnet", "pretrained": False, "channels": 16}, "train": {"size": [64, 64]},
    })  # fmt: skip
    torch.manual_seed(0)
    made = create_tasks(config.tasks)
    return Model(Network(made, config.trunk, config.sharing), made, config, device="cpu")


@pytest.mark.parametrize("method", ["gradcam", "hirescam", "integrated"])
def test_every_kind_of_task_can_be_traced(everything: Model, method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    view = View(everything, picture)
    boxes = [np.array(box, np.float32) for box in ([5, 5, 70, 50], [20, 10, 60, 40], [30, 20, 50, 50])]
    items = [Instance(label, box=box, score=s) for label, box, s in zip(("dog", "cat", "dog"), boxes, (0.9, 0.8, 0.01), strict=True)]  # fmt: skip  # noqa: E501
    view._answers = {"things": Instances(tuple(items))}
    monkeypatch.setattr("oneglance.tasks.detection.task.SAID", 0.0)
    for name, task in everything.tasks.items():
        question = view.ask(task)
        assert question is not None, name
        heat = view.heat(question, method, "pyramid")
        assert heat.shape == (64, 64)
        assert np.isfinite(heat).all()
        assert heat.max() > 0 or method != "integrated", name  # of those, what is negative is left out
        assert (question.box is not None) == (name in ("things", "shape", "joints", "breed"))
    named = {name: view.ask(everything.tasks[name]).text for name in ("joints", "breed", "things")}  # type: ignore[union-attr]
    assert named["joints"] == "joints: cat 1, all points"  # the cat, though the dog is surer
    assert named["breed"].startswith("breed: dog 1, ")
    np.testing.assert_allclose(view.ask(everything.tasks["joints"]).box, boxes[1] * 0.8 + [0, 8, 0, 8])  # type: ignore[union-attr]
    assert view.ask(everything.tasks["breed"], number=3) is None  # the third is too unsure to be asked about


def test_what_says_nothing_is_not_traced_and_wrong_names_are_refused(everything: Model) -> None:
    view = View(everything, np.zeros((64, 64, 3), np.uint8))
    assert view.ask(everything.tasks["things"]) is None
    assert view.ask(everything.tasks["shape"]) is None
    with pytest.raises(OneglanceError, match=r"'ground' has no class 'raod'; did you mean 'road'"):
        view.ask(everything.tasks["ground"], "raod")
    with pytest.raises(OneglanceError, match="no names"):
        view.ask(everything.tasks["who"], "me")


def test_random_weights_from_the_heads_down(everything: Model) -> None:
    batch, _ = everything.framed([np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)])
    own = {name: value.clone() for name, value in everything.network.state_dict().items()}
    stages = dict(randomised(everything, batch, seed=1))
    assert tuple(stages) == STAGES
    changed = {
        stage: {n.split(".")[0] for n, v in net.state_dict().items() if v.ndim > 1 and not torch.equal(v, own[n])}
        for stage, net in stages.items()
    }
    assert changed["the heads"] <= {"heads", "regions"}
    assert changed["heads and neck"] - changed["the heads"] == {"neck"}
    assert changed["everything"] - changed["heads and neck"] == {"backbone"}
    # The network itself stays as it was.
    assert all(torch.equal(value, own[name]) for name, value in everything.network.state_dict().items())
    again = dict(randomised(everything, batch, seed=1))["everything"].state_dict()
    assert all(torch.equal(value, again[name]) for name, value in stages["everything"].state_dict().items())
    outputs = stages["everything"](batch)
    assert outputs["kind"]["logits"].abs().max() < 100


def test_a_whole_explanation(tmp_path: Path, shapes: dict[str, Any]) -> None:
    shapes["trunk"] = {"backbone": "test_resnet", "pretrained": False, "channels": 16}
    shapes["train"] |= {"epochs": 1, "workers": 0, "device": "cpu"}
    run = og.train(shapes, base=tmp_path, out=tmp_path / "run", quiet=True).folder
    images = sorted((tmp_path / "data" / "val").rglob("*.png"))
    (tmp_path / "bad.png").write_bytes(b"no image")
    out = tmp_path / "why"
    arguments = ["explain", str(run), *map(str, images), str(tmp_path / "bad.png"), "--out", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--about", "kind=dark"])
    assert result.exit_code == 0, result.output
    assert "bad.png" in result.output
    data = json.loads((out / "explain.json").read_text(encoding="utf-8"))
    assert [one["said"]["kind"] for one in data["images"]] == ["dark"] * len(images)
    assert set(data["checks"]) == set(STAGES)
    (pair,) = data["overlaps"]
    found = sum(one["said"]["squares"] is not None for one in data["images"])
    assert pair["tasks"] == ["kind", "squares"]
    assert pair["ranks"]["images"] <= found  # a task that says nothing has no overlap, not one of 0
    for one in data["images"]:
        with Image.open(out / one["picture"]) as picture:
            assert picture.size[0] > 100
    page = (out / "explain.html").read_text(encoding="utf-8")
    for text in ("What did it look at?", "With random weights", "Rank correlation", "The images"):
        assert text in page
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "nothing is ever overwritten" in result.output
    for wrong, said in ((["--task", "kin"], "did you mean 'kind'"), (["--about", "kind=#0"], "from 1 on")):
        result = CliRunner().invoke(app, [*arguments[:-1], str(tmp_path / "other"), *wrong])
        assert said in result.output
