"""Writing, reading again, converting: nothing is lost that the format holds, and what is lost is said."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from format_helpers import OBJECTS, H, W, boxes, f32, image, items, mask, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from oneglance.annotations import (
    Identity,
    Instance,
    Instances,
    Label,
    Numbers,
    Points,
    Record,
    Segments,
    Tags,
    same,
)
from oneglance.decode import decode_mask
from oneglance.errors import OneglanceError, Problems
from oneglance.formats import FORMATS, WriteOptions, convert, recognise, rle
from oneglance.manifest import Column, Columns, Manifest

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SHAPED: Columns = {"objects": Column("instances", ("cat", "dog"), points=("nose", "left_ear", "right_ear"))}

grid = st.integers(0, 19)


@st.composite
def box(draw: Any) -> np.ndarray:
    x, y = draw(grid), draw(grid) / 2
    return f32(x, y, x + draw(st.integers(1, 20)), y + draw(st.integers(2, 20)))


@st.composite
def points(draw: Any) -> Points:
    rows = draw(st.lists(st.tuples(grid, grid, st.sampled_from([0, 1, 2])), min_size=3, max_size=3))
    table = np.array([(0, 0, 0) if v == 0 else (x, y, v) for x, y, v in rows], np.float32)
    return Points(table[:, :2].copy(), table[:, 2].astype(np.int8))


@st.composite
def polygon(draw: Any) -> np.ndarray:
    x, y, w, h = draw(grid), draw(grid), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    return f32(x, y, x + w, y, x + w, y + h, x + w / 2, y + h / 2).reshape(-1, 2)


@st.composite
def pixel_mask(draw: Any) -> rle.Rle:
    seed = draw(st.integers(0, 2**16))
    pixels = np.random.default_rng(seed).random((H, W)) < 0.2
    return rle.encode(pixels)


def around(parts: tuple[np.ndarray, ...]) -> np.ndarray:
    stacked = np.concatenate(parts)
    return np.concatenate([stacked.min(0), stacked.max(0)])


@st.composite
def instance(draw: Any, masks: bool = True, with_points: bool = True) -> Instance:
    kinds = ["box", "polygons", "rle"] if masks else ["box"]
    kind = draw(st.sampled_from(kinds))
    item = Instance(draw(st.sampled_from(["cat", "dog"])), draw(box()))
    if kind == "polygons":
        parts = tuple(draw(st.lists(polygon(), min_size=1, max_size=3)))
        item = replace(item, polygons=parts, box=around(parts))
    elif kind == "rle":
        item = replace(item, rle=draw(pixel_mask()))
        item = replace(item, box=rle.box(item.rle))
    if with_points and draw(st.booleans()):
        item = replace(item, points=draw(points()))
    return item


def row(folder: Path, name: str, annotations: dict[str, Any], **more: Any) -> Record:
    path = folder / name
    if not path.exists():
        image(path)
    return Record(path, W, H, annotations=annotations, source="x", **more)


def again(
    target: str, records: list[Record], columns: Columns, source: dict[str, Any]
) -> tuple[list[Record], list[str]]:
    """Write, read, and give the records in their first order."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        said = FORMATS[target].write(records, columns, out, WriteOptions())
        tasks = list(columns)
        found, problems = read({"format": target, "root": "out", "tasks": tasks, **source}, columns, Path(folder))
        assert not [p for p in problems if "times: no " not in p], problems
        by_name = {record.path.name: record for record in found}
    return [by_name[record.path.name] for record in records if record.path.name in by_name], said


def close(one: Instance, other: Instance, tolerance: float = 1e-3) -> bool:
    """Whether two objects have the same class, box, polygons, mask and points, ids and areas apart."""
    same_shape = len(one.polygons or ()) == len(other.polygons or ()) and all(
        a.shape == b.shape and np.allclose(a, b, atol=tolerance)
        for a, b in zip(one.polygons or (), other.polygons or (), strict=True)
    )
    return (
        one.label == other.label and np.allclose(one.box, other.box, atol=tolerance) and same_shape
        and same(one.rle, other.rle) and (one.points is None) == (other.points is None)
        and (one.points is None or (np.allclose(one.points.xy, other.points.xy, atol=tolerance)
                                    and same(one.points.visibility, other.points.visibility)))
    )  # fmt: skip


