"""Objects keep their numbers: golden films of a few boxes."""

import numpy as np
import pytest
from pydantic import ValidationError

from oneglance.tracking import Tracker, TrackSettings

RATE = 30.0


def box(x, y=100.0, w=40.0, h=40.0):
    return [x, y, x + w, y + h]


def numbers(tracker, frame, boxes, scores=0.9, classes="car", vectors=None, rate=RATE):
    """The tracker's answer to one frame, as a list; one score or class stands for all."""
    count = len(boxes)
    scores = [scores] * count if np.isscalar(scores) else scores
    classes = [classes] * count if isinstance(classes, str) else classes
    found = tracker.update(frame / rate, np.reshape(boxes, (-1, 4)), np.array(scores), classes, vectors)
    return found.tolist()


def test_objects_of_the_first_frame_are_numbered_at_once_later_ones_when_seen_twice():
    tracker = Tracker()
    assert numbers(tracker, 0, [box(0), box(200)]) == [1, 2]
    assert numbers(tracker, 1, [box(400), box(200), box(0)]) == [0, 2, 1]
    assert numbers(tracker, 2, [box(400), box(200), box(0)]) == [3, 2, 1]
    assert numbers(tracker, 3, []) == []
    assert numbers(tracker, 4, [box(0), box(600)]) == [1, 0]
    assert numbers(tracker, 5, [box(800)]) == [0]  # 600 was seen once, and is forgotten without a number
    assert numbers(tracker, 6, [box(600), box(800)]) == [0, 4]


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_two_objects_that_cross_keep_their_numbers(order):
    tracker = Tracker()
    for frame in range(60):
        boxes = [box(100 + 6 * frame), box(460 - 6 * frame, 104)][order]
        assert numbers(tracker, frame, boxes) == [1, 2]


def test_a_hidden_object_keeps_its_number_where_it_was_to_be_expected():
    tracker = Tracker()
    for frame in range(60):
        walker, post = box(100 + 4 * frame), box(250, 100, 30, 200)
        hidden = 25 <= frame < 40
        found = numbers(tracker, frame, [post] if hidden else [post, walker], classes=["post", "car"][: 2 - hidden])
        assert found == [1] if hidden else found == [1, 2]


def test_a_number_is_given_up_after_the_time_that_an_object_may_be_lost():
    for missed, expected in ((29, 1), (31, 0)):
        tracker = Tracker(TrackSettings(lost=1.0))
        assert numbers(tracker, 0, [box(0)]) == [1]
        for frame in range(1, missed + 1):
            assert numbers(tracker, frame, []) == []
        assert numbers(tracker, missed + 1, [box(0)]) == [expected]
    assert numbers(tracker, missed + 2, [box(0)]) == [2]  # never the same number again


def test_the_time_counts_not_the_number_of_frames():
    tracker = Tracker(TrackSettings(lost=1.0))
    assert numbers(tracker, 0, [box(0)], rate=2) == [1]
    assert numbers(tracker, 1, [box(0)], rate=2) == [1]
    for _ in range(50):
        assert numbers(tracker, 1, [], rate=2) == []
    assert numbers(tracker, 2, [box(0)], rate=2) == [1]


def test_slow_and_uneven_frames_are_followed():
    rng = np.random.default_rng(0)
    tracker, seconds = Tracker(), 0.0
    for k in range(60):
        places = [box(20 + 60 * seconds), box(900 - 60 * seconds, 90, 50, 60)]
        found = tracker.update(seconds, np.array(places), np.full(2, 0.9), ["car", "car"])
        assert found.tolist() == [1, 2], k
        seconds += float(rng.uniform(0.02, 0.4))


def test_a_class_change_never_merges():
    tracker = Tracker()
    for frame in range(3):
        assert numbers(tracker, frame, [box(0)], classes="car") == [1]
    assert numbers(tracker, 3, [box(0)], classes="van") == [0]
    assert numbers(tracker, 4, [box(0)], classes="van") == [2]
    assert numbers(tracker, 5, [box(0), box(0)], classes=["van", "car"]) == [2, 1]
    unsure = [0.15, 0.15]
    assert numbers(tracker, 6, [box(0), box(0)], unsure, classes=["car", "van"]) == [1, 2]


def test_unsure_detections_keep_a_track_alive_but_start_none():
    tracker = Tracker(TrackSettings(start=0.5, keep=0.1, lost=0.2))
    for frame in range(20):
        assert numbers(tracker, frame, [box(400)], 0.49) == [0]
    assert numbers(tracker, 20, [box(0)], 0.9) == [0]
    assert numbers(tracker, 21, [box(2)], 0.9) == [1]
    for frame in range(22, 60):  # far longer than it may be lost
        assert numbers(tracker, frame, [box(2 * (frame - 20)), box(400)], [0.1, 0.3]) == [1, 0]
    assert numbers(tracker, 60, [box(80)], 0.09) == [0]  # below `keep` it is as if it were not there


