"""The parts of a task that look through branches of their own: a detector's class and box in two trunks."""

import pytest
import torch
from sharing_toy import SCHEMES, asked, assert_close, assert_equal, flat, gradients, images_of, network_of, rows_of

from oneglance.config import parse_config
from oneglance.errors import OneglanceError
from oneglance.network.sharing import SharingSettings, create_sharing, groups_of
from oneglance.network.trunk import TrunkSettings
from oneglance.tasks import ClassificationSettings, DetectionSettings, create_tasks

NAMES = ("kind", "seg", "objects")
ROWS = {"kind": [0, 2], "seg": [1, 2], "objects": [0, 1]}
APART = [name for name in SCHEMES if name not in ("hard", "all layers", "none, two together")]
#: Those that begin with the same outputs as one trunk for all.
ALIKE = [name for name in APART if name not in ("mtan", "cross_stitch", "cross_stitch by channel")]


def over_terms(name: str, **more):
    return network_of({**SCHEMES[name], "over": "terms", **more}, NAMES)


def test_who_goes_with_whom():
    tasks = {"kind": ClassificationSettings(classes=("a", "b")), "objects": DetectionSettings(classes=("a",))}
    alone = SharingSettings.model_validate({"scheme": "none", "over": "terms"})
    assert groups_of(alone, tasks) == {
        "kind": ("kind",), "objects:box": ("objects.box",), "objects:class": ("objects.class",),
    }  # fmt: skip
    some = SharingSettings.model_validate({"scheme": "none", "over": "terms", "groups": [["objects.class", "kind"]]})
    assert groups_of(some, tasks) == {
        "kind+objects:class": ("kind", "objects.class"), "objects:box": ("objects.box",),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([["objects", "kind"]], r"over terms, 'objects' is objects\.class and objects\.box; name these"),
        ([["objects.boxes"]], r"no task is called 'objects\.boxes'.*'objects\.box'"),
        ([["objects.box"], ["objects.box"]], r"'objects\.box' stands there twice"),
    ],
)
def test_what_does_not_fit_is_refused(groups, message):
    tasks = {"kind": ClassificationSettings(classes=("a", "b")), "objects": DetectionSettings(classes=("a",))}
    settings = SharingSettings.model_validate({"scheme": "none", "over": "terms", "groups": groups})
    with pytest.raises(ValueError, match=message):
        groups_of(settings, tasks)


def test_objects_that_others_ask_about_are_looked_at_in_one_way():
    tasks = {
        "objects": DetectionSettings(classes=("a",)),
        "colour": ClassificationSettings(on="objects", classes=("r", "g")),
    }
    settings = SharingSettings.model_validate({"scheme": "none", "over": "terms"})
    with pytest.raises(ValueError, match=r"over: 'colour' asks about the objects of 'objects'"):
        create_sharing(settings, create_tasks(tasks), TrunkSettings(backbone="lcnet_050", pretrained=False))
    with pytest.raises(ValueError, match=r"over: `hard` has one trunk"):
        SharingSettings.model_validate({"over": "terms"})


@pytest.mark.parametrize("name", ALIKE)
def test_all_begin_alike_and_answer_as_one_trunk_would(name):
    hard, apart = network_of("hard", NAMES).eval(), over_terms(name).eval()
    assert_close(flat(asked(hard, ROWS)), flat(asked(apart, ROWS)))


def test_neither_part_teaches_the_others_trunk():
    network = over_terms("none")
    for part, outputs in (("class", "classes"), ("box", "sides")):
        network.zero_grad(set_to_none=True)
        network(images_of(), rows_of({"objects": [0, 1]}))["objects"][outputs].float().square().mean().backward()
        taught = {n.split(".")[1] for n, p in network.named_parameters() if p.grad is not None and "trunks" in n}
        assert taught == {f"objects:{part}"}


def test_independent_parts_learn_as_two_networks_do():
    """Each part's gradient is that of a network of its own, in which nothing but this part learns."""
    both = over_terms("none")
    found = gradients(both, ROWS)
    for part, outputs in (("class", "classes"), ("box", "sides")):
        alone = network_of({"scheme": "none"}, NAMES)
        alone.load_state_dict({n.replace(f"objects:{part}", "objects"): v for n, v in both.state_dict().items()
                               if "objects:" not in n or f"objects:{part}" in n})  # fmt: skip
        said = alone(images_of(), rows_of({"objects": [0, 1]}))["objects"]
        # The second classifier looks at features that it can't change.
        (said[outputs].float() - 0.3).square().mean().backward()
        trunk = f"trunks.objects:{part}."
        own = {n: p.grad for n, p in alone.named_parameters() if p.grad is not None and n.startswith("trunks.objects.")}
        assert own
        assert_close({n.removeprefix(trunk): found[n] for n in found if n.startswith(trunk)},
                     {n.removeprefix("trunks.objects."): g for n, g in own.items()}, 1e-4)  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_answers_of_some_images_are_those_of_all(name):
    network = over_terms(name).eval()
    every = asked(network, {"kind": [0, 1, 2, 3], "seg": [0, 1, 2, 3], "objects": [0, 1, 2, 3]})
    some = asked(network, {"objects": [1, 3]})
    for key in ("classes", "single", "sides"):
        torch.testing.assert_close(some["objects"][key], every["objects"][key][[1, 3]], rtol=1e-4, atol=1e-4)


def test_a_frozen_detector_rests_with_both_trunks():
    network = network_of({"scheme": "none", "over": "terms"}, NAMES, objects={"freeze": True}).train()
    assert not any(p.requires_grad for n, p in network.named_parameters() if "objects" in n)
    assert all(p.requires_grad for n, p in network.named_parameters() if n.startswith("trunks.kind."))
    before = {n: b.clone() for n, b in network.named_buffers() if "objects" in n}
    asked(network, ROWS)
    assert_equal(before, {n: b for n, b in network.named_buffers() if "objects" in n})


def test_it_goes_on_from_one_trunk():
    hard = network_of("hard", NAMES).state_dict()
    apart = over_terms("none")
    for key, value in apart.state_dict().items():
        assert hard[apart.like_hard(key)].shape == value.shape, key


def test_the_configuration_says_what_is_wrong():
    data = {
        "tasks": {"objects": {"kind": "detection", "classes": ["a"]}},
        "sources": [{"format": "folder", "root": "x", "tasks": ["objects"]}],
        "sharing": {"scheme": "none", "over": "terms", "groups": [["objects"]]},
    }
    with pytest.raises(OneglanceError, match=r"sharing\.groups: over terms, 'objects' is objects\.class"):
        parse_config(data, "here")
