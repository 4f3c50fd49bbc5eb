"""Whole populations: of pretended trainings, which note the values they were made with, and of a real network."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

import oneglance as og
from oneglance.cli import app
from oneglance.config import load_config
from oneglance.errors import OneglanceError, Problems
from oneglance.evidence.plan import read_given
from oneglance.training import checkpoint
from oneglance.training.finite import NotFinite
from oneglance.training.fit import STATE, Training
from oneglance.training.schedule import Stages
from oneglance.tuning import evolution, members, together, trials
from oneglance.tuning.evolution import Evolution
from oneglance.tuning.folds import Folds
from oneglance.tuning.members import Members
from oneglance.tuning.page import write_page
from oneglance.tuning.population import Slice, lineage
from oneglance.tuning.space import Space

STEPS = 5  # of an epoch of a pretended training


@pytest.fixture
def config(tmp_path: Path, shapes: dict[str, Any]) -> Path:
    shapes["trunk"] = {"backbone": "test_resnet", "pretrained": False, "channels": 16}
    shapes["tasks"] = {"kind": shapes["tasks"]["kind"]}
    shapes["sources"] = shapes["sources"][:1]
    shapes["train"] |= {"epochs": 6, "workers": 0, "evaluate_every": 3, "device": "cpu", "patience": 1, "lr": 0.01}
    path = tmp_path / "shapes.yaml"
    path.write_text(yaml.safe_dump(shapes), encoding="utf-8")
    return path


class Pretended:
    """In place of trainings: the state is the list of the learning rates that every epoch was made with, the score is
    how near they are to what was best at the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[str, int, float]] = []
        self.stop_at: int | None = None
        self.breaks = 2.0
        self.pause = 0.0
        pretended = self

        class Fake:
            cost = {"seconds": 1.0, "images": 1}

            def __init__(self, config: Any, manifest: Any, folder: Path, *_: Any, on_scores: Any, **__: Any) -> None:
                self.config, self.folder, self.tell = config, folder, on_scores

            def run(self, resume: bool) -> Any:
                epochs = self.config.train.epochs
                stages = Stages(self.config, STEPS * epochs)
                rates = checkpoint.load(self.folder / STATE)[0]["rates"].tolist() if resume else []
                for epoch in range(len(rates), epochs):
                    time.sleep(pretended.pause)
                    lr = stages.at(STEPS * epoch).train.lr
                    pretended.made.append((str(self.folder), epoch, lr))
                    if len(pretended.made) == pretended.stop_at:
                        raise KeyboardInterrupt
                    if lr > pretended.breaks and "population" in self.folder.parts:
                        raise NotFinite("the loss is not finite. The batch was saved")
                    rates.append(lr)
                    score = sum(1 / (1 + abs(rate - 0.1 * k)) for k, rate in enumerate(rates)) / epochs / 2
                    facts = {"step": STEPS * len(rates), "total": STEPS * epochs, "seconds": len(rates), "images": 1}
                    history = {"history": [{"kind": score}]}
                    checkpoint.save(
                        self.folder / STATE, {"rates": torch.tensor(rates, dtype=torch.float64)}, facts | history
                    )
                    if (epoch + 1) % self.config.train.evaluate_every == 0 or epoch + 1 == epochs:
                        self.tell(epoch + 1, {"kind": {"accuracy": score}})
                return {"kind": {"accuracy": score}}

        for module in (trials, members):
            monkeypatch.setattr(module, "Training", Fake)
        for other in ("judge", "write_page"):
            monkeypatch.setattr(f"oneglance.tuning.api.{other}", lambda *_, **__: None)
        monkeypatch.setattr(together, "PATIENCE", 0.02)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    return Pretended(monkeypatch)


def evolve(config: Path, out: Path, **more: Any) -> og.Tuning:
    options = {"members": 8, "every": 1, "folds": 2, "quiet": True} | more
    return og.tune(config, ["train.lr=0.001..1.0"], method="population", out=out, **options)


def comparable(found: og.Tuning) -> Any:
    assert found.population is not None
    return found.population.slices, found.population.line, found.points, found.population.config


