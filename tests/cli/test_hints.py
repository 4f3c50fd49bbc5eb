"""A setting given like an option is said as it is meant, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from oneglance.cli import app
from oneglance.cli.hints import as_settings
from oneglance.config import Config


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("x.yaml --epochs 3", "x.yaml train.epochs=3"),
        ("x.yaml --epochs=3 -q --lr 0.01", "x.yaml -q train.epochs=3 train.lr=0.01"),
        ("--imgsz 320 x.yaml", "x.yaml|train.size=[320, 320]"),
        ("x.yaml --train.epochs 3", "x.yaml train.epochs=3"),
        ("x.yaml --no-pretrained", "x.yaml trunk.pretrained=false"),
        ("x.yaml --mosiac 1", "x.yaml augment.mosaic=1"),
        ("x.yaml --batch-size", "x.yaml train.batch=VALUE"),
        ("x.yaml --out y --zebra 3", "x.yaml --out y --zebra 3"),
    ],
)
def test_options_become_settings(given: str, meant: str) -> None:
    assert as_settings(given.split(), {"--out", "-q"})[0] == meant.split("|" if "|" in meant else " ")


def test_what_other_tools_call_it_is_there() -> None:
    from oneglance.cli.hints import _ELSEWHERE

    for key in _ELSEWHERE.values():
        group, name = key.split(".")
        assert name in Config.model_fields[group].annotation.model_fields  # type: ignore[union-attr]


@pytest.mark.parametrize("command", ["train", "check"])
def test_the_whole_command_is_said(command: str) -> None:
    result = CliRunner().invoke(app, [command, "x y.yaml", "--epochs", "3"], prog_name="oneglance")
    assert result.exit_code == 2
    assert f"oneglance {command} 'x y.yaml' train.epochs=3" in " ".join(result.stderr.split())


def test_a_misspelt_option_is_no_setting() -> None:
    result = CliRunner().invoke(app, ["check", "x.yaml", "--quikc"])
    assert result.exit_code == 2
    assert "--quick" in result.stderr
    assert "settings" not in result.stderr
    result = CliRunner().invoke(app, ["train", "x.yaml", "--qqqqq"])
    assert result.exit_code == 2
    assert "KEY=VALUE" in result.stderr
