"""What normalises: statistics by size are those of as many separate norms; GroupNorm takes over weights and biases."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from oneglance.network.network import Network
from oneglance.network.norm import SizeStatistics, sizes_in, statistics_like, with_group_norm
from oneglance.network.sharing import SharingSettings
from oneglance.network.trunk import TrunkSettings
from oneglance.tasks import ClassificationSettings, DetectionSettings, create_tasks
from oneglance.training import checkpoint

SIZES = ((64, 96), (64, 64))


def body() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16))


def norms_of(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [one for one in module.modules() if isinstance(one, nn.BatchNorm2d)]


def test_each_size_has_the_statistics_of_a_network_that_saw_nothing_else() -> None:
    shared = body()
    alone = {size: copy.deepcopy(shared) for size in SIZES}
    statistics = SizeStatistics(norms_of(shared), SIZES)
    inputs = {size: 3 * k + torch.rand(4, 3, *size) * (k + 1) for k, size in enumerate(SIZES)}
    for _ in range(3):
        for size, images in inputs.items():
            statistics.select(size)
            torch.testing.assert_close(shared(images), alone[size](images))
    shared.eval()
    for size, images in inputs.items():
        statistics.select(size)
        torch.testing.assert_close(shared(images), alone[size].eval()(images))
    # Another size takes those of the nearest area.
    statistics.select((64, 70))
    torch.testing.assert_close(shared(inputs[SIZES[1]]), alone[SIZES[1]](inputs[SIZES[1]]))


def network(norm: str, sizes: tuple[tuple[int, int], ...] = SIZES, backbone: str = "mobilenetv4_conv_small") -> Network:
    torch.manual_seed(0)
    tasks = create_tasks({"k": ClassificationSettings(classes=("a", "b"))})
    trunk = TrunkSettings(backbone=backbone, pretrained=False, channels=16, norm=norm)
    return Network(tasks, trunk, sizes=sizes)


def test_a_network_keeps_them_in_its_state_and_nothing_else_of_its_norms() -> None:
    one, other = network("batch").train(), network("batch")
    for k, size in enumerate(SIZES):
        one(torch.full((2, 3, *size), 40 * k + 60, dtype=torch.uint8) + torch.randint(0, 30, (2, 3, *size)).byte())
    state = one.state_dict()
    assert not any(name.endswith(("running_mean", "running_var")) for name in state)
    assert any(not torch.equal(*value) for name, value in state.items() if name.endswith(".mean_by_size"))
    other.load_state_dict(state)
    one.eval()
    other.eval()
    answers = []
    for size in SIZES:
        images = torch.randint(0, 255, (2, 3, *size), dtype=torch.uint8)
        answers.append(one(images)["k"]["logits"])
        torch.testing.assert_close(answers[-1], other(images)["k"]["logits"])
    assert network("batch", SIZES[:1]).statistics is None


@pytest.mark.parametrize("backbone", ["mobilenetv4_conv_small", "resnet10t"])
def test_group_norm_stands_where_batch_norm_stood(backbone: str) -> None:
    batch, group = network("batch", (), backbone), network("group", backbone=backbone).train()
    assert norms_of(batch)
    assert not norms_of(group)
    weights = {
        name: value for name, value in batch.state_dict().items() if not name.endswith(("_mean", "_var", "tracked"))
    }
    assert weights.keys() == group.state_dict().keys()
    # An image's answer does not depend on what else is in the batch, in training as afterwards.
    images = torch.randint(0, 255, (3, 3, 64, 64), dtype=torch.uint8)
    group.eval()
    torch.testing.assert_close(group(images)["k"]["logits"][:1], group(images[:1])["k"]["logits"], atol=1e-4, rtol=1e-4)


def test_group_norm_takes_weights_and_activations_over() -> None:
    from timm.layers import BatchNormAct2d

    module = nn.Sequential(BatchNormAct2d(16), nn.BatchNorm2d(24))
    for norm in module:
        nn.init.uniform_(norm.weight)
        nn.init.uniform_(norm.bias)
    expected = [(norm.weight.clone(), norm.bias.clone()) for norm in module]
    maps = torch.randn(2, 16, 5, 5)
    with_group_norm(module)
    first = torch.relu(torch.nn.functional.group_norm(maps, 2, *expected[0], eps=1e-5))
    torch.testing.assert_close(module[0](maps), first)
    wide = torch.randn(2, 24, 5, 5)
    torch.testing.assert_close(module[1](wide), torch.nn.functional.group_norm(wide, 3, *expected[1], eps=1e-5))


def test_a_frozen_backbone_keeps_its_statistics_and_what_follows_has_them_by_size() -> None:
    tasks = create_tasks({"objects": DetectionSettings(classes=("a",))})
    trunk = TrunkSettings(backbone="mobilenetv4_conv_small", pretrained=False, channels=16, norm="frozen")
    one = Network(tasks, trunk, sizes=SIZES).train()
    before = {name: value.clone() for name, value in one.state_dict().items()}
    for k, size in enumerate(SIZES):
        one((torch.rand(2, 3, *size) * 40 + 80 * k).byte())
    changed = {name for name, value in one.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith("backbone.") for name in changed)
    means = {name for name in before if name.endswith("mean_by_size")}
    assert means
    assert means <= changed
    assert not any(name.startswith("backbone.") for name in means)
    assert sizes_in(before) == list(SIZES)


def test_what_has_seen_nothing_of_a_size_takes_the_nearest_that_it_has_seen() -> None:
    module, sizes = body(), (*SIZES, (320, 320))
    first, second = norms_of(module)
    statistics = SizeStatistics((first, second), sizes)
    images = torch.rand(4, 3, 64, 64)
    statistics.select((64, 64))
    module(images)
    statistics.select((320, 320))
    first(torch.rand(4, 8, 20, 20))  # the second sees nothing of this size
    module.eval()
    statistics.eval()
    statistics.select((320, 320))
    torch.testing.assert_close(first.running_mean, first.mean_by_size[2])
    torch.testing.assert_close(second.running_mean, second.mean_by_size[1])
    # As soon as it has, it has its own.
    module.train()
    statistics.train()
    statistics.select((320, 320))
    module(3 * images)
    module.eval()
    statistics.eval()
    statistics.select((320, 320))
    torch.testing.assert_close(second.running_mean, second.mean_by_size[2])
    assert not torch.equal(second.mean_by_size[1], second.mean_by_size[2])


def test_sizes_of_evaluation_stand_for_those_in_training() -> None:
    module = body()
    statistics = SizeStatistics(norms_of(module), SIZES, {(96, 96): (64, 64)})  # by area it is nearer to 64 x 96
    for size in SIZES:
        statistics.select(size)
        module(torch.rand(4, 3, *size))
    statistics.eval()
    statistics.select((96, 96))
    torch.testing.assert_close(norms_of(module)[0].running_mean, norms_of(module)[0].mean_by_size[1])
    statistics.select((96, 97))
    torch.testing.assert_close(norms_of(module)[0].running_mean, norms_of(module)[0].mean_by_size[0])


def test_statistics_go_over_between_networks_of_one_size_and_of_several() -> None:
    alone, apart = network("batch", ()).train(), network("batch")
    alone(torch.randint(0, 255, (4, 3, 64, 64), dtype=torch.uint8))
    taken = statistics_like(apart.state_dict(), alone.state_dict())
    apart.load_state_dict(taken, strict=False)
    alone.eval()
    apart.eval()
    for size in SIZES:  # each size has the only statistics there were
        images = torch.randint(0, 255, (2, 3, *size), dtype=torch.uint8)
        torch.testing.assert_close(apart(images)["k"]["logits"], alone(images)["k"]["logits"])
    apart = network("batch").train()
    apart(torch.randint(0, 255, (4, 3, 64, 64), dtype=torch.uint8))
    for other in (network("batch", ()), network("batch", (SIZES[1], (320, 320)))):  # what was never seen does not count
        other.load_state_dict(statistics_like(other.state_dict(), apart.state_dict()), strict=False)
        images = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)
        torch.testing.assert_close(other.eval()(images)["k"]["logits"], apart.eval()(images)["k"]["logits"])
    means = {name: value for name, value in apart.state_dict().items() if name.endswith("mean_by_size")}
    turned = statistics_like(network("batch", SIZES[::-1]).state_dict(), apart.state_dict())
    for name, mean in means.items():  # only (64, 64) was seen
        torch.testing.assert_close(turned[name], mean[[1, 1]])


@pytest.mark.parametrize("scheme", ["hard", "none", "cross_stitch", "layers", "adapters"])
@pytest.mark.parametrize("sizes", [(), SIZES, SIZES[::-1], (SIZES[1], (320, 320))])
@pytest.mark.parametrize("before", [(), SIZES])
def test_another_scheme_takes_over_weights_and_statistics(
    scheme: str, sizes: tuple[tuple[int, int], ...], before: tuple[tuple[int, int], ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    tasks = create_tasks({name: ClassificationSettings(classes=("a", "b")) for name in ("k", "l")})
    trunk = TrunkSettings(backbone="resnet10t", pretrained=False, channels=16)
    earlier = Network(tasks, trunk, sizes=before).train()
    for _ in range(3):  # images of one size: what there are of the other is not known
        earlier(torch.randint(0, 255, (4, 3, 64, 64), dtype=torch.uint8))
    checkpoint.save(tmp_path / "last.safetensors", earlier.state_dict(), {})
    torch.manual_seed(1)
    later = Network(tasks, trunk, SharingSettings.model_validate({"scheme": scheme}), sizes=sizes)
    checkpoint.take_over(later, tmp_path / "last.safetensors")
    images = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        one, other = earlier.eval()(images), later.eval()(images)
    for name in tasks:
        torch.testing.assert_close(one[name]["logits"], other[name]["logits"], atol=1e-4, rtol=1e-4)
