"""A gallery beside a run, from Python and from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import oneglance as og
from oneglance.cli import app
from oneglance.config import parse_config, write_yaml
from oneglance.ingest import build_manifest
from oneglance.network.network import Network
from oneglance.tasks import create_tasks
from oneglance.training import checkpoint


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight 'people', each a colour of its own, six images of each."""
    top = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    for k in range(8):
        hue = np.array([(k & 1) * 160, (k >> 1 & 1) * 160, (k >> 2) * 160]) + 40.0
        for number in range(1, 7):
            picture = rng.normal(0, 12, (64, 64, 3)) + hue
            path = top / f"P{k}" / f"P{k}_{number:04d}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path)
    return top


def network_folder(faces: Path, folder: Path, seed: int = 0, **config: Any) -> Path:
    """A run's folder with a network at random: colours are told apart by chance alone."""
    data = {
        "tasks": {"who": {"kind": "embedding", "dim": 16}},
        "sources": [{"format": "lfw", "root": str(faces), "tasks": {"who": "identity"}}],
        "splits": {"fractions": {"train": 0.25, "val": 0.75}},
        "trunk": {"backbone": "mobilenetv4_conv_small", "pretrained": False, "channels": 16},
        "train": {"size": [64, 64], "workers": 0},
    } | config
    settings = parse_config(data)
    folder.mkdir()
    write_yaml(folder / "config.yaml", settings)
    build_manifest(settings, Path(), og_problems(), folder / "manifest.arrow")
    torch.manual_seed(seed)
    tasks = create_tasks(settings.tasks)
    network = Network(tasks, settings.trunk)
    checkpoint.save(folder / "last.safetensors", network.state_dict(), {"kind": "weights"})
    return folder


def og_problems() -> Any:
    from oneglance.errors import Problems

    return Problems()


@pytest.fixture
def run(faces: Path, tmp_path: Path) -> Path:
    return network_folder(faces, tmp_path / "run")


def test_people_are_enrolled_and_found_in_new_images(run, faces):
    gallery = og.Gallery.open(run, threshold=0.9999)
    assert gallery.people == {}
    for name in ("P1", "P2"):
        gallery.enrol(name, [faces / name / f"{name}_{k:04d}.png" for k in (1, 2)])
    again = og.Gallery.open(run)
    assert again.people == {"P1": 2, "P2": 2}
    (match,) = again.identify([faces / "P1/P1_0001.png"])
    assert match.nearest == "P1"
    assert again.vectors([faces / "P1/P1_0001.png"]).shape == (1, 16)
    assert again.remove("P1") == 2
    with pytest.raises(og.OneglanceError, match="no such file"):
        gallery.enrol("P3", [faces / "P3/P3_0001.png", faces / "nothing.png"])
    assert "P3" not in og.Gallery.open(run).people


def test_the_threshold_is_measured_on_people_out_of_training(run):
    gallery = og.Gallery.open(run, far=0.05)
    facts = gallery.enrolled.facts
    people = {r.annotations["who"].name for r in og.Manifest.read(run / "manifest.arrow") if r.split == "val"}
    count = 6 * len(people)
    assert facts.measured_on == f"{count} images of {len(people)} people, split val"
    assert facts.scores == count * (len(people) - 1)
    assert -1 <= gallery.enrolled.threshold() <= 1


def test_what_can_not_give_a_threshold_is_said(run, faces, tmp_path):
    with pytest.raises(og.OneglanceError, match="trained on look less alike"):
        og.Gallery.open(run, split="train")
    with pytest.raises(og.OneglanceError, match="does not show two people"):
        og.Gallery.open(run, split="test")
    with pytest.raises(og.OneglanceError, match="must be above 0"):
        og.Gallery.open(run, far=0)
    assert not (run / "gallery").exists()
    with pytest.raises(og.OneglanceError, match="no gallery"):
        og.Gallery.open(run, create=False)
    with pytest.raises(og.OneglanceError, match="no embedding task 'whom'; did you mean 'who'"):
        og.Gallery.open(run, task="whom")
    tasks = {"kind": {"kind": "classification", "classes": [f"P{k}" for k in range(8)]}}
    source = [{"format": "folder", "root": str(faces), "tasks": ["kind"]}]
    other = network_folder(faces, tmp_path / "classes", tasks=tasks, sources=source)
    with pytest.raises(og.OneglanceError, match="no task of `kind: embedding`"):
        og.Gallery.open(other)


