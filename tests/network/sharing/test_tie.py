"""What ties trunks: the terms by hand, their gradients, relations by their closed form, and found where they are."""

import pytest
import torch
from sharing_toy import TRUNK, network_of
from torch import nn

from oneglance.network.network import Network
from oneglance.network.sharing import SharingSettings
from oneglance.network.sharing.roots import roots
from oneglance.network.sharing.tie import SOFTENED, Tie
from oneglance.tasks import ClassificationSettings, create_tasks


def trunks_of(count: int = 3) -> nn.ModuleDict:
    """Equal trunks of two layers of unlike size and scale, in float64, so that gradients can be checked."""
    torch.manual_seed(0)
    layers = [nn.Linear(3, 2).double(), nn.Linear(2, 4).double()]
    trunks = nn.ModuleDict()
    for name in "abc"[:count]:
        trunks[name] = nn.Sequential(nn.Linear(3, 2).double(), nn.Linear(2, 4).double())
        for own, first, scale in zip(trunks[name], layers, (1.0, 100.0), strict=True):
            own.load_state_dict({key: scale * value for key, value in first.state_dict().items()})
    return trunks


def tie_of(relation: str, trunks: nn.ModuleDict) -> Tie:
    tie = Tie(relation, trunks)
    tie.begin()
    return tie.double()


def move(trunks: nn.ModuleDict, by: dict[str, float], direction: int = 0) -> None:
    """Move each trunk's layers by so many times their norm at the start along one of some orthogonal directions."""
    norms = [layer.weight.detach().norm() for layer in trunks_of()["a"]]
    with torch.no_grad():
        for name, amount in by.items():
            for layer, norm in zip(trunks[name], norms, strict=True):
                step = torch.zeros_like(layer.weight).reshape(-1)
                step[direction] = 1
                layer.weight += amount * norm * step.view_as(layer.weight)


@pytest.mark.parametrize("relation", ["l2", "omega"])
def test_trunks_at_their_start_are_not_apart(relation):
    trunks = trunks_of()
    assert tie_of(relation, trunks).term().item() == pytest.approx(0, abs=1e-12)


def test_the_distance_from_the_mean_is_in_units_of_each_layer():
    trunks = trunks_of(2)
    tie = tie_of("l2", trunks)
    move(trunks, {"a": 0.2})
    # Each of two layers, ten times as long or not, is a fifth from its start; both trunks are a tenth from their mean.
    assert tie.term().item() == pytest.approx(2 * 0.1**2, rel=1e-6)
    move(trunks, {"b": 0.2})
    assert tie.term().item() == pytest.approx(0, abs=1e-9)


def test_the_trace_norm_is_one_a_layer_for_equal_trunks_and_more_for_others():
    trunks = trunks_of(2)
    tie = tie_of("trace_norm", trunks)
    assert tie.term().item() == pytest.approx(2, rel=2e-3)
    move(trunks, {"a": 0.5})
    stacked = [torch.stack([one[k].weight.reshape(-1) for one in trunks.values()]) for k in (0, 1)]
    start = trunks_of(2)["a"]
    expected = sum(torch.linalg.matrix_norm(w, "nuc") / start[k].weight.norm() for k, w in enumerate(stacked)) / 2**0.5
    assert tie.term().item() == pytest.approx(expected.item(), rel=2e-3)
    assert expected > 2.01


@pytest.mark.parametrize("relation", ["l2", "trace_norm", "omega"])
def test_the_gradient_is_that_of_the_value(relation):
    trunks = trunks_of()
    tie = tie_of(relation, trunks)
    move(trunks, {"a": 0.3, "b": -0.2}, 0)
    move(trunks, {"b": 0.4, "c": 0.5}, 1)
    tie.learn()
    weight = trunks["b"][1].weight
    tie.term().backward()
    assert trunks["b"][1].bias.grad is None  # norms and biases follow each task's own statistics
    for place in ((0, 0), (1, 1), (3, 0)):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[place] += sign * 1e-3
                values.append(tie.term().item())
                weight[place] -= sign * 1e-3
        assert weight.grad[place].item() == pytest.approx((values[0] - values[1]) / 2e-3, rel=1e-3, abs=1e-8)


def test_relations_are_the_closed_form_of_where_trunks_went():
    trunks = trunks_of()
    tie = tie_of("omega", trunks)
    torch.testing.assert_close(tie.omega, torch.eye(3).double() / 3)
    move(trunks, {"a": 0.3, "b": 0.3, "c": 0.0}, 0)
    move(trunks, {"a": 0.1, "b": -0.1, "c": 0.2}, 1)
    tie.learn()
    moved = 2 * torch.tensor([[0.3, 0.1], [0.3, -0.1], [0.0, 0.2]]).double()
    values, vectors = torch.linalg.eigh(moved @ moved.T)
    root = vectors @ values.clamp(min=0).sqrt().diag() @ vectors.T
    torch.testing.assert_close(tie.omega, root / root.trace(), rtol=1e-2, atol=2e-3)
    assert tie.omega.trace().item() == pytest.approx(1, abs=1e-9)
    related = tie.correlations()
    assert related.diagonal().tolist() == pytest.approx([1, 1, 1])
    assert related[0, 1] > 0.5
    assert related[0, 2] > 0.1
    assert related[1, 2] < -0.1


