"""Twins: the shared training with everything else taken out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oneglance.annotations import Instance, Instances, Label, Record
from oneglance.config import Config, parse_config
from oneglance.evidence.twins import shared_budget, tasks_of_twin, twin_budget, twin_config
from oneglance.manifest import Manifest
from oneglance.tasks import columns_of, create_tasks
from oneglance.training.draws import training_batches

TASKS: dict[str, Any] = {
    "weather": {"kind": "classification", "classes": ["a", "b"]},
    "objects": {"kind": "detection", "classes": ["car"]},
    "outline": {"kind": "mask", "on": "objects"},
}


def config_of(**more: Any) -> Config:
    sources = [
        {"format": "folder", "name": "sky", "root": "sky", "tasks": ["weather"]},
        {"format": "coco", "name": "street", "root": "street", "images": "i", "labels": "l.json"}
        | {"tasks": ["objects", "outline"]},
    ]
    data = {"tasks": TASKS, "sources": sources, "train": {"batch": 32, "epochs": 5}}
    return parse_config(data | more)


def manifest_of(config: Config, sky: int, street: int, boxed: int) -> Manifest:
    """``sky`` images with weather; ``street`` images, of which ``boxed`` have objects labelled."""
    box = Instance("car", box=np.float32([0, 0, 4, 4]))

    def records():
        for k in range(sky):
            yield Record(Path(f"/sky/{k}"), 8, 8, "train", "sky", annotations={"weather": Label("a")})
        for k in range(street):
            known = {"objects": Instances((box,)) if k < boxed else None}
            yield Record(Path(f"/street/{k}"), 8, 8, "train", "street", annotations=known)

    return Manifest.build(records(), columns_of(create_tasks(config.tasks)))


def test_a_twin_keeps_the_detector_whose_objects_it_asks_about() -> None:
    config = config_of()
    assert tasks_of_twin(config, "weather") == ("weather",)
    assert tasks_of_twin(config, "objects") == ("objects",)
    assert tasks_of_twin(config, "outline") == ("objects", "outline")


def test_a_twin_keeps_the_points_at_which_it_looks() -> None:
    config = parse_config(
        {
            "tasks": {
                "sky": {"kind": "classification", "classes": ["a", "b"]},
                "things": {"kind": "detection", "classes": ["face"]},
                "marks": {"kind": "keypoints", "points": 3, "on": "things"},
                "who": {"kind": "embedding", "at": "marks", "on": "things"},
            },
            "sources": [
                {"format": "coco", "labels": "a.json", "tasks": ["things", "marks", "who"]},
                {"format": "folder", "tasks": ["sky"]},
            ],
        }
    )
    assert tasks_of_twin(config, "who") == ("things", "marks", "who")
    assert tasks_of_twin(config, "marks") == ("things", "marks")


def test_all_images_labelled_means_the_same_epochs_and_batch() -> None:
    config = config_of()
    config = config.model_copy(update={"tasks": {"weather": config.tasks["weather"]}})
    manifest = manifest_of(config, sky=320, street=0, boxed=0)
    assert twin_budget(config, manifest, ["weather"]) == shared_budget(config, manifest)


@pytest.mark.parametrize("rule", ["proportional", "equal"])
def test_a_twin_makes_the_steps_and_the_looks_that_the_shared_network_makes(rule: str) -> None:
    config = config_of(mixing={"rule": rule})
    manifest = manifest_of(config, sky=960, street=320, boxed=320)
    shared = training_batches(config, manifest, config.tasks)
    budget = twin_budget(config, manifest, ["weather"])
    looks = sum(draw.row < 960 for batch in shared for draw in batch)
    assert budget.looks == looks
    assert budget.steps == shared.batches
    assert budget.batch == {"proportional": 24, "equal": 16}[rule]
    assert budget.steps * budget.batch == looks
    assert budget.advantage == ""
    # What the twin then really does.
    twin = twin_config(config, ["weather"], budget)
    mine = training_batches(twin, manifest.only(columns_of(create_tasks(twin.tasks))), ["weather"])
    assert (mine.batches, mine.batch) == (budget.steps, budget.batch)


def test_images_that_are_not_labelled_for_the_task_do_not_count() -> None:
    config = config_of()
    half = manifest_of(config, sky=320, street=320, boxed=160)
    budget = twin_budget(config, half, ["objects"])
    # Unlabelled images are not drawn at all: 160 of 480 are the task's.
    assert budget.looks == pytest.approx(160)
    assert (budget.steps, budget.batch) == (15, 11)


def test_a_task_with_few_labels_gets_whole_batches_and_fewer_steps() -> None:
    config = config_of()
    manifest = manifest_of(config, sky=1600, street=10, boxed=10)
    budget = twin_budget(config, manifest, ["objects"])
    assert (budget.steps, budget.batch) == (10, 8)
    # In its favour, so it is said.
    assert "8.0 times as many labelled images" in budget.advantage


def test_a_twin_is_a_configuration_of_its_own() -> None:
    config = config_of(
        balance={"method": "stch", "weights": {"weather": 2.0, "objects": 0.5}, "lowest": {"weather": -1.0}},
        mixing={"weights": {"street": 2.0}},
    )
    manifest = manifest_of(config, sky=64, street=64, boxed=64)
    twin = twin_config(config, ("objects", "outline"), twin_budget(config, manifest, ("objects", "outline")))
    assert list(twin.tasks) == ["objects", "outline"]
    assert [source.name for source in twin.sources] == ["street"]
    assert twin.balance.weights == {"objects": 0.5}
    assert twin.balance.lowest == {}
    assert parse_config(twin.model_dump(mode="json")) == twin
    for key in ("trunk", "augment", "augment_sources", "splits"):
        assert getattr(twin, key) == getattr(config, key)
