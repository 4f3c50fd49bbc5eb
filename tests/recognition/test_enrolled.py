"""A folder of people: added whole or not at all, forgotten without a trace, the threshold as its rule says."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from oneglance.errors import OneglanceError
from oneglance.recognition.enrolled import FACTS, Enrolled, Facts
from oneglance.recognition.protocol import threshold_at

FIXED = Facts("who", 4, "abc", threshold=0.5)


def unit(*rows: list[float]) -> np.ndarray:
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


ANN, BOB = [1.0, 0.1, 0, 0], [0, 1.0, 0.1, 0]


def test_people_are_kept_and_found_again(tmp_path):
    made = Enrolled.create(tmp_path / "g", FIXED)
    made.enrol("Ann", unit(ANN, [1, 0, 0, 0.1]), ["a.jpg", "b.jpg"])
    made.enrol("Bob", unit(BOB))
    made.enrol("Ann", unit([1, 0, 0.2, 0]))
    for gallery in (made, Enrolled.open(tmp_path / "g")):
        assert gallery.people == {"Ann": 3, "Bob": 1}
        ann, bob, nobody, less = gallery.identify(unit(ANN, BOB, [0, 0, 0, 1], [0.4, 0, 0, 1]))
        assert (ann.name, bob.name, nobody.name, less.name) == ("Ann", "Bob", None, None)
        assert less.nearest == "Ann"
        assert 0 < less.score <= 0.5 == less.threshold
        assert ann.score > 0.98


def test_a_score_that_equals_the_threshold_is_no_match(tmp_path):
    gallery = Enrolled.create(tmp_path, replace(FIXED, threshold=1.0))
    gallery.enrol("Ann", unit([1, 0, 0, 0]))
    (match,) = gallery.identify(unit([1, 0, 0, 0]))
    assert match.score == 1.0
    assert match.name is None


def test_forgotten_people_leave_nothing(tmp_path):
    gallery = Enrolled.create(tmp_path, FIXED)
    gallery.enrol("Ann", unit(ANN), ["secret.jpg"])
    gallery.enrol("Bob", unit(BOB))
    assert gallery.remove("Ann") == 1
    assert gallery.people == Enrolled.open(tmp_path).people == {"Bob": 1}
    assert not any(b"secret" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    with pytest.raises(OneglanceError, match="nobody called 'Bop' is enrolled; did you mean 'Bob'"):
        gallery.remove("Bop")


def test_no_file_is_touched_when_another_is_added(tmp_path):
    gallery = Enrolled.create(tmp_path, FIXED)
    gallery.enrol("Ann", unit(ANN))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    gallery.enrol("Ann", unit(BOB))
    assert all(path.read_bytes() == data for path, data in before.items())
    assert len(list((tmp_path / "people").iterdir())) == 2
    with pytest.raises(OneglanceError, match="nothing is overwritten"):
        Enrolled.create(tmp_path, FIXED)


def test_two_at_a_time_lose_nothing(tmp_path):
    Enrolled.create(tmp_path, FIXED)
    one, other = Enrolled.open(tmp_path), Enrolled.open(tmp_path)
    one.enrol("Ann", unit(ANN))
    other.enrol("Bob", unit(BOB))
    assert Enrolled.open(tmp_path).people == {"Ann": 1, "Bob": 1}


def test_what_was_left_half_written_is_no_person(tmp_path):
    Enrolled.create(tmp_path, FIXED)
    (tmp_path / "people" / "1.safetensors.partial").write_bytes(b"half")
    assert Enrolled.open(tmp_path).people == {}


def test_the_threshold_is_that_of_the_rule_and_rises_with_the_people(tmp_path):
    scores = np.random.default_rng(0).normal(0, 0.2, 5000)
    gallery = Enrolled.create(tmp_path, Facts("who", 4, "abc", 0.01, len(scores), "a toy"), scores)
    seen = []
    for k in range(1, 4):
        gallery.enrol(f"P{k}", unit(np.eye(4)[k].tolist()))
        assert gallery.threshold() == pytest.approx(threshold_at(scores, 0.01 / k), abs=1e-6)
        assert (scores > gallery.threshold() + 1e-6).sum() <= 0.01 / k * len(scores)
        seen.append(gallery.threshold())
    assert seen == sorted(seen)
    assert gallery.threshold(0.3) < gallery.threshold(0.01)
    assert gallery.is_measured(0.01)
    assert not gallery.is_measured(1e-5)
    assert gallery.threshold(1e-5) == pytest.approx(scores.max(), abs=1e-6)
    assert Enrolled.open(tmp_path).threshold() == gallery.threshold()
    for wrong in (0, -1, 1.1, math.nan):
        with pytest.raises(OneglanceError, match="must be above 0"):
            gallery.threshold(wrong)


def test_strangers_get_a_name_no_oftener_than_said(tmp_path):
    rng = np.random.default_rng(1)
    dim, known = 16, 8

    def images(count: int) -> np.ndarray:
        return unit(*rng.normal(size=(count, dim)).tolist())

    impostors = (images(2000) @ images(10).T).ravel()
    gallery = Enrolled.create(tmp_path, Facts("who", dim, "abc", 0.05, len(impostors), "a toy"), impostors)
    for k in range(known):
        gallery.enrol(f"P{k}", images(1))
    named = np.mean([match.name is not None for match in gallery.identify(images(4000))])
    assert 0.02 < named < 0.065


def test_an_empty_gallery_knows_nobody(tmp_path):
    (match,) = Enrolled.create(tmp_path, FIXED).identify(unit(ANN))
    assert (match.name, match.nearest) == (None, None)
    assert math.isnan(match.score)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201, "\x1b[31m"])
def test_names_that_can_not_be_printed_are_refused(tmp_path, name):
    with pytest.raises(OneglanceError, match="printable"):
        Enrolled.create(tmp_path, FIXED).enrol(name, unit(ANN))


@pytest.mark.parametrize("vectors", [np.ones((2, 3)), np.ones((0, 4)), np.ones(4), np.full((1, 4), np.nan)])
def test_vectors_of_something_else_are_refused(tmp_path, vectors):
    with pytest.raises(OneglanceError, match="finite vectors of 4 numbers"):
        Enrolled.create(tmp_path, FIXED).enrol("Ann", vectors.astype(np.float32))


@pytest.mark.parametrize(
    "harm",
    [
        lambda g: (g / FACTS).write_text("just text"),
        lambda g: (g / FACTS).write_text("{version: 9}"),
        lambda g: (g / FACTS).write_text("version: 1\ntask: who\n"),
        lambda g: (g / "impostors.safetensors").unlink(),
        lambda g: (g / "people" / "x.safetensors").write_bytes(b"pickle?"),
    ],
)
def test_harmed_galleries_are_refused_with_the_file_named(tmp_path, harm):
    Enrolled.create(tmp_path, FIXED)
    harm(tmp_path)
    with pytest.raises(OneglanceError, match=str(tmp_path)):
        Enrolled.open(tmp_path)


def test_no_gallery_says_how_one_is_begun(tmp_path):
    with pytest.raises(OneglanceError, match="oneglance enrol RUN NAME IMAGES"):
        Enrolled.open(tmp_path / "none")


def test_the_facts_can_be_read_by_people(tmp_path):
    Enrolled.create(tmp_path, FIXED)
    assert yaml.safe_load(Path(tmp_path / FACTS).read_text())["threshold"] == 0.5
