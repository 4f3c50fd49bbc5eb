"""The training loop: exact resumption, frozen tasks, a loss that is not finite, broken images, nothing overwritten."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import oneglance as og
from oneglance.annotations import Instances
from oneglance.config import parse_config
from oneglance.errors import OneglanceError, Problems
from oneglance.evaluation.evaluate import mean_relative_score
from oneglance.ingest import build_manifest
from oneglance.manifest import Manifest
from oneglance.network.network import Network
from oneglance.network.norm import BATCHES, sizes_in
from oneglance.tasks import create_tasks
from oneglance.training import checkpoint
from oneglance.training.api import absolute
from oneglance.training.fit import BEST, LAST, STATE, Training


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(path)[0]


def assert_same(one: Path, other: Path) -> None:
    a, b = tensors(one), tensors(other)
    assert a.keys() == b.keys()
    different = [name for name in a if not torch.equal(a[name], b[name])]
    assert not different


TRAIN = "import json, sys, torch; torch.set_num_threads(1); import oneglance as og; og.{call}"


def start(call: str, cwd: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN.format(call=call)], cwd=cwd, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()


@pytest.mark.slow
def test_killed_in_the_middle_and_resumed_it_ends_with_the_very_same_weights(tmp_path, shapes):
    (tmp_path / "c.json").write_text(json.dumps(shapes))
    call = "train(json.load(open('c.json')), out='{}')"
    finish(start(call.format("whole"), tmp_path))

    process = start(call.format("killed"), tmp_path)
    state = tmp_path / "killed" / STATE
    deadline = time.monotonic() + 300
    # Kill after the state of a step in the middle of an epoch (5 steps each) has been written.
    while time.monotonic() < deadline and process.poll() is None:
        if state.is_file() and checkpoint.load(state)[1]["step"] >= 7:
            break
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "killed" / LAST).exists()
    step = checkpoint.load(state)[1]["step"]
    assert 7 <= step < 15

    finish(start("resume('killed')", tmp_path))
    assert_same(tmp_path / "whole" / LAST, tmp_path / "killed" / LAST)
    assert_same(tmp_path / "whole" / BEST, tmp_path / "killed" / BEST)
    history = [(tmp_path / name / "history.csv").read_text() for name in ("whole", "killed")]
    assert history[0] == history[1]


@pytest.fixture
def run(tmp_path, shapes, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return og.train(shapes, ["train.epochs=1"], out="run", quiet=True)


def test_a_run_keeps_everything_that_is_needed_to_use_and_to_repeat_it(run, tmp_path):
    names = {path.name for path in run.folder.iterdir()}
    assert {"config.yaml", "manifest.arrow", "run.json", "history.csv", "problems.csv", LAST, BEST, STATE} <= names
    assert set(run.scores) == {"kind", "squares"}
    again = og.train(tmp_path / "run" / "config.yaml", out="again", quiet=True)
    assert_same(run.folder / LAST, again.folder / LAST)


def test_a_run_is_loaded_and_asked(run, tmp_path):
    model = og.load(run.folder)
    answers = model(tmp_path / "data" / "val" / "bright" / "20.png")
    assert set(answers) == {"kind", "squares"}
    assert answers["kind"].name in ("bright", "dark")
    assert isinstance(answers["squares"], Instances)
    assert answers.plot().width >= 64


def test_nothing_is_overwritten_and_a_finished_run_is_not_resumed(run, shapes):
    with pytest.raises(OneglanceError, match=r"run: not empty, and nothing is ever overwritten"):
        og.train(shapes, out="run", quiet=True)
    with pytest.raises(OneglanceError, match="this training is finished"):
        og.resume("run", quiet=True)


def training(tmp_path: Path, config: dict, **changes: object) -> Training:
    settings = parse_config(config, overrides=[f"{k}={json.dumps(v)}" for k, v in changes.items()])
    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    manifest = build_manifest(settings, tmp_path, Problems())
    return Training(settings, manifest, folder, Problems(), quiet=True)


def test_half_of_the_images_are_unknown_to_the_detector(tmp_path, shapes):
    manifest = build_manifest(parse_config(shapes), tmp_path, Problems())
    assert manifest.labelled("kind").sum() == 24
    assert manifest.labelled("squares").sum() == 12
    assert len(manifest) == 24


def test_a_frozen_task_keeps_weights_and_statistics_and_has_no_loss(tmp_path, shapes):
    training(tmp_path, shapes, **{"train.epochs": 1}).run()
    (tmp_path / "run").rename(tmp_path / "first")
    earlier = tensors(tmp_path / "first" / BEST)
    shapes["tasks"]["squares"]["freeze"] = True
    one = training(tmp_path, shapes, **{"train.epochs": 1, "train.start": str(tmp_path / "first")})
    other = one.network.heads["kind"].linear.weight.clone()
    torch.testing.assert_close(other, earlier["heads.kind.linear.weight"])
    one.run()
    head = {name: value for name, value in earlier.items() if name.startswith("heads.squares.")}
    assert any("running_mean" in name for name in head)
    after = tensors(tmp_path / "run" / LAST)
    assert all(torch.equal(value, after[name]) for name, value in head.items())
    assert not torch.equal(other, one.network.heads["kind"].linear.weight)
    history = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert any(",loss,kind," in line for line in history)
    assert not any(",loss,squares," in line for line in history)


def training_without_squares(tmp_path: Path, shapes: dict) -> dict[str, torch.Tensor]:
    """Weights of a network that never had the task."""
    fewer = {**shapes, "tasks": {"kind": shapes["tasks"]["kind"]}, "sources": shapes["sources"][:1]}
    return training(tmp_path, fewer).network.state_dict()


def test_a_start_that_does_not_fit_is_refused(tmp_path, shapes):
    with pytest.raises(OneglanceError, match=r"holds no best\.safetensors"):
        training(tmp_path, shapes, **{"train.start": str(tmp_path)})
    checkpoint.save(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {})
    with pytest.raises(OneglanceError, match=r"nothing in .* fits"):
        training(tmp_path, shapes, **{"train.start": str(tmp_path / "x.safetensors")})
    shapes["tasks"]["squares"]["freeze"] = True
    with pytest.raises(OneglanceError, match=r"tasks\.squares\.freeze: its head would stay random"):
        parse_config({**shapes, "train": {"epochs": 1}})
    checkpoint.save(tmp_path / "x.safetensors", training_without_squares(tmp_path, shapes), {})
    with pytest.raises(OneglanceError, match=r"tasks\.squares\.freeze: .* has no weights for its head"):
        training(tmp_path, shapes, **{"train.start": str(tmp_path / "x.safetensors")})


def test_a_loss_that_is_not_finite_stops_with_the_batch_saved(tmp_path, shapes, monkeypatch):
    one = training(tmp_path, shapes)
    task = one.tasks["kind"]
    plain, calls = task.loss, []

    def broken(outputs, targets):
        calls.append(1)
        terms = plain(outputs, targets)
        return {k: v * float("nan") for k, v in terms.items()} if len(calls) == 3 else terms

    monkeypatch.setattr(task, "loss", broken)
    with pytest.raises(OneglanceError, match=r"not finite at step 2 \(kind\.class.*nonfinite_step_2\.safetensors"):
        one.run()
    saved, facts = checkpoint.load(tmp_path / "run" / "nonfinite_step_2.safetensors")
    assert saved["images"].shape[1:] == (3, 64, 64)
    assert len(facts["paths"]) == 4


def test_an_image_that_breaks_after_it_was_listed_is_reported_and_passed_over(tmp_path, shapes):
    one = training(tmp_path, shapes, **{"train.epochs": 2})
    bad = sorted((tmp_path / "data" / "train" / "dark").iterdir())[0]
    bad.write_bytes(bad.read_bytes()[:200])
    one.run()
    assert [Path(p.where).name for p in one.problems] == [bad.name]


def test_data_or_length_that_changed_are_not_resumed_silently(tmp_path, shapes):
    training(tmp_path, shapes, **{"train.epochs": 1}).run()
    longer = training(tmp_path, shapes, **{"train.epochs": 2})
    with pytest.raises(OneglanceError, match="other data or another number of steps"):
        longer.run(resume=True)


def test_nothing_to_train_on_is_said(tmp_path, shapes):
    shapes["splits"] = {"fractions": {"val": 1.0}}
    settings = parse_config(shapes)
    manifest = build_manifest(settings, tmp_path, Problems())
    only_val = manifest.select(manifest.rows(split="val"))
    with pytest.raises(OneglanceError, match="no image of the split 'train' is labelled"):
        Training(settings, Manifest(only_val.table, only_val.columns), tmp_path, Problems(), quiet=True)


def test_averaged_weights_are_what_is_saved(tmp_path, shapes):
    one = training(tmp_path, shapes, **{"train.epochs": 1})
    one.run()
    saved, own = tensors(tmp_path / "run" / LAST), one.network.state_dict()
    weight = "heads.kind.linear.weight"
    torch.testing.assert_close(saved[weight], one.average.state[weight])
    assert not torch.equal(saved[weight], own[weight])


def test_the_mean_relative_score_weighs_tasks_alike_whatever_their_unit():
    tasks = create_tasks(
        parse_config(
            {
                "tasks": {
                    "kind": {"kind": "classification", "classes": ["a", "b"]},
                    "eyes": {"kind": "keypoints", "points": 2},
                },
                "sources": [{"format": "folder", "root": ".", "tasks": ["kind", "eyes"]}],
            }
        ).tasks
    )
    best = {"kind": 0.8, "eyes": 0.05}
    assert mean_relative_score(best, best, tasks) == 1
    assert mean_relative_score({"kind": 0.4, "eyes": 0.05}, best, tasks) == pytest.approx(0.75)
    assert mean_relative_score({"kind": 0.8, "eyes": 0.1}, best, tasks) == pytest.approx(0.75)
    assert mean_relative_score({"kind": float("nan"), "eyes": 0.05}, best, tasks) == 1
    assert np.isnan(mean_relative_score({"kind": float("nan")}, best, tasks))


def test_training_stops_where_scores_no_longer_rise(tmp_path, shapes, monkeypatch):
    one = training(tmp_path, shapes, **{"train.epochs": 9, "train.patience": 2, "train.checkpoint_every": 99})
    constant = {"kind": {"accuracy": 0.5}, "squares": {"map": 0.1}}
    monkeypatch.setattr(one, "score", lambda rows: constant)
    one.run()
    epochs = {line.split(",")[1] for line in (tmp_path / "run" / "history.csv").read_text().splitlines()[1:]}
    assert epochs == {"0", "1", "2"}  # the best is the first; two more bring nothing
    assert (tmp_path / "run" / LAST).is_file()


def test_bf16_trains_to_finite_weights(tmp_path, shapes):
    one = training(tmp_path, shapes, **{"train.epochs": 1, "train.precision": "bf16"})
    one.run()
    assert all(torch.isfinite(v).all() for v in one.average.state.values() if v.is_floating_point())


def test_a_task_without_labels_in_a_batch_leaves_the_step(tmp_path, shapes):
    """Kind is known of all images, boxes of half: batches of one image show steps without the detector."""
    one = training(tmp_path, shapes, **{"train.epochs": 1, "train.batch": 1})
    one.run()
    rows = [line.split(",") for line in (tmp_path / "run" / "history.csv").read_text().splitlines()[1:]]
    steps = {row[0]: {r[3] for r in rows if r[0] == row[0] and r[2] == "loss"} for row in rows if row[2] == "loss"}
    assert {"kind"} in steps.values() or {"kind", "squares"} in steps.values()
    assert all("kind" in tasks for tasks in steps.values())


def stopped_after(steps: int, one: Training, monkeypatch) -> None:
    """Run until the state of this step was written, and no further."""
    plain = one._save_state

    def save(step: int) -> None:
        plain(step)
        if step == steps:
            raise KeyboardInterrupt

    monkeypatch.setattr(one, "_save_state", save)
    with pytest.raises(KeyboardInterrupt):
        one.run()


@pytest.mark.parametrize("steps", [2, 5, 10])
def test_taken_up_at_a_step_it_ends_like_an_undisturbed_run(tmp_path, shapes, monkeypatch, steps):
    """In the middle of an epoch, at the end of one, and when only the last weights are missing."""
    changes = {"train.epochs": 2, "train.workers": 0, "train.evaluate_every": 1}
    whole = training(tmp_path, shapes, **changes)
    scores = whole.run()
    last = tensors(tmp_path / "run" / LAST)
    stopped_after(steps, training(tmp_path, shapes, **changes), monkeypatch)
    again = training(tmp_path, shapes, **changes)
    assert repr(again.run(resume=True)) == repr(scores)  # NaN is not equal to itself
    assert all(torch.equal(value, last[name]) for name, value in tensors(tmp_path / "run" / LAST).items())


def test_a_run_out_of_patience_that_was_killed_before_its_end_trains_no_further(tmp_path, shapes, monkeypatch):
    changes = {"train.epochs": 9, "train.patience": 1, "train.checkpoint_every": 99, "train.workers": 0}
    one, again = training(tmp_path, shapes, **changes), training(tmp_path, shapes, **changes)
    for each in (one, again):
        monkeypatch.setattr(each, "score", lambda rows: {"kind": {"accuracy": 0.5}, "squares": {"map": 0.1}})
    stopped_after(10, one, monkeypatch)  # the second evaluation brought nothing
    assert again.run(resume=True)["kind"] == {"accuracy": 0.5}
    assert checkpoint.load(tmp_path / "run" / STATE)[1]["step"] == 10


def test_without_a_score_there_is_no_best_and_no_patience_is_lost(tmp_path, shapes, monkeypatch):
    one = training(tmp_path, shapes, **{"train.epochs": 3, "train.patience": 1, "train.workers": 0})
    nan = float("nan")
    monkeypatch.setattr(one, "score", lambda rows: {"kind": {"accuracy": nan}, "squares": {"map": nan}})
    one.run()
    assert checkpoint.load(tmp_path / "run" / STATE)[1]["step"] == 15
    assert not (tmp_path / "run" / BEST).exists()  # the weights of the first evaluation would be no better


def test_a_mosaic_with_nothing_but_a_frozen_task_is_no_step(tmp_path, shapes):
    checkpoint.save(tmp_path / "start.safetensors", training(tmp_path, shapes).network.state_dict(), {})
    shapes["tasks"]["squares"]["freeze"] = True
    shapes["train"]["start"] = str(tmp_path / "start.safetensors")
    shapes["augment"] = {"mosaic": 1.0}
    manifest = build_manifest(parse_config(shapes), tmp_path, Problems())
    labelled = manifest.select(np.flatnonzero(manifest.labelled("squares")))
    one = Training(parse_config(shapes), labelled, tmp_path, Problems(), quiet=True)
    assert all(set(batch.rows) == {"kind"} for batches in one.loader.epoch(0) for batch in batches)


def test_a_gradient_that_is_not_finite_stops_before_the_state_is_spoilt(tmp_path, shapes, monkeypatch):
    one = training(tmp_path, shapes, **{"train.workers": 0, "train.checkpoint_every": 1})
    weight = one.network.heads["kind"].linear.weight
    calls = []
    weight.register_hook(lambda grad: grad * float("inf") if calls.append(1) or len(calls) == 3 else grad)
    with pytest.raises(OneglanceError, match=r"not finite at step 2 \(its gradient\)"):
        one.run()
    state, facts = checkpoint.load(tmp_path / "run" / STATE)
    assert facts["step"] == 2
    assert all(torch.isfinite(value).all() for value in state.values())


def test_an_image_of_val_that_cannot_be_read_is_reported(tmp_path, shapes):
    one = training(tmp_path, shapes, **{"train.epochs": 2, "train.workers": 0})
    bad = sorted((tmp_path / "data" / "val" / "dark").iterdir())[0]
    bad.write_bytes(bad.read_bytes()[:200])
    one.run()
    assert [Path(p.where).name for p in one.problems] == [bad.name]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mixing", {"weights": {"shape": 2}}),
        ("augment_sources", {"shape": {}}),
        ("train", {"sizes": {"shape": [64, 64]}}),
        ("train", {"eval_sizes": {"shape": [64, 64]}}),
    ],
)
def test_settings_of_a_source_that_is_not_there_are_refused(tmp_path, shapes, key, value):
    shapes[key] = value
    with pytest.raises(OneglanceError, match=r"no source is called 'shape'; did you mean 'shapes'\?"):
        training(tmp_path, shapes)


def test_sources_keep_their_names_when_their_paths_become_absolute(tmp_path):
    of = {"format": "folder", "tasks": ["kind"]}
    sources = [{**of, "root": "one"}, {**of, "root": "two"}, {**of, "root": ".", "name": "three"}]
    sources += [{"format": "coco", "images": "four", "labels": "four.json", "tasks": ["kind"]}]
    tasks = {"kind": {"kind": "classification", "classes": ["a", "b"]}}
    config = parse_config({"tasks": tasks, "sources": sources})
    before = [source.source_name(tmp_path) for source in config.sources]
    assert before == ["one", "two", "three", "four"]
    assert [source.source_name(tmp_path) for source in absolute(config, tmp_path).sources] == before


def test_a_device_that_is_not_there_is_said(tmp_path, shapes):
    with pytest.raises(OneglanceError, match=r"train\.device 'gpu0': must be auto, cpu"):
        training(tmp_path, shapes, **{"train.device": "gpu0"})


@pytest.mark.parametrize("freeze", [True, False])
def test_what_a_head_knows_of_its_labels_is_taken_over_with_its_weights(tmp_path, shapes, freeze):
    shapes["tasks"]["size"] = {"kind": "regression", "targets": ["pixels"]}
    shapes["sources"].append(
        {"format": "csv", "name": "shapes", "root": "data", "labels": "sizes.csv", "tasks": {"size": ["pixels"]}}
    )
    images = sorted(path.relative_to(tmp_path / "data") for path in (tmp_path / "data").rglob("*.png"))
    lines = [f"{path},{100 + 10 * k}" for k, path in enumerate(images)]
    (tmp_path / "data" / "sizes.csv").write_text("\n".join(["image,pixels", *lines]))
    one = training(tmp_path, shapes)
    mean = one.network.heads["size"].mean
    assert mean.item() > 100
    with torch.no_grad():
        mean.fill_(7)
    checkpoint.save(tmp_path / "x.safetensors", one.network.state_dict(), {})
    shapes["tasks"]["size"]["freeze"] = freeze
    again = training(tmp_path, shapes, **{"train.start": str(tmp_path / "x.safetensors")})
    assert again.network.heads["size"].mean.item() == 7


def test_weights_may_be_read_by_whom_the_users_other_files_may(tmp_path):
    (tmp_path / "other").touch()
    checkpoint.save(tmp_path / "w.safetensors", {"x": torch.zeros(2)}, {})
    assert (tmp_path / "w.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_interrupted_under_a_balance_that_remembers_it_ends_with_the_very_same_weights(tmp_path, shapes, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shapes["balance"] = {"method": "uncertainty", "normalise": "initial", "lr": 0.1, "over": "terms", "record": 2}
    shapes["train"] |= {"accumulate": 2, "workers": 0, "epochs": 2, "evaluate_every": 2}
    og.train(shapes, out="whole", quiet=True)
    saved = Training._save_state

    def killed(self: Training, step: int) -> None:
        saved(self, step)
        if step == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(Training, "_save_state", killed)
    with pytest.raises(KeyboardInterrupt):
        og.train(shapes, out="killed", quiet=True)
    monkeypatch.setattr(Training, "_save_state", saved)
    og.resume("killed", quiet=True)
    assert_same(tmp_path / "whole" / LAST, tmp_path / "killed" / LAST)
    assert_same(tmp_path / "whole" / STATE, tmp_path / "killed" / STATE)
    history = [(tmp_path / name / "history.csv").read_text() for name in ("whole", "killed")]
    assert history[0] == history[1]
    # The detector's parts are two, and what was recorded of them can be read.
    rows = [line.split(",") for line in history[0].splitlines()[1:]]
    assert {row[3] for row in rows if row[2] == "factor"} == {"kind", "squares.class", "squares.box"}
    assert ("squares.class", "squares.box") in {(row[3], row[4]) for row in rows if row[2] == "conflict"}


@pytest.fixture
def two_sizes(tmp_path, shapes):
    """The boxes' images small, the others, of which only the kind is known, as large again."""
    boxed = [source for source in shapes["sources"] if source["format"] == "voc"]
    shapes["sources"] = [{"format": "folder", "name": "kinds", "root": "data", "splits": ["train", "val"]}]
    shapes["sources"][0]["tasks"] = ["kind"]
    for source in boxed:
        source["name"] = "boxes"
    shutil.copytree(tmp_path / "data", tmp_path / "elsewhere")
    shapes["sources"] += [source | {"root": "elsewhere"} for source in boxed]
    shapes["train"] |= {"size": [128, 128], "sizes": {"boxes": [64, 64]}, "epochs": 1}
    return shapes


