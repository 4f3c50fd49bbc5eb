"""Pictures of annotations: what is unknown never looks like what is empty, and nothing is drawn that was not said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
)
from oneglance.drawing import class_colours, colour_of, draw, sheet
from oneglance.drawing.lettering import INK, PAPER, Line, Tag, caption, ink_on, place_tags
from oneglance.drawing.palette import numbered
from oneglance.tasks import KINDS, create_tasks
from oneglance.tasks.base import Task


def settings(**keys: Any) -> Any:
    return KINDS[keys["kind"]][0](**keys)


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task[Any]]:
    return create_tasks(
        {
            "objects": settings(kind="detection", classes=("car", "person")),
            "joints": settings(kind="keypoints", points=("a", "b", "c"), skeleton=(("a", "b"),)),
            "ground": settings(kind="segmentation", classes=("road", "sky")),
            "breed": settings(kind="classification", classes=("pug", "cat")),
            "tags": settings(kind="tagging", classes=("x", "y", "z")),
            "age": settings(kind="regression", targets=("age", "weight")),
        }
    )


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (400, 500, 3), np.uint8)


def box(*corners: float) -> np.ndarray:
    return np.array(corners, np.float32)


def full_answers() -> dict[str, Annotation]:
    polygon = np.array([[300, 100], [380, 110], [370, 200]], np.float32)
    return {
        "objects": Instances(
            (
                Instance("car", box(20, 30, 200, 150), score=0.9),
                Instance("person", box(220, 60, 300, 280), crowd=True),
                Instance("person", None, polygons=(polygon,)),
                Instance("car", box(0, 0, 500, 400), rle=Rle((400, 500), (100_000, 50_000, 50_000))),
                Instance("person", None, points=Points(polygon, np.array([2, 1, 0], np.int8)), identity="Zoë"),
            ),
            annotated=("car",),
        ),
        "joints": Points(polygon, np.array([2, 1, 0], np.int8)),
        "ground": Segments(
            indices=np.repeat(np.array([0, 1, 255, 1], np.uint8), 50_000).reshape(400, 500),
            classes=("road", "sky"),
        ),
        "breed": Label("pug", 0.97),
        "tags": Tags(("x",), ("x", "y"), ("x", "y", "z"), np.array([0.9, 0.1, 0.2], np.float32)),
        "age": Numbers(np.array([33.5, np.nan], np.float32)),
    }


def test_the_image_is_not_changed_and_kept_at_its_size(image: np.ndarray, tasks: dict[str, Task[Any]]) -> None:
    before = image.copy()
    picture = draw(image, full_answers(), tasks)
    assert np.array_equal(image, before)
    assert picture.dtype == np.uint8
    assert picture.shape[1] == 500
    assert picture.shape[0] > 400
    assert not np.array_equal(picture[:400], image)


def test_nothing_said_leaves_the_pixels_alone(image: np.ndarray, tasks: dict[str, Task[Any]]) -> None:
    for nothing in ({}, dict.fromkeys(tasks), {"objects": Instances(())}):
        assert np.array_equal(draw(image, nothing, tasks)[:400], image)


@pytest.mark.parametrize(
    ("task", "empty"),
    [
        ("objects", Instances(())),
        ("tags", Tags(())),
        ("joints", Points(np.zeros((3, 2), np.float32), np.zeros(3, np.int8))),
        ("age", Numbers(np.array([0, 0], np.float32))),
    ],
)
def test_unknown_and_empty_look_different(
    image: np.ndarray, tasks: dict[str, Task[Any]], task: str, empty: Annotation
) -> None:
    only = {task: tasks[task]}
    unknown, none = draw(image, {task: None}, only), draw(image, {task: empty}, only)
    assert np.array_equal(unknown, draw(image, {}, only))
    assert unknown.shape != none.shape or not np.array_equal(unknown, none)


def test_partly_searched_looks_unlike_searched_in_full(image: np.ndarray, tasks: dict[str, Task[Any]]) -> None:
    only = {"objects": tasks["objects"]}
    partly = draw(image, {"objects": Instances((), ("car",))}, only)
    assert not np.array_equal(partly, draw(image, {"objects": Instances(())}, only))


def test_nothing_is_drawn_below_the_lowest_score(image: np.ndarray, tasks: dict[str, Task[Any]]) -> None:
    sure = Instance("car", box(20, 30, 200, 150), score=0.9)
    faint = Instance("person", box(220, 60, 300, 280), score=0.2)
    both = draw(image, {"objects": Instances((sure, faint))}, tasks)
    assert np.array_equal(both, draw(image, {"objects": Instances((sure,))}, tasks))
    assert not np.array_equal(both, draw(image, {"objects": Instances((sure, faint))}, tasks, min_score=0.1))
    unscored = Instances((Instance("car", box(20, 30, 200, 150)),))
    assert not np.array_equal(draw(image, {"objects": unscored}, tasks, min_score=1)[:400], image)


def test_crowds_are_dashed(tasks: dict[str, Task[Any]]) -> None:
    grey = np.full((400, 500, 3), 128, np.uint8)
    whole = draw(grey, {"objects": Instances((Instance("car", box(50, 50, 400, 300)),))}, tasks)
    dashed = draw(grey, {"objects": Instances((Instance("car", box(50, 50, 400, 300), crowd=True),))}, tasks)
    bottom = np.s_[298:302, 60:390]
    assert (whole[bottom] == 128).all(-1).sum() < (dashed[bottom] == 128).all(-1).sum()


def test_unlabelled_points_are_not_drawn_whatever_their_coordinates(
    image: np.ndarray, tasks: dict[str, Task[Any]]
) -> None:
    xy = np.array([[100, 100], [np.nan, np.inf], [-1e9, 1e9]], np.float32)
    only = {"joints": tasks["joints"]}
    one = draw(image, {"joints": Points(xy, np.array([2, 0, 0], np.int8))}, only)
    moved = xy.copy()
    moved[1:] = 250
    assert np.array_equal(one, draw(image, {"joints": Points(moved, np.array([2, 0, 0], np.int8))}, only))
    draw(image, {"joints": Points(xy, np.array([2, 2, 2], np.int8))}, only)


def test_hidden_points_are_hollow(tasks: dict[str, Task[Any]]) -> None:
    grey = np.full((400, 500, 3), 128, np.uint8)
    xy = np.array([[100.5, 100.5], [0, 0], [0, 0]], np.float32)
    only = {"joints": tasks["joints"]}
    seen = draw(grey, {"joints": Points(xy, np.array([2, 0, 0], np.int8))}, only)
    hidden = draw(grey, {"joints": Points(xy, np.array([1, 0, 0], np.int8))}, only)
    assert (seen[100, 100] != 128).any()
    assert (hidden[100, 100] == 128).all()


def test_boxes_lie_where_they_are_said_to(tasks: dict[str, Task[Any]]) -> None:
    """The line's middle is on the edge: pixels to both sides of it are painted alike."""
    black = np.zeros((400, 500, 3), np.uint8)
    picture = draw(black, {"objects": Instances((Instance("car", box(100, 100, 300, 300)),))}, tasks)
    across = picture[200, 90:110].astype(int).sum(-1)
    assert across.sum() > 0
    # Anti-aliasing rounds a little to one side; a line that were off by half a pixel would differ by much more.
    assert abs(int(across[:10].sum()) - int(across[10:].sum())) < 0.15 * across.sum()


