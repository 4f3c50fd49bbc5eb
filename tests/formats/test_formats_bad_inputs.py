"""Whatever is wrong with one row is reported, by file and place, and the good rows beside it survive."""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from format_helpers import OBJECTS, H, W, boxes, image, mask, read
from PIL import Image

from oneglance.errors import OneglanceError
from oneglance.manifest import Column, Columns

GOOD_BOX = ("cat", [2.0, 3.0, 12.0, 13.0])


# -- COCO: one bad annotation (or image) beside a good one


def coco(tmp: Path, *annotations: Any, images: Any = None, categories: Any = None, **more: Any) -> dict[str, Any]:
    """A data set of two images; the good annotation is on the first."""
    image(tmp / "images" / "a.jpg")
    image(tmp / "images" / "b.jpg")
    good = {"id": 1, "image_id": 1, "category_id": 5, "bbox": [2, 3, 10, 10], "area": 100, "iscrowd": 0}
    data = {
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": W, "height": H},
            {"id": 2, "file_name": "b.jpg", "width": W, "height": H},
            *(images or []),
        ],
        "annotations": [good, *annotations],
        "categories": [{"id": 5, "name": "cat"}, {"id": 9, "name": "dog", "keypoints": ["nose", "tail"]}]
        + (categories or []),
        **more,
    }
    (tmp / "labels.json").write_text(json.dumps(data))
    return {"format": "coco", "images": "images", "labels": "labels.json", "tasks": ["objects"]}


def bad(**changes: Any) -> dict[str, Any]:
    """A bad annotation of the second image."""
    return {
        "id": 2,
        "image_id": 2,
        "category_id": 5,
        "bbox": [1, 1, 5, 5],
        "area": 25,
        "iscrowd": 0,
        **changes,
    }


COCO_OBJECTS = {
    "box of no width": (bad(bbox=[1, 1, 0, 5]), "0 wide"),
    "box of negative height": (bad(bbox=[1, 1, 5, -5]), "-5 high"),
    "NaN in a box": (bad(bbox=[math.nan, 1, 5, 5]), "nan is not a place"),
    "infinity in a box": (bad(bbox=[1, 1, math.inf, 5]), "inf is not a place"),
    "box far outside": (bad(bbox=[500, 1, 5, 5]), "outside the image"),
    "box of three numbers": (bad(bbox=[1, 1, 5]), "3 numbers where 4"),
    "box of text": (bad(bbox=["1", 1, 5, 5]), "not a number"),
    "box of booleans": (bad(bbox=[True, 1, 5, 5]), "not a number"),
    "box is an object": (bad(bbox={"x": 1}), "not a list"),
    "box beyond float32": (bad(bbox=[1e300, 1, 5, 5]), "not a place"),
    "a number of 4,000 digits": (bad(bbox=[10**4000, 1, 5, 5]), "not a place"),
    "no box and no mask": (bad(bbox=None), "no `bbox`"),
    "unknown image": (bad(image_id=77), "image_id 77"),
    "unknown category": (bad(category_id=77), "category_id 77"),
    "image id is a list": (bad(image_id=[1]), "image_id [1]"),
    "annotation is a number": (7, "not an annotation"),
    "the same annotation twice": ({**bad(), "id": 1, "image_id": 1, "bbox": [2, 3, 10, 10]}, "already given"),
}


@pytest.mark.parametrize("case", COCO_OBJECTS)
def test_a_bad_coco_object_is_passed_over(case: str, tmp_path: Path) -> None:
    annotation, says = COCO_OBJECTS[case]
    records, problems = read(coco(tmp_path, annotation), OBJECTS, tmp_path)
    assert [boxes(record) for record in records] == [[GOOD_BOX], []]
    assert len(problems) == 1
    assert says in problems[0]
    assert "labels.json annotations[1]" in problems[0]