def test_sources_of_different_sizes_are_trained_in_one_step_and_scored_at_their_own(tmp_path, two_sizes, monkeypatch):
    seen: dict[str, set[int]] = {}
    forward = Network.forward

    def watched(self: Network, images: torch.Tensor, rows: dict, *args: object):
        for name in rows:
            seen.setdefault(f"{name} {'trained' if self.training else 'scored'}", set()).add(images.shape[-1])
        return forward(self, images, rows, *args)

    monkeypatch.setattr(Network, "forward", watched)
    one = training(tmp_path, two_sizes)
    parts = [[tuple(part.images.shape) for part in batches] for batches in one.loader.epoch(0)]
    assert all(len(of_step) == 2 for of_step in parts)
    scores = one.run()
    assert seen["kind trained"] == {128}
    assert seen["squares trained"] == {64}
    assert math.isfinite(scores["kind"]["accuracy"])
    assert math.isfinite(scores["squares"]["map"])
    # Norms have statistics of each size, where they have seen it.
    state = one.network.state_dict()
    assert sizes_in(state) == [(128, 128), (64, 64)]
    batches = {name: value.tolist() for name, value in state.items() if name.endswith(BATCHES)}
    assert all(of_norm[0] == 0 < of_norm[1] for name, of_norm in batches.items() if name.startswith("heads.squares"))
    assert all(of_norm[0] > 0 < of_norm[1] for name, of_norm in batches.items() if name.startswith("backbone"))