@pytest.mark.parametrize("shape", [(32, 32), (1, 1), (1, 700), (700, 1), (2000, 1500)])
def test_any_size_of_image(shape: tuple[int, int], tasks: dict[str, Task[Any]]) -> None:
    tiny = np.zeros((*shape, 3), np.uint8)
    segments = Segments(indices=np.zeros(shape, np.uint8), classes=("road", "sky"))
    answers = {**full_answers(), "ground": segments}
    answers["objects"] = Instances((Instance("car", box(0, 0, shape[1], shape[0]), score=0.5),))
    picture = draw(tiny, answers, tasks)
    assert max(picture.shape[:2]) >= 384


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)])
def test_what_is_no_rgb_image_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        draw(bad, {}, {})


def test_answers_without_a_task_and_masks_that_are_not_read(image: np.ndarray) -> None:
    answers = {
        "who": Identity("Zoë"),
        "vector": Identity(None, np.zeros(8, np.float32)),
        "ground": Segments(Path("mask.png"), ((0, "road"),)),
        "objects": Instances((Instance("Ёж", box(10, 10, 90, 90)),)),
        "label": Label("x" * 500),
    }
    assert draw(image, answers, {}).shape[1] == 500


def test_colours_are_stable_distinct_and_shared_between_tasks(tasks: dict[str, Task[Any]]) -> None:
    colours = class_colours(tasks)
    assert colours == class_colours(tasks)
    assert len(set(colours.values())) == len(colours)
    many = create_tasks({"objects": settings(kind="detection", classes=tuple(map(str, range(80))))})
    assert len(set(class_colours(many).values())) > 70
    both = create_tasks(
        {
            "objects": settings(kind="detection", classes=("car", "dog")),
            "ground": settings(kind="segmentation", classes=("road", "car")),
        }
    )
    assert set(class_colours(both)) == {"car", "dog", "road"}
    assert colour_of("new", {}) == colour_of("new", {})