COCO_PARTS = {
    "polygon of two points": (bad(segmentation=[[1, 1, 5, 5]]), "at least 3"),
    "polygon of odd numbers": (bad(segmentation=[[1, 1, 5, 5, 6, 6, 7]]), "at least 3"),
    "polygon with NaN": (bad(segmentation=[[1, 1, 5, 5, math.nan, 6]]), "not a place"),
    "polygon outside": (bad(segmentation=[[100, 100, 105, 100, 105, 105]]), "outside"),
    "segmentation is text": (bad(segmentation="mask"), "neither polygons"),
    "RLE with a negative run": (bad(segmentation={"size": [H, W], "counts": [-1, H * W + 1]}), "negative"),
    "RLE of a wrong sum": (bad(segmentation={"size": [H, W], "counts": [3, 4]}), "sum to 7"),
    "RLE of a huge size": (bad(segmentation={"size": [10**6, 10**6], "counts": [10**12]}), "size"),
    "RLE of a huge run": (bad(segmentation={"size": [H, W], "counts": [0, 10**15]}), "sum to"),
    "RLE that is not text of COCO": (bad(segmentation={"size": [H, W], "counts": "\u20ac"}), "not COCO's"),
    "RLE without counts": (bad(segmentation={"size": [H, W]}), "neither a string"),
    "keypoints not 3 for each": (
        bad(category_id=9, keypoints=[1, 1, 2, 3]),
        "6 (3 for each of its 2 points)",
    ),
    "keypoint visibility 7": (bad(category_id=9, keypoints=[1, 1, 7, 3, 3, 2]), "not 0, 1 or 2"),
    "keypoint of NaN": (bad(category_id=9, keypoints=[1, math.nan, 2, 3, 3, 2]), "not a place"),
    "negative area": (bad(area=-5), "area is -5"),
    "area is text": (bad(area="big"), "area is big"),
    "missing area": ({k: v for k, v in bad().items() if k != "area"}, "no `area`"),
    "box two pixels outside": (bad(bbox=[36, 1, 6, 5]), "2 pixels out"),
    "duplicate id of another object": (bad(id=1), "kept without id"),
}


@pytest.mark.parametrize("case", COCO_PARTS)
def test_a_bad_part_of_a_coco_object_leaves_the_rest(case: str, tmp_path: Path) -> None:
    annotation, says = COCO_PARTS[case]
    records, problems = read(coco(tmp_path, annotation), OBJECTS, tmp_path)
    assert [len(boxes(record)) for record in records] == [1, 1]
    (item,) = records[1].annotations["objects"].items  # type: ignore[union-attr]
    assert item.polygons is None
    assert item.rle is None
    assert item.points is None
    assert len(problems) == 1
    assert says in problems[0]
    assert "labels.json" in problems[0]


COCO_IMAGES = {
    "missing file": ({"id": 3, "file_name": "none.jpg"}, "no image 'none.jpg'"),
    "dots": ({"id": 3, "file_name": "../secret.jpg"}, "leads out"),
    "dots in the middle": ({"id": 3, "file_name": "x/../../secret.jpg"}, "leads out"),
    "absolute": ({"id": 3, "file_name": "/etc/passwd"}, "absolute"),
    "a Windows drive": ({"id": 3, "file_name": "C:\\secret.jpg"}, "absolute"),
    "backslash dots": ({"id": 3, "file_name": "..\\secret.jpg"}, "leads out"),
    "link that leads out": ({"id": 3, "file_name": "link.jpg"}, "link out of"),
    "no image": ({"id": 3, "file_name": "page.jpg"}, "page.jpg"),
    "empty file": ({"id": 3, "file_name": "empty.jpg"}, "empty.jpg"),
    "half a character": ({"id": 3, "file_name": "\ud800.jpg"}, "\ufffd"),
    "name is a number": ({"id": 3, "file_name": 5}, "a path is expected"),
    "name with a null byte": ({"id": 3, "file_name": "a\0.jpg"}, "a path is expected"),
    "name too long": ({"id": 3, "file_name": "x" * 5000 + ".jpg"}, "can't be used"),
    "no name": ({"id": 3}, "`file_name` are expected"),
    "not an object": ("c.jpg", "not an image"),
    "id that can be none": ({"id": {"a": 1}, "file_name": "c.jpg"}, "neither a number nor a text"),
    "duplicate id": ({"id": 1, "file_name": "b.jpg"}, "already given"),
    "the same file again": ({"id": 3, "file_name": "./a.jpg"}, "already described"),
    "another size": ({"id": 3, "file_name": "c.jpg", "width": 7, "height": 8}, "given as 7 x 8"),
    "swapped size": ({"id": 3, "file_name": "c.jpg", "width": 10, "height": 20}, "EXIF"),
}


