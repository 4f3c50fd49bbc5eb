"""What several data sets come to in one configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from oneglance.cli.plan import WIDTH, Plan, _dump
from oneglance.formats import Suggestion


def test_a_long_list_is_written_in_lines_of_whole_names() -> None:
    odd = ["yes", "1", "a, b", "it's", "ü [x]", "- y", "null", "# z", "a: b", "~", "", "tab\there", "x" * 120]
    classes = [f"fire hydrant {k}" for k in range(80)] + odd
    plan = {
        "tasks": {"a": {"classes": classes, "flip": [["b", "c"]]}},
        "sources": [{"labels": classes, "tasks": ["a"]}],
    }
    text = _dump(plan)
    assert yaml.safe_load(text) == plan
    assert not [line for line in text.splitlines() if len(line) > WIDTH and "xxx" not in line]
    assert not [line for line in text.splitlines() if line.endswith("fire") or line.lstrip().startswith("hydrant")]
    assert "tasks: [a]" in text


def test_tasks_of_one_name_are_told_apart_or_united() -> None:
    def suggestion(form: str, split: str, classes: list[str]) -> Suggestion:
        task = {"objects": {"kind": "detection", "classes": classes}}
        return Suggestion({"format": form, "images": split, "split": split, "tasks": ["objects"]}, task)

    plan = Plan()
    plan.add(suggestion("voc", "train", ["a", "b"]), Path("x"), Path())
    plan.add(suggestion("voc", "val", ["b", "c"]), Path("x"), Path())
    plan.add(suggestion("yolo", "train", ["z"]), Path("x"), Path())
    assert plan.tasks["objects"]["classes"] == ["a", "b", "c"]
    assert [source["tasks"] for source in plan.sources] == [["objects"], ["objects"], ["yolo_objects"]]
    assert set(plan.tasks) == {"objects", "yolo_objects"}


def test_tasks_on_objects_go_with_the_objects_of_their_own_data_set() -> None:
    def suggestion(folder: str, classes: list[str], points: list[str]) -> Suggestion:
        tasks = {
            "points": {"kind": "keypoints", "on": "objects", "points": points},
            "outline": {"kind": "mask", "on": "objects"}, "objects": {"kind": "detection", "classes": classes},
        }  # fmt: skip
        return Suggestion({"format": "yolo", "images": folder, "names": classes, "tasks": list(tasks)}, tasks)

    plan = Plan()
    plan.add(suggestion("faces", ["face"], ["nose", "chin"]), Path("x"), Path())
    plan.add(suggestion("hands", ["hand"], ["thumb"]), Path("x"), Path())
    plan.finish()
    assert plan.sources[1]["tasks"] == ["yolo_points", "yolo_outline", "yolo_objects"]
    assert {name: task.get("on") for name, task in plan.tasks.items()} == {
        "objects": None, "points": "objects", "outline": "objects",
        "yolo_objects": None, "yolo_points": "yolo_objects", "yolo_outline": "yolo_objects",
    }  # fmt: skip
    (note,) = plan.notes
    assert note.startswith("points, yolo_points: which points change places in a mirror is not known")


@pytest.mark.parametrize("name", ["type", "values", "split", "path", "hair colour", "", "a.b", "?"])
def test_tasks_get_names_that_they_may_have(name: str) -> None:
    task = {"kind": "classification", "classes": ["a", "b"]}
    plan = Plan()
    plan.add(
        Suggestion({"format": "csv", "labels": "t.csv", "tasks": {name: "column"}}, {name: task}), Path("x"), Path()
    )
    plan.finish()
    assert not plan.notes
    assert plan.sources[0]["tasks"] == dict.fromkeys(plan.tasks, "column")


def test_classes_that_somebody_else_looked_for_are_unknown() -> None:
    def suggestion(folder: str, classes: list[str], **more: str) -> Suggestion:
        source = {"format": "voc", "images": folder, "labels": f"{folder}-xml", **more, "tasks": ["objects"]}
        return Suggestion(source, {"objects": {"kind": "detection", "classes": classes}})

    plan = Plan()
    plan.add(suggestion("a", ["car", "person"]), Path("x"), Path())
    plan.add(suggestion("b", ["dog", "person"]), Path("x"), Path())
    plan.finish()
    assert [source["annotated"] for source in plan.sources] == [["car", "person"], ["dog", "person"]]
    assert len(plan.notes) == 2
    plan = Plan()  # the splits of one data set were labelled alike, whatever occurs in them
    plan.add(suggestion("a", ["car", "person"], split="train"), Path("x"), Path())
    plan.add(suggestion("b", ["person"], split="val"), Path("x"), Path())
    plan.finish()
    assert not any("annotated" in source for source in plan.sources)
    plan.add(suggestion("other", ["cat", "person"], split="train"), Path("x"), Path())
    plan.finish()  # another data set of the split train
    assert [source.get("annotated") for source in plan.sources] == [["car", "person"], None, ["cat", "person"]]


def test_only_the_same_labels_are_left_out_as_the_same() -> None:
    def suggestion(labels: str, classes: list[str], *stems: str) -> Suggestion:
        source = {"format": "csv", "images": "i", "labels": labels, "tasks": {"label": "label"}}
        return Suggestion(source, {"label": {"kind": "classification", "classes": classes}}, stems=frozenset(stems))

    plan = Plan()
    plan.add(suggestion("a.csv", ["sun", "rain"], "1", "2"), Path("x"), Path())
    plan.add(suggestion("copy.csv", ["sun", "rain"], "1", "2"), Path("x"), Path())
    plan.add(suggestion("more.csv", ["sun", "rain"], "3", "4"), Path("x"), Path())
    plan.add(suggestion("time.csv", ["day", "night"], "1", "2"), Path("x"), Path())
    assert [source["labels"] for source in plan.sources] == ["a.csv", "more.csv", "time.csv"]
    assert plan.left == ["copy.csv: speaks of the same images and asks the same as a.csv"]


def test_folders_of_images_that_other_labels_speak_of_are_no_classes() -> None:
    found = {"objects": {"kind": "detection", "classes": ["car"]}}
    sites = {"class": {"kind": "classification", "classes": ["siteA", "siteB"]}}
    plan = Plan()
    source = {"format": "coco", "images": "images", "labels": "l.json", "tasks": ["objects"]}
    plan.add(Suggestion(source, found), Path("x"), Path())
    plan.add(Suggestion({"format": "folder", "root": "images", "tasks": ["class"]}, sites), Path("x"), Path())
    plan.add(Suggestion({"format": "folder", "root": "weather", "tasks": ["class"]}, sites), Path("x"), Path())
    assert list(plan.tasks) == ["objects", "class"]
    (left,) = plan.left
    assert left.startswith("folders siteA, siteB: other labels speak of the images in them")
    exported = {"format": "yolo", "images": "images", "labels": "labels", "tasks": ["objects"]}
    plan = Plan()
    for source in ({**exported, "format": "coco", "labels": "l.json"}, exported):
        plan.add(Suggestion(source, found, stems=frozenset("abc")), Path("x"), Path())
    assert plan.left == ["labels: speaks of the same images and asks the same as l.json"]


def test_what_would_not_be_accepted_is_said(tmp_path: Path) -> None:
    task = {"kind": "classification", "classes": ["a"]}
    plan = Plan()
    plan.add(Suggestion({"format": "folder", "tasks": ["class"]}, {"class": task}), Path("x"), Path())
    plan.finish()
    (note,) = plan.notes
    assert "it can't be trained by as it is" in note
    assert "class.classes" in note
    plan.notes.append("an attribute: two\nlines")
    assert yaml.safe_load(plan.text(tmp_path, 64))["tasks"] == {"class": task}
