"""What holds for every method: order, absent tasks, scale, micro-batches, resumption."""

import math

import pytest
import torch
from small import EVERYWHERE, PARTLY, Small, balance_of, images_of, step, trunk

from oneglance.balance import GRADIENT_METHODS, LOSS_METHODS, Balance, BalanceSettings
from oneglance.balance.scale import MEASURED_STEPS
from oneglance.errors import OneglanceError
from oneglance.training import checkpoint

METHODS = [m for m in (*LOSS_METHODS, *GRADIENT_METHODS) if m != "coupled"]
DRAWING = ("random", "pcgrad", "gradvac", "graddrop")
STATEFUL = ("uncertainty", "dwa", "imtl_l", "famo", "gradvac")


def assert_close(one, other, tolerance=1e-5):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize("method", METHODS)
def test_the_order_in_which_tasks_are_named_changes_nothing(method):
    forward, backward = Small("abc"), Small("cba")
    one = step(balance_of(method, forward), forward, [images_of(PARTLY)])
    other = step(balance_of(method, backward), backward, [images_of(dict(reversed(PARTLY.items())))])
    assert_close(one, other, 1e-6)


@pytest.mark.parametrize("method", [m for m in METHODS if m not in DRAWING])
def test_the_names_of_tasks_change_nothing(method):
    net, renamed = Small("abc"), Small(["zz_a", "mm_b", "aa_c"])
    for name, other in (("a", "zz_a"), ("b", "mm_b"), ("c", "aa_c")):
        renamed.heads[other].load_state_dict(net.heads[name].state_dict())
    renamed.first.load_state_dict(net.first.state_dict())
    renamed.second.load_state_dict(net.second.state_dict())
    rows = {"zz_a": PARTLY["a"], "mm_b": PARTLY["b"], "aa_c": PARTLY["c"]}
    one = trunk(step(balance_of(method, net), net, [images_of(PARTLY)]))
    other = trunk(step(balance_of(method, renamed), renamed, [images_of(rows)]))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_an_absent_task_changes_nothing_for_the_others(method):
    three, two = Small("abc"), Small("ab")
    with_c, without = balance_of(method, three), balance_of(method, two)
    # Its state is not touched either: after a step without it, nothing is remembered of it.
    fresh = {name: value.clone() for name, value in balance_of(method, three).state().items()}
    rows = {name: PARTLY[name] for name in "ab"}
    for number in range(3):
        one = step(with_c, three, [images_of(rows, seed=number)], number)
        other = step(without, two, [images_of(rows, seed=number)], number)
        assert not any("heads.c" in name for name in one)
        assert_close({n: g for n, g in one.items() if "heads.c" not in n}, other)
        with_c.end_epoch(), without.end_epoch()
    for name, value in with_c.state().items():
        torch.testing.assert_close(value[2], fresh[name][2], equal_nan=True)


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_a_task_without_a_gradient_is_absent(method):
    net = Small("abc")
    zeroed = step(balance_of(method, net), net, [images_of(PARTLY, scale={"c": 0.0})])
    alone = step(balance_of(method, net), net, [images_of({n: PARTLY[n] for n in "ab"})])
    torch.testing.assert_close(trunk(zeroed), trunk(alone), rtol=1e-4, atol=1e-6)
    assert trunk(zeroed).abs().sum() > 0


@pytest.mark.parametrize("method", ["imtl_g", "nash_mtl", "config", "geometric", "famo"])
def test_a_loss_a_thousand_times_as_large_does_not_turn_scale_invariant_methods(method):
    net = Small("abc")
    one = trunk(step(balance_of(method, net), net, [images_of(EVERYWHERE)]))
    other = trunk(step(balance_of(method, net), net, [images_of(EVERYWHERE, scale={"b": 1000.0})]))
    assert torch.cosine_similarity(one, other, 0) > 1 - 1e-5
    plain = trunk(step(balance_of("sum", net), net, [images_of(EVERYWHERE, scale={"b": 1000.0})]))
    assert torch.cosine_similarity(one, plain, 0) < 0.999  # the test would notice