@pytest.mark.parametrize("case", COCO_IMAGES)
def test_a_bad_coco_image_is_passed_over(case: str, tmp_path: Path) -> None:
    entry, says = COCO_IMAGES[case]
    image(tmp_path / "secret.jpg")
    image(tmp_path / "images" / "c.jpg", 20, 10)
    (tmp_path / "images" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "images" / "page.jpg").write_text("<html>not found</html>")
    (tmp_path / "images" / "empty.jpg").touch()
    records, problems = read(coco(tmp_path, images=[entry]), OBJECTS, tmp_path)
    good = [record for record in records if record.path.name in ("a.jpg", "b.jpg")]
    assert [boxes(record) for record in good] == [[GOOD_BOX], []]
    assert len(records) == (3 if "size" in case else 2)
    assert len(problems) == 1
    assert says in problems[0]


def test_an_annotation_without_an_image_belongs_to_none_whose_id_can_not_be_read(tmp_path: Path) -> None:
    source = coco(tmp_path, {}, images=[{"id": None, "file_name": "b.jpg"}])
    (a, b), problems = read(source, OBJECTS, tmp_path)
    assert [boxes(a), boxes(b)] == [[GOOD_BOX], []]
    assert len(problems) == 2
    assert "image_id None is not in the file's images" in problems[1]


def test_links_are_followed_when_asked(tmp_path: Path) -> None:
    source = coco(tmp_path, images=[{"id": 3, "file_name": "link.jpg"}])
    (tmp_path / "images" / "link.jpg").symlink_to(image(tmp_path / "elsewhere" / "far.jpg"))
    records, problems = read({**source, "links": True}, OBJECTS, tmp_path)
    assert len(records) == 3
    assert not problems


@pytest.mark.parametrize("category", [{"id": 6}, "cat", {"name": "cow"}, {"id": 5, "name": "cow"}])
def test_a_bad_category_is_passed_over(category: Any, tmp_path: Path) -> None:
    records, problems = read(coco(tmp_path, categories=[category]), OBJECTS, tmp_path)
    assert boxes(records[0]) == [GOOD_BOX]
    assert len(problems) == 1
    assert "categories[2]" in problems[0]


def test_numbers_too_large_for_json_are_infinite_and_reported(tmp_path: Path) -> None:
    source = coco(tmp_path, bad(bbox=[1, 1, 12345, 5]))
    path = tmp_path / "labels.json"
    path.write_text(path.read_text().replace("12345", "1e999"))
    records, problems = read(source, OBJECTS, tmp_path)
    assert boxes(records[0]) == [GOOD_BOX]
    assert "annotations[1]" in problems[0]


COCO_FILES = {
    "not JSON": ("{", "not JSON"),
    "a list": ("[]", "results"),
    "no images": ('{"annotations": [], "categories": []}', "'images'"),
    "misspelt images": ('{"image": [], "annotations": [], "categories": []}', "did you mean 'image'"),
    "images no list": ('{"images": {}, "annotations": [], "categories": []}', "it is a dict"),
    "no annotations": ('{"images": [], "categories": []}', "unlabelled, not empty"),
    "no categories": ('{"images": [], "annotations": []}', "'categories'"),
    "nested 100,000 deep": ("[" * 100_000, "nested too deeply"),
    "a number of 10,000 digits": ('{"images": [' + "1" * 10_000 + "]}", "not readable JSON"),
}


@pytest.mark.parametrize("case", COCO_FILES)
def test_a_file_that_is_no_coco_is_refused_with_its_name(case: str, tmp_path: Path) -> None:
    text, says = COCO_FILES[case]
    source = coco(tmp_path)
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(OneglanceError, match=r"labels\.json") as caught:
        read(source, OBJECTS, tmp_path)
    assert says in str(caught.value)


