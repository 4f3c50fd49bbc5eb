"""The table: what goes in comes out, null is not empty, splits keep groups together, memory stays flat."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneglance.annotations import (
    Identity,
    Instance,
    Instances,
    Label,
    Numbers,
    Points,
    Record,
    Rle,
    Segments,
    Tags,
    same,
)
from oneglance.errors import OneglanceError, Problems
from oneglance.manifest import BATCH_ROWS, Column, Manifest, assign_splits, join, unite

COLUMNS = {
    "weather": Column("label", classes=("clear", "rain")),
    "marks": Column("tags", classes=("a", "b")),
    "age": Column("numbers", targets=("years",)),
    "who": Column("identity"),
    "eyes": Column("points", points=("left", "right")),
    "ground": Column("segments", classes=("road", "sky")),
    "objects": Column("instances", classes=("car", "person")),
}

floats = st.floats(-1e4, 1e4, width=32)
names = st.text(min_size=1, max_size=8)


def arrays(*shape: int) -> st.SearchStrategy[np.ndarray]:
    size = int(np.prod(shape))
    return st.lists(floats, min_size=size, max_size=size).map(lambda v: np.array(v, np.float32).reshape(shape))


points = st.builds(
    Points, arrays(2, 2), st.lists(st.integers(0, 2), min_size=2, max_size=2).map(lambda v: np.array(v, np.int8))
)
instances = st.builds(
    Instance,
    label=names,
    box=st.none() | arrays(4),
    polygons=st.none() | st.lists(arrays(3, 2), max_size=2).map(tuple),
    rle=st.none() | st.builds(Rle, st.just((2, 3)), st.lists(st.integers(0, 9), max_size=4).map(tuple)),
    points=st.none() | points,
    identity=st.none() | names,
    attributes=st.dictionaries(names, names | st.floats(-10, 10), max_size=2),
    id=st.none() | st.integers(0, 2**40),
    area=st.none() | st.floats(0, 1e6),
    crowd=st.booleans(),
    difficult=st.booleans(),
    truncated=st.booleans(),
    extra=st.dictionaries(names, st.integers(), max_size=2),
)
annotated = st.none() | st.lists(names, max_size=2, unique=True).map(tuple)
records = st.builds(
    Record,
    path=st.integers(0, 10**6).map(lambda k: Path(f"images/{k}.jpg")),
    width=st.integers(0, 5000),
    height=st.integers(0, 5000),
    split=st.none() | st.sampled_from(["train", "val"]),
    source=names,
    group=st.none() | names,
    annotations=st.fixed_dictionaries(
        {
            "weather": st.none() | st.builds(Label, names),
            "marks": st.none() | st.builds(Tags, st.lists(names, max_size=2).map(tuple), annotated),
            "age": st.none() | st.builds(Numbers, arrays(1)),
            "who": st.none() | st.builds(Identity, names),
            "eyes": st.none() | points,
            "ground": st.none() | st.builds(Segments, st.just(Path("m.png")), st.just(((1, "road"), (2, "sky")))),
            "objects": st.none() | st.builds(Instances, st.lists(instances, max_size=2).map(tuple), annotated),
        }
    ),
    extra=st.dictionaries(names, st.integers(), max_size=2),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(records, max_size=4))
def test_what_goes_in_comes_out(rows):
    manifest = Manifest.build(rows, COLUMNS)
    assert len(manifest) == len(rows)
    for k, record in enumerate(rows):
        assert same(manifest.record(k), record)
    order = list(range(len(rows)))[::-1] * 2
    assert same(manifest.records(order), [rows[k] for k in order])
    assert same(list(manifest), rows)
    later = Manifest(manifest.table.slice(1), manifest.columns)  # columns that don't start with their memory
    assert same(list(later), rows[1:])
    assert same(later.records(range(len(later))), rows[1:])


def test_there_is_no_row_outside():
    manifest = Manifest.build([picture(0), picture(1)], COLUMNS)
    for outside in (-1, 2):
        with pytest.raises(IndexError, match=f"row {outside} of a manifest of 2"):
            manifest.records([0, outside])


@pytest.mark.parametrize("suffix", [".arrow", ".parquet"])
def test_it_is_the_same_on_disk(tmp_path, suffix):
    manifest = Manifest.build([picture(k) for k in range(BATCH_ROWS + 5)], COLUMNS)
    manifest.write(tmp_path / f"m{suffix}")
    again = Manifest.read(tmp_path / f"m{suffix}")
    assert again.columns == manifest.columns
    assert again.fingerprint() == manifest.fingerprint()
    assert same(again.record(BATCH_ROWS + 1), manifest.record(BATCH_ROWS + 1))
    assert [p.name for p in tmp_path.iterdir()] == [f"m{suffix}"]


def picture(number: int, **changes) -> Record:
    return Record(Path(f"images/{number:06}.jpg"), 10, 10, **changes)


def test_null_is_not_empty():
    manifest = Manifest.build(
        [
            picture(0, annotations={"objects": None}),
            picture(1, annotations={"objects": Instances()}),
            picture(2, annotations={"marks": Tags((), annotated=("a",))}),
        ],
        COLUMNS,
    )
    assert manifest.labelled("objects").tolist() == [False, True, False]
    assert manifest.record(0).annotations["objects"] is None
    assert same(manifest.record(1).annotations["objects"], Instances())
    assert manifest.record(2).annotations["marks"].annotated == ("a",)


def test_the_fingerprint_follows_the_content():
    one = Manifest.build([picture(0, annotations={"objects": None})], COLUMNS)
    other = Manifest.build([picture(0, annotations={"objects": Instances()})], COLUMNS)
    assert one.fingerprint() != other.fingerprint()
    assert one.select([0]).fingerprint() == one.fingerprint()


def test_a_label_of_the_wrong_type_names_file_and_task():
    with pytest.raises(TypeError, match=r"000000.jpg: task 'objects' keeps Instances, not Label"):
        Manifest.build([picture(0, annotations={"objects": Label("x")})], COLUMNS)


def test_a_task_named_like_a_fixed_column_is_refused():
    with pytest.raises(OneglanceError, match="can't be called 'path'"):
        Manifest.build([], {"path": Column("label")})


@pytest.mark.parametrize(("content", "message"), [(b"", "not a readable"), (b"PK\x03\x04" * 9, "not a readable")])
def test_what_is_no_manifest_is_refused(tmp_path, content, message):
    (tmp_path / "x.arrow").write_bytes(content)
    with pytest.raises(OneglanceError, match=message):
        Manifest.read(tmp_path / "x.arrow")


def test_sources_that_label_the_same_image_are_joined():
    problems = Problems()
    manifest = Manifest.build(
        [
            picture(2, source="x", split="test", annotations={"weather": Label("rain")}),
            picture(1, source="x", annotations={"weather": Label("rain")}),
            picture(2, source="y", annotations={"objects": Instances((Instance("car"),), ("car",))}),
            picture(2, source="z", annotations={"objects": Instances((), ("person",))}),
        ],
        COLUMNS,
    )
    joined = join(manifest, problems)
    assert [r.path.name for r in joined] == ["000001.jpg", "000002.jpg"]
    both = joined.record(1)
    assert both.split == "test"
    assert both.source == "x+y+z"
    assert both.annotations["weather"] == Label("rain")
    assert both.annotations["objects"].annotated == ("car", "person")
    assert not problems.count


def test_labels_that_know_different_things_are_put_together():
    assert unite(Tags(("a",), ("a",)), Tags((), ("b",))) == Tags(("a",), ("a", "b"))
    both = unite(Numbers(np.float32([1, np.nan])), Numbers(np.float32([np.nan, 2])))
    assert both.values.tolist() == [1, 2]
    assert unite(Tags(("a",), ("a",)), Tags((), ("a",))) is None
    assert unite(Tags(("a",)), Tags(("b",), ("b",))) is None
    assert unite(Numbers(np.float32([1])), Numbers(np.float32([2]))) is None


def test_data_that_moves_keeps_its_splits():
    def splits(top: str) -> list[str]:
        rows = [Record(Path(f"{top}/{k % 2}/{k}.jpg"), 1, 1) for k in range(40)]
        return assign_splits(Manifest.build(rows, COLUMNS), {"train": 0.5, "val": 0.5}).values("split")

    assert splits("/here/data") == splits("/elsewhere")


def test_sources_that_contradict_each_other_are_reported_and_the_first_is_kept():
    problems = Problems()
    rows = [picture(1, source=s, annotations={"weather": Label(w)}) for s, w in (("x", "rain"), ("y", "clear"))]
    joined = join(Manifest.build(rows, COLUMNS), problems)
    assert joined.record(0).annotations["weather"] == Label("rain")
    assert "labelled differently" in str(problems.kept[0])


@pytest.mark.parametrize("stored", [False, True])
def test_groups_that_share_an_image_become_one(tmp_path, stored):
    """By persons in one source, by films in the other: whoever stands in a film takes the whole film along."""
    rows = [
        *(picture(n, source="persons", group=group) for n, group in ((1, "ann"), (2, "ann"), (3, "bob"), (4, "eve"))),
        *(picture(n, source="films", group=group) for n, group in ((2, "film 1"), (3, "film 1"), (5, "film 1"))),
        picture(6),
    ]
    joined = join(Manifest.build(rows, COLUMNS), Problems(), tmp_path / "m.arrow" if stored else None)
    groups = dict(zip((r.path.stem for r in joined), joined.values("group"), strict=True))
    assert len({groups[f"{n:06}"] for n in (1, 2, 3, 5)}) == 1
    assert groups["000004"] == "eve"
    assert groups["000006"] is None
    if stored:
        assert Manifest.read(tmp_path / "m.arrow").values("group") == joined.values("group")


def test_one_image_in_two_splits_is_refused():
    rows = [picture(1, source=s, split=split) for s, split in (("x", "train"), ("y", "test"))]
    with pytest.raises(OneglanceError, match=r"000001.jpg: in split 'train' of source 'x' and in split 'test'"):
        join(Manifest.build(rows, COLUMNS), Problems())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(0, 5))
def test_a_group_never_straddles_splits_and_the_order_of_rows_changes_nothing(groups, seed):
    rows = [picture(k, group=f"g{g}") for k, g in enumerate(groups)]
    fractions = {"train": 0.6, "val": 0.2, "test": 0.2}
    split = assign_splits(Manifest.build(rows, COLUMNS), fractions, seed)
    by_group: dict[str, set[str]] = {}
    for record in split:
        by_group.setdefault(record.group, set()).add(record.split)
    assert all(len(splits) == 1 for splits in by_group.values())
    backwards = assign_splits(Manifest.build(rows[::-1], COLUMNS), fractions, seed)
    assert {r.path: r.split for r in split} == {r.path: r.split for r in backwards}


def test_shares_are_exact_for_single_images_and_a_given_split_is_kept():
    rows = [picture(k, split="test" if k < 10 else None) for k in range(110)]
    split = assign_splits(Manifest.build(rows, COLUMNS), {"train": 0.8, "val": 0.2}, seed=1)
    assert [len(split.rows(split=name)) for name in ("train", "val", "test")] == [80, 20, 10]
    other = assign_splits(Manifest.build(rows, COLUMNS), {"train": 0.8, "val": 0.2}, seed=2)
    assert split.values("split") != other.values("split")


def test_fractions_that_do_not_sum_to_one_are_refused():
    with pytest.raises(OneglanceError, match="sum to 1"):
        assign_splits(Manifest.build([picture(0)], COLUMNS), {"train": 0.8, "val": 0.1})


_MILLION = """
import resource, sys, numpy as np
from pathlib import Path
from oneglance.annotations import Instance, Instances, Record
from oneglance.data.mixing import MixedBatches, MixingSettings
from oneglance.manifest import Column, Manifest
rows = int(sys.argv[2])
columns = {"objects": Column("instances", ("car",))}
box = np.array([1, 2, 3, 4], np.float32)
items = Instances((Instance("car", box=box),))
record = Record(Path("images/x.jpg"), 640, 480, "train", "s", annotations={"objects": items})
path = Path(sys.argv[1])
one = Manifest.build([record] * 2048, columns)
import pyarrow as pa
with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, one.table.schema) as writer:
    for _ in range(rows // 2048):
        writer.write_table(one.table)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
manifest = Manifest.read(path)
train = manifest.rows(split="train", source="s")
batches = MixedBatches({"s": train}, 16, MixingSettings(), seed=0)
for number, draws in enumerate(batches):
    manifest.record(draws[0].row)
    if number == 200:
        break
import os
private = 0
for line in open("/proc/self/smaps_rollup"):
    if line.startswith("Private_Dirty"):
        private = int(line.split()[1])
print(len(manifest), private)
"""


@pytest.mark.slow
def test_a_million_rows_cost_the_loader_a_few_bytes_each(tmp_path):
    """Private memory of a process that indexes and draws: between 20,000 and 1,000,000 rows it grows by
    little more than the row numbers themselves (8 bytes a row for the split, 8 for the permutation, and what sorting an
    epoch takes)."""
    used = {}
    for rows in (20_480, 1_024_000):
        done = subprocess.run(
            [sys.executable, "-c", _MILLION, str(tmp_path / f"{rows}.arrow"), str(rows)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        count, private = map(int, done.stdout.split())
        assert count == rows
        used[rows] = private * 1024
    assert used[1_024_000] - used[20_480] < 160 * 1_000_000