def check(before: list[Record], after: list[Record], task: str = "objects") -> None:
    for one, other in zip(before, after, strict=True):
        wanted, found = one.annotations[task], other.annotations[task]
        assert (wanted is None) == (found is None)
        if wanted is not None:
            assert wanted.annotated == found.annotated
            assert len(wanted) == len(found)
            assert all(close(a, b) for a, b in zip(wanted.items, found.items, strict=True)), (wanted, found)


@given(st.lists(st.lists(instance(), max_size=4), min_size=1, max_size=4))
@quick
def test_coco_and_back(tmp_path: Path, content: list[list[Instance]]) -> None:
    records = [row(tmp_path, f"{i}.jpg", {"objects": Instances(tuple(one))}) for i, one in enumerate(content)]
    after, said = again("coco", records, SHAPED, {"images": "images", "labels": "annotations/objects_all.json"})
    check(records, after)
    assert not said


@given(st.lists(st.lists(instance(masks=False, with_points=False), max_size=4), min_size=1, max_size=4))
@quick
@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("voc", {}),
        ("yolo", {}),
        ("labelme", {}),
        ("csv", {"images": "images", "labels": "objects.csv"}),
        ("coco", {"images": "images", "labels": "annotations/objects_all.json"}),
    ],
)  # fmt: skip
def test_boxes_through_every_format(tmp_path: Path, target: str, source: Any, content: list[list[Instance]]) -> None:
    # Two objects of the same class and place are one to YOLO's readers.
    unique = [list({(i.label, *i.box.tolist()): i for i in one}.values()) for one in content]
    records = [row(tmp_path, f"{i}.jpg", {"objects": Instances(tuple(one))}) for i, one in enumerate(unique)]
    after, _ = again(target, records, OBJECTS, source)
    check(records, after)


@given(st.lists(st.lists(instance(), max_size=3), min_size=1, max_size=3))
@quick
def test_labelme_and_back(tmp_path: Path, content: list[list[Instance]]) -> None:
    whole = [
        [replace(i, points=i.points if i.points is not None and i.points.visibility.any() else None) for i in one]
        for one in content
    ]
    records = [row(tmp_path, f"{i}.jpg", {"objects": Instances(tuple(one))}) for i, one in enumerate(whole)]
    after, said = again("labelme", records, SHAPED, {})
    check(records, after)
    assert not said


@given(st.lists(points(), min_size=1, max_size=4), st.lists(box(), min_size=4, max_size=4))
@quick
def test_yolo_points_and_back(tmp_path: Path, content: list[Points], around_them: list[np.ndarray]) -> None:
    items_ = tuple(Instance("dog", b, points=p) for p, b in zip(content, around_them, strict=False))
    items_ = tuple({tuple(i.box): i for i in items_}.values())
    after, said = again("yolo", [row(tmp_path, "a.jpg", {"objects": Instances(items_)}, split="val")], SHAPED, {})
    assert after[0].split == "val"
    check([row(tmp_path, "a.jpg", {"objects": Instances(items_)})], after)
    assert not said


ALL: Columns = {
    "kind": Column("label", ("cat", "dog")), "looks": Column("tags", ("wet", "old")),
    "size": Column("numbers", targets=("kg", "cm")), "who": Column("identity"),
    "face": Column("points", points=("nose", "left_ear", "right_ear")),
}  # fmt: skip
number = st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6, width=32))
tags = st.sampled_from([Tags(()), Tags(("wet",)), Tags(("wet", "old")), Tags(("old",), ("old",)), Tags((), ("wet",))])
sizes = st.lists(number, min_size=2, max_size=2).filter(lambda v: not all(np.isnan(v)))


