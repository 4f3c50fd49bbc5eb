"""Of several folders with images of the same names, the one that the labels mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from format_helpers import image, mask

from oneglance.formats import recognise
from oneglance.formats.image_folders import ImageFolders


def folder_of(base: Path, *names: str, stems: tuple[str, ...] = ("1", "2")) -> None:
    for name in names:
        for stem in stems:
            image(base / name / f"{stem}.jpg")


@pytest.mark.parametrize(
    ("folders", "labels", "meant"),
    [
        (("images/train", "images/val"), "labels/val", "images/val"),
        (("train/images", "valid/images"), "valid/labels", "valid/images"),
        (("train2017", "val2017"), "annotations/instances_val2017.json", "val2017"),
        (("cam1", "cam2"), "annotations/cam2.json", "cam2"),
        (("a/photos", "b/photos"), "b/labels", "b/photos"),
        (("old", "photos"), "photos/labels", "photos"),
    ],
)
def test_words_in_common_with_the_way_to_the_labels_decide(
    tmp_path: Path, folders: tuple[str, ...], labels: str, meant: str
) -> None:
    folder_of(tmp_path, *folders)
    places, at = ImageFolders(tmp_path), tmp_path / labels
    if not at.suffix:
        at.mkdir(parents=True)
    assert places.of_stems({"1", "2"}, at) == tmp_path / meant
    assert places.of_names(["1.jpg", "2.jpg"], at) == tmp_path / meant


def test_photographs_are_meant_and_not_the_masks_that_lie_nearer(tmp_path: Path) -> None:
    folder_of(tmp_path, "z/photos")
    for stem in ("1", "2"):
        mask(tmp_path / "annotations" / "masks" / f"{stem}.png", np.eye(8))
    (tmp_path / "annotations" / "boxes").mkdir()
    assert ImageFolders(tmp_path).of_stems({"1", "2"}, tmp_path / "annotations" / "boxes") == tmp_path / "z/photos"


def test_most_of_the_images_must_be_there_and_a_share_if_asked(tmp_path: Path) -> None:
    folder_of(tmp_path, "few", stems=("1",))
    folder_of(tmp_path, "many", stems=("1", "2", "3"))
    places = ImageFolders(tmp_path)
    stems = {"1", "2", "3", "4", "5", "6", "7"}
    assert places.of_stems(stems, tmp_path) == tmp_path / "many"
    assert places.of_stems(stems, tmp_path, 0.5) is None
    assert places.of_stems({"9"}, tmp_path) is None
    assert places.of_stems({"1"}, tmp_path / "few", beside=False) == tmp_path / "many"


@pytest.mark.parametrize("name", ["/etc/1.jpg", "../1.jpg", "a/../../1.jpg", "x" * 400 + ".jpg", ""])
def test_names_that_lead_out_or_can_not_be_are_in_no_folder(tmp_path: Path, name: str) -> None:
    folder_of(tmp_path, "images")
    assert ImageFolders(tmp_path).of_names([name], tmp_path / "x.json") is None


def test_windows_paths_are_understood(tmp_path: Path) -> None:
    folder_of(tmp_path, "images/a")
    assert ImageFolders(tmp_path).of_names(["a\\1.jpg"], tmp_path / "x.json") == tmp_path / "images"


@pytest.mark.parametrize(
    ("values", "classes"),
    [((0, 1, 255), [0, 1]), ((0, 255), [0, 255]), ((0, 128, 255), [0, 128, 255]), ((1, 2, 3), [1, 2, 3])],
)
def test_white_is_void_beside_numbers_of_classes_alone(
    tmp_path: Path, values: tuple[int, ...], classes: list[int]
) -> None:
    folder_of(tmp_path, "images", stems=("1",))
    mask(tmp_path / "masks" / "1.png", np.resize(values, (6, 6)))
    (found,) = recognise(tmp_path)
    assert (found.source["images"], found.source["labels"]) == ("images", "masks")
    assert list(found.source["values"]) == classes
