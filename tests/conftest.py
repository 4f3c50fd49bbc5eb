"""Shared by all tests: one thread (determinism, and no fight over cores), and a small data set on disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

torch.set_num_threads(1)


@pytest.fixture
def shapes(tmp_path: Path) -> dict[str, Any]:
    """24 pictures of 64 px: a bright or a dark square on noise. Kind for all, boxes for the even ones. Returns a
    configuration that trains in seconds."""
    rng = np.random.default_rng(0)
    for k in range(24):
        kind = ("bright", "dark")[k % 2]
        picture = rng.integers(90, 150, (64, 64, 3)).astype(np.uint8)
        x, y, w = rng.integers(4, 30, 3)
        picture[y : y + w, x : x + w] = 250 if kind == "bright" else 10
        folder = tmp_path / "data" / ("val" if k >= 20 else "train") / kind
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{k:02}.png")
        if k % 4 < 2:
            box = "".join(
                f"<{n}>{v}</{n}>"
                for n, v in zip(("xmin", "ymin", "xmax", "ymax"), (x + 1, y + 1, x + w, y + w), strict=True)
            )
            labels = tmp_path / "data" / "boxes" / ("val" if k >= 20 else "train") / kind
            labels.mkdir(parents=True, exist_ok=True)
            xml = f"<annotation><object><name>square</name><bndbox>{box}</bndbox></object></annotation>"
            (labels / f"{k:02}.xml").write_text(xml)
    sources: list[dict[str, Any]] = [
        {"format": "folder", "name": "shapes", "root": "data", "splits": ["train", "val"], "tasks": ["kind"]}
    ]
    sources += [
        {"format": "voc", "name": "shapes", "root": "data", "tasks": ["squares"], "images": f"{split}/{kind}"}
        | {"labels": f"boxes/{split}/{kind}"}
        for split in ("train", "val")
        for kind in ("bright", "dark")
    ]
    return {
        "tasks": {
            "kind": {"kind": "classification", "classes": ["bright", "dark"]},
            "squares": {"kind": "detection", "classes": ["square"], "width": 16},
        },
        "sources": sources,
        "trunk": {"backbone": "mobilenetv4_conv_small", "pretrained": False, "channels": 16},
        "train": {"size": [64, 64], "epochs": 3, "batch": 4, "checkpoint_every": 2, "evaluate_every": 1}
        | {"workers": 1, "precision": "32"},
    }
