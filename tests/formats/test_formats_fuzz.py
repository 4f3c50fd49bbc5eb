"""Whatever stands in a label file, a reader ends in records and problems or in a OneglanceError."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from format_helpers import H, W, image, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oneglance.errors import OneglanceError
from oneglance.manifest import Column, Columns, Manifest

COLUMNS: Columns = {
    "objects": Column("instances", ("cat",), points=("nose",)), "looks": Column("tags", ("cat",)),
    "kind": Column("label", ("cat",)), "face": Column("points", points=("nose",)),
}  # fmt: skip
many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
odd = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 50) | st.floats() | st.text("a.jpg/\\\0\ud800 é", max_size=6)
    | st.sampled_from([10**400, -(10**30), 2**63, "cat", "polygon", "mask", "a.jpg", 1e39]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "counts", "size", "a"]), inner),
    max_leaves=6,
)  # fmt: skip


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all values in nested lists and dictionaries."""
    found = [at] if at else []
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            found += paths(value[key], (*at, key))
    return found


def changed(value: Any, draw: Any) -> Any:
    """A copy in which one to three values are something odd."""
    copy = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(paths(copy)))
        at = copy
        for key in way:
            at = at[key]
        at[last] = draw(odd)
        if not paths(copy):
            break
    return copy


COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": W, "height": H, "license": 1}],
    "annotations": [{
        "id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 3, "iscrowd": 0, "score": 0.5,
        "segmentation": [[1, 1, 2, 1, 2, 2]], "keypoints": [1, 1, 2], "attributes": {"wet": True},
    }, {"id": 2, "image_id": 1, "category_id": 1, "segmentation": {"size": [H, W], "counts": [H * W]}}],
    "categories": [{"id": 1, "name": "cat", "keypoints": ["nose"], "skeleton": [[1, 1]]}],
    "licenses": [{"id": 1, "name": "CC"}],
}  # fmt: skip
LABELME = {
    "imagePath": "a.jpg", "imageWidth": W, "imageHeight": H, "flags": {"cat": True},
    "shapes": [
        {"label": "cat", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon", "group_id": 1,
         "flags": {"crowd": True}},
        {"label": "cat", "points": [[1, 1], [9, 8]], "shape_type": "rectangle", "group_id": None},
        {"label": "cat", "points": [[1, 1], [3, 3]], "shape_type": "mask", "mask": "iVBORw0KGgo="},
        {"label": "nose", "points": [[1, 1]], "shape_type": "point", "group_id": 1, "flags": {}},
    ],
}  # fmt: skip


def survives(source: dict[str, Any], base: Path) -> None:
    """Read the source, and put what it gives through a manifest."""
    try:
        records, problems = read({**source, "tasks": list(COLUMNS)}, COLUMNS, base)
    except OneglanceError:
        return
    assert list(Manifest.build(records, COLUMNS)) is not None
    "\n".join(problems).encode()


@given(st.data())
@many
def test_coco(tmp_path: Path, data: Any) -> None:
    image(tmp_path / "a.jpg")
    (tmp_path / "x.json").write_text(json.dumps(changed(COCO, data.draw)))
    survives({"format": "coco", "images": ".", "labels": "x.json"}, tmp_path)


@given(st.data())
@many
def test_labelme(tmp_path: Path, data: Any) -> None:
    image(tmp_path / "a.jpg")
    (tmp_path / "a.json").write_text(json.dumps(changed(LABELME, data.draw)))
    survives({"format": "labelme", "root": "."}, tmp_path)


@given(st.lists(st.sampled_from(["0", "1", "0.5", "nan", "-1", "1e999", "9" * 400, "x", "\n", "0 .5 .5 .1 .1\n", "é"])))
@many
@pytest.mark.parametrize("shape", [None, (1, 3)])
def test_yolo(tmp_path: Path, shape: Any, cells: list[str]) -> None:
    image(tmp_path / "images" / "a.jpg")
    (tmp_path / "labels").mkdir(exist_ok=True)
    (tmp_path / "labels" / "a.txt").write_text(" ".join(cells))
    survives({"format": "yolo", "images": "images", "names": ["cat"], "kpt_shape": shape}, tmp_path)


@given(st.data())
@many
def test_data_yaml(tmp_path: Path, data: Any) -> None:
    image(tmp_path / "images" / "a.jpg")
    content: dict[str, Any] = {
        "path": ".", "train": "images", "val": ["images"], "names": ["cat"], "kpt_shape": [1, 3],
        "kpt_names": {"0": ["n"]},
    }  # fmt: skip
    content[data.draw(st.sampled_from(sorted(content)))] = data.draw(odd)
    (tmp_path / "data.yaml").write_text(json.dumps(content))
    survives({"format": "yolo", "root": "."}, tmp_path)


@given(st.binary(max_size=60) | st.text('<annotation>/object name&;"1', max_size=60).map(str.encode))
@many
def test_voc(tmp_path: Path, content: bytes) -> None:
    image(tmp_path / "JPEGImages" / "a.jpg")
    (tmp_path / "Annotations").mkdir(exist_ok=True)
    (tmp_path / "Annotations" / "a.xml").write_bytes(content)
    voc: Columns = {"objects": COLUMNS["objects"]}
    records, problems = read({"format": "voc", "root": ".", "tasks": ["objects"]}, voc, tmp_path)
    assert len(records) == 1
    assert len(problems) == 1


@given(st.binary(max_size=60) | st.text('image,kind"\n;a.jpg', max_size=60).map(str.encode))
@many
def test_tables(tmp_path: Path, content: bytes) -> None:
    image(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_bytes(b"image,kind\n" + content)
    with contextlib.suppress(OneglanceError):
        read({"format": "csv", "labels": "t.csv", "tasks": ["kind"]}, {"kind": COLUMNS["kind"]}, tmp_path)
