"""What each scheme of sharing promises: what equals what, which image goes where, what learns and what does not."""

import copy

import pytest
import torch
from sharing_toy import (
    CORE,
    EVERYWHERE,
    ROWS,
    SCHEMES,
    TASKS,
    asked,
    assert_close,
    assert_equal,
    boxes_of,
    flat,
    gradients,
    images_of,
    losses_of,
    network_of,
    plain,
    rows_of,
)  # fmt: skip

from oneglance.balance import Balance, BalanceSettings
from oneglance.errors import OneglanceError
from oneglance.network.network import Network
from oneglance.network.sharing import SharingSettings
from oneglance.network.trunk import TrunkSettings
from oneglance.tasks import create_tasks
from oneglance.training import checkpoint

SEPARATE = ("l2", "trace_norm", "omega", "none")
GROUP_OF = {"kind": "kind", "seg": "seg", "objects": "objects", "colour": "objects"}


def test_one_trunk_for_all_has_the_names_it_always_had():
    network = network_of("hard")
    assert {name.split(".")[0] for name in network.state_dict()} == {"backbone", "neck", "regions", "heads"}
    assert "backbone.body.conv_stem.weight" in network.state_dict()
    assert network.sharing.groups == {"kind+objects+seg": tuple(TASKS)}


@pytest.mark.parametrize("name", list(SCHEMES))
def test_the_parts_have_the_names_by_which_other_schemes_find_them(name):
    hard = network_of("hard").state_dict()
    network = network_of(name)
    parts = {"backbone", "neck", "trunks", "stitch", "relation", "regions", "heads"}
    assert {key.split(".")[0] for key in network.state_dict()} <= parts
    for key, value in network.state_dict().items():
        if not key.startswith(("stitch", "relation")) and "attention" not in key and "adapters" not in key:
            assert hard[network.like_hard(key)].shape == value.shape


def test_with_all_layers_shared_it_is_one_trunk_to_the_bit():
    hard, layers = network_of("hard").train(), network_of("all layers").train()
    assert_equal(hard.state_dict(), layers.state_dict())
    assert_equal(gradients(hard, ROWS), gradients(layers, ROWS))
    assert_equal(hard.state_dict(), layers.state_dict())  # statistics as well
    assert_equal(flat(asked(hard.eval(), ROWS)), flat(asked(layers.eval(), ROWS)))


@pytest.mark.parametrize("name", [n for n in SCHEMES if n not in ("mtan", "cross_stitch", "cross_stitch by channel")])
def test_all_begin_alike_and_answer_as_one_trunk_would(name):
    """Branches and trunks begin as copies, and adapters add nothing at first."""
    hard, network = network_of("hard").eval(), network_of(name).eval()
    state = hard.state_dict()
    own = network.state_dict()
    trunk = [key for key in own if network.like_hard(key) in state and not key.startswith(("regions", "heads"))]
    assert_equal({key: own[key] for key in trunk}, {key: state[network.like_hard(key)] for key in trunk})
    network.load_state_dict({key: state[key] for key in own if key.startswith("heads")}, strict=False)
    one, other = flat(asked(hard, ROWS)), flat(asked(network, ROWS))
    if not name.startswith(("adapters", "all layers", "hard")):
        # Without the task that asks for the finest level, objects are read from a coarser one.
        one, other = ({key: value for key, value in of.items() if "colour" not in key} for of in (one, other))
    assert_close(one, other, 1e-4)


@pytest.mark.parametrize("name", ["adapters", "adapters at maps"])
def test_from_one_seed_adapters_answer_to_the_bit_as_one_trunk_does(name):
    hard, network = network_of("hard").eval(), network_of(name).eval()
    assert_equal(flat(asked(hard, EVERYWHERE)), flat(asked(network, EVERYWHERE)))


def test_trunks_that_share_nothing_learn_exactly_as_single_networks_do():
    network = network_of("none").train()
    found = gradients(network, ROWS)
    expected = {}
    for tasks in (("kind",), ("seg",), ("objects", "colour")):
        single = network_of("hard", tasks).train()
        names = {own: _in_trunk(own, tasks[0]) for own in single.state_dict()}
        state = network_of("none").state_dict()
        single.load_state_dict({own: state[name] for own, name in names.items() if name in state}, strict=False)
        rows = {name: ROWS[name] for name in tasks}
        images = sorted({row for at in rows.values() for row in at})
        seen = {name: [images.index(row) for row in at] for name, at in rows.items()}
        of_task = gradients(single, seen, images_of()[images])
        expected |= {names[name]: gradient for name, gradient in of_task.items()}
    assert_equal(expected, found)


