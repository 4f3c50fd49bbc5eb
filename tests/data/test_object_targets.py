"""Objects as small images: unknown is not negative, points and masks in the box's own coordinates, mirrors by class."""

import numpy as np
import pytest
import torch

from oneglance.annotations import HIDDEN, UNLABELLED, VISIBLE, Instance, Instances, Label, Points
from oneglance.data.geometry import Frame, letterbox, reflection
from oneglance.data.regions import UNIT, object_targets, region_frame, whole_targets
from oneglance.data.warp import warp
from oneglance.tasks import ClassificationSettings, DetectionSettings, KeypointsSettings, MaskSettings, create_tasks

TASKS = create_tasks(
    {
        "objects": DetectionSettings(classes=("car", "face")),
        "colour": ClassificationSettings(on="objects.car", classes=("red", "blue")),
        "eyes": KeypointsSettings(on="objects.face", points=("left", "right"), flip=[["left", "right"]]),
        "outline": MaskSettings(on="objects"),
    }
)
FRAME = Frame(np.eye(3), 100, 50, 100, 50)
BOX = np.float32([10, 10, 30, 30])


def targets(name, *items):
    return object_targets(TASKS[name], Instances(tuple(items)), FRAME)


def test_only_objects_that_somebody_labelled_are_asked():
    red = Instance("car", BOX, attributes={"colour": "red"})
    found = targets("colour", Instance("car", BOX), red, Instance("face", BOX, attributes={"colour": "red"}))
    assert found["label"].tolist() == [0]
    np.testing.assert_allclose(found["box"], [[0.1, 0.2, 0.3, 0.6]])
    assert targets("colour", Instance("car", BOX)) is None
    assert targets("colour") is None
    assert targets("colour", Instance("car", BOX, attributes={"colour": "pink"})) is None  # no answer of the task
    assert targets("outline", red) is None
    assert (
        targets("eyes", Instance("face", BOX, points=Points(np.zeros((2, 2), np.float32), np.zeros(2, np.int8))))
        is None
    )


@pytest.mark.parametrize("flag", ["crowd", "difficult"])
def test_nothing_is_asked_of_a_crowd_or_of_what_is_hardly_there(flag):
    assert targets("colour", Instance("car", BOX, attributes={"colour": "red"}, **{flag: True})) is None


def test_points_are_said_in_shares_of_the_box_that_is_looked_at():
    points = Points(np.float32([[15, 20], [40, 20]]), np.int8([VISIBLE, HIDDEN]))
    found = targets("eyes", Instance("face", BOX, points=points))
    given = {key: torch.from_numpy(value) for key, value in found.items()}
    cut = TASKS["eyes"].cut_targets(given, given["box"])
    torch.testing.assert_close(cut["xy"][0, 0], torch.tensor([0.25, 0.5]))
    # The second lies outside the box: it has no place in the box's heat map, and costs nothing.
    assert cut["visibility"].tolist() == [[VISIBLE, UNLABELLED]]
    wider = TASKS["eyes"].cut_targets(given, torch.tensor([[0.1, 0.2, 0.5, 0.6]]))
    torch.testing.assert_close(wider["xy"][0, 1], torch.tensor([0.75, 0.5]))
    assert wider["visibility"].tolist() == [[VISIBLE, HIDDEN]]


def test_a_points_way_into_a_box_and_back_is_the_identity():
    frame = Frame(letterbox((300, 200), (160, 160)), 160, 160, 300, 200)
    region = region_frame(frame, np.float32([20, 30, 90, 110]))
    there = region.matrix @ np.array([123.4, 77.7, 1])
    back = region.inverse @ there
    np.testing.assert_allclose(back[:2], [123.4, 77.7])
    corner = region.inverse @ np.array([UNIT, UNIT, 1])
    np.testing.assert_allclose(frame.matrix @ corner, [90, 110, 1])


def test_an_image_of_one_object_is_its_box_without_the_padding():
    frame = Frame(letterbox((200, 100), (64, 64)), 64, 64, 200, 100)
    found = whole_targets(TASKS["colour"], Label("blue"), frame)
    np.testing.assert_allclose(found["box"], [[0, 0.25, 1, 0.75]])
    assert found["label"].tolist() == [1]


def test_a_mirror_swaps_the_points_of_each_class_by_its_own_pairs():
    points = Points(np.float32([[15, 20], [25, 21]]), np.int8([VISIBLE, HIDDEN]))
    objects = Instances((Instance("face", BOX, points=points), Instance("car", BOX, points=points)))
    frame = Frame(reflection(100), 100, 50, 100, 50)
    face, car = warp(objects, frame, flip_pairs=TASKS["objects"].flip_pairs).items
    np.testing.assert_allclose(face.points.xy, [[75, 21], [85, 20]])
    assert face.points.visibility.tolist() == [HIDDEN, VISIBLE]
    np.testing.assert_allclose(car.points.xy, [[85, 20], [75, 21]])
    twice = warp(
        warp(objects, frame, flip_pairs=TASKS["objects"].flip_pairs), frame, flip_pairs=TASKS["objects"].flip_pairs
    )
    for one, other in zip(twice.items, objects.items, strict=True):
        np.testing.assert_allclose(one.points.xy, other.points.xy, atol=1e-5)
        np.testing.assert_allclose(one.box, other.box, atol=1e-5)