@given(
    st.lists(
        st.fixed_dictionaries({
            "kind": st.sampled_from([None, Label("cat"), Label("dog")]),
            "looks": st.none() | tags,
            "size": st.none() | sizes.map(lambda v: Numbers(f32(*v))),
            "who": st.none() | st.text("ab;,\" '\u00e9#", min_size=1)
            .map(str.strip).filter(bool).map(Identity),
            "face": st.none() | points(),
        }),
        min_size=1, max_size=4,
    )
)  # fmt: skip
@quick
def test_every_kind_of_label_through_a_table(tmp_path: Path, content: list[dict[str, Any]]) -> None:
    records = [row(tmp_path, f"{i}.jpg", one, split="val", group=f"g{i}") for i, one in enumerate(content)]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        assert FORMATS["csv"].write(records, ALL, out, WriteOptions()) == []
        (source,) = yaml.safe_load((out / "sources.yaml").read_text())["sources"]
        after, problems = read(source, ALL, out)
    assert not problems
    for one, other in zip(records, after, strict=True):
        assert same(one.annotations, other.annotations), (one, other)
        assert (one.split, one.group) == (other.split, other.group)


@given(st.integers(0, 2**16), st.lists(st.sampled_from([0, 1, 5, 77]), min_size=1, max_size=3))
@quick
def test_masks_and_back(tmp_path: Path, seed: int, kept: list[int]) -> None:
    columns: Columns = {"ground": Column("segments", ("sky", "road", "tree"))}
    pixels = np.random.default_rng(seed).choice([0, 1, 5, 77], (H, W))
    path = mask(tmp_path / "m.png", pixels)
    values = tuple((v, n) for v, n in ((0, "road"), (5, "sky"), (77, "tree")) if v in kept)
    records = [row(tmp_path, "a.jpg", {"ground": Segments(path, values)}, split="train"),
               row(tmp_path, "b.jpg", {"ground": None}, split="train")]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        FORMATS["masks"].write(records, columns, Path(folder) / "out", WriteOptions())
        source = {"format": "masks", "root": "out", "images": {"train": "images/train"},
                  "labels": {"train": "masks/train"}, "tasks": ["ground"], "scan": True}  # fmt: skip
        (a, b), _ = read(source, columns, Path(folder))
        drawn = decode_mask(a.annotations["ground"].path)
    assert b.annotations["ground"] is None
    expected = np.full((H, W), 255)
    for value, name in values:
        expected[pixels == value] = columns["ground"].classes.index(name)
    assert np.array_equal(drawn, expected)


def test_class_folders_and_back(tmp_path: Path) -> None:
    columns: Columns = {"kind": ALL["kind"]}
    records = [row(tmp_path, f"{i}.jpg", {"kind": label}, split="train") for i, label in
               enumerate([Label("cat"), Label("dog"), None])]  # fmt: skip
    after, said = again("folder", records, columns, {})
    assert [r.annotations["kind"] for r in after] == [Label("cat"), Label("dog")]
    assert said == ["folder: it has no place for unlabelled images; images left out (1)"]


def test_coco_keeps_unknown_apart_from_negative(tmp_path: Path) -> None:
    cat = Instance("cat", f32(1, 1, 5, 5))
    records = [
        row(tmp_path, "all.jpg", {"objects": Instances((cat,))}),
        row(tmp_path, "cats.jpg", {"objects": Instances((), ("cat",))}),
        row(tmp_path, "none.jpg", {"objects": None}),
    ]
    out = tmp_path / "out"
    said = FORMATS["coco"].write(records, OBJECTS, out, WriteOptions())
    found = []
    for path in sorted((out / "annotations").iterdir()):
        source = {
            "format": "coco",
            "images": "images",
            "labels": f"annotations/{path.name}",
            "tasks": ["objects"],
        }
        found += read(source, OBJECTS, out)[0]
    assert {r.path.name: r.annotations["objects"].annotated for r in found} == {
        "all.jpg": None,
        "cats.jpg": ("cat",),
    }
    assert any("only cat were looked for (1)" in sentence for sentence in said)
    assert any("images unlabelled for 'objects' are not in its file (1)" in sentence for sentence in said)