def test_vectors_of_other_weights_are_not_compared(run, faces, tmp_path):
    og.Gallery.open(run, threshold=0.5)
    other = network_folder(faces, tmp_path / "other", seed=1)
    with pytest.raises(og.OneglanceError, match="with other weights"):
        og.Gallery.open(other, folder=run / "gallery")


def command(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_commands_from_end_to_end(run, faces, tmp_path):
    assert "no gallery" in command("identify", run, faces / "P1").output
    said = command("enrol", run, "Ada", faces / "P1", "--far", 0.2)
    assert said.exit_code == 0, said.output
    assert "Ada: 6 images; 1 people" in said.output
    assert "at most 20.00% get a name" in said.output
    said = command("enrol", run, "Grace", faces / "P2/P2_0001.png", "--far", 0.1)
    assert said.exit_code == 2
    assert "has its threshold already" in said.output
    assert command("enrol", run, "Grace", faces / "P2/P2_0001.png").exit_code == 0
    listed = command("people", run, "--json")
    assert json.loads(listed.stdout) == {"Ada": 6, "Grace": 1}
    (tmp_path / "bad.png").write_bytes(b"no image")
    said = command("identify", run, faces / "P1/P1_0001.png", tmp_path / "bad.png", "--json")
    assert said.exit_code == 1
    (line,) = [json.loads(line) for line in said.stdout.splitlines()]
    assert line["path"].endswith("P1_0001.png")
    assert line["nearest"] in ("Ada", "Grace")
    assert "bad.png" in said.stderr
    said = command("identify", run, faces / "P1", "--far", 1e-9)
    assert "they are too few to say" in " ".join(said.stderr.split())
    assert command("identify", run, faces / "P1", "--far", 2).exit_code == 2
    assert command("forget", run, "Ada").exit_code == 0
    assert "Grace" in command("people", run).stdout
    assert "nobody called 'Ada'" in command("forget", run, "Ada").output
    assert "no image there" in command("enrol", run, "X", run / "config.yaml").output


def test_faces_are_looked_at_in_the_size_of_their_source(faces, tmp_path):
    source = {"format": "lfw", "name": "faces", "root": str(faces), "tasks": {"who": "identity"}}
    run = network_folder(
        faces, tmp_path / "sized", sources=[source],
        train={"size": [64, 64], "sizes": {"faces": [96, 96]}, "workers": 0},
    )  # fmt: skip
    gallery = og.Gallery.open(run, threshold=0.5)
    assert gallery.model.size_of("who") == (96, 96)
    image = faces / "P1" / "P1_0001.png"
    expected = gallery.model.predict([image], (96, 96))[0]["who"].vector
    np.testing.assert_array_equal(gallery.vectors([image])[0], expected)
    assert not np.allclose(gallery.model(image)["who"].vector, expected)
    other = network_folder(
        faces, tmp_path / "other", sources=[source],
        train={"size": [64, 64], "sizes": {"faces": [96, 96]}, "eval_sizes": {"faces": [128, 128]}, "workers": 0},
    )  # fmt: skip
    assert og.load(other).size_of("who") == (128, 128)
    plain = og.Gallery.open(network_folder(faces, tmp_path / "plain"), threshold=0.5)
    assert plain.enrolled.facts.weights != gallery.enrolled.facts.weights  # vectors that can't be compared
