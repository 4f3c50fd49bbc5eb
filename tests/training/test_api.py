"""Trainings from Python: what is left behind when one can't begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oneglance.errors import OneglanceError
from oneglance.training import api


def test_a_backbone_that_cannot_be_had_leaves_no_folder(tmp_path: Path, shapes: dict[str, Any]) -> None:
    shapes["trunk"] = {"backbone": "resnet10t", "pretrained": str(tmp_path / "nowhere.safetensors")}
    with pytest.raises(OneglanceError, match="no such weights file"):
        api.train(shapes, out=tmp_path / "run", base=tmp_path, quiet=True)
    assert not (tmp_path / "run").exists()