def test_coco_gives_back_ids_categories_licences_and_captions(tmp_path: Path) -> None:
    image(tmp_path / "i" / "a.jpg")
    data = {
        "images": [{"id": 0, "file_name": "a.jpg", "license": 3, "date_captured": "2013"}],
        "annotations": [{"id": 12, "image_id": 0, "category_id": 1, "bbox": [1, 1, 5, 5],
                         "area": 9.5, "iscrowd": 1,
                         "keypoints": [1, 2, 2, 3, 4, 1, 0, 0, 0], "num_keypoints": 2, "mine": [1],
                         "score": 0.5}],
        "categories": [{"id": 1, "name": "dog", "keypoints": ["nose", "left_ear", "right_ear"],
                        "skeleton": [[1, 3]]},
                       {"id": 7, "name": "cat"}],
        "licenses": [{"id": 3, "name": "CC", "url": "x"}],
    }  # fmt: skip
    (tmp_path / "x.json").write_text(json.dumps(data))
    (tmp_path / "c.json").write_text(
        json.dumps({"images": [], "annotations": [{"id": 4, "image_id": 0, "caption": "hi"}]})
    )
    source = {"format": "coco", "images": "i", "labels": "x.json", "captions": "c.json", "tasks": ["objects"]}
    records, _ = read(source, SHAPED, tmp_path)
    # Through the manifest, as every conversion of a real set goes.
    records = list(Manifest.build(records, SHAPED, tmp_path / "m.arrow"))
    FORMATS["coco"].write(records, SHAPED, tmp_path / "out", WriteOptions())
    made = json.loads((tmp_path / "out" / "annotations" / "objects_all.json").read_text())
    assert made["images"] == [{**data["images"][0], "width": W, "height": H}]
    (annotation,) = made["annotations"]
    assert {key: annotation[key] for key in data["annotations"][0] if key != "score"} == {
        key: value for key, value in data["annotations"][0].items() if key != "score"
    }
    dog = next(c for c in made["categories"] if c["name"] == "dog")
    assert (dog["id"], dog["skeleton"]) == (1, [[1, 3]])
    assert made["licenses"] == data["licenses"]
    assert len({category["id"] for category in made["categories"]}) == 2
    captions = json.loads((tmp_path / "out" / "annotations" / "captions_objects_all.json").read_text())
    assert captions["annotations"] == [{"caption": "hi", "image_id": 0, "id": 1}]


def test_coco_keeps_identities_and_points_of_several_classes(tmp_path: Path) -> None:
    columns = {
        "objects": Column("instances", ("cat", "dog"), points_of={"cat": ("nose", "tail"), "dog": ("left", "right")})
    }
    two = Points(f32(1, 2, 3, 4).reshape(2, 2), np.array([2, 1], np.int8))
    cat = Instance("cat", f32(0, 0, 9, 9), points=two, identity="Tom", attributes={"colour": "grey"})
    dog = Instance("dog", f32(1, 1, 9, 9), points=two)
    before = [row(tmp_path, "a.png", {"objects": Instances((cat, dog))})]
    assert FORMATS["coco"].write(before, columns, tmp_path / "out", WriteOptions()) == []
    place = {"format": "coco", "root": str(tmp_path / "out"), "images": "images", "tasks": ["objects"]}
    place["labels"] = "annotations/objects_all.json"
    (found,) = FORMATS["coco"].model_validate(place).read(columns, Problems(), tmp_path)
    one, other = found.annotations["objects"].items  # type: ignore[union-attr]
    assert (one.identity, other.identity) == ("Tom", None)
    assert one.attributes["colour"] == "grey"
    for item in (one, other):
        assert np.array_equal(item.points.xy, two.xy)
        assert item.points.visibility.tolist() == [2, 1]
    text = json.loads((tmp_path / "out" / "annotations" / "objects_all.json").read_text())
    assert [c["keypoints"] for c in text["categories"]] == [["nose", "tail"], ["left", "right"]]
    unnamed = FORMATS["coco"].model_validate({**place, "identity": None})
    (record,) = unnamed.read(columns, Problems(), tmp_path)
    assert [i.identity for i in record.annotations["objects"].items] == [None, None]  # type: ignore[union-attr]


def test_coco_never_writes_an_annotation_id_of_zero(tmp_path: Path) -> None:
    objects = tuple(Instance("cat", f32(i, 1, i + 5, 5), id=i) for i in range(2))
    FORMATS["coco"].write(
        [row(tmp_path, "a.jpg", {"objects": Instances(objects)})], OBJECTS, tmp_path / "o", WriteOptions()
    )
    made = json.loads((tmp_path / "o" / "annotations" / "objects_all.json").read_text())
    assert [annotation["id"] for annotation in made["annotations"]] == [1, 2]
    assert all(annotation["iscrowd"] == 0 for annotation in made["annotations"])


