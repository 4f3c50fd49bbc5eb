"""Train from Python or from the command line: a folder with everything that came of it."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from oneglance.config import Config, load_config, parse_config, read_yaml, write_yaml
from oneglance.errors import OneglanceError, Problems
from oneglance.evaluation.evaluate import Scores
from oneglance.ingest import build_manifest, write_problems
from oneglance.manifest import Manifest
from oneglance.network.device import device_of
from oneglance.network.trunk import Backbone
from oneglance.training.fit import LAST, STATE, Training
from oneglance.training.machine import commits, machine
from oneglance.training.observer import Observer

MANIFEST, CONFIG, FACTS, PROBLEMS = "manifest.arrow", "config.yaml", "run.json", "problems.csv"


@dataclass(frozen=True)
class Run:
    """A finished training: its folder, and the last scores on the split `val` (empty where there is none)."""

    folder: Path
    scores: Scores


def train(
    config: str | Path | Config | dict[str, Any],
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    base: str | Path | None = None,
    quiet: bool = False,
) -> Run:
    """Read all sources, train one network for all tasks, keep everything in a new folder.

    Args:
        config: a YAML file, a configuration, or a mapping like the YAML's.
        overrides: dotted keys, such as ``train.epochs=10``.
        out: the run's folder; default: ``runs/<name of the YAML>-<n>``.
        base: where relative paths start; default: the YAML's folder, or the working directory.
        quiet: no progress.

    Raises OneglanceError where something is wrong with the input, or ``out`` holds a run already.
    """
    name = "run"
    if isinstance(config, (str, Path)):
        path = Path(config)
        settings, name = load_config(path, overrides), path.stem
        origin = Path(base) if base is not None else path.parent
    else:
        data = config.model_dump(mode="json") if isinstance(config, Config) else config
        settings = parse_config(json.loads(json.dumps(data, default=str)), overrides=overrides)
        origin = Path(base) if base is not None else Path()
    folder = Path(out) if out is not None else _next_folder(Path("runs"), name)
    if folder.exists() and any(folder.iterdir()):
        hint = "; `--resume` goes on with it" if (folder / STATE).is_file() else ""
        raise OneglanceError(f"{folder}: not empty, and nothing is ever overwritten: choose another --out{hint}")
    settings = absolute(settings, origin.resolve())
    # What can't be had is said before anything is written; the weights that the hub gives are kept in its cache.
    device_of(settings.train.device, "train.device")
    Backbone(settings.trunk)
    folder.mkdir(parents=True, exist_ok=True)
    problems = Problems()
    manifest = build_manifest(settings, origin.resolve(), problems, folder / MANIFEST)
    write_problems(problems, folder / PROBLEMS)
    return begin(settings, manifest, folder, origin.resolve(), quiet=quiet)


def begin(
    settings: Config,
    manifest: Manifest,
    folder: Path,
    base: Path,
    *,
    quiet: bool = False,
    observer: Observer | None = None,
) -> Run:
    """Train in a folder that holds the manifest already, and nothing of another training.

    ``settings``: their paths are absolute; ``base``: the folder that they were relative to. ``observer``: see there.
    """
    facts = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "base": str(base),
        "fingerprint": manifest.fingerprint(),
        "python": platform.python_version(),
        "machine": machine(),
        "commits": commits(base),
        "versions": {name: version(name) for name in ("oneglance", "torch", "torchvision", "timm", "lightning")},
    }
    _write_facts(folder, facts)
    write_yaml(folder / CONFIG, settings)
    return _finish(settings, manifest, folder, resume_it=False, quiet=quiet, observer=observer)


def resume(folder: str | Path, quiet: bool = False, observer: Observer | None = None) -> Run:
    """Go on with a training that was interrupted, as if it had not been. ``observer``: the one that it began with.

    Raises OneglanceError where the folder is no run, or the run is finished.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file() or not (folder / MANIFEST).is_file():
        raise OneglanceError(
            f"{folder}: not a run that can be resumed (no {CONFIG} or {MANIFEST}); "
            "give the folder that `oneglance train` wrote"
        )
    if (folder / LAST).is_file():
        raise OneglanceError(f"{folder}: this training is finished; train into a new folder to train anew")
    settings = read_config(folder)
    manifest = Manifest.read(folder / MANIFEST)
    begun = (folder / STATE).is_file()
    return _finish(settings, manifest, folder, resume_it=begun, quiet=quiet, observer=observer)


def read_config(folder: Path) -> Config:
    """The configuration of a run; raises OneglanceError that says where it came from if somebody changed it."""
    path = folder / CONFIG
    try:
        return parse_config(read_yaml(path), str(path))
    except OneglanceError as error:
        raise OneglanceError(
            f"{error}\n{path}: `oneglance train` wrote this file, and the weights beside it fit no other: put back "
            "what was changed, or train anew"
        ) from error


def _finish(
    settings: Config, manifest: Manifest, folder: Path, *, resume_it: bool, quiet: bool, observer: Observer | None
) -> Run:
    problems = Problems()
    training = Training(settings, manifest, folder, problems, quiet=quiet, observer=observer)
    try:
        scores = training.run(resume=resume_it)
    finally:
        write_problems(problems, folder / PROBLEMS, append=True)
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8")) if (folder / FACTS).is_file() else {}
    _write_facts(folder, facts | {"training": training.cost})
    return Run(folder, scores)


def _write_facts(folder: Path, facts: dict[str, Any]) -> None:
    partial = folder / f"{FACTS}.partial"
    partial.write_text(json.dumps(facts, indent=2), encoding="utf-8")
    partial.replace(folder / FACTS)


def _next_folder(parent: Path, name: str) -> Path:
    number = 1
    while (parent / f"{name}-{number}").exists():
        number += 1
    return parent / f"{name}-{number}"


def absolute(config: Config, base: Path) -> Config:
    """The same configuration with paths that hold wherever the run's folder is read from."""
    trunk = config.trunk
    if isinstance(trunk.pretrained, Path):
        trunk = trunk.model_copy(update={"pretrained": base / trunk.pretrained})
    train = config.train
    if train.start is not None:
        train = train.model_copy(update={"start": base / train.start})
    # A source's name comes from its own paths, before `root` is put before them.
    sources = tuple(
        source.model_copy(update={"root": source.folder(base), "name": source.source_name(base)})
        for source in config.sources
    )
    tasks = {
        name: task.model_copy(update={key: base / value for key, value in task if isinstance(value, Path)})
        for name, task in config.tasks.items()
    }
    return config.model_copy(update={"trunk": trunk, "train": train, "sources": sources, "tasks": tasks})
