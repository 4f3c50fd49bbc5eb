"""Whole studies, with networks that are trained in a second or two each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import oneglance as og
from oneglance.errors import OneglanceError
from oneglance.evidence import study
from oneglance.evidence.api import Evidence

SMALL = {"size": [64, 64], "batch": 8, "workers": 0, "precision": "32", "device": "cpu", "evaluate_every": 100}


@pytest.fixture(scope="module")
def flats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark and light pictures, some of them of the other's tone, and settings: `good` learns them, `bad` learns them by
    wrong names, `again` is good with other seeds."""
    folder = tmp_path_factory.mktemp("flats")
    rng = np.random.default_rng(0)
    for split, count in (("train", 16), ("test", 20)):
        for name, other, tone in (("dark", "light", 60), ("light", "dark", 190)):
            for k in range(count):
                level = 250 - tone if k % 5 == 0 else tone
                pixels = np.clip(rng.normal(level, 25, (64, 64, 3)), 0, 255).astype(np.uint8)
                for place in (folder / "data" / split / name, folder / "wrong" / split / other):
                    place.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(place / f"{split}-{name}-{k}.png")
    data: dict[str, Any] = {
        "tasks": {"tone": {"kind": "classification", "classes": ["dark", "light"]}},
        "sources": [
            {"format": "folder", "root": "data", "splits": ["test"], "tasks": ["tone"]},
            {"format": "folder", "root": "data", "splits": ["train"], "tasks": ["tone"]},
        ],
        "trunk": {"backbone": "test_resnet", "pretrained": False, "channels": 16},
        "train": {**SMALL, "epochs": 6, "lr": 0.01},
    }
    for name, root, seed in (("good", "data", 0), ("bad", "wrong", 0), ("again", "data", 2)):
        sources = [data["sources"][0], {**data["sources"][1], "root": root}]
        text = yaml.safe_dump({**data, "sources": sources, "train": {**data["train"], "seed": seed}})
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def kinds(evidence: Evidence) -> dict[str, str]:
    return {task: word.kind for task, word in evidence.verdicts[0].items()}


def test_a_planted_difference_is_found_and_none_where_there_is_none(flats: Path) -> None:
    said: list[str] = []
    found = og.compare(
        flats / "bad.yaml", flats / "good.yaml", seeds=2, out=flats / "study", quiet=True, say=said.append
    )
    assert kinds(found) == {"tone": "better"}
    task = found.comparisons[0].tasks[0]
    assert task.ours.min() > 0.7
    low, high = task.difference.interval()
    assert 0 < low < task.difference.mean < high
    # The good one once more with other seeds, beside its first trainings, which are taken as they are.
    said.clear()
    same = og.compare(
        flats / "good.yaml", flats / "again.yaml", seeds=2, out=flats / "study", quiet=True, say=said.append
    )
    assert kinds(same) == {"tone": "no difference shown"}
    assert not same.comparisons[0].tasks[0].paired
    assert "2 of 2 trainings are there already" in " ".join(said)
    # As runs: those that differ in their seed alone are one side.
    runs = [flats / "study" / "runs" / name / f"seed-{k}" for name in ("bad", "good") for k in (0, 1)]
    third = og.compare(*runs, out=flats / "of-runs", quiet=True)
    assert kinds(third) == {"tone": "better"}
    np.testing.assert_array_equal(third.comparisons[0].tasks[0].ours, task.ours)
    assert "% better on average (delta-m +" in third.page.read_text(encoding="utf-8")
    turned = og.compare(*runs[2:], *runs[:2], out=flats / "turned", quiet=True)
    assert "% worse on average (delta-m −" in turned.page.read_text(encoding="utf-8")


def two_tasks(tmp_path: Path, shapes: dict[str, Any]) -> Path:
    shapes["trunk"]["backbone"] = "test_resnet"
    shapes["train"] |= {"epochs": 1, "workers": 0, "evaluate_every": 5}
    path = tmp_path / "shapes.yaml"
    path.write_text(yaml.safe_dump(shapes), encoding="utf-8")
    return path


