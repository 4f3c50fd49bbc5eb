"""Tasks on objects from the YAML to the manifest: what a source vouches for, what is labelled, what is refused."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import oneglance as og
from oneglance.config import parse_config
from oneglance.data.dataset import AnnotatedImages
from oneglance.errors import OneglanceError, Problems
from oneglance.ingest import build_manifest, count_labels, never_labelled
from oneglance.manifest import Manifest
from oneglance.tasks import KINDS, create_tasks

SQUARE = [[10, 10, 30, 10, 30, 30, 10, 30]]
TASKS = {
    "objects": {"kind": "detection", "classes": ["car", "face"]},
    "outline": {"kind": "mask", "on": "objects"},
    "eyes": {"kind": "keypoints", "on": "objects.face", "points": ["left", "right"]},
    "colour": {"kind": "classification", "on": "objects.car", "classes": ["red", "blue"]},
}


@pytest.fixture
def folder(tmp_path):
    """Four images: a red car with a mask and a face with points; a car that nobody described; nothing; a crowd."""
    for k in range(4):
        Image.new("RGB", (64, 48), (k * 40, 90, 90)).save(tmp_path / f"{k}.jpg")
    categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "face", "keypoints": ["right", "left"]}]
    box = {"bbox": [10, 10, 20, 20], "area": 400, "iscrowd": 0}
    red = {"attributes": {"colour": "red", "doors": 4}, "segmentation": SQUARE}
    annotations = [
        {"id": 1, "image_id": 0, "category_id": 1, **box, **red},
        {"id": 2, "image_id": 0, "category_id": 2, **box, "keypoints": [12, 12, 2, 20, 14, 1]},
        {"id": 3, "image_id": 1, "category_id": 1, **box},
        {"id": 4, "image_id": 3, "category_id": 1, **box, **red, "iscrowd": 1},
    ]
    images = [{"id": k, "file_name": f"{k}.jpg", "width": 64, "height": 48} for k in range(4)]
    text = json.dumps({"images": images, "annotations": annotations, "categories": categories})
    (tmp_path / "labels.json").write_text(text)
    return tmp_path


def manifest_of(folder, tasks: list[str], path=None) -> Manifest:
    source = {"format": "coco", "root": ".", "labels": "labels.json", "tasks": tasks, "split": "train"}
    used = {name: TASKS[name] for name in TASKS if name in tasks or name == "objects"}
    return build_manifest(parse_config({"tasks": used, "sources": [source]}), folder, Problems(), path)


@pytest.mark.parametrize("kept", [False, True])
def test_an_image_is_labelled_for_a_task_where_one_of_its_objects_is(folder, kept):
    path = folder / "manifest.arrow" if kept else None
    manifest = manifest_of(folder, list(TASKS), path)
    labelled = {name: manifest.labelled(name).tolist() for name in TASKS}
    assert labelled == {
        "objects": [True, True, True, True],
        "outline": [True, False, False, False],  # the crowd's mask is no one's
        "eyes": [True, False, False, False],
        "colour": [True, False, False, False],
    }
    if path is not None:
        again = Manifest.read(path)
        assert again.labelled("colour").tolist() == labelled["colour"]
        assert again.columns == manifest.columns


def test_points_come_in_the_order_of_the_task_that_asks_for_them(folder):
    face = manifest_of(folder, list(TASKS)).record(0).annotations["objects"].items[1]
    np.testing.assert_allclose(face.points.xy, [[20, 14], [12, 12]])
    assert face.points.visibility.tolist() == [1, 2]


def test_what_a_source_is_not_said_to_be_for_is_unknown_there(folder):
    """The file has masks, points and colours; the YAML names it for the outlines alone."""
    source = {"format": "coco", "root": ".", "labels": "labels.json", "split": "train"}
    other = folder / "other"
    other.mkdir()
    Image.new("RGB", (64, 48)).save(other / "5.jpg")
    (other / "labels.json").write_text(
        (folder / "labels.json").read_text().replace("0.jpg", "5.jpg").replace('"id": 0,', '"id": 0, "x": 1,', 1)
    )
    config = parse_config(
        {
            "tasks": TASKS,
            "sources": [
                {**source, "name": "drawn", "tasks": ["objects", "outline"]},
                {**source, "name": "described", "root": "other", "tasks": ["objects", "eyes", "colour"]},
            ],
        }
    )
    manifest = build_manifest(config, folder, Problems())
    by_source = {
        record.source: record.annotations["objects"].items
        for record in manifest
        if record.path.name in ("0.jpg", "5.jpg")
    }
    drawn, described = by_source["drawn"], by_source["described"]
    assert drawn[0].polygons is not None
    assert drawn[0].attributes == {}
    assert drawn[1].points is None
    assert described[0].polygons is None
    assert described[0].attributes == {"colour": "red"}
    assert described[1].points is not None


def test_a_source_of_images_of_one_object_is_the_same_task(folder):
    crops = folder / "crops"
    for colour in ("red", "blue"):
        (crops / colour).mkdir(parents=True)
        Image.new("RGB", (20, 10)).save(crops / colour / f"{colour}.jpg")
    coco = {"format": "coco", "root": ".", "labels": "labels.json", "tasks": ["objects", "colour"], "split": "train"}
    sorted_ = {"format": "folder", "root": "crops", "tasks": ["colour"], "split": "train"}
    used = {name: TASKS[name] for name in ("objects", "colour")}
    manifest = build_manifest(parse_config({"tasks": used, "sources": [coco, sorted_]}), folder, Problems())
    labelled = dict(zip((record.path.name for record in manifest), manifest.labelled("colour").tolist(), strict=True))
    assert labelled == {
        "0.jpg": True,
        "1.jpg": False,
        "2.jpg": False,
        "3.jpg": False,
        "blue.jpg": True,
        "red.jpg": True,
    }

    tasks = create_tasks(parse_config({"tasks": used, "sources": [coco, sorted_]}).tasks)
    images = AnnotatedImages(manifest, tasks, (64, 64))
    rows = [k for k, record in enumerate(manifest) if record.path.name in ("0.jpg", "1.jpg", "red.jpg", "blue.jpg")]
    batch = images.batch(rows)
    names = [manifest.record(row).path.name for row in batch.indices]
    assert [names[i] for i in batch.rows["colour"].tolist()] == [n for n in names if n != "1.jpg"]
    whole = batch.boxes["colour"][[names[i] for i in batch.rows["colour"].tolist()].index("red.jpg")]
    np.testing.assert_allclose(whole, [0, 0.25, 1, 0.75])  # 20 x 10 in a square: the padding is left out


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"kind": "mask"}, "is asked of objects: name a detection task"),
        ({"kind": "mask", "on": "objets"}, "no task is called 'objets'; did you mean 'objects'?"),
        ({"kind": "mask", "on": "weather"}, "not a detection task: 'weather'"),
        ({"kind": "mask", "on": "objects.lorry"}, "has no class 'lorry'"),
        ({"kind": "mask", "on": "objects.cat"}, "did you mean 'car'?"),
        ({"kind": "segmentation", "on": "objects", "classes": ["a", "b"]}, "can't be asked of objects"),
        ({"kind": "detection", "on": "objects", "classes": ["a"]}, "can't be asked of objects"),
        ({"kind": "keypoints", "on": "objects", "points": 3, "sigmas": [0.1]}, "3 numbers above 0 are needed"),
    ],
)
def test_a_task_on_what_does_not_exist_is_refused(task, said):
    tasks = {
        "objects": {"kind": "detection", "classes": ["car", "face"]},
        "weather": {"kind": "classification", "classes": ["dry", "wet"]},
        "asked": task,
    }
    source = {"format": "coco", "labels": "labels.json", "tasks": list(tasks)}
    with pytest.raises(OneglanceError) as error:
        parse_config({"tasks": tasks, "sources": [source]})
    assert said in str(error.value)
    assert "tasks" in str(error.value)


def test_two_tasks_can_not_ask_the_same_of_the_same_objects():
    tasks = {**TASKS, "shape": {"kind": "mask", "on": "objects.car"}}
    with pytest.raises(OneglanceError, match="asks the same of the same objects already"):
        parse_config({"tasks": tasks, "sources": [{"format": "coco", "labels": "l.json", "tasks": list(tasks)}]})


def test_labels_on_objects_are_counted_by_their_images_and_classes(folder):
    manifest = manifest_of(folder, list(TASKS))
    counts = count_labels(manifest)
    of = {name: counts[(name, folder.name, "train")] for name in TASKS}
    assert {name: (one.labelled, one.unknown) for name, one in of.items()} == {
        "objects": (4, 0),
        "outline": (1, 3),
        "eyes": (1, 3),
        "colour": (1, 3),
    }
    assert of["colour"].classes == {"red": 1}
    assert never_labelled(manifest) == {"colour": ["blue"]}


def test_a_source_of_masks_must_say_whose_they_are():
    used = {name: TASKS[name] for name in ("objects", "outline")}
    coco = {"format": "coco", "labels": "l.json", "tasks": ["objects"]}
    with pytest.raises(OneglanceError, match=r"sources.1.tasks: 'outline' .* objects of 'objects'; name that task too"):
        parse_config({"tasks": used, "sources": [coco, {**coco, "tasks": ["outline"]}]})


@pytest.mark.parametrize("kind", [kind for kind, (_, task) in KINDS.items() if task.carrier is not None])
def test_a_task_on_objects_is_scored_by_a_figure_that_its_metric_has(kind):
    told = {"classification": {"classes": ("a", "b")}, "tagging": {"classes": ("a", "b")}, "keypoints": {"points": 3},
            "regression": {"targets": ("x",)}}.get(kind, {})  # fmt: skip
    tasks = create_tasks(
        {"objects": KINDS["detection"][0](classes=("car",)), "asked": KINDS[kind][0](on="objects", **told)}
    )
    scores = tasks["asked"].metric().compute()
    assert tasks["asked"].score in scores
    assert tasks["objects"].score in tasks["objects"].metric().compute()
    assert tasks["asked"].score_means


def test_all_kinds_on_objects_are_trained_with_a_score_each_time(folder):
    """With a split `val`, whose scores are looked up after each epoch, and a page that says which way is better."""
    sources = []
    for split in ("train", "val"):
        (folder / split).mkdir()
        for k in range(4):
            shutil.copy(folder / f"{k}.jpg", folder / split)
        source = {"format": "coco", "name": split, "root": str(folder), "images": split, "labels": "labels.json"}
        sources.append(source | {"tasks": list(TASKS), "split": split})
    config = {
        "tasks": TASKS, "sources": sources,
        "trunk": {"backbone": "mobilenetv4_conv_small", "pretrained": False, "channels": 16},
        "train": {"size": [64, 64], "epochs": 2, "batch": 4, "evaluate_every": 1, "workers": 0, "precision": "32"},
    }  # fmt: skip
    run = og.train(config, out=folder / "run", quiet=True)
    assert {name: set(scores) >= {create_tasks(parse_config(config).tasks)[name].score}
            for name, scores in run.scores.items()} == dict.fromkeys(TASKS, True)  # fmt: skip
    page = og.report(run.folder, "val")
    assert "average precision by OKS" in page.read_text(encoding="utf-8")