def test_files_that_are_missing_or_not_utf8_are_named(tmp_path: Path) -> None:
    source = coco(tmp_path)
    (tmp_path / "labels.json").write_bytes(b'{"images": "caf\xe9"}')
    with pytest.raises(OneglanceError, match=r"labels.json: line 1 is not UTF-8"):
        read(source, OBJECTS, tmp_path)
    with pytest.raises(OneglanceError, match=r"none.json: no such file"):
        read({**source, "labels": "none.json"}, OBJECTS, tmp_path)
    with pytest.raises(OneglanceError, match=r"nowhere: no such folder; check `images`"):
        read({**source, "images": "nowhere"}, OBJECTS, tmp_path)
    with pytest.raises(OneglanceError, match="did you mean 'objects'"):
        read({**source, "tasks": ["object"]}, OBJECTS, tmp_path)
    with pytest.raises(OneglanceError, match="coco can give"):
        read({**source, "tasks": ["ground"]}, {"ground": Column("segments", ("road",))}, tmp_path)


# -- VOC
#


def voc(tmp: Path, objects: str = "", raw: bytes | None = None) -> dict[str, Any]:
    """A good image ``a`` and a bad one ``b``."""
    for name in ("a", "b"):
        image(tmp / "JPEGImages" / f"{name}.jpg")
    (tmp / "Annotations").mkdir(exist_ok=True)
    size = f"<size><width>{W}</width><height>{H}</height></size>"
    good = voc_box(3, 4, 12, 13)
    (tmp / "Annotations" / "a.xml").write_text(f"<annotation>{size}{good}</annotation>")
    data = f"<annotation>{size}{objects}</annotation>".encode() if raw is None else raw
    (tmp / "Annotations" / "b.xml").write_bytes(data)
    return {"format": "voc", "root": ".", "tasks": ["objects"]}


def voc_box(x1: Any, y1: Any, x2: Any, y2: Any, name: str = "cat") -> str:
    corners = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
    return f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>"


VOC_OBJECTS = {
    "no size": (voc_box(5, 5, 5, 5), "no size"),
    "negative": (voc_box(9, 9, 5, 5), "high"),
    "outside": (voc_box(900, 5, 950, 9), "outside the image"),
    "NaN": (voc_box("nan", 5, 7, 9), "'nan'"),
    "infinity": (voc_box(1, 5, "1e999", 9), "'1e999'"),
    "text": (voc_box("left", 5, 7, 9), "'left'"),
    "empty": (voc_box("", 5, 7, 9), "''"),
    "no box": ("<object><name>cat</name></object>", "no <bndbox>"),
    "no name": (voc_box(1, 1, 5, 5, name=""), "no <name>"),
}


@pytest.mark.parametrize("case", VOC_OBJECTS)
def test_a_bad_voc_object_is_passed_over(case: str, tmp_path: Path) -> None:
    text, says = VOC_OBJECTS[case]
    records, problems = read(voc(tmp_path, text + voc_box(3, 4, 12, 13)), OBJECTS, tmp_path)
    assert [boxes(record) for record in records] == [[GOOD_BOX], [GOOD_BOX]]
    assert len(problems) == 1
    assert "b.xml object 1" in problems[0]
    assert says in problems[0]


BOMB = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;">]><annotation>&y;</annotation>'
VOC_FILES = {
    "entities": (BOMB, "DTD"),
    "outside entity": (
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
        "DTD",
    ),
    "not XML": (b"<annotation>", "not XML"),
    "empty file": (b"", "not XML"),
    "another root": (b"<html/>", "<html>"),
    "unknown encoding": (b'<?xml version="1.0" encoding="klingon"?><annotation/>', "XML"),
}


@pytest.mark.parametrize("case", VOC_FILES)
def test_a_bad_xml_leaves_its_image_unlabelled(case: str, tmp_path: Path) -> None:
    raw, says = VOC_FILES[case]
    records, problems = read(voc(tmp_path, raw=raw), OBJECTS, tmp_path)
    assert boxes(records[0]) == [GOOD_BOX]
    assert records[1].annotations["objects"] is None
    assert len(problems) == 1
    assert "b.xml" in problems[0]
    assert says in problems[0]


