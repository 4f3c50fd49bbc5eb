"""A gallery of faces that a detector finds: enrolled from photos of one person, named wherever they are found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import oneglance as og
from oneglance.annotations import Identity, Instance, Instances
from oneglance.cli import app
from oneglance.config import parse_config, write_yaml
from oneglance.errors import Problems
from oneglance.ingest import build_manifest
from oneglance.model import Model, Prediction
from oneglance.network.network import Network
from oneglance.tasks import create_tasks
from oneglance.training import checkpoint

ANN, BOB = (np.array(v, np.float32) for v in ([1, 0, 0, 0], [0, 1, 0, 0]))
TASKS = {
    "objects": {"kind": "detection", "classes": ["car", "face"], "width": 16},
    "who": {"kind": "embedding", "on": "objects.face", "dim": 4},
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A network at random, and a split `val` of scenes with two faces each, some of them nobody's."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for k in range(8):
        Image.fromarray(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(tmp_path / f"{k}.png")
        images.append({"id": k, "file_name": f"{k}.png", "width": 64, "height": 64})
        for n in range(2):
            one = {"id": 2 * k + n + 1, "image_id": k, "category_id": 2, "bbox": [4 + 30 * n, 10, 20, 24], "area": 480}
            named = {"attributes": {"identity": f"P{(k + n) % 4}"}} if (k, n) != (0, 0) else {}
            annotations.append({**one, **named, "iscrowd": 0})
    categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "face"}]
    text = json.dumps({"images": images, "annotations": annotations, "categories": categories})
    (tmp_path / "labels.json").write_text(text)
    config = parse_config({
        "tasks": TASKS,
        "sources": [{"format": "coco", "root": str(tmp_path), "labels": "labels.json", "split": "val"}
                    | {"tasks": ["objects", "who"]}],
        "trunk": {"backbone": "mobilenetv4_conv_small", "pretrained": False, "channels": 16},
        "train": {"size": [64, 64], "workers": 0},
    })  # fmt: skip
    folder = tmp_path / "run"
    folder.mkdir()
    write_yaml(folder / "config.yaml", config)
    build_manifest(config, Path(), Problems(), folder / "manifest.arrow")
    torch.manual_seed(0)
    network = Network(create_tasks(config.tasks), config.trunk)
    checkpoint.save(folder / "last.safetensors", network.state_dict(), {"kind": "weights"})
    return folder


def face(vector: np.ndarray, score: float, x: float = 0.0, label: str = "face") -> Instance:
    box = np.array([x, 0, x + 10, 12], np.float32)
    of_face = vector if label == "face" else None
    return Instance(label, box, score=score, vector=of_face, answers={"who": Identity(vector=of_face)})


#: What is "found" in an image, by its number.
FOUND = {
    0: (face(ANN, 0.9), face(ANN, 0.99, 30, "car")),
    1: (face(BOB, 0.8), face(ANN, 0.3, 20)),
    2: (face(ANN, 0.9), face(BOB, 0.7, 20)),
    3: (face(ANN, 0.1),),
    4: (face(BOB, 0.6, 5), face(-ANN, 0.9, 20), face(ANN, 0.95, 40), face(ANN, 0.2, 50)),
}


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector that finds what ``FOUND`` says."""

    def predict(model: Model, images: Sequence[Any], size: Any = None) -> list[Prediction]:
        numbers = [int(Path(image).stem) if isinstance(image, (str, Path)) else int(image[0, 0, 0]) for image in images]
        blank = np.zeros((64, 64, 3), np.uint8)
        return [Prediction(blank, {"objects": Instances(FOUND[n])}, model.tasks) for n in numbers]

    monkeypatch.setattr(Model, "predict", predict)


def test_the_threshold_is_measured_on_true_boxes_of_known_people(run: Path) -> None:
    facts = og.Gallery.open(run, far=0.1).enrolled.facts
    assert facts.measured_on == "15 images of 4 people, split val"  # one face is nobody's


def test_a_photo_must_show_one_face(run: Path, answered: None) -> None:
    gallery = og.Gallery.open(run, threshold=0.5)
    np.testing.assert_array_equal(gallery.vectors(["0.png", "1.png"]), [ANN, BOB])  # an unsure one beside it is none
    with pytest.raises(og.OneglanceError, match=r"2.png: it must show one face alone, and 2 are found"):
        gallery.enrol("Ann", ["0.png", "2.png"])
    with pytest.raises(og.OneglanceError, match=r"3.png: it must show one face alone, and none is found"):
        gallery.enrol("Ann", ["3.png"])
    assert gallery.people == {}


def test_everybody_who_is_enrolled_is_named_and_nobody_else(run: Path, answered: None) -> None:
    gallery = og.Gallery.open(run, threshold=0.5)
    gallery.enrol("Ann", ["0.png"])
    gallery.enrol("Bob", ["1.png"])
    (prediction,) = gallery.model.predict(["4.png"])
    matches = gallery.matches(prediction)
    assert [(m.name, m.box) for m in matches] == [
        ("Ann", (40, 0, 50, 12)), (None, (20, 0, 30, 12)), ("Bob", (5, 0, 15, 12)),
    ]  # fmt: skip
    named = gallery.named(prediction)["objects"]
    assert isinstance(named, Instances)
    assert [item.identity for item in named.items] == ["Bob", None, "Ann", None]
    assert [replace(item, identity=None) for item in named.items] == list(FOUND[4])
    assert all(item.identity is None for item in FOUND[4])
    assert gallery.identify(["0.png"])[0].name == "Ann"
    assert gallery.with_names(Instances(())) == Instances(())


def test_the_command_names_each_face(run: Path, answered: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def to_rgb(path: Path) -> np.ndarray:
        return np.full((8, 8, 3), int(Path(path).stem), np.uint8)

    monkeypatch.setattr("oneglance.model.to_rgb", to_rgb)
    top = run.parent
    for name, number in (("Ann", 0), ("Bob", 1)):
        words = ["enrol", str(run), name, str(top / f"{number}.png")]
        said = CliRunner().invoke(app, words + (["--threshold", "0.5"] if number == 0 else []))
        assert said.exit_code == 0, said.output
    images = [str(top / f"{k}.png") for k in (3, 4)]
    lines = CliRunner().invoke(app, ["identify", str(run), *images, "--json"]).stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert [(Path(one["path"]).stem, one["name"]) for one in found] == [("4", "Ann"), ("4", None), ("4", "Bob")]
    assert found[0]["box"] == [40, 0, 50, 12]
    assert "nobody found" in CliRunner().invoke(app, ["identify", str(run), *images]).stdout
