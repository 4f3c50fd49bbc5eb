"""An object that was labelled and can't be read is somewhere: its class is unknown in that image, not absent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oneglance.annotations import Annotation, Instances, Tags
from oneglance.config import parse_config
from oneglance.errors import Problems
from oneglance.ingest import build_manifest

TASKS = {
    "objects": {"kind": "detection", "classes": ["car", "person"]},
    "there": {"kind": "tagging", "classes": ["car", "person"]},
}
#: A car that can be read, or none, and one that can't.
GOOD, BAD = (10, 10, 30, 30), (10, 10, float("nan"), 30)


def coco(folder: Path, boxes: list[tuple[float, ...]], label: str) -> dict[str, Any]:
    names = ["car", "person"]
    entries = [
        {"id": k + 1, "image_id": 1, "category_id": names.index(label), "bbox": [x, y, w - x, h - y]}
        for k, (x, y, w, h) in enumerate(boxes)
    ]
    data = {
        "images": [{"id": 1, "file_name": "0.png"}], "annotations": entries,
        "categories": [{"id": k, "name": name} for k, name in enumerate(names)],
    }  # fmt: skip
    (folder / "labels.json").write_text(json.dumps(data))
    return {"format": "coco", "images": "images", "labels": "labels.json"}


def voc(folder: Path, boxes: list[tuple[float, ...]], label: str) -> dict[str, Any]:
    corners = ("xmin", "ymin", "xmax", "ymax")
    entries = "".join(
        f"<object><name>{label}</name><bndbox>"
        + "".join(f"<{name}>{value}</{name}>" for name, value in zip(corners, box, strict=True))
        + "</bndbox></object>"
        for box in boxes
    )
    (folder / "xml").mkdir()
    (folder / "xml" / "0.xml").write_text(f"<annotation>{entries}</annotation>")
    return {"format": "voc", "images": "images", "labels": "xml"}


def yolo(folder: Path, boxes: list[tuple[float, ...]], label: str) -> dict[str, Any]:
    (folder / "txt").mkdir()
    lines = [f"{['car', 'person'].index(label)} {x / 64} {y / 64} {w / 64} 0.1" for x, y, w, _ in boxes]
    (folder / "txt" / "0.txt").write_text("\n".join(lines))
    return {"format": "yolo", "images": "images", "labels": "txt", "names": ["car", "person"]}


def labelme(folder: Path, boxes: list[tuple[float, ...]], label: str) -> dict[str, Any]:
    shapes = [
        {"label": label, "shape_type": "rectangle", "points": [[x, y], [None if w != w else w, h]]}
        for x, y, w, h in boxes
    ]
    (folder / "json").mkdir()
    (folder / "json" / "0.json").write_text(json.dumps({"imagePath": "../images/0.png", "shapes": shapes}))
    return {"format": "labelme", "images": "images", "labels": "json", "tasks": ["objects"]}


def csv(folder: Path, boxes: list[tuple[float, ...]], label: str) -> dict[str, Any]:
    rows = [f"0.png,{label},{x},{y},{'?' if w != w else w},{h}" for x, y, w, h in boxes]
    (folder / "boxes.csv").write_text("\n".join(["image,label,x1,y1,x2,y2", *rows]))
    fields = {"box": ["x1", "y1", "x2", "y2"], "label": "label"}
    return {"format": "csv", "images": "images", "labels": "boxes.csv", "tasks": {"objects": fields}}


Write = Callable[[Path, list[tuple[float, ...]], str], dict[str, Any]]


def read(folder: Path, source: dict[str, Any]) -> tuple[dict[str, Annotation | None], list[str]]:
    (folder / "images").mkdir()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "images" / "0.png")
    problems = Problems()
    tasks = list(source.get("tasks", ["objects", "there"]))  # CSV's and LabelMe's tags are something else
    config = parse_config({"tasks": {name: TASKS[name] for name in tasks}, "sources": [{"tasks": tasks, **source}]})
    (record,) = build_manifest(config, folder, problems)
    return record.annotations, [str(one) for one in problems]


@pytest.mark.parametrize("write", [coco, voc, yolo, labelme, csv])
@pytest.mark.parametrize("kept", [0, 1])
@pytest.mark.parametrize("label", ["car", "person"])
def test_its_class_is_unknown_in_the_image_and_the_other_one_is_not(
    write: Write, kept: int, label: str, tmp_path: Path
) -> None:
    annotations, problems = read(tmp_path, write(tmp_path, [*[GOOD] * kept, BAD], label))
    objects = annotations["objects"]
    assert isinstance(objects, Instances)
    assert [item.label for item in objects.items] == [label] * kept
    assert objects.annotated == tuple(name for name in ("car", "person") if name != label)
    if "there" in annotations:  # wherever it is, it is there
        assert annotations["there"] == Tags((label,))
    assert any(f"where else {label} is in the image is unknown" in problem for problem in problems), problems


@pytest.mark.parametrize("write", [coco, voc, yolo, labelme, csv])
def test_what_can_be_read_is_all_there_is(write: Write, tmp_path: Path) -> None:
    annotations, problems = read(tmp_path, write(tmp_path, [GOOD], "car"))
    objects = annotations["objects"]
    assert isinstance(objects, Instances)
    assert objects.annotated is None
    assert len(objects) == 1
    assert not [problem for problem in problems if "unknown" in problem]


@pytest.mark.parametrize("kept", [0, 1])
def test_an_object_of_which_not_even_the_class_is_known_may_be_anything(kept: int, tmp_path: Path) -> None:
    source = voc(tmp_path, [GOOD] * kept, "car")
    xml = tmp_path / "xml" / "0.xml"
    xml.write_text(xml.read_text().replace("</annotation>", "<object><bndbox/></object></annotation>"))
    annotations, problems = read(tmp_path, source)
    assert annotations["objects"] == (None if not kept else Instances(annotations["objects"].items, ()))
    assert annotations["there"] == Tags(("car",) * kept, ("car",) * kept)
    assert any("what else is in the image is unknown" in problem for problem in problems)


@pytest.mark.parametrize("write", [coco, voc, labelme, csv])
@pytest.mark.parametrize("kept", [0, 1])
def test_a_box_without_size_is_nothing_that_could_be_missing(write: Write, kept: int, tmp_path: Path) -> None:
    annotations, problems = read(tmp_path, write(tmp_path, [*[GOOD] * kept, (5, 5, 5, 5)], "car"))
    objects = annotations["objects"]
    assert isinstance(objects, Instances)
    assert len(objects) == kept
    assert objects.annotated is None
    assert any("passed over" in problem for problem in problems)
    assert not any("unknown" in problem for problem in problems)


@pytest.mark.parametrize(("category", "known"), [(None, False), (7, True)])
def test_an_annotation_without_a_category_may_be_of_any_and_one_of_another_is_of_none(
    category: int | None, known: bool, tmp_path: Path
) -> None:
    source = coco(tmp_path, [GOOD], "car")
    data = json.loads((tmp_path / "labels.json").read_text())
    data["annotations"][0]["category_id"] = category
    (tmp_path / "labels.json").write_text(json.dumps(data))
    annotations, problems = read(tmp_path, source)
    assert annotations["objects"] == (Instances() if known else None)
    assert annotations["there"] == (Tags(()) if known else Tags((), ()))
    assert any("is not in the file's categories" in problem for problem in problems)


def test_a_row_of_empty_cells_says_that_nothing_is_there(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text("image,x1,y1,x2,y2\n0.png,NaN,NaN,NaN,NaN\n")
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "images" / "0.png")
    source = {"format": "csv", "images": "images", "labels": "boxes.csv"}
    source |= {"tasks": {"objects": {"box": ["x1", "y1", "x2", "y2"]}}}
    config = parse_config({"tasks": {"objects": {"kind": "detection", "classes": ["car"]}}, "sources": [source]})
    problems = Problems()
    (record,) = build_manifest(config, tmp_path, problems)
    assert record.annotations["objects"] == Instances()
    assert not len(problems)


def test_a_class_that_is_no_whole_number_is_unknown(tmp_path: Path) -> None:
    source = yolo(tmp_path, [], "car")
    (tmp_path / "txt" / "0.txt").write_text("1.5 0.5 0.5 0.2 0.2\n")
    annotations, _ = read(tmp_path, source)
    assert annotations["objects"] is None
    assert annotations["there"] == Tags((), ())


def test_points_that_can_not_be_read_leave_their_box(tmp_path: Path) -> None:
    (tmp_path / "txt").mkdir()
    (tmp_path / "txt" / "0.txt").write_text("0 0.5 0.5 0.2 0.2 nan 0.5 2\n0 0.2 0.5 0.2 0.2 0.2 0.5 7\n")
    source = {"format": "yolo", "images": "images", "labels": "txt", "names": ["car", "person"], "kpt_shape": [1, 3]}
    annotations, problems = read(tmp_path, source)
    objects = annotations["objects"]
    assert isinstance(objects, Instances)
    assert objects.annotated is None
    assert [item.points for item in objects.items] == [None, None]
    assert sum("its points are unknown" in problem for problem in problems) == 2


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        ({"size": [64, 64], "counts": [4096]}, "no pixel inside the image"),
        ([[12, 12, 12, 12, 12, 12]], "no pixel inside the image"),
        ([[40, 40, 60, 40, 60, 60]], r"outside its box [10, 10, 30, 30]"),
        ([[12, 12, 20, 12, 20, 20], [22, float("nan"), 28, 22, 28, 28]], "can't be read: the coordinate nan"),
        ([12, 12, 20, 12, 20, 20], "can't be read: '12' is not a list of numbers"),
    ],
)
def test_a_mask_that_shows_nothing_or_not_all_is_unknown_and_said_so_once(mask: Any, said: str, tmp_path: Path) -> None:
    source = coco(tmp_path, [GOOD], "car")
    data = json.loads((tmp_path / "labels.json").read_text())
    data["annotations"][0]["segmentation"] = mask
    (tmp_path / "labels.json").write_text(json.dumps(data))
    annotations, problems = read(tmp_path, source)
    objects = annotations["objects"]
    assert isinstance(objects, Instances)
    (car,) = objects.items
    assert car.rle is None
    assert car.polygons is None
    assert sum("its mask is left out" in problem for problem in problems) == 1
    assert any(said in problem for problem in problems), problems
