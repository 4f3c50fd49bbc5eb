"""Whole searches, with networks that are trained in a second or less each."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import oneglance as og
from oneglance.cli import app
from oneglance.config import load_config
from oneglance.errors import OneglanceError
from oneglance.training.finite import NotFinite
from oneglance.training.fit import Training
from oneglance.tuning import trials
from oneglance.tuning.search import JOURNAL, Search, lock_of
from oneglance.tuning.space import Space, parse_space
from oneglance.tuning.trials import FoldResult, Trials


@pytest.fixture
def config(tmp_path: Path, shapes: dict[str, Any]) -> Path:
    shapes["trunk"] = {"backbone": "test_resnet", "pretrained": False, "channels": 16}
    shapes["tasks"] = {"kind": shapes["tasks"]["kind"]}
    shapes["sources"] = shapes["sources"][:1]
    shapes["train"] |= {"epochs": 2, "workers": 0, "evaluate_every": 1, "device": "cpu"}
    path = tmp_path / "shapes.yaml"
    path.write_text(yaml.safe_dump(shapes), encoding="utf-8")
    return path


class Pretended:
    """In place of trainings: scores by a rule, and a note of each that was made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[float, int, float]] = []
        self.stop_at: int | None = None
        self.best = 0.5
        pretended = self

        class Fake:
            cost = {"seconds": 1.0, "images": 1}

            def __init__(self, config: Any, manifest: Any, folder: Path, *_: Any, on_scores: Any, **__: Any) -> None:
                self.lr, self.fold, self.tell = config.train.lr, int(folder.name[-1]), on_scores

            def run(self, resume: bool) -> Any:
                score = 0.5
                for epoch in (1, 2):
                    pretended.made.append((self.lr, self.fold, epoch))
                    if len(pretended.made) == pretended.stop_at:
                        raise KeyboardInterrupt
                    if self.lr > 0.5:
                        raise NotFinite("the loss is not finite. The batch was saved")
                    score = pretended.best * epoch / 2 / (1 + abs(self.lr - 0.1))
                    self.tell(epoch, {"kind": {"accuracy": score}})
                return {"kind": {"accuracy": score}}

        monkeypatch.setattr(trials, "Training", Fake)
        for other in ("judge", "write_page"):
            monkeypatch.setattr(f"oneglance.tuning.api.{other}", lambda *_, **__: None)


def search(config: Path, out: Path, count: int, vary: str = "train.lr=0.001..0.4", **more: Any) -> og.Tuning:
    return og.tune(config, [vary], trials=count, folds=2, out=out, quiet=True, **more)


