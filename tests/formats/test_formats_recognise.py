"""What a look at a folder proposes to ask of objects, and what it leaves open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from format_helpers import image

from oneglance.formats import Suggestion, recognise


def coco(folder: Path, annotations: list[dict[str, Any]], categories: list[dict[str, Any]]) -> dict[str, Any]:
    """The tasks that are proposed for a COCO file with one image."""
    image(folder / "a.jpg")
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}], "categories": categories,
        "annotations": [{"id": k + 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 8], **one}
                        for k, one in enumerate(annotations)],
    }  # fmt: skip
    (folder / "labels.json").write_text(json.dumps(content))
    (found,) = recognise(folder)
    assert found.source["tasks"] == list(found.tasks)
    return dict(found.tasks)


CAR, BUS = {"id": 1, "name": "car"}, {"id": 2, "name": "bus"}


@pytest.mark.parametrize(
    ("shape", "asked"),
    [
        ([[1, 2, 11, 2, 11, 10, 1, 10]], False),  # the box once more
        ([[1, 2, 11, 2, 11, 10, 1, 10, 1, 2]], False),
        ([[1, 2, 11, 2, 6, 10]], True),
        ([[1, 2, 11, 2, 11, 10]], True),  # a triangle in its corners
        ([[1, 2, 11, 2, 11, 10, 1, 10], [1, 2, 3, 4, 5, 7]], True),
        ({"size": [30, 40], "counts": [1, 2, 1197]}, True),
        ([], False),
        (None, False),
        ("text", False),
        ([[[1, 2], [3, 4], [5, 7]]], True),  # no polygon of COCO's; reading says what is wrong with it
    ],
)
def test_outlines_are_asked_for_where_they_say_more_than_the_box(tmp_path: Path, shape: Any, asked: bool) -> None:
    assert ("outline" in coco(tmp_path, [{"segmentation": shape}], [CAR])) == asked


def test_points_of_a_class_come_with_what_the_category_says(tmp_path: Path) -> None:
    person = {"id": 1, "name": "first aid/man", "keypoints": ["nose", "left_eye", "right_eye"],
              "skeleton": [[1, 2], [1, 9], "x", [1, 3]]}  # fmt: skip
    tasks = coco(tmp_path, [{}], [person, {"id": 2, "name": "bus", "keypoints": []}, CAR | {"id": 3}])
    assert tasks["first_aid_man_points"] == {
        "kind": "keypoints", "on": "objects.first aid/man", "points": ["nose", "left_eye", "right_eye"],
        "flip": [["left_eye", "right_eye"]], "skeleton": [["nose", "left_eye"], ["nose", "right_eye"]],
    }  # fmt: skip
    assert list(tasks) == ["objects", "first_aid_man_points"]


def test_attributes_that_sort_objects_become_classes(tmp_path: Path) -> None:
    annotations = [
        {"category_id": 1 + k % 2, "attributes": {
            "colour": ("red", "blue")[k % 2] if k else "", "plate": f"B {k}", "speed": 3.5, "occluded": bool(k % 2),
            "seats": ("2", 4)[k % 2], "always": "yes", "objects": ("near", "far")[k % 2],
            **({"lane of bus": ("own", "shared")[k % 4 == 1]} if k % 2 else {}),
        }}
        for k in range(24)
    ]  # fmt: skip
    tasks = coco(tmp_path, annotations, [CAR, BUS])
    asked = {name: task for name, task in tasks.items() if task["kind"] == "classification"}
    assert asked == {
        "colour": {"kind": "classification", "on": "objects", "attribute": "colour", "classes": ["blue", "red"]},
        "objects_2": {"kind": "classification", "on": "objects", "attribute": "objects", "classes": ["far", "near"]},
        "lane_of_bus": {"kind": "classification", "on": "objects.bus", "attribute": "lane of bus",
                        "classes": ["own", "shared"]},
    }  # fmt: skip


def yolo(folder: Path, **data: Any) -> Suggestion:
    """What is proposed for a YOLO data set of poses."""
    image(folder / "images" / "a.jpg")
    (folder / "labels").mkdir()
    (folder / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.2 0.5 0.5 2 0.4 0.4 2 0.6 0.6 2\n")
    content = {"path": ".", "train": "images", "names": ["hand"], "kpt_shape": [3, 3], **data}
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    (found,) = recognise(folder)
    return found


@pytest.mark.parametrize(
    ("said", "points", "flip"),
    [
        ({}, ["p0", "p1", "p2"], None),
        ({"flip_idx": [0, 2, 1]}, ["p0", "p1", "p2"], [["p1", "p2"]]),
        ({"flip_idx": [0, 1, 2]}, ["p0", "p1", "p2"], []),  # somebody says that none changes places
        ({"flip_idx": [0, 2]}, ["p0", "p1", "p2"], None),
        ({"flip_idx": "none"}, ["p0", "p1", "p2"], None),
        ({"kpt_names": {0: ["a", "left_b", "right_b"]}}, ["a", "left_b", "right_b"], [["left_b", "right_b"]]),
        ({"kpt_names": ["a", "b", "c"], "flip_idx": [1, 0, 2]}, ["a", "b", "c"], [["a", "b"]]),
        ({"kpt_names": ["a", "a", "c"]}, ["p0", "p1", "p2"], None),
    ],
)
def test_points_of_yolo_have_the_names_and_pairs_of_its_yaml(
    tmp_path: Path, said: dict[str, Any], points: list[str], flip: list[list[str]] | None
) -> None:
    found = yolo(tmp_path, **said)
    assert found.tasks["points"] == {
        "kind": "keypoints", "on": "objects", "points": points, **({} if flip is None else {"flip": flip})
    }  # fmt: skip
    assert ("never mirrored" in found.note) == (flip is None)


@pytest.mark.parametrize("shape", [[10**9, 3], ["3", 3], [], [0, 3], None, [-1, 2]])
def test_a_shape_of_points_that_is_none_asks_for_no_points(tmp_path: Path, shape: Any) -> None:
    assert "points" not in yolo(tmp_path, kpt_shape=shape).tasks


def test_nothing_is_said_of_mirrors_where_a_table_names_points_by_numbers(tmp_path: Path) -> None:
    """Mirrored without changing places, a left eye would be learnt as a right one."""
    for name in ("a", "b"):
        image(tmp_path / f"{name}.jpg")
    (tmp_path / "t.csv").write_text("image,x0,y0,x1,y1\na.jpg,1,2,3,4\nb.jpg,1,2,3,4\n")
    (found,) = recognise(tmp_path)
    (task,) = found.tasks.values()
    assert task["kind"] == "keypoints"
    assert "flip" not in task
    assert "never mirrored" in found.note


def test_rows_of_points_that_share_images_are_objects_with_points(tmp_path: Path) -> None:
    for name in ("a", "b"):
        image(tmp_path / f"{name}.jpg")
    (tmp_path / "t.csv").write_text(
        "image,x0,y0,x1,y1,x2,y2\na.jpg,1,2,3,4,5,2\na.jpg,1,2,3,4,5,2\nb.jpg,1,2,3,4,5,2\n"
    )
    (found,) = recognise(tmp_path)
    assert found.tasks == {
        "t": {"kind": "detection", "classes": ["t"]},
        "t_points": {"kind": "keypoints", "on": "t", "points": ["p0", "p1", "p2"]},
    }
    assert list(found.source["tasks"]) == ["t", "t_points"]
