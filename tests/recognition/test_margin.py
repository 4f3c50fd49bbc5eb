"""Margins against pytorch-metric-learning and by hand; what is not known gives no gradient."""

import math

import pytest
import torch
from torch.nn import functional as F

from oneglance.recognition.margin import arcface, batch_hard, cosface, margin_softmax, sample_classes


def batch(n: int = 12, people: int = 5, dim: int = 8) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    vectors = F.normalize(torch.randn(n, dim, generator=rng), dim=1)
    return vectors, torch.randn(people, dim, generator=rng), torch.arange(n) % people


@pytest.mark.parametrize(("kind", "margin"), [("arcface", 0.5), ("arcface", 2.2), ("cosface", 0.35)])
def test_loss_and_gradients_are_those_of_pytorch_metric_learning(kind, margin):
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    vectors, centres, labels = batch()
    shape = {"num_classes": len(centres), "embedding_size": 8, "scale": 30}
    theirs = (
        losses.ArcFaceLoss(margin=math.degrees(margin), **shape)
        if kind == "arcface"
        else losses.CosFaceLoss(margin=margin, **shape)
    )
    theirs.W.data = centres.T.clone()
    one, other = vectors.clone().requires_grad_(), vectors.clone().requires_grad_()
    mine = centres.clone().requires_grad_()
    got = margin_softmax(F.normalize(one, dim=1), mine, labels, kind=kind, margin=margin, scale=30)
    expected = theirs(other, labels)
    assert got.item() == pytest.approx(expected.item(), rel=1e-5)
    got.backward()
    expected.backward()
    torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(mine.grad, theirs.W.grad.T, rtol=1e-3, atol=1e-5)


def test_batch_hard_is_that_of_pytorch_metric_learning():
    pml = pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning import losses, miners, reducers

    assert pml
    vectors, _, labels = batch(30)
    expected = losses.TripletMarginLoss(margin=0.3, reducer=reducers.MeanReducer())(
        vectors, labels, miners.BatchHardMiner()(vectors, labels)
    )
    assert batch_hard(vectors, labels, 0.3).item() == pytest.approx(expected.item(), rel=1e-5)


def test_margins_by_hand():
    cosine = torch.tensor([1.0, 0.5, 0.0, -0.5, -1.0]).requires_grad_()
    got = arcface(cosine, 0.5)
    angles = [math.pi / 3, math.pi / 2, 2 * math.pi / 3]
    assert got[1:4].tolist() == pytest.approx([math.cos(a + 0.5) for a in angles], abs=1e-6)
    assert got[4].item() == pytest.approx(-1 - 0.5 * math.sin(0.5))
    got.sum().backward()
    assert torch.isfinite(cosine.grad).all()
    assert arcface(torch.linspace(-1, 1, 99), 0.5).diff().min() > 0  # never turns round
    assert cosface(torch.tensor([0.5]), 0.35).item() == pytest.approx(0.15)


@pytest.mark.parametrize("kind", ["arcface", "cosface"])
def test_people_whom_nobody_knows_give_no_gradient(kind):
    vectors, centres, labels = batch()
    labels[::3] = -1
    vectors.requires_grad_()
    margin_softmax(vectors, centres, labels, kind=kind, margin=0.3, scale=30).backward()
    assert (vectors.grad[::3] == 0).all()
    assert (vectors.grad[1::3] != 0).any(1).all()
    nothing = margin_softmax(vectors, centres, torch.full_like(labels, -1), kind=kind, margin=0.3, scale=30)
    assert nothing.item() == 0
    vectors.grad = None
    nothing.backward()
    assert (vectors.grad == 0).all()


def test_triplets_need_a_mate_and_a_stranger():
    vectors, _, _ = batch(5)
    labels = torch.tensor([0, 0, 1, -1, 2])
    vectors.requires_grad_()
    batch_hard(vectors, labels, 5.0).backward()
    assert (vectors.grad[3] == 0).all()  # unknown: neither mate nor stranger
    assert (vectors.grad[:2] != 0).any(1).all()
    for nobody in ([0, 1, 2, 3, 4], [0, 0, 0, 0, 0], [-1] * 5, [0, -1, -1, -1, -1]):
        vectors.grad = None
        loss = batch_hard(vectors, torch.tensor(nobody), 5.0)
        loss.backward()
        assert loss.item() == 0
        assert (vectors.grad == 0).all()


def test_two_equal_vectors_have_a_finite_gradient():
    vectors = torch.tensor([[1.0, 0], [1.0, 0], [0, 1.0]], requires_grad=True)
    batch_hard(vectors, torch.tensor([0, 0, 1]), 5.0).backward()
    assert torch.isfinite(vectors.grad).all()


def test_sampled_people_hold_all_of_the_batch():
    torch.manual_seed(0)
    labels = torch.tensor([70, 3, 70, 99])
    kept, moved = sample_classes(labels, 100, 10)
    assert len(kept) == 10 == len(kept.unique())
    assert (kept[moved] == labels).all()
    assert (sample_classes(labels, 100, 10)[0] != kept).any()
    assert len(sample_classes(labels, 100, 2)[0]) == 3  # more people in the batch than asked for
    torch.manual_seed(0)
    assert (sample_classes(labels, 100, 10)[0] == kept).all()


def test_only_sampled_centres_learn_and_all_of_them_is_the_same_as_no_sampling():
    vectors, centres, labels = batch(4, people=50)
    centres.requires_grad_()
    whole = margin_softmax(vectors, centres, labels, kind="arcface", margin=0.3, scale=30)
    assert margin_softmax(vectors, centres, labels, kind="arcface", margin=0.3, scale=30, sample=50) == whole
    margin_softmax(vectors, centres, labels, kind="arcface", margin=0.3, scale=30, sample=12).backward()
    moved = (centres.grad != 0).any(1)
    assert moved.sum() == 12
    assert moved[labels].all()