@pytest.mark.parametrize("method", METHODS)
def test_normalised_by_the_initial_loss_a_unit_is_as_good_as_another(method):
    net = Small("abc")
    one, other = (balance_of(method, net, normalise="initial") for _ in range(2))
    # At loss 1 these two have nothing to learn, and Adam makes a small step of a rounding error.
    tolerance = {"uncertainty": 0.02, "imtl_l": 0.02, "aligned_mtl": 1e-3}.get(method, 1e-4)
    for number in range(2):
        mine = step(one, net, [images_of(EVERYWHERE, seed=number)], number)
        theirs = step(other, net, [images_of(EVERYWHERE, seed=number, scale={"a": 1000.0, "c": 0.1})], number)
        assert_close(mine, theirs, tolerance)


@pytest.mark.parametrize("at", ["features", "channels", "parameters"])
@pytest.mark.parametrize("method", METHODS)
def test_four_micro_batches_are_the_large_batch(method, at):
    if method == "graddrop":
        pytest.skip("draws a sign for every place of every image: parts draw others than the whole")
    net = Small("abc")
    whole, parts = balance_of(method, net, at=at), balance_of(method, net, at=at)
    cuts = ([0, 5], [1, 2, 3], [4], [6, 7])  # unequal, and not every task occurs in each
    for number in range(2):
        images = images_of(PARTLY, seed=number)
        one = step(whole, net, [images], number)
        other = step(parts, net, [images.part(at_) for at_ in cuts], number)
        assert_close(one, other, 1e-4)


@pytest.mark.parametrize(
    ("method", "at"),
    [
        (method, at)
        for method in ("sum", "random", "mgda", "upgrad")
        for at in ("features", "channels", "parameters")
        if at != "parameters" or method in GRADIENT_METHODS
    ],  # the others compare nothing there
)
def test_normalised_by_their_gradients_a_unit_is_as_good_as_another(method, at):
    net, units = Small("abc"), {"a": 1000.0, "c": 0.1}
    one, other, parts = (balance_of(method, net, normalise="gradient", at=at, record=0) for _ in range(3))
    cuts = ([0, 5], [1, 2, 3], [4], [6, 7])
    for number in range(MEASURED_STEPS + 1):
        images, scaled = images_of(PARTLY, seed=number), images_of(PARTLY, seed=number, scale=units)
        measured = number < MEASURED_STEPS
        mine, theirs = trunk(step(one, net, [images], number)), trunk(step(other, net, [scaled], number))
        # Once enough is known, only the gradient methods compare.
        assert (one.cut() is not None) == (measured or method in GRADIENT_METHODS)
        again = trunk(step(parts, net, [images.part(at_) for at_ in cuts], number))
        torch.testing.assert_close(again, mine, rtol=1e-4, atol=1e-5)
        if number:  # the first step is not normalised yet
            assert torch.cosine_similarity(mine, theirs, 0) > 1 - 1e-5
    plain = trunk(step(balance_of("sum", net), net, [scaled]))
    assert torch.cosine_similarity(mine, plain, 0) < 0.999  # the test would notice


def test_normalised_by_their_gradients_tasks_of_one_weight_have_one_length():
    net, images = Small("abc"), images_of(EVERYWHERE, scale={"a": 1000.0, "c": 0.1})
    balance = balance_of("sum", net, normalise="gradient", record=1)
    step(balance, net, [images], 0)
    before = [one["length"] for one in balance.records()["gradient"].values()]
    step(balance, net, [images], 1)
    after = [one["length"] for one in balance.records()["gradient"].values()]
    assert max(before) > 100 * min(before)
    assert max(after) == pytest.approx(min(after), rel=1e-3)
    # None of them by itself is worth more or less than before: the product of their scales is 1.
    assert math.prod(after) == pytest.approx(math.prod(before), rel=1e-3)


def test_a_gradient_that_is_all_but_nothing_is_not_blown_up():
    net, images = Small("abc"), images_of(EVERYWHERE, scale={"a": 1e-12})
    balance = balance_of("sum", net, normalise="gradient", record=1)
    step(balance, net, [images], 0)
    before = {name: one["length"] for name, one in balance.records()["gradient"].items()}
    step(balance, net, [images], 1)
    after = {name: one["length"] for name, one in balance.records()["gradient"].items()}
    assert after["a"] / before["a"] == pytest.approx(1e4, rel=1e-3)


