"""The data set on disk: what is read back is what was drawn, and what a source was not labelled for is unknown."""

import filecmp
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from oneglance.annotations import Instances, Label, Points, Segments
from oneglance.config import Config, load_config
from oneglance.decode import decode_mask
from oneglance.errors import OneglanceError, Problems
from oneglance.ingest import build_manifest
from oneglance.manifest import Manifest
from oneglance.street import draw_face, draw_plate, draw_scene, write_street
from oneglance.street.write import COLUMNS, SOURCES, STRANGERS, Drawing, _yaml, plan_street

SIZE = (128, 96)
SCENES = 30


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    told: list[int] = []
    return write_street(tmp_path_factory.mktemp("street") / "new", SCENES, 7, SIZE, told.append, workers=1), told


@pytest.fixture(scope="module")
def read(written: tuple[Path, list[int]]) -> tuple[Config, Manifest]:
    config = load_config(written[0])
    problems = Problems()
    manifest = build_manifest(config, written[0].parent, problems)
    assert problems.count == 0, list(problems)
    return config, manifest


def drawn(manifest: Manifest) -> Iterator[tuple[Drawing, dict[str, object], str | None]]:
    """Each drawing of the plan with the annotations that were read back for it, and its split."""
    records = {record.path.name: record for record in manifest}
    plan = plan_street(SCENES, 7)
    assert len(records) == len(plan) == len(manifest)
    for drawing in plan:
        record = records[drawing.name]
        assert record.source == drawing.source
        yield drawing, dict(record.annotations), record.split


def test_every_image_is_announced(written: tuple[Path, list[int]]) -> None:
    assert written[1] == list(range(1, len(plan_street(SCENES, 7)) + 1))
    assert sorted(p.name for p in written[0].parent.iterdir()) == sorted([*(s[0] for s in SOURCES), "street.yaml"])


def test_what_is_read_is_what_was_drawn_and_the_rest_is_unknown(read: tuple[Config, Manifest]) -> None:
    for drawing, annotations, split in drawn(read[1]):
        assert split == drawing.split
        for task in COLUMNS:
            if task not in drawing.tasks:
                assert annotations.get(task) is None
        for task, truth in drawing.draw(SIZE)[1].items():
            compare(truth, annotations[task])


def compare(truth: object, found: object) -> None:
    """Both say the same, as far as the format can say it."""
    match truth:
        case Label(name):
            assert isinstance(found, Label)
            assert found.name == name
        case Instances(items):
            assert isinstance(found, Instances)
            assert len(found) == len(items)
            for one, other in zip(items, found.items, strict=True):
                assert one.label == other.label
                assert np.array_equal(one.box, other.box)
                assert (one.crowd, one.difficult) == (other.crowd, other.difficult)
                assert other.points is other.rle is other.polygons is None
        case Points(xy, visibility):
            assert isinstance(found, Points)
            assert np.array_equal(xy, found.xy)
            assert np.array_equal(visibility, found.visibility)
        case Segments():
            assert isinstance(found, Segments)
            assert found.path is not None
            assert found.values == tuple(enumerate(COLUMNS["ground"].classes))
            assert np.array_equal(decode_mask(found.path), truth.indices)


def test_what_is_tiny_is_not_asked_for() -> None:
    """A crowd in COCO's words, difficult in VOC's: neither an object to be found nor background."""
    sizes: dict[bool, list[float]] = {True: [], False: []}
    for drawing in plan_street(60, 0):
        for item in getattr(drawing.draw(SIZE)[1].get("objects"), "items", ()):
            assert not (item.crowd if drawing.source == "town" else item.difficult)
            sizes[item.crowd or item.difficult].append(float(np.prod(item.box[2:] - item.box[:2])))
    assert max(sizes[True]) > 0
    assert np.median(sizes[True]) < np.median(sizes[False]) / 3


def test_splits_share_nothing() -> None:
    plan = plan_street(100, 0)
    assert len({drawing.seed for drawing in plan}) == len(plan)
    assert not {d.seed for d in plan} & {d.seed for d in plan_street(100, 1)}
    for source, *_ in SOURCES:
        splits = [drawing.split for drawing in plan if drawing.source == source]
        assert splits.count("train") > splits.count("test") > 0
        assert splits.count("val") > 0
    for drawing in plan:
        if drawing.identity is not None:
            assert (drawing.identity >= STRANGERS) == (drawing.split == "test")


def test_the_number_of_workers_changes_nothing(written: tuple[Path, list[int]], tmp_path: Path) -> None:
    other = write_street(tmp_path / "two", SCENES, 7, SIZE, workers=2).parent
    one = written[0].parent
    files = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(other) for p in other.rglob("*") if p.is_file())
    assert all(filecmp.cmp(one / name, other / name, shallow=False) for name in files)


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(OneglanceError, match="not empty"):
        write_street(tmp_path, 30)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(OneglanceError, match="too small"):
        write_street(tmp_path / "new", 3)
    assert not (tmp_path / "new").exists()


def test_the_first_data_set_is_what_it_always_was() -> None:
    """What the demo trains on by default: other data sets and other arguments change nothing in it."""

    def digest(thing: object) -> str:
        return hashlib.sha256(repr(thing).encode()).hexdigest()[:16]

    def said(seed: int) -> object:
        scene = draw_scene(seed)
        rows = [
            (i.label, i.box.astype(int).tolist() if i.box is not None else None, i.identity,
             i.attributes.get("colour"), int(i.area or 0), None if i.points is None else i.points.xy.round(1).tolist())
            for i in scene.objects.items
        ]  # fmt: skip
        return scene.weather.name, rows, round(float(scene.image.mean()))

    crops = [draw(seed) for seed in range(4) for draw in (draw_face, draw_plate)]
    assert digest(plan_street(30, 7)) == "ed0064e3896b307f"
    assert hashlib.sha256(_yaml().encode()).hexdigest()[:16] == "05f075586c6a6bbf"
    assert digest([said(seed) for seed in range(6)]) == "e30fe14d7ef71cd4"
    assert digest([(c.name, c.points.xy.round(1).tolist(), round(float(c.image.mean()))) for c in crops]) == (
        "c57c9ae73d1cdf8e"
    )
