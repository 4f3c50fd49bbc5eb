"""A trained run, asked in every way a user may ask; and what is said where it can't be."""

import shutil
import time

import cv2
import numpy as np
import pytest
from PIL import Image

import oneglance as og
from oneglance.annotations import Instances, Label
from oneglance.errors import OneglanceError, Problems
from oneglance.evaluation.api import evaluate_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two steps, for all tests here."""
    folder = tmp_path_factory.mktemp("model")
    rng = np.random.default_rng(0)
    for k in range(12):
        path = folder / "data" / ("train", "val")[k >= 8] / ("a", "b")[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 60, 3)).astype(np.uint8)).save(path)
    return og.train(
        {
            "tasks": {"kind": {"kind": "classification", "classes": ["a", "b"]}},
            "sources": [{"format": "folder", "root": str(folder / "data"), "tasks": ["kind"]}],
            "trunk": {"pretrained": False, "channels": 16},
            "train": {"size": [64, 64], "epochs": 1, "batch": 4, "workers": 0, "precision": 32},
        },
        out=folder / "run",
        quiet=True,
    ).folder


def test_an_image_may_be_given_in_many_ways_with_the_same_answer(run):
    path = run.parent / "data" / "val" / "a" / "8.png"
    model = og.load(run)
    picture = Image.open(path)
    given = [path, str(path), path.read_bytes(), picture, np.asarray(picture)]
    scores = [model(one)["kind"].scores for one in given]
    for one in scores[1:]:
        np.testing.assert_array_equal(one, scores[0])
    assert scores[0].sum() == pytest.approx(1, abs=1e-5)


def test_a_batch_gives_what_single_images_give(run):
    model = og.load(run)
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 255, (h, w, 3)).astype(np.uint8) for h, w in ((40, 60), (100, 30), (1, 1))]
    together = model.predict(pictures)
    for picture, one in zip(pictures, together, strict=True):
        np.testing.assert_allclose(one["kind"].scores, model(picture)["kind"].scores, atol=1e-5)
        assert one.image.shape == picture.shape
    assert model.predict([]) == []


def test_a_prediction_is_a_mapping_that_can_be_drawn(run):
    answer = og.load(run)(np.zeros((40, 60, 3), np.uint8))
    assert list(answer) == ["kind"]
    assert len(answer) == 1
    assert isinstance(answer["kind"], Label)
    assert answer.plot().size[0] >= 60


@pytest.mark.parametrize(
    "bad", [b"", b"<html>", np.zeros((4, 4, 7), np.uint8), np.zeros((4, 4, 3), np.float32), "nowhere.jpg"]
)
def test_what_is_no_image_is_refused_in_words(run, bad):
    with pytest.raises(OneglanceError):
        og.load(run)(bad)


def test_a_stream_passes_over_what_it_cannot_read_and_says_so(run, tmp_path):
    files = []
    for k in range(5):
        files.append(tmp_path / f"{k}.png")
        Image.fromarray(np.full((10, 10, 3), k, np.uint8)).save(files[-1])
    files[2].write_bytes(files[2].read_bytes()[:40])
    problems = Problems()
    found = [path.name for path, _ in og.load(run).stream(files, batch=2, problems=problems)]
    assert found == ["0.png", "1.png", "3.png", "4.png"]
    assert "2.png" in str(problems.kept[0])


def test_last_and_best_weights_can_be_chosen(run):
    zero = np.zeros((40, 60, 3), np.uint8)
    for weights in ("auto", "best", "last"):
        assert og.load(run, weights)(zero)["kind"].name in ("a", "b")
    with pytest.raises(OneglanceError, match="must be `auto`, `best` or `last`"):
        og.load(run, "newest")


def test_evaluation_names_the_splits_there_are(run):
    scores = evaluate_run(run, "val")
    assert 0 <= scores["kind"]["accuracy"] <= 1
    with pytest.raises(OneglanceError, match=r"no image is in split 'test'; the splits are: train .8 images., val"):
        evaluate_run(run, "test")


def test_what_is_no_run_is_said(run, tmp_path):
    with pytest.raises(OneglanceError, match="not a run"):
        og.load(tmp_path)
    shutil.copy(run / "config.yaml", tmp_path / "config.yaml")
    with pytest.raises(OneglanceError, match=r"no best\.safetensors or last\.safetensors yet"):
        og.load(tmp_path)
    (tmp_path / "last.safetensors").write_bytes(b"junk")
    with pytest.raises(OneglanceError, match="not a file that oneglance wrote"):
        og.load(tmp_path)


def test_weights_of_another_network_are_refused(run, tmp_path):
    for name in ("config.yaml", "last.safetensors"):
        shutil.copy(run / name, tmp_path / name)
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace("- a\n", "- a\n    - c\n"))
    with pytest.raises(OneglanceError, match="the weights do not fit"):
        og.load(tmp_path)


def test_public_names_are_there_and_others_are_not():
    assert set(og.__all__) <= {name for name in og.__all__ if getattr(og, name) is not None}
    assert isinstance(Instances(), og.Instances)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = og.nothing


def test_importing_oneglance_does_not_import_torch():
    import subprocess
    import sys

    code = "import sys, oneglance; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_stream_keeps_the_order_of_its_images_and_does_not_run_far_ahead(run, tmp_path):
    files = []
    for k in range(24):
        files.append(tmp_path / f"{k}.png")
        side = 400 if k % 5 == 0 else 8  # some take longer to decode
        Image.fromarray(np.full((side, side, 3), k, np.uint8)).save(files[-1])
    asked = []

    def noted():
        for path in files:
            asked.append(path)
            yield path

    stream = og.load(run).stream(noted(), batch=4)
    first, prediction = next(stream)
    assert first == files[0]
    assert prediction.image[0, 0, 0] == 0
    assert len(asked) <= 9
    rest = [(path, int(one.image[0, 0, 0])) for path, one in stream]
    assert rest == [(files[k], k) for k in range(1, 24)]


def test_a_stream_raises_what_is_no_images_fault(run, monkeypatch):
    from oneglance import model

    def broken(_):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(model, "to_rgb", broken)
    with pytest.raises(RuntimeError, match="ours"):
        list(og.load(run).stream(["a.png"]))


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.avi"
    file = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (60, 40))
    for k in range(10):
        file.write(np.full((40, 60, 3), 20 * k, np.uint8))
    file.release()
    return path


def test_frames_are_answered_as_images_are(run, film):
    model = og.load(run)
    found = list(model.frames(film, batch=4))
    assert [moment.number for moment, _ in found] == list(range(10))
    assert [moment.seconds for moment, _ in found] == pytest.approx([k / 10 for k in range(10)])
    for k, (_, prediction) in enumerate(found):
        assert abs(int(prediction.image[20, 30, 0]) - 20 * k) < 8
        np.testing.assert_allclose(prediction["kind"].scores, model(prediction.image)["kind"].scores, atol=1e-5)
    assert [moment.number for moment, _ in model.frames(film, every=4)] == [0, 4, 8]
    assert [moment.number for moment, _ in model.frames(str(film), seconds=0.25)] == [0, 1, 2]


def test_frames_of_a_film_cut_off_are_answered_and_that_is_said(run, film, tmp_path):
    cut = tmp_path / "cut.avi"
    parts = film.read_bytes().split(b"00dc")
    cut.write_bytes(b"00dc".join(parts[:7]))
    problems = Problems()
    found = list(og.load(run).frames(cut, problems=problems))
    assert 0 < len(found) < 10
    assert f"ended after {len(found)} of the 10 frames" in problems.kept[0].what
    assert problems.kept[0].where == str(cut)


def test_frames_say_what_is_no_film(run, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(OneglanceError, match=r"a\.mp4: the file is empty"):
        list(og.load(run).frames(tmp_path / "a.mp4"))
    with pytest.raises(OneglanceError, match="camera 97: can't be opened"):
        list(og.load(run).frames(97))


def test_memory_does_not_grow_with_the_film_and_it_is_closed_when_left(run, film):
    read = []

    class Long(og.Film):
        def __iter__(self):
            for k in range(10_000):
                read.append(k)
                yield og.Moment(k, k / 10), np.zeros((40, 60, 3), np.uint8)

    frames = og.load(run).frames(Long(film), batch=4)
    for _ in range(6):
        next(frames)
    assert len(read) <= 8 + 4 + 2  # two batches taken, one waiting, one frame in hand
    frames.close()
    count = len(read)
    time.sleep(0.05)
    assert len(read) == count


def test_large_frames_go_through_the_network_in_smaller_batches(run, film, monkeypatch):
    from oneglance import model as module

    model, sizes = og.load(run), []
    monkeypatch.setattr(module, "HELD", 3 * 3 * 60 * 40)
    predict = model.predict
    monkeypatch.setattr(model, "predict", lambda images: sizes.append(len(images)) or predict(images))
    assert len(list(model.frames(film))) == 10
    assert sizes == [3, 3, 3, 1]
