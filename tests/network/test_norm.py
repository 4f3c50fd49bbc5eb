"""What normalises: statistics by size are those of as many separate norms; GroupNorm takes over weights and biases."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from oneglance.network.network import Network
from oneglance.network.norm import SizeStatistics, with_group_norm
from oneglance.network.trunk import TrunkSettings
from oneglance.tasks import ClassificationSettings, create_tasks

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
    return Network(tasks, TrunkSettings(backbone=backbone, pretrained=False, channels=16, norm=norm), sizes=sizes)


def test_a_network_keeps_them_in_its_state_and_nothing_else_of_its_norms() -> None:
    one, other = network("by_size").train(), network("by_size")
    for k, size in enumerate(SIZES):
        one(torch.full((2, 3, *size), 40 * k + 60, dtype=torch.uint8) + torch.randint(0, 30, (2, 3, *size)).byte())
    state = one.state_dict()
    assert not any(name.endswith(("running_mean", "running_var")) for name in state)
    assert any(not torch.equal(*value) for name, value in state.items() if name.startswith("statistics.mean_"))
    other.load_state_dict(state)
    one.eval()
    other.eval()
    answers = []
    for size in SIZES:
        images = torch.randint(0, 255, (2, 3, *size), dtype=torch.uint8)
        answers.append(one(images)["k"]["logits"])
        torch.testing.assert_close(answers[-1], other(images)["k"]["logits"])
    assert network("by_size", SIZES[:1]).statistics is None


@pytest.mark.parametrize("backbone", ["mobilenetv4_conv_small", "resnet10t"])
def test_group_norm_stands_where_batch_norm_stood(backbone: str) -> None:
    batch, group = network("batch", backbone=backbone), network("group", backbone=backbone).train()
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
