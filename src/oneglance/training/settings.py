"""What the training loop can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

#: The largest side of an input: beyond, a slip of the keyboard is likelier than that it is meant.
LARGEST = 8192


class TrainSettings(BaseModel):
    """The training loop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: tuple[int, int] = Field(
        (320, 320), description="Height and width of the network's input: multiples of 32, at least 64."
    )
    eval_size: tuple[int, int] | None = Field(
        None, description="Likewise for evaluation and for `predict`; default: `size`."
    )
    sizes: dict[str, tuple[int, int]] = Field(
        default_factory=dict,
        description="Other sizes for the images of some sources, by name, in training and in evaluation: a step's "
        "images then go through the network in as many parts as there are sizes.",
    )
    eval_sizes: dict[str, tuple[int, int]] = Field(
        default_factory=dict, description="Likewise in evaluation and in galleries; default: `sizes`."
    )
    epochs: int = Field(40, ge=1, description="How often an epoch's worth of images is looked at.")
    batch: int = Field(16, ge=1, description="Images a step, over all sources and all processes.")
    accumulate: int = Field(
        1, ge=1, description="A step's images go through the network in so many parts, one after another."
    )
    lr: float = Field(1e-3, gt=0, description="Highest learning rate (AdamW), of the neck and the heads.")
    trunk_lr: float | None = Field(
        None,
        ge=0,
        description="Factor on the learning rate of the backbone; default: 1 from scratch, 0.2 on pretrained weights.",
    )
    weight_decay: float = Field(0.02, ge=0, description="AdamW's weight decay; none on norms and biases.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    final_lr: float = Field(0.01, ge=0, le=1, description="Where the cosine ends, relative to `lr`.")
    clip: float = Field(10.0, gt=0, description="Largest norm of the gradient.")
    ema: float = Field(
        0.02, ge=0, lt=1, description="Window of the averaged weights, as a share of all steps; 0: no averaging."
    )
    precision: Literal["auto", "32", "bf16"] = Field(
        "auto", description="`auto`: bf16 where the processor computes with it, else 32."
    )
    start: Path | None = Field(
        None,
        description="An earlier run's folder, or a weights file of one: what fits by name and shape is taken over.",
    )
    seed: int = Field(0, ge=0, description="Seed of everything random.")
    workers: int | None = Field(None, ge=0, description="Loading processes; default: cores - 1.")
    cache: float = Field(
        1.0,
        ge=0,
        description="Gigabytes in which decoded images and masks are kept from epoch to epoch, at most a quarter of "
        "the memory that is free; of larger data, a part is kept (where loading processes are forked, as on Linux). 0: "
        "decode anew each time.",
    )
    evaluate_every: int = Field(5, ge=1, description="Epochs between evaluations on the split `val`.")
    patience: int | None = Field(None, ge=1, description="Stop after so many evaluations without a better mean score.")
    checkpoint_every: int = Field(200, ge=1, description="Steps between states to resume from (also each epoch's end).")
    device: str = Field("auto", description="`auto`, `cpu`, `cuda`, `mps`.")

    @property
    def scored_size(self) -> tuple[int, int]:
        """The size of images in evaluation and in `predict`."""
        return self.eval_size or self.size

    @property
    def scored_sizes(self) -> dict[str, tuple[int, int]]:
        """The sizes of some sources' images in evaluation and in galleries, by name."""
        return {**self.sizes, **self.eval_sizes}

    @property
    def scored_as(self) -> dict[tuple[int, int], tuple[int, int]]:
        """The sizes of images in evaluation and in `predict`, with those that the same images have in training."""
        own = {size: self.sizes.get(source, self.size) for source, size in self.eval_sizes.items()}
        return {self.scored_size: self.size, **own}

    @model_validator(mode="after")
    def _enough(self) -> TrainSettings:
        if self.accumulate > self.batch:
            raise ValueError(f"accumulate: a step of {self.batch} images has no {self.accumulate} parts")
        return self

    @field_validator("precision", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value  # YAML reads an unquoted 32 as a number

    @field_validator("size", "eval_size")
    @classmethod
    def _multiple(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        return None if value is None else _multiples(value)

    @field_validator("sizes", "eval_sizes")
    @classmethod
    def _all_multiple(cls, value: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
        return {source: _multiples(size) for source, size in value.items()}


def _multiples(size: tuple[int, int]) -> tuple[int, int]:
    if any(not 64 <= side <= LARGEST or side % 32 for side in size):
        raise ValueError(f"height and width must be multiples of 32 from 64 to {LARGEST}, not {size[0]} x {size[1]}")
    return size
