"""Backbones taken apart: the chain of the stages is the whole, with the very same parameters."""

import pytest
import torch

from oneglance.errors import OneglanceError
from oneglance.network.stages import split
from oneglance.network.trunk import Backbone, TrunkSettings


# Of each way in which timm builds extractors: EfficientNet's and MobileNetV3's own, FeatureListNet, FeatureGetterNet.
@pytest.mark.parametrize("name", ["mobilenetv2_035", "lcnet_050", "resnet10t", "efficientvit_b0", "cspnext_tiny"])
def test_the_stages_one_after_another_are_the_whole(name):
    torch.manual_seed(0)
    backbone = Backbone(TrunkSettings(backbone=name, pretrained=False)).eval()
    images = torch.randint(0, 255, (2, 3, 96, 64), dtype=torch.uint8)
    with torch.no_grad():
        maps = backbone(images)
    own = dict(backbone.named_parameters())
    stages = split(backbone, "layers")
    assert len(stages) == 4
    names = [f"{name}" for stage in stages for name, _ in stage.named_parameters()]
    assert len(set(names)) == len(names)
    assert all(own[name] is one for stage in stages for name, one in stage.named_parameters())
    at = images
    with torch.no_grad():
        for stage, expected in zip(stages, maps, strict=True):
            at = stage(at)
            assert torch.equal(at, expected)


def test_a_stage_holds_its_statistics_as_a_backbone_does():
    backbone = Backbone(TrunkSettings(backbone="lcnet_050", pretrained=False, norm="frozen"))
    stage = split(backbone, "layers")[0].train()
    before = {name: value.clone() for name, value in stage.named_buffers()}
    stage(torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8))
    assert all(torch.equal(value, before[name]) for name, value in stage.named_buffers())
    assert stage.training


def test_what_cannot_be_taken_apart_is_refused_by_name():
    backbone = Backbone(TrunkSettings(backbone="lcnet_050", pretrained=False))
    plain = backbone.body.forward
    backbone.body.forward = lambda x: [one + 0 for one in plain(x)]  # maps that no module gives
    with pytest.raises(OneglanceError, match=r"`mtan_x`.*'lcnet_050' can't be taken apart.*`hard`, `none`"):
        split(backbone, "mtan_x")
