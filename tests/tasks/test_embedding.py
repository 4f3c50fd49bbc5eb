"""Embeddings end to end: people are learnt, tested on others, kept apart; unknown people give no gradient."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from oneglance.annotations import Identity
from oneglance.config import parse_config
from oneglance.data.geometry import Frame
from oneglance.errors import OneglanceError, Problems
from oneglance.evaluation.api import evaluate_run, report
from oneglance.formats.lfw_files import Pair, image_name
from oneglance.gallery import Gallery
from oneglance.gallery import _vectors as vectors_of
from oneglance.ingest import build_manifest
from oneglance.manifest import Manifest
from oneglance.model import load
from oneglance.network.answer import Glance
from oneglance.network.network import Network
from oneglance.network.trunk import TrunkSettings
from oneglance.recognition.draw import all_pairs
from oneglance.recognition.neck import unit
from oneglance.recognition.protocol import auc, view2
from oneglance.tasks import DetectionSettings, EmbeddingSettings, KeypointsSettings, create_tasks
from oneglance.tasks.base import Features, FeatureSpec
from oneglance.tasks.embedding import task as embedding_module
from oneglance.tasks.embedding.discriminant import Discriminant, around, evened
from oneglance.tasks.embedding.heads import EmbeddingHead, PointEmbeddingHead
from oneglance.tasks.embedding.metric import EmbeddingMetric
from oneglance.training import checkpoint, fitting
from oneglance.training.api import resume, train
from oneglance.training.fit import LAST, STATE, Training

FRAME = Frame(np.eye(3), 64, 64, 64, 64)


def who(**keys: Any) -> Any:
    return create_tasks({"who": EmbeddingSettings(**keys)})["who"]


@pytest.fixture
def patterns(tmp_path: Path) -> dict[str, Any]:
    """Twelve 'people', each a colour and a number of stripes, in LFW's layout; the last four in pairs of two folds."""
    rng = np.random.default_rng(0)
    names = [f"P{k:02}" for k in range(12)]
    for k, name in enumerate(names):
        hue = rng.integers(30, 220, 3)
        for number in range(1, 5):
            picture = np.tile(hue, (64, 48, 1)).astype(np.float64)
            picture[:, :: 2 + k % 6] *= 0.4
            picture += rng.normal(0, 12, picture.shape)
            path = tmp_path / "faces" / name / f"{image_name(name, number)}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path)
    rows = []
    for a, b in (names[8:10], names[10:12]):
        rows += [f"{a}\t1\t2", f"{b}\t1\t2", f"{a}\t1\t{b}\t1", f"{a}\t3\t{b}\t4"]
    (tmp_path / "faces" / "pairs.txt").write_text("2\t2\n" + "\n".join(rows) + "\n")
    return {
        "tasks": {"who": {"kind": "embedding", "dim": 16, "pairs": "faces/pairs.txt"}},
        "sources": [{"format": "lfw", "root": "faces", "tasks": {"who": "identity"}}],
        "splits": {"fractions": {"train": 0.75, "val": 0.25}},
        "trunk": {"backbone": "mobilenetv4_conv_small", "pretrained": False, "channels": 16},
        "train": {"size": [64, 64], "epochs": 2, "batch": 8, "workers": 0, "precision": "32", "checkpoint_every": 2},
    }