def test_voc_names_xml_without_image_wrong_sizes_and_two_splits(tmp_path: Path) -> None:
    source = voc(tmp_path)
    text = (tmp_path / "Annotations" / "a.xml").read_text()
    (tmp_path / "Annotations" / "lost.xml").write_text(text)
    (tmp_path / "Annotations" / "a.xml").write_text(text.replace(f"<width>{W}", f"<width>{H}").replace(
        f"<height>{H}", f"<height>{W}"))  # fmt: skip
    main = tmp_path / "ImageSets" / "Main"
    main.mkdir(parents=True)
    (main / "train.txt").write_text("a\n")
    (main / "val.txt").write_text("b 1\na -1\n")
    records, problems = read(source, OBJECTS, tmp_path)
    assert [record.split for record in records] == ["train", "val"]
    assert any("lost.xml" in p and "no image" in p for p in problems)
    assert any("a.xml" in p and "EXIF" in p for p in problems)
    assert any("val.txt line 2" in p and "'train'" in p for p in problems)
    assert len(problems) == 3


# -- YOLO
#


def yolo(tmp: Path, text: str | bytes) -> dict[str, Any]:
    for name in ("a", "b"):
        image(tmp / "images" / f"{name}.jpg")
    (tmp / "labels").mkdir(exist_ok=True)
    (tmp / "labels" / "a.txt").write_text("0 0.175 0.266666666667 0.25 0.333333333333\n")
    (tmp / "labels" / "b.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    return {
        "format": "yolo",
        "images": "images",
        "labels": "labels",
        "names": ["cat", "dog"],
        "tasks": ["objects"],
    }


GOOD_LINE = "1 0.5 0.5 0.5 0.5"
YOLO_LINES = {
    "class not in names": ("2 0.5 0.5 0.5 0.5", "class '2'"),
    "negative class": ("-1 0.5 0.5 0.5 0.5", "class '-1'"),
    "half a class": ("0.5 0.5 0.5 0.5 0.5", "class '0.5'"),
    "class by name": ("cat 0.5 0.5 0.5 0.5", "'cat' is not a number"),
    "three numbers": ("0 0.5 0.5 0.5", "3 numbers"),
    "a score": ("0 0.5 0.5 0.5 0.5 0.9", "5 numbers"),
    "odd polygon": ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "7 numbers"),
    "zero width": ("0 0.5 0.5 0 0.5", "0 wide"),
    "negative height": ("0 0.5 0.5 0.5 -0.5", "high"),
    "NaN": ("0 nan 0.5 0.5 0.5", "'nan'"),
    "infinite": ("0 0.5 0.5 inf 0.5", "'inf'"),
    "pixels": ("0 300 200 40 30", "outside the image"),
    "a polygon of no area": ("0 0.1 0.1 0.1 0.1 0.1 0.1", "no area"),
    "the line again": (GOOD_LINE, "same line"),
}


@pytest.mark.parametrize("case", YOLO_LINES)
def test_a_bad_yolo_line_is_passed_over(case: str, tmp_path: Path) -> None:
    line, says = YOLO_LINES[case]
    records, problems = read(yolo(tmp_path, f"{GOOD_LINE}\n\n{line}\n"), OBJECTS, tmp_path)
    assert boxes(records[1]) == [("dog", [10.0, 7.5, 30.0, 22.5])]
    assert len(boxes(records[0])) == 1
    assert len(problems) == 1
    assert "b.txt line 3" in problems[0]
    assert says in problems[0]


def test_yolo_cuts_off_what_reaches_out_and_says_so(tmp_path: Path) -> None:
    records, problems = read(yolo(tmp_path, "0 0.9 0.5 0.4 0.5\n"), OBJECTS, tmp_path)
    assert boxes(records[1])[0][1][2] == W
    assert "b.txt line 1" in problems[0]
    assert "reaches 4 pixels out" in problems[0]