def _in_trunk(name: str, group: str) -> str:
    return f"trunks.{group}.{name}" if name.startswith(("backbone.", "neck.")) else name


def test_a_task_teaches_its_own_trunk_and_no_other():
    network = network_of("none").train()
    for task in ("kind", "seg"):
        names = gradients(network, {task: ROWS[task]})
        assert names
        assert all(name.startswith((f"trunks.{task}.", f"heads.{task}.")) for name in names)


@pytest.mark.parametrize("per_channel", [False, True])
def test_stitches_that_take_nothing_are_no_stitches(per_channel):
    none = network_of("none").train()
    network = network_of({"scheme": "cross_stitch", "own_share": 1.0, "per_channel": per_channel}).train()
    own = {plain(name): value for name, value in network.state_dict().items() if not name.startswith("stitch")}
    assert_equal(none.state_dict(), own)
    # All images are labelled for all: else BatchNorm sees more of them here.
    found = gradients(network, EVERYWHERE)
    stitches = [name for name in found if name.startswith("stitch")]
    assert len(stitches) == 4
    assert_close(gradients(none, EVERYWHERE), {plain(n): g for n, g in found.items() if n not in stitches}, 1e-4)
    for name in stitches:
        assert found[name].abs().sum() > 0  # and yet it can learn to take something
    assert_equal(flat(asked(none.eval(), ROWS)), flat(asked(network.eval(), ROWS)))


def test_stitches_take_from_the_others_what_they_say():
    network = network_of({"scheme": "cross_stitch", "own_share": 0.7}).eval()
    stitch = network.sharing.parts["stitch"]["8"]
    torch.testing.assert_close(stitch.matrix(), 0.55 * torch.eye(3) + 0.15)
    maps = [torch.full((2, 4, 3, 3), float(k)) for k in range(3)]
    for k, mixed in enumerate(stitch(maps)):
        torch.testing.assert_close(mixed, torch.full_like(mixed, 0.55 * k + 0.15 * 3))


@pytest.mark.parametrize("where", ["stages", "maps"])
def test_adapters_leave_the_backbone_as_it_is(where):
    network = network_of({"scheme": "adapters", "where": where}).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW([one for one in network.parameters() if one.requires_grad], 1e-2)
    for _ in range(2):
        found = gradients(network, ROWS)
        optimizer.step()
        network.train()
    assert not any(name.startswith("backbone") for name in found)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith("backbone") for name in changed)
    for part in ("trunks.seg.adapters", "trunks.objects.adapters", "trunks.kind.adapters", "trunks.seg.neck"):
        assert any(name.startswith(part) for name in changed)


def test_a_frozen_neck_stays_as_it_is_too():
    network = network_of({"scheme": "adapters", "neck": "frozen"}).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = gradients(network, ROWS)
    assert {name.split(".")[0] for name in found} == {"trunks", "regions", "heads"}
    assert all(torch.equal(network.state_dict()[n], v) for n, v in before.items() if n.startswith(("backbone", "neck")))


@pytest.mark.parametrize("name", CORE)
def test_the_order_of_tasks_changes_nothing(name):
    network = network_of(name).train()
    turned = network_of(name, tuple(reversed(TASKS)), seed=5)
    turned.load_state_dict(network.state_dict())
    turned.train()
    rows = dict(reversed(ROWS.items()))
    assert_close(gradients(network, ROWS), gradients(turned, rows), 1e-4)
    assert_close(flat(asked(network.eval(), ROWS)), flat(asked(turned.eval(), rows)), 1e-5)
    assert list(network.sharing.groups) == list(turned.sharing.groups)