def test_from_people_to_scores_report_and_resumption(patterns, tmp_path):
    run = train(patterns, base=tmp_path, out=tmp_path / "run", quiet=True)
    val = run.scores["who"]
    assert "pairs_drawn" in val
    assert "pairs" not in val  # those of the file are of other people
    test = evaluate_run(run.folder, "test")["who"]
    assert test["pairs"] == 8
    assert 0 <= test["accuracy"] <= 1
    assert 0 <= test["recall/1"] <= 1
    weights, _ = checkpoint.load(run.folder / LAST)
    people = {r.annotations["who"].name for r in _rows(run.folder, "train")}
    assert weights["heads.who.centres"].shape == (len(people), 16)
    # A network for answers has no centres, and the vector is of length 1.
    model = load(run.folder)
    assert len(model.network.heads["who"].centres) == 0
    vector = model(tmp_path / "faces/P00/P00_0001.png")["who"].vector
    assert vector.shape == (16,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    page = report(run.folder, "test").read_text()
    assert "ROC" in page
    assert "worst" in page.lower()
    # Killed in the middle and taken up again: bit for bit the same.
    again = tmp_path / "again"
    with pytest.raises(KeyboardInterrupt):
        _interrupted(patterns, tmp_path, again)
    assert (again / STATE).is_file()
    resume(again, quiet=True)
    for name, value in checkpoint.load(again / LAST)[0].items():
        assert (value == weights[name]).all(), name


def _rows(folder: Path, split: str) -> list[Any]:
    manifest = Manifest.read(folder / "manifest.arrow")
    return list(manifest.select(manifest.rows(split=split)))


def _interrupted(config: dict[str, Any], base: Path, out: Path) -> None:
    plain, made = Training._save_state, []

    def save(self: Training, step: int) -> None:
        plain(self, step)
        made.append(step)
        if len(made) == 1:
            raise KeyboardInterrupt

    Training._save_state = save  # type: ignore[method-assign]
    try:
        train(config, base=base, out=out, quiet=True)
    finally:
        Training._save_state = plain  # type: ignore[method-assign]


def test_a_run_goes_on_from_another_with_other_people_or_frozen(patterns, tmp_path):
    short = patterns["train"] | {"epochs": 1}
    first = train(patterns | {"train": short}, base=tmp_path, out=tmp_path / "first", quiet=True)
    second = patterns | {"train": short | {"start": str(first.folder)}}
    second["splits"] = {"fractions": {"train": 0.5, "val": 0.5}}
    train(second, base=tmp_path, out=tmp_path / "second", quiet=True)
    centres = checkpoint.load(tmp_path / "second" / LAST)[0]["heads.who.centres"]
    assert 2 <= len(centres) < 8
    # Frozen beside a task that is trained: its head stays, and needs no centres.
    frozen = second | {
        "tasks": {
            "who": second["tasks"]["who"] | {"freeze": True},
            "name": {"kind": "classification", "classes": [f"P{k:02}" for k in range(12)]},
        },
        "sources": [*second["sources"], {"format": "folder", "root": "faces", "tasks": ["name"]}],
    }
    train(frozen, base=tmp_path, out=tmp_path / "third", quiet=True)
    before, after = (checkpoint.load(tmp_path / run / LAST)[0] for run in ("first", "third"))
    assert (before["heads.who.linear.weight"] == after["heads.who.linear.weight"]).all()
    assert (before["heads.who.norm.mean"] == after["heads.who.norm.mean"]).all()


def test_a_discriminant_is_fitted_to_the_weights_that_are_kept_and_changes_nothing_else(patterns, tmp_path):
    fitted = patterns | {"tasks": {"who": patterns["tasks"]["who"] | {"projection": "discriminant"}}}
    run = train(fitted, base=tmp_path, out=tmp_path / "run", quiet=True)
    plain = train(patterns, base=tmp_path, out=tmp_path / "plain", quiet=True)
    weights, others = (checkpoint.load(one.folder / LAST)[0] for one in (run, plain))
    # The trunk learns the same, to the bit.
    for name, value in others.items():
        assert (weights[name.replace("heads.who.", "heads.who.trained.")] == value).all(), name
    train_people = {r.annotations["who"].name for r in _rows(run.folder, "train")}
    matrix = weights["heads.who.matrix"]
    # Four maps share the numbers of a vector.
    assert matrix.shape[1] == 4 < len(train_people)
    assert bool((matrix.norm(dim=0) > 0).all())
    assert weights["heads.who.spread"].shape == (16, 16)
    # A network that is loaded answers by it.
    model = load(run.folder)
    assert torch.equal(model.network.heads["who"].matrix, matrix)
    vectors = torch.tensor(
        np.stack([model(tmp_path / f"faces/P00/P00_000{k}.png")["who"].vector for k in (1, 2)] +
                 [model(tmp_path / "faces/P01/P01_0001.png")["who"].vector])
    )  # fmt: skip
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    # It needs no split `val`, is the same after an interruption, and a frozen head keeps it.
    whole = fitted | {"splits": {"fractions": {"train": 1.0}}}
    train(whole, base=tmp_path, out=tmp_path / "whole", quiet=True)
    with pytest.raises(KeyboardInterrupt):
        _interrupted(whole, tmp_path, tmp_path / "again")
    resume(tmp_path / "again", quiet=True)
    first, again = (checkpoint.load(tmp_path / one / LAST)[0] for one in ("whole", "again"))
    assert first.keys() == again.keys()
    assert all((first[name] == again[name]).all() for name in first)
    frozen = whole | {
        "train": whole["train"] | {"start": str(tmp_path / "whole"), "epochs": 1},
        "tasks": {
            "who": fitted["tasks"]["who"] | {"freeze": True},
            "name": {"kind": "classification", "classes": [f"P{k:02}" for k in range(12)]},
        },
        "sources": [*whole["sources"], {"format": "folder", "root": "faces", "tasks": ["name"]}],
    }
    train(frozen, base=tmp_path, out=tmp_path / "frozen", quiet=True)
    after = checkpoint.load(tmp_path / "frozen" / LAST)[0]
    assert (after["heads.who.matrix"] == first["heads.who.matrix"]).all()


def test_a_discriminant_is_made_of_whole_people(patterns, tmp_path, monkeypatch):
    fitted = patterns | {"tasks": {"who": patterns["tasks"]["who"] | {"projection": "discriminant"}}}
    run = train(fitted, base=tmp_path, out=tmp_path / "run", quiet=True)
    manifest = Manifest.read(run.folder / "manifest.arrow")
    task = create_tasks(parse_config(fitted, "here").tasks)["who"]
    rows = manifest.rows(split="train")
    assert len(task.fitted_on(manifest, rows, 4096)) == len(rows)
    for most, limit in ((10, 4096), (4096, 10)):
        monkeypatch.setattr(embedding_module, "FITTED_ON", limit)
        some = [manifest.record(row).annotations["who"].name for row in task.fitted_on(manifest, rows, most)]
        assert len(some) == 8  # two people of four images
        assert sorted(some.count(name) for name in set(some)) == [4, 4]
    # Not even one of them fits: a few images of each.
    monkeypatch.setattr(embedding_module, "FITTED_ON", 4096)
    few = [manifest.record(row).annotations["who"].name for row in task.fitted_on(manifest, rows, 3)]
    assert len(few) == len(set(few)) == 3


@pytest.mark.parametrize("at", [None, "marks"])
def test_what_a_discriminant_says_can_be_traced_to_the_image_and_padding_has_no_say(at):
    tasks: dict[str, Any] = {"who": EmbeddingSettings(dim=4, at=at, projection="discriminant")}
    if at is not None:
        tasks["marks"] = KeypointsSettings(points=3)
    torch.manual_seed(0)
    network = Network(
        create_tasks(tasks), TrunkSettings(backbone="mobilenetv4_conv_small", pretrained=False, channels=16)
    ).eval()
    images = torch.rand(6, 3, 64, 64) * 255
    content = torch.tensor([[0.0, 0, 64, 32]]).expand(6, 4)
    rows = {"who": torch.arange(6)}
    head: Any = network.heads["who"]
    head.describes = True
    described = network(images, rows, content=content)["who"]
    head.describes = False
    head.fit({key: seen.detach() for key, seen in described.items()}, torch.tensor([0, 0, 1, 1, 2, 2]))
    images.requires_grad_(True)
    vectors = network(images, rows, content=content)["who"]["vector"]
    (slope,) = torch.autograd.grad(vectors[:, 0].sum(), images)
    assert float(slope.abs().sum()) > 0
    if at is None:  # cells that show the image alone are read
        maps = [torch.rand(6, 2, 64 >> k, 64 >> k) for k in (2, 3, 4, 5)]
        other = [
            torch.cat([one[:, :, : one.shape[2] // 2], torch.rand_like(one)[:, :, one.shape[2] // 2 :]], 2)
            for one in maps
        ]
        first, second = (Features(one[-1], {}, content=content, backbone=one) for one in (maps, other))
        head.describes = True
        for key, seen in head(first).items():
            torch.testing.assert_close(seen, head(second)[key], rtol=0, atol=0)


def test_training_evaluation_and_galleries_look_at_the_evaluation_size(patterns, tmp_path):
    sized = patterns | {"tasks": {"who": patterns["tasks"]["who"] | {"projection": "discriminant"}}}
    sized["sources"] = [patterns["sources"][0] | {"name": "faces"}]
    sizes = {"sizes": {"faces": [64, 96]}, "eval_sizes": {"faces": [96, 128]}}
    sized["train"] = patterns["train"] | sizes | {"epochs": 1}
    run = train(sized, base=tmp_path, out=tmp_path / "run", quiet=True)
    assert run.scores["who"] == pytest.approx(evaluate_run(run.folder, "val")["who"], abs=1e-6, nan_ok=True)
    images = [record.path for record in _rows(run.folder, "test")]
    gallery = Gallery.open(run.folder, threshold=0.5)
    expected = [gallery.model.predict([image], (96, 128))[0]["who"].vector for image in images]
    np.testing.assert_allclose(gallery.vectors(images), expected, atol=1e-5)
    manifest = Manifest.read(run.folder / "manifest.arrow")
    measured, _ = vectors_of(gallery.model, "who", manifest, manifest.rows(split="test"), Problems())
    np.testing.assert_allclose(measured, expected, atol=1e-5)


def test_half_precision_takes_nothing_from_a_discriminants_vectors():
    torch.manual_seed(0)
    maps = [torch.rand(12, 3, 64 >> k, 64 >> k) for k in (2, 3, 4, 5)]
    features = Features(maps[-1], {}, backbone=maps)
    head = Discriminant(EmbeddingHead(FeatureSpec(3, ()), 8), 8).eval()
    head.describes = True
    described = head(features)
    head.describes = False
    head.fit(described, torch.arange(12) % 4)
    with torch.autocast("cpu", torch.bfloat16):
        low = head(features)["vector"]
    torch.testing.assert_close(low, head(features)["vector"], rtol=0, atol=1e-6)


def test_a_discriminant_of_one_person_is_refused_and_of_nobody_is_none(patterns, tmp_path):
    task = create_tasks({"who": EmbeddingSettings(dim=4, projection="discriminant")})["who"]
    head = task.head(FeatureSpec(6, ()))
    with pytest.raises(OneglanceError, match=r"tasks\.who\.projection: .*at least two, and 1 could be read"):
        task.fit(head, {"0": torch.rand(3, 5, 2)}, [Identity("Ada")] * 3)
    with pytest.raises(OneglanceError, match=r"tasks\.who\.dim: 4 numbers are too few .* the backbone's 5 maps"):
        task.fit(head, {str(k): torch.rand(4, 5, 2) for k in range(5)}, [Identity("Ada"), Identity("Eve")] * 2)
    # Nobody is named in what is trained on: the head stays as it is.
    shutil.copytree(tmp_path / "faces", tmp_path / "others")
    (tmp_path / "others/pairs.txt").unlink()
    nameless = {
        "tasks": {
            "who": patterns["tasks"]["who"] | {"projection": "discriminant"},
            "name": {"kind": "classification", "classes": [f"P{k:02}" for k in range(12)]},
        },
        "sources": [
            {"format": "folder", "root": "others", "tasks": ["name"], "split": "train"},
            {"format": "lfw", "root": "faces", "tasks": {"who": "identity"}, "split": "test"},
        ],
    }
    short = patterns | nameless | {"train": patterns["train"] | {"epochs": 1}}
    short.pop("splits")
    train(short, base=tmp_path, out=tmp_path / "run", quiet=True)
    assert not len(checkpoint.load(tmp_path / "run" / LAST)[0]["heads.who.matrix"])


def test_what_is_like_everybody_is_less_like_each_of_them():
    torch.manual_seed(0)
    people = torch.arange(60) % 6
    common, own = torch.randn(30, 2), torch.randn(6, 30, 2)
    seen = {str(k): (common + own[people] + 0.5 * torch.randn(60, 30, 2)).half() for k in range(3)}
    head = Discriminant(EmbeddingHead(FeatureSpec(6, ()), 10), 10).eval()
    head.fit(seen, people)
    maps = [seen[key].float() for key in seen]
    sizes = [60] * 3
    parts = zip(maps, head.mean.split(sizes), head.matrix.split(sizes), head.shift, strict=True)
    joined = torch.cat([unit(evened(one, mean) @ matrix - shift) for one, mean, matrix, shift in parts], 1)
    vectors = head.scaled(joined)
    assert vectors.shape == (60, 10)
    assert not vectors[:, 9].any()  # three maps share nine of ten numbers
    lengths = vectors.norm(dim=1)
    assert float(lengths.mean()) == pytest.approx(1, abs=1e-3)
    # In the metric of the spread all are equally long: likeness to all images has one mean square.
    squares = (vectors[:, :9] @ joined.T).square().mean(1)
    torch.testing.assert_close(squares, squares.mean().expand(60), rtol=1e-4, atol=0)
    assert separation(vectors, people) > 0.9


@given(
    points=arrays(np.float32, (3, 5, 2), elements=st.floats(0, 1, width=32)),
    scale=st.floats(0.5, 2), x=st.floats(-0.5, 0.5), y=st.floats(-0.5, 0.5),
)  # fmt: skip
def test_the_grid_goes_with_the_points(points, scale, x, y):
    shape, place = torch.Size([4, 8]), torch.tensor([x, y])
    first = around(torch.from_numpy(points), shape)
    second = around(torch.from_numpy(points) * scale + place, shape)
    torch.testing.assert_close(second, first * scale + place, rtol=1e-4, atol=1e-4)
    # Square in pixels, not in shares: the input is twice as wide as high.
    sides = (first.amax(1) - first.amin(1)) * torch.tensor([8.0, 4.0])
    torch.testing.assert_close(sides[:, 0], sides[:, 1], rtol=1e-4, atol=1e-4)


def test_objects_have_no_discriminant():
    with pytest.raises(ValueError, match="projection: `discriminant` is there for questions about images"):
        EmbeddingSettings(on="things", projection="discriminant")


@pytest.mark.parametrize("loss", ["arcface", "cosface", "triplet"])
def test_people_are_learnt_and_told_apart_in_new_images(loss):
    torch.manual_seed(0)
    task = who(dim=8, loss=loss)
    head = task.head(FeatureSpec(24, ()))
    people = torch.arange(48) % 6
    features = torch.randn(6, 24)[people] + 1.2 * torch.randn(48, 24)
    seen, new = torch.arange(24), torch.arange(24, 48)
    apart = separation(head.eval().embed(features[new])["vector"], people[new])
    head.train()
    if loss != "triplet":
        head.centres = torch.nn.Parameter(torch.randn(6, 8))
    optimizer = torch.optim.Adam(head.parameters(), 0.02)
    for _ in range(150):
        optimizer.zero_grad()
        sum(task.loss(head.embed(features[seen]), {"person": people[seen]}).values()).backward()
        optimizer.step()
    head.eval()
    assert separation(head.embed(features[seen])["vector"], people[seen]) > 0.95
    assert separation(head.embed(features[new])["vector"], people[new]) > apart + 0.1


def separation(vectors: torch.Tensor, people: torch.Tensor) -> float:
    """The ROC AUC over all pairs."""
    return auc(*all_pairs(vectors.detach().numpy(), people.numpy()))


def test_one_labelled_row_is_enough_and_unknown_people_give_no_gradient():
    task = who(dim=8)
    network = Network({"who": task}, TrunkSettings(pretrained=False, channels=16))
    head = network.heads["who"]
    head.centres = torch.nn.Parameter(torch.randn(3, 8))
    images = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)
    network.train()
    for person, moves in ((1, True), (-1, False)):
        network.zero_grad()
        outputs = network(images, {"who": torch.tensor([1])})["who"]
        assert outputs["vector"].shape == (1, 8)
        sum(task.loss(outputs, {"person": torch.tensor([person])}).values()).backward()
        assert bool((head.linear.weight.grad != 0).any()) is moves
        assert torch.isfinite(head.linear.weight.grad).all()


def test_people_out_of_training_are_unknown_to_it():
    task = who()
    assert task.encode(Identity("Ann"), FRAME)["person"] == -1
    task._people = {"Ann": 0}
    assert task.encode(Identity("Ann"), FRAME)["person"] == 0
    assert task.encode(Identity(None), FRAME)["person"] == -1
    assert task.encode(Identity("Bob"), FRAME)["person"] == -1


def test_padding_changes_no_vector():
    task = who(dim=8)
    network = Network({"who": task}, TrunkSettings(pretrained=False, channels=16)).eval()
    maps = torch.randn(1, network.backbone.channels[-1], 4, 4)
    other = maps.clone()
    other[:, :, :, 3] = 50.0
    content = torch.tensor([[0.0, 0, 96, 128]])
    one, two = (network.heads["who"](Features(m, {}, content=content))["vector"] for m in (maps, other))
    torch.testing.assert_close(one, two)


def test_who_is_tested_on_is_never_trained_on(patterns, tmp_path):
    config = patterns | {"sources": [{"format": "folder", "root": "faces", "tasks": ["who"], "split": "train"}]}
    with pytest.raises(OneglanceError, match=r"pairs\.txt: line 2: 'P08' is in the split 'train'"):
        train(config, base=tmp_path, out=tmp_path / "run", quiet=True)


def test_too_few_people_and_one_fold_are_refused(patterns, tmp_path):
    (tmp_path / "one.txt").write_text("1\nP08\t1\t2\nP08\t1\tP09\t1\n")
    config = patterns | {"tasks": {"who": {"kind": "embedding", "pairs": "one.txt"}}}
    with pytest.raises(OneglanceError, match="one fold; a fold's threshold is chosen on the others"):
        train(config, base=tmp_path, out=tmp_path / "a", quiet=True)
    few = patterns | {"splits": {"fractions": {"train": 0.01, "val": 0.99}}}
    few["sources"] = [patterns["sources"][0] | {"people": {"train": "one_person.txt"}}]
    (tmp_path / "faces/one_person.txt").write_text("P01\t4\n")
    with pytest.raises(OneglanceError, match="shows 1 people"):
        train(few, base=tmp_path, out=tmp_path / "b", quiet=True)


# --- the metric ---------------------------------------------------------------------------------------------


def filled(metric: EmbeddingMetric, people: int = 24, each: int = 4, noise: float = 0.6) -> EmbeddingMetric:
    rng = np.random.default_rng(0)
    for k in range(people):
        centre = rng.normal(size=16)
        for number in range(1, each + 1):
            vector = centre + noise * rng.normal(size=16)
            vector = (vector / np.linalg.norm(vector)).astype(np.float32)
            name = f"N{k}"
            metric.update(Identity(vector=vector), Identity(name, image=Path(f"{name}/{image_name(name, number)}.jpg")))
    return metric


def test_given_pairs_are_scored_by_view_2_and_missing_ones_are_counted():
    pairs = []
    for fold in range(3):
        for k in range(fold * 4, fold * 4 + 4):
            pairs.append(Pair((f"N{k}", 1), (f"N{k}", 2), fold, 0))
            pairs.append(Pair((f"N{k}", 1), (f"N{(k + 1) % 12}", 3), fold, 0))
    metric = filled(EmbeddingMetric([*pairs, Pair(("N0", 1), ("Nobody", 1), 2, 0)]))
    got = metric.compute()
    vectors, _ = metric.seen()
    at = {(f"N{k // 4}", k % 4 + 1): k for k in range(96)}
    scores = [float(vectors[at[p.first]] @ vectors[at[p.second]]) for p in pairs]
    expected = view2(scores, [p.same for p in pairs], [p.fold for p in pairs])
    assert got["accuracy"] == pytest.approx(expected.mean)
    assert got["standard_error"] == pytest.approx(expected.standard_error)
    assert (got["pairs"], got["pairs_missing"]) == (24, 1)
    assert "1 more can't be scored" in metric.charts()[-1].note


def test_without_pairs_they_are_drawn_and_said_to_be():
    got = filled(EmbeddingMetric(), noise=0.2).compute()
    assert got["pairs_drawn"] > 100
    assert "pairs" not in got
    assert got["accuracy"] > 0.95
    assert got["auc"] > 0.99
    assert got["recall/1"] == 1
    assert got == filled(EmbeddingMetric(), noise=0.2).compute()


def test_images_of_unknown_people_have_no_part_and_no_quality():
    one, other = filled(EmbeddingMetric()), filled(EmbeddingMetric())
    other.update(Identity(vector=np.ones(16, np.float32) / 4), Identity(None))
    assert one.compute() == other.compute()
    assert np.isnan(other.qualities()[-1])
    assert one.qualities() == other.qualities()[:-1]
    assert min(one.qualities()) >= 0


def test_qualities_tell_who_is_nearer_to_a_stranger():
    metric = EmbeddingMetric()
    for degrees, name in ((0, "a"), (10, "a"), (80, "a"), (85, "b"), (95, "b")):
        vector = np.float32([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
        metric.update(Identity(vector=vector), Identity(name))
    quality = metric.qualities()
    assert quality[2] < 0.5 < quality[0]
    assert quality[0] == pytest.approx((1 + np.cos(np.radians(10)) - np.cos(np.radians(85))) / 2)


def test_nothing_seen_is_nan_everywhere():
    got = EmbeddingMetric().compute()
    assert all(np.isnan(v) for k, v in got.items() if k != "pairs_drawn")
    assert EmbeddingMetric().charts() == []
    assert EmbeddingMetric().qualities() == []


# --- at another task's points -------------------------------------------------------------------------------


def at_points(on: str = "image") -> Network:
    torch.manual_seed(0)
    tasks: dict[str, Any] = {
        "marks": KeypointsSettings(points=("a", "b", "c"), on=on),
        "who": EmbeddingSettings(dim=8, at="marks", on=on),
    }
    if on != "image":
        tasks = {"things": DetectionSettings(classes=("x",)), **tasks}
    return Network(create_tasks(tasks), TrunkSettings(pretrained=False, channels=16)).eval()


def test_a_vector_at_points_is_what_the_maps_show_there_and_nowhere_else():
    head = PointEmbeddingHead(FeatureSpec(6, ((8, 4), (16, 4), (32, 4))), 2, 8).eval()
    maps = {8: torch.randn(1, 4, 8, 8), 16: torch.randn(1, 4, 4, 4), 32: torch.randn(1, 4, 2, 2)}
    deep = torch.randn(1, 6, 2, 2)
    points = torch.tensor([[[0.07, 0.07], [0.2, 0.1]]])
    before = head(Features(deep, maps), points)["vector"]
    far = {stride: one.clone() for stride, one in maps.items()}
    far[8][..., 4:, 4:], far[16][..., 2:, 2:], far[32][...] = 9.0, 9.0, 9.0
    torch.testing.assert_close(head(Features(deep, far), points)["vector"], before)
    near = {**maps, 8: maps[8].clone()}
    near[8][..., 0, 0] += 1
    assert not torch.allclose(head(Features(deep, near), points)["vector"], before)
    # In the middle of a cell the cell itself is read: x to the right, y downwards.
    head.read.reduce[0] = torch.nn.Identity()
    read = torch.nn.functional.grid_sample(maps[8], 2 * torch.tensor([[[[5.5 / 8, 2.5 / 8]]]]) - 1, align_corners=False)
    torch.testing.assert_close(read[0, :, 0, 0], maps[8][0, :, 2, 5])


@pytest.mark.parametrize("on", ["image", "things"])
def test_where_the_points_are_is_what_their_task_says_and_it_is_not_taught_by_that(on: str):
    network = at_points(on)
    network.heads["who"].centres = torch.nn.Parameter(torch.randn(3, 8))
    images = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)
    rows = {"who": torch.tensor([0, 1])}
    boxes = None if on == "image" else {"who": torch.tensor([[0.1, 0.1, 0.8, 0.9], [0.0, 0.2, 0.5, 0.7]])}
    seen: list[torch.Tensor] = []
    network.heads["who"].read.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    network.train()
    outputs = network(images, rows, boxes)["who"]
    network.tasks["who"].loss(outputs, {"person": torch.tensor([0, 2])})["arcface"].backward()
    assert all(one.grad is None for one in network.heads["marks"].parameters())
    assert any(bool((one.grad != 0).any()) for one in network.heads["who"].read.parameters())
    assert seen[0].shape == (2, 3, 2)
    with torch.no_grad():
        marked = network(images, {"marks": torch.tensor([0, 1])}, {"marks": outputs["box"]} if boxes else None)["marks"]
    if on == "image":
        torch.testing.assert_close(seen[0], network.tasks["marks"].places(marked))
    assert bool(((seen[0] > 0) & (seen[0] < 1)).all())


def test_a_face_that_is_asked_who_it_is_at_its_points_is_trained_scored_and_loaded(patterns, tmp_path):
    config = patterns
    config["tasks"] = {
        "marks": {"kind": "keypoints", "points": ["left", "right"], "flip": [["left", "right"]]},
        "who": {"kind": "embedding", "dim": 16, "at": "marks"},
    }
    lines = ["image,who,x0,y0,x1,y1,split"]
    for k, path in enumerate(sorted((tmp_path / "faces").rglob("*.png"))):
        split = "test" if path.parent.name >= "P08" else "train"
        points = (
            "10,20,38,20" if k % 2 else ",,,"
        )  # half of the faces have no points: who they are is known all the same
        lines.append(f"{path.relative_to(tmp_path / 'faces')},{path.parent.name},{points},{split}")
    (tmp_path / "faces.csv").write_text("\n".join(lines) + "\n")
    tasks = {"marks": {"x": "x{i}", "y": "y{i}"}, "who": "who"}
    source = {"format": "csv", "root": ".", "images": "faces", "labels": "faces.csv", "split_column": "split"}
    config["sources"] = [source | {"tasks": tasks}]
    run = train(config, base=tmp_path, out=tmp_path / "run", quiet=True)
    scores = evaluate_run(run.folder, "test")
    assert np.isfinite(scores["who"]["accuracy"])
    vector = load(run.folder)(tmp_path / "faces/P01" / f"{image_name('P01', 1)}.png")["who"].vector
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"at": "mark"}, r"tasks.who.at: 'mark': no keypoints task .* \(image\); did you mean 'marks'\?"),
        ({"at": "things"}, r"tasks.who.at: 'things': no keypoints task .*; those that are: marks"),
        ({"at": "marks", "on": "things"}, r"asked about the same \(things\); those that are: there is none"),
    ],
)
def test_points_that_are_not_there_are_refused(change: dict[str, Any], message: str):
    with pytest.raises(OneglanceError, match=message):
        parse_config(points_config(change))


