"""Where a network computes."""

from __future__ import annotations

import torch

from oneglance.errors import OneglanceError


def device_of(name: str, key: str = "device") -> torch.device:
    """The device of this name: `cpu`, `cuda` (or `cuda:1`), `mps`, or `auto`: `cuda` where there is one, else `cpu`.

    ``key`` is what messages call the setting. Raises OneglanceError where there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdigit()):
        raise OneglanceError(f"{key} {name!r}: must be auto, cpu, cuda (or cuda:1 for the second) or mps")
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    if int(number or 0) >= there:
        found = f"{there} there, numbered from 0" if there else "none: is its driver there, and torch built for it?"
        raise OneglanceError(f"{key} {name!r}: torch sees {found}; `cpu` always works")
    return torch.device(name)
