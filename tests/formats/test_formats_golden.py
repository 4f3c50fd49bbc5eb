"""Tiny files by hand, and exactly what they mean: coordinates, unknown against empty, classes, points,
splits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_helpers import OBJECTS, H, W, boxes, image, items, mask, read
from PIL import Image

from oneglance.annotations import Identity, Instances, Label, Numbers, Points, Segments, Tags, same
from oneglance.formats import FORMATS, rle
from oneglance.formats.shapes import polygon_area
from oneglance.manifest import Column, Columns

SHAPED: Columns = {"objects": Column("instances", ("cat", "dog"), points=("nose", "tail"))}


def coco(tmp: Path, name: str, annotations: list[Any], categories: list[Any], **more: Any) -> None:
    images = [{"id": i, "file_name": f"{stem}.jpg", "license": 4} for i, stem in ((7, "a"), (3, "b"))]
    for stem in "abc":
        image(tmp / "images" / f"{stem}.jpg")
    (tmp / name).write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories, **more})
    )


CATEGORIES = [
    {"id": 44, "name": "dog", "keypoints": ["tail", "nose"], "skeleton": [[1, 2]]},
    {"id": 2, "name": "cat"},
]


def test_coco_boxes_masks_points_and_what_goes_with_them(tmp_path: Path) -> None:
    dog = {
        "id": 9, "image_id": 7, "category_id": 44, "bbox": [1.5, 2, 10, 20.25], "area": 33.5, "iscrowd": 0,
        "segmentation": [[1, 2, 11, 2, 11, 22]],
        "keypoints": [5, 6, 1, 0, 0, 0], "num_keypoints": 1, "note": "x",
    }  # fmt: skip
    crowd = {"id": 0, "image_id": 7, "category_id": 2, "bbox": [0, 0, 2, 1], "area": 2, "iscrowd": 1,
             "segmentation": {"size": [H, W], "counts": [0, 1, H - 1, 1, H * W - H - 1]}}  # fmt: skip
    coco(tmp_path, "x.json", [dog, crowd], CATEGORIES, licenses=[{"id": 4, "name": "CC"}])
    (tmp_path / "captions.json").write_text(
        json.dumps({"images": [], "annotations": [{"image_id": 7, "id": 1, "caption": "Two animals."}]})
    )
    source = {
        "format": "coco",
        "images": "images",
        "labels": "x.json",
        "captions": "captions.json",
        "tasks": ["objects"],
    }
    (a, b), problems = read(source, SHAPED, tmp_path)
    assert not problems
    assert (a.path, a.width, a.height, a.source) == (tmp_path / "images" / "a.jpg", W, H, "images")
    assert a.extra["captions"] == ["Two animals."]
    assert a.extra["license"] == {"id": 4, "name": "CC"}
    assert a.extra["skeleton"] == {"dog": [["tail", "nose"]]}
    one, other = items(a)
    assert (one.label, one.id, one.area, one.crowd) == ("dog", 9, 33.5, False)
    assert one.box.tolist() == [1.5, 2, 11.5, 22.25]
    assert one.polygons[0].tolist() == [[1, 2], [11, 2], [11, 22]]
    # The task's order of points is nose, tail; the file's is tail, nose.
    assert one.points.xy.tolist() == [[0, 0], [5, 6]]
    assert one.points.visibility.tolist() == [0, 1]
    assert one.extra == {"category_id": 44, "note": "x"}
    assert (other.label, other.id, other.crowd, other.points) == ("cat", 0, True, None)
    assert rle.decode(other.rle).sum() == 2
    assert rle.decode(other.rle)[0, :2].all()
    # Listed without annotations: looked at, nothing there. On disk but not listed: no row, or an unlabelled
    # one.
    assert b.annotations["objects"] == Instances(())
    records, _ = read({**source, "unlabelled": True}, SHAPED, tmp_path)
    assert [record.annotations["objects"] is None for record in records] == [False, False, True]


def test_a_class_that_coco_does_not_know_is_unknown_and_others_are_left_out(tmp_path: Path) -> None:
    annotation = {"id": 1, "image_id": 7, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
    rows = [{**annotation, "id": i, "category_id": c} for i, c in ((1, 2), (2, 44), (3, 44))]
    coco(tmp_path, "x.json", rows, CATEGORIES)
    source = {"format": "coco", "images": "images", "labels": "x.json", "tasks": ["objects"]}
    columns: Columns = {"objects": Column("instances", ("cat", "dogs", "bird"))}
    (a, b), problems = read(source, columns, tmp_path)
    assert [item.label for item in items(a)] == ["cat"]
    assert a.annotations["objects"].annotated == ("cat",)
    assert b.annotations["objects"] == Instances((), ("cat",))
    assert problems == [
        "source 'images': 2 of class 'dog' left out: no task of this source has the class; did you mean 'dogs'?"
    ]
    (a, b), problems = read({**source, "rename": {"dog": "dogs"}}, columns, tmp_path)
    assert [item.label for item in items(a)] == ["cat", "dogs", "dogs"]
    assert a.annotations["objects"].annotated == ("cat", "dogs")
    assert not problems
    (a, b), problems = read({**source, "rename": {"dog": "dogs"}, "annotated": ["dog"]}, columns, tmp_path)
    assert b.annotations["objects"].annotated == ("dogs",)
    # A task none of whose classes was looked for is not labelled at all.
    (a, b), _ = read(source, {"objects": Column("instances", ("bird",))}, tmp_path)
    assert a.annotations["objects"] is None


def test_two_tasks_share_a_file_and_only_strangers_are_reported(tmp_path: Path) -> None:
    rows = [{"id": i, "image_id": 7, "category_id": c, "bbox": [1, 1, 5, 5], "area": 25} for i, c in ((1, 2), (2, 44))]
    coco(tmp_path, "x.json", rows, CATEGORIES)
    columns: Columns = {
        "cats": Column("instances", ("cat",)), "dogs": Column("instances", ("dog",)),
        "seen": Column("tags", ("cat", "dog", "cow")), "which": Column("label", ("cat", "dog")),
    }  # fmt: skip
    source = {"format": "coco", "images": "images", "labels": "x.json", "tasks": list(columns)}
    (a, b), problems = read(source, columns, tmp_path)
    assert [item.label for item in items(a, "cats")] == ["cat"]
    assert [item.label for item in items(a, "dogs")] == ["dog"]
    assert a.annotations["seen"] == Tags(("cat", "dog"), ("cat", "dog"))
    assert b.annotations["seen"] == Tags((), ("cat", "dog"))
    assert a.annotations["which"] is None
    assert len(problems) == 1
    assert "task 'which' needs one" in problems[0]


def test_instances_and_keypoints_of_one_id_are_put_together(tmp_path: Path) -> None:
    same_object = {"id": 5, "image_id": 7, "bbox": [1, 1, 9, 9], "area": 30, "iscrowd": 0}
    coco(tmp_path, "i.json", [{**same_object, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]},
                              {**same_object, "id": 6, "category_id": 2}],
         [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}])  # fmt: skip
    coco(tmp_path, "k.json", [{**same_object, "category_id": 44, "keypoints": [1, 1, 2, 3, 3, 2]},
                              {**same_object, "id": 8, "category_id": 44, "keypoints": [0] * 6}],
         CATEGORIES[:1])  # fmt: skip
    source = {"format": "coco", "images": "images", "labels": ["i.json", "k.json"], "tasks": ["objects"]}
    (a, _), problems = read(source, SHAPED, tmp_path)
    dog, cat, other = items(a)
    assert dog.polygons is not None
    assert dog.points.xy.tolist() == [[3, 3], [1, 1]]
    assert (cat.label, cat.points) == ("cat", None)
    # num_keypoints 0: the object is known, none of its points is.
    assert other.points.visibility.tolist() == [0, 0]
    assert not problems


def voc_xml(objects: str) -> str:
    return f"<annotation><size><width>{W}</width><height>{H}</height></size>{objects}</annotation>"


def test_voc_pixels_are_one_based_and_inclusive_and_no_xml_is_unlabelled(tmp_path: Path) -> None:
    for stem in "abc":
        image(tmp_path / "JPEGImages" / f"{stem}.jpg")
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text(voc_xml(
        f"<object><name>dog</name><pose>Left</pose><truncated>1</truncated><difficult>1</difficult><occluded>1</occluded>"
        f"<bndbox><ymin>1</ymin><xmin>1</xmin><ymax>{H}</ymax><xmax>{W}</xmax></bndbox></object>"
    ))  # fmt: skip
    (tmp_path / "Annotations" / "b.xml").write_text(voc_xml(""))
    (a, b, c), problems = read({"format": "voc", "root": ".", "tasks": ["objects"]}, OBJECTS, tmp_path)
    (dog,) = items(a)
    assert dog.box.tolist() == [0, 0, W, H]
    assert (dog.difficult, dog.truncated, dog.attributes, dog.extra) == (
        True,
        True,
        {"occluded": 1},
        {"pose": "Left"},
    )
    assert b.annotations["objects"] == Instances(())
    assert c.annotations["objects"] is None
    assert len(problems) == 1
    assert "1 times: no XML" in problems[0]


def test_yolo_boxes_polygons_points_and_missing_files(tmp_path: Path) -> None:
    for split, stem in (("train", "a"), ("train", "b"), ("val", "c")):
        image(tmp_path / "images" / split / f"{stem}.jpg")
        (tmp_path / "labels" / split).mkdir(parents=True, exist_ok=True)
    (tmp_path / "labels" / "train" / "a.txt").write_text("1 0.5 0.5 0.25 0.2\n0 0 0 1 0 1 1\n")
    (tmp_path / "labels" / "train" / "b.txt").write_text("")
    (tmp_path / "list.txt").write_text("./images/val/c.jpg\n")
    (tmp_path / "data.yaml").write_text("path: .\ntrain: images/train\nval: list.txt\nnames: {0: cat, 1: dog}\n")
    source: dict[str, Any] = {"format": "yolo", "root": ".", "tasks": ["objects"]}
    (a, b, c), problems = read(source, OBJECTS, tmp_path)
    assert [record.split for record in (a, b, c)] == ["train", "train", "val"]
    assert boxes(a) == [("dog", [15, 12, 25, 18]), ("cat", [0, 0, W, H])]
    assert next(iter(items(a))).polygons is None
    assert [item.polygons for item in items(a)][1][0].tolist() == [[0, 0], [W, 0], [W, H]]
    assert b.annotations["objects"] == Instances(())
    assert c.annotations["objects"] is None
    assert len(problems) == 1
    assert "unlabelled (`missing`)" in problems[0]
    (_, _, c), problems = read({**source, "missing": "empty"}, OBJECTS, tmp_path)
    assert c.annotations["objects"] == Instances(())
    assert "taken as empty" in problems[0]
    (tmp_path / "labels" / "train" / "a.txt").write_text("1 0.5 0.5 0.25 0.2 0.5 0.5 2 0.1 0.1 0\n")
    (a, *_), _ = read({**source, "kpt_shape": [2, 3], "points": ["tail", "nose"]}, SHAPED, tmp_path)
    (dog,) = items(a)
    assert dog.points.visibility.tolist() == [0, 2]
    assert dog.points.xy.tolist() == [[4, 3], [20, 15]]
    (tmp_path / "labels" / "train" / "a.txt").write_text("1 0.5 0.5 0.25 0.2 0.5 0.5 0 0\n")
    (a, *_), _ = read({**source, "kpt_shape": [2, 2]}, SHAPED, tmp_path)
    assert next(iter(items(a))).points.visibility.tolist() == [2, 0]


def test_folders_are_classes_people_and_splits(tmp_path: Path) -> None:
    for name in ("train/cat/a.jpg", "train/dog/film/b.jpg", "valid/dog/c.jpg"):
        image(tmp_path / "set" / name)
    columns: Columns = {"kind": Column("label", ("cat", "dog")), "who": Column("identity")}
    source = {"format": "folder", "root": "set", "tasks": ["kind", "who"], "group": "([a-z]).jpg"}
    records, problems = read(source, columns, tmp_path)
    found = [(r.split, r.annotations["kind"], r.annotations["who"], r.group) for r in records]
    assert found == [
        ("train", Label("cat"), Identity("cat"), "a"),
        ("train", Label("dog"), Identity("dog"), "b"),
        ("val", Label("dog"), Identity("dog"), "c"),
    ]
    assert not problems


ALL: Columns = {
    "kind": Column("label", ("cat", "dog")), "looks": Column("tags", ("wet", "old")),
    "size": Column("numbers", targets=("kg", "cm")), "who": Column("identity"),
    "face": Column("points", points=("nose", "tail")),
}  # fmt: skip
FIELDS = {
    "kind": {"column": "species", "values": {1: "cat", 2: "dog"}}, "looks": ["wet", "old"],
    "size": ["kg", "cm"],
    "who": "name", "face": {"x": "{name}_x", "y": "{name}_y", "visible": "{name}_vis"},
}  # fmt: skip
HEAD = "image;species;wet;old;kg;cm;name;nose_x;nose_y;nose_vis;tail_x;tail_y;tail_vis;part;film"


def test_a_table_with_everything_and_a_row_with_nothing(tmp_path: Path) -> None:
    for stem in "abc":
        image(tmp_path / "images" / f"{stem}.jpg")
    rows = [
        HEAD,
        'a.jpg;2;1;0;3.5;;"O;Neil";4;5;1;9;9;0;val;f1',
        "b.jpg" + ";" * 14,
        "c.jpg;1;;1;1;2;;1;2;1;-3;4;1;;",
    ]
    (tmp_path / "t.csv").write_text("\ufeff" + "\r\n".join(rows) + "\r\n", encoding="utf-8")
    source = {"format": "csv", "labels": "t.csv", "images": "images", "tasks": FIELDS, "split_column": "part",
              "group_column": "film"}  # fmt: skip
    (a, b, c), problems = read(source, ALL, tmp_path)
    assert (a.split, a.group, b.split, b.group) == ("val", "f1", None, None)
    expected = {
        "kind": Label("dog"), "looks": Tags(("wet",), None), "who": Identity("O;Neil"),
        "size": Numbers(np.array([3.5, np.nan], np.float32)),
        "face": Points(np.array([[4, 5], [9, 9]], np.float32), np.array([2, 0], np.int8)),
    }  # fmt: skip
    assert same(a.annotations, expected)
    assert b.annotations == dict.fromkeys(ALL)
    assert c.annotations["looks"] == Tags(("old",), ("old",))
    assert problems == ["source 'images': 1 points of task 'face' lie outside their image (kept)"]


def test_a_table_of_blanks_without_header_as_the_pets_have_it(tmp_path: Path) -> None:
    image(tmp_path / "images" / "Bengal_1.jpg")
    (tmp_path / "list.txt").write_text("#Image CLASS-ID\n#more\nBengal_1 6 1 2\n")
    source = {"format": "csv", "labels": "list.txt", "images": "images", "image": "{name}.jpg",
              "split": "train",
              "columns": ["name", "breed", "species", "x"],
              "tasks": {"kind": {"column": "species", "values": {1: "cat", 2: "dog"}}}}  # fmt: skip
    (record,), problems = read(source, ALL, tmp_path)
    assert record.annotations["kind"] == Label("cat")
    assert record.split == "train"
    assert not problems


def test_a_table_of_objects_has_a_row_each_and_a_row_for_nothing(tmp_path: Path) -> None:
    for stem in "ab":
        image(tmp_path / f"{stem}.jpg")
    text = "image,class,x1,y1,x2,y2\na.jpg,cat,1,2,3,4\nb.jpg,,,,,\na.jpg,dog,5,5,9,9\n"
    (tmp_path / "t.csv").write_text(text)
    (a, b), problems = read({"format": "csv", "labels": "t.csv", "tasks": ["objects"]}, OBJECTS, tmp_path)
    assert boxes(a) == [("cat", [1, 2, 3, 4]), ("dog", [5, 5, 9, 9])]
    assert b.annotations["objects"] == Instances(())
    assert not problems
    (tmp_path / "t.csv").write_text("image,x0,y0,x1,y1,x2,y2\na.jpg,1,1,9,1,9,5\n")
    field = {"x": "x{i}", "y": "y{i}", "outline": True}
    (a,), _ = read(
        {"format": "csv", "labels": "t.csv", "tasks": {"objects": field}},
        {"objects": Column("instances", ("cat",))},
        tmp_path,
    )
    (item,) = items(a)
    assert (item.label, item.box.tolist()) == ("cat", [1, 1, 9, 5])
    assert item.polygons[0].tolist() == item.points.xy.tolist() == [[1, 1], [9, 1], [9, 5]]


def test_columns_are_found_by_the_names_of_the_task(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    head = "image,kind,wet,old,kg,cm,who,nose_x,nose_y,nose_vis,tail_x,tail_y,tail_vis"
    (tmp_path / "t.csv").write_text(f"{head}\na.jpg,cat,0,1,1,2,Tom,1,2,0,3,4,1\n")
    (a,), problems = read({"format": "csv", "labels": "t.csv", "tasks": list(ALL)}, ALL, tmp_path)
    assert not problems
    assert a.annotations["face"].visibility.tolist() == [0, 2]
    assert (a.annotations["kind"], a.annotations["who"]) == (Label("cat"), Identity("Tom"))
    assert a.annotations["looks"] == Tags(("old",), None)
    assert a.annotations["size"].values.tolist() == [1, 2]


def test_tags_in_one_column(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_text("image,looks\na.jpg,old|wet\n")
    tasks = {"looks": {"column": "looks", "separator": "|"}}
    (a,), _ = read({"format": "csv", "labels": "t.csv", "tasks": tasks}, ALL, tmp_path)
    assert a.annotations["looks"] == Tags(("old", "wet"), None)


GROUND: Columns = {"ground": Column("segments", ("sky", "road"))}


def test_masks_are_found_by_name_and_not_decoded(tmp_path: Path) -> None:
    for split in ("train", "val"):
        image(tmp_path / split / "a.jpg")
    image(tmp_path / "train" / "b.jpg")
    mask(tmp_path / "m" / "train" / "a_mask.png", np.full((H, W), 3))
    palette = Image.new("P", (W, H), 1)
    (tmp_path / "m" / "val").mkdir(parents=True)
    palette.putpalette([0, 0, 0, 200, 10, 10])
    palette.save(tmp_path / "m" / "val" / "a_mask.png")
    source: dict[str, Any] = {
        "format": "masks", "images": {"train": "train", "val": "val"}, "suffix": "_mask",
        "labels": {"train": "m/train", "val": "m/val"}, "values": {1: "road", 3: "heaven"},
        "rename": {"heaven": "sky"},
        "tasks": ["ground"], "scan": True,
    }  # fmt: skip
    (a, b, c), problems = read(source, GROUND, tmp_path)
    assert a.annotations["ground"] == Segments(tmp_path / "m" / "train" / "a_mask.png", ((1, "road"), (3, "sky")))
    assert b.annotations["ground"] is None
    assert (c.split, c.annotations["ground"].path.name) == ("val", "a_mask.png")
    assert len(problems) == 1
    assert "1 times: no mask" in problems[0]
    (a, *_), problems = read({**source, "values": None, "rename": {}}, GROUND, tmp_path)
    assert a.annotations["ground"].values == ((0, "sky"), (1, "road"))
    assert any("pixel values 3" in problem for problem in problems)


def labelme(path: Path, shapes: list[Any], **more: Any) -> None:
    path.write_text(json.dumps({"imagePath": path.stem + ".jpg", "shapes": shapes, "imageData": "x" * 100, **more}))


def test_labelme_groups_points_circles_and_flags(tmp_path: Path) -> None:
    for stem in "abc":
        image(tmp_path / f"{stem}.jpg")
    shapes = [
        {"label": "cat", "points": [[1, 1], [9, 1], [9, 9]], "group_id": 1, "shape_type": "polygon"},
        {"label": "cat", "points": [[11, 1], [19, 1], [19, 9]], "group_id": 1, "shape_type": "polygon"},
        {
            "label": "nose",
            "points": [[4, 5]],
            "group_id": 1,
            "shape_type": "point",
            "flags": {"occluded": True},
        },
        {
            "label": "dog",
            "points": [[30, 20], [20, 10]],
            "shape_type": "rectangle",
            "flags": {"difficult": True},
        },
        {"label": "dog", "points": [[20, 15], [25, 15]], "group_id": None, "shape_type": "circle"},
        {"label": "edge", "points": [[1, 1], [5, 5]], "shape_type": "line"},
    ]
    labelme(tmp_path / "a.json", shapes, flags={"wet": True, "old": False})
    labelme(tmp_path / "b.json", [], flags={}, imagePath=".\\b.jpg")
    columns = {**SHAPED, "looks": ALL["looks"]}
    source = {"format": "labelme", "root": ".", "tasks": ["objects", "looks"]}
    (a, b, c), problems = read(source, columns, tmp_path)
    cat, rectangle, circle = items(a)
    assert cat.box.tolist() == [1, 1, 19, 9]
    assert len(cat.polygons) == 2
    assert cat.points.visibility.tolist() == [1, 0]
    assert cat.points.xy[0].tolist() == [4, 5]
    assert (rectangle.box.tolist(), rectangle.difficult) == ([20, 10, 30, 20], True)
    assert polygon_area(circle.polygons[0]) == pytest.approx(np.pi * 25, rel=0.01)
    assert a.annotations["looks"] == Tags(("wet",), None)
    assert b.annotations == {"objects": Instances(()), "looks": None}
    assert c.annotations == {"objects": None, "looks": None}
    assert len(problems) == 3  # the line, the circle, the image without JSON


def test_labelme_points_alone_and_a_folder_of_its_own(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.jpg")
    (tmp_path / "json").mkdir()
    shapes = [{"label": n, "points": [[x, 2]], "shape_type": "point"} for n, x in (("tail", 3), ("nose", 1))]
    labelme(tmp_path / "json" / "a.json", shapes, imagePath="..\\images\\a.jpg")
    source = {"format": "labelme", "images": "images", "labels": "json", "tasks": ["face"]}
    (a,), problems = read(source, {"face": ALL["face"]}, tmp_path)
    assert a.annotations["face"].xy.tolist() == [[1, 2], [3, 2]]
    assert not problems


def test_exif_rotation_gives_the_size_as_looked_at(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image(tmp_path / "cat" / "a.jpg", 20, 10, exif=exif)
    (record,), _ = read({"format": "folder", "root": ".", "tasks": ["kind"]}, ALL, tmp_path)
    assert (record.width, record.height) == (10, 20)


@pytest.mark.parametrize("name", FORMATS)
def test_every_setting_is_described_and_strangers_are_refused(name: str) -> None:
    settings = FORMATS[name]
    assert settings.model_fields["format"].default == name
    for key, field in settings.model_fields.items():
        assert key == "format" or field.description, f"{name}.{key} has no description"
    with pytest.raises(ValueError, match="colour"):
        settings.model_validate({"format": name, "tasks": ["a"], "labels": "x", "colour": 1})