def test_yolo_bytes_and_strays(tmp_path: Path) -> None:
    source = yolo(tmp_path, b"0 0.5 \xff")
    (tmp_path / "labels" / "stray.txt").write_text(GOOD_LINE)
    records, problems = read(source, OBJECTS, tmp_path)
    assert records[1].annotations["objects"] is None
    assert any("b.txt" in p and "not UTF-8" in p for p in problems)
    assert any("stray.txt" in p for p in problems)


YAML_FILES = {
    "aliases": ("a: &a [x, x]\nb: &b [*a, *a]\nnames: *b\n", "aliases"),
    "too large": ("names: [cat]\n#" + "x" * (1 << 20), "more than"),
    "no names": ("train: images\n", "`names` must be"),
    "a list": ("[cat]", "mapping"),
    "broken": ("names: [", "not readable YAML"),
    "missing folder": ("names: [cat]\ntrain: nowhere\n", "there is no"),
    "outside": ("names: [cat]\ntrain: ../../outside\n", "outside the source's root"),
    "no images": ("names: [cat]\n", "none of the keys"),
    "bad kpt_shape": ("names: [cat]\ntrain: images\nkpt_shape: [3, 5]\n", "kpt_shape"),
    "nested": ("names: " + "[" * 5000, "not readable YAML"),
    "a Python object": ("names: !!python/object/apply:os.system [echo]\n", "not readable YAML"),
}


@pytest.mark.parametrize("case", YAML_FILES)
def test_a_bad_data_yaml_is_refused_with_its_name(case: str, tmp_path: Path) -> None:
    text, says = YAML_FILES[case]
    image(tmp_path / "outside" / "x.jpg")
    image(tmp_path / "a" / "set" / "images" / "x.jpg")
    (tmp_path / "a" / "set" / "data.yaml").write_text(text)
    with pytest.raises(OneglanceError, match=r"data\.yaml") as caught:
        read({"format": "yolo", "root": "a/set", "tasks": ["objects"]}, OBJECTS, tmp_path)
    assert says in str(caught.value)


# -- tables

KINDS: Columns = {"kind": Column("label", ("cat", "dog")), "age": Column("numbers", targets=("age",))}


