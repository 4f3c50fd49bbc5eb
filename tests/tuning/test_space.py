"""What a key may be, as people write it; grids; what the trials say together."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oneglance.config import Config, parse_config
from oneglance.errors import OneglanceError
from oneglance.tuning.front import front
from oneglance.tuning.grid import next_point
from oneglance.tuning.space import Dimension, Space, parse_dimension, parse_space, weight_dimensions


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ("0..1:linear:5", (0.0, 0.25, 0.5, 0.75, 1.0)),
        ("1e-4..1e-2:log:3", (1e-4, 1e-3, 1e-2)),
        ("{32, 16}", (16, 32)),
        ("{sum, uncertainty}", ("sum", "uncertainty")),
        ("{true, null, no}", (True, None, "no")),
        ("{[64, 64], [96, 96]}", ([64, 64], [96, 96])),
    ],
)
def test_values_in_steps_and_lists(spec: str, values: tuple[Any, ...]) -> None:
    found = parse_dimension("k", spec)
    assert found.values == values
    assert [type(one) for one in found.values] == [type(one) for one in values]
    drawn = [found.drawn(one) for one in values]
    assert [found.value(one) for one in drawn] == list(values)
    assert all(found.distribution._contains(found.distribution.to_internal_repr(one)) for one in drawn)
    assert [found.place(one) for one in values] == pytest.approx(np.linspace(0, 1, len(values)))


def test_ranges() -> None:
    found = parse_dimension("k", "1e-4 .. 1e-2 : log")
    assert (found.low, found.high, found.log, found.whole, found.values) == (1e-4, 1e-2, True, False, ())
    assert found.place(1e-3) == pytest.approx(0.5)
    assert found.value(0.00123456789) == 0.001235
    assert not parse_dimension("k", "2..8").whole
    whole = parse_dimension("k", "2..8", lambda value: value.is_integer())
    assert whole.whole
    assert type(whole.value(4)) is int
    assert parse_dimension("k", "1..5:linear:3", lambda value: False).values == (1, 3, 5)
    assert parse_dimension("k", "1..3:5", lambda value: False).values == (1, 2, 3)  # whole numbers coincide
    assert parse_dimension("k", "-1..1").drawn(2) is None
    assert parse_dimension("k", "0..1").drawn(True) is None  # true is no number


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("3", "no range and no list"),
        ("5..1", "less than the second"),
        ("0..1:log", "begin above 0"),
        ("1..2:lgo", "did you mean 'log'"),
        ("1..2:pyramid", "how many steps"),
        ("1..2:log:linear:4", "two things at once"),
        ("1..2:3:4", "two things at once"),
        ("1..2:linear:1", "from 2 on"),
        ("{1}", "nothing to choose from"),
        ("{1, [}", "not a list of YAML values"),
    ],
)
def test_what_is_written_wrongly_is_said(spec: str, said: str) -> None:
    with pytest.raises(OneglanceError, match="vary k: ") as error:
        parse_dimension("k", spec)
    assert said in str(error.value)


def test_a_space_from_options_files_and_mappings(tmp_path: Path, config: Config) -> None:
    file = tmp_path / "space.yaml"
    file.write_text("train.lr: 1e-4..1e-2:log\ntrain.batch: [8, 16]\n", encoding="utf-8")
    found = parse_space([str(file), "balance.method={sum,equal}"], config)
    assert [str(one) for one in found] == ["0.0001..0.01:log", "{8, 16}", "{sum, equal}"]
    assert found[:2] == parse_space({"train.lr": "1e-4..1e-2:log", "train.batch": (8, 16)}, config)
    with pytest.raises(OneglanceError, match="given twice"):
        parse_space(["train.lr=1..2", str(file)], config)
    with pytest.raises(OneglanceError, match="write KEY=VALUES"):
        parse_space(["train.lr"], config)


@pytest.fixture
def config(shapes: dict[str, Any]) -> Config:
    return parse_config(shapes)


def test_weights_of_all_tasks(config: Config) -> None:
    found = weight_dimensions(config)
    assert [(one.key, one.low, one.high, one.log) for one in found] == [
        ("tasks.kind.weight", 0.25, 4.0, True), ("tasks.squares.weight", 0.25, 4.0, True)
    ]  # fmt: skip
    balance = config.balance.model_copy(update={"weights": {"kind": 2.0}})
    kind, _ = weight_dimensions(config.model_copy(update={"balance": balance}))
    assert (kind.key, kind.low, kind.high) == ("balance.weights.kind", 0.5, 8.0)


def test_a_space_makes_configurations(config: Config) -> None:
    space = Space(config, parse_space(["train.lr=1e-4..1e-2:log", "tasks.kind.weight={1, 2}"], config))
    assert space.own() == {"train.lr": 1e-3, "tasks.kind.weight": 1.0}
    made = space.config({"train.lr": 0.005, "tasks.kind.weight": 2})
    assert (made.train.lr, made.tasks["kind"].weight) == (0.005, 2.0)
    assert made.model_copy(update={"train": config.train, "tasks": config.tasks}) == config
    assert math.isinf(space.size)
    assert Space(config, parse_space(["train.batch=2..4", "train.clip={1, 2}"], config)).size == 6
    assert space.drawn(space.own()) == {"train.lr": 1e-3, "tasks.kind.weight": 0}


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ("train.lrr=0.1..1", "train.lrr: unknown key; did you mean 'lr'"),
        ("train.lr=-1..1", "train.lr"),
        ("sources.0.root={a, b}", "the same data"),
        ("train.seed=0..5", "begin with the same seed"),
        ("tasks.kind.classes={[a, b], [bright, dark]}", "what the labels say"),
        ("train.lr.x=0..1", "there is nothing below 'train.lr'"),
    ],
)
def test_what_cannot_be_varied_is_said_before_anything_is_trained(config: Config, vary: str, said: str) -> None:
    with pytest.raises(OneglanceError) as error:
        Space(config, parse_space([vary], config))
    assert said in str(error.value)


def keys(**specs: str) -> list[Dimension]:
    return [parse_dimension(key, spec) for key, spec in specs.items()]


def walk(dimensions: list[Dimension], best: dict[str, float], count: int) -> list[dict[str, Any]]:
    """The first points of a grid where the value is the nearness to ``best``."""
    tried: list[tuple[dict[str, Any], float | None]] = []
    while len(tried) < count:
        point = next_point(dimensions, tried, seed=0)
        if not isinstance(point, dict):
            break
        tried.append((point, -math.hypot(*(float(point[key]) - at for key, at in best.items()))))
    return [point for point, _ in tried]


def test_a_grid_is_gone_through_once() -> None:
    dimensions = keys(a="{1, 2, 3}", b="0..1:linear:2")
    found = walk(dimensions, {"a": 1}, 100)
    assert sorted((one["a"], one["b"]) for one in found) == [(a, b) for a in (1, 2, 3) for b in (0.0, 1.0)]


def test_a_pyramid_closes_in_on_the_best() -> None:
    dimensions = keys(a="0..1:pyramid:3", b="{1, 2}")
    found = walk(dimensions, {"a": 0.2, "b": 2}, 15)
    assert sorted((one["a"], one["b"]) for one in found[:6]) == [(a, b) for a in (0.0, 0.5, 1.0) for b in (1, 2)]
    # The best is 0: half the distance, and the other key stays as it was in the best.
    assert found[6:7] == [{"a": 0.25, "b": 2}]
    assert sorted(one["a"] for one in found[7:9]) == [0.125, 0.375]
    assert sorted(one["a"] for one in found[9:11]) == [0.1875, 0.3125]
    assert {one["b"] for one in found[6:]} == {2}
    logs = walk(keys(a="1..16:log:pyramid:3"), {"a": 2}, 4)
    assert sorted(one["a"] for one in logs[:3]) == [1, 4, 16]
    assert logs[3]["a"] == 2


def test_a_level_waits_for_the_one_before() -> None:
    dimensions = keys(a="0..1:pyramid:2")
    assert next_point(dimensions, [({"a": 0.0}, 1.0)], 0) == {"a": 1.0}
    assert next_point(dimensions, [({"a": 0.0}, 1.0), ({"a": 1.0}, None)], 0) == "wait"
    # One that was given up is no best one.
    assert next_point(dimensions, [({"a": 0.0}, -math.inf), ({"a": 1.0}, 0.0)], 0) == {"a": 0.75}


def test_the_front() -> None:
    scores = np.array([[1.0, 0.0], [0.5, 0.5], [0.4, 0.5], [0.0, 1.0], [np.nan, 2.0], [0.5, 0.5]])
    assert front(scores).tolist() == [True, True, False, True, False, True]