def rich() -> Instance:
    """An object with everything that a format may not hold."""
    pixels = np.zeros((H, W), bool)
    pixels[2:9, 2:9] = True
    pixels[4, 4] = False
    return Instance(
        "cat", f32(2, 2, 9, 9), rle=rle.encode(pixels), identity="Tom", id=4, crowd=True, difficult=True,
        score=0.5,
        attributes={"colour": "red"}, points=Points(np.zeros((1, 2), np.float32), np.array([2], np.int8)),
    )  # fmt: skip


SAYS = {
    "voc": [
        "no masks",
        "no scores",
        "no identities",
        "no ids",
        "no keypoints",
        "no attributes",
        "looked for",
    ],
    "yolo": [
        "no holes; masks written as their outer outlines (1)",
        "no scores",
        "unlabelled",
        "no identities",
        "looked for",
    ],
    "labelme": ["no scores", "no identities", "no ids", "points by name", "looked for"],
    "csv": ["no masks", "unlabelled", "no ids", "marks", "looked for"],
    "coco": ["`difficult`", "unlabelled", "looked for"],
}


@pytest.mark.parametrize("target", SAYS)
def test_what_a_format_cannot_hold_is_said(target: str, tmp_path: Path) -> None:
    records = [
        row(tmp_path, "a.jpg", {"objects": Instances((rich(),), ("cat",))}),
        row(tmp_path, "b.jpg", {"objects": None}),
    ]
    columns = {**OBJECTS, "extra": Column("label", ("x",))}
    options = WriteOptions(tasks=["objects"])
    said = " ".join(FORMATS[target].write(records, columns, tmp_path / "out", options))
    for words in [*SAYS[target], "task 'extra' (label) is not written"]:
        assert words in said, (words, said)


def test_yolo_says_which_points_change_places_in_a_mirror(tmp_path: Path) -> None:
    FORMATS["yolo"].write([], SHAPED, tmp_path / "out", WriteOptions())
    data = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    assert (data["kpt_shape"], data["flip_idx"]) == ([3, 3], [0, 2, 1])


def test_yolo_joins_parts_and_draws_boxes_among_polygons(tmp_path: Path) -> None:
    square = f32(0, 0, 4, 0, 4, 4, 0, 4).reshape(-1, 2)
    parts = (square, square + f32(12, 1), square + f32(3, 15))
    objects = (Instance("cat", around(parts), parts), Instance("dog", f32(20, 20, 30, 25)))
    (after,), said = again("yolo", [row(tmp_path, "a.jpg", {"objects": Instances(objects)})], OBJECTS, {})
    cat, dog = items(after)
    x, y = cat.polygons[0].astype(float).T
    assert abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2 == pytest.approx(48, abs=0.01)
    assert dog.polygons[0].tolist() == [[20, 20], [30, 20], [30, 25], [20, 25]]
    assert any("lines of no width (1)" in sentence for sentence in said)
    assert any("written as rectangles (1)" in sentence for sentence in said)


@pytest.mark.parametrize("target", ["coco", "voc", "yolo", "labelme", "csv"])
@pytest.mark.parametrize("images", ["link", "copy"])
def test_images_of_like_names_stay_apart(target: str, images: str, tmp_path: Path) -> None:
    names = ["a/b.jpg", "a_b.jpg", "b.jpg", "x/a/b.jpg", "A_B.jpg", "b.png"]
    records = []
    for index, name in enumerate(names):
        path = image(tmp_path / "in" / name, W, H + index)
        objects = (Instance("cat", f32(index, 1, index + 3, 9)),)
        records.append(Record(path, W, H + index, annotations={"objects": Instances(objects)}))
    out = tmp_path / "out"
    FORMATS[target].write(records, OBJECTS, out, WriteOptions(images=images, root=tmp_path / "in"))
    source = {"coco": {"images": "images", "labels": "annotations/objects_all.json"}, "csv": {
        "images": "images", "labels": "objects.csv"}}.get(target, {})  # fmt: skip
    found, problems = read({"format": target, "root": "out", "tasks": ["objects"], **source}, OBJECTS, tmp_path)
    assert not problems
    assert len({str(r.path).lower() for r in found}) == len(names)  # some disks know no case
    assert sorted((r.height - H, boxes(r)[0][1][0]) for r in found) == [(i, float(i)) for i in range(len(names))]


