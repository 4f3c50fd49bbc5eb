"""A step that was made, and what is said where its loss or its gradient is not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from oneglance.data.dataset import Batch
from oneglance.errors import OneglanceError
from oneglance.manifest import Manifest
from oneglance.training import checkpoint


@dataclass(frozen=True)
class Made:
    """A step that was made: its number, the parts of its batch, the loss terms by task, what ties the trunks' weights
    (by name; most often nothing), what was minimised and the norm of its gradient, all detached."""

    step: int
    batches: list[Batch]
    terms: Mapping[str, Mapping[str, Tensor]]
    tied: Mapping[str, Tensor]
    total: Tensor
    norm: Tensor


class NotFinite(OneglanceError):
    """The loss or its gradient was not finite: the training broke down."""


def check_finite(made: Made | None, folder: Path, manifest: Manifest, good: Path) -> None:
    """Stop where a loss or its gradient was not finite, with the batch saved in the run's folder for whoever wants to
    look; ``good``: the last state before it. Raises NotFinite."""
    if made is None or math.isfinite(float(made.total + made.norm)):
        return
    path = folder / f"nonfinite_step_{made.step}.safetensors"
    tensors: dict[str, Tensor] = {}
    for number, batch in enumerate(made.batches):
        after = f".{number}" if number else ""
        targets = {f"{n}.{k}": v for n, of_task in batch.targets.items() for k, v in of_task.items()}
        tensors["images" + after] = batch.images.contiguous()
        tensors |= checkpoint.pack(**{"targets" + after: targets})
    terms = floats(made.terms)
    rows = [row for batch in made.batches for row in batch.indices]
    checkpoint.save(path, tensors, {"paths": [str(manifest.record(row).path) for row in rows], "terms": terms})
    terms_of = ((f"{n}.{k}", v) for n, of_task in terms.items() for k, v in of_task.items())
    tied = ((f"sharing.{name}", float(value)) for name, value in made.tied.items())
    bad = ", ".join(name for name, v in (*terms_of, *tied) if not math.isfinite(v)) or "its gradient"
    raise NotFinite(
        f"the loss is not finite at step {made.step} ({bad}). The batch was saved as {path}; the last good state is "
        f"{good}. Try a lower train.lr, or train.precision: '32'"
    )


def floats(terms: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, float]]:
    """The values as Python's numbers, for which the device is waited for."""
    return {name: {term: float(v) for term, v in of_task.items()} for name, of_task in terms.items()}