def points_config(change: dict[str, Any]) -> dict[str, Any]:
    return {
        "tasks": {
            "things": {"kind": "detection", "classes": ["x"]},
            "marks": {"kind": "keypoints", "points": 3},
            "who": {"kind": "embedding", **change},
        },
        "sources": [
            {"format": "csv", "labels": "a.csv", "tasks": {"marks": {"x": "x{i}", "y": "y{i}"}, "who": "who"}},
            {"format": "coco", "labels": "a.json", "tasks": ["things", *(["who"] if "on" in change else [])]},
        ],
    }


def test_points_of_a_trunk_of_their_own_are_refused():
    config = points_config({"at": "marks"}) | {"sharing": {"scheme": "soft"}}
    with pytest.raises(OneglanceError, match=r"put them in one group \(sharing.groups: \[\[marks, who\]\]\)"):
        parse_config(config)
    parse_config(config | {"sharing": {"scheme": "soft", "groups": [["marks", "who"]]}})


def test_what_is_fitted_is_described_of_no_more_images_than_memory_is_meant_to_hold(patterns, tmp_path, monkeypatch):
    fitted = patterns | {"tasks": {"who": patterns["tasks"]["who"] | {"projection": "discriminant"}}}
    fitted["train"] = patterns["train"] | {"epochs": 1}
    seen: list[int] = []
    plain = Discriminant.fit

    def fit(self: Discriminant, described: dict[str, torch.Tensor], people: torch.Tensor) -> None:
        seen.append(len(people))
        size = sum(one[0].nbytes for one in described.values())
        # Room for nine images, as they are and mirrored: two people of four.
        monkeypatch.setattr(fitting, "MEMORY", 2 * 9 * size)
        plain(self, described, people)

    monkeypatch.setattr(Discriminant, "fit", fit)
    for name in ("all", "some"):
        train(fitted, base=tmp_path, out=tmp_path / name, quiet=True)
    assert seen[0] == 2 * len(_rows(tmp_path / "all", "train"))
    assert seen[-1] == 2 * 8


