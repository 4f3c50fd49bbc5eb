"""Who goes on with whose training, and with which values; no network is trained here."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

from oneglance.config import Config, parse_config
from oneglance.errors import OneglanceError
from oneglance.tuning.population import (
    FACTORS,
    Member,
    Slice,
    check_alive,
    check_space,
    ends_of,
    explore,
    first_members,
    lineage,
    next_members,
    over_time,
)
from oneglance.tuning.space import Dimension, Space, parse_dimension, parse_space, weight_dimensions
from oneglance.tuning.trials import key_of

NAMES = [f"t{k}" for k in range(3)]


def config_of(**more: Any) -> Config:
    tasks = {name: {"kind": "classification", "classes": ["a", "b"]} for name in NAMES}
    sources = [{"format": "folder", "name": name, "root": name, "tasks": [name]} for name in NAMES]
    return parse_config({"tasks": tasks, "sources": sources, "train": {"epochs": 12}} | more)


WEIGHTS = [Dimension(f"tasks.{name}.weight", low=0.25, high=4.0, log=True) for name in NAMES]


def after(values: list[float], members: tuple[Member, ...] | None = None) -> Slice:
    """A slice whose members had reached these values, with weights that tell whose they are."""
    members = members or tuple(
        Member(k, k, {one.key: round(1 + k / 10, 4) for one in WEIGHTS}) for k in range(len(values))
    )
    return Slice(0, 3, members, tuple((one, one) for one in values))


@pytest.mark.parametrize("seed", range(20))
def test_the_worst_quarter_takes_over_from_the_best_and_nobody_else_does(seed: int) -> None:
    reached = np.random.default_rng(seed).permutation(12).tolist()
    before = after(reached)
    coming = next_members(before, WEIGHTS, seed, 1)
    assert [one.number for one in coming] == list(range(12))
    for one in coming:
        if reached[one.number] < 3:
            assert reached[one.parent] >= 9
            theirs = before.members[one.parent].values
            assert one.values != theirs
        else:
            assert one == before.members[one.number]


@pytest.mark.parametrize(("count", "taken"), [(2, 1), (3, 1), (4, 1), (7, 1), (8, 2), (15, 3)])
def test_a_quarter_of_so_many(count: int, taken: int) -> None:
    coming = next_members(after([float(k) for k in range(count)]), WEIGHTS, 0, 1)
    assert sum(one.parent != one.number for one in coming) == taken


def test_who_broke_down_goes_on_from_another_and_nobody_from_them() -> None:
    coming = next_members(after([math.nan, 0.5, math.nan, 0.7, math.nan, 0.6]), WEIGHTS, 0, 1)
    assert [one.parent for one in coming] == [3, 1, 3, 3, 3, 5]
    with pytest.raises(OneglanceError, match="every member of the population has broken down by epoch 3"):
        check_alive(after([math.nan, math.nan]))
    check_alive(after([math.nan, 0.1]))


def test_where_all_are_equal_each_goes_on_with_its_own() -> None:
    before = after([0.5] * 8)
    assert next_members(before, WEIGHTS, 0, 1) == before.members


def test_nobodys_lot_hangs_on_the_order_or_on_how_the_others_fared() -> None:
    """What a member draws depends on the seed, the slice and its number; another seed or slice, other draws."""
    before = after([0.1, 0.9, 0.2, 0.8, 0.5, 0.6, 0.7, 0.3])
    coming = next_members(before, WEIGHTS, 0, 1)
    assert coming == next_members(before, WEIGHTS, 0, 1)
    others = after([0.1, 0.9, 0.2, 0.8, 0.55, 0.45, 0.4, 0.3])
    assert next_members(others, WEIGHTS, 0, 1) == coming
    assert next_members(before, WEIGHTS, 1, 1)[0].values != coming[0].values
    assert next_members(before, WEIGHTS, 0, 2)[0].values != coming[0].values


def test_exploring_stays_within_the_range_and_changes_something() -> None:
    rng = np.random.default_rng(0)
    log, linear = parse_dimension("a", "0.25..4:log"), parse_dimension("b", "0..1")
    values: dict[str, Any] = {"a": 1.0, "b": 0.5}
    factors: Counter[float] = Counter()
    for _ in range(3000):
        new = explore(values, [log, linear], rng)
        assert 0.25 <= new["a"] <= 4
        assert 0 <= new["b"] <= 1
        assert new["a"] != values["a"]
        assert new["b"] != values["b"]
        near = [one for one in FACTORS if new["a"] == log.rounded(values["a"] * one)]
        factors[near[0] if near else math.nan] += 1
        values = new
    drawn = sum(count for one, count in factors.items() if one not in FACTORS)
    assert drawn / 3000 == pytest.approx(0.1, abs=0.03)
    assert factors[0.8] == pytest.approx(factors[1.25], rel=0.15)
    # From the end of a range there is a way back, and from 0 a way out.
    assert explore({"a": 4.0, "b": 0.0}, [log, linear], rng)["b"] > 0
    assert all(explore({"a": 4.0}, [log], rng)["a"] < 4 for _ in range(50))


def test_of_a_list_of_numbers_the_next_one_is_taken() -> None:
    rng = np.random.default_rng(0)
    one = parse_dimension("k", "{1, 2, 4, 8, 16, 32, 64, 128}")
    found = Counter(explore({"k": 8}, [one], rng)["k"] for _ in range(1000))
    assert found[4] > 350
    assert found[16] > 350
    ends = Counter(explore({"k": 128}, [one], rng)["k"] for _ in range(1000))
    assert ends[64] > 850
    words = parse_dimension("k", "{null, 0.5, 1}")
    assert {explore({"k": None}, [words], rng)["k"] for _ in range(100)} == {None, 0.5, 1}


def test_the_first_members_cover_the_ranges_and_the_given_one_is_among_them() -> None:
    space = Space(config_of(), weight_dimensions(config_of()))
    members = first_members(space, 9, 0)
    assert members[0].values == {f"tasks.{name}.weight": 1.0 for name in NAMES}
    assert all(one.parent == one.number for one in members)
    for one in space.dimensions:  # one in each eighth of the range
        places = sorted(one.place(member.values[one.key]) for member in members[1:])
        assert [int(8 * place) for place in places] == list(range(8))
    assert members == first_members(space, 9, 0)
    assert members != first_members(space, 9, 1)
    # What is not in the ranges is nobody's.
    far = Space(config_of(), parse_space({"train.lr": "0.1..1"}, config_of()))
    assert all(0.1 <= member.values["train.lr"] <= 1 for member in first_members(far, 4, 0))


def test_a_line_is_followed_backwards() -> None:
    def slice_of(parents: list[int], first: int) -> Slice:
        members = tuple(Member(k, parent, {"k": 10 * first + k}) for k, parent in enumerate(parents))
        return Slice(first, first + 1, members, tuple((0.0,) for _ in parents))

    slices = [slice_of([0, 1, 2], 0), slice_of([0, 0, 1], 1), slice_of([2, 1, 2], 2), slice_of([0, 2, 0], 3)]
    assert [one.number for one in lineage(slices, 0)] == [1, 2, 0, 0]
    assert [one.number for one in lineage(slices, 1)] == [1, 2, 2, 1]
    assert [one.number for one in lineage(slices, 2)] == [1, 2, 0, 2]
    assert [one.number for one in lineage(slices[:2], 1)] == [0, 1]
    assert [one.values["k"] for one in lineage(slices, 1)] == [1, 12, 22, 31]


def test_a_line_becomes_a_schedule() -> None:
    base = config_of(schedule={"train.clip": [[0.9, 1.0]]})
    space = Space(base, parse_space({"tasks.t0.weight": "0.25..4:log", "train.lr": "1e-4..1e-2:log"}, base))
    values = [(1.0, 1e-3), (0.8, 1e-3), (0.8, 2e-3), (0.8, 2e-3), (1.0, 2e-3)]
    line = [{"tasks.t0.weight": weight, "train.lr": lr} for weight, lr in values]
    found = over_time(space, line, [0.0, 0.25, 0.5, 0.75, 5 / 6])
    assert found.tasks["t0"].weight == 1.0
    assert found.schedule == {
        "train.clip": ((0.9, 1.0),),
        "tasks.t0.weight": ((0.25, 0.8), (5 / 6, 1.0)),
        "train.lr": ((0.5, 2e-3),),
    }
    # What never changes is no schedule.
    assert over_time(space, line[:1] * 3, [0.0, 0.3, 0.6]).schedule == base.schedule
    assert key_of(over_time(space, line[:1] * 3, [0.0, 0.3, 0.6])) == key_of(base)


@pytest.mark.parametrize(
    ("key", "spec", "message"),
    [
        ("train.batch", "{8, 16}", r"vary train\.batch: a population changes values in the middle .* how many steps"),
        ("trunk.channels", "{16, 32}", r"vary trunk\.channels: .* the network is made once"),
        ("augment.flip", "0..1", r"vary augment\.flip: .* the seed and the step alone"),
        ("balance.method", "{sum, famo}", r"vary balance\.method: .* fits no other method"),
        ("train.lr", "1e-4..1e-2:log:pyramid:3", "`pyramid` is a way through a grid"),
    ],
)
def test_keys_that_cannot_change_on_the_way_are_refused(key: str, spec: str, message: str) -> None:
    base = config_of()
    with pytest.raises(OneglanceError, match=message):
        check_space(Space(base, [parse_dimension(key, spec)]))
    check_space(Space(base, parse_space({"train.lr": "1e-4..1e-2:log", "balance.lr": "0.01..0.1"}, base)))


def test_weights_that_have_no_effect_are_refused() -> None:
    base = config_of(balance={"method": "equal"})
    with pytest.raises(OneglanceError, match="no task has a weight of its own"):
        check_space(Space(base, weight_dimensions(base)))
    scheduled = config_of(schedule={"tasks.t0.weight": [[0.5, 2.0]]})
    with pytest.raises(OneglanceError, match="`schedule` says this key's values over time"):
        Space(scheduled, weight_dimensions(scheduled))


def test_slices() -> None:
    assert ends_of(10, 4) == [4, 8, 10]
    assert ends_of(8, 4) == [4, 8]
    assert ends_of(2, 1) == [1, 2]
    for every in (0, 4, 9):
        with pytest.raises(OneglanceError, match=f"--every {every}: .*at least two slices"):
            ends_of(4, every)


def test_ranking_does_not_hang_on_ties_or_numbers() -> None:
    """Members that swap their numbers swap their lots, but for what they draw."""
    values = [float(k) for k in range(8)]
    order = list(range(8))
    random.Random(0).shuffle(order)
    taken = {values[one.number] for one in next_members(after(values), WEIGHTS, 0, 1) if one.parent != one.number}
    mixed = [values[k] for k in order]
    again = {mixed[one.number] for one in next_members(after(mixed), WEIGHTS, 0, 1) if one.parent != one.number}
    assert taken == again == {0.0, 1.0}
