"""Every scheme of sharing in the training loop: all kinds of task, exact resumption, ties that are logged."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from oneglance.annotations import Identity, Instance, Instances, Label, Numbers, Points, Record, Segments, Tags
from oneglance.config import parse_config
from oneglance.errors import Problems
from oneglance.manifest import Manifest
from oneglance.tasks import KINDS, columns_of, create_tasks
from oneglance.training import checkpoint
from oneglance.training.fit import LAST, Training

SCHEMES: dict[str, dict[str, Any]] = {
    "hard": {},
    "layers": {"scheme": "layers"},
    "cross_stitch": {"scheme": "cross_stitch"},
    "mtan": {"scheme": "mtan"},
    "l2": {"scheme": "soft", "relation": "l2"},
    "trace_norm": {"scheme": "soft", "relation": "trace_norm"},
    "omega": {"scheme": "soft", "relation": "omega", "every": 1},
    "adapters": {"scheme": "adapters"},
    "none": {"scheme": "none"},
}
TASKS: dict[str, dict[str, Any]] = {
    "kind": {"kind": "classification", "classes": ["bright", "dark"], "dropout": 0},
    "tags": {"kind": "tagging", "classes": ["big", "left"]},
    "size": {"kind": "regression", "targets": ["width"]},
    "corners": {"kind": "keypoints", "points": ["first", "last"], "width": 8},
    "ground": {"kind": "segmentation", "classes": ["ground", "square"], "width": 8},
    "face": {"kind": "embedding", "dim": 8},
    "squares": {"kind": "detection", "classes": ["square"], "width": 8},
    "outline": {"kind": "mask", "on": "squares"},
    "tips": {"kind": "keypoints", "on": "squares", "points": ["first", "last"]},
    "shade": {"kind": "classification", "on": "squares", "classes": ["light", "deep"]},
    "who": {"kind": "embedding", "on": "squares", "dim": 8},
}


def records_of(folder: Path, count: int = 8) -> list[Record]:
    """A square on each of some pictures, with all that can be said of it; each task knows three in four of them."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    found = []
    for k in range(count):
        picture = rng.integers(90, 150, (64, 64, 3)).astype(np.uint8)
        x, y, w = (int(value) for value in rng.integers((4, 4, 16), (30, 30, 30)))
        picture[y : y + w, x : x + w] = 250 if k % 2 else 10
        mask = np.zeros((64, 64), np.uint8)
        mask[y : y + w, x : x + w] = 1
        Image.fromarray(picture).save(folder / f"{k}.png")
        Image.fromarray(mask).save(folder / f"{k}_mask.png")
        points = Points(np.float32([[x, y], [x + w, y + w]]), np.int8([2, 2]))
        corners = np.float32([[x, y], [x + w, y], [x + w, y + w], [x, y + w]])
        item = Instance(
            "square", box=np.float32([x, y, x + w, y + w]), polygons=(corners,), points=points, identity=f"p{k % 3}",
            attributes={"shade": "light" if k % 2 else "deep"},
        )  # fmt: skip
        labels: dict[str, Any] = {
            "kind": Label("bright" if k % 2 else "dark"),
            "tags": Tags(("big",) if w > 20 else ()),
            "size": Numbers(np.float32([w])),
            "corners": points,
            "ground": Segments(folder / f"{k}_mask.png", ((0, "ground"), (1, "square"))),
            "face": Identity(f"p{k % 3}"),
            "squares": Instances((item,)),
        }
        known = {task: label if (k + at) % 4 else None for at, (task, label) in enumerate(labels.items())}
        found.append(Record(folder / f"{k}.png", 64, 64, "train", "toy", annotations=known))
    return found


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    return records_of(tmp_path_factory.mktemp("toy") / "images")


def training(
    records: list[Record], folder: Path, sharing: dict[str, Any], tasks: tuple[str, ...] = tuple(TASKS), **train: Any
) -> Training:
    settings = {"size": [64, 64], "epochs": 1, "batch": 4, "workers": 0, "precision": "32", "checkpoint_every": 1}
    config = parse_config(
        {
            "tasks": {name: TASKS[name] for name in tasks},
            "sources": [{"format": "coco", "root": ".", "labels": "x.json", "tasks": list(tasks)}],
            "trunk": {"backbone": "lcnet_050", "pretrained": False, "channels": 16},
            "augment": {"mosaic": 0},
            "train": settings | train,
            "sharing": sharing,
        }
    )
    kept = [replace(one, annotations={name: one.annotations.get(name) for name in tasks}) for one in records]
    manifest = Manifest.build(kept, columns_of(create_tasks(config.tasks)))
    folder.mkdir(exist_ok=True)
    return Training(config, manifest, folder, Problems(), quiet=True)


