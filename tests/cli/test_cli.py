"""The command line, as people use it: a folder of images to answers, and every mistake said in a line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from oneglance.cli import app

COMMANDS = ("init", "check", "train", "evaluate", "predict", "convert")
SMALL = (
    "trunk.pretrained=false",
    "train.size=[64, 64]",
    "train.epochs=1",
    "train.batch=4",
    "train.workers=0",
    "train.device=cpu",
)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: object, by: str) -> None:
    """The command ends with code 2 and one line, no traceback, that says ``by``."""
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    said = " ".join(result.stderr.split())
    assert "error:" in said
    assert by in said
    assert "Traceback" not in said


def write_images(folder: Path) -> Path:
    """Twelve images in two classes."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 1), ("test", 1)):
        for label, level in (("dark", 40), ("light", 200)):
            place = folder / split / label
            place.mkdir(parents=True)
            for k in range(count):
                pixels = np.clip(rng.normal(level, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{split}_{label}_{k}.png")
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(scope="session")
def config(data: Path) -> Path:
    path = data.parent / "photos.yaml"
    assert call("init", data, "--out", path).exit_code == 0
    return path


@pytest.fixture(scope="session")
def run(config: Path) -> Path:
    folder = config.parent / "run"
    result = call("train", config, "--out", folder, "--quiet", *SMALL)
    assert result.exit_code == 0, result.output
    return folder


# --- help --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_on_lines_of_its_own(command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
    assert any(line.strip().startswith(f"oneglance {command}") for line in result.output.splitlines())


def test_help_and_version_come_at_once() -> None:
    """Torch takes seconds to import; nothing that needs no network may wait for it."""
    began = time.perf_counter()
    code = "import sys; from oneglance.cli import main; assert 'torch' not in sys.modules, 'torch'; main()"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - began < 10
    assert call("--version").output.startswith("oneglance ")


def test_runs_are_completed(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oneglance.cli.app import runs_like

    assert runs_like(str(run)[:-1]) == [str(run)]
    assert f"{run.parent}/" in runs_like(str(run.parent)[:-1])
    assert runs_like("/nowhere/at/all") == []
    monkeypatch.setenv("_ONEGLANCE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"oneglance predict {str(run)[:-1]}")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert str(run) in CliRunner().invoke(app, [], prog_name="oneglance").output


def test_names_in_messages_are_not_taken_for_markup(run: Path, tmp_path: Path) -> None:
    bad = tmp_path / "[bold]x[red].png"
    bad.write_text("no image")
    assert "[bold]x[red].png" in call("predict", run, bad, "--json").stderr


def test_what_is_wrong_is_said_with_what_to_do(run: Path, config: Path, data: Path, tmp_path: Path) -> None:
    """The mistakes of a first day, each with the next step."""
    refused("train", data, by=f"`oneglance init {data}`")
    refused("init", config, "--out", tmp_path / "x.yaml", by="is a file; give the folder")
    refused("train", config, "train.size=3", by="must be a list, such as [320, 320] (not 3)")
    refused("train", config, "train.epochs=abc", by="must be a whole number (not 'abc')")
    refused("train", config, "train.device=tpu", "--out", tmp_path / "r", by="train.device 'tpu': must be auto, cpu")
    refused("predict", run, data, "--device", "tpu", "--out", tmp_path / "o", by="device 'tpu': must be")
    assert not (tmp_path / "o").exists()
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    refused("predict", unfinished, data, by=f"`oneglance train --resume {unfinished}`")
    refused("train", "--resume", unfinished, by="give the folder that `oneglance train` wrote")
    refused("train", "--resume", unfinished, "train.epochs=3", by="as it was: train.epochs=3 can't go with it")


def test_a_run_that_was_spoilt_is_named_with_what_to_do(run: Path, data: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(run, spoilt)
    for name, text in (("run.json", "{"), ("history.csv", "step,epoch\n1,2\n")):
        whole = (spoilt / name).read_text()
        (spoilt / name).write_text(text)
        result = call("evaluate", spoilt)
        assert result.exit_code == 0, result.output
        assert f"{spoilt / name}: " in result.stderr
        assert "without this file a report can be made" in result.stderr
        (spoilt / name).write_text(whole)
    (spoilt / "manifest.arrow").unlink()
    refused("evaluate", spoilt, by="copy it from where the run was trained")
    assert call("predict", spoilt, data, "--json").exit_code == 0
    (spoilt / "config.yaml").write_text("tasks: {")
    refused("predict", spoilt, data, "--json", by="put back what was changed, or train anew")
    refused("evaluate", spoilt, by="put back what was changed")


def test_names_of_classes_and_sources_are_not_taken_for_markup(tmp_path: Path) -> None:
    for label in ("a [x]", "b [bold]"):
        place = tmp_path / "[red]s" / label
        place.mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(place / "1.png")
    path = tmp_path / "names.yaml"
    path.write_text(
        "tasks: {kind: {kind: classification, classes: ['a [x]', 'b [bold]']}}\n"
        "sources: [{format: folder, root: '[red]s', split: '[dim]t', tasks: [kind]}]\n"
    )
    said = call("check", path).stdout
    assert all(name in said for name in ("a [x]", "b [bold]", "[red]s", "[dim]t"))


def test_a_misspelt_command_is_named_with_the_nearest() -> None:
    result = call("trian")
    assert result.exit_code == 2
    assert "train" in result.stderr


# --- init --------------------------------------------------------------------------------------------------


def test_init_writes_a_yaml_that_can_be_trained_by(config: Path, data: Path) -> None:
    from oneglance.config import load_config

    text = config.read_text()
    assert "#" in text
    settings = load_config(config)
    assert [source.format for source in settings.sources] == ["folder"]
    assert settings.train.size == (64, 64)
    assert (config.parent / settings.sources[0].root).resolve() == data.resolve()  # type: ignore[operator]


def test_init_never_overwrites(config: Path, data: Path) -> None:
    before = config.read_text()
    refused("init", data, "--out", config, by="ever overwritten")
    assert config.read_text() == before


def test_init_says_what_it_looked_for(tmp_path: Path) -> None:
    refused("init", tmp_path, "--out", tmp_path / "a.yaml", by="looked for coco, voc")
    refused("init", tmp_path / "nowhere", by="no such folder")
    assert not (tmp_path / "a.yaml").exists()


def test_init_asks_about_objects_what_their_annotations_tell(tmp_path: Path) -> None:
    from oneglance.config import load_config

    (tmp_path / "data").mkdir()
    annotations = []
    for number in range(12):
        Image.new("RGB", (64, 64)).save(tmp_path / "data" / f"{number}.png")
        annotations.append({
            "id": number + 1, "image_id": number, "category_id": 3, "bbox": [8, 8, 32, 24], "num_keypoints": 1,
            "segmentation": [[8, 8, 40, 8, 40, 32]], "keypoints": [10, 10, 2, 0, 0, 0],
            "attributes": {"body colour": ("red", "blue")[number % 2]},
        })  # fmt: skip
    car = {"id": 3, "name": "sports car", "keypoints": ["left lamp", "right lamp"], "skeleton": [[1, 2]]}
    images = [{"id": k, "file_name": f"{k}.png", "width": 64, "height": 64} for k in range(12)]
    content = {"images": images, "annotations": annotations, "categories": [car]}
    (tmp_path / "data" / "labels.json").write_text(json.dumps(content))
    config = tmp_path / "a.yaml"
    result = call("init", tmp_path / "data", "--out", config)
    assert result.exit_code == 0, result.output
    tasks = load_config(config).tasks
    assert {name: (one.kind, one.on) for name, one in tasks.items()} == {
        "objects": ("detection", "image"), "outline": ("mask", "objects"),
        "sports_car_points": ("keypoints", "objects.sports car"),
        "body_colour": ("classification", "objects.sports car"),
    }  # fmt: skip
    assert "  on: objects.sports car" in config.read_text()
    checked = call("check", config)
    assert checked.exit_code == 0, checked.output
    assert "no problems" in checked.output
    counts = {name: row.split() for row in checked.output.splitlines() for name in tasks if row.startswith(f"{name} ")}
    assert counts["body_colour"][3:] == counts["sports_car_points"][3:], counts


# --- check -------------------------------------------------------------------------------------------------


def test_check_counts_and_draws(config: Path, tmp_path: Path) -> None:
    page = tmp_path / "page"
    result = call("check", config, "--draw", page)
    assert result.exit_code == 0, result.output
    assert "no problems" in result.output
    assert all(len(line) <= 80 for line in result.output.splitlines() if "/" not in line)
    html = (page / "index.html").read_text()
    for picture in page.glob("*.png"):
        assert picture.name in html
        with Image.open(picture) as opened:
            opened.load()
    assert len(list(page.glob("*.png"))) == 2
    refused("check", config, "--draw", page, by="not empty")


def test_check_draws_composed_samples_where_training_uses_them(tmp_path: Path) -> None:
    source = tmp_path / "cells"
    rng = np.random.default_rng(0)
    for k in range(6):
        for place in ("JPEGImages", "Annotations"):
            (source / place).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(source / f"JPEGImages/{k}.png")
        box = "<xmin>20</xmin><ymin>10</ymin><xmax>50</xmax><ymax>40</ymax>"
        text = f"<annotation><object><name>cell</name><bndbox>{box}</bndbox></object></annotation>"
        (source / f"Annotations/{k}.xml").write_text(text)
    path = tmp_path / "cells.yaml"
    path.write_text(
        "tasks: {cells: {kind: detection, classes: [cell]}, kind: {kind: tagging, classes: [cell]}}\n"
        "sources: [{format: voc, root: cells, split: train, tasks: [cells, kind]}]\n"
    )
    small = ("train.size=[64, 64]", "augment.flip=0")
    assert call("check", path, "--draw", tmp_path / "without", *small).exit_code == 0
    assert not (tmp_path / "without" / "mosaics.png").exists()
    assert call("check", path, "--draw", tmp_path / "with", "augment.mosaic=0.2", *small).exit_code == 0
    text = (tmp_path / "with" / "index.html").read_text()
    assert "mosaics.png" in text
    assert "Composed samples" in text
    assert "kind: without labels there" in text
    with Image.open(tmp_path / "with" / "mosaics.png") as opened:
        assert opened.width > opened.height

    from oneglance.cli.page import MOSAICS, draw_mosaics
    from oneglance.config import load_config
    from oneglance.errors import Problems
    from oneglance.ingest import build_manifest
    from oneglance.tasks import create_tasks

    settings = load_config(path, ["augment.mosaic=0.2", *small])
    manifest = build_manifest(settings, tmp_path, Problems())
    drawn, left_out = draw_mosaics(settings, manifest, create_tasks(settings.tasks))
    assert len(drawn) == MOSAICS
    assert left_out == ["kind"]
    assert draw_mosaics(settings, manifest.select([0, 1, 2]), create_tasks(settings.tasks))[0] == []


def test_check_as_json(config: Path) -> None:
    result = call("check", config, "--quick", "--json")
    found = json.loads(result.stdout)
    assert found["images"] == 12
    assert {row["split"]: row["labelled"] for row in found["labels"]} == {"train": 8, "val": 2, "test": 2}
    (train,) = (row for row in found["labels"] if row["split"] == "train")
    assert train["classes"] == {"dark": 4, "light": 4}
    assert any("only 8 labelled" in warning for warning in found["warnings"])


@pytest.mark.parametrize("workers", [0, 1])
def test_check_names_every_bad_file(tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from oneglance.cli import verify

    monkeypatch.setattr(verify, "FEW", 1)
    data = write_images(tmp_path / "photos")
    bad = data / "train" / "dark" / "train_dark_0.png"
    bad.write_bytes(bad.read_bytes()[:-200])
    (data / "train" / "light" / "text.png").write_text("no image")
    config = tmp_path / "photos.yaml"
    assert call("init", data, "--out", config).exit_code == 0
    result = call("check", config, "--workers", workers, "--json")
    assert result.exit_code == 1
    where = {Path(problem["where"]).name for problem in json.loads(result.stdout)["problems"]}
    assert where == {"train_dark_0.png", "text.png"}
    shown = call("check", config, "--workers", 0)
    assert shown.exit_code == 1
    assert "train_dark_0.png" in shown.output


def test_check_knows_the_names_of_sources(config: Path) -> None:
    refused("check", config, 'train.sizes={"nobody": [64, 64]}', by="train.sizes: no source is called 'nobody'")


def test_check_warns_of_classes_without_labels(config: Path) -> None:
    task = next(iter(json.loads(call("check", config, "--quick", "--json").stdout)["labels"]))["task"]
    result = call("check", config, "--quick", f"tasks.{task}.classes=[dark, light, pink]")
    assert "pink" in result.output


@pytest.mark.parametrize("command", ["check", "train"])
def test_what_is_wrong_with_a_configuration_is_named(command: str, config: Path, tmp_path: Path) -> None:
    refused(command, tmp_path / "none.yaml", by="no such file")
    refused(command, config, "train.epoch=3", by="did you mean 'epochs'?")
    refused(command, config, "epochs", by="key=value")
    (tmp_path / "bad.yaml").write_text("tasks: [")
    refused(command, tmp_path / "bad.yaml", by="not valid YAML")


# --- train, evaluate, predict ------------------------------------------------------------------------------


def test_train_refuses_what_it_can_not_do(config: Path, data: Path, tmp_path: Path) -> None:
    refused("train", by="--resume")
    refused("train", config, "--resume", tmp_path, by="either")
    refused("train", "--resume", tmp_path, "--out", tmp_path / "x", by="as it was")
    refused("train", "--resume", tmp_path, by="not a run")
    refused("train", config, "--out", data, by="not empty")


def test_train_tells_what_comes_next(run: Path, config: Path, tmp_path: Path) -> None:
    assert (run / "last.safetensors").is_file()
    result = call("train", config, "--out", tmp_path / "run", "--quiet", "--no-report", *SMALL)
    assert result.exit_code == 0, result.output
    assert "higher is better" in result.stdout
    assert f"oneglance evaluate {tmp_path / 'run'}" in " ".join(result.stderr.split())
    assert "the report" not in result.stderr
    assert not list((tmp_path / "run").glob("*.html"))
    refused("train", "--resume", tmp_path / "run", by="finished")


def test_an_interrupted_training_says_how_to_go_on(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oneglance.training import api

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "_finish", interrupted)
    result = call("train", config, "--out", tmp_path / "run", "--quiet", *SMALL)
    assert result.exit_code == 130
    assert f"--resume {tmp_path / 'run'}" in " ".join(result.stderr.split())


def test_evaluate_keeps_its_scores(run: Path, tmp_path: Path) -> None:
    result = call("evaluate", run, "--split", "test", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads((run / "scores_test.json").read_text())
    assert f"the report is {run / 'report-test.html'}" in result.stderr
    assert (run / "plots-test" / "results.png").is_file()
    assert "higher is better" in call("evaluate", run, "--no-report").stdout
    refused("evaluate", run, "--split", "tset", by="train (8 images), val (2 images), test (2 images)")
    refused("evaluate", tmp_path, by="not a run")


def test_scores_that_can_not_be_kept_are_shown(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "write_text", forbidden)
    result = call("evaluate", run, "--no-report")
    assert result.exit_code == 2
    assert "higher is better" in result.stdout
    assert "scores_test.json: Permission denied" in " ".join(result.stderr.split())


def resplit(run: Path, folder: Path, splits: Mapping[str, str], *, unlabelled: str = "") -> Path:
    """A copy of a run, its images' splits called otherwise, and those of one split labelled by nobody."""
    from oneglance.manifest import Manifest

    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("scores_*", "report*"))
    manifest = Manifest.read(run / "manifest.arrow")
    records = [replace(record, split=splits[str(record.split)]) for record in manifest]
    records = [replace(one, annotations={}) if one.split == unlabelled else one for one in records]
    Manifest.build(records, manifest.columns, folder / "manifest.arrow")
    return folder


def test_evaluate_takes_val_where_there_is_no_test(run: Path, tmp_path: Path) -> None:
    both = resplit(run, tmp_path / "both", {"train": "train", "val": "val", "test": "val"})
    result = call("evaluate", both, "--json", "--no-report")
    assert result.exit_code == 0, result.output
    assert "no image is in the split test: scored on val" in result.stderr
    assert json.loads(result.stdout) == json.loads((both / "scores_val.json").read_text())
    assert not (both / "scores_test.json").exists()
    # An unlabelled test set is as good as none.
    same = {name: name for name in ("train", "val", "test")}
    unknown = resplit(run, tmp_path / "unknown", same, unlabelled="test")
    result = call("evaluate", unknown, "--no-report")
    assert result.exit_code == 0, result.output
    assert "no image of the split test is labelled: scored on val" in result.stderr
    result = call("evaluate", unknown, "--split", "test", "--no-report", "--json")
    assert result.exit_code == 0, result.output
    assert "no image of the split test is labelled: nothing can be measured" in result.stderr
    assert set(json.loads(result.stdout)["class"].values()) == {None}
    alone = resplit(run, tmp_path / "alone", dict.fromkeys(same, "train"))
    refused("evaluate", alone, by="no image is in split 'test'; the splits are: train (12 images); give --split train")
    assert call("evaluate", alone, "--split", "train", "--no-report").exit_code == 0


def test_train_writes_a_report_on_val(run: Path) -> None:
    text = (run / "report.html").read_text()
    assert "of the split &#x27;val&#x27;" in text
    assert (run / "plots" / "results.png").is_file()


def test_a_report_that_fails_undoes_nothing(
    run: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oneglance.evaluation import api, report

    def broken(*_: object, **__: object) -> None:
        raise ValueError("no [ink] left")

    monkeypatch.setattr(api, "write_report", broken)
    monkeypatch.setattr(report, "write_report", broken)
    result = call("train", config, "--out", tmp_path / "run", "--quiet", *SMALL)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "last.safetensors").is_file()
    assert "the report could not be made (ValueError: no [ink] left)" in " ".join(result.stderr.split())
    assert "the report is" not in result.stderr
    result = call("evaluate", run, "--split", "val", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)
    assert "could not be made" in result.stderr


def test_evaluate_overwrites_nothing_of_the_users(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("mine")
    refused("evaluate", run, "--out", mine, by="no report that oneglance made")
    refused("evaluate", run, "--out", mine, "--no-report", by="--no-report")
    assert mine.read_text() == "mine"


def test_predict_writes_answers(run: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers"
    result = call("predict", run, data, "--out", out)
    assert result.exit_code == 0, result.output
    answers = json.loads((out / "predictions.json").read_text())
    assert len(answers) == 12
    for answer in answers:
        assert (out / answer["picture"]).is_file()
        (label,) = answer["answers"].values()
        assert label["type"] == "label"
        assert (answer["width"], answer["height"]) == (32, 32)
    assert len({answer["picture"] for answer in answers}) == 12
    assert not (out / "errors.csv").exists()
    refused("predict", run, data, "--out", out, by="not empty")


def test_predict_passes_over_what_it_can_not_read(run: Path, data: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    good = next(data.rglob("*.png"))
    result = call("predict", run, good, bad, "--out", tmp_path / "out", "--no-pictures", "--coco")
    assert result.exit_code == 0, result.output
    assert "bad.png" in (tmp_path / "out" / "errors.csv").read_text()
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())) == 1
    assert not (tmp_path / "out" / "pictures").exists()
    refused("predict", run, bad, "--out", tmp_path / "out2", by="not a single image")
    refused("predict", run, tmp_path / "none.png", by="no such file")
    refused("predict", run, tmp_path / "out", "--out", tmp_path / "out3", by="no image and no film below it")
    refused("predict", tmp_path, good, "--out", tmp_path / "out4", by="not a run")


def test_predict_as_json_lines(run: Path, data: Path) -> None:
    result = call("predict", run, f"{data}/test/*/*.png", "--json")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == 2
    assert not Path("predictions-1").exists()


def write_film(path: Path, frames: int = 12) -> Path:
    """Frames of 64 x 48, ten a second, ever brighter."""
    letters = {".avi": "MJPG", ".mp4": "mp4v"}[path.suffix]
    file = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*letters), 10.0, (64, 48))
    for k in range(frames):
        file.write(np.full((48, 64, 3), 30 + 15 * k, np.uint8))
    file.release()
    return path


def frames_of(path: Path) -> int:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    count = 0
    while capture.read()[0]:
        count += 1
    return count


def test_predict_takes_films_and_images_together(run: Path, data: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    (mixed / "deep").mkdir(parents=True)
    write_film(mixed / "film.mp4")
    write_film(mixed / "film.avi", 5)
    write_film(mixed / "deep" / "film.avi", 3)
    (mixed / "photo.png").write_bytes(next(data.rglob("*.png")).read_bytes())
    (mixed / "broken.mp4").write_bytes(b"")
    out = tmp_path / "out"
    result = call("predict", run, mixed, "--out", out, "--codec", "mpeg4", "--batch", 5)
    assert result.exit_code == 0, result.output
    assert "1 of 1 images and 20 frames" in result.stderr
    assert "no browser" in result.stderr
    files = sorted(str(path.relative_to(out / "films")) for path in (out / "films").rglob("*") if path.is_file())
    assert files == sorted(
        ["film.mp4", "film.jsonl", "film.mp4.mp4", "film.mp4.jsonl", "deep/film.mp4", "deep/film.jsonl"]
    )
    assert frames_of(out / "films/film.mp4.mp4") == 12
    assert frames_of(out / "films/film.mp4") == 5
    lines = [json.loads(line) for line in (out / "films/film.mp4.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(12))
    assert [line["seconds"] for line in lines] == pytest.approx([k / 10 for k in range(12)])
    assert all((line["width"], line["height"]) == (64, 48) for line in lines)
    (image,) = json.loads((out / "predictions.json").read_text())
    assert set(image["answers"]) == set(lines[0]["answers"])
    assert "broken.mp4,the file is empty" in (out / "errors.csv").read_text()


def test_predict_on_a_film_alone(run: Path, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4")
    out = tmp_path / "out"
    result = call("predict", run, film, "--out", out, "--every", 4, "--seconds", 1)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == ["films"]
    (written,) = (path for path in (out / "films").iterdir() if path.suffix != ".jsonl")
    assert frames_of(written) == 3
    assert cv2.VideoCapture(str(written), cv2.CAP_FFMPEG).get(cv2.CAP_PROP_FPS) == pytest.approx(2.5)
    result = call("predict", run, film, "--out", tmp_path / "bare", "--no-pictures")
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "bare" / "films").iterdir()] == ["film.jsonl"]
    result = call("predict", run, film, "--json", "--every", 6)
    assert [json.loads(line)["frame"] for line in result.stdout.splitlines()] == [0, 6]


def test_predict_says_which_film_is_broken(run: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    whole = write_film(tmp_path / "film.mp4").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    refused("predict", run, cut, "--out", tmp_path / "out", by="not a single image or film")
    assert "cut.mp4: cut off: its index" in " ".join(call("predict", run, cut, "--json").stderr.split())
    headless = tmp_path / "empty.avi"
    write_film(headless, 0)
    refused("predict", run, headless, "--out", tmp_path / "out2", by="not a single image or film")
    assert not list((tmp_path / "out2").rglob("*.jsonl"))
    refused("predict", run, "--camera", 97, "--out", tmp_path / "out3", by="camera 97: can't be opened")
    assert not (tmp_path / "out3").exists()
    refused("predict", run, by="--camera 0")
    refused("predict", run, cut, "--seconds", 0, by="--seconds 0: must be more")


def test_an_interrupted_film_is_kept_and_playable(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oneglance.cli import films

    real, count = films.FilmAnswers.add, 0

    def interrupted(*arguments: Any) -> None:
        nonlocal count
        count += 1
        if count > 6:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(films.FilmAnswers, "add", interrupted)
    film, out = write_film(tmp_path / "film.avi"), tmp_path / "out"
    result = call("predict", run, film, "--out", out)
    assert result.exit_code == 130
    assert "6 frames are answered" in result.stderr
    (written,) = (path for path in (out / "films").iterdir() if path.suffix != ".jsonl")
    assert frames_of(written) == 6
    assert [json.loads(line)["frame"] for line in (out / "films/film.jsonl").read_text().splitlines()] == list(range(6))


def test_predict_from_a_camera(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A film stands for the camera; Ctrl-C is how its recording is meant to end."""
    from oneglance.cli import films
    from oneglance.video import reader

    film = write_film(tmp_path / "film.avi")
    monkeypatch.setattr(reader, "_open_camera", lambda number: cv2.VideoCapture(str(film), cv2.CAP_FFMPEG))
    result = call("predict", run, "--camera", 0, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in (tmp_path / "out/films/camera-0.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(12))
    assert lines[0]["path"] == "camera 0"
    assert "the camera stopped after 12 frames" in (tmp_path / "out/errors.csv").read_text()

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    real = films.FilmAnswers.add
    monkeypatch.setattr(
        films.FilmAnswers, "add", lambda self, *rest: (real(self, *rest), rest[-1] > 0 and interrupted())
    )
    assert call("predict", run, "--camera", 0, "--out", tmp_path / "out2").exit_code == 0


def test_a_frames_mask_stands_in_its_line_as_runs() -> None:
    from types import SimpleNamespace

    from oneglance.annotations import Segments
    from oneglance.cli.films import frame_line
    from oneglance.results import from_json
    from oneglance.tasks import SegmentationSettings, create_tasks
    from oneglance.video import Moment

    indices = np.array([[0, 0, 1], [255, 1, 1]], np.uint8)

    class Answers(dict[str, Any]):
        image = np.zeros((2, 3, 3), np.uint8)

    tasks = create_tasks({"ground": SegmentationSettings(classes=("a", "b"))})
    said = Answers(ground=Segments(indices=indices, classes=("a", "b")))
    line = frame_line("f.mp4", Moment(3, 0.12), said, SimpleNamespace(tasks=tasks), 0.25)  # type: ignore[arg-type]
    entry = json.loads(line)
    assert (entry["frame"], entry["seconds"]) == (3, 0.12)
    again = from_json(entry["answers"]["ground"])
    assert isinstance(again, Segments)
    np.testing.assert_array_equal(again.indices, indices)  # type: ignore[arg-type]


def test_names_never_collide(tmp_path: Path) -> None:
    from oneglance.cli.prediction import collect

    paths = ["a/b.jpg", "a_b.jpg", "c/b.jpg", "c/B.jpg", "d/c/b.jpg"]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    # Where the disk tells A.jpg from a.jpg, the second of them gets a longer name.
    whole = collect([str(tmp_path)])
    assert {"a/b.jpg", "a_b.jpg", "d/c/b.jpg"} <= set(whole.values())
    assert len({name.lower() for name in whole.values()}) == len(paths)
    some = collect([str(tmp_path / path) for path in paths] + [str(tmp_path)])
    assert len(some) == len(paths)
    assert len({name.lower() for name in some.values()}) == len(paths)
    patterned = collect([f"{tmp_path}/*/b.jpg"])
    assert set(patterned.values()) == {"a/b.jpg", "c/b.jpg"}


def test_coco_results_are_numbered_from_one() -> None:
    from oneglance.annotations import Instance
    from oneglance.cli.answers import coco_result

    item = Instance("b", np.array([1, 2, 4, 8], np.float32), score=0.5)
    assert coco_result(item, 3, ("a", "b")) == {
        "image_id": 3,
        "category_id": 2,
        "bbox": [1, 2, 3, 6],
        "score": 0.5,
    }
    assert coco_result(Instance("b"), 3, ("a", "b")) is None


def test_an_array_cut_short_is_whole_json(tmp_path: Path) -> None:
    from oneglance.cli.answers import JsonArray

    for count in range(3):
        file = JsonArray(tmp_path / f"{count}.json")
        for k in range(count):
            file.add({"k": k})
        file.close()
        assert json.loads((tmp_path / f"{count}.json").read_text()) == [{"k": k} for k in range(count)]


# --- convert -----------------------------------------------------------------------------------------------


def coco(folder: Path) -> Path:
    """A COCO data set of two images, one of them empty."""
    (folder / "images").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 48)).save(folder / "images" / name)
    labels = {
        "images": [{"id": k, "file_name": n, "width": 64, "height": 48} for k, n in enumerate(("a.png", "b.png"))],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 0, "category_id": 3, "bbox": [8, 8, 16, 16], "area": 256, "iscrowd": 0}],
    }
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder


def test_convert_from_options_and_from_a_configuration(tmp_path: Path) -> None:
    source = coco(tmp_path / "coco")
    where = ("--labels", source / "labels.json", "--images", source / "images")
    result = call("convert", "--from", "coco", *where, "--to", "yolo", tmp_path / "yolo")
    assert result.exit_code == 0, result.output
    texts = [path.read_text().strip() for path in (tmp_path / "yolo").rglob("*.txt") if path.parent.name != "yolo"]
    assert any(text.startswith("0 0.25 ") for text in texts), texts
    refused("convert", "--from", "coco", *where, "--to", "yolo", tmp_path / "yolo", by="not empty")
    assert call("init", source, "--out", tmp_path / "c.yaml").exit_code == 0
    result = call("convert", "--config", tmp_path / "c.yaml", "--to", "voc", tmp_path / "voc")
    assert result.exit_code == 0, result.output
    assert list((tmp_path / "voc").rglob("*.xml"))


def test_convert_says_what_is_wrong(tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused("convert", "--to", "yolo", out, by="--from")
    refused("convert", "--from", "coko", "--to", "yolo", out, by="did you mean 'coco'?")
    refused("convert", "--from", "coco", "--to", "yollo", out, by="did you mean 'yolo'?")
    refused("convert", "--from", "coco", "--to", "yolo", out, by="--root")
    refused("convert", "--from", "coco", "--labels", tmp_path / "x.json", "--to", "yolo", out, by="no such file")
    refused("convert", "--from", "coco", "--root", tmp_path, "--to", "yolo", out, by="no coco data set")
    refused("convert", "cells", out, "--to", "coco", by="only the new one stands by itself; what is read is given by")
    refused("convert", "--from", "coco", "--root", tmp_path, out, by="--to FORMAT; known: coco, voc")
    assert not out.exists()
