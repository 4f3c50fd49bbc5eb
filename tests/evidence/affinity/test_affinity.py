"""Whole studies: from a YAML to a proposal that `compare` takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import oneglance as og
from oneglance.cli import app
from oneglance.config import load_config
from oneglance.errors import OneglanceError
from oneglance.evidence import study
from oneglance.evidence.plan import plain_variant, read_given


def small(tmp_path: Path, shapes: dict[str, Any], name: str = "shapes", **sections: Any) -> Path:
    """`kind` under a second name, so that there are three tasks."""
    shapes["trunk"]["backbone"] = "test_resnet"
    shapes["train"] |= {"epochs": 1, "workers": 0, "evaluate_every": 5, "size": [64, 64], "device": "cpu"}
    shapes["tasks"]["again"] = dict(shapes["tasks"]["kind"], classes=["bright", "dark"])
    shapes["sources"][0]["tasks"] = ["kind", "again"]
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**shapes, **sections}), encoding="utf-8")
    return path


def test_from_a_yaml_to_a_proposal_that_compare_takes(
    tmp_path: Path, shapes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, out = small(tmp_path, shapes), tmp_path / "study"
    run = ["affinity", str(config), "--out", str(out), "--every", "2", "--groups", "2"]
    result = CliRunner().invoke(app, [*run, "--quiet"])
    assert result.exit_code == 0, result.output
    assert "Proposed: " in result.output
    data = json.loads((out / "affinity.json").read_text(encoding="utf-8"))
    assert data["tasks"] == ["again", "kind", "squares"]  # as in the YAML
    assert data["looks"] == [2]
    assert data["times_plain_training"] > 1
    assert all(data["affinity"][one][one]["looks"] == 2 for one in ("kind", "again"))
    assert [len(one["groups"]) for one in data["by_number_of_groups"]] == [1, 2, 3]
    assert data["apart"]["score"] == 0
    page = (out / "affinity.html").read_text(encoding="utf-8")
    for text in ("Which tasks should share a network?", "The proposal", "Who helps whom", "oneglance compare"):
        assert text in page
    assert (out / "plots" / "affinity.png").is_file()
    # Its files are configurations that differ in what is shared, and nothing else.
    whole = load_config(out / "together.yaml")
    assert whole.sharing.scheme == "hard"
    for name in ("apart", "proposal"):
        one = load_config(Path(data["files"][name]))
        assert one.model_copy(update={"sharing": whole.sharing}) == whole
        groups = {frozenset(group) for group in one.sharing.groups or ()} or {frozenset(data["tasks"])}
        assert groups == {frozenset(group) for group in data[name]["groups"]}
    # The training that is there is what compare would train for all together: it takes it as it is.
    given = read_given(out / "together.yaml", name="together")
    assert study._state(out, plain_variant(given), 0) == "done"
    assert data["command"].split()[2] == str(out / "together.yaml")
    assert data["command"].endswith(f"--out {out}")
    # Called again with other limits, nothing is trained.
    monkeypatch.setattr(study, "_train", lambda *_, **__: pytest.fail("trained"))
    again = og.affinity(config, out=out, groups=3, quiet=True)
    assert again.asked.groups == 3
    assert again.every == 2  # as the training there began
    cheap = og.affinity(config, out=out, groups=3, budget=1.0, cost="parameters", quiet=True)
    assert cheap.proposal.groups == ((0, 1, 2),)
    assert cheap.often == 1
    assert cheap.files["proposal"] == cheap.files["together"]
    branches = og.affinity(config, out=out, groups=3, branches=8, quiet=True)
    assert load_config(branches.files["apart"]).sharing.depth == 8
    assert branches.apart.cost < again.apart.cost
    with pytest.raises(OneglanceError, match="every 2 steps, not every 3"):
        og.affinity(config, out=out, every=3, quiet=True)
    # A YAML of the same name that says something else is left alone.
    (out / "apart.yaml").write_text("# mine\n", encoding="utf-8")
    other = og.affinity(config, out=out, quiet=True)
    assert other.files["apart"].name == "apart-2.yaml"
    assert (out / "apart.yaml").read_text(encoding="utf-8") == "# mine\n"


def test_what_is_wrong_is_said_before_anything_is_trained(
    tmp_path: Path, shapes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "_train", lambda *_, **__: pytest.fail("trained"))
    config = small(tmp_path, shapes)
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("mine", encoding="utf-8")
    for options, said in (
        ({"out": full}, "nothing is ever overwritten"),
        ({"seeds": 0}, "--seeds 0: must be at least 1"),
        ({"budget": 0.5}, "--budget 0.5: one network for all tasks costs 1"),
        ({"every": 50}, "the training has 5 steps, and every 50 steps"),
        ({}, "the training has 5 steps, and every 20 steps"),
        ({"cost": "euros"}, "must be flops or parameters"),
        ({"branches": 5}, "--branches 5: must be 4, 8, 16 or 32"),
        ({"overrides": ["sharing.scheme=none"]}, "one network for all tasks: leave `sharing` out"),
        ({"overrides": ["tasks.kind.weight=0"]}, "tasks.kind: is not trained"),
        ({"overrides": ["balance.method=upgrad"]}, r"sharing.scheme `none`: balance.method: `upgrad` compares"),
    ):
        with pytest.raises(OneglanceError, match=said):
            og.affinity(config, **{"out": tmp_path / "new", "quiet": True, **options})
    assert [path.name for path in full.iterdir()] == ["thesis.txt"]
    assert not (tmp_path / "new").exists()
    del shapes["tasks"]["kind"], shapes["tasks"]["again"]
    shapes["sources"] = shapes["sources"][1:]
    one = tmp_path / "one.yaml"
    one.write_text(yaml.safe_dump(shapes), encoding="utf-8")
    with pytest.raises(OneglanceError, match="nothing to put into groups: squares"):
        og.affinity(one, out=tmp_path / "new", quiet=True)
    result = CliRunner().invoke(app, ["affinity", "train.epochs=3"])
    assert result.exit_code == 2
    assert "give the YAML file first" in result.output
