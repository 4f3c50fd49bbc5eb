"""Where gradients are compared: the numbers are those of the definition."""

import pytest
import torch
from small import EVERYWHERE, PARTLY, Small, balance_of, images_of, step, trunk

from oneglance.network.cut import Cut


def losses_of(net, images, cut=None):
    answers = net(images.images, images.rows, cut)
    return {name: (answer - images.truth[name]).abs().mean() for name, answer in answers.items()}


def cosines_of(rows):
    stacked = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
    unit = stacked / stacked.norm(dim=1, keepdim=True)
    return unit @ unit.T


def recorded(net, images, **options):
    balance = balance_of(options.pop("method", "upgrad"), net, record=1, **options)
    step(balance, net, images)
    return balance.cosines


@pytest.mark.parametrize("method", ["sum", "uncertainty", "geometric", "upgrad"])
def test_conflict_at_the_features_is_the_cosine_of_the_gradients_there(method):
    net, images = Small("abc"), images_of(EVERYWHERE)
    cut = Cut(part=False)
    losses = losses_of(net, images, cut)
    rows = [torch.autograd.grad(losses[name], cut.common, retain_graph=True) for name in "abc"]
    torch.testing.assert_close(recorded(net, [images], method=method), cosines_of(rows), rtol=1e-4, atol=1e-5)


def test_conflict_by_channel_is_that_of_the_gradients_summed_over_images_and_places():
    net, images = Small("abc"), images_of(PARTLY)
    cut = Cut(part=False)
    losses = losses_of(net, images, cut)
    rows = [
        [g.sum((0, 2, 3)) for g in torch.autograd.grad(losses[name], cut.common, retain_graph=True)] for name in "abc"
    ]
    torch.testing.assert_close(recorded(net, [images], at="channels"), cosines_of(rows), rtol=1e-4, atol=1e-5)


def test_conflict_at_the_parameters_is_the_cosine_of_the_gradients_there():
    net, images = Small("abc"), images_of(PARTLY)
    losses = losses_of(net, images)
    rows = [
        [
            torch.zeros_like(p) if g is None else g
            for p, g in zip(
                net.shared(),
                torch.autograd.grad(losses[name], net.shared(), retain_graph=True, allow_unused=True),
                strict=True,
            )
        ]
        for name in "abc"
    ]
    torch.testing.assert_close(recorded(net, [images], at="parameters"), cosines_of(rows), rtol=1e-4, atol=1e-5)


def test_tasks_without_a_common_image_are_unknown_at_the_features_and_known_by_channel():
    net, apart = Small("ab"), images_of({"a": [0, 1, 2], "b": [4, 5]})
    assert recorded(net, [apart])[0, 1].isnan()
    assert recorded(net, [apart], at="channels")[0, 1].abs() > 0
    balance = balance_of("upgrad", net, record=1)
    step(balance, net, [apart])
    assert balance.records()["conflict"] == {}


def test_nothing_is_recorded_between_the_steps_that_are_asked_for():
    net, images = Small("abc"), images_of(EVERYWHERE)
    balance = balance_of("sum", net, record=2)
    step(balance, net, [images], 0)
    found = balance.records()
    assert set(found["conflict"]["a"]) == {"b", "c"}
    assert set(found["conflict"]) == {"a", "b"}
    assert found["factor"] == {name: {"factor": 1.0} for name in "abc"}
    lengths = {name: one["length"] for name, one in found["gradient"].items()}
    heavier = balance_of("sum", net, record=2, weights={"b": 10.0})
    step(heavier, net, [images], 0)
    again = {name: one["length"] for name, one in heavier.records()["gradient"].items()}
    assert again == pytest.approx({"a": lengths["a"], "b": 10 * lengths["b"], "c": lengths["c"]}, rel=1e-4)
    step(balance, net, [images], 1)
    assert balance.records() == {}
    assert balance.cut() is None


def test_recording_changes_no_gradient():
    net, images = Small("abc"), images_of(PARTLY)
    for method in ("sum", "geometric", "cagrad"):
        seen = step(balance_of(method, net, record=1), net, [images])
        unseen = step(balance_of(method, net, record=0), net, [images])
        assert all(torch.equal(seen[name], unseen[name]) for name in seen)


@pytest.mark.parametrize("at", ["features", "channels", "parameters"])
def test_with_equal_factors_the_way_through_the_cut_gives_the_gradient_of_the_sum(at, monkeypatch):
    factors = "oneglance.balance.gradients.GradientMethod.factors"
    monkeypatch.setattr(factors, lambda self, gramian, *_: gramian[0] * 0 + 1)
    net, images = Small("abc"), images_of(PARTLY)
    one = step(balance_of("upgrad", net, at=at), net, [images])
    other = step(balance_of("sum", net), net, [images])
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-4, atol=1e-6)


def test_heads_learn_from_the_plain_loss_under_gradient_methods_and_from_the_weighted_one_else():
    net, images = Small("abc"), images_of(EVERYWHERE)
    plain = step(balance_of("sum", net), net, [images])
    by_gradients = step(balance_of("mgda", net), net, [images])
    by_losses = balance_of("geometric", net)
    weighted = step(by_losses, net, [images])
    for k, name in enumerate("abc"):
        key = f"heads.{name}.weight"
        torch.testing.assert_close(by_gradients[key], plain[key])
        torch.testing.assert_close(weighted[key], plain[key] * by_losses.factors[k])


def test_graddrop_keeps_one_sign_at_each_place():
    from oneglance.balance.gradients import drop_signs

    rows = [torch.randn(1000), torch.randn(1000)]
    kept = drop_signs(rows, torch.Generator().manual_seed(0))
    positive, negative = (torch.stack(rows).clamp(min=0).sum(0), torch.stack(rows).clamp(max=0).sum(0))
    assert (((kept - positive).abs() < 1e-6) | ((kept - negative).abs() < 1e-6)).all()
    agreed = (rows[0] > 0) == (rows[1] > 0)
    torch.testing.assert_close(kept[agreed], (rows[0] + rows[1])[agreed])


@pytest.mark.slow
def test_a_compiled_trunk_gives_the_same_gradients():
    net, images = Small("abc"), images_of(PARTLY)
    plain = trunk(step(balance_of("upgrad", net), net, [images]))
    first, second = net.first, net.second
    net.first = torch.compile(first, backend="aot_eager")
    compiled = step(balance_of("upgrad", net, at="channels"), net, [images])
    net.first, net.second = first, second
    uncompiled = step(balance_of("upgrad", net, at="channels"), net, [images])
    torch.testing.assert_close(trunk(compiled), trunk(uncompiled), rtol=1e-4, atol=1e-6)
    assert plain.abs().sum() > 0
