"""Looking ahead changes nothing, and says of tasks that help and hurt each other that they do."""

from __future__ import annotations

import copy
import csv
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from oneglance.balance import Balance, BalanceSettings
from oneglance.config import parse_config
from oneglance.errors import OneglanceError, Problems
from oneglance.evidence.affinity.lookahead import AFFINITY, COSINE, TAKEN, Lookahead
from oneglance.ingest import build_manifest
from oneglance.training import checkpoint
from oneglance.training.fit import LAST, STATE, Training
from oneglance.training.observer import Observer
from oneglance.training.settings import TrainSettings


@pytest.fixture
def objects(tmp_path: Path) -> dict[str, Any]:
    """Six pictures with a car each, its outline and its colour: tasks on objects draw boxes from torch's generator."""
    square = [[10, 10, 40, 10, 40, 40, 10, 40]]
    annotations = []
    for k in range(6):
        Image.new("RGB", (64, 64), (40 * k, 90, 90)).save(tmp_path / f"{k}.jpg")
        one = {"id": k + 1, "image_id": k, "category_id": 1, "bbox": [10, 10, 30, 30], "area": 900, "iscrowd": 0}
        annotations.append(one | {"segmentation": square, "attributes": {"colour": ("red", "blue")[k % 2]}})
    images = [{"id": k, "file_name": f"{k}.jpg", "width": 64, "height": 64} for k in range(6)]
    labels = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "car"}]}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    tasks = {
        "objects": {"kind": "detection", "classes": ["car"], "width": 16},
        "outline": {"kind": "mask", "on": "objects"},
        "colour": {"kind": "classification", "on": "objects", "classes": ["red", "blue"]},
    }
    source = {"format": "coco", "root": ".", "labels": "labels.json", "tasks": list(tasks), "split": "train"}
    train = {"size": [64, 64], "epochs": 2, "batch": 2, "checkpoint_every": 2, "workers": 0, "precision": "32"}
    return {
        "tasks": tasks,
        "sources": [source],
        "trunk": {"backbone": "test_resnet", "pretrained": False, "channels": 16},
        "train": {**train, "device": "cpu"},
    }


def trained(base: Path, name: str, data: dict[str, Any], observer: Observer | None, resume: bool = False) -> Path:
    config = parse_config(data)
    folder = base / name
    folder.mkdir(exist_ok=True)
    manifest = build_manifest(config, base, Problems())
    Training(config, manifest, folder, Problems(), quiet=True, observer=observer).run(resume)
    return folder


def looks(folder: Path) -> list[tuple[str, ...]]:
    """What was written down of the looks, but for the time that they took."""
    with (folder / "history.csv").open(newline="") as file:
        rows = [tuple(row) for row in csv.reader(file)]
    return [row for row in rows if row[2] in (AFFINITY, COSINE)] + [row[:5] for row in rows if row[2] == TAKEN]


class Killed(Lookahead):
    """Is interrupted at a step."""

    def look(self, training: Training, step: int, batches: list[Any]) -> Any:
        if step == 5:
            raise KeyboardInterrupt
        return super().look(training, step, batches)


def assert_same(one: Path, other: Path) -> None:
    a, b = checkpoint.load(one)[0], checkpoint.load(other)[0]
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_a_training_that_is_looked_at_is_bit_for_bit_the_one_that_is_not(
    tmp_path: Path, objects: dict[str, Any]
) -> None:
    plain = trained(tmp_path, "plain", objects, None)
    looked = trained(tmp_path, "looked", objects, Lookahead(1))
    assert looks(plain) == []
    assert {row[0] for row in looks(looked)} == {"1", "2", "3", "4", "5"}  # before the first step nothing could move
    # Weights, statistics, moments, averages, what the balance keeps, and torch's generator.
    assert_same(plain / STATE, looked / STATE)
    assert_same(plain / LAST, looked / LAST)
    # Killed and taken up: the looks are those of an undisturbed training. The look at step 4 was written down, but the
    # last state is that before it, so that it is looked at anew.
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, "killed", objects, Killed(1))
    assert checkpoint.load(tmp_path / "killed" / STATE)[1]["step"] == 4
    assert ("4", "1", AFFINITY) in {row[:3] for row in looks(tmp_path / "killed")}
    killed = trained(tmp_path, "killed", objects, Lookahead(1), resume=True)
    assert looks(killed) == looks(looked)
    assert_same(looked / LAST, killed / LAST)


def test_in_bf16_too(tmp_path: Path, objects: dict[str, Any]) -> None:
    objects["train"] |= {"precision": "bf16", "epochs": 1}
    plain = trained(tmp_path, "plain", objects, None)
    looked = trained(tmp_path, "looked", objects, Lookahead(1))
    assert looks(looked)
    assert_same(plain / STATE, looked / STATE)


# -- a problem whose answer is known ----------------------------------------------------------------------------------


