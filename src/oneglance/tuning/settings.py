"""What a search is asked for, and its folder: what is there goes on only with what it was begun with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from oneglance.config import Config
from oneglance.errors import OneglanceError
from oneglance.tuning.search import LOCKS, Method, Pruning, lock_of
from oneglance.tuning.space import Dimension

MARK = "tuning.json"


@dataclass(frozen=True)
class Asked:
    """What makes a search the one it is; how many trials it makes may grow."""

    config: Config
    fingerprint: str
    dimensions: tuple[Dimension, ...]
    method: Method
    pruning: Pruning
    folds: int
    members: int | None = None
    every: int | None = None

    def as_json(self) -> dict[str, Any]:
        """As it is kept; where and with how many loading processes is no part of it."""
        config = self.config.model_dump(mode="json")
        for key in ("workers", "device", "cache"):
            config["train"].pop(key)
        if not config["schedule"]:
            config.pop("schedule")  # a search of a time when there was none goes on
        return {
            "configuration": config,
            "data": self.fingerprint,
            "vary": {one.key: str(one) for one in self.dimensions},
            "method": self.method,
            "pruning": self.pruning,
            "folds": self.folds,
            "members": self.members,
            "every": self.every,
        }


def check_folder(folder: Path) -> None:
    """Raises OneglanceError where the folder is there and is no search's."""
    if folder.exists() and not folder.is_dir():
        raise OneglanceError(f"{folder}: is a file; give --out a folder")
    if folder.is_dir() and {one.name for one in folder.iterdir()} - {LOCKS} and not (folder / MARK).is_file():
        raise OneglanceError(
            f"{folder}: not empty and no folder of `oneglance tune`; nothing is ever overwritten: choose another --out"
        )


def open_folder(folder: Path, asked: Asked) -> None:
    """Make the folder of a search, or take up one that is there.

    Raises OneglanceError where it was begun with something else.
    """
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = json.loads(json.dumps(asked.as_json()))
    with lock_of(folder, "open"):
        path = folder / MARK
        if not path.is_file():
            about = {"made_by": "oneglance tune", "version": version("oneglance"), "asked": wanted}
            partial = path.with_name(path.name + ".partial")
            partial.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
            partial.replace(path)
            return
        there = json.loads(path.read_text(encoding="utf-8"))["asked"]
    different = [name for name in wanted if wanted[name] != there.get(name)]
    if "configuration" in different:
        ours, theirs = wanted["configuration"], there["configuration"]
        keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
        different[different.index("configuration")] = f"configuration ({', '.join(keys)})"
    if different:
        raise OneglanceError(
            f"{path}: this search was begun with another {', another '.join(different)}; trials of two searches can't "
            "be compared: choose another --out"
        )