@pytest.mark.parametrize("target", FORMATS)
def test_nothing_is_written_over(target: str, tmp_path: Path) -> None:
    columns = {**OBJECTS, "kind": ALL["kind"], "ground": Column("segments", ("sky",)), "who": Column("identity")}
    task = {"folder": "kind", "masks": "ground", "lfw": "who"}.get(target, "objects")
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    with pytest.raises(OneglanceError, match="not empty"):
        FORMATS[target].write([], columns, out, WriteOptions(tasks=[task]))
    assert [path.name for path in out.iterdir()] == ["precious.txt"]
    with pytest.raises(OneglanceError, match="did you mean 'objects'"):
        FORMATS[target].write([], columns, tmp_path / "new", WriteOptions(tasks=["object"]))
    with pytest.raises(OneglanceError, match="hold"):
        FORMATS[target].write(
            [], {"x": Column("numbers" if target != "csv" else "segments")}, tmp_path / "new", WriteOptions()
        )


def test_convert_says_what_was_lost_and_keeps_relative_names(tmp_path: Path) -> None:
    records = [row(tmp_path / "in", "p/a.jpg", {"objects": Instances((Instance("cat", f32(1, 1, 9, 9), id=3),))})]
    FORMATS["coco"].write(records, OBJECTS, tmp_path / "coco", WriteOptions(root=tmp_path / "in"))
    source = FORMATS["coco"].model_validate(
        {
            "format": "coco",
            "root": "coco",
            "images": "images",
            "labels": "annotations/objects_all.json",
            "tasks": ["objects"],
        }
    )
    said = convert(source, "voc", tmp_path / "voc", OBJECTS, tmp_path)
    assert said == ["VOC: it keeps no ids; objects that had one (1)"]
    assert (tmp_path / "voc" / "JPEGImages" / "p" / "a.jpg").is_file()
    with pytest.raises(OneglanceError, match="did you mean 'yolo'"):
        convert(source, "yollo", tmp_path / "y", OBJECTS, tmp_path)