def table(tmp: Path, text: str | bytes, **more: Any) -> dict[str, Any]:
    for name in ("a", "b", "c"):
        image(tmp / "images" / f"{name}.jpg")
    (tmp / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return {"format": "csv", "labels": "labels.csv", "images": "images", "tasks": ["kind", "age"], **more}


CSV_ROWS = {
    "class not of the task": ("b.jpg,cow,5", "'cow' is no class"),
    "misspelt class": ("b.jpg,dgo,5", "did you mean 'dog'"),
    "text for a number": ("b.jpg,dog,old", "'old', a number is expected"),
    "infinite number": ("b.jpg,dog,1e999", "finite"),
    "too many cells": ("b.jpg,dog,5,6", "4 cells"),
    "too few cells": ("b.jpg,dog", "2 cells"),
    "missing image": ("none.jpg,dog,5", "no image 'none.jpg'"),
    "path that leads out": ("../images/b.jpg,dog,5", "leads out"),
    "empty name": (",dog,5", "a path is expected"),
    "the image again": ("a.jpg,dog,7", "2 rows; the first is kept"),
    "the image again, other spelling": ("./a.jpg,dog,7", "already described"),
}


@pytest.mark.parametrize("case", CSV_ROWS)
def test_a_bad_row_is_passed_over(case: str, tmp_path: Path) -> None:
    row, says = CSV_ROWS[case]
    records, problems = read(table(tmp_path, f"image,kind,age\na.jpg,cat,3\n{row}\nc.jpg,dog,\n"), KINDS, tmp_path)
    found = {record.path.name: record.annotations["kind"] for record in records}
    assert found["a.jpg"].name == "cat"  # type: ignore[union-attr]
    assert found["c.jpg"].name == "dog"  # type: ignore[union-attr]
    assert len(problems) == 1
    assert "labels.csv line 3" in problems[0]
    assert says in problems[0]


CSV_FILES = {
    "empty": ("", "no row"),
    "only comments": ("# nothing\n", "no row"),
    "missing column": ("image,kid,age\na.jpg,cat,1\n", "did you mean 'kid'"),
    "no header": ("a.jpg,cat,1\nb.jpg,dog,2\n", "columns: [...]"),
    "column twice": ("image,kind,kind,age\na.jpg,cat,cat,1\n", "twice"),
    "open quote": ('image,kind,age\n"a.jpg,cat,1\n', "quote"),
    "latin-1": ("image,kind,age\ncaf\xe9.jpg,cat,1\n".encode("latin-1"), "line 2 is not UTF-8"),
}


@pytest.mark.parametrize("case", CSV_FILES)
def test_a_bad_table_is_refused_with_its_name(case: str, tmp_path: Path) -> None:
    text, says = CSV_FILES[case]
    with pytest.raises(OneglanceError, match=r"labels\.csv") as caught:
        read(table(tmp_path, text), KINDS, tmp_path)
    assert says in str(caught.value)


# -- masks, folders, LabelMe


def test_bad_masks_leave_their_images_unlabelled(tmp_path: Path) -> None:
    columns: Columns = {"ground": Column("segments", ("sky", "road"))}
    good = [[0] * W] * (H - 1) + [[1] * W]
    for name in ("a", "small", "two", "lossy", "broken", "odd"):
        image(tmp_path / "images" / f"{name}.jpg")
        if name != "lossy":
            mask(tmp_path / "masks" / f"{name}.png", good)
    mask(tmp_path / "masks" / "small.png", [[0, 1]])
    mask(tmp_path / "masks" / "two.bmp", good)
    mask(tmp_path / "masks" / "odd.png", [[7] * W] * H)
    mask(tmp_path / "masks" / "stray.png", good)
    image(tmp_path / "masks" / "lossy.jpg")
    (tmp_path / "masks" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 50)
    records, problems = read({"format": "masks", "tasks": ["ground"], "scan": True}, columns, tmp_path)
    labelled = {record.path.stem for record in records if record.annotations["ground"] is not None}
    assert labelled == {"a", "odd"}
    for name, says in (
        ("small.png", "2 x 1"),
        ("two.", "2 masks"),
        ("lossy.jpg", "JPEG"),
        ("broken.png", "broken.png"),
        ("odd.png", "pixel values 7"),
        ("stray.png", "no image for this mask"),
    ):
        assert any(f"masks/{name}" in problem and says in problem for problem in problems), (name, problems)
    assert len(problems) == 6


def test_bad_folders_are_reported(tmp_path: Path) -> None:
    image(tmp_path / "cat" / "a.jpg")
    image(tmp_path / "cats" / "b.jpg")
    image(tmp_path / "loose.jpg")
    (tmp_path / "cat" / "notes.txt").write_text("x")
    (tmp_path / "cat" / "z.jpg").write_text("<svg/>")
    records, problems = read({"format": "folder", "root": ".", "tasks": ["kind"]}, KINDS, tmp_path)
    assert [(r.path.name, r.annotations["kind"] is None) for r in records] == [
        ("a.jpg", False),
        ("b.jpg", True),
    ]
    for says in (
        "'cats'; did you mean 'cat'",
        "loose.jpg: an image in no class folder",
        "z.jpg",
        "1 times: a file that is no",
    ):
        assert any(says in problem for problem in problems), (says, problems)
    assert len(problems) == 4


def png(width: int, height: int, value: int = 255) -> str:
    file = io.BytesIO()
    Image.new("L", (width, height), value).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def labelme(tmp: Path, *shapes: Any, raw: str | None = None, **more: Any) -> dict[str, Any]:
    for name in ("a", "b"):
        image(tmp / f"{name}.jpg")
        good = {"label": "cat", "points": [[12, 13], [2, 3]], "shape_type": "rectangle"}
        data = {"imagePath": f"{name}.jpg", "shapes": [good], "imageWidth": W, "imageHeight": H}
        if name == "b":
            data["shapes"] = [*shapes, good]
            data |= more
        (tmp / f"{name}.json").write_text(json.dumps(data))
    if raw is not None:
        (tmp / "b.json").write_text(raw)
    return {"format": "labelme", "root": ".", "tasks": ["objects"]}


def shape(kind: str, points: Any, **more: Any) -> dict[str, Any]:
    return {"label": "dog", "points": points, "shape_type": kind, **more}


LABELME_SHAPES = {
    "rectangle of one point": (shape("rectangle", [[1, 1]]), "2 are expected"),
    "rectangle of no height": (shape("rectangle", [[1, 1], [5, 1]]), "0 high"),
    "rectangle outside": (shape("rectangle", [[100, 1], [105, 9]]), "outside the image"),
    "NaN": (shape("rectangle", [[math.nan, 1], [5, 1]]), "not a place"),
    "polygon of two points": (shape("polygon", [[1, 1], [5, 5]]), "at least 3"),
    "points of three numbers": (shape("polygon", [[1, 1, 1], [5, 5, 1], [1, 5, 1]]), "3 numbers"),
    "no points": (shape("polygon", None), "no `points`"),
    "circle of no radius": (shape("circle", [[5, 5], [5, 5]]), "radius 0"),
    "unknown type": (shape("star", [[5, 5]]), "'star'"),
    "no label": ({"points": [[1, 1], [2, 2]]}, "`label` is expected"),
    "not a shape": (5, "`label` is expected"),
    "mask outside": (shape("mask", [[30, 1], [50, 5]], mask=png(21, 5)), "not inside"),
    "mask of another size": (shape("mask", [[1, 1], [5, 5]], mask=png(9, 9)), "9 x 9"),
    "mask no base64": (shape("mask", [[1, 1], [5, 5]], mask="@@@"), "base64"),
    "mask no image": (shape("mask", [[1, 1], [5, 5]], mask=base64.b64encode(b"GIF").decode()), "mask"),
    "mask missing": (shape("mask", [[1, 1], [5, 5]]), "mask"),
    "mask empty": (shape("mask", [[1, 1], [5, 5]], mask=png(5, 5, 0)), "empty"),
}


@pytest.mark.parametrize("case", LABELME_SHAPES)
def test_a_bad_labelme_shape_is_passed_over(case: str, tmp_path: Path) -> None:
    bad_shape, says = LABELME_SHAPES[case]
    records, problems = read(labelme(tmp_path, bad_shape), OBJECTS, tmp_path)
    assert [boxes(record) for record in records] == [[GOOD_BOX], [GOOD_BOX]]
    assert len(problems) == 1
    assert "b.json shapes[0]" in problems[0]
    assert says in problems[0]


LABELME_FILES = {
    "not JSON": ({"raw": "{"}, "not JSON"),
    "nested": ({"raw": "[" * 100_000}, "nested"),
    "another JSON": ({"raw": '{"a": 1}'}, "not a LabelMe file"),
    "path that leads out": ({"imagePath": "../b.jpg"}, "leads out"),
    "absolute path": ({"imagePath": "C:\\data\\b.jpg"}, "absolute"),
    "missing image": ({"imagePath": "none.jpg"}, "no image"),
    "no path": ({"imagePath": None}, "a path is expected"),
    "image of another file": ({"imagePath": "a.jpg"}, "already described"),
}


@pytest.mark.parametrize("case", LABELME_FILES)
def test_a_bad_labelme_file_leaves_its_image_unlabelled(case: str, tmp_path: Path) -> None:
    changes, says = LABELME_FILES[case]
    records, problems = read(labelme(tmp_path, **changes), OBJECTS, tmp_path)
    assert boxes(records[0]) == [GOOD_BOX]
    assert records[1].annotations["objects"] is None
    assert any("b.json" in problem and says in problem for problem in problems), problems


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in it would be missing from the data without a word."""
    import os

    from oneglance.formats.files import walk

    for name in ("a", "b"):
        image(tmp_path / name / "1.png")
    real = os.scandir

    def forbidden(path: Any) -> Any:
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(OneglanceError, match=r"b: this folder may not be read \(Permission denied\)"):
        list(walk(tmp_path))
    assert list(walk(tmp_path / "nowhere")) == []
