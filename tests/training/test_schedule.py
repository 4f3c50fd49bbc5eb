"""Learning rates and averaged weights."""

from itertools import pairwise

import pytest
import torch

from oneglance.network.network import Network
from oneglance.network.trunk import TrunkSettings
from oneglance.tasks import ClassificationSettings, create_tasks
from oneglance.training.checkpoint import optimizer_tensors, restore_optimizer
from oneglance.training.schedule import AveragedWeights, FusedAdamW, create_optimizer, learning_rate
from oneglance.training.settings import TrainSettings

SETTINGS = TrainSettings(warmup=0.1, final_lr=0.01)


def network(**trunk: object) -> Network:
    torch.manual_seed(0)
    tasks = create_tasks({"k": ClassificationSettings(classes=("a", "b"))})
    return Network(tasks, TrunkSettings(pretrained=False, **trunk))


def test_the_rate_rises_then_falls_along_half_a_cosine():
    rates = [learning_rate(step, 100, SETTINGS) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1
    assert rates[55] == pytest.approx(0.505, abs=0.01)
    assert rates[-1] == pytest.approx(0.01, abs=0.001)
    assert all(a >= b for a, b in pairwise(rates[10:]))


@pytest.mark.parametrize(("given", "pretrained", "factor"), [(None, False, 1.0), (None, True, 0.2), (0.5, True, 0.5)])
def test_a_pretrained_backbone_has_a_smaller_rate(given, pretrained, factor):
    one = network()
    one.trunk = one.trunk.model_copy(update={"pretrained": pretrained})
    optimizer = create_optimizer(one, TrainSettings(lr=1.0, trunk_lr=given))
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {rates[id(p)] for p in one.backbone.parameters()} == {factor}
    assert {rates[id(p)] for p in one.heads.parameters()} == {1.0}


def test_norms_and_biases_do_not_decay_and_frozen_parameters_are_left_out():
    one = network(freeze=True)
    optimizer = create_optimizer(one, TrainSettings(weight_decay=0.5))
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert not held & {id(p) for p in one.backbone.parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.5 if parameter.ndim > 1 else 0.0)


def test_averaged_weights_follow_and_a_window_of_zero_follows_at_once():
    one = torch.nn.Linear(2, 2)
    slow, fast = AveragedWeights(one, 0.5, 1000), AveragedWeights(one, 0.0, 1000)
    with torch.no_grad():
        one.weight.add_(1)
    before = slow.state["weight"].clone()
    for average in (slow, fast):
        average.update(one, 500)
    assert torch.equal(fast.state["weight"], one.weight)
    assert (slow.state["weight"] > before).all()
    assert (slow.state["weight"] < one.weight).all()


def taught(optimizer: torch.optim.Optimizer, weights: list[torch.nn.Parameter], gradients: list[torch.Tensor]) -> None:
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient.clone(memory_format=torch.preserve_format)
    optimizer.step()


@pytest.mark.parametrize("resumed", [False, True])
def test_the_fused_step_is_adamw_however_weights_and_gradients_lie_in_memory(resumed):
    torch.manual_seed(0)
    shapes = [(6, 5, 3, 3), (7, 4, 1, 1), (1, 1, 3, 3), (8, 6), (5,)]
    values = [torch.randn(shape) for shape in shapes]
    steps = [[torch.randn(shape) for shape in shapes] for _ in range(3)]
    plain = [torch.nn.Parameter(value.clone()) for value in values]
    peer = torch.optim.AdamW(plain, 0.1, betas=(0.9, 0.99), weight_decay=0.1, fused=False)
    for gradients in steps:
        taught(peer, plain, gradients)

    def last(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor

    ours = [torch.nn.Parameter(last(value.clone())) for value in values]
    described = {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.1, "fused": True}
    optimizer = FusedAdamW(ours, **described)
    for number, gradients in enumerate(steps):
        if resumed and number == 2:
            kept = optimizer_tensors(optimizer)
            optimizer = FusedAdamW(ours, **described)
            restore_optimizer(optimizer, {name: value.contiguous() for name, value in kept.items()})
        taught(optimizer, ours, gradients if number % 2 else [last(gradient) for gradient in gradients])
    for mine, its in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, its)
