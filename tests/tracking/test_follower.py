"""Answers of a film: numbers are added, sure points smoothed, and nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest

from oneglance.annotations import HIDDEN, UNLABELLED, VISIBLE, Instance, Instances, Label, Points, same
from oneglance.tracking import Follower, OneEuro, TrackSettings

SIZE = (640, 480)


def points(*xy, visibility=VISIBLE, scores=None):
    xy = np.array(xy, np.float32)
    visibility = np.array([visibility] * len(xy) if np.isscalar(visibility) else visibility, np.int8)
    return Points(xy, visibility, None if scores is None else np.array(scores, np.float32))


def car(x, y=0.0, side=50.0, score=0.9, **more):
    return Instance("car", np.array([x, y, x + side, y + side], np.float32), score=score, **more)


def test_objects_get_numbers_by_task_and_keep_all_else():
    follower = Follower()
    label = Label("rain")
    for frame in range(3):
        said = {
            "weather": label,
            "cars": Instances((car(10.0 + frame), car(200.0, attributes={"colour": "red"})), ("car",)),
            "faces": Instances((replace(car(300.0), label="face"), Instance("face"), car(500.0, score=0.05))),
        }
        found = follower(said, frame / 30, SIZE)
        assert found["weather"] is label
        assert [item.track for item in found["cars"].items] == [1, 2]
        assert [item.track for item in found["faces"].items] == [1, None, None]
        assert all(item.track is None for item in said["cars"].items)
        for task in ("cars", "faces"):
            bare = replace(found[task], items=tuple(replace(item, track=None) for item in found[task].items))
            assert same(bare, said[task])


def test_a_track_that_an_answer_had_already_is_not_kept():
    assert Follower()({"cars": Instances((car(0.0, score=0.01, track=9),))}, 0.0, SIZE)["cars"].items[0].track is None


def test_points_of_a_track_are_smoothed_by_the_size_of_its_box():
    follower, expected = Follower(), OneEuro(1.0, 10.0)
    rng = np.random.default_rng(0)
    for frame in range(6):
        xy = np.array([[20, 20], [30, 10]]) + rng.normal(0, 2, (2, 2))
        said = Instances((car(0.0, side=50 + frame, points=points(*xy, visibility=[VISIBLE, HIDDEN])),))
        (item,) = follower({"cars": said}, frame / 30, SIZE)["cars"].items
        wanted = expected(frame / 30, np.asarray(xy, np.float32).astype(np.float64), 50.0 + frame)
        np.testing.assert_allclose(item.points.xy, wanted, rtol=1e-5)
        assert item.points.visibility.tolist() == [VISIBLE, HIDDEN]


def test_points_of_the_image_are_smoothed_by_its_longer_side_and_can_be_left_alone():
    follower, expected, bare = Follower(), OneEuro(1.0, 10.0), Follower(TrackSettings(smooth=False))
    for frame, x in enumerate((100.0, 104.0, 99.0)):
        said = {"corners": points([x, 50.0])}
        (xy,) = follower(said, frame / 10, SIZE)["corners"].xy
        np.testing.assert_allclose(xy, expected(frame / 10, np.array([x, 50.0]), 640.0), rtol=1e-6)
        assert bare(said, frame / 10, SIZE)["corners"] is said["corners"]


def test_points_begin_anew_when_a_track_was_lost():
    follower = Follower()

    def ask(frame, *items):
        return follower({"cars": Instances(items)}, frame / 30, SIZE)["cars"].items

    ask(0, car(0.0, points=points([10, 10])))
    (item,) = ask(1, car(0.0, points=points([20, 10])))
    assert item.points.xy[0, 0] < 19
    assert ask(2) == ()
    (item,) = ask(3, car(0.0, points=points([30, 10])))
    assert item.track == 1
    assert item.points.xy[0, 0] == 30


@pytest.mark.parametrize("gap", [{"visibility": UNLABELLED}, {"scores": [0.2]}, {"xy": [np.nan, np.nan]}])
def test_points_nobody_is_sure_of_are_not_smoothed_into_existence(gap):
    follower = Follower(TrackSettings(sure=0.25))
    xy = gap.pop("xy", [70.0, 70.0])
    first = follower({"p": points([10.0, 10.0], scores=[0.9])}, 0.0, SIZE)["p"]
    assert first.xy.tolist() == [[10, 10]]
    said = points(xy, **gap)
    unsure = follower({"p": said}, 0.1, SIZE)["p"]
    assert same(unsure, said)
    again = follower({"p": points([20.0, 10.0], scores=[0.9])}, 0.2, SIZE)["p"]
    assert again.xy.tolist() == [[20, 10]]
    after = follower({"p": points([30.0, 10.0], scores=[0.25])}, 0.3, SIZE)["p"]
    assert 20 < after.xy[0, 0] < 30


def test_objects_without_a_number_are_not_smoothed():
    follower = Follower()
    follower({"cars": Instances()}, 0.0, SIZE)
    said = Instances((car(0.0, points=points([10, 10])),))
    assert same(follower({"cars": said}, 0.1, SIZE)["cars"], said)
    (item,) = follower({"cars": Instances((car(0.0, points=points([14, 10])),))}, 0.2, SIZE)["cars"].items
    assert (item.track, item.points.xy[0, 0]) == (1, 14)


def test_embeddings_of_objects_are_used():
    east, north = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    follower = Follower()
    for frame in range(4):
        said = Instances((car(100.0, vector=east), car(110.0, vector=north)))
        assert [i.track for i in follower({"cars": said}, frame / 30, SIZE)["cars"].items] == [1, 2]
    said = Instances((car(100.0, vector=north), car(110.0, vector=east)))
    assert [i.track for i in follower({"cars": said}, 4 / 30, SIZE)["cars"].items] == [2, 1]
    said = Instances((car(100.0), car(110.0, vector=north)))
    assert [i.track for i in follower({"cars": said}, 5 / 30, SIZE)["cars"].items] == [1, 2]


def test_memory_does_not_grow():
    follower = Follower()
    for frame in range(300):
        said = {"cars": Instances((car(100.0 * (frame // 2), points=points([1, 1])),)), "p": points([1, 1])}
        follower(said, frame / 30, SIZE)
        assert len(follower._filters) <= 2
    assert len(follower._trackers["cars"]._motion) <= 31