def test_the_term_is_that_of_zhang_and_yeung_and_lets_related_trunks_go_together():
    trunks = trunks_of(2)
    tie = tie_of("omega", trunks)
    move(trunks, {"a": 0.3, "b": 0.3})
    before = tie.term().item()
    assert before == pytest.approx(2 * 0.3**2, rel=1e-6)  # at I / T: the mean of the squared ways
    tie.learn()
    soft = (1 - SOFTENED) * tie.omega + SOFTENED / 2 * torch.eye(2)
    moved = torch.tensor([[0.3], [0.3]]).double()
    expected = 2 * (soft.inverse() * (moved @ moved.T)).sum() / 4
    assert tie.term().item() == pytest.approx(expected.item(), rel=1e-6)
    together = tie.term().item()
    assert together < 0.7 * before
    move(trunks, {"b": -0.6})  # as far from the start, the other way
    assert tie.term().item() > 5 * together


def test_the_order_and_the_scale_of_layers_change_no_relation():
    trunks = trunks_of()
    tie = tie_of("omega", trunks)
    move(trunks, {"a": 0.3, "b": 0.2}, 0)
    move(trunks, {"b": 0.1, "c": 0.2}, 1)
    tie.learn()
    turned = nn.ModuleDict({name: trunks_of()[name] for name in "cba"})
    other = tie_of("omega", turned)
    move(turned, {"a": 0.3, "b": 0.2}, 0)
    move(turned, {"b": 0.1, "c": 0.2}, 1)
    other.learn()
    torch.testing.assert_close(other.omega.flip(0, 1), tie.omega)


def test_trunks_that_did_not_move_have_no_relation():
    tie = tie_of("omega", trunks_of())
    tie.learn()
    torch.testing.assert_close(tie.omega, torch.eye(3).double() / 3)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_roots_of_matrices(size):
    torch.manual_seed(0)
    half = torch.randn(4, size, size).double()
    squares = half @ half.mT * torch.tensor([1e-8, 1.0, 1e8, 1.0]).double()[:, None, None]
    root, inverse = roots(squares)
    torch.testing.assert_close(root @ root, squares + 1e-6 * _traces(squares), rtol=1e-4, atol=1e-12)
    torch.testing.assert_close(root @ inverse, torch.eye(size).double().expand(4, -1, -1), rtol=1e-3, atol=1e-3)
    nearly = torch.ones(1, size, size).double()  # of rank 1
    root, _ = roots(nearly)
    torch.testing.assert_close(root, nearly / size**0.5, rtol=0, atol=3e-3 * size)


def _traces(matrices: torch.Tensor) -> torch.Tensor:
    size = matrices.shape[-1]
    return matrices.diagonal(dim1=1, dim2=2).sum(1)[:, None, None] * torch.eye(size).double()


def test_only_what_all_trunks_have_is_tied():
    network = network_of("omega")
    assert network.tie is not None
    assert network.tie.layers
    assert not any("neck" in name for name in network.tie.layers)  # the classifier has none
    assert all("weight" in name for name in network.tie.layers)
    without = network_of("omega", ("seg", "objects"))
    assert any("neck" in name for name in without.tie.layers)


@pytest.mark.parametrize("strength", [0.0, 0.1])
def test_relations_are_found_in_training(strength):
    """Two tasks that ask the same of pictures, one with wrong labels in every tenth, and one that asks something else.

    The trunks are trained side by side from one start, as are the heads, so that what they need of a trunk compares.
    """
    torch.manual_seed(0)
    tasks = create_tasks(
        {name: ClassificationSettings(classes=("no", "yes")) for name in ("dark", "bright", "stripes")}
    )
    network = Network(tasks, TRUNK, SharingSettings(scheme="soft", relation="omega")).train()
    for name in tasks:
        network.heads[name].load_state_dict(network.heads["dark"].state_dict())
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    rows = {name: torch.arange(8) for name in tasks}
    wave = 40 * torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(16)
    assert network.tie is not None
    for _ in range(8):
        bright, upright = torch.randint(0, 2, (2, 8), generator=generator)
        wrong = torch.rand(8, generator=generator) < 0.1
        images = 30 * torch.randn(8, 3, 64, 64, generator=generator) + 110
        images += 40 * (2 * bright - 1)[:, None, None, None]
        images += torch.where(upright[:, None, None, None] == 1, wave, wave[:, None])
        truth = {"bright": bright, "dark": torch.where(wrong, 1 - bright, bright), "stripes": upright}
        outputs = network(images.clamp(0, 255), rows)
        losses = [tasks[name].loss(outputs[name], {"label": truth[name]}) for name in tasks]
        total = torch.stack([value for one in losses for value in one.values()]).sum()
        (total + strength * network.tie.term()).backward()
        optimizer.step()
        optimizer.zero_grad()
        network.tie.learn()
    place = {name: k for k, name in enumerate(network.sharing.groups)}
    related = network.tie.correlations()
    same = related[place["bright"], place["dark"]].item()
    others = [related[place[name], place["stripes"]].item() for name in ("bright", "dark")]
    assert same > 0.15
    assert max(map(abs, others)) < 0.5 * same