def test_the_shared_network_against_its_twins(
    tmp_path: Path, shapes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = two_tasks(tmp_path, shapes)
    out = tmp_path / "evidence"
    train, made = study._train, []

    def interrupted(folder: Path, variant: study.Variant, seed: int, *, quiet: bool) -> None:
        made.append(variant.name)
        if len(made) == 3:
            raise KeyboardInterrupt
        train(folder, variant, seed, quiet=quiet)

    monkeypatch.setattr(study, "_train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        og.compare(config, seeds=1, out=out, quiet=True, labels=["kind=0.5"])
    found = og.compare(config, seeds=1, out=out, quiet=True, labels=["kind=0.5"])
    # Taken up: what was made before is not made again.
    names = ["shared", "alone-kind", "alone-squares", "shared-kind-50", "alone-kind-50"]
    assert made == [*names[:3], *names[2:]]
    # One seed can't tell sharing from luck.
    assert kinds(found) == {"kind": "no difference shown", "squares": "not measured"}
    assert found.comparisons[0].cost_theirs.networks == 2
    assert found.comparisons[0].cost_ours.parameters < found.comparisons[0].cost_theirs.parameters
    assert (found.curves[0].shares, found.curves[0].labels) == ((0.5, 1.0), (10, 20))
    data = json.loads(found.results.read_text(encoding="utf-8"))
    assert data["comparisons"][0]["tasks"]["kind"]["difference"]["images"] == 4
    assert data["comparisons"][0]["tasks"]["kind"]["no_interval_over_images"] is None
    # Two labelled images: in one of seven resamples there is nothing to find.
    assert "resamples" in data["comparisons"][0]["tasks"]["squares"]["no_interval_over_images"]
    page = found.page.read_text(encoding="utf-8")
    for text in ("Did sharing help?", "The answer", "The cost", "The rule of the budget", "of kind does sharing save?"):
        assert text in page
    assert (out / "plots" / "labels_kind.png").is_file()
    # A finished study trains nothing, and says the same.
    made.clear()
    again = og.compare(config, seeds=1, out=out, quiet=True, labels=["kind=0.5"])
    assert not made
    assert json.loads(again.results.read_text(encoding="utf-8")) == data
    # Another configuration, or other data, in the same folder is refused, and nothing there is touched.
    with pytest.raises(OneglanceError, match=r"another configuration \(another `train`\)"):
        og.compare(config, overrides=["train.lr=0.5"], seeds=1, out=out, quiet=True)
    next((tmp_path / "data" / "train" / "dark").glob("*.png")).unlink()
    with pytest.raises(OneglanceError, match="trained on other data"):
        og.compare(config, seeds=1, out=out, quiet=True)
    assert not made


def test_what_is_wrong_is_said_before_anything_is_trained(tmp_path: Path, shapes: dict[str, Any]) -> None:
    config = two_tasks(tmp_path, shapes)
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("mine", encoding="utf-8")
    for arguments, options, said in (
        ((config,), {"out": full}, "nothing is ever overwritten"),
        ((config,), {"seeds": 0}, "at least 1"),
        ((tmp_path / "full",), {}, "one run alone"),
        ((config, full), {}, "not a run"),
        ((config, config), {}, "given twice"),
        ((config,), {"labels": ["size=0.5"]}, "no task is called 'size'"),
        ((config,), {"split": "tset"}, "no image of the split 'tset'"),
    ):
        with pytest.raises(OneglanceError, match=said):
            og.compare(*arguments, **{"out": tmp_path / "new", "quiet": True, "seeds": 1, **options})
    assert [path.name for path in full.iterdir()] == ["thesis.txt"]
    one = tmp_path / "one.yaml"
    del shapes["tasks"]["squares"]
    shapes["sources"] = shapes["sources"][:1]
    one.write_text(yaml.safe_dump(shapes), encoding="utf-8")
    with pytest.raises(OneglanceError, match="where there are several tasks"):
        og.compare(one, out=tmp_path / "new", quiet=True)
