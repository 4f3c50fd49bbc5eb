"""Backbones of every family, weights from a file, and what is said when they can't be had."""

import pickle

import pytest
import timm
import torch
from safetensors.torch import save_file

from oneglance.errors import OneglanceError
from oneglance.network.network import Network
from oneglance.network.trunk import Backbone, TrunkSettings
from oneglance.tasks import ClassificationSettings, DetectionSettings, SegmentationSettings, create_tasks


@pytest.mark.parametrize(
    "name", ["mobilenetv4_conv_small", "mobilenetv2_100", "resnet10t", "hgnetv2_b0", "edgenext_xx_small"]
)
def test_a_backbone_gives_maps_of_its_strides(name):
    backbone = Backbone(TrunkSettings(backbone=name, pretrained=False)).eval()
    maps = backbone(torch.zeros(1, 3, 64, 96, dtype=torch.uint8))
    assert backbone.reductions == [4, 8, 16, 32]
    for one, stride, channels in zip(maps, backbone.reductions, backbone.channels, strict=True):
        assert one.shape == (1, channels, 64 // stride, 96 // stride)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "mobilenetv4_conv_smal"}, "did you mean 'mobilenetv4_conv_small'"),
        ({"backbone": "resnet10t", "options": {"no_such_option": 1}}, "can't be built"),
        ({"backbone": "vit_tiny_patch16_224"}, r"strides|can't be built"),
    ],
)
def test_a_backbone_that_cannot_be_had_is_named(settings, message):
    with pytest.raises(OneglanceError, match=message):
        Backbone(TrunkSettings(pretrained=False, **settings))


def test_the_hub_out_of_reach_says_what_to_do(monkeypatch):
    def unreachable(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm.models._builder, "load_pretrained", unreachable)
    with pytest.raises(OneglanceError, match=r"could not be fetched from the model hub.*weights file"):
        Backbone(TrunkSettings(backbone="resnet10t", pretrained=True))


def test_a_model_without_weights_on_the_hub_is_said():
    with pytest.raises(OneglanceError, match=r"no weights for 'resnetv2_50d'|set trunk.pretrained"):
        Backbone(TrunkSettings(backbone="resnetv2_50d", pretrained=True))


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(3)
    model = timm.create_model("mobilenetv2_100", pretrained=False, pad_type="same")
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    torch.save({"state_dict": model.state_dict()}, tmp_path / "w.pth")
    return tmp_path


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_file_of_the_whole_model_fills_the_extractor(weights, name):
    backbone = Backbone(
        TrunkSettings(backbone="mobilenetv2_100", pretrained=weights / name, options={"pad_type": "same"})
    )
    torch.manual_seed(3)
    model = timm.create_model("mobilenetv2_100", pretrained=False, pad_type="same").eval()
    image = torch.rand(1, 3, 64, 64) * 255
    mean, std = 255 * torch.tensor(timm.get_pretrained_cfg("mobilenetv2_100").mean), torch.tensor([1.0])
    normed = (image - mean.view(1, 3, 1, 1)) / (
        255 * torch.tensor(timm.get_pretrained_cfg("mobilenetv2_100").std)
    ).view(1, 3, 1, 1)
    with torch.inference_mode():
        expected = model.forward_intermediates(normed, indices=[4], intermediates_only=True)[-1]
        torch.testing.assert_close(backbone.eval()(image)[-1], expected, rtol=1e-4, atol=1e-4)
    assert std.item() == 1


class Evil:
    def __reduce__(self):
        return (print, ("unpickled",))


def test_files_that_are_no_weights_are_refused_and_never_unpickled(tmp_path, capsys):
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
    torch.save({"x": Evil()}, tmp_path / "evil2.pth")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    for name in ("evil.pth", "evil2.pth", "junk.safetensors"):
        with pytest.raises(OneglanceError, match=f"{name} is not a readable weights file"):
            Backbone(TrunkSettings(backbone="resnet10t", pretrained=tmp_path / name))
    assert "unpickled" not in capsys.readouterr().out


def test_weights_of_another_model_are_refused(weights):
    with pytest.raises(OneglanceError, match=r"is missing|of another model"):
        Backbone(TrunkSettings(backbone="resnet10t", pretrained=weights / "w.safetensors"))
    with pytest.raises(OneglanceError, match="no such weights file"):
        Backbone(TrunkSettings(backbone="resnet10t", pretrained=weights / "none.safetensors"))


def test_frozen_norms_keep_their_statistics_and_a_frozen_trunk_its_weights():
    backbone = Backbone(TrunkSettings(backbone="resnet10t", pretrained=False, norm="frozen")).train()
    before = {k: v.clone() for k, v in backbone.named_buffers()}
    backbone(torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8))
    assert all(torch.equal(v, before[k]) for k, v in backbone.named_buffers())
    assert all(p.requires_grad for p in backbone.parameters())
    frozen = Backbone(TrunkSettings(backbone="resnet10t", pretrained=False, freeze=True))
    assert not any(p.requires_grad for p in frozen.parameters())


def test_the_pyramid_is_as_fine_as_the_finest_task_needs():
    coarse = Network(create_tasks({"o": DetectionSettings(classes=("a",))}), TrunkSettings(pretrained=False))
    fine = Network(
        create_tasks({"o": DetectionSettings(classes=("a",)), "s": SegmentationSettings(classes=("a", "b"))}),
        TrunkSettings(pretrained=False),
    )
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    assert coarse.eval().features(images)["o"].strides == (8, 16, 32)
    assert fine.eval().features(images)["o"].strides == (4, 8, 16, 32)
    assert fine(images)["s"]["logits"].shape == (1, 2, 16, 16)


def test_a_network_of_one_question_is_one_head():
    network = Network(create_tasks({"k": ClassificationSettings(classes=("a", "b"))}), TrunkSettings(pretrained=False))
    assert list(network.heads) == ["k"]


def test_without_a_connection_nobody_is_kept_waiting(monkeypatch, tmp_path):
    """The hub's client would try again for most of a minute, and nothing would be said meanwhile."""
    import socket
    import time

    from huggingface_hub import constants

    def nowhere(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    def waited(_: float) -> None:
        raise AssertionError("waited for a hub that can't be reached")

    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    monkeypatch.setattr(time, "sleep", waited)
    before = constants.HF_HUB_OFFLINE
    with pytest.raises(OneglanceError, match=r"could not be fetched .*LocalEntryNotFound.*trunk\.pretrained=false"):
        Backbone(TrunkSettings(backbone="resnet18", pretrained=True))
    assert before == constants.HF_HUB_OFFLINE