def test_a_run_of_several_sizes_is_loaded_with_the_statistics_of_each(tmp_path, two_sizes, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = og.train(two_sizes, out="run", quiet=True)
    model = og.load(run.folder)
    saved = tensors(run.folder / model.weights)
    assert len(sizes_in(saved)) == 2
    assert all(torch.equal(value, saved[name]) for name, value in model.network.state_dict().items())
    answers = model(tmp_path / "data" / "val" / "bright" / "20.png")
    assert set(answers) == {"kind", "squares"}
    # What was learnt of one size and more goes on with one: the only statistics there are.
    onwards = two_sizes | {"train": two_sizes["train"] | {"size": [64, 64], "sizes": {}, "start": str(run.folder)}}
    one = training(tmp_path, onwards)
    assert one.network.statistics is None
    norm = next(name for name in saved if name.endswith("mean_by_size"))
    stem = norm.removesuffix("mean_by_size")
    seen = saved[f"{stem}{BATCHES}"] > 0
    assert torch.equal(one.network.state_dict()[f"{stem}running_mean"], saved[norm][seen].mean(0))


@pytest.mark.parametrize("at", ["features", "channels", "parameters"])
def test_a_step_in_parts_is_a_step(at, tmp_path, shapes, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shapes["balance"] = {"method": "upgrad", "at": at, "record": 1}
    shapes["train"] |= {"accumulate": 2, "workers": 0, "epochs": 1}
    run = og.train(shapes, out="run", quiet=True)
    kinds = {line.split(",")[2] for line in (run.folder / "history.csv").read_text().splitlines()[1:]}
    assert {"loss", "factor", "gradient", "conflict", "score"} <= kinds