def test_what_comes_of_it_is_the_best_ones_line(
    config: Path, tmp_path: Path, pretended: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oneglance.tuning.api.write_page", write_page)
    found = evolve(config, tmp_path / "out")
    population = found.population
    assert population is not None
    assert found.best is not None
    assert found.best.value == max(one.value for one in found.points) > 1
    assert len(population.slices) == 6
    # The rates that the winner's state holds are those that its line and the proposal say.
    proposal = load_config(found.best_config or Path())
    assert proposal == population.config
    stages = Stages(proposal, 6 * STEPS)
    rates = [stages.at(STEPS * epoch).train.lr for epoch in range(6)]
    assert rates == [one.values["train.lr"] for one in population.line]
    made = [lr for folder, epoch, lr in pretended.made for one in population.line[epoch : epoch + 1]
            if folder.endswith(f"slice-{epoch + 1}/member-{one.number}/fold-1")]  # fmt: skip
    assert made == rates
    assert len(set(rates)) > 1
    score = sum(1 / (1 + abs(rate - 0.1 * k)) for k, rate in enumerate(rates)) / 12
    assert found.best.scores["kind"] == pytest.approx(score)
    assert found.best.value == pytest.approx(score / found.baseline.scores["kind"])
    # No weights are kept, and what was found is written down.
    assert not list((tmp_path / "out").rglob("*.safetensors"))
    data = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert [one["number"] for one in data["population"]["slices"][-1]["members"]] == list(range(8))
    assert data["population"]["line"] == [one.number for one in population.line]
    page = (tmp_path / "out" / "tune.html").read_text(encoding="utf-8")
    for text in ("a population of 8, in 6 slices", "Progress", "Whose training", "from epoch", "goes on from", "luck"):
        assert text in page
    for plot in ("progress.png", "lineage.png", "value_train_lr.png"):
        assert (tmp_path / "out" / "plots" / plot).is_file()


def test_stopped_anywhere_it_ends_as_if_it_had_not_been(config: Path, tmp_path: Path, pretended: Pretended) -> None:
    whole = evolve(config, tmp_path / "whole", members=4, every=2)
    everything = [one[1:] for one in pretended.made]
    # 6 epochs of the given one, and of 4 members, on 2 folds.
    assert len(everything) == 2 * 6 * (1 + 4)
    for stop in (5, 14, 27, 58):
        out = tmp_path / f"stopped-{stop}"
        pretended.made, pretended.stop_at = [], stop
        with pytest.raises(KeyboardInterrupt):
            evolve(config, out, members=4, every=2)
        pretended.stop_at = None
        again = evolve(config, out, members=4, every=2)
        assert comparable(again) == comparable(whole)
        # The epoch that was under way was made again, nothing else.
        assert len(pretended.made) == len(everything) + 1
    pretended.made = []
    assert comparable(evolve(config, tmp_path / "whole", members=4, every=2)) == comparable(whole)
    assert not pretended.made


@pytest.mark.parametrize("moment", ["copy", "state", "result"])
def test_killed_while_a_file_is_written_nothing_is_half_there(
    config: Path, tmp_path: Path, pretended: Pretended, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """As the system kills it: in the middle of a copy; after the state and before what came of it is written; and after
    what is not needed was taken away."""
    whole = evolve(config, tmp_path / "whole", members=4, every=2)
    made, calls = len(pretended.made), {"left": 11}

    def die(*_: Any) -> None:
        calls["left"] -= 1
        if not calls["left"]:
            raise KeyboardInterrupt

    def copy(source: Path, target: Path) -> None:
        data = source.read_bytes()
        target.write_bytes(data[: len(data) // 2])
        die()
        target.write_bytes(data)

    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        if moment == "copy":
            patched.setattr(members.shutil, "copyfile", copy)
        elif moment == "state":
            patched.setattr(members, "_Reached", type("Reached", (Exception,), {"__init__": die}))
        else:
            write = trials.FoldResult.write
            patched.setattr(trials.FoldResult, "write", lambda *given: (die(), write(*given))[1])
        with pytest.raises(KeyboardInterrupt):
            evolve(config, out, members=4, every=2)
    assert comparable(evolve(config, out, members=4, every=2)) == comparable(whole)
    assert len(pretended.made) == 2 * made  # no epoch twice
    assert not list(out.rglob("*.copy"))


def test_the_order_in_which_members_are_trained_changes_nothing(
    config: Path, tmp_path: Path, pretended: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = evolve(config, tmp_path / "one", every=2)
    shuffled = together.made_by_all

    def backwards(folder: Path, jobs: Any, *more: Any) -> Any:
        return shuffled(folder, list(jobs)[::-1], *more)

    monkeypatch.setattr(evolution, "made_by_all", backwards)
    assert comparable(evolve(config, tmp_path / "other", every=2)) == comparable(one)


def test_who_breaks_down_goes_on_from_another(config: Path, tmp_path: Path, pretended: Pretended) -> None:
    pretended.breaks = 0.7
    found = evolve(config, tmp_path / "out", every=2)
    assert found.population is not None
    first, second = found.population.slices[:2]
    broke = [k for k, one in enumerate(first.members) if one.values["train.lr"] > 0.7]
    assert broke
    assert [k for k, value in enumerate(first.reached) if value == float("-inf")] == broke
    assert all(second.members[k].parent not in broke for k in range(8))
    pretended.breaks = 0.0
    with pytest.raises(OneglanceError, match="every member of the population has broken down by epoch 2"):
        evolve(config, tmp_path / "all", every=2, members=2)


def test_a_killed_process_loses_nothing_and_two_share_a_population(
    config: Path, tmp_path: Path, pretended: Pretended
) -> None:
    whole = evolve(config, tmp_path / "whole", members=4)
    pretended.pause = 0.005
    out = tmp_path / "out"
    processes = multiprocessing.get_context("fork")

    def begin() -> Any:
        one = processes.Process(target=evolve, args=(config, out), kwargs={"members": 4})
        one.start()
        return one

    killed = begin()
    began = time.monotonic()
    while not list(out.glob("population/slice-3/member-*/fold-*/state.safetensors")):
        assert killed.is_alive()
        assert time.monotonic() - began < 200
        time.sleep(0.002)
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    finished = {path: path.stat().st_mtime_ns for path in out.glob("population/*/*/*.json")}
    both = [begin(), begin()]
    for one in both:
        one.join(200)
    assert [one.exitcode for one in both] == [0, 0]
    assert all(path.stat().st_mtime_ns == written for path, written in finished.items())
    assert comparable(evolve(config, out, members=4)) == comparable(whole)


def test_options_that_a_method_has_no_use_for_are_refused(config: Path, tmp_path: Path, pretended: Pretended) -> None:
    def of(*words: str) -> str:
        arguments = ["tune", str(config), "--weights", "--out", str(tmp_path / "out"), "--quiet", *words]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2
        return " ".join(result.output.split())

    assert "--members: `--method tpe` has no use for it; it is one of --method population" in of("--members", "4")
    for words in (("--trials", "4"), ("--pruning", "median")):
        assert f"{words[0]}: `--method population` has no use for it" in of("--method", "population", *words)
    assert "--every 6: a population needs at least two slices" in of("--method", "population", "--every", "6")
    assert "vary train.size: a population changes values" in of(
        "--method", "population", "--vary", "train.size={[64, 64], [96, 96]}"
    )
    evolve(config, tmp_path / "out", members=4)
    with pytest.raises(OneglanceError, match="another members"):
        evolve(config, tmp_path / "out", members=5)
    with pytest.raises(OneglanceError, match="another every"):
        evolve(config, tmp_path / "out", members=4, every=2)


def test_with_a_real_network(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes over has the very state that the other left, as a file of its own; and what a line came to is, bit for
    bit, what the schedule comes to in a plain training."""
    copied: list[tuple[bytes, Path, Path]] = []
    begin = Members.begin

    def watch(self: Members, number: int, member: Any, fold: int) -> Path | None:
        theirs = begin(self, number, member, fold)
        if theirs is not None:
            ours = self.training(number, member.number, fold) / STATE
            assert ours.read_bytes() == theirs.read_bytes()
            assert ours.stat().st_nlink == theirs.stat().st_nlink == 1
            copied.append((theirs.read_bytes(), theirs, ours))
        return theirs

    monkeypatch.setattr(Members, "begin", watch)
    monkeypatch.setattr(Members, "forget", lambda self, number: None)
    monkeypatch.setattr("oneglance.tuning.api.judge", lambda *_, **__: None)
    reached = Evolution._reached

    def ranked(self: Evolution, *of_slice: Any) -> Slice:
        """So short trainings may all come to the same, and then nobody takes over."""
        found = reached(self, *of_slice)
        return replace(found, values=tuple((1.0 + member.number,) * 2 for member in found.members))

    monkeypatch.setattr(Evolution, "_reached", ranked)
    out = tmp_path / "out"
    overrides = ["train.epochs=2", "train.evaluate_every=1", "train.patience=null", "train.checkpoint_every=2"]
    found = og.tune(
        config, ["train.lr=1e-4..1e-1:log", "train.weight_decay=0..0.5"], overrides, method="population", members=3,
        folds=2, every=1, out=out, quiet=True,
    )  # fmt: skip
    assert found.population is not None
    assert len(copied) == 3 * 2
    for left, theirs, ours in copied:  # who goes on writes nowhere else
        assert theirs.read_bytes() == left != ours.read_bytes()
    slices = found.population.slices
    taker = next(one for one in slices[1].members if one.parent != one.number)
    given = read_given(config, overrides)
    parts = Folds(given.data.manifest, ["kind"], 2, 0)
    space = Space(given.config, found.dimensions)
    schedule = Evolution(tmp_path, space, parts, 3, 1, quiet=True, say=print).config(slices, taker.number)
    assert schedule.schedule
    assert lineage(slices, taker.number)[0].number == taker.parent
    (tmp_path / "plain").mkdir()
    Training(schedule, parts.manifest(0), tmp_path / "plain", Problems(), quiet=True).run()
    plain = checkpoint.load(tmp_path / "plain" / STATE)[0]
    theirs = checkpoint.load(out / "population" / "slice-2" / f"member-{taker.number}" / "fold-1" / STATE)[0]
    assert plain.keys() == theirs.keys()
    assert {name.partition(":")[0] for name in plain} >= {"network", "average", "optimizer", "random", "balance"}
    assert all(torch.equal(plain[name], theirs[name]) for name in plain)
