"""A run of all kinds of task that is trained in a second, with names that hurt and labels that are missing."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from oneglance.annotations import Instance, Instances, Label, Numbers, Points, Record, Segments, Tags
from oneglance.config import parse_config, write_yaml
from oneglance.errors import Problems
from oneglance.manifest import Manifest
from oneglance.tasks import create_tasks
from oneglance.training.fit import Training

EVIL = "<script>alert(1)</script>"
TASKS: dict[str, dict[str, Any]] = {
    "kind": {"kind": "classification", "classes": ["bright", EVIL, "never"]},
    "tags": {"kind": "tagging", "classes": ["big", "left", "round & $x^2$"]},
    "size": {"kind": "regression", "targets": ["width in px", "<b>x</b>"]},
    "corners": {"kind": "keypoints", "points": ["top left", "bottom right", EVIL], "width": 8},
    "ground": {"kind": "segmentation", "classes": ["ground", "bright", "dark"], "width": 8},
    "squares": {"kind": "detection", "classes": ["bright", EVIL, "never"], "width": 8},
}


def make_records(folder: Path, count: int, splits: tuple[str, ...] = ("train", "val")) -> list[Record]:
    """Pictures of 64 x 96 px with one square each; every third image or so is unknown to each task."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    records = []
    for k in range(count):
        bright = int(rng.integers(2))
        picture = rng.integers(90, 150, (64, 96, 3)).astype(np.uint8)
        x, y, w = (int(v) for v in rng.integers((4, 4, 10), (60, 40, 22)))
        picture[y : y + w, x : x + w] = 250 if bright else 10
        mask = np.zeros((64, 96), np.uint8)
        mask[y : y + w, x : x + w] = 2 - bright
        mask[:4] = 255
        image, of_mask = folder / f"{k:02} <i>&'.png", folder / f"mask{k}.png"
        Image.fromarray(picture).save(image)
        Image.fromarray(mask).save(of_mask)
        name = "bright" if bright else EVIL
        held = tuple(tag for tag, holds in (("big", w > 15), ("left", x < 30)) if holds)
        xy = np.float32([[x, y], [x + w, y + w], [np.nan, np.nan]])
        labels = {
            "kind": Label(name),
            "tags": Tags(held, annotated=("big", "left")),
            "size": Numbers(np.float32([w, x if k % 2 else np.nan])),
            "corners": Points(xy, np.int8([2, 2, 0])),
            "ground": Segments(of_mask, ((0, "ground"), (1, "bright"), (2, "dark"))),
            "squares": Instances((Instance(name, box=np.float32([x, y, x + w, y + w])),) if k % 4 else ()),
        }
        known = {task: label if (k + at) % 3 else None for at, (task, label) in enumerate(labels.items())}
        split = splits[k % 2 if len(splits) > 1 else 0]
        records.append(Record(image, 96, 64, split, ("east", "west <u>")[k // 2 % 2], annotations=known))
    return records


def make_run(
    folder: Path, count: int = 16, splits: tuple[str, ...] = ("train", "val"), **settings: dict[str, Any]
) -> Path:
    """A finished run in ``folder``; ``settings``: further parts of the configuration."""
    train = {"size": [64, 96], "epochs": 1, "batch": 8, "workers": 0, "precision": "32", "evaluate_every": 1}
    config = parse_config(
        {
            "tasks": TASKS,
            "sources": [{"format": "folder", "root": ".", "tasks": list(TASKS)}],
            "trunk": {"backbone": "mobilenetv4_conv_small", "pretrained": False, "channels": 16},
            "train": train,
            **settings,
        }
    )
    folder.mkdir(parents=True)
    columns = {name: task.column for name, task in create_tasks(config.tasks).items()}
    manifest = Manifest.build(make_records(folder.parent / "images", count, splits), columns, folder / "manifest.arrow")
    write_yaml(folder / "config.yaml", config)
    Training(config, manifest, folder, Problems(), quiet=True).run()
    return folder
