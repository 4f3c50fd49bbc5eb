"""What groups cost is what networks that are built for them cost."""

from __future__ import annotations

from typing import Any

import pytest

from oneglance.config import Config, parse_config
from oneglance.evaluation.sharing import flops_of
from oneglance.evidence.affinity.cost import Measure, _model, parts_of, units_of
from oneglance.evidence.affinity.proposal import sharing_of
from oneglance.network.sharing import SharingSettings

TASKS: dict[str, Any] = {
    "kind": {"kind": "classification", "classes": ["a", "b"]},  # looks at the backbone's last map alone
    "ground": {"kind": "segmentation", "classes": ["a", "b"], "width": 16},  # at the finest level
    "objects": {"kind": "detection", "classes": ["a"], "width": 16},  # from the level of stride 8 on
    "outline": {"kind": "mask", "on": "objects"},
    "tags": {"kind": "tagging", "classes": ["a", "b"]},
}


@pytest.fixture(scope="module")
def config() -> Config:
    return parse_config(
        {
            "tasks": TASKS,
            "sources": [{"format": "coco", "root": "x", "labels": "x.json", "tasks": list(TASKS)}],
            "trunk": {"backbone": "test_resnet", "pretrained": False, "channels": 16},
            "train": {"size": [64, 64]},
        }
    )


def test_tasks_on_objects_go_with_those_that_find_the_objects(config: Config) -> None:
    assert units_of(config) == [("kind",), ("ground",), ("objects", "outline"), ("tags",)]


@pytest.mark.parametrize("depth", [None, 8])
@pytest.mark.parametrize("measure", ["flops", "parameters"])
def test_groups_cost_what_is_measured_of_their_networks(config: Config, depth: int | None, measure: Measure) -> None:
    units = units_of(config)
    apart = sharing_of([unit[:1] for unit in units], depth)
    parts = parts_of(config, apart, measure)

    def measured(sharing: SharingSettings) -> float:
        model = _model(config, sharing)
        return flops_of(model) if measure == "flops" else float(sum(p.numel() for p in model.network.parameters()))

    one = measured(SharingSettings.model_validate({}))
    assert parts.relative([[0, 1, 2, 3]]) == 1
    for groups in ([[0], [1], [2], [3]], [[0, 3], [1, 2]]):
        built = measured(sharing_of([[units[k][0] for k in group] for group in groups], depth))
        assert parts.relative(groups) == pytest.approx(built / one, rel=1e-9)