def test_the_parts_of_a_task_keep_their_proportions():
    """Normalised by its gradient, a task is; the weights of its parts say what they said before."""
    settings = BalanceSettings(over="terms", record=0, weights={"b.one": 1.0, "b.two": 5.0, "a": 0.0})
    balance = Balance(settings, {"a": 1.0, "b": 1.0, "c": 1.0}, parts={"b": {"one": ("x",), "two": ("y",)}})
    maps = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    rows = {"b": torch.arange(4), "c": torch.arange(4)}

    def gradients():
        """Of each part by itself, as they are weighted."""
        scaled = [maps.pow(2).sum() * 100, maps.sin().sum(), maps.cos().sum()]  # b.one, b.two, c
        terms = {"b": {"x": scaled[0], "y": scaled[1]}, "c": {"z": scaled[2]}}
        return terms, [torch.autograd.grad(one, maps, retain_graph=True)[0] for one in scaled]

    for number in range(2):
        maps.grad = None
        balance.begin(number, {name: len(at) for name, at in rows.items()})
        cut = balance.cut()
        cut.compare_at([maps])
        cut(maps)
        terms, (one, two, third) = gradients()
        balance.add(terms, rows, cut)
        balance.finish()
    of_b, of_c = (one + two).norm(), third.norm()
    mean = (2 * of_b.log() + of_c.log()).div(3).exp()
    torch.testing.assert_close(maps.grad, mean / of_b * (one + 5 * two) + mean / of_c * third, rtol=1e-4, atol=1e-4)


def run(balance, net, steps, every=2):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for number in steps:
        step(balance, net, [images_of(EVERYWHERE if number % 3 else PARTLY, seed=number)], number)
        optimizer.step()
        if (number + 1) % every == 0:
            balance.end_epoch()


@pytest.mark.parametrize("normalise", ["none", "initial", "gradient"])
@pytest.mark.parametrize("method", METHODS)
def test_resumed_in_the_middle_the_end_is_the_same_to_the_bit(method, normalise, tmp_path):
    whole, halved = Small("abc"), Small("abc")
    run(balance_of(method, whole, normalise=normalise), whole, range(8))
    first = balance_of(method, halved, normalise=normalise)
    run(first, halved, range(5))
    checkpoint.save(tmp_path / "state", checkpoint.pack(balance=first.state(), network=halved.state_dict()), {})
    tensors, _ = checkpoint.load(tmp_path / "state")
    resumed = Small("abc", seed=1)
    resumed.load_state_dict(checkpoint.unpack(tensors, "network"))
    second = balance_of(method, resumed, normalise=normalise)
    second.load(checkpoint.unpack(tensors, "balance"))
    run(second, resumed, range(5, 8))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


@pytest.mark.parametrize("at", ["features", "parameters"])
def test_between_decisions_the_last_factors_hold_and_are_resumed(at, tmp_path):
    whole, halved = Small("abc"), Small("abc")
    balance = balance_of("nash_mtl", whole, every=4, at=at, record=0)
    run(balance, whole, range(1))
    decided = balance.factors.clone()
    run(balance, whole, range(1, 4))
    assert torch.equal(balance.factors, decided)
    run(balance, whole, range(4, 7))
    assert not torch.equal(balance.factors, decided)
    first = balance_of("nash_mtl", halved, every=4, at=at, record=0)
    run(first, halved, range(3))
    second = balance_of("nash_mtl", halved, every=4, at=at, record=0)
    second.load(first.state())
    run(second, halved, range(3, 7))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), halved.parameters(), strict=True))


