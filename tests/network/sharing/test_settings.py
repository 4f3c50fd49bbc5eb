"""What can be said of sharing in the YAML, and what is refused, in which words."""

import pytest

from oneglance.config import Config, parse_config, write_yaml
from oneglance.errors import OneglanceError
from oneglance.network.sharing import groups_of

TASKS = {
    "kind": {"kind": "classification", "classes": ["a", "b"]},
    "tags": {"kind": "tagging", "classes": ["x", "y"]},
    "objects": {"kind": "detection", "classes": ["car"]},
    "outline": {"kind": "mask", "on": "objects"},
}


def config_of(sharing: dict, **further: object) -> Config:
    sources = [{"format": "coco", "root": ".", "labels": "x.json", "tasks": list(TASKS)}]
    return parse_config({"tasks": TASKS, "sources": sources, "sharing": sharing, **further})


@pytest.mark.parametrize(
    ("sharing", "own"),
    [
        ({}, {}),
        ({"scheme": "layers"}, {"depth": 16}),
        ({"scheme": "layers", "depth": "neck"}, {"depth": "neck"}),
        ({"scheme": "cross_stitch"}, {"own_share": 0.9, "per_channel": False}),
        ({"scheme": "mtan"}, {}),
        ({"scheme": "soft"}, {"relation": "l2", "strength": 1.0}),
        ({"scheme": "soft", "relation": "omega"}, {"relation": "omega", "strength": 1.0, "every": 20}),
        ({"scheme": "soft", "strength": 0}, {"relation": "l2", "strength": 0}),
        ({"scheme": "adapters"}, {"where": "stages", "narrowing": 8, "neck": "own"}),
        ({"scheme": "none"}, {}),
    ],
)
def test_a_scheme_has_its_own_keys_and_reads_back_what_was_written(sharing, own, tmp_path):
    config = config_of(sharing)
    given = config.sharing.model_dump()
    assert given == {"scheme": sharing.get("scheme", "hard"), **own}
    write_yaml(tmp_path / "c.yaml", config)
    import yaml

    again = parse_config(yaml.safe_load((tmp_path / "c.yaml").read_text()))
    assert again.sharing == config.sharing


@pytest.mark.parametrize(
    ("sharing", "message"),
    [
        ({"scheme": "sof"}, r"sharing\.scheme.*'hard', 'layers'"),
        ({"depth": 16}, r"sharing: depth: belongs to `scheme: layers`, not to `hard`"),
        ({"scheme": "none", "strength": 1.0}, r"strength: belongs to `scheme: soft`, not to `none`"),
        ({"scheme": "layers", "relation": "l2"}, r"relation: belongs to `scheme: soft`"),
        ({"scheme": "soft", "every": 5}, r"every: belongs to `scheme: soft` with `relation: omega`"),
        ({"scheme": "mtan", "where": "maps"}, r"where: belongs to `scheme: adapters`"),
        ({"scheme": "layers", "depth": 12}, r"sharing\.depth"),
        ({"scheme": "soft", "strength": -1}, r"sharing\.strength"),
        ({"scheme": "soft", "strenght": 1}, r"sharing\.strenght: unknown key.*strength"),
        ({"groups": [["kind"]]}, r"groups: `hard` has one trunk for all tasks"),
        ({"scheme": "none", "groups": [["kinds"]]}, r"sharing\.groups: no task is called 'kinds'.*'kind'"),
        ({"scheme": "none", "groups": [["kind"], ["kind", "tags"]]}, r"'kind' stands there twice"),
        ({"scheme": "none", "groups": [[]]}, r"a group without a task"),
        ({"scheme": "none", "groups": [["kind", "outline"]]}, r"'outline' asks about the objects of 'objects'"),
        ({"scheme": "adapters", "neck": "frozen"}, r"sharing\.neck: `frozen`.*train\.start"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(sharing, message):
    with pytest.raises(OneglanceError, match=message):
        config_of(sharing)


@pytest.mark.parametrize("sharing", [{"scheme": s} for s in ("none", "soft", "cross_stitch", "adapters")])
def test_gradients_cannot_be_compared_where_nothing_is_learnt_together(sharing):
    with pytest.raises(OneglanceError, match=r"balance\.method: `upgrad` compares.*schemes hard, layers, mtan"):
        config_of(sharing, balance={"method": "upgrad"})
    assert config_of(sharing, balance={"method": "uncertainty"}).balance.method == "uncertainty"


@pytest.mark.parametrize("scheme", ["hard", "layers", "mtan"])
def test_gradients_can_be_compared_where_something_is_shared(scheme):
    assert config_of({"scheme": scheme}, balance={"method": "upgrad"}).sharing.scheme == scheme


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (None, {"kind": ("kind",), "objects": ("objects", "outline"), "tags": ("tags",)}),
        ([["tags", "kind"]], {"kind+tags": ("kind", "tags"), "objects": ("objects", "outline")}),
        ([["tags", "objects", "outline"]], {"kind": ("kind",), "objects+tags": ("objects", "tags", "outline")}),
    ],
)
def test_who_goes_with_whom(groups, expected):
    config = config_of({"scheme": "none"} | ({} if groups is None else {"groups": groups}))
    assert groups_of(config.sharing, config.tasks) == expected
    turned = dict(reversed(config.tasks.items()))
    assert groups_of(config.sharing, turned) == expected
    assert list(groups_of(config.sharing, turned)) == list(expected)