def test_with_its_mirror_image_an_image_and_its_mirror_image_have_one_vector() -> None:
    torch.manual_seed(0)
    trunk = TrunkSettings(backbone="mobilenetv4_conv_small", pretrained=False, channels=16)
    images = torch.randint(0, 255, (3, 3, 64, 96), dtype=torch.uint8)
    # The images lie in the left part of their input; mirrored, in the right one.
    frames = [Frame(np.eye(3), 96, 64, 80, 64)] * 3
    turned = [Frame(np.array([[1.0, 0, 16], [0, 1, 0], [0, 0, 1]]), 96, 64, 80, 64)] * 3
    assert frames[0].content == (0, 0, 80, 64)
    assert turned[0].content == (16, 0, 96, 64)
    for mirror in (False, True):
        tasks = create_tasks({"who": EmbeddingSettings(dim=8, mirror=mirror)})
        network = Network(tasks, trunk).eval()
        with torch.inference_mode():
            one = Glance(network, tasks, images, frames, {"who": [0, 2]}).answers({"who": [0, 2]})["who"]
            other = Glance(network, tasks, images.flip(-1), turned).answers()["who"]
        assert set(one) == {0, 2}
        for k, answer in one.items():
            assert isinstance(answer, Identity)
            same = np.allclose(answer.vector, other[k].vector, atol=1e-5)
            assert same == mirror
            assert np.linalg.norm(answer.vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("key", [{"mirror": True}, {"projection": "discriminant"}])
def test_what_is_of_images_alone_is_refused_of_objects(key: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(key))}.*about images alone"):
        EmbeddingSettings(on="objects", **key)