@pytest.mark.parametrize("method", STATEFUL)
def test_without_its_state_a_stateful_method_ends_elsewhere(method):
    whole, forgetful = Small("abc"), Small("abc")
    run(balance_of(method, whole, **({"beta": 0.5} if method == "gradvac" else {"lr": 0.1})), whole, range(8))
    options = {"beta": 0.5} if method == "gradvac" else {"lr": 0.1}
    run(balance_of(method, forgetful, **options), forgetful, range(5))
    run(balance_of(method, forgetful, **options), forgetful, range(5, 8))
    assert not all(torch.equal(a, b) for a, b in zip(whole.parameters(), forgetful.parameters(), strict=True))


def test_a_state_of_another_method_is_refused():
    net = Small("abc")
    with pytest.raises(OneglanceError, match="another method"):
        balance_of("dwa", net).load(balance_of("famo", net).state())


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("upgrad", "dualproj", "pcgrad", "gradvac")])
def test_the_magnitudes_of_the_factors_sum_to_the_number_of_tasks(method):
    net = Small("abc")
    balance = balance_of(method, net)
    for number, rows in enumerate((EVERYWHERE, PARTLY, {"a": [0, 1], "b": [1, 3]}, {"b": [2]})):
        step(balance, net, [images_of(rows, seed=number)], number)
        assert balance.factors.abs().sum().item() == pytest.approx(len(rows), rel=1e-5)


@pytest.mark.parametrize("method", ["upgrad", "dualproj", "pcgrad", "gradvac"])
def test_those_that_are_the_sum_until_gradients_conflict_have_its_scale(method):
    net = Small("abc")
    balance = balance_of(method, net, beta=0)
    apart = {"a": [0, 1], "c": [2, 3]}  # other images: right angles
    step(balance, net, [images_of(apart)])
    torch.testing.assert_close(balance.factors, torch.tensor([1.0, 0.0, 1.0]), rtol=1e-4, atol=1e-4)
    step(balance, net, [images_of(EVERYWHERE)])
    assert balance.factors.sum() > 2.99


@pytest.mark.parametrize("method", ["sum", "upgrad", "uncertainty"])
def test_weights_multiply_the_losses_before_the_method_sees_them(method):
    net = Small("abc")
    weighted = step(balance_of(method, net, weights={"a": 3.0, "c": 0.5}), net, [images_of(PARTLY)])
    scaled = step(balance_of(method, net), net, [images_of(PARTLY, scale={"a": 3.0, "c": 0.5})])
    assert_close(weighted, scaled)


def test_a_weight_of_zero_leaves_a_task_out():
    net = Small("abc")
    zero = step(balance_of("mgda", net, weights={"c": 0.0}), net, [images_of(PARTLY)])
    alone = step(balance_of("mgda", net), net, [images_of({n: PARTLY[n] for n in "ab"})])
    assert_close(zero, alone)


def test_a_gradient_that_is_not_finite_is_passed_on_and_not_hidden():
    net = Small("abc")
    found = step(balance_of("cagrad", net), net, [images_of(EVERYWHERE, scale={"a": float("nan")})])
    assert not torch.isfinite(trunk(found)).all()


def test_half_precision_takes_the_same_way():
    net = Small("abc")
    whole = trunk(step(balance_of("nash_mtl", net), net, [images_of(EVERYWHERE)]))
    with torch.autocast("cpu", torch.bfloat16):
        half = trunk(step(balance_of("nash_mtl", net), net, [images_of(EVERYWHERE)]))
    assert torch.cosine_similarity(whole, half, 0) > 0.98


@pytest.mark.parametrize("method", METHODS)
def test_weights_that_change_on_the_way_are_those_of_a_balance_that_had_them_from_the_start(method):
    """From the same state, the step after the change is the step of another balance with the new weights."""
    one, other = Small("abc"), Small("abc")
    changed = balance_of(method, one)
    step(changed, one, [images_of(PARTLY)], 0)
    changed.end_epoch()
    fresh = balance_of(method, other, weights={"a": 2.0, "b": 0.5, "c": 0.0})
    fresh.load(changed.state())
    changed.change(fresh.settings, {"a": 2.0, "b": 0.5, "c": 0.0})
    assert changed.weights == fresh.weights
    assert changed.state().keys() == fresh.state().keys()
    assert_close(*(step(b, net, [images_of(PARTLY, seed=1)], 1) for b, net in ((changed, one), (fresh, other))), 0)
