"""The data set whose labels are on objects: exact, partly labelled, and what nobody said is unknown."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from oneglance.annotations import VISIBLE, Instance, Instances, Label
from oneglance.config import Config, load_config
from oneglance.errors import OneglanceError, Problems
from oneglance.formats import rle
from oneglance.ingest import build_manifest
from oneglance.manifest import Manifest
from oneglance.street.objects import ALBUM, CAST, COLOURS, LEAST_VISIBLE, PHOTOS, SOURCES, plan_objects, write_objects
from oneglance.street.objects import ObjectDrawing as Drawing
from oneglance.street.scene import draw_scene

SCENES, SEED = 36, 3
SIZE = (256, 256)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_objects(tmp_path_factory.mktemp("objects") / "new", SCENES, SEED, SIZE, workers=1)


@pytest.fixture(scope="module")
def read(written: Path) -> tuple[Config, Manifest]:
    config = load_config(written)
    problems = Problems()
    manifest = build_manifest(config, written.parent, problems)
    assert all(problem.is_note for problem in problems), list(problems)
    return config, manifest


@pytest.fixture(scope="module")
def both(read: tuple[Config, Manifest]) -> list[tuple[Drawing, Instances, Instances]]:
    """Each drawing of a source of objects, what it said, and what was read back."""
    records = {record.path.name: record for record in read[1]}
    found = []
    for drawing in plan_objects(SCENES, SEED):
        if drawing.source == ALBUM or SOURCES[drawing.source].shows == "car":
            continue
        record = records[drawing.name]
        assert (record.source, record.split) == (drawing.source, drawing.split)
        truth, other = drawing.draw(SIZE)[1]["objects"], record.annotations["objects"]
        assert isinstance(truth, Instances)
        assert isinstance(other, Instances)
        found.append((drawing, truth, other))
    return found


def pairs(both: list[tuple[Drawing, Instances, Instances]]) -> Iterator[tuple[Drawing, Instance, Instance]]:
    for drawing, truth, other in both:
        assert len(truth) == len(other)
        for one, two in zip(truth.items, other.items, strict=True):
            yield drawing, one, two


def test_what_is_read_is_what_was_said_and_unknown_stays_unknown(
    both: list[tuple[Drawing, Instances, Instances]],
) -> None:
    said = dict.fromkeys(("rle", "points", "identity", "colour"), 0)
    unsaid = dict.fromkeys(said, 0)
    for drawing, one, two in pairs(both):
        assert one.label == two.label
        assert np.array_equal(one.box, two.box)
        assert one.crowd == two.crowd
        assert two.polygons is None
        assert one.rle == two.rle
        assert one.identity == two.identity
        assert one.attributes == two.attributes
        assert (one.points is None) == (two.points is None)
        if one.points is not None:
            np.testing.assert_allclose(one.points.xy, two.points.xy, atol=1e-3)
            assert np.array_equal(one.points.visibility, two.points.visibility)
        tasks = SOURCES[drawing.source].tasks
        for name, value, task in (
            ("rle", two.rle, "outline"),
            ("points", two.points, {"face": "marks", "plate": "corners"}.get(two.label, "none")),
            ("identity", two.identity, "who"),
            ("colour", two.attributes.get("colour"), "colour"),
        ):
            assert value is None or task in tasks
            assert value != ""
            said[name] += value is not None
            unsaid[name] += value is None
    assert min(said.values()) > 5, said
    assert min(unsaid.values()) > 5, unsaid


def test_colours_and_people_are_known_of_some_only(both: list[tuple[Drawing, Instances, Instances]]) -> None:
    cars = [i for d, _, i in pairs(both) if d.source == "cars" and i.label == "car" and not i.crowd]
    assert {"colour" in i.attributes for i in cars} == {True, False}
    drawings = [Drawing("cars", "train", seed, "", 0.6) for seed in range(2000)]
    boxes = np.random.default_rng(0).integers(0, 200, (2000, 4)).astype(np.float32)
    said = [d._says_colour(Instance("car", box)) for d, box in zip(drawings, boxes, strict=True)]
    assert np.mean(said) == pytest.approx(0.6, abs=0.04)
    assert {i.attributes["colour"] for i in cars if i.attributes} <= set(COLOURS)
    by_scene: dict[tuple[str, str], set[bool]] = {}
    for drawing, _, item in pairs(both):
        if drawing.source == "people" and item.label == "face" and not item.crowd:
            by_scene.setdefault((drawing.split, drawing.name), set()).add(item.identity is not None)
    assert all(len(known) == 1 for known in by_scene.values())  # all of a scene's people, or none
    train = [known for (split, _), known in by_scene.items() if split == "train"]
    assert {True} in train
    assert {False} in train
    assert all(known == {True} for (split, _), known in by_scene.items() if split != "train")


def test_what_was_not_looked_for_is_unknown(
    read: tuple[Config, Manifest], both: list[tuple[Drawing, Instances, Instances]]
) -> None:
    assert {d.source: i.annotated for d, _, i in both} == {
        "outlines": None, "cars": ("car", "plate"), "people": ("person", "face"), "portraits": ("person", "face"),
        "parked": ("car", "plate"),
    }  # fmt: skip
    config, manifest = read
    sources = np.array(manifest.values("source"), object)
    for name in config.tasks:
        mine = {source for source, kind in SOURCES.items() if name in kind.tasks}
        assert set(sources[manifest.labelled(name)].tolist()) == mine
    photos = [record for record in manifest if record.source == "garage"]
    assert all(isinstance(record.annotations["colour"], Label) for record in photos)
    assert all(record.annotations["objects"] is None for record in photos)


def test_labels_are_what_the_scene_shows(both: list[tuple[Drawing, Instances, Instances]]) -> None:
    corners = 0
    for drawing, _, found in both:
        if drawing.source != "outlines" and drawing.source != "cars":
            continue
        scene = draw_scene(drawing.seed, SIZE, zoom=SOURCES[drawing.source].zoom, cast=CAST[drawing.split])
        truth = {tuple(i.box.tolist()): i for i in scene.objects.items if i.box is not None}
        cars = [i for i in scene.objects.items if i.label == "car"]
        for item in found.items:
            assert item.box is not None
            whole = truth[tuple(item.box.tolist())]
            assert item.crowd or float(whole.attributes["visible"]) >= LEAST_VISIBLE
            if item.rle is not None:
                mask = rle.decode(item.rle)
                rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                assert item.box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            if "colour" in item.attributes:
                assert item.attributes["colour"] == whole.attributes["colour"]
            if item.label == "plate" and item.points is not None:
                seen = item.points.xy[item.points.visibility == VISIBLE]
                corners += len(seen)
                mine = [c for c in cars if c.box is not None and c.rle is not None and whole.rle is not None
                        and not (rle.decode(whole.rle) & ~rle.decode(c.rle)).any()]  # fmt: skip
                assert len(mine) == 1
                assert mine[0].box is not None
                assert (seen >= mine[0].box[:2] - 1).all()
                assert (seen <= mine[0].box[2:] + 1).all()
    assert corners > 10


def test_the_casts_share_nobody_and_come_back() -> None:
    assert not set(CAST["train"]) & set(CAST["test"])
    assert not set(CAST["train"]) & set(CAST["val"])
    assert not set(CAST["val"]) & set(CAST["test"])
    plan = plan_objects(400, 0)
    assert len({d.seed for d in plan}) == len(plan)
    assert len({d.name for d in plan}) == len(plan)
    assert not {d.seed for d in plan} & {d.seed for d in plan_objects(400, 1)}
    for drawing in plan:
        assert drawing.identity is None or drawing.identity in CAST[drawing.split]
    faces: dict[str, int] = {}
    for drawing in [d for d in plan if d.source == "people" and d.split == "test"][:12]:
        for item in drawing.draw(SIZE)[1]["objects"].items:  # type: ignore[union-attr]
            if item.identity is not None:  # type: ignore[union-attr]
                faces[item.identity] = faces.get(item.identity, 0) + 1  # type: ignore[union-attr]
    assert set(faces) <= {f"person_{who:03d}" for who in CAST["test"]}
    assert max(faces.values()) > 1


def test_the_album_has_photos_of_the_people_of_test(written: Path) -> None:
    folders = sorted(p.name for p in (written.parent / ALBUM).iterdir())
    assert folders == [f"person_{who:03d}" for who in CAST["test"]]
    assert all(len(list((written.parent / ALBUM / name).iterdir())) == PHOTOS for name in folders)
    assert sorted(p.name for p in written.parent.iterdir()) == sorted([*SOURCES, ALBUM, "street.yaml"])


def test_what_is_not_possible_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(OneglanceError, match="not empty"):
        write_objects(tmp_path, 30)
    with pytest.raises(OneglanceError, match="too small"):
        write_objects(tmp_path / "new", 3)
    with pytest.raises(OneglanceError, match="seed"):
        write_objects(tmp_path / "new", 30, -1)
    assert not (tmp_path / "new").exists()