def test_an_unsure_detection_brings_a_track_back_but_never_takes_one_that_a_sure_one_wants():
    tracker = Tracker(TrackSettings(start=0.5, keep=0.1))
    assert numbers(tracker, 0, [box(0)]) == [1]
    assert numbers(tracker, 1, [box(0), box(20)], [0.2, 0.9]) == [0, 1]
    assert numbers(tracker, 2, []) == []
    assert numbers(tracker, 3, [box(500), box(20)], 0.2) == [0, 1]


def test_looks_decide_where_places_do_not():
    """Two stand almost in the same place and change places by a jump; only their looks tell."""
    east, north = np.array([1.0, 0, 0]), np.array([0, 3.0, 0])
    for known in (True, False):
        tracker = Tracker()
        for frame in range(5):
            vectors = np.stack([east, north]) if known else None
            assert numbers(tracker, frame, [box(100), box(110)], vectors=vectors) == [1, 2]
        vectors = np.stack([north, east]) if known else None
        expected = [2, 1] if known else [1, 2]
        assert numbers(tracker, 5, [box(100), box(110)], vectors=vectors) == expected


def test_unknown_looks_are_no_looks_and_are_not_learned():
    unknown, east, north = np.full(2, np.nan), np.array([1.0, 0]), np.array([0, 1.0])
    tracker = Tracker()
    assert numbers(tracker, 0, [box(100), box(110)]) == [1, 2]  # before anybody gave vectors
    assert numbers(tracker, 1, [box(100), box(110)], vectors=np.stack([east, north])) == [1, 2]
    assert numbers(tracker, 2, [box(100), box(110)], vectors=np.stack([unknown, unknown])) == [1, 2]
    assert numbers(tracker, 3, [box(100), box(110)]) == [1, 2]
    assert numbers(tracker, 4, [box(100), box(110)], vectors=np.stack([north, east])) == [2, 1]
    assert numbers(tracker, 5, [], vectors=np.zeros((0, 2))) == []


def test_boxes_that_are_none_are_passed_over():
    tracker = Tracker()
    broken = [[np.nan, 0, 1, 1], [0, 0, np.inf, 1], box(100)]
    assert numbers(tracker, 0, broken) == [0, 0, 1]
    assert numbers(tracker, 1, broken[::-1]) == [1, 0, 0]


def test_many_objects_keep_their_numbers_and_nothing_piles_up():
    rng = np.random.default_rng(0)
    tracker = Tracker()
    at, speed = np.stack(np.meshgrid(np.arange(8), np.arange(5)), -1).reshape(-1, 2) * 150.0, rng.uniform(-40, 40)
    for frame in range(90):
        at = at + speed / RATE
        shuffled = rng.permutation(len(at))
        boxes = np.concatenate([at, at + 50], 1)[shuffled] + rng.normal(0, 1, (len(at), 4))
        found = numbers(tracker, frame, boxes)
        if frame == 0:
            number_of = dict(zip(shuffled.tolist(), found, strict=True))
        assert found == [number_of[k] for k in shuffled.tolist()]
    for frame in range(90, 400):  # a new object in every frame, at a new place
        numbers(tracker, frame, [box(10_000 + 100.0 * frame)])
    assert len(tracker._motion) == len(tracker._numbers) == len(tracker._looks) <= 2


def test_what_does_not_fit_is_refused():
    tracker = Tracker()
    with pytest.raises(ValueError, match="1 boxes, 2 scores, 1 classes"):
        tracker.update(0, np.array([box(0)]), np.ones(2), ["car"])
    with pytest.raises(ValueError, match="must be as many"):
        tracker.update(0, np.array([box(0)]), np.ones(1), ["car"], np.zeros((2, 4)))
    numbers(tracker, 30, [box(0)], vectors=np.ones((1, 4)))
    with pytest.raises(ValueError, match="time must not go back"):
        numbers(tracker, 29, [box(0)])
    with pytest.raises(ValueError, match="vectors of 3 numbers after vectors of 4"):
        numbers(tracker, 31, [box(0)], vectors=np.ones((1, 3)))
    with pytest.raises(ValidationError, match=r"keep \(0.5\) must not be more than start \(0.25\)"):
        TrackSettings(keep=0.5)
    with pytest.raises(ValidationError, match="los"):
        TrackSettings(los=3)
