"""Batches: the rule's shares in every batch, every image as often as any other of its source, repeatable."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from oneglance.data.mixing import MixedBatches, MixingSettings
from oneglance.errors import OneglanceError

SOURCES = {"big": np.arange(90), "small": np.arange(100, 110)}


def rows_of(batches: MixedBatches, epoch: int, start: int = 0) -> list[list[int]]:
    batches.seek(epoch, start)
    return [[draw.row for draw in batch] for batch in batches]


def test_proportional_is_every_image_once_an_epoch():
    batches = MixedBatches(SOURCES, 10, MixingSettings(), seed=0)
    for epoch in range(3):
        assert sorted(chain(*rows_of(batches, epoch))) == [*range(90), *range(100, 110)]


@pytest.mark.parametrize(
    ("mixing", "small"),
    [
        (MixingSettings(rule="proportional"), 1),
        (MixingSettings(rule="equal"), 5),
        (MixingSettings(rule="temperature", temperature=2.0), 2.5),
        (MixingSettings(rule="proportional", weights={"small": 9.0}), 5),
    ],
)
def test_every_batch_holds_the_sources_in_their_shares(mixing, small):
    for batch in rows_of(MixedBatches(SOURCES, 10, mixing, seed=3), 0):
        assert abs(sum(row >= 100 for row in batch) - small) <= 1
        assert len(batch) == 10


def test_equal_mixing_goes_through_the_small_source_again_and_again_evenly():
    batches = MixedBatches(SOURCES, 10, MixingSettings(rule="equal"), seed=0)
    seen = np.bincount([row for e in range(2) for batch in rows_of(batches, e) for row in batch], minlength=110)
    assert set(seen[100:]) == {10}
    assert set(seen[:90]) <= {1, 2}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.integers(0, 4), st.integers(0, 9))
def test_an_epoch_taken_up_in_the_middle_goes_on_as_it_would_have(seed, epoch, start):
    mixing = MixingSettings(rule="temperature")
    whole = rows_of(MixedBatches(SOURCES, 10, mixing, seed=seed), epoch)
    assert rows_of(MixedBatches(SOURCES, 10, mixing, seed=seed), epoch, start) == whole[start:]


def test_draws_are_numbered_on_through_the_epochs():
    batches = MixedBatches(SOURCES, 10, MixingSettings(), seed=0)
    batches.seek(2, 3)
    assert next(iter(batches))[0].number == 2 * 100 + 30


def test_processes_share_a_batch_without_overlap():
    alone = rows_of(MixedBatches(SOURCES, 10, MixingSettings(), seed=0), 1)
    two = [rows_of(MixedBatches(SOURCES, 10, MixingSettings(), seed=0, rank=r, world=2), 1) for r in range(2)]
    for whole, one, other in zip(alone, *two, strict=True):
        assert sorted(whole) == sorted(one + other)


def test_seeds_and_epochs_differ():
    batches = MixedBatches(SOURCES, 10, MixingSettings(), seed=0)
    assert rows_of(batches, 0) != rows_of(batches, 1)
    assert rows_of(batches, 0) != rows_of(MixedBatches(SOURCES, 10, MixingSettings(), seed=1), 0)


def test_a_source_without_images_is_left_out_and_none_at_all_is_refused():
    empty = np.array([], np.int64)
    batches = MixedBatches({**SOURCES, "none": empty}, 10, MixingSettings(rule="equal"), seed=0)
    assert len(rows_of(batches, 0)) == 10
    with pytest.raises(ValueError, match="not a single labelled image"):
        MixedBatches({"none": empty}, 10, MixingSettings(), seed=0)


def test_joined_sources_have_the_weight_of_the_first_that_has_one():
    mixing = MixingSettings(rule="equal", weights={"b": 3})
    assert mixing.shares({"a": 5, "a+b": 7}) == {"a": 0.25, "a+b": 0.75}


def test_weights_that_leave_nothing_are_refused():
    with pytest.raises(ValidationError, match="0 or more, not -1"):
        MixingSettings(weights={"a": -1})
    with pytest.raises(OneglanceError, match="all sources have the weight 0"):
        MixingSettings(weights={"a": 0}).shares({"a": 5})


@pytest.mark.parametrize("parts", [1, 2])
def test_sources_kept_apart_never_meet_in_a_part_and_the_draws_stay_the_same(parts):
    sources = {"a": np.arange(40), "b": np.arange(100, 105), "c": np.arange(200, 240)}
    whole = list(MixedBatches(sources, 12, MixingSettings(), seed=0, parts=parts))
    apart = MixedBatches(sources, 12, MixingSettings(), seed=0, parts=parts, apart={"b": 1, "c": 2})
    assert apart.parts == 3 * parts
    found = list(apart)
    assert len(found) == len(apart) == 3 * len(whole)
    for number, part in enumerate(whole):
        own = found[3 * number : 3 * number + 3]
        assert sorted(d.number for kind in own for d in kind) == [d.number for d in part]
        assert [{d.row // 100 for d in kind} <= {k} for k, kind in enumerate(own)] == [True] * 3
    # The few images of "b" are not in every batch: their part is empty there, and comes all the same.
    assert any(not part for part in found)


def test_a_batch_in_parts_holds_the_same_draws_and_each_part_nearly_every_sources_share():
    sources = {"a": np.arange(40), "b": np.arange(100, 120)}
    whole = list(MixedBatches(sources, 12, MixingSettings(), seed=0))
    parts = list(MixedBatches(sources, 12, MixingSettings(), seed=0, parts=3))
    assert len(parts) == 3 * len(whole)
    for number, batch in enumerate(whole):
        own = parts[3 * number : 3 * number + 3]
        assert [d for part in own for d in part] == batch
        assert all(1 <= sum(d.row >= 100 for d in part) <= 2 for part in own)
