"""What objects carry is left out, and said, where it can't be used: then it is unknown, and counted as nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oneglance.annotations import Record
from oneglance.config import parse_config
from oneglance.errors import OneglanceError, Problems
from oneglance.ingest import build_manifest, check_source_names
from oneglance.manifest import Manifest

DETECTION = {"kind": "detection", "classes": ["car"]}


def read(
    folder: Path, task: dict[str, Any], objects: list[dict[str, Any]], category: dict[str, Any] | None = None
) -> tuple[Manifest, list[str]]:
    """Images with one object each; the task ``q`` is asked of them."""
    (folder / "images").mkdir()
    for k in range(len(objects)):
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "images" / f"{k}.png")
    data = {
        "images": [{"id": k, "file_name": f"{k}.png"} for k in range(len(objects))],
        "annotations": [
            {"id": k + 1, "image_id": k, "category_id": 1, "bbox": [10, 10, 20, 20], "area": 400, **one}
            for k, one in enumerate(objects)
        ],
        "categories": [{"id": 1, "name": "car", **(category or {})}],
    }
    (folder / "labels.json").write_text(json.dumps(data))
    source = {"format": "coco", "images": "images", "labels": "labels.json", "tasks": ["objects", "q"]}
    config = parse_config({"tasks": {"objects": DETECTION, "q": {"on": "objects", **task}}, "sources": [source]})
    problems = Problems()
    return build_manifest(config, folder, problems), [str(one) for one in problems]


@pytest.mark.parametrize(
    ("task", "values", "usable", "said"),
    [
        ({"kind": "classification", "classes": ["red", "blue"]}, ["red", "blue", "Red", "green", "green", None, ""],
         2, ["1 times: task 'q': 'Red' is no class of it", "2 times: task 'q': 'green' is no class of it"]),
        ({"kind": "tagging", "classes": ["q"]}, [1, 0, "yes", "False", "maybe", 2, None, ""],
         4, ["'maybe'; 1 or 0 is expected", "2; 1 or 0 is expected"]),
        ({"kind": "regression", "targets": ["q"]}, [1.5, "3", "old", float("nan"), None, True, "", int("9" * 400)],
         2, ["'old'; a number is expected", "nan; a number", "True; a number"]),
    ],
)  # fmt: skip
def test_attributes_that_can_not_be_used_are_unknown(
    task: dict[str, Any], values: list[Any], usable: int, said: list[str], tmp_path: Path
) -> None:
    manifest, problems = read(tmp_path, task, [{"attributes": {"q": value}} for value in values])
    assert manifest.labelled("q").sum() == usable
    assert manifest.labelled("objects").all()
    for text in said:
        assert any(text in problem for problem in problems), problems
    assert not any("''" in problem for problem in problems)  # an empty one was not said


def test_attributes_of_another_shape_are_reported_by_their_place(tmp_path: Path) -> None:
    task = {"kind": "classification", "classes": ["red", "blue"]}
    manifest, problems = read(tmp_path, task, [{"attributes": "red"}, {"attributes": {"q": ["red"]}}])
    assert not manifest.labelled("q").any()
    assert any("annotations[0] (id 1): its attributes 'red' are no object" in problem for problem in problems)
    assert any("annotations[1] (id 2): its attribute 'q' is" in problem for problem in problems)


POINTS = {"kind": "keypoints", "points": ["l", "r"], "flip": []}


def test_points_that_nobody_labelled_are_unknown_and_those_outside_their_box_are_said(tmp_path: Path) -> None:
    given = [[12, 12, 2, 20, 20, 2], [0, 0, 0, 0, 0, 0], [12, 12, 2, 50, 20, 2]]
    category = {"keypoints": ["l", "r"]}
    manifest, problems = read(tmp_path, POINTS, [{"keypoints": one} for one in given], category)
    assert manifest.labelled("q").tolist() == [True, False, True]
    assert any("1 points of task 'q' lie outside their object's box" in problem for problem in problems)


@pytest.mark.parametrize(
    ("names", "said", "labelled"),
    [
        (None, "the category 'car' names none (`keypoints`)", False),
        ("l,r", "'l,r' is not a list of names; the points of car are unknown", False),
        (["l", "l"], "names a point twice; the points of car are unknown", False),
        (["l", "R"], "points that task 'objects' has and the source does not name (r): unknown there", True),
    ],
)
def test_a_category_that_does_not_name_its_points_is_said(
    names: Any, said: str, labelled: bool, tmp_path: Path
) -> None:
    manifest, problems = read(tmp_path, POINTS, [{"keypoints": [12, 12, 2, 20, 20, 2]}], {"keypoints": names})
    assert manifest.labelled("q").tolist() == [labelled]
    assert any(said in problem for problem in problems), problems


def test_what_is_said_of_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    manifest, _ = read(tmp_path, POINTS, [{}])
    (name,) = set(manifest.values("source"))
    config = {"tasks": {"objects": DETECTION}, "sources": [{"format": "voc", "tasks": ["objects"]}]}
    for settings in (
        {"train": {"sizes": {"imgs": [64, 64]}}}, {"train": {"eval_sizes": {"imgs": [64, 64]}}},
        {"augment_sources": {"imgs": {}}}, {"mixing": {"weights": {"imgs": 2}}},
    ):  # fmt: skip
        with pytest.raises(OneglanceError, match="no source is called 'imgs'"):
            check_source_names(parse_config(config | settings), manifest)
    check_source_names(parse_config(config | {"train": {"sizes": {str(name): [64, 64]}}}), manifest)


def test_images_of_two_sources_have_the_size_of_the_first(tmp_path: Path) -> None:
    rows = [Record(tmp_path / f"{k}.png", 8, 8, "train", name) for k, name in enumerate(("a", "a+b", "c"))]
    manifest = Manifest.build(rows, {})
    config = {"tasks": {"objects": DETECTION}, "sources": [{"format": "voc", "tasks": ["objects"]}]}
    check_source_names(parse_config(config | {"train": {"sizes": {"a": [64, 64], "c": [96, 96]}}}), manifest)
    with pytest.raises(OneglanceError, match=r"train.sizes: the images of 'b' are those of 'a' as well.*give 'a'"):
        check_source_names(parse_config(config | {"train": {"sizes": {"b": [64, 64]}}}), manifest)
