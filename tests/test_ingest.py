"""Sources into one manifest: joined, counted, divided; null and empty counted apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oneglance.annotations import Annotation, Instance, Instances, Label, Numbers, Record, Tags
from oneglance.config import parse_config
from oneglance.errors import OneglanceError, Problems
from oneglance.ingest import Count, build_manifest, count_labels, never_labelled, write_problems
from oneglance.manifest import Column, Manifest


def test_sources_of_the_same_images_are_joined_and_counted(tmp_path, shapes):
    config = parse_config(shapes)
    manifest = build_manifest(config, tmp_path, Problems(), tmp_path / "m.arrow")
    counts = count_labels(manifest)
    assert counts["kind", "shapes", "train"].labelled == 20
    boxes = counts["squares", "shapes", "train"]
    assert (boxes.images, boxes.labelled, boxes.unknown, boxes.empty) == (20, 10, 10, 0)
    assert boxes.classes == {"square": 10}


def test_empty_is_counted_as_labelled(tmp_path, shapes):
    xml = next((tmp_path / "data" / "boxes" / "train" / "bright").iterdir())
    xml.write_text("<annotation></annotation>")
    counts = count_labels(build_manifest(parse_config(shapes), tmp_path, Problems()))
    boxes = counts["squares", "shapes", "train"]
    assert (boxes.labelled, boxes.empty, boxes.classes["square"]) == (10, 1, 9)


def counted_slowly(manifest: Manifest) -> dict[tuple[str, str, str], Count]:
    """What :func:`count_labels` says, a record at a time."""
    counts: dict[tuple[str, str, str], Count] = {}
    for record in manifest:
        for task in manifest.columns:
            one = counts.setdefault((task, record.source, record.split or ""), Count())
            one.images += 1
            annotation = record.annotations[task]
            if annotation is None:
                continue
            one.labelled += 1
            names: tuple[str, ...] = ()
            match annotation:
                case Label(name):
                    names = (name,)
                case Tags(found):
                    names = found
                case Instances(items):
                    names = tuple(item.label for item in items)
            one.empty += not names and not isinstance(annotation, Numbers)
            for name in names:
                one.classes[name] = one.classes.get(name, 0) + 1
    return counts


def test_counting_by_columns_is_counting_by_records(tmp_path: Path) -> None:
    """3,000 rows in several chunks: every kind of label, null, empty and full, in all splits and sources."""
    rng = np.random.default_rng(0)
    names = ("a", "b", "c c", "ü")
    columns = {
        "kind": Column("label", classes=names),
        "marks": Column("tags", classes=names),
        "things": Column("instances", classes=names),
        "size": Column("numbers", targets=("x",)),
    }

    def some() -> tuple[str, ...]:
        return tuple(rng.choice(names, rng.integers(0, 4)))

    def row() -> dict[str, Annotation | None]:
        every: dict[str, Annotation] = {
            "kind": Label(str(rng.choice(names))),
            "marks": Tags(tuple(dict.fromkeys(some())), ("a",) if rng.random() < 0.2 else None),
            "things": Instances(tuple(Instance(name) for name in some())),
            "size": Numbers(np.zeros(1, np.float32)),
        }
        return {name: one if rng.random() < 0.6 else None for name, one in every.items()}

    records = [
        Record(
            Path(f"{k}.png"), 1, 1, split=(None, "train", "val")[rng.integers(3)], source=("s", "s+t")[rng.integers(2)],
            annotations=row(),
        )
        for k in range(3000)
    ]  # fmt: skip
    manifest = Manifest.build(records, columns, tmp_path / "m.arrow")
    assert len(manifest.table.to_batches()) > 1
    for some_rows in (manifest, manifest.select(np.arange(0, 3000, 7)), manifest.select([])):
        assert count_labels(some_rows) == counted_slowly(some_rows)
    without = [replace(record, annotations={}) for record in records[:9]]
    assert count_labels(Manifest.build(without, columns)) == counted_slowly(Manifest.build(without, columns))


def test_classes_without_a_training_label_are_named(tmp_path, shapes):
    shapes["tasks"]["kind"]["classes"] = ["bright", "dark", "grey"]
    manifest = build_manifest(parse_config(shapes), tmp_path, Problems())
    assert never_labelled(manifest) == {"kind": ["grey"]}


def test_classes_without_a_training_label_are_found_in_every_kind_of_label():
    columns = {
        "kind": Column("label", classes=("a", "b")),
        "marks": Column("tags", classes=("a", "b", "c")),
        "things": Column("instances", classes=("a", "b", "c")),
    }
    rows = [
        {"kind": Label("a"), "marks": None, "things": Instances((Instance("a"), Instance("b")))},
        {"kind": None, "marks": Tags(("a",), ("a", "b")), "things": Instances()},
        {"kind": None, "marks": Tags(("b",)), "things": None},
    ]
    records = [Record(Path(f"{k}.png"), 1, 1, split="train", annotations=row) for k, row in enumerate(rows)]
    # What only another split has can't be learnt either.
    records.append(Record(Path("v.png"), 1, 1, split="val", annotations={"kind": Label("b")}))
    found = never_labelled(Manifest.build(records, columns))
    assert found == {"kind": ["b"], "marks": ["c"], "things": ["c"]}


def test_rows_without_a_split_are_divided(tmp_path, shapes):
    for split in ("train", "val"):
        for kind in ("bright", "dark"):
            target = tmp_path / "flat" / kind
            target.mkdir(parents=True, exist_ok=True)
            for path in (tmp_path / "data" / split / kind).iterdir():
                path.rename(target / path.name)
    shapes["tasks"].pop("squares")
    shapes["sources"] = [{"format": "folder", "root": "flat", "tasks": ["kind"]}]
    shapes["splits"] = {"fractions": {"train": 0.75, "test": 0.25}}
    manifest = build_manifest(parse_config(shapes), tmp_path, Problems())
    assert (len(manifest.rows(split="train")), len(manifest.rows(split="test"))) == (18, 6)


def test_a_source_without_a_usable_image_is_refused_with_the_first_reason(tmp_path, shapes):
    for path in (tmp_path / "data").rglob("*.png"):
        path.write_bytes(b"<html>")
    with pytest.raises(
        OneglanceError, match=r"source 'data' \(folder\)|source 'shapes' \(folder\): not a single usable image"
    ):
        build_manifest(parse_config(shapes), tmp_path, Problems())


def test_problems_are_kept_as_a_table_and_a_resumed_run_adds_to_it(tmp_path):
    problems = Problems(keep=2)
    for k in range(4):
        problems.add(f"{k}.jpg", 'broken, "quoted"')
    write_problems(problems, tmp_path / "p.csv")
    write_problems(Problems(), tmp_path / "p.csv", append=True)
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines[0] == "where,what"
    assert len(lines) == 4
    assert "and 2 more" in lines[-1]
