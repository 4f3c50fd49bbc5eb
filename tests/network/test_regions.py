"""Features of objects: the mapping by hand, the level, the boxes that are looked at, one network from end to end."""

import numpy as np
import pytest
import torch

from oneglance.network.network import Network
from oneglance.network.regions import SIDE, Regions, jittered, levels_of
from oneglance.network.trunk import TrunkSettings
from oneglance.tasks import ClassificationSettings, DetectionSettings, KeypointsSettings, MaskSettings, create_tasks
from oneglance.tasks.base import Features, FeatureSpec

SPEC = FeatureSpec(8, ((4, 2), (8, 2), (16, 2), (32, 2)))


def ramps(height: int, width: int) -> Features:
    """A pyramid whose two channels hold the x and the y of each cell's centre, in input pixels."""
    pyramid = {}
    for stride, _ in SPEC.pyramid:
        ys = (torch.arange(height // stride) + 0.5) * stride
        xs = (torch.arange(width // stride) + 0.5) * stride
        y, x = torch.meshgrid(ys, xs, indexing="ij")
        pyramid[stride] = torch.stack([x, y])[None].expand(2, -1, -1, -1)
    return Features(torch.zeros(2, 8, 1, 1), pyramid)


@pytest.mark.parametrize("box", [(40.0, 48.0, 96.0, 104.0), (33.0, 40.5, 170.0, 201.0), (20.0, 20.0, 240.0, 230.0)])
def test_a_cell_of_an_object_reads_the_pyramid_where_the_cell_lies(box):
    regions = Regions(SPEC, 2)
    x1, y1, x2, y2 = box
    out = regions(ramps(256, 256), torch.tensor([1]), torch.tensor([box]) / 256)
    at = (torch.arange(SIDE) + 0.5) / SIDE
    torch.testing.assert_close(out[0, 0, 0], x1 + at * (x2 - x1), atol=1e-3, rtol=0)
    torch.testing.assert_close(out[0, 1, :, 0], y1 + at * (y2 - y1), atol=1e-3, rtol=0)


def test_an_object_is_read_from_the_level_of_its_size():
    sides = torch.tensor([10.0, 56.0, 112.0, 224.0, 448.0, 4000.0])
    boxes = torch.stack([torch.zeros(6), torch.zeros(6), sides, sides], 1)
    assert levels_of(boxes, (4, 8, 16, 32)).tolist() == [0, 0, 1, 2, 3, 3]
    assert levels_of(boxes, (8, 16, 32)).tolist() == [0, 0, 0, 1, 2, 2]


def test_objects_of_one_image_do_not_see_another_and_their_order_changes_nothing():
    features = ramps(64, 64)
    features._pyramid[4] = torch.stack([torch.zeros(2, 16, 16), torch.ones(2, 16, 16)])
    boxes = torch.tensor([[0.1, 0.1, 0.5, 0.5]] * 3)
    out = Regions(SPEC, 2)(features, torch.tensor([1, 0, 1]), boxes)
    assert out[[0, 2]].eq(1).all()
    assert out[1].eq(0).all()


def test_moved_boxes_stay_near_and_inside():
    torch.manual_seed(0)
    boxes = torch.tensor([[0.2, 0.3, 0.6, 0.9]]).expand(500, -1)
    moved = jittered(boxes, 0.1)
    assert (moved >= 0).all()
    assert (moved <= 1).all()
    assert (moved[:, 2:] > moved[:, :2]).all()
    sides = torch.tensor([0.4, 0.6]).repeat(2)
    assert ((moved - boxes).abs() <= 0.2 * sides + 1e-6).all()
    assert (moved - boxes).abs().max() > 0.05


def network_of() -> Network:
    torch.manual_seed(0)
    tasks = create_tasks(
        {
            "objects": DetectionSettings(classes=("car", "face")),
            "outline": MaskSettings(on="objects"),
            "eyes": KeypointsSettings(on="objects.face", points=("left", "right")),
            "colour": ClassificationSettings(on="objects.car", classes=("red", "blue")),
            "weather": ClassificationSettings(classes=("dry", "wet")),
        }
    )
    return Network(tasks, TrunkSettings(backbone="mobilenetv4_conv_small_050", pretrained=False, channels=32))


def test_tasks_on_objects_answer_for_each_object_and_for_none():
    network = network_of().eval()
    images = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)
    boxes = torch.tensor([[0.1, 0.1, 0.6, 0.5], [0.2, 0.2, 0.9, 0.9], [0.0, 0.0, 1.0, 1.0]])
    outputs = network(
        images,
        {"outline": torch.tensor([0, 1, 1]), "eyes": torch.tensor([1]), "colour": torch.zeros(0, dtype=torch.long)},
        {"outline": boxes, "eyes": boxes[:1], "colour": torch.zeros(0, 4)},
    )
    assert outputs["outline"]["logits"].shape == (3, 2 * SIDE, 2 * SIDE)
    assert outputs["eyes"]["heat"].shape == (1, 2, 2 * SIDE, 2 * SIDE)
    assert outputs["colour"]["logits"].shape == (0, 2)
    torch.testing.assert_close(outputs["outline"]["box"], boxes)
    assert set(network(images)) == {"objects", "weather"}


def test_the_features_of_objects_teach_the_shared_trunk():
    network = network_of().train()
    images = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)
    rows, boxes = {"colour": torch.tensor([0, 1])}, {"colour": torch.tensor([[0.1, 0.1, 0.6, 0.5]] * 2)}
    network(images, rows, boxes)["colour"]["logits"].pow(2).sum().backward()
    assert network.backbone.body.conv_stem.weight.grad.abs().sum() > 0
    assert network.heads["eyes"].maps.maps.weight.grad is None


def test_training_looks_at_boxes_that_were_found_where_they_fit(monkeypatch):
    network = network_of().train()
    images = torch.zeros(3, 3, 64, 64, dtype=torch.uint8)
    true = torch.tensor([[0.25, 0.25, 0.75, 0.75], [0.25, 0.25, 0.75, 0.75], [0.25, 0.25, 0.75, 0.75]])
    found = torch.tensor([[[20.0, 16, 48, 48], [0, 0, 10, 10]], [[0.0, 0, 64, 64], [17.0, 17, 47, 47]]])
    monkeypatch.setattr(
        type(network.tasks["objects"]), "found_boxes", lambda *_: (found, torch.tensor([[0.3, 0.9], [0.9, 0.2]]))
    )
    monkeypatch.setattr("oneglance.network.network.FOUND", 1.1)
    monkeypatch.setattr("oneglance.network.network.JITTER", 0.0)
    rows = {"objects": torch.tensor([0, 2]), "colour": torch.tensor([0, 1, 2])}
    seen = network(images, rows, {"colour": true})["colour"]["box"]
    # The surer box of the first image does not fit; nobody looked for boxes in the second; in the third, the surest box
    # overlaps too little.
    expected = torch.tensor([[20.0, 16, 48, 48], [16, 16, 48, 48], [17, 17, 47, 47]]) / 64
    torch.testing.assert_close(seen, expected)


def test_the_numbers_of_objects_and_images_are_not_mixed_up():
    """Many objects in one image and none in the next: every object reads its own image."""
    network = network_of().eval()
    images = torch.randint(0, 255, (3, 3, 64, 64), dtype=torch.uint8)
    box = torch.tensor([[0.1, 0.2, 0.7, 0.9]])
    rows = np.array([2, 0, 2, 2])
    together = network(images, {"colour": torch.from_numpy(rows)}, {"colour": box.expand(4, -1)})["colour"]["logits"]
    for k, row in enumerate(rows):
        alone = network(images[row : row + 1], {"colour": torch.tensor([0])}, {"colour": box})["colour"]["logits"][0]
        torch.testing.assert_close(together[k], alone, atol=1e-4, rtol=1e-3)