def watched(network: Network, part: str) -> dict[str, list[torch.Tensor]]:
    """What goes into each group's own ``part`` (or its first module), noted as it happens."""
    seen: dict[str, list[torch.Tensor]] = {}
    for group, own in network.sharing.own.items():
        first = next(m for m in own[part].modules() if not isinstance(m, torch.nn.ModuleDict | torch.nn.ModuleList))
        first.register_forward_pre_hook(lambda _, given, group=group: seen.setdefault(group, []).append(given[0]))
    return seen


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("none", "backbone"),
        ("omega", "backbone"),
        ("layers to 16", "backbone"),
        ("mtan", "attention"),
        ("adapters", "adapters"),
        ("adapters at maps", "adapters"),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_an_image_goes_only_where_its_labels_need_it(name, part, training):
    network = network_of(name).train(training)
    seen = watched(network, part)
    asked(network, ROWS)
    expected = {"kind": [0, 2], "seg": [1, 2], "objects": [0, 1, 3]}
    for group, images in expected.items():
        (given,) = seen[group]
        given = given[0] if isinstance(given, list) else given
        assert len(given) == len(images)
        if name == "none":
            assert torch.equal(given, images_of()[images])
    seen.clear()
    asked(network, {"kind": [1]})
    assert list(seen) == ["kind"]


def test_the_labels_of_an_image_decide_alone_what_it_teaches():
    """Another picture in a place that a task is not labelled for changes nothing for its trunk."""
    network = network_of("none").train()
    one = gradients(network, ROWS)
    images = images_of()
    images[3] = 0
    other = gradients(network, ROWS, images)
    for name in one:
        assert torch.equal(one[name], other[name]) == (".objects." not in name and "colour" not in name)


@pytest.mark.parametrize("name", CORE)
def test_answers_of_some_images_are_those_of_all(name):
    network = network_of(name).eval()
    whole, some = asked(network, EVERYWHERE), asked(network, ROWS)
    for task in ("kind", "seg", "objects"):
        for output, value in some[task].items():
            of_all = whole[task][output]
            torch.testing.assert_close(value, of_all[ROWS[task]] if len(of_all) == 4 else of_all, rtol=1e-4, atol=1e-4)
    for output, value in some["colour"].items():
        torch.testing.assert_close(value, whole["colour"][output][[0, 0, 3]], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [n for n in SCHEMES if n not in ("hard", "all layers")])
def test_the_trunk_of_a_frozen_task_rests(name):
    network = network_of(name, kind={"freeze": True}).train()
    own = network.sharing.own
    group = network.group_of["kind"]
    rests = network.sharing.groups[group] == ("kind",)
    assert any(one.requires_grad for one in own[group].parameters()) != rests
    assert any(one.training for one in own[group].modules()) != rests
    assert all(one.requires_grad for one in own[network.group_of["objects"]].parameters())


@pytest.mark.parametrize(
    "name", ["layers to 4", "layers to 16", "layers to 32", "cross_stitch", "mtan", "adapters", "l2"]
)
def test_every_scheme_goes_on_from_a_run_with_one_trunk(name, tmp_path):
    earlier = network_of("hard", seed=3)
    checkpoint.save(tmp_path / "w.safetensors", earlier.state_dict(), {})
    network = network_of(name)
    missing = checkpoint.take_over(network, tmp_path / "w.safetensors")
    assert all("attention" in key or "adapters" in key or key.startswith("stitch") for key in missing)
    if name not in ("mtan", "cross_stitch"):
        one, other = (
            flat(asked(of.eval(), {n: ROWS[n] for n in ("kind", "seg", "objects")})) for of in (earlier, network)
        )
        assert_close(one, other, 1e-4)


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("all layers", "features"),
        ("layers to 4", "features"),
        ("layers to 16", "features"),
        ("layers to 16", "channels"),
        ("layers to 16", "parameters"),
        ("layers to 32", "features"),
        ("mtan", "features"),
    ],
)
def test_gradients_are_compared_at_what_is_shared(name, at):
    """The shared part learns from the tasks' gradients by the method's factors; what comes after, from plain losses."""
    network = network_of(name).train()
    single = {task: gradients(copy.deepcopy(network), {task: EVERYWHERE[task]}) for task in ("kind", "seg", "objects")}
    rows = {task: EVERYWHERE[task] for task in ("kind", "seg", "objects")}
    balance = Balance(
        BalanceSettings(method="mgda", at=at, record=0), dict.fromkeys(single, 1.0), shared=network.shared_parameters()
    )
    network.zero_grad(set_to_none=True)
    balance.begin(0, dict.fromkeys(single, 4))
    cut = balance.cut()
    losses = losses_of(asked(network, rows, cut=cut))
    balance.add({task: {"loss": loss} for task, loss in losses.items()}, rows_of(rows), cut)
    balance.finish()
    factors = dict(zip(balance.names, balance.factors.tolist(), strict=True))
    assert max(factors.values()) - min(factors.values()) > 0.1
    shared = {id(one) for one in network.shared_parameters()}
    assert shared
    for key, parameter in network.named_parameters():
        of_task = {task: found[key] for task, found in single.items() if key in found}
        if not of_task:
            assert parameter.grad is None
            continue
        scale = factors if id(parameter) in shared else dict.fromkeys(factors, 1.0)
        expected = torch.stack([scale[task] * gradient for task, gradient in of_task.items()]).sum(0)
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-3, atol=1e-5, msg=lambda m, k=key: f"{k}: {m}")


