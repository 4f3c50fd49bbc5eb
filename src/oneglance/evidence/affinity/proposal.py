"""The configurations that a grouping proposes: YAML files that `oneglance compare` takes as they are."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from oneglance.config import Config, parse_config
from oneglance.network.sharing import SharingSettings


def sharing_of(groups: Sequence[Sequence[str]], depth: int | None) -> SharingSettings:
    """A network for each group of tasks, or, with a ``depth``, a branch from the map of that stride on."""
    scheme = {"scheme": "none"} if depth is None else {"scheme": "layers", "depth": depth}
    return SharingSettings.model_validate({**scheme, "groups": [list(group) for group in groups]})


def with_sharing(config: Config, sharing: SharingSettings) -> Config:
    """The same configuration with another way of sharing. Raises OneglanceError where the two do not go together."""
    data = json.loads(config.model_copy(update={"sharing": sharing}).model_dump_json())
    return parse_config(data, f"with sharing.scheme `{sharing.scheme}`")


def write_once(folder: Path, stem: str, config: Config, about: str) -> Path:
    """Write a configuration as ``stem.yaml``, or take the file that says the same already; where the name is taken by
    another, ``stem-2.yaml`` and so on. ``about``: one line at the top."""
    said = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    text = f"# {about}\n{said}"
    number = 1
    while True:
        path = folder / (f"{stem}.yaml" if number == 1 else f"{stem}-{number}.yaml")
        if not path.exists():
            partial = path.with_name(path.name + ".partial")
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
            return path
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return path
        number += 1


def command(files: Sequence[Path], folder: Path) -> str:
    """What tests the configurations, the first against each of the others, in the folder of the study itself: what was
    trained there is taken as it is."""
    words = ["oneglance", "compare", *map(str, files), "--seeds", "3", "--out", str(folder)]
    return shlex.join(words)