def test_what_is_seldom_meant_is_said(tmp_path: Path, patterns: dict[str, Any]) -> None:
    manifest = build_manifest(parse_config(patterns), tmp_path, Problems())
    settings = parse_config(patterns).tasks["who"]
    assert isinstance(settings, EmbeddingSettings)
    pairs = tmp_path / "others.txt"
    pairs.write_text("2\t1\nP08\t1\t2\nP08\t1\tP09\t3\nP10\t1\t9\nP10\t1\tNobody\t1\n")
    (doubt,) = who(**settings.model_dump(exclude={"pairs", "kind"}), pairs=pairs).doubts(manifest)
    assert doubt == f"2 of 4 pairs of {pairs} name images that no source has (the first, in line 4: P10 9)"
    pairs.write_text("2\t1\nA\t1\t2\nA\t1\tB\t3\nC\t1\t9\nC\t1\tNobody\t1\n")
    (doubt,) = who(**settings.model_dump(exclude={"pairs", "kind"}), pairs=pairs).doubts(manifest)
    assert "4 of 4 pairs" in doubt
    assert "scores will be of pairs that are drawn" in doubt
    once = manifest.select(np.flatnonzero([str(path).endswith("_0001.png") for path in manifest.values("path")]))
    said = who().doubts(once)
    assert any("4 of 4 people in the split test are shown once: nothing of one person" in one for one in said), said
    assert not who().doubts(manifest)
