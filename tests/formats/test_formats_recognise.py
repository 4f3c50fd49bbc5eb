"""What a look at a folder proposes to ask of objects, and what it leaves open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from format_helpers import image, items, read

from oneglance.errors import OneglanceError
from oneglance.formats import Suggestion, recognise
from oneglance.formats.recognition import flip_pairs, mirror_note
from oneglance.manifest import Column


def coco(
    folder: Path, annotations: list[dict[str, Any]], categories: list[dict[str, Any]], name: str = "labels.json",
    images: tuple[str, ...] = ("a.jpg",),
) -> Path:  # fmt: skip
    """A COCO file with these images (beside it), the annotations on the first one."""
    for one in images:
        image(folder / one)
    content = {
        "images": [{"id": k + 1, "file_name": one} for k, one in enumerate(images)], "categories": categories,
        "annotations": [{"id": k + 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 8], **one}
                        for k, one in enumerate(annotations)],
    }  # fmt: skip
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    return folder


def only(folder: Path) -> Suggestion:
    """The one data set that is found."""
    (found,) = recognise(folder)
    assert list(found.source["tasks"]) == list(found.tasks)
    return found


def coco_tasks(folder: Path, annotations: list[dict[str, Any]], categories: list[dict[str, Any]]) -> dict[str, Any]:
    return dict(only(coco(folder, annotations, categories)).tasks)


CAR, BUS = {"id": 1, "name": "car"}, {"id": 2, "name": "bus"}
BOX = [[1, 2, 11, 2, 11, 10, 1, 10]]


@pytest.mark.parametrize(
    ("shape", "asked"),
    [
        (BOX, False),
        ([[1, 2, 11, 2, 11, 10, 1, 10, 1, 2]], False),
        ([[1, 2, 11, 2, 6, 10]], True),
        ([[1, 2, 11, 2, 11, 10]], True),  # a triangle in its corners
        ([*BOX, [1, 2, 3, 4, 5, 7]], True),
        ({"size": [30, 40], "counts": [1, 2, 1197]}, True),
        ([], False),
        ([[]], False),
        (None, False),
        ("text", False),
        ([[[1, 2], [3, 4], [5, 7]]], True),  # no polygon of COCO's; reading says what is wrong with it
    ],
)
def test_outlines_are_asked_for_where_they_say_more_than_the_box(tmp_path: Path, shape: Any, asked: bool) -> None:
    assert ("outline" in coco_tasks(tmp_path, [{"segmentation": shape}], [CAR])) == asked


def test_all_annotations_are_looked_at_for_outlines_but_crowds(tmp_path: Path) -> None:
    late = [{"segmentation": BOX}] * 300 + [{"segmentation": [[1, 2, 11, 2, 6, 10]]}]
    assert "outline" in coco_tasks(tmp_path / "late", late, [CAR])
    assert "outline" not in coco_tasks(tmp_path / "crowd", [{"iscrowd": 1, "segmentation": {"counts": [1]}}], [CAR])


def test_points_of_a_class_come_with_what_the_category_says(tmp_path: Path) -> None:
    person = {"id": 1, "name": "first aid/man", "keypoints": ["nose", "left_eye", "right_eye"],
              "skeleton": [[1, 2], [1, 9], "x", [1, 3]]}  # fmt: skip
    categories = [person, {"id": 2, "name": "bus", "keypoints": []}, CAR | {"id": 3, "keypoints": ["lamp"]}]
    tasks = coco_tasks(tmp_path, [{"keypoints": [5, 6, 2, 0, 0, 0, 0, 0, 0]}, {"category_id": 3}], categories)
    assert tasks["first aid/man_points"] == {
        "kind": "keypoints", "on": "objects.first aid/man", "points": ["nose", "left_eye", "right_eye"],
        "flip": [["left_eye", "right_eye"]], "skeleton": [["nose", "left_eye"], ["nose", "right_eye"]],
    }  # fmt: skip
    assert list(tasks) == ["objects", "first aid/man_points"]  # nobody pointed at the car's lamp


def test_attributes_that_sort_objects_become_classes(tmp_path: Path) -> None:
    annotations = [
        {"category_id": 1 + k % 2, "attributes": {
            "colour": ("red", "blue")[k // 2 % 2] if k else "", "plate": f"B {k}", "speed": 3.5, "occluded": k > 9,
            "seats": ("2", 4)[k % 2], "always": "yes", "objects": ("near", "far", "__undefined__")[k % 3],
            "damaged": k % 5 == 0, "remark": "ok" if k < 20 else f"remark {k}", "": "x",
            **({"lane of bus": ("own", "shared")[k % 4 == 1]} if k % 2 else {}),
        }}
        for k in range(30)
    ]  # fmt: skip
    found = only(coco(tmp_path, annotations, [CAR, BUS]))
    asked = {name: task for name, task in found.tasks.items() if task["kind"] != "detection"}
    assert asked == {
        "colour": {"kind": "classification", "on": "objects", "attribute": "colour", "classes": ["blue", "red"]},
        "objects_2": {"kind": "classification", "on": "objects", "attribute": "objects", "classes": ["far", "near"]},
        "lane of bus": {"kind": "classification", "on": "objects.bus", "attribute": "lane of bus",
                        "classes": ["own", "shared"]},
        "tags": {"kind": "tagging", "on": "objects", "classes": ["damaged"]},
    }  # fmt: skip
    assert "plate, speed, seats, always, remark" in found.note


def test_an_attribute_says_who_somebody_is(tmp_path: Path) -> None:
    people = [{"attributes": {"person_id": f"p{k % 40}"}} for k in range(60)]
    found = only(coco(tmp_path, people, [{"id": 1, "name": "face"}]))
    assert found.tasks["who"] == {"kind": "embedding", "on": "objects.face"}
    assert found.source["identity"] == "person_id"
    (record,), _ = read({**found.source, "tasks": ["objects"]}, {"objects": Column("instances", ("face",))}, tmp_path)
    assert [one.identity for one in items(record)][:2] == ["p0", "p1"]
    assert "who" not in coco_tasks(tmp_path / "once", people[:40], [CAR])  # nobody is shown twice


def test_splits_of_one_data_set_have_its_tasks_where_they_have_labels(tmp_path: Path) -> None:
    """Judged alone, six values of three colours would be none, and the split could not be scored."""
    person = {"id": 2, "name": "person", "keypoints": ["a", "b"]}
    train = [{"attributes": {"colour": "rgb"[k % 3]}, "segmentation": [[1, 2, 9, 2, 5, 9]]} for k in range(30)]
    val = [{"attributes": {"colour": "rgb"[k % 3]}, "category_id": 2 if k else 1} for k in range(6)]
    coco(tmp_path, train, [CAR], "labels/train.json", ("train/a.jpg",))
    coco(tmp_path, [*val, {"category_id": 2, "keypoints": [1, 1, 2, 2, 2, 2]}], [CAR, person], "labels/val.json",
         ("val/b.jpg",))  # fmt: skip
    for name in ("train", "val"):
        data = json.loads((tmp_path / "labels" / f"{name}.json").read_text())
        data["images"][0]["file_name"] = Path(data["images"][0]["file_name"]).name
        (tmp_path / "labels" / f"{name}.json").write_text(json.dumps(data))
    first, second = recognise(tmp_path)
    assert (first.source["split"], second.source["split"]) == ("train", "val")
    assert first.source["tasks"] == ["objects", "outline", "colour"]
    assert second.source["tasks"] == ["objects", "person_points", "colour"]
    assert first.tasks["objects"]["classes"] == second.tasks["objects"]["classes"] == ["car", "person"]
    assert first.tasks["colour"] == second.tasks["colour"]
    assert first.tasks["colour"]["on"] == "objects"


def test_files_of_one_folder_are_put_together_where_a_number_is_one_image(tmp_path: Path) -> None:
    images = ("a.jpg", "b.jpg")
    coco(tmp_path, [{}], [CAR], "cars.json", images)
    coco(tmp_path, [{}], [{"id": 1, "name": "dog"}, CAR | {"id": 2}], "dogs.json", images)
    coco(tmp_path, [{}], [CAR], "later.json", images[::-1])
    assert [one.source["labels"] for one in recognise(tmp_path)] == [["cars.json", "dogs.json"], "later.json"]
    assert all(one.tasks["objects"]["classes"] == ["car", "dog"] for one in recognise(tmp_path))


@pytest.mark.parametrize("images", [("../a.jpg",), ("/a.jpg",), ("nowhere.jpg",)])
def test_a_file_whose_images_are_not_there_is_named(tmp_path: Path, images: tuple[str, ...]) -> None:
    folder = coco(tmp_path, [{}], [CAR])
    content = json.loads((folder / "labels.json").read_text())
    (folder / "labels.json").write_text(json.dumps({**content, "images": [{"id": 1, "file_name": images[0]}]}))
    found = only(folder)
    assert not found.tasks
    assert f"labels.json: its images ('{images[0]}', ...) are in no folder here" in found.note


def test_a_file_without_annotations_is_not_taken_as_nothing_there(tmp_path: Path) -> None:
    found = only(coco(tmp_path, [], [CAR]))
    assert not found.tasks
    assert "is not known" in found.note


def test_odd_categories_do_no_harm(tmp_path: Path) -> None:
    categories = [CAR, CAR | {"id": 2}, {"id": 3, "name": "x", "supercategory": ["y"]}, {"id": [4], "name": "z"}, 7]
    assert coco_tasks(tmp_path, [{}, {"category_id": [4]}], categories)["objects"]["classes"] == ["car", "x", "z"]


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
        ({"flip_idx": [1, 2, 0]}, ["p0", "p1", "p2"], None),  # no mirror
        ({"flip_idx": "none"}, ["p0", "p1", "p2"], None),
        ({"kpt_names": {0: ["a", "left_b", "right_b"]}}, ["a", "left_b", "right_b"], [["left_b", "right_b"]]),
        ({"kpt_names": ["a", "b", "c"], "flip_idx": [1, 0, 2]}, ["a", "b", "c"], [["a", "b"]]),
        ({"kpt_names": ["a", "a", "c"]}, ["p0", "p1", "p2"], None),
        ({"kpt_names": {0: ["a", "b", "c"], 1: ["d", "e", "f"]}}, ["p0", "p1", "p2"], None),
    ],
)
def test_points_of_yolo_have_the_names_and_pairs_of_its_yaml(
    tmp_path: Path, said: dict[str, Any], points: list[str], flip: list[list[str]] | None
) -> None:
    found = yolo(tmp_path, **said)
    assert found.tasks["points"] == {
        "kind": "keypoints", "on": "objects", "points": points, **({} if flip is None else {"flip": flip})
    }  # fmt: skip
    assert bool(mirror_note(found.tasks)) == (flip is None)


@pytest.mark.parametrize("shape", [[10**9, 3], ["3", 3], [], [3], [3, 4], [0, 3], None, [-1, 2]])
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
    assert "never mirrored" in mirror_note(found.tasks)


def table(folder: Path, text: str, name: str = "t.csv") -> Suggestion:
    """What is proposed for a table of the images a.jpg and b.jpg."""
    for one in ("a", "b"):
        image(folder / f"{one}.jpg")
    (folder / name).write_text(text)
    return only(folder)


@pytest.mark.parametrize(("x", "y", "points"), [
    ("x0,x1,x2", "y0,y1,y2", ["p0", "p1", "p2"]), ("x1,x2,x3", "y1,y2,y3", ["1", "2", "3"]),
    ("nose_x,tail_x,ear_x", "nose_y,tail_y,ear_y", ["nose", "tail", "ear"]),
])  # fmt: skip
def test_rows_of_points_that_share_images_are_objects_with_points(
    tmp_path: Path, x: str, y: str, points: list[str]
) -> None:
    rows = "a.jpg,1,9,4,2,2,9,kim,cat\na.jpg,1,9,5,2,2,8,eva,dog\nb.jpg,1,9,5,2,2,8,eva,cat\n"
    found = table(tmp_path, f"image,{x},{y},person,species\n{rows}", "some.faces.csv")
    assert found.tasks == {
        "some_faces": {"kind": "detection", "classes": ["cat", "dog"]},
        "some_faces_who": {"kind": "embedding", "on": "some_faces"},
        "some_faces_points": {"kind": "keypoints", "on": "some_faces", "points": points},
    }
    source = {**found.source, "tasks": {"some_faces": found.source["tasks"]["some_faces"]}}
    column = Column("instances", ("cat", "dog"), points_of=dict.fromkeys(("cat", "dog"), tuple(points)))
    (a, b), problems = read(source, {"some_faces": column}, tmp_path)
    assert not problems
    assert [(one.label, one.identity) for one in items(a, "some_faces")] == [("cat", "kim"), ("dog", "eva")]
    (only_one,) = items(b, "some_faces")
    assert only_one.points.xy.tolist() == [[1, 2], [9, 2], [5, 8]]


def test_columns_that_fit_no_point_are_refused_and_not_taken_as_nothing(tmp_path: Path) -> None:
    table(tmp_path, "image,x0,y0,x1,y1\na.jpg,1,2,3,4\nb.jpg,1,2,3,4\n")
    source = {"format": "csv", "labels": "t.csv", "images": ".", "image": "image",
              "tasks": {"t": {"x": "u{i}", "y": "v{i}", "outline": True}}}  # fmt: skip
    with pytest.raises(OneglanceError, match="fits none of the columns"):
        read(source, {"t": Column("instances", ("t",))}, tmp_path)


@pytest.mark.parametrize(
    ("columns", "form"),
    [("xmin,ymin,xmax,ymax", "xyxy"), ("x1,y1,x2,y2", "xyxy"), ("bbox_x,bbox_y,bbox_w,bbox_h", "xywh")],
)
def test_boxes_in_a_table_are_objects(tmp_path: Path, columns: str, form: str) -> None:
    header = f"filename,width,height,class,{columns}"
    found = table(tmp_path, f"{header}\na.jpg,40,30,0,1,2,9,8\na.jpg,40,30,3,1,2,9,8\nb.jpg,40,30,3,1,2,9,8\n")
    assert found.tasks == {"objects": {"kind": "detection", "classes": ["class_0", "class_3"]}}
    (a, _), problems = read(found.source, {"objects": Column("instances", ("class_0", "class_3"))}, tmp_path)
    assert not problems
    assert [one.label for one in items(a)] == ["class_0", "class_3"]


def test_a_name_of_its_own_for_each_object_is_no_class(tmp_path: Path) -> None:
    rows = "".join(f"a.jpg,1,2,9,8,thing {k},{'xy'[k % 2]}\n" for k in range(40))
    found = table(tmp_path, f"image,x1,y1,x2,y2,name,label\n{rows}")
    assert found.tasks["objects"]["classes"] == ["x", "y"]
    assert found.source["tasks"]["objects"]["label"] == "label"


def test_a_column_of_several_words_holds_tags(tmp_path: Path) -> None:
    found = table(tmp_path, "image,seen\na.jpg,sea|sky\nb.jpg,sky|sand|sea\n")
    assert found.tasks == {"seen": {"kind": "tagging", "classes": ["sand", "sea", "sky"]}}
    (a, _), _ = read(found.source, {"seen": Column("tags", ("sand", "sea", "sky"))}, tmp_path)
    assert a.annotations["seen"].names == ("sea", "sky")  # type: ignore[union-attr]


def test_splits_of_a_table_are_known_by_their_names(tmp_path: Path) -> None:
    found = table(tmp_path, "image,kind,Set\na.jpg,x,Train\nb.jpg,y,Validation\n")
    assert found.source["split_column"] == "Set"
    (a, b), _ = read(found.source, {"kind": Column("label", ("x", "y"))}, tmp_path)
    assert (a.split, b.split) == ("train", "val")
    found = table(tmp_path, "image,kind,Set\na.jpg,x,0\nb.jpg,y,1\n")
    assert "split_column" not in found.source
    assert "Set are no names of splits" in found.note
    (tmp_path / "t.csv").unlink()
    assert table(tmp_path, "image,kind\na.jpg,x\nb.jpg,y\n", "labels_valid.csv").source["split"] == "val"


@pytest.mark.parametrize(
    ("points", "pairs"),
    [
        (["nose", "left_eye", "right_eye"], [["left_eye", "right_eye"]]),
        (["l_hip", "r_hip", "hip_L", "hip_R"], [["l_hip", "r_hip"], ["hip_L", "hip_R"]]),
        (["left_eye_left", "left_eye_right", "right_eye_left", "right_eye_right"],
         [["left_eye_left", "right_eye_right"], ["left_eye_right", "right_eye_left"]]),
        (["left_a", "right_a", "left_b"], []),  # where the mirror of left_b is, is not known
        (["a", "b"], []),
    ],
)  # fmt: skip
def test_pairs_are_understood_wholly_or_not_at_all(points: list[str], pairs: list[list[str]]) -> None:
    assert flip_pairs(points) == pairs


def test_splits_of_yolo_are_those_of_its_yaml(tmp_path: Path) -> None:
    for part in ("one", "two"):
        image(tmp_path / "lists" / "images" / f"{part}.jpg")
        image(tmp_path / "folders" / "images" / part / f"{part}.jpg")
        for place in (tmp_path / "lists" / "labels", tmp_path / "folders" / "labels" / part):
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{part}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
        (tmp_path / "lists" / f"{part}.txt").write_text(f"./images/{part}.jpg\n")
    for name, one, two in (("lists", "one.txt", "two.txt"), ("folders", "images/one", "images/two")):
        text = yaml.safe_dump({"path": ".", "train": one, "test": two, "names": ["cup"]})
        (tmp_path / name / "data.yaml").write_text(text)
    found = only(tmp_path / "lists")
    records, problems = read(found.source, {"objects": Column("instances", ("cup",))}, tmp_path / "lists")
    assert not problems
    assert {record.path.stem: record.split for record in records} == {"one": "train", "two": "test"}
    sources = [one.source for one in recognise(tmp_path / "folders") if one.source["format"] == "yolo"]
    assert {source["images"]: source["split"] for source in sources} == {"images/one": "train", "images/two": "test"}


def test_names_of_classes_are_found_where_annotation_tools_leave_them(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.jpg")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    (tmp_path / "labels" / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "labels" / "notes.txt").write_text("mine\n")
    found = only(tmp_path)
    assert found.tasks["objects"]["classes"] == ["cat", "dog"]
    (record,), problems = read(found.source, {"objects": Column("instances", ("cat", "dog"))}, tmp_path)
    assert [one.label for one in items(record)] == ["dog"]
    assert [problem for problem in problems if "notes.txt" not in problem] == []


def test_a_file_of_everything_adds_nothing_to_those_of_the_splits(tmp_path: Path) -> None:
    coco(tmp_path, [{}], [CAR], "train.json", ("a.jpg",))
    coco(tmp_path, [{}], [CAR], "val.json", ("b.jpg",))
    coco(tmp_path, [{}], [CAR], "all.json", ("a.jpg", "b.jpg"))
    left, *kept = recognise(tmp_path)
    assert [one.source["labels"] for one in kept] == ["train.json", "val.json"]
    assert "all.json: the files of the splits say the same of the same images" in left.note
    coco(tmp_path, [{"segmentation": [[1, 2, 9, 2, 5, 9]]}], [CAR], "all.json", ("a.jpg", "b.jpg"))
    assert all(one.tasks for one in recognise(tmp_path))  # it says more


def test_trainval_is_for_training_unless_others_divide_it(tmp_path: Path) -> None:
    coco(tmp_path, [{}], [CAR], "trainval.json", ("a.jpg",))
    coco(tmp_path, [{}], [CAR], "test.json", ("b.jpg",))
    assert [one.source["split"] for one in recognise(tmp_path)] == ["test", "train"]
    coco(tmp_path, [{}], [CAR], "val.json", ("a.jpg",))
    assert sorted(one.source["labels"] for one in recognise(tmp_path) if one.tasks) == ["test.json", "val.json"]
