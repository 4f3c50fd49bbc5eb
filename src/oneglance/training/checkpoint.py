"""Weights and the state of a training, as safetensors: nothing here is ever a pickle."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from oneglance.errors import OneglanceError
from oneglance.network.network import Network
from oneglance.network.norm import statistics_like


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON facts as one file, whole or not at all, whenever the process may be killed."""
    partial = path.with_name(path.name + ".partial")
    unshared = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    partial.touch()
    mode = partial.stat().st_mode
    save_file(unshared, partial, metadata={"oneglance": json.dumps(facts)})
    partial.chmod(mode)  # as the user's other files: safetensors makes files that nobody else can read
    partial.replace(path)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save` wrote. Raises OneglanceError where the file is missing or is something else."""
    return _open(path, lambda file: {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (not a dict)


def _open(path: Path, tensors: Callable[[Any], dict[str, Tensor]]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.is_file():
        raise OneglanceError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["oneglance"])
            return tensors(file), facts
    except (SafetensorError, KeyError, ValueError) as error:
        raise OneglanceError(f"{path}: not a file that oneglance wrote ({error})") from error


def facts_of(path: Path) -> dict[str, Any]:
    """The facts alone of what :func:`save` wrote. Raises OneglanceError as :func:`load` does."""
    return _open(path, lambda file: {})[1]


def take_over(network: Network, path: Path) -> list[str]:
    """Put an earlier run's tensors of the same name and shape into ``network`` (of any shape where that is empty yet);
    returns the names that were not found.

    From a run with one trunk for all tasks, each trunk of another scheme of sharing takes the same.
    ``path``: the run's folder (its best weights, else its last) or a weights file. Raises OneglanceError where there is
    none, or nothing in it fits.
    """
    if path.is_dir():
        found = [path / name for name in ("best.safetensors", "last.safetensors") if (path / name).is_file()]
        if not found:
            raise OneglanceError(f"train.start: {path} holds no best.safetensors or last.safetensors")
        path = found[0]
    own, (tensors, _) = network.state_dict(), load(path)
    tensors = statistics_like(own, tensors, network.like_hard)
    theirs = {name: name if name in tensors else network.like_hard(name) for name in own}
    fitting = {
        name: tensors[other]
        for name, other in theirs.items()
        if other in tensors and (tensors[other].shape == own[name].shape or not own[name].numel())
    }
    if not fitting:
        raise OneglanceError(f"train.start: nothing in {path} fits this network; is its trunk another one?")
    network.load_state_dict(fitting, strict=False)
    return [name for name in own if name not in fitting]


def pack(**parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Several dictionaries of tensors as one, with the part's name before each key."""
    return {f"{part}:{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


def unpack(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """One of the dictionaries that :func:`pack` put together."""
    return {name.removeprefix(f"{part}:"): t for name, t in tensors.items() if name.startswith(f"{part}:")}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as named tensors (``3.exp_avg``); the number counts parameters over all groups."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": torch.as_tensor(value) for number, one in state.items() for name, value in one.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of :func:`optimizer_tensors`, into an optimiser over the same parameters."""
    described = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": described["param_groups"]})
