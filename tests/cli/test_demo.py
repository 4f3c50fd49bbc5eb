"""The demo: one command from nothing to scores, a report and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from oneglance.cli import app

SHORT = ["train.epochs=1", "train.size=[64,64]", "train.workers=0", "--scenes", "60"]


def run(folder: Path, *more: str) -> dict[str, dict[str, float]]:
    result = CliRunner().invoke(app, ["demo", "--out", str(folder), *SHORT, *more])
    assert result.exit_code == 0, result.output
    scores: dict[str, dict[str, float]] = json.loads((folder / "run" / "scores_test.json").read_text())
    return scores


@pytest.mark.slow
def test_the_demo_leaves_scores_a_report_and_pictures_and_repeats_itself(tmp_path: Path) -> None:
    first = run(tmp_path / "one")
    assert set(first) == {"weather", "objects", "ground", "face", "plate"}
    assert (tmp_path / "one" / "street" / "street.yaml").is_file()
    page = (tmp_path / "one" / "run" / "report-test.html").read_text(encoding="utf-8")
    assert all(f"task-{name}" in page for name in first)
    with Image.open(tmp_path / "one" / "answers.png") as picture:
        assert min(picture.size) > 400
    assert run(tmp_path / "again") == first
    assert run(tmp_path / "other", "--seed", "1") != first


@pytest.mark.slow
def test_the_demo_of_objects_leaves_scores_a_report_and_pictures(tmp_path: Path) -> None:
    scores = run(tmp_path / "one", "--objects", "train.eval_size=[64,64]")
    assert set(scores) == {"objects", "outline", "marks", "corners", "colour", "who"}
    page = (tmp_path / "one" / "run" / "report-test.html").read_text(encoding="utf-8")
    assert all(f"task-{name}" in page for name in scores)
    assert (tmp_path / "one" / "street" / "album").is_dir()
    with Image.open(tmp_path / "one" / "answers.png") as picture:
        assert min(picture.size) > 400


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