def test_the_toy_has_every_kind_of_task():
    assert {task["kind"] for task in TASKS.values()} == set(KINDS)


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_every_kind_of_task_is_trained_and_scored(records, tmp_path, scheme):
    one = training(records, tmp_path / "run", SCHEMES[scheme])
    before = {name: value.clone() for name, value in one.network.state_dict().items()}
    one.run()
    with (tmp_path / "run" / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["task"] for row in rows if row["kind"] == "loss"} == set(TASKS)
    tied = {row["name"] for row in rows if row["kind"] == "sharing"}
    assert tied == ({scheme} if SCHEMES[scheme].get("scheme") == "soft" else set())
    after = one.network.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    for task in TASKS:
        assert any(name.startswith(f"heads.{task}.") for name in changed)
    for group in one.network.sharing.own:
        assert any(name.startswith(f"trunks.{group}.") for name in changed)
    assert all(torch.isfinite(value).all() for value in after.values() if value.is_floating_point())
    scores = one.score(np.arange(len(records)))
    assert scores.keys() == TASKS.keys()


@pytest.mark.parametrize("scheme", ["layers", "cross_stitch", "mtan", "omega", "adapters"])
def test_taken_up_in_the_middle_it_ends_to_the_bit_as_an_undisturbed_run(records, tmp_path, scheme, monkeypatch):
    tasks = ("kind", "ground", "squares")
    settings = SCHEMES[scheme] | ({"strength": 3.0} if "relation" in SCHEMES[scheme] else {})
    training(records, tmp_path / "run", settings, tasks, epochs=2).run()
    whole, _ = checkpoint.load(tmp_path / "run" / LAST)

    first = training(records, tmp_path / "run", settings, tasks, epochs=2)
    plain = first._save_state

    def save(step: int) -> None:
        plain(step)
        if step == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(first, "_save_state", save)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    training(records, tmp_path / "run", settings, tasks, epochs=2).run(resume=True)
    again, _ = checkpoint.load(tmp_path / "run" / LAST)
    assert again.keys() == whole.keys()
    assert [name for name in whole if not torch.equal(whole[name], again[name])] == []
    assert ("relation.omega" in whole) == (scheme == "omega")
    if scheme == "omega":
        assert not torch.equal(whole["relation.omega"], torch.eye(3) / 3)


def test_a_tie_without_strength_is_no_tie_and_relations_are_watched_all_the_same(records, tmp_path):
    tasks = ("kind", "ground")
    none = training(records, tmp_path / "none", {"scheme": "none"}, tasks)
    none.run()
    expected = none.network.state_dict()
    for relation in ("l2", "trace_norm", "omega"):
        soft = training(records, tmp_path / relation, {"scheme": "soft", "relation": relation, "strength": 0}, tasks)
        soft.run()
        found = {name: value for name, value in soft.network.state_dict().items() if name != "relation.omega"}
        assert found.keys() == expected.keys()
        assert [name for name in found if not torch.equal(found[name], expected[name])] == []
    strong = training(records, tmp_path / "strong", {"scheme": "soft", "strength": 100.0}, tasks)
    strong.run()
    assert any(not torch.equal(value, expected[name]) for name, value in strong.network.state_dict().items())


def test_a_tie_holds_trunks_together(records, tmp_path):
    apart = {}
    for strength in (0.0, 1e5):
        one = training(
            records, tmp_path / str(strength), {"scheme": "soft", "strength": strength}, ("kind", "tags"), epochs=3
        )
        one.run()
        apart[strength] = float(one.network.tie.term().detach())
    assert apart[1e5] < 0.5 * apart[0.0]


def test_alone_or_side_by_side_a_task_is_trained_alike(records, tmp_path):
    """One optimiser over all trunks, one clipping each: `none` is single-task networks trained side by side."""
    rows = [record for record in records if record.annotations["kind"] and record.annotations["tags"]]
    start = training(rows, tmp_path / "start", {"scheme": "none"}, ("kind", "tags"), batch=2)
    state = start.network.state_dict()
    alone = {name.replace("trunks.kind.", ""): value for name, value in state.items() if ".tags." not in name}
    checkpoint.save(tmp_path / "alone.safetensors", alone, {})
    start.run()
    single = training(rows, tmp_path / "alone", {}, ("kind",), batch=2, start=str(tmp_path / "alone.safetensors"))
    single.run()
    found = start.network.state_dict()
    for name, value in single.network.state_dict().items():
        if not name.startswith("neck"):  # nobody looks at it
            other = found[name if name.startswith("heads") else f"trunks.kind.{name}"]
            torch.testing.assert_close(value, other, rtol=1e-5, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")
