"""A setting that was given like an option (``train --epochs 3``), said as it is meant: ``train.epochs=3``."""

from __future__ import annotations

import difflib
import shlex
from typing import Any

from typer.core import TyperCommand

from oneglance.errors import OneglanceError

#: What other tools call these settings.
_ELSEWHERE = {
    "imgsz": "train.size",
    "img_size": "train.size",
    "image_size": "train.size",
    "input_size": "train.size",
    "learning_rate": "train.lr",
    "lr0": "train.lr",
    "batch_size": "train.batch",
    "bs": "train.batch",
    "num_epochs": "train.epochs",
    "num_workers": "train.workers",
    "model": "trunk.backbone",
    "arch": "trunk.backbone",
    "encoder": "trunk.backbone",
    "weights": "trunk.pretrained",
    "fliplr": "augment.flip",
    "degrees": "augment.rotate",
}


class SettingsCommand(TyperCommand):
    """A command that takes ``KEY=VALUE``: an option that it does not have is looked for among the settings."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As any command does; raises OneglanceError, with the whole command as it is meant, for such an option."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # which class says that there is no such option depends on typer's version
            option = getattr(error, "option_name", None)
            if type(error).__name__ != "NoSuchOption" or option is None:
                raise
            own = {name for param in self.params for name in (*param.opts, *param.secondary_opts)}
            meant, taken = as_settings(given, own, guess=not getattr(error, "possibilities", None))
            if option in taken:
                command = f"{ctx.command_path} {shlex.join(meant)}"
                raise OneglanceError(f"no option {option}; settings go without dashes: {command}") from error
            if getattr(error, "possibilities", None):
                raise
            raise OneglanceError(
                f"no option {option}; `{ctx.command_path} --help` shows the options. Settings go without dashes, as "
                "KEY=VALUE, such as train.epochs=10"
            ) from error


def as_settings(args: list[str], own: set[str], *, guess: bool = True) -> tuple[list[str], set[str]]:
    """``args`` with the options that are settings put as ``KEY=VALUE`` at the end, and which options these were.

    ``own``: options that the command has, left as they are; ``guess``: take names that are nearly right as well.
    """
    rest: list[str] = []
    settings: list[str] = []
    taken: set[str] = set()
    left = list(args)
    while left:
        one = left.pop(0)
        option, given, value = one.partition("=")
        name = option.lstrip("-").replace("-", "_")
        denied = name.startswith("no_")
        key = _key(name.removeprefix("no_"), guess) if one.startswith("--") and option not in own else None
        if key is None:
            rest.append(one)
            continue
        taken.add(option)
        if denied:
            value = "false"
        elif not given:
            value = left.pop(0) if left and not left[0].startswith("--") else "VALUE"
        if key == "train.size" and value.isdigit():
            value = f"[{value}, {value}]"
        settings.append(f"{key}={value}")
    return [*rest, *settings], taken


def _key(name: str, guess: bool) -> str | None:
    """The dotted key that a name means: itself, the last part of one (of ``train`` first), or one spelt nearly so."""
    keys = _keys()
    if name in keys:
        return name
    by_last: dict[str, str] = {}
    for key in sorted(keys, key=lambda key: not key.startswith("train.")):
        by_last.setdefault(key.rpartition(".")[2], key)
    if name in by_last or name in _ELSEWHERE:
        return by_last.get(name) or _ELSEWHERE[name]
    near = difflib.get_close_matches(name, by_last, n=1, cutoff=0.75) if guess else []
    return by_last[near[0]] if near else None


def _keys() -> list[str]:
    """All settings but tasks and sources, dotted."""
    from pydantic import BaseModel

    from oneglance.config import Config

    return [
        f"{group}.{key}"
        for group, field in Config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for key in field.annotation.model_fields
    ]