@pytest.mark.parametrize("name", ["cross_stitch", "adapters", *SEPARATE])
def test_where_nothing_is_learnt_together_there_is_nothing_to_compare(name):
    network = network_of(name)
    assert list(network.shared_parameters()) == []
    balance = Balance(BalanceSettings(record=1), {"kind": 1.0, "seg": 1.0})
    balance.begin(0, {"kind": 2, "seg": 2})
    cut = balance.cut()
    losses = losses_of(asked(network, {n: ROWS[n] for n in ("kind", "seg")}, cut=cut))
    balance.add({task: {"loss": loss} for task, loss in losses.items()}, rows_of(ROWS), cut)
    balance.finish()
    assert balance.records()["conflict"] == {}
    assert network.heads["kind"].training


def test_trunks_apart_are_clipped_apart():
    network = network_of("none")
    parts = network.apart()
    assert len(parts) == 3
    assert sorted(id(one) for part in parts for one in part) == sorted(map(id, network.parameters()))
    assert len(network_of("omega").apart()) == 3
    assert len(network_of("cross_stitch").apart()) == len(network_of("hard").apart()) == 1


def test_a_backbone_that_cannot_be_taken_apart_is_refused_where_that_is_needed():
    tasks = create_tasks({"kind": TASKS["kind"]})
    trunk = TrunkSettings(backbone="efficientformer_l1", pretrained=False, channels=16)
    with pytest.raises(
        OneglanceError, match=r"layers.*efficientformer_l1.*can't be taken apart.*`hard`, `none`, `soft`"
    ):
        Network(tasks, trunk, SharingSettings(scheme="layers"))
    network = Network(tasks, trunk, SharingSettings(scheme="layers", depth=32))
    assert network.eval().features is not None


def test_a_depth_that_the_backbone_has_not_is_refused(monkeypatch):
    from oneglance.network.trunk import Backbone

    plain_init = Backbone.__init__

    def without_4(self, settings):
        plain_init(self, settings)
        self.keep, self.reductions, self.channels = self.keep[1:], self.reductions[1:], self.channels[1:]

    monkeypatch.setattr(Backbone, "__init__", without_4)
    with pytest.raises(
        OneglanceError, match=r"sharing\.depth: 'lcnet_050' has no map of stride 4; its maps: 8, 16, 32"
    ):
        network_of("layers to 4", ("kind", "objects"))
    assert asked(network_of("layers to 16", ("kind", "objects")).eval(), {"kind": [0]})


def test_boxes_are_of_the_images_they_are_in_wherever_these_go():
    """A group sees some of the batch's images under other numbers."""
    network = network_of("none").eval()
    images = images_of()
    rows = {"colour": [3, 1, 3]}
    together = network(images, rows_of(rows), boxes_of(rows))["colour"]["logits"]
    for k, row in enumerate(rows["colour"]):
        alone = network(images[row : row + 1], {"colour": torch.tensor([0])}, {"colour": boxes_of(rows)["colour"][:1]})
        torch.testing.assert_close(together[k], alone["colour"]["logits"][0], rtol=1e-4, atol=1e-4)