class Line(nn.Module):
    """y = w x for every task, through fixed heads of 1: tasks that want the same w help each other."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(2, 1, bias=False)
        self.register_buffer("passes", torch.zeros(()))
        nn.init.zeros_(self.shared.weight)

    def shared_parameters(self) -> Any:
        return self.shared.parameters()

    def forward(
        self, images: Tensor, rows: dict[str, Tensor], boxes: Any, content: Any
    ) -> dict[str, dict[str, Tensor]]:
        self.passes.add_(1)
        y = self.shared(images)
        return {name: {"y": y[at]} for name, at in rows.items()}


class Wants:
    """A task whose answer should be some multiple of the sum of its inputs."""

    @staticmethod
    def terms(outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"square": ((outputs["y"] - targets["y"]) ** 2).mean()}


def batch_of(wanted: dict[str, float], images: Tensor) -> Any:
    rows = {name: torch.arange(len(images)) for name in wanted}
    targets = {name: {"y": factor * images.sum(1, keepdim=True)} for name, factor in wanted.items()}
    content = torch.zeros(len(images), 4)
    return SimpleNamespace(images=images, rows=rows, targets=targets, boxes={}, content=lambda _: content)


WANTED = {"up": 1.0, "higher": 2.0, "down": -1.5}


def training_of(wanted: dict[str, float], **settings: Any) -> Any:
    network = Line()
    optimizer = torch.optim.AdamW([{"params": network.parameters(), "lr": 0.01, "base_lr": 0.01}], betas=(0.9, 0.99))
    network.shared.weight.grad = torch.full((1, 2), 0.5)
    optimizer.step()
    torch.nn.init.zeros_(network.shared.weight)
    return SimpleNamespace(
        network=network,
        optimizer=optimizer,
        tasks={name: Wants() for name in wanted},
        balance=Balance(BalanceSettings(), dict.fromkeys(wanted, 1.0)),
        settings=TrainSettings(warmup=0.0, **settings),
        fabric=SimpleNamespace(device=torch.device("cpu")),
        group=SimpleNamespace(world=1),
        bf16=False,
        total=100,
    )


def test_who_wants_the_same_helps_and_who_wants_the_opposite_hurts() -> None:
    training, images = training_of(WANTED), torch.rand(8, 2)
    before = copy.deepcopy(training.network.state_dict())
    generator = torch.get_rng_state()
    seen = Lookahead(1).look(training, 0, [batch_of(WANTED, images)])
    z = seen[AFFINITY]
    assert min(z["up"]["higher"], z["higher"]["up"], *(z[name][name] for name in z)) > 0
    assert max(z["up"]["down"], z["higher"]["down"], z["down"]["up"], z["down"]["higher"]) < 0
    assert seen[COSINE] == {
        "down": {"higher": pytest.approx(-1), "up": pytest.approx(-1)},
        "higher": {"up": pytest.approx(1)},
    }
    assert all(torch.equal(before[name], value) for name, value in training.network.state_dict().items())
    assert torch.equal(generator, torch.get_rng_state())
    assert training.network.shared.weight.grad is not None  # that of whoever trains is left alone
    assert torch.equal(training.network.shared.weight.grad, torch.full((1, 2), 0.5))


def test_the_figures_are_those_of_the_definition() -> None:
    training, images = training_of(WANTED, clip=1e6), torch.rand(8, 2)
    found = Lookahead(1).look(training, 0, [batch_of(WANTED, images)])[AFFINITY]
    state = training.optimizer.state[training.network.shared.weight]
    moment = state["exp_avg_sq"] / (1 - 0.99)

    def loss(weight: Tensor, name: str) -> Tensor:
        return ((images @ weight.T - WANTED[name] * images.sum(1, keepdim=True)) ** 2).mean()

    for one in WANTED:
        weight = torch.zeros(1, 2, requires_grad=True)
        (gradient,) = torch.autograd.grad(loss(weight, one), weight)
        after = weight - 0.01 * gradient / (moment.sqrt() + 1e-8)
        for other in WANTED:
            expected = 1 - float((loss(after, other) / loss(weight, other)).detach())
            assert found[one][other] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_step_in_parts_is_looked_at_as_a_whole() -> None:
    images = torch.rand(8, 2)
    whole = Lookahead(1).look(training_of(WANTED), 0, [batch_of(WANTED, images)])[AFFINITY]
    parts = [batch_of(WANTED, images[:3]), batch_of(WANTED, images[3:])]
    found = Lookahead(1).look(training_of(WANTED), 0, parts)[AFFINITY]
    assert found == {one: pytest.approx(of, rel=1e-4) for one, of in whole.items()}


def test_a_gradient_that_the_training_clips_is_clipped_here_too() -> None:
    images = torch.rand(8, 2)
    # The tasks' gradients sum to that of one that wants 1.5 three times as much; clipped to a hundredth of it.
    free = Lookahead(1).look(training_of(WANTED, clip=1e6), 0, [batch_of(WANTED, images)])[AFFINITY]
    tight = Lookahead(1).look(training_of(WANTED, clip=1e-4), 0, [batch_of(WANTED, images)])[AFFINITY]
    assert 0 < tight["up"]["up"] < 0.1 * free["up"]["up"]


def test_what_is_not_labelled_in_a_step_is_unknown_and_not_nothing() -> None:
    here = {name: factor for name, factor in WANTED.items() if name != "higher"}
    seen = Lookahead(1).look(training_of(WANTED), 0, [batch_of(here, torch.rand(8, 2))])
    assert set(seen[AFFINITY]) == {"up", "down"}
    assert all(set(of) == {"up", "down"} for of in seen[AFFINITY].values())


def test_looks_come_at_their_steps_and_not_before_the_optimiser_has_moved() -> None:
    training, batch = training_of(WANTED), batch_of(WANTED, torch.rand(8, 2))
    at = Counter(step for step in range(9) if Lookahead(3).look(training, step, [batch]))
    assert sorted(at) == [2, 5, 8]
    training.optimizer.state.clear()
    assert Lookahead(1).look(training, 0, [batch]) == {}
    training.group.world = 2
    with pytest.raises(OneglanceError, match="single process"):
        Lookahead(1).look(training, 0, [batch])