def test_a_search_that_is_interrupted_at_any_point_ends_as_if_it_had_not_been(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretended = Pretended(monkeypatch)
    whole = search(config, tmp_path / "whole", 6, pruning="none")
    everything = list(pretended.made)
    assert len(everything) == 2 * 2 * (1 + 6)
    for stop in (3, 14):
        pretended.made, pretended.stop_at = [], stop
        out = tmp_path / f"stopped-{stop}"
        with pytest.raises(KeyboardInterrupt):
            search(config, out, 6, pruning="none")
        pretended.stop_at = None
        again = search(config, out, 6, pruning="none")
        assert [(one.number, one.values, one.value) for one in again.points] == [
            (one.number, one.values, one.value) for one in whole.points
        ]
        # The one that was under way was begun anew, nothing else.
        assert len(pretended.made) <= len(everything) + 2
    assert whole.best is not None
    assert whole.best_config is not None
    assert load_config(whole.best_config).train.lr == whole.best.values["train.lr"]
    assert abs(whole.best.values["train.lr"] - 0.1) == min(abs(one.values["train.lr"] - 0.1) for one in whole.points)
    # More trials go on with those that are there.
    pretended.made = []
    more = search(config, tmp_path / "whole", 8, pruning="none")
    assert [one.values for one in more.points[:6]] == [one.values for one in whole.points]
    assert len(pretended.made) == 2 * 2 * 2


def test_what_is_the_same_is_trained_once(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretended = Pretended(monkeypatch)
    said: list[str] = []
    found = search(config, tmp_path / "out", 9, "train.lr={0.001, 0.1, 0.2}", say=said.append)
    # The one that was given is one of the three.
    assert sorted(one.values["train.lr"] for one in found.points) == [0.1, 0.2]
    assert len(pretended.made) == len(set(pretended.made))
    assert found.exhausted
    assert any("was tried" in line for line in said)
    grid = search(config, tmp_path / "grid", None, "train.lr={0.001, 0.1, 0.2}", method="grid")  # type: ignore[arg-type]
    assert [one.value for one in sorted(grid.points, key=lambda p: p.number)] == [
        one.value for one in sorted(found.points, key=lambda p: grid_place(grid, p.values))
    ]


def grid_place(found: og.Tuning, values: dict[str, Any]) -> int:
    return next(one.number for one in found.points if one.values == values)


def test_a_trial_that_is_behind_is_stopped(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretended = Pretended(monkeypatch)
    found = search(config, tmp_path / "out", None, "train.lr=0.1..0.4:linear:7", method="grid")  # type: ignore[arg-type]
    stopped = [one for one in found.points if one.state == "pruned"]
    ended = [one for one in found.points if one.state == "complete"]
    assert stopped
    assert len(ended) >= 4
    assert max(one.value for one in ended) == max(1.0, *(one.value for one in ended))
    for one in stopped:  # neither all epochs nor all folds
        assert len([made for made in pretended.made if made[0] == one.values["train.lr"]]) < 4
        assert not (tmp_path / "out" / "runs" / one.key / "fold-1").exists()


def test_where_next_to_nothing_is_learnt_it_is_said(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretended, said = Pretended(monkeypatch), list[str]()
    search(config, tmp_path / "some", 1, say=said.append)
    assert not any("next to nothing" in line for line in said)
    pretended.best = 0.005
    search(config, tmp_path / "none", 1, say=said.append)
    assert any("task 'kind': the configuration as it is scores next to nothing on a fold" in line for line in said)


def test_hyperband_stops_trials_too(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Pretended(monkeypatch)
    found = search(config, tmp_path / "out", 12, pruning="hyperband")
    assert {one.state for one in found.points} == {"complete", "pruned"}


def test_a_training_that_breaks_down_is_the_worst(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Pretended(monkeypatch)
    said: list[str] = []
    found = search(config, tmp_path / "out", 2, "train.lr={0.1, 0.7}", say=said.append)
    by_lr = {one.values["train.lr"]: one for one in found.points}
    assert by_lr[0.7].value == 0
    assert "not finite" in by_lr[0.7].reason
    assert found.best is by_lr[0.1]
    assert any("broke down" in line for line in said)


def test_values_that_cannot_be_trained_are_told_and_left(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backbone that nobody knows is seen only when it is built: the search goes on, and does not come back to it."""
    pretended = Pretended(monkeypatch)
    fake = trials.Training.__init__

    def built(self: Any, config: Any, *more: Any, **named: Any) -> None:
        if config.trunk.backbone == "nothing":
            raise OneglanceError("timm has no model 'nothing'")
        fake(self, config, *more, **named)

    monkeypatch.setattr(trials.Training, "__init__", built)
    vary = "trunk.backbone={test_resnet, nothing, test_vit}"
    for count in (1, 2):
        found = search(config, tmp_path / "out", 5, vary)
        by = {one.values["trunk.backbone"]: one for one in found.points}
        assert (by["nothing"].state, by["nothing"].reason) == ("failed", "timm has no model 'nothing'")
        assert by["test_vit"].state == "complete"
        assert len(found.points) == 2, count
    assert len(pretended.made) == 2 * 2 * 2


def test_a_folder_is_gone_on_with_only_as_it_was_begun(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Pretended(monkeypatch)
    out = tmp_path / "out"
    found = search(config, out, 3)
    with pytest.raises(OneglanceError, match="another vary"):
        search(config, out, 1, "train.lr=0.001..0.3")
    with pytest.raises(OneglanceError, match=r"another configuration \(train\)"):
        search(config, out, 1, overrides=["train.epochs=3"])
    search(config, out, 1, overrides=["train.workers=1"])  # where and how fast is another matter
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all my work")
    with pytest.raises(OneglanceError, match="not empty and no folder of `oneglance tune`"):
        search(config, tmp_path / "mine", 1)
    assert found.best_config is not None
    found.best_config.write_text(found.best_config.read_text() + "# mine\n")
    said: list[str] = []
    more = search(config, out, 9, say=said.append)
    assert found.best_config.read_text().endswith("# mine\n")
    assert more.best_config != found.best_config
    assert any("changed by hand" in line for line in said)


def test_a_journal_that_was_cut_off_is_mended(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Pretended(monkeypatch)
    out = tmp_path / "out"
    before = search(config, out, 2)
    with (out / JOURNAL).open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    after = search(config, out, 3)
    assert [one.values for one in after.points[:2]] == [one.values for one in before.points]
    assert len(after.points) == 3


def test_two_who_ask_at_once_get_different_trials(config: Path, tmp_path: Path) -> None:
    base = load_config(config)
    space = Space(base, parse_space(["train.lr=0.001..0.4"], base))
    first, second = (Search(tmp_path, space, "tpe", "none", 3, 200) for _ in range(2))
    one, two = first.claim(), second.claim()
    assert one is not None
    assert two is not None
    assert (one.number, two.number) == (0, 1)
    assert one.values != two.values
    one.finish(1.0)
    one.release()
    three = second.claim()
    assert three is not None
    # All are given out, and two are under way elsewhere, or here.
    assert first.claim() is None
    assert first.elsewhere == 2
    two.release()  # as the system does it for a process that was killed
    taken = first.claim()
    assert taken is not None
    assert (taken.number, taken.values, taken.again) == (two.number, two.values, True)


def test_a_whole_search(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["tune", str(config), "--vary", "train.lr=1e-3..1e-2:log", "--weights", "--trials", "2", "--folds", "2"]
    arguments += ["--seeds", "1", "--out", str(out), "--quiet", "train.epochs=1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    data = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert len(data["trials"]) == 2
    assert data["images_by_fold"] == [8, 8]
    assert data["images_unseen"] == 8
    assert set(data["vary"]) == {"train.lr", "tasks.kind.weight"}
    for one in data["trials"]:
        folds = [a / b for a, b in zip(one["by_fold"]["kind"], data["given"]["by_fold"]["kind"], strict=False)]
        assert one["value"] is None or one["value"] == pytest.approx(sum(folds) / 2)
    page = (out / "tune.html").read_text(encoding="utf-8")
    for text in ("Which settings are better?", "The answer", "History", "All trials"):
        assert text in page
    if data["best_trial"] is not None:
        assert data["judgement"]["tasks"]["kind"]["difference"]["images"] == 8
        assert "images that no trial saw" in data["judgement"]["in_words"]
        # Of eight images with one seed, an interval can't always be said.
        assert "interval" in data["judgement"]["in_words"]
    # Weights and states of trials are not kept.
    assert not list((out / "runs").rglob("*.safetensors"))
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 0
    assert again.output.splitlines()[:-2] == result.output.splitlines()[:-2]


def test_a_killed_process_loses_nothing_and_two_share_a_search(config: Path, tmp_path: Path) -> None:
    """One is killed in the middle of a training, others take up what it was at; no training is made twice."""
    out = tmp_path / "out"
    more = {"overrides": ["train.epochs=4", "train.evaluate_every=9", "train.checkpoint_every=4", "train.batch=2"]}
    processes = multiprocessing.get_context("fork")  # new interpreters would take longer than all trainings

    def begin() -> Any:
        arguments = {"seeds": 1, "pruning": "none", "vary": "train.lr=1e-3..1e-2:log", **more}
        one = processes.Process(target=search, args=(config, out, 2), kwargs=arguments)
        one.start()
        return one

    state, done = "runs/*/fold-2/state.safetensors", "runs/*/fold-*.json"
    killed = begin()
    began = time.monotonic()
    while not list(out.glob(state)):
        assert killed.is_alive()
        assert time.monotonic() - began < 200
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    finished = {path: path.stat().st_mtime_ns for path in out.glob(done)}
    assert len(finished) == 1
    both = [begin(), begin()]
    for one in both:
        one.join(300)
    assert [one.exitcode for one in both] == [0, 0]
    data = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert [one["state"] for one in data["trials"]] == ["complete"] * 2
    assert len({data["given"]["key"], *(one["key"] for one in data["trials"])}) == 3
    assert len(list(out.glob(done))) == 2 * (1 + 2)
    assert all(path.stat().st_mtime_ns == written for path, written in finished.items())


def test_errors_of_the_command_line(config: Path) -> None:
    result = CliRunner().invoke(app, ["tune", str(config)])
    assert result.exit_code == 2
    assert "nothing is varied" in result.output
    result = CliRunner().invoke(app, ["tune", str(config), "--vary", "train.lr=0.1..1", "--method", "grid"])
    assert "a grid needs steps" in result.output
    assert "0.1..1:linear:5" in result.output
    result = CliRunner().invoke(app, ["tune", "--help"])
    assert "Example" in result.output


def test_a_training_tells_its_scores_and_can_be_stopped(config: Path, tmp_path: Path) -> None:
    """What a trial's pruning hangs on: the state is safe when the scores are told."""
    given = og.train(config, out=tmp_path / "whole", quiet=True)
    from oneglance.manifest import Manifest
    from oneglance.training.api import MANIFEST, read_config

    told: list[int] = []

    def stop(epochs: int, scores: Any) -> None:
        told.append(epochs)
        if epochs == 1 and len(told) == 1:
            raise InterruptedError

    parts = read_config(given.folder), Manifest.read(given.folder / MANIFEST), tmp_path / "stopped"
    parts[2].mkdir()
    with pytest.raises(InterruptedError):
        Training(*parts, og.errors.Problems(), quiet=True, on_scores=stop).run()  # type: ignore[attr-defined]
    scores = Training(*parts, og.errors.Problems(), quiet=True, on_scores=stop).run(resume=True)  # type: ignore[attr-defined]
    assert told == [1, 2]
    assert scores == given.scores


def test_trials_remember(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretended = Pretended(monkeypatch)

    class Two:
        tasks = ("kind",)

        def manifest(self, fold: int) -> None:
            return None

    base = load_config(config)
    made = Trials(tmp_path, Two(), quiet=True)  # type: ignore[arg-type]
    told: list[float] = []
    first = made.run(base, 0, lambda share, own: told.append(share))
    assert isinstance(first, FoldResult)
    assert made.run(base, 0, lambda share, own: told.append(share)) == first
    assert told == [0.5, 0.5]  # the last is no news: it is the result
    assert len(pretended.made) == 2
    assert lock_of(tmp_path, "x").lock_file.endswith("x.lock")