def test_what_will_not_be_written_is_not_read(tmp_path: Path) -> None:
    """A fault in the labels of a task that the target can't hold is nobody's concern there."""
    image(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("image,x1,y1,x2,y2,label,age\na.png,1,1,9,9,cat,old\n")
    source = FORMATS["csv"].model_validate(
        {
            "format": "csv",
            "labels": "t.csv",
            "tasks": {"objects": {"box": ["x1", "y1", "x2", "y2"], "label": "label"}, "age": {"columns": ["age"]}},
        }
    )
    columns: Columns = {"objects": Column("instances", ("cat",)), "age": Column("numbers", targets=("age",))}
    problems = Problems()
    said = convert(source, "yolo", tmp_path / "yolo", columns, tmp_path, problems=problems)
    assert list(problems) == []
    assert said[0] == "YOLO: task 'age' (numbers) is not written"
    assert len(list(tmp_path.glob("yolo/**/a.txt"))) == 1
    convert(source, "csv", tmp_path / "csv", columns, tmp_path, problems=problems)
    assert [one.what for one in problems] == ["task 'age': column 'age' holds 'old', a number is expected; unknown"]


TYPES = {"detection": "instances", "classification": "label", "segmentation": "segments",
         "keypoints": "points",
         "embedding": "identity", "tagging": "tags", "regression": "numbers"}  # fmt: skip


@pytest.mark.parametrize("target", ["coco", "voc", "yolo", "labelme", "masks", "folder", "csv"])
def test_what_was_written_is_recognised_and_read(target: str, tmp_path: Path) -> None:
    """``init`` looks at a folder: the entry it suggests reads every image, with labels."""
    columns: Columns = {
        **OBJECTS,
        "kind": ALL["kind"],
        "ground": Column("segments", ("sky", "road")),
        "face": ALL["face"],
    }
    task = {"folder": "kind", "masks": "ground", "csv": "face"}.get(target, "objects")
    records = []
    for index in range(12):
        path = mask(tmp_path / "m" / f"{index}.png", np.full((H, W), index % 2))
        annotations = {
            "objects": Instances((Instance(("cat", "dog")[index % 2], f32(1, 1, 9, 9)),)),
            "kind": Label(("cat", "dog")[index % 2]), "ground": Segments(path, ((0, "sky"), (1, "road"))),
            "face": Points(np.full((3, 2), float(index), np.float32), np.array([1, 2, 0], np.int8)),
        }  # fmt: skip
        records.append(row(tmp_path / "in", f"{index}.jpg", annotations, split="train"))
    FORMATS[target].write(records, columns, tmp_path / "out", WriteOptions(tasks=[task]))
    found = [s for s in recognise(tmp_path / "out") if s.source["format"] == target]
    assert len(found) == 1, found
    (suggestion,) = found
    yaml.safe_dump(suggestion.source)
    made: Columns = {
        name: Column(TYPES[one["kind"]], tuple(one.get("classes", ())), tuple(one.get("points", ())))
        for name, one in suggestion.tasks.items()
        if one.get("on", "image") == "image"
    }
    fields = suggestion.source["tasks"]
    source = {**suggestion.source, "tasks": {k: v for k, v in fields.items() if k in made}
              if isinstance(fields, dict)
              else [k for k in fields if k in made]}  # fmt: skip
    after, problems = read(source, made, tmp_path / "out")
    assert len(after) == 12
    assert not problems
    assert all(annotation is not None for record in after for annotation in record.annotations.values())
    if target == "csv":
        assert suggestion.tasks["labels"]["flip"] == [["face/left_ear", "face/right_ear"]]


def coco_json(folder: Path, split: str) -> None:
    """A folder as Roboflow exports it: images and their JSON together, a category 0 that only heads the others."""
    (folder / split).mkdir(parents=True)
    Image.new("RGB", (20, 10)).save(folder / split / "a.png")
    categories = [
        {"id": 0, "name": "things", "supercategory": "none"},
        {"id": 1, "name": "cup", "supercategory": "things"},
        {"id": 2, "name": "person", "supercategory": "person"},
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
        "categories": categories,
    }
    (folder / split / "_annotations.coco.json").write_text(json.dumps(content))


def test_splits_that_folders_are_named_after_are_kept(tmp_path: Path) -> None:
    """Divided anew, images kept apart for testing would be trained on."""
    for split in ("train", "valid", "test"):
        coco_json(tmp_path / "coco", split)
        voc = tmp_path / "voc" / split
        voc.mkdir(parents=True)
        Image.new("RGB", (20, 10)).save(voc / "a.png")
        box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox>"
        (voc / "a.xml").write_text(f"<annotation><object><name>cup</name>{box}</object></annotation>")
        for part, name, text in (("images", "a.png", None), ("labels", "a.txt", "0 0.5 0.5 0.2 0.2")):
            (tmp_path / "yolo" / split / part).mkdir(parents=True)
            if text is None:
                Image.new("RGB", (20, 10)).save(tmp_path / "yolo" / split / part / name)
            else:
                (tmp_path / "yolo" / split / part / name).write_text(text)
    for name in ("coco", "voc", "yolo"):
        found = [one.source for one in recognise(tmp_path / name) if one.source["format"] == name]
        assert sorted((source["images"].split("/")[0], source["split"]) for source in found) == [
            ("test", "test"),
            ("train", "train"),
            ("valid", "val"),
        ]


def test_a_category_that_only_heads_the_others_is_no_class(tmp_path: Path) -> None:
    coco_json(tmp_path, "train")
    (found,) = [one for one in recognise(tmp_path) if one.source["format"] == "coco"]
    assert found.tasks["objects"]["classes"] == ["cup", "person"]


def test_an_empty_or_foreign_folder_is_recognised_as_nothing(tmp_path: Path) -> None:
    assert recognise(tmp_path) == []
    (tmp_path / "a.json").write_text("[1, 2]")
    (tmp_path / "b.xml").write_text("<html/>")
    (tmp_path / "c.csv").write_text("x\n")
    (tmp_path / "d.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "e.yaml").write_text("a: *b")
    image(tmp_path / "photo.jpg")
    assert recognise(tmp_path) == []
    with pytest.raises(OneglanceError, match="no such folder"):
        recognise(tmp_path / "nowhere")