def test_text_can_be_read_on_its_ground() -> None:
    assert ink_on((240, 228, 66)) == INK
    assert ink_on((0, 0, 120)) == PAPER


def test_tags_keep_out_of_each_others_way() -> None:
    canvas = np.zeros((400, 400, 3), np.uint8)
    here = (100.0, 100.0, 200.0, 200.0)
    place_tags(canvas, [Tag("same", here, (255, 0, 0)), Tag("same", here, (0, 255, 0))], 16)
    red, green = (canvas == (255, 0, 0)).all(-1).sum(), (canvas == (0, 255, 0)).all(-1).sum()
    assert red > 100
    assert abs(int(red) - int(green)) < 50


def test_no_tag_covers_another_or_a_point_or_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty tags at once, in a picture of any shape: every ground that is drawn lies inside and free."""
    from PIL import ImageDraw

    drawn: list[tuple[float, ...]] = []
    real = ImageDraw.ImageDraw.rounded_rectangle

    def noted(self: Any, box: Any, *rest: Any, **more: Any) -> None:
        drawn.append(tuple(box))
        real(self, box, *rest, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "rounded_rectangle", noted)
    rng = np.random.default_rng(0)
    for height, width in ((480, 640), (150, 200), (40, 600), (600, 60)):
        drawn.clear()
        corners = rng.uniform(-20, 1, (60, 4)) * (width, height, 1, 1) * -0.05
        boxes = np.concatenate([corners[:, :2], corners[:, :2] + rng.uniform(5, 60, (60, 2))], 1)
        place_tags(
            np.zeros((height, width, 3), np.uint8),
            [Tag(f"traffic light {k}", tuple(one), (90, 160, 40), short="light") for k, one in enumerate(boxes)],  # type: ignore[arg-type]
            16,
        )
        assert drawn
        for k, (x1, y1, x2, y2) in enumerate(drawn):
            assert -0.01 <= x1 < x2 <= width
            assert -0.01 <= y1 < y2 <= height
            for a1, b1, a2, b2 in drawn[:k]:
                assert min(x2, a2) - max(x1, a1) <= 0 or min(y2, b2) - max(y1, b1) <= 0


def test_a_point_is_not_hidden_by_an_objects_name(tasks: dict[str, Task[Any]]) -> None:
    canvas = np.zeros((400, 400, 3), np.uint8)
    over = (100.0, 100.0, 200.0, 200.0)  # its name would stand above its upper left corner
    point = Tag("a", (104.0, 88.0, 110.0, 94.0), (0, 0, 255), small=True)
    canvas[86:96, 102:112] = 255
    place_tags(canvas, [Tag("object", over, (255, 0, 0)), point], 16)
    assert (canvas[88:94, 104:110] == 255).all(-1).all()


def test_points_have_the_colour_of_their_task_in_picture_and_legend(tasks: dict[str, Task[Any]]) -> None:
    grey = np.full((400, 500, 3), 128, np.uint8)
    xy = np.array([[100.5, 100.5], [200.5, 200.5], [300.5, 100.5]], np.float32)
    picture = draw(grey, {"joints": Points(xy, np.full(3, 2, np.int8))}, {"joints": tasks["joints"]})
    colour = class_colours({"joints": tasks["joints"]})["joints"]
    for x, y in xy.astype(int).tolist():
        assert tuple(picture[y, x].tolist()) == colour
    assert (picture[400:] == colour).all(-1).any()


def test_steady_pictures_of_a_film_have_one_size(image: np.ndarray, tasks: dict[str, Task[Any]]) -> None:
    many = tuple(Instance("car", box(k, k, k + 40, k + 40), score=0.9) for k in range(30))
    said: list[dict[str, Annotation]] = [
        {},
        full_answers(),
        {**full_answers(), "objects": Instances(many)},
        {**full_answers(), "breed": Label("x" * 300), "tags": Tags(("x",) * 200)},
    ]
    assert len({draw(image, one, tasks, steady=True).shape for one in said}) == 1
    assert len({draw(image, one, tasks).shape for one in said}) > 1


def test_narrow_pictures_get_a_margin_that_the_strip_can_be_read_in(tasks: dict[str, Task[Any]]) -> None:
    white = np.full((800, 20, 3), 255, np.uint8)
    picture = draw(white, {"breed": Label("pug", 0.9)}, tasks)
    assert picture.shape[1] >= 288
    assert (picture[:800, :20] == 255).all()
    assert not (picture[:800, 20:] == 255).any()


def test_segmentation_can_be_seen_on_any_ground_and_void_is_left(tasks: dict[str, Task[Any]]) -> None:
    only = {"ground": tasks["ground"]}
    indices = np.repeat(np.array([0, 1, 255, 255], np.uint8), 50_000).reshape(400, 500)
    for level in (0, 128, 255):
        plain = np.full((400, 500, 3), level, np.uint8)
        picture = draw(plain, {"ground": Segments(indices=indices, classes=("road", "sky"))}, only).astype(int)
        assert np.abs(picture[50, 50] - picture[150, 50]).max() > 30
        assert np.abs(picture[50, 50] - level).max() > 30
        assert (picture[200:400] == level).all(-1).mean() > 0.7


def test_many_classes_have_colours_that_can_be_told_apart() -> None:
    from oneglance.drawing.palette import _lab, numbered

    lab = _lab(np.array([numbered(k) for k in range(100)], np.uint8))
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + 1000 * np.eye(100)
    assert apart.min() > 10
    assert [numbered(k) for k in range(256)] == [numbered(k + 256) for k in range(256)]


def test_long_captions_are_broken_into_lines() -> None:
    short, long = caption([Line("a")], 200, 12), caption([Line("word " * 60)], 200, 12)
    assert long.shape[0] > 3 * short.shape[0]
    assert caption([], 200, 12).shape == (0, 200, 3)
    fixed = [caption([Line("word " * count), Line("b")], 200, 12, (2, 1)) for count in (1, 60)]
    assert fixed[0].shape == fixed[1].shape == caption([Line("a")] * 3, 200, 12).shape


def test_a_sheet_holds_all_pictures() -> None:
    pictures = [np.full((50 * k, 80, 3), 40 * k, np.uint8) for k in range(1, 6)]
    made = sheet(pictures, 2, (120, 100), ["one", "two", "", "four", "five"])
    for k in range(1, 6):
        assert (made == 40 * k).all(-1).sum() > 2000
    with pytest.raises(ValueError, match="at least one"):
        sheet([])


def test_a_track_has_one_colour_and_is_drawn_whatever_its_score(tasks: dict[str, Task[Any]]) -> None:
    blank = np.full((400, 500, 3), 128, np.uint8)
    objects = {"objects": tasks["objects"]}

    def drawn(item: Instance) -> np.ndarray:
        return draw(blank, {"objects": Instances((item,))}, objects)[:400]

    for track in (1, 2, 77):
        for label, score in (("car", 0.9), ("person", 0.1)):
            picture = drawn(Instance(label, box(100, 100, 300, 300), score=score, track=track))
            assert tuple(picture[300, 150].tolist()) == numbered(track - 1)
    one, other = (drawn(Instance("car", box(100, 100, 300, 300), score=0.9, track=track)) for track in (12, 13))
    assert tuple(one[300, 150].tolist()) != tuple(other[300, 150].tolist())
    np.testing.assert_array_equal(drawn(Instance("car", box(100, 100, 300, 300), score=0.1)), blank)


def test_the_number_of_a_track_stands_beside_it_and_the_strip_explains_no_colours(
    tasks: dict[str, Task[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from oneglance.drawing import picture

    tags: list[Tag] = []
    lines: list[Line] = []
    monkeypatch.setattr(picture, "place_tags", lambda canvas, some, text: tags.extend(some))
    real = picture.caption
    monkeypatch.setattr(picture, "caption", lambda some, *rest: lines.extend(some) or real(some, *rest))
    some = (
        Instance("car", box(0, 0, 9, 9), score=0.9, track=12),
        Instance("car", box(50, 50, 90, 90), score=0.8),
        Instance("person", box(200, 200, 220, 290), score=0.2, track=3),
    )
    blank = np.zeros((400, 500, 3), np.uint8)
    draw(blank, {"objects": Instances(some)}, {"objects": tasks["objects"]})
    assert {(tag.text, tag.short) for tag in tags} == {
        ("#12 car 0.90", "#12"),
        ("car 0.80", "car"),
        ("#3 person 0.20", "#3"),
    }
    assert lines[0] == Line("objects: 2 car, 1 person")
