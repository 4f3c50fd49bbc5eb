"""Annotations as JSON: what goes in comes out, whether label or prediction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from oneglance.annotations import (
    Annotation,
    Identity,
    Instance,
    Instances,
    Label,
    Numbers,
    Points,
    Rle,
    Segments,
    Tags,
    same,
)
from oneglance.errors import OneglanceError
from oneglance.manifest import Column
from oneglance.results import from_json, mask_png, to_json

POINTS = Points(
    np.array([[0.1, 2], [np.nan, 4]], np.float32),
    np.array([2, 0], np.int8),
    np.array([0.3, 0.7], np.float32),
)
EXAMPLES: list[Annotation] = [
    Label("pug"),
    Label("pug", 0.9700000286102295, ("cat", "pug"), np.array([0.03, 0.97], np.float32)),
    Tags(()),
    Tags(("a",), ("a", "b")),
    Tags(("a",), None, ("a", "b"), np.array([0.6, 0.1], np.float32)),
    Numbers(np.array([1.5, np.nan], np.float32)),
    Identity("Zoë"),
    Identity(None, np.array([0.1, -0.2], np.float32)),
    POINTS,
    Segments(Path("masks/a.png"), ((0, "road"), (7, "sky"))),
    Segments(indices=np.array([[0, 0, 255], [1, 1, 0]], np.uint8), classes=("road", "sky")),
    Instances(()),
    Instances((), ("car",)),
    Instances(
        (
            Instance("car", np.array([0.1, 2, 3, 4], np.float32), score=0.5),
            Instance(
                "person",
                None,
                polygons=(np.array([[0, 0], [1, 0], [1, 1]], np.float32),),
                rle=Rle((2, 3), (1, 5)),
                points=POINTS,
                identity="Zoë",
                attributes={"pose": "left", "age": 3.0},
                id=7,
                area=12.5,
                crowd=True,
                difficult=True,
                truncated=True,
                extra={"k": [1]},
                track=3,
                vector=np.array([0.1, np.nan], np.float32),
            ),
        )
    ),
]


def through_text(data: dict[str, Any]) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(json.dumps(data, allow_nan=False))
    return loaded


@pytest.mark.parametrize("annotation", EXAMPLES, ids=lambda a: type(a).__name__)
def test_round_trip(annotation: Annotation) -> None:
    assert same(from_json(through_text(to_json(annotation))), annotation)


@given(arrays(np.float32, (3, 2), elements=st.floats(width=32, allow_infinity=False)))
def test_every_float_comes_back_exactly(xy: np.ndarray) -> None:
    points = Points(xy, np.full(3, 2, np.int8))
    assert same(from_json(through_text(to_json(points))), points)


@given(arrays(np.uint8, st.tuples(st.integers(0, 9), st.integers(0, 9)), elements=st.sampled_from([0, 1, 255])))
def test_every_mask_comes_back(indices: np.ndarray) -> None:
    segments = Segments(indices=indices, classes=("a", "b"))
    assert same(from_json(through_text(to_json(segments))), segments)


def test_figures_are_short_and_named() -> None:
    assert to_json(Numbers(np.array([0.97], np.float32)), Column("numbers", targets=("age",))) == {
        "type": "numbers",
        "names": ["age"],
        "values": [0.97],
    }
    assert to_json(POINTS, Column("points", points=("l", "r")))["names"] == ["l", "r"]


def test_a_mask_in_a_file(tmp_path: Path) -> None:
    indices = np.array([[0, 1, 255], [2, 1, 0]], np.uint8)
    segments = Segments(indices=indices, classes=("a", "b", "c"))
    (tmp_path / "m.png").write_bytes(mask_png(indices, [(255, 0, 0), (0, 255, 0), (0, 0, 255)]))
    data = through_text(to_json(segments, mask="m.png"))
    assert "runs" not in data
    assert same(from_json(data, tmp_path), segments)
    with Image.open(tmp_path / "m.png") as opened:
        assert opened.convert("RGB").getpixel((1, 0)) == (0, 255, 0)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"type": "lable"},
        [],
        {"type": "label"},
        {"type": "points", "xy": [[1]], "visibility": [2]},
        {"type": "segments", "size": [2, 2], "runs": [[0, 5]]},
        {"type": "segments", "size": [2, 2], "runs": [[0, -1], [1, 5]]},
        {"type": "instances", "items": [{"box": [1, 2, 3, 4]}]},
        {"type": "instances", "items": 3},
        {"type": "segments", "mask": "missing.png"},
    ],
)
def test_what_is_no_annotation_is_refused(data: Any) -> None:
    with pytest.raises(OneglanceError):
        from_json(data)
