"""Values that change in the course of a training: which may, when they do, and that resumption knows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from oneglance.config import Config, load_config, parse_config, write_yaml
from oneglance.data.dataset import Batch
from oneglance.errors import OneglanceError, Problems
from oneglance.evidence.twins import Budget, twin_config
from oneglance.ingest import build_manifest
from oneglance.training import checkpoint
from oneglance.training.api import absolute
from oneglance.training.fit import LAST, STATE, Training
from oneglance.training.schedule import Stages


@pytest.fixture
def data(shapes: dict[str, Any]) -> dict[str, Any]:
    shapes["trunk"] = {"backbone": "test_resnet", "pretrained": False, "channels": 16}
    shapes["train"] |= {"epochs": 2, "workers": 0, "evaluate_every": 9, "device": "cpu", "checkpoint_every": 3}
    return shapes


def with_schedule(data: dict[str, Any], schedule: dict[str, Any], **sections: Any) -> Config:
    return parse_config(data | {"schedule": schedule} | sections)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.batch", 8, r"schedule\.train\.batch: .*how many steps there are"),
        ("train.size", [64, 64], r"schedule\.train\.size: .*how many steps there are"),
        ("train.final_lr", 0.1, r"schedule\.train\.final_lr: .*train\.lr may change"),
        ("train.ema", 0.1, r"schedule\.train\.ema: .*read once"),
        ("augment.flip", 0.1, r"schedule\.augment\.flip: .*the seed and the step alone"),
        ("trunk.channels", 8, r"schedule\.trunk\.channels: .*the network is made once"),
        ("sharing.scheme", "none", r"schedule\.sharing\.scheme: .*the network is made once"),
        ("sources.0.root", "x", r"schedule\.sources\.0\.root: .*the data are read once"),
        ("balance.method", "famo", r"schedule\.balance\.method: .*fits no other method"),
        ("tasks.squares.width", 8, r"schedule\.tasks\.squares\.width: .*only its weight may change. What may"),
        ("tasks.kinds.weight", 8, r"no task is called 'kinds'; did you mean 'kind'"),
        ("balance.weights.kinds", 8, r"no task is called 'kinds'; did you mean 'kind'"),
        ("trian.lr", 8, "no such key is known"),
        ("train.lr", -1, r"schedule, from 0\.5 on: train\.lr: .*greater than 0 \(not -1\)"),
    ],
)
def test_keys_that_cannot_change_and_values_that_cannot_be_are_named(
    data: dict[str, Any], key: str, value: Any, message: str
) -> None:
    with pytest.raises(OneglanceError, match=message):
        with_schedule(data, {key: [[0.5, value]]})


@pytest.mark.parametrize("points", [[], [[0.5, 1.0], [0.25, 2.0]], [[0.5, 1.0], [0.5, 2.0]], [[1.0, 1.0]], [[-0.1, 1]]])
def test_points_stand_in_their_order_within_the_training(data: dict[str, Any], points: Any) -> None:
    with pytest.raises(OneglanceError, match=r"schedule\.train\.lr"):
        with_schedule(data, {"train.lr": points})


def test_a_weight_that_has_no_effect_is_refused(data: dict[str, Any]) -> None:
    change = {"tasks.kind.weight": [[0.5, 2.0]]}
    with pytest.raises(OneglanceError, match=r"said by balance\.weights\.kind"):
        with_schedule(data, change, balance={"weights": {"kind": 1.0}})
    with pytest.raises(OneglanceError, match="no task has a weight of its own"):
        with_schedule(data, change, balance={"method": "equal"})


def test_each_value_holds_from_its_step_to_the_next_point(data: dict[str, Any], tmp_path: Path) -> None:
    config = with_schedule(data, {"train.lr": [[0, 0.5], [0.333, 0.25]], "tasks.kind.weight": [[0.5, 3], [0.75, 0]]})
    write_yaml(tmp_path / "c.yaml", config)
    for one in (config, load_config(tmp_path / "c.yaml")):
        stages = Stages(one, 12)
        said = [(stages.at(k).train.lr, stages.at(k).tasks["kind"].weight) for k in range(12)]
        assert said == [(0.5, 1)] * 4 + [(0.25, 1)] * 2 + [(0.25, 3)] * 3 + [(0.25, 0)] * 3
        assert stages.at(4) is stages.at(5)
    # Whatever the number of epochs and of steps in them, a share of whole epochs is where an epoch begins.
    for epochs in (2, 3, 7, 30, 49):
        found = with_schedule(data, {"train.lr": [[k / epochs, 1 + k] for k in range(1, epochs)]})
        for steps in (1, 7, 1001):
            stages = Stages(found, steps * epochs)
            for k in range(1, epochs):
                assert stages.at(steps * k).train.lr == 1 + k
                assert k == 1 or stages.at(steps * k - 1).train.lr == k


class Watch:
    """Notes what a training has at each step, and may stop it."""

    def __init__(self, stop_before: int = -1) -> None:
        self.stop_before, self.seen = stop_before, []  # type: ignore[var-annotated]

    def look(self, training: Training, step: int, batches: list[Batch]) -> dict[str, Any]:
        if step == self.stop_before:
            raise InterruptedError
        rates = [(g["base_lr"], g["weight_decay"]) for g in training.optimizer.param_groups]
        weights = dict(zip(training.balance.names, training.balance.weights, strict=True))
        self.seen.append((step, sorted(set(rates)), weights, training.now.train.clip))
        return {}


def train(config: Config, base: Path, folder: Path, watch: Watch | None = None, resume: bool = False) -> Training:
    settings = absolute(config, base)
    problems = Problems()
    folder.mkdir(exist_ok=True)
    manifest = build_manifest(settings, base, problems)
    made = Training(settings, manifest, folder, problems, quiet=True, observer=watch)
    made.run(resume=resume)
    return made


SCHEDULE = {
    "tasks.kind.weight": [[0.4, 4.0]],
    "train.lr": [[0.4, 5e-4], [0.7, 1e-4]],
    "train.weight_decay": [[0.7, 0.5]],
    "train.trunk_lr": [[0.7, 0.5]],
    "train.clip": [[0.7, 1.0]],
}


def test_a_training_takes_the_values_at_their_steps_and_resumed_it_is_the_same(
    data: dict[str, Any], tmp_path: Path
) -> None:
    config = with_schedule(data, SCHEDULE)
    whole, first, second = Watch(), Watch(stop_before=8), Watch()
    train(config, tmp_path, tmp_path / "whole", whole)
    assert [one[0] for one in whole.seen] == list(range(10))
    for step, rates, weights, clip in whole.seen:
        lr = 1e-3 if step < 4 else 5e-4 if step < 7 else 1e-4
        share, decay = (1.0, 0.02) if step < 7 else (0.5, 0.5)
        assert rates == sorted({(lr, 0.0), (lr, decay), (lr * share, 0.0), (lr * share, decay)})
        assert weights == {"kind": 1.0 if step < 4 else 4.0, "squares": 1.0}
        assert clip == (10 if step < 7 else 1.0)
    with pytest.raises(InterruptedError):
        train(config, tmp_path, tmp_path / "again", first)
    assert checkpoint.load(tmp_path / "again" / STATE)[1]["step"] == 6  # in the middle of an epoch, and of a stage
    train(config, tmp_path, tmp_path / "again", second, resume=True)
    assert [*first.seen[:6], *second.seen] == whole.seen
    one, other = (checkpoint.load(tmp_path / name / LAST)[0] for name in ("whole", "again"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    # Another schedule, other weights: what is compared here does depend on it.
    train(with_schedule(data, {}), tmp_path, tmp_path / "plain")
    plain = checkpoint.load(tmp_path / "plain" / LAST)[0]
    assert not all(torch.equal(one[name], plain[name]) for name in one)


def test_a_schedule_that_says_what_is_there_anyway_changes_nothing(data: dict[str, Any], tmp_path: Path) -> None:
    same = {"tasks.kind.weight": [[0.3, 1.0]], "train.lr": [[0.0, 1e-3], [0.5, 1e-3]]}
    for name, schedule in (("plain", {}), ("same", same)):
        train(with_schedule(data, schedule), tmp_path, tmp_path / name)
    one, other = (checkpoint.load(tmp_path / name / LAST)[0] for name in ("plain", "same"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_twin_keeps_what_is_its_own(data: dict[str, Any]) -> None:
    changes = {"tasks.kind.weight": [[0.5, 2.0]], "tasks.squares.weight": [[0.5, 3.0]], "train.lr": [[0.5, 0.1]]}
    twin = twin_config(with_schedule(data, changes), ["kind"], Budget(2, 5, 4, 20))
    assert set(twin.schedule) == {"tasks.kind.weight", "train.lr"}
    parse_config(twin.model_dump(mode="json"))
