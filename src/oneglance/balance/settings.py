"""What the balance can be told: which method, on what, where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: Methods that look at the losses alone, and methods that look at the gradients.
LOSS_METHODS = (
    "sum", "coupled", "equal", "uncertainty", "dwa", "random", "geometric", "stch", "imtl_l", "famo",
)  # fmt: skip
GRADIENT_METHODS = (
    "upgrad", "mgda", "pcgrad", "cagrad", "nash_mtl", "imtl_g", "aligned_mtl", "fairgrad", "gradvac", "config",
    "graddrop", "dualproj",
)  # fmt: skip

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class BalanceSettings(BaseModel):
    """How the tasks' losses are put together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal[
        "sum", "coupled", "equal", "uncertainty", "dwa", "random", "geometric", "stch", "imtl_l", "famo", "upgrad",
        "mgda", "pcgrad", "cagrad", "nash_mtl", "imtl_g", "aligned_mtl", "fairgrad", "gradvac", "config", "graddrop",
        "dualproj",
    ] = Field(
        "sum",
        description="`sum`: the weighted sum of the tasks' losses. By the losses: `coupled`, `equal`, `uncertainty`, "
        "`dwa`, `random`, `geometric`, `stch`, `imtl_l`, `famo`. By the gradients: the others.",
    )  # fmt: skip
    weights: dict[str, Weight] = Field(
        default_factory=dict,
        description="Weight by task (default: the task's own); with `over: terms` also by term (`objects.box`). The "
        "method acts on the weighted losses.",
    )
    over: Literal["tasks", "terms"] = Field(
        "tasks",
        description="`terms`: a task whose loss has parts counts as several; a detector as `class` and `box`.",
    )
    at: Literal["features", "channels", "parameters"] = Field(
        "features",
        description="Where gradients are compared. `features`: at the shared maps, by image and place. `channels`: "
        "there, summed over images and places, so that tasks without a common image can be compared. `parameters`: at "
        "the shared parameters; takes a backward pass of the trunk and a copy of its gradient for each task.",
    )
    every: int = Field(
        1, ge=1, description="Gradients are compared every so many steps; between them, the last factors hold."
    )
    normalise: Literal["none", "initial", "gradient"] = Field(
        "gradient",
        description="`gradient`: each task's loss is divided by the length of its gradient at what the tasks share, as "
        "it is on average in the task's first steps, so that all tasks of one weight begin with as much say in it. "
        "`initial`: each loss by its value at the task's first step. `none`: losses are taken as they are.",
    )
    record: int = Field(
        50, ge=0, description="Steps between records of weights and of conflict between the tasks; 0: none."
    )
    lr: float | None = Field(
        None,
        gt=0,
        description="Learning rate (Adam) of what the method itself learns; default: 0.01 (`uncertainty`, `imtl_l`), "
        "0.025 (`famo`).",
    )
    temperature: float = Field(2.0, gt=0, description="Of `dwa`: the larger, the more equal the weights.")
    mu: float = Field(1.0, gt=0, description="Of `stch`: the smaller, the more the worst task alone counts.")
    coupling: Weight = Field(
        1.0, description="Of `coupled`: the factor on all parts of a task's loss but the first (class + factor x box)."
    )
    lowest: dict[str, float] = Field(
        default_factory=dict,
        description="The smallest value a task's loss can take (default 0), for `famo`, `stch` and `geometric`.",
    )
    gamma: float = Field(1e-3, ge=0, description="Of `famo`: weight decay of its logits; the larger, the more equal.")
    c: float = Field(0.4, ge=0, description="Of `cagrad`: how far from the mean gradient it may go; 0: not at all.")
    alpha: float = Field(2.0, gt=0, description="Of `fairgrad`: 1 is `nash_mtl`; the larger, the more max-min fair.")
    beta: float = Field(0.01, ge=0, le=1, description="Of `gradvac`: how fast the cosines it aims at follow.")

    @model_validator(mode="after")
    def _possible(self) -> BalanceSettings:
        if self.method == "graddrop" and self.at != "features":
            raise ValueError("at: `graddrop` drops signs at the shared features; leave `at` out")
        if self.method == "coupled" and self.over != "terms":
            raise ValueError("method: `coupled` couples the terms of a task's loss: say `over: terms`")
        return self


def split_names(tasks: Mapping[str, Mapping[str, tuple[str, ...]]], over: str) -> dict[str, tuple[str, ...]]:
    """What is balanced, by name: the terms of the loss that make it up, () for all terms of a task.

    ``tasks``: each task's parts (see ``TaskSettings.parts``). Over terms, a task with parts is several, ``task.part``.
    """
    names: dict[str, tuple[str, ...]] = {}
    for task, parts in tasks.items():
        if over == "terms" and parts:
            names.update({f"{task}.{part}": terms for part, terms in parts.items()})
        else:
            names[task] = ()
    return names
